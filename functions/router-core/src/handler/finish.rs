//! What is left to be done before a reply is sent.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join3;

use super::call::named;
use crate::deadline;
use crate::guard::guarded;
use crate::incident::{Incident, IncidentLog};
use crate::journal::{Entry, Fact, Journal};
use crate::metrics::{Batch, MetricsSink};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::units::{Clock, Timestamp};
use crate::views;
use crate::wire::reply::{Body, TaskBody};

/// The longest that publishing metrics and keeping incidents may hold a reply up.
const PUBLISHING: Duration = Duration::from_millis(500);

/// A request whose reply is known.
pub(crate) struct Ending<'r, P> {
    pub(crate) policy: &'r Policy,
    pub(crate) ports: &'r P,
    pub(crate) journal: &'r Journal,
    /// When the reply must be out.
    pub(crate) deadline: Timestamp,
    /// Whether nothing was done that is to be counted.
    pub(crate) is_rehearsal: bool,
}

impl<P: Ports> Ending<'_, P> {
    /// Settles, keeps incidents, publishes metrics and writes the log's line, all at once.
    pub(crate) async fn finish(
        &self,
        body: &Body,
        incidents: impl FnOnce() -> Vec<Incident>,
        settling: impl Future<Output = ()>,
    ) {
        let Self { policy, ports, journal, deadline, is_rehearsal } = self;
        let clock = ports.clock();
        let now = clock.now();
        let TaskBody { status, reason, .. } = body.whole;
        let specialist = named(&body.whole, policy);
        journal.add(now, Fact::Replied { status, reason, specialist });
        let entries = journal.read(<[Entry]>::to_vec);
        if *is_rehearsal {
            views::log::write_rehearsed(body);
            settling.await;
            return;
        }
        views::log::write(&entries, body, now);
        let within = deadline::time_to_finish(deadline.since(now)).min(PUBLISHING);
        let recording = guarded("the incidents", async {
            ports.incidents().record(&incidents(), within).await;
        });
        let publishing = guarded("the metrics", async {
            let batch = Batch { timestamp: now, data: views::metrics::of(&entries, policy, now) };
            journal.add(clock.now(), Fact::Publishing { data: batch.data.len() });
            ports.metrics().publish(&batch, within).await;
            journal.add(clock.now(), Fact::Published);
        });
        join3(settling, recording, publishing).await;
        journal.add(clock.now(), Fact::Finished);
    }
}
