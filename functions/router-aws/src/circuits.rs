//! The circuits in the table: `CIRCUIT#<specialist>` / `STATE`, an item each.
//!
//! | attribute | |
//! |---|---|
//! | `stamp` | one more with each change; a change is conditional on it |
//! | `state` | `closed`, `open` or `half_open` |
//! | `failures`, `failed_sessions` | while closed: failures in a row, and marks of sessions that they were of |
//! | `open_until_ms` | while open |
//! | `successes`, `probe`, `probe_until_ms` | while half open: probes that succeeded, and the one that is out |
//! | `changed_at_ms`, `written_by` | when and by which attempt it was changed last |
//! | `forced` | `open` or `closed`: an operator's word, which nothing here writes |
//!
//! An item that is not there is a closed circuit. `forced` of `CIRCUIT#*` is for all of them.

use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use router_core::circuit::{
    Change, Changed, Circuit, CircuitError, CircuitSnapshot, CircuitStore, Forced, Probe, State,
};
use router_core::error::Cause;
use router_core::ids::{SessionMark, SpecialistName};
use router_core::units::Timestamp;
use tokio::time::timeout;
use tracing::warn;

use crate::failure::NO_ANSWER;
use crate::table::{
    self, Attributes, Expression, Table, key, number, read_number, read_text, text,
};

/// How the partition keys of all circuits begin.
const CIRCUIT: &str = "CIRCUIT#";
/// Stands for all specialists in a key.
const ALL: &str = "*";
/// One attempt of a request takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(400);
/// As many items as one `BatchGetItem` may ask for (Amazon DynamoDB API Reference).
const KEYS_AT_ONCE: usize = 100;
/// The attributes that only some of the states have.
const OF_SOME_STATES: [&str; 6] =
    ["failures", "failed_sessions", "open_until_ms", "successes", "probe", "probe_until_ms"];

/// Keeps the circuits in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoCircuits {
    table: Table,
}

impl DynamoCircuits {
    /// The circuits in `table`.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    async fn read_all(&self, specialists: &[&SpecialistName]) -> Result<CircuitSnapshot, Cause> {
        let names = specialists.iter().map(|name| name.as_str()).chain([ALL]);
        let keys: Vec<Attributes> = names.map(circuit_key).collect();
        let mut snapshot = CircuitSnapshot::default();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys.to_vec()))
                .consistent_read(true)
                .build()
                .map_err(|_| "the circuits could not be named")?;
            let request =
                self.table.client.batch_get_item().request_items(&self.table.name, wanted);
            let answer = request
                .customize()
                .config_override(short_timeouts())
                .send()
                .await
                .map_err(table::cause)?;
            if answer.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
                return Err("the table was too busy to tell of all circuits".into());
            }
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                take(&item, &mut snapshot);
            }
        }
        Ok(snapshot)
    }

    async fn write(&self, change: &Change<'_>) -> Result<Changed, Cause> {
        let write = expression(change);
        let sent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(circuit_key(change.specialist.as_str())))
            .update_expression(write.update())
            .condition_expression(write.condition())
            .set_expression_attribute_names(Some(write.names))
            .set_expression_attribute_values(Some(write.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .config_override(short_timeouts())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Changed::Stored),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                    Ok(found(&failure.item.clone().unwrap_or_default(), change))
                }
                _ => Err(table::cause(error)),
            },
        }
    }
}

impl CircuitStore for DynamoCircuits {
    async fn read(
        &self,
        specialists: &[&SpecialistName],
        within: Duration,
    ) -> Result<CircuitSnapshot, CircuitError> {
        match timeout(within, self.read_all(specialists)).await {
            Ok(snapshot) => snapshot.map_err(CircuitError),
            Err(_) => Err(CircuitError(NO_ANSWER.into())),
        }
    }

