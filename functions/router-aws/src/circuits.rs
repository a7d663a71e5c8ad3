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
//! | `forced`, `forced_until_ms` | `open` or `closed`: an operator's word, and when it ends if it does; no request writes it |
//!
//! An item that is not there is a closed circuit. `forced` of `CIRCUIT#*` is for all of them.

use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use router_core::circuit::{
    Change, Changed, Circuit, CircuitError, CircuitSnapshot, CircuitStore, Forced, Probe, State,
    Word,
};
use router_core::error::Cause;
use router_core::ids::{SessionMark, SpecialistName};
use router_core::store::{Answer, Item, ItemKey, Request, Update, Value, Version, Written};
use router_core::units::Timestamp;
use tokio::time::timeout;
use tracing::warn;

use crate::failure::NO_ANSWER;
use crate::table::{self, Table, answer_to_update, item_of, key_attributes};

/// One attempt of a request takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(400);
/// How often an operator's word is written anew when requests change the circuit meanwhile.
const ROUNDS: u32 = 12;
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

    /// Sets an operator's word on the circuit of one specialist, or on all where none is named;
    /// without a word, the circuit goes by its state again. Returns the word before it.
    ///
    /// It is a change like any other's: a process that was about to store one of its own is shown
    /// the word instead, and the others read it within [`router_core::circuit::REMEMBERED`].
    /// `author` makes one such change.
    ///
    /// # Errors
    ///
    /// The table gave no answer, or others changed the circuit all the time. Setting the word once
    /// more does no harm.
    pub async fn force(
        &self,
        specialist: Option<&SpecialistName>,
        word: Option<Word>,
        author: &str,
    ) -> Result<Option<Word>, Cause> {
        let key = ItemKey::circuit(specialist);
        for _ in 0..ROUNDS {
            let item = self.table.read(&key).await?.unwrap_or_default();
            let version = Version { seen: Version::of(&item), author };
            let mut write = version.update(key.clone());
            match word {
                Some(word) => write.set("forced", Value::text(word.forced.as_str())),
                None => write.remove("forced"),
            }
            match word.and_then(|word| word.until) {
                Some(until) => write.set("forced_until_ms", Value::number(until.0)),
                None => write.remove("forced_until_ms"),
            }
            match version.outcome(self.table.send(&Request::Update(write)).await) {
                Ok(Written::Stored) => return Ok(forced(&item, &key.pk)),
                Ok(Written::Overtaken(_)) | Err(Answer::Contended) => {}
                Err(Answer::Unusable(cause) | Answer::Unavailable(cause)) => return Err(cause),
                Err(_) => return Err(NO_ANSWER.into()),
            }
        }
        Err("requests changed the circuit under every attempt".into())
    }

    async fn read_all(&self, specialists: &[&SpecialistName]) -> Result<CircuitSnapshot, Cause> {
        let all = specialists.iter().map(|name| Some(*name)).chain([None]);
        let keys: Vec<_> = all.map(|one| key_attributes(&ItemKey::circuit(one))).collect();
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
                take(&item_of(item), &mut snapshot);
            }
        }
        Ok(snapshot)
    }

    async fn write(&self, change: &Change<'_>) -> Result<Changed, Cause> {
        let version = version(change);
        // The item is only looked at when it is another one than was expected.
        let request = self.table.update(&update(change, version)).set_return_values(None);
        let sent = request.customize().config_override(short_timeouts()).send().await;
        match version.outcome(answer_to_update(sent)) {
            Ok(Written::Stored) => Ok(Changed::Stored),
            Ok(Written::Overtaken(item)) => {
                Ok(Changed::Lost(circuit(&item, change.specialist.as_str())))
            }
            Err(Answer::Unusable(cause) | Answer::Unavailable(cause)) => Err(cause),
            Err(_) => Err("the circuit was being written by another request".into()),
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

fn version<'a>(change: &Change<'a>) -> Version<'a> {
    Version { seen: change.seen, author: change.author }
}

fn update(change: &Change<'_>, version: Version<'_>) -> Update {
    let mut write = version.update(ItemKey::circuit(Some(change.specialist)));
    write.set("state", Value::text(change.state.as_str()));
    write.set("changed_at_ms", Value::number(change.now.0));
    let mut attributes = Item::default();
    let mut has = |name: &str, value| attributes.set(name, value);
    match change.state {
        State::Closed { failures, sessions, .. } => {
            has("failures", Value::number(*failures));
            if !sessions.is_empty() {
                let marks: Vec<String> = sessions.iter().map(SessionMark::to_string).collect();
                has("failed_sessions", Value::text(marks.join(" ")));
            }
        }
        State::Open { until } => {
            has("open_until_ms", Value::number(until.0));
        }
        State::HalfOpen { successes, probe } => {
            has("successes", Value::number(*successes));
            if let Some(Probe { owner, until }) = probe {
                has("probe", Value::text(owner));
                has("probe_until_ms", Value::number(until.0));
            }
        }
    }
    for name in OF_SOME_STATES {
        match attributes.0.remove(name) {
            Some(value) => write.set(name, value),
            None => write.remove(name),
        }
    }
    write
}

