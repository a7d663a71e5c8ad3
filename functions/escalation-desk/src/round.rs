//! The desk's round: what is over time expires, and people are told of what they do not know.

use std::time::Duration;

use router_aws::escalations::Stored;
use router_aws::{CloudWatchMetrics, DynamoEscalations, InvocationClock};
use router_core::deadline;
use router_core::error::Cause;
use router_core::escalation::{Action, Change, NotChanged, State};
use router_core::metrics::{Batch, Datum, MetricsSink, Unit};
use router_core::units::{Clock, Timestamp};
use serde_json::json;
use tracing::{info, warn};

/// As many days are looked at, the present one included: a policy lets no question wait longer than 30.
const DAYS: u64 = 32;
const DAY: Duration = Duration::from_secs(86_400);
/// A round makes at most so many changes; the next makes the others.
const CHANGES: usize = 100;
/// Whoever opens an escalation tells people of it at once; after this time that has failed.
const TOLD_BY: Duration = Duration::from_secs(60);
/// The longest that publishing the metric takes.
const PUBLISHING: Duration = Duration::from_millis(500);

/// Makes a round, and says what was done.
///
/// # Errors
///
/// The table gave no answer.
pub(crate) async fn make(
    escalations: &DynamoEscalations,
    metrics: &CloudWatchMetrics,
    author: &str,
    within: Duration,
) -> Result<String, Cause> {
    let clock = InvocationClock::start();
    let began = clock.now();
    let is_time_left = || clock.now().since(began) < deadline::time_to_finish(within);
    let (mut expired, mut told, mut failed) = (0, 0, None);
    let days = (0..DAYS).map(|day| Timestamp(began.0.saturating_sub(day * DAY.as_millis() as u64)));
    for day in days {
        if !is_time_left() {
            break;
        }
        let of_day = match escalations.of_day(&day.date()).await {
            Ok(of_day) => of_day,
            // What has expired by now is told all the same: no other round finds it again.
            Err(cause) => {
                failed = Some(cause);
                break;
            }
        };
        for Stored { escalation, state, is_announced } in of_day {
            let is_open = matches!(state, State::Open | State::Claimed { .. });
            if !is_open || expired + told >= CHANGES || !is_time_left() {
                continue;
            }
            if escalation.due <= began {
                let author = format!("{author}/{}", escalation.ticket);
                let (ticket, action, now) = (&escalation.ticket, &Action::Expire, clock.now());
                match escalations.change(&Change { ticket, action, author: &author, now }).await {
                    Ok(changed) => expired += usize::from(changed.is_new),
                    // A person was quicker.
                    Err(NotChanged::Refused(_) | NotChanged::Unknown) => {}
                    Err(NotChanged::Unavailable(cause)) => {
                        warn!(error = %cause, "an escalation expires in the next round");
                    }
                }
            } else if escalations.tells()
                && !is_announced
                && began.since(escalation.opened) >= TOLD_BY
            {
                match escalations.announce(&escalation, clock.now()).await {
                    Ok(()) => told += 1,
                    Err(error) => warn!(%error, "people are told in the next round"),
                }
            }
        }
    }
    if expired > 0 {
        let (name, unit, value) = ("EscalationsExpired", Unit::Count, expired as f64);
        let data = vec![Datum { name, unit, value, dimensions: Vec::new() }];
        metrics.publish(&Batch { timestamp: clock.now(), data }, PUBLISHING).await;
    }
    if let Some(cause) = failed {
        return Err(cause);
    }
    info!(expired, told, "round made");
    Ok(json!({ "expired": expired, "told": told }).to_string())
}