    async fn change(&self, change: &Change<'_>, within: Duration) -> Result<Changed, CircuitError> {
        match timeout(within, self.write(change)).await {
            Ok(changed) => changed.map_err(CircuitError),
            Err(_) => Err(CircuitError(NO_ANSWER.into())),
        }
    }
}

/// Circuits are asked about while a request waits: a second try has to fit into its second.
fn short_timeouts() -> Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    Config::builder().timeout_config(timeouts)
}

fn circuit_key(specialist: &str) -> Attributes {
    key(format!("{CIRCUIT}{specialist}"), "STATE".to_owned())
}

fn expression(change: &Change<'_>) -> Expression {
    let mut write = Expression::default();
    if change.seen == 0 {
        // An operator's item has no stamp.
        write.require_absent("stamp");
    } else {
        write.compare("stamp", "=", number(change.seen));
    }
    write.set("stamp", number(change.seen + 1));
    write.set("state", text(change.state.as_str()));
    write.set("changed_at_ms", number(change.now.0));
    write.set("written_by", text(change.author));
    let mut attributes = Attributes::new();
    let mut has = |name: &str, value| attributes.insert(name.to_owned(), value);
    match change.state {
        State::Closed { failures, sessions, .. } => {
            has("failures", number(*failures));
            if !sessions.is_empty() {
                let marks: Vec<String> = sessions.iter().map(SessionMark::to_string).collect();
                has("failed_sessions", text(marks.join(" ")));
            }
        }
        State::Open { until } => {
            has("open_until_ms", number(until.0));
        }
        State::HalfOpen { successes, probe } => {
            has("successes", number(*successes));
            if let Some(Probe { owner, until }) = probe {
                has("probe", text(owner));
                has("probe_until_ms", number(until.0));
            }
        }
    }
    for name in OF_SOME_STATES {
        match attributes.remove(name) {
            Some(value) => write.set(name, value),
            None => write.remove(name),
        }
    }
    write
}

/// What an item says that a change's condition failed on.
fn found(item: &Attributes, change: &Change<'_>) -> Changed {
    let circuit = circuit(item);
    let is_ours = read_text(item.get("written_by")) == Some(change.author);
    if is_ours && circuit.stamp == change.seen + 1 {
        // The answer to the first try was lost.
        return Changed::Stored;
    }
    Changed::Lost(circuit)
}

fn take(item: &Attributes, snapshot: &mut CircuitSnapshot) {
    let name = read_text(item.get("pk")).and_then(|pk| pk.strip_prefix(CIRCUIT));
    match name {
        Some(ALL) => snapshot.all = forced(item),
        Some(name) => {
            if let Some(name) = SpecialistName::parse(name) {
                snapshot.circuits.push((name, circuit(item)));
            }
        }
        None => {}
    }
}

fn circuit(item: &Attributes) -> Circuit {
    let at = |name: &str| Timestamp(read_number(item.get(name)));
    let state = match read_text(item.get("state")) {
        Some("open") => State::Open { until: at("open_until_ms") },
        Some("half_open") => State::HalfOpen {
            successes: read_number(item.get("successes")),
            probe: read_text(item.get("probe"))
                .map(|owner| Probe { owner: owner.to_owned(), until: at("probe_until_ms") }),
        },
        _ => {
            let failures = read_number(item.get("failures"));
            let marks = read_text(item.get("failed_sessions")).unwrap_or_default();
            // A version that knows no marks leaves them where it starts to count anew.
            let at_most = usize::try_from(failures).unwrap_or(usize::MAX);
            let sessions = marks.split(' ').filter_map(SessionMark::parse).take(at_most).collect();
            State::Closed { failures, sessions, since: at("changed_at_ms") }
        }
    };
    Circuit { stamp: read_number(item.get("stamp")), state, forced: forced(item) }
}

