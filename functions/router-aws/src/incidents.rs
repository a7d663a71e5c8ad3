//! Incidents in the table: `INCIDENT#<UTC date>` / `<id>`, an item each, kept for 90 days.

use std::time::Duration;

use futures_util::future::join_all;
use router_core::error::Cause;
use router_core::ids::SpecialistName;
use router_core::incident::{Incident, IncidentLog};
use router_core::store::{Item, ItemKey, Value};
use router_core::units::day_expiry;
use tokio::time::timeout;
use tracing::warn;

use crate::failure::NO_ANSWER;
use crate::table::Table;

/// A longer request is not kept whole: an item may have 400 KB.
const MAX_KEPT_BYTES: usize = 100_000;

/// Keeps incidents in a DynamoDB table. One that cannot be kept is written to the log.
#[derive(Debug)]
pub struct DynamoIncidents {
    table: Table,
}

impl DynamoIncidents {
    /// The incidents in `table`.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    async fn put(&self, incident: &Incident) -> Result<(), Cause> {
        let key = ItemKey::incident(&incident.at.date(), &incident.id);
        self.table.put(&key, &item(incident)).await
    }

    async fn leave_one(&self, incident: &Incident, within: Duration) {
        let error = match timeout(within, self.put(incident)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => NO_ANSWER.into(),
        };
        warn!(
            %error,
            incident = incident.id,
            specialist.name = incident.specialist.as_ref().map(SpecialistName::as_str),
            reason = incident.reason.as_str(),
            attempts = incident.attempts,
            latency_ms = incident.latency.as_millis() as u64,
            input_tokens = incident.input.0,
            output_tokens = incident.output.0,
            cost_micro_usd = incident.cost.0,
            intent_class = incident.intent_class,
            answered_by = incident.answered_by.as_ref().map(SpecialistName::as_str),
            "an incident is kept in the log only"
        );
    }
}

impl IncidentLog for DynamoIncidents {
    async fn record(&self, incidents: &[Incident], within: Duration) {
        join_all(incidents.iter().map(|incident| self.leave_one(incident, within))).await;
    }
}

fn item(incident: &Incident) -> Item {
    let specialist = incident.specialist.as_ref().map_or("unknown", SpecialistName::as_str);
    let latency_ms = u64::try_from(incident.latency.as_millis()).unwrap_or(u64::MAX);
    let request = incident.request.as_deref().map(|request| {
        let end = request.floor_char_boundary(MAX_KEPT_BYTES);
        Value::text(&request[..end])
    });
    let attributes = [
        ("session", Some(Value::text(incident.owner.session.as_str()))),
        ("tenant", Some(Value::text(incident.owner.tenant.as_str()))),
        ("user", incident.owner.user.as_ref().map(|user| Value::text(user.as_str()))),
        ("at_ms", Some(Value::number(incident.at.0))),
        ("specialist", Some(Value::text(specialist))),
        ("reason", Some(Value::text(incident.reason.as_str()))),
        ("attempts", Some(Value::number(incident.attempts))),
        ("latency_ms", Some(Value::number(latency_ms))),
        ("input_tokens", Some(Value::number(incident.input.0))),
        ("output_tokens", Some(Value::number(incident.output.0))),
        ("cost_micro_usd", Some(Value::number(incident.cost.0))),
        ("intent_class", Some(Value::text(incident.intent_class.clone()))),
        ("answered_by", incident.answered_by.as_ref().map(|name| Value::text(name.as_str()))),
        ("request", request),
        ("expires_at", Some(Value::number(day_expiry(incident.at)))),
    ];
    let there = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Item(there.collect())
}
