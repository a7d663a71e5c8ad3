//! Stand-ins for the ports to circuits and incidents.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Trap;
use crate::circuit::{
    Change, Changed, Circuit, CircuitError, CircuitSnapshot, CircuitStore, Forced, State, Word,
};
use crate::ids::SpecialistName;
use crate::incident::{Incident, IncidentLog};

/// Circuits in memory, changed as the table changes them.
#[derive(Debug, Default)]
pub(crate) struct InMemoryCircuits {
    pub(crate) trap: Trap,
    is_down: AtomicBool,
    snapshot: Mutex<CircuitSnapshot>,
    reads: AtomicU64,
    changes: AtomicU64,
}

impl InMemoryCircuits {
    pub(crate) fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn force(&self, specialist: &str, forced: impl Into<Word>) {
        let word = Some(forced.into());
        self.edit(specialist, |circuit| circuit.forced = word);
    }

    pub(crate) fn force_all(&self, forced: Forced) {
        self.snapshot.lock().unwrap().all = Some(forced.into());
    }

    /// Changes a circuit as another process would.
    pub(crate) fn set(&self, specialist: &str, state: State) {
        self.edit(specialist, |circuit| {
            circuit.stamp += 1;
            circuit.state = state;
        });
    }

    pub(crate) fn state(&self, specialist: &str) -> State {
        self.edit(specialist, |circuit| circuit.state.clone())
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    fn edit<T>(&self, specialist: &str, edit: impl FnOnce(&mut Circuit) -> T) -> T {
        let circuits = &mut self.snapshot.lock().unwrap().circuits;
        let known = circuits.iter().position(|(name, _)| name.as_str() == specialist);
        let place = known.unwrap_or_else(|| {
            circuits.push((SpecialistName::parse(specialist).unwrap(), Circuit::default()));
            circuits.len() - 1
        });
        edit(&mut circuits[place].1)
    }
}

impl CircuitStore for InMemoryCircuits {
    async fn read(
        &self,
        _specialists: &[&SpecialistName],
        _within: Duration,
    ) -> Result<CircuitSnapshot, CircuitError> {
        self.trap.pass("read");
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(CircuitError("the table is down".into()));
        }
        Ok(self.snapshot.lock().unwrap().clone())
    }

    async fn change(
        &self,
        change: &Change<'_>,
        _within: Duration,
    ) -> Result<Changed, CircuitError> {
        self.trap.pass("change");
        self.changes.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(CircuitError("the table is down".into()));
        }
        Ok(self.edit(change.specialist.as_str(), |circuit| {
            if circuit.stamp != change.seen {
                return Changed::Lost(circuit.clone());
            }
            circuit.stamp += 1;
            circuit.state = change.state.clone();
            Changed::Stored
        }))
    }
}

/// Keeps what is left behind.
#[derive(Debug, Default)]
pub(crate) struct RecordingLog {
    pub(crate) trap: Trap,
    incidents: Mutex<Vec<Incident>>,
}

impl RecordingLog {
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        self.incidents.lock().unwrap().clone()
    }
}

impl IncidentLog for RecordingLog {
    async fn record(&self, incidents: &[Incident], _within: Duration) {
        self.trap.pass("record");
        self.incidents.lock().unwrap().extend_from_slice(incidents);
    }
}