fn forced(item: &Attributes) -> Option<Forced> {
    match read_text(item.get("forced"))? {
        "open" => Some(Forced::Open),
        "closed" => Some(Forced::Closed),
        _ => {
            let pk = read_text(item.get("pk")).unwrap_or_default();
            warn!(item = pk, "`forced` is neither `open` nor `closed`, and has no effect");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn name() -> SpecialistName {
        SpecialistName::parse("billing").unwrap()
    }

    fn marks() -> Vec<SessionMark> {
        ["00000007", "fedcba98"].map(|mark| SessionMark::parse(mark).unwrap()).into()
    }

    /// The item that a change leaves behind in an empty table.
    fn item(state: &State) -> Attributes {
        let change = Change { specialist: &name(), seen: 0, state, author: "me", now: NOW };
        let write = expression(&change);
        let value = |clause: &str| {
            let (name, value) = clause.split_once(" = ").unwrap();
            (write.names[name].clone(), write.values[value].clone())
        };
        let update = write.update();
        let sets = update.strip_prefix("SET ").unwrap().split(" REMOVE ").next().unwrap();
        sets.split(", ").map(value).collect()
    }

    #[test]
    fn every_state_is_read_as_it_was_written() {
        let probe = Probe { owner: "r/0/0/1".to_owned(), until: Timestamp(9_000) };
        for state in [
            State::Closed { failures: 3, sessions: marks(), since: NOW },
            State::Closed { failures: 0, sessions: Vec::new(), since: NOW },
            State::Open { until: Timestamp(31_000) },
            State::HalfOpen { successes: 1, probe: None },
            State::HalfOpen { successes: 0, probe: Some(probe) },
        ] {
            let read = circuit(&item(&state));
            assert_eq!(read, Circuit { stamp: 1, state, forced: None });
        }
    }

    #[test]
    fn failures_that_a_version_without_marks_has_counted_are_of_sessions_nobody_knows() {
        let mut item = item(&State::Closed { failures: 3, sessions: marks(), since: NOW });
        for (failures, known) in [(5, 2), (1, 1), (0, 0)] {
            item.insert("failures".to_owned(), number(failures));
            let State::Closed { sessions, .. } = circuit(&item).state else { panic!("closed") };
            assert_eq!(sessions, marks()[..known]);
        }
        item.remove("failed_sessions");
        assert!(
            matches!(circuit(&item).state, State::Closed { sessions, .. } if sessions.is_empty())
        );
    }

    #[test]
    fn a_state_leaves_nothing_of_the_one_before_it() {
        let state = State::Open { until: Timestamp(31_000) };
        let change = Change { specialist: &name(), seen: 7, state: &state, author: "me", now: NOW };
        let write = expression(&change);
        let removed = write.update().split(" REMOVE ").nth(1).unwrap().split(", ").count();
        assert_eq!(removed, OF_SOME_STATES.len() - 1);
        assert_eq!(write.condition(), "#n0 = :v0");
    }

    #[test]
    fn a_change_whose_answer_was_lost_is_recognised() {
        let state = State::Open { until: Timestamp(31_000) };
        let specialist = name();
        let of =
            |author| Change { specialist: &specialist, seen: 0, state: &state, author, now: NOW };
        let item = item(&state);
        assert_eq!(found(&item, &of("me")), Changed::Stored);
        assert!(matches!(found(&item, &of("you")), Changed::Lost(circuit) if circuit.stamp == 1));
    }

    #[test]
    fn an_operators_word_needs_no_other_attribute() {
        let item = |name: &str, forced: &str| {
            let mut item = circuit_key(name);
            item.insert("forced".to_owned(), text(forced));
            item
        };
        let mut snapshot = CircuitSnapshot::default();
        for item in [item("billing", "open"), item("*", "closed"), item("orders", "ajar")] {
            take(&item, &mut snapshot);
        }
        assert_eq!(snapshot.all, Some(Forced::Closed));
        let forced: Vec<Option<Forced>> =
            snapshot.circuits.iter().map(|(_, circuit)| circuit.forced).collect();
        assert_eq!(forced, [Some(Forced::Open), None]);
    }
}