fn take(item: &Item, snapshot: &mut CircuitSnapshot) {
    let pk = item.text("pk").unwrap_or_default();
    match ItemKey::circuit_of(pk) {
        Some(None) => snapshot.all = forced(item, pk),
        Some(Some(name)) => {
            let circuit = circuit(item, pk);
            snapshot.circuits.push((name, circuit));
        }
        None => {}
    }
}

fn circuit(item: &Item, named: &str) -> Circuit {
    let at = |name: &str| Timestamp(item.number(name));
    let state = match item.text("state") {
        Some("open") => State::Open { until: at("open_until_ms") },
        Some("half_open") => State::HalfOpen {
            successes: item.number("successes"),
            probe: item
                .text("probe")
                .map(|owner| Probe { owner: owner.to_owned(), until: at("probe_until_ms") }),
        },
        _ => {
            let failures = item.number("failures");
            let marks = item.text("failed_sessions").unwrap_or_default();
            // A version that knows no marks leaves them where it starts to count anew.
            let at_most = usize::try_from(failures).unwrap_or(usize::MAX);
            let sessions = marks.split(' ').filter_map(SessionMark::parse).take(at_most).collect();
            State::Closed { failures, sessions, since: at("changed_at_ms") }
        }
    };
    Circuit { stamp: item.number("stamp"), state, forced: forced(item, named) }
}

fn forced(item: &Item, named: &str) -> Option<Word> {
    let until = item.has("forced_until_ms").then(|| Timestamp(item.number("forced_until_ms")));
    match item.text("forced")? {
        "open" => Some(Word { forced: Forced::Open, until }),
        "closed" => Some(Word { forced: Forced::Closed, until }),
        _ => {
            warn!(circuit = named, "`forced` is neither `open` nor `closed`, and has no effect");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use router_core::store;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn name() -> SpecialistName {
        SpecialistName::parse("billing").unwrap()
    }

    fn marks() -> Vec<SessionMark> {
        ["00000007", "fedcba98"].map(|mark| SessionMark::parse(mark).unwrap()).into()
    }

    fn change_of<'a>(specialist: &'a SpecialistName, seen: u64, state: &'a State) -> Change<'a> {
        Change { specialist, seen, state, author: "me", now: NOW }
    }

    /// The item that a change leaves behind in an empty table.
    fn item(state: &State) -> Item {
        let name = name();
        let change = change_of(&name, 0, state);
        let sets = update(&change, version(&change)).changes.into_iter();
        let sets = sets.filter_map(|change| match change {
            store::Change::Set(name, value) => Some((name, value)),
            _ => None,
        });
        Item(sets.collect())
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
            let read = circuit(&item(&state), "billing");
            assert_eq!(read, Circuit { stamp: 1, state, forced: None });
        }
    }

    #[test]
    fn failures_that_a_version_without_marks_has_counted_are_of_sessions_nobody_knows() {
        let mut item = item(&State::Closed { failures: 3, sessions: marks(), since: NOW });
        for (failures, known) in [(5, 2), (1, 1), (0, 0)] {
            item.set("failures", Value::number(failures));
            let State::Closed { sessions, .. } = circuit(&item, "billing").state else {
                panic!("closed")
            };
            assert_eq!(sessions, marks()[..known]);
        }
        item.0.remove("failed_sessions");
        assert!(
            matches!(circuit(&item, "billing").state, State::Closed { sessions, .. } if sessions.is_empty())
        );
    }

    #[test]
    fn a_state_leaves_nothing_of_the_one_before_it() {
        let state = State::Open { until: Timestamp(31_000) };
        let name = name();
        let change = change_of(&name, 7, &state);
        let write = update(&change, version(&change));
        let is_removal = |change: &&store::Change| matches!(change, store::Change::Remove(_));
        assert_eq!(write.changes.iter().filter(is_removal).count(), OF_SOME_STATES.len() - 1);
    }

    #[test]
    fn an_operators_word_needs_no_other_attribute() {
        let mut snapshot = CircuitSnapshot::default();
        for (name, word) in [("billing", "open"), ("*", "closed"), ("orders", "ajar")] {
            let pk = Value::text(format!("CIRCUIT#{name}"));
            take(&Item::from([("pk", pk), ("forced", Value::text(word))]), &mut snapshot);
        }
        assert_eq!(snapshot.all, Some(Forced::Closed.into()));
        let forced: Vec<Option<Word>> =
            snapshot.circuits.iter().map(|(_, circuit)| circuit.forced).collect();
        assert_eq!(forced, [Some(Forced::Open.into()), None]);
    }
}
