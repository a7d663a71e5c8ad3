//! The circuits as one process sees them.
//!
//! What the table says is remembered for [`REMEMBERED`], for all specialists at once: healthy
//! traffic reads once in that time and writes nothing. A process that changes a circuit knows
//! the new state at once. Where the table gives no answer, everybody passes: a circuit protects
//! from failures, and must not become one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::{
    Change, Changed, Circuit, CircuitStore, Forced, Gate, Probe, Readings, State, Verdict,
};
use crate::causes::chain;
use crate::policy::{CircuitRules, Specialist, SpecialistName};
use crate::units::Timestamp;

/// How long a process goes by what it has read.
pub const REMEMBERED: Duration = Duration::from_secs(5);

/// The longest that a request waits for the table's word about circuits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A probe's place is free again this long after its attempt should have ended.
const PROBE_GRACE: Duration = Duration::from_secs(1);

/// How often a change is made anew when others change the same circuit. Everybody who is first
/// brings it nearer to its next state, so nobody has to be first many times.
const ROUNDS: u32 = 8;

/// Whether an attempt may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Pass,
    /// The specialist is not to be called; another one may be.
    Reject,
    /// An operator has stopped all calls.
    RejectAll,
}

/// The circuits of all specialists.
#[derive(Debug, Default)]
pub struct Circuits<S> {
    store: S,
    memory: Mutex<Memory>,
}

/// What a process knows, and since when.
#[derive(Debug, Default)]
struct Memory {
    read_at: Option<Timestamp>,
    all: Option<Forced>,
    circuits: BTreeMap<SpecialistName, Circuit>,
}

impl<S: CircuitStore> Circuits<S> {
    /// The circuits that `store` keeps.
    pub fn new(store: S) -> Self {
        Self { store, memory: Mutex::default() }
    }

    /// Where they are kept.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Reads the circuits of `specialists` unless that was done a moment ago.
    pub async fn refresh(
        &self,
        specialists: impl Iterator<Item = &SpecialistName>,
        now: Timestamp,
        within: Duration,
    ) {
        let is_fresh = |memory: &mut Memory| {
            let is_fresh = memory.read_at.is_some_and(|read_at| now.since(read_at) < REMEMBERED);
            // Others who come while this reads go by what is known.
            memory.read_at = if is_fresh { memory.read_at } else { Some(now) };
            is_fresh
        };
        if self.with_memory(is_fresh) {
            return;
        }
        let names: Vec<&SpecialistName> = specialists.collect();
        let Readings { all, circuits } =
            self.store.read(&names, within.min(LONGEST_WAIT)).await.unwrap_or_else(|error| {
                warn!(error = chain(&error), "circuits are taken for closed");
                Readings::default()
            });
        self.with_memory(|memory| {
            memory.all = all;
            memory.circuits = circuits.into_iter().collect();
        });
    }

    /// Whether the attempt `owner`, which may take `timeout`, may go. Where it goes as the probe
    /// of a circuit that was open, its place is taken when this returns, and
    /// [`Circuits::report`] has to follow.
    pub async fn admit(
        &self,
        specialist: &Specialist,
        owner: &str,
        timeout: Duration,
        now: Timestamp,
        within: Duration,
    ) -> Admission {
        let (all, mut circuit) = self.known(&specialist.name);
        match (all, circuit.forced) {
            (Some(Forced::Open), _) => return Admission::RejectAll,
            (_, Some(Forced::Open)) => return Admission::Reject,
            (Some(Forced::Closed), _) | (_, Some(Forced::Closed)) => return Admission::Pass,
            (None, None) => {}
        }
        for _ in 0..ROUNDS {
            match circuit.state.gate(now) {
                Gate::Pass => return Admission::Pass,
                Gate::Reject => return Admission::Reject,
                Gate::Probe => {}
            }
            let until = now.after(timeout).after(PROBE_GRACE);
            let next = circuit.state.probed(Probe { owner: owner.to_owned(), until });
            let author = format!("{owner}?");
            match self.change(&specialist.name, &circuit, next, &author, now, within).await {
                Some(Changed::Stored) | None => return Admission::Pass,
                Some(Changed::Lost(found)) => circuit = found,
            }
        }
        Admission::Reject
    }

    /// Takes the verdict of the attempt `owner` in. Returns whether that opened the circuit.
    pub async fn report(
        &self,
        specialist: &Specialist,
        owner: &str,
        verdict: Verdict,
        now: Timestamp,
        within: Duration,
    ) -> bool {
        let (all, mut circuit) = self.known(&specialist.name);
        if all.or(circuit.forced).is_some() {
            return false;
        }
        let author = format!("{owner}!");
        for _ in 0..ROUNDS {
            let rules: &CircuitRules = &specialist.circuit;
            let Some(next) = circuit.state.after(verdict, owner, now, rules) else { return false };
            let opens = matches!(next, State::Open { .. });
            let ends_a_run =
                matches!((&circuit.state, verdict), (State::Closed { .. }, Verdict::Healthy));
            match self.change(&specialist.name, &circuit, next, &author, now, within).await {
                Some(Changed::Stored) => return opens,
                // Whoever was first failed after this one had begun: its failure stands.
                Some(Changed::Lost(_)) if ends_a_run => return false,
                Some(Changed::Lost(found)) => circuit = found,
                None => return false,
            }
        }
        false
    }

    /// Stores a change and remembers what the circuit is then. `None`: the table gave no answer.
    async fn change(
        &self,
        specialist: &SpecialistName,
        circuit: &Circuit,
        next: State,
        author: &str,
        now: Timestamp,
        within: Duration,
    ) -> Option<Changed> {
        let change = Change { specialist, seen: circuit.stamp, state: &next, author, now };
        let changed = match self.store.change(&change, within.min(LONGEST_WAIT)).await {
            Ok(changed) => changed,
            Err(error) => {
                warn!(error = chain(&error), specialist.name = %specialist, "circuit not changed");
                return None;
            }
        };
        let known = match &changed {
            Changed::Stored => {
                if circuit.state.as_str() != next.as_str() {
                    let (from, to) = (circuit.state.as_str(), next.as_str());
                    warn!(specialist.name = %specialist, from, to, "circuit changed");
                }
                Circuit { stamp: circuit.stamp + 1, state: next, forced: circuit.forced }
            }
            Changed::Lost(found) => found.clone(),
        };
        self.with_memory(|memory| memory.circuits.insert(specialist.clone(), known));
        Some(changed)
    }

    fn known(&self, specialist: &SpecialistName) -> (Option<Forced>, Circuit) {
        self.with_memory(|memory| {
            (memory.all, memory.circuits.get(specialist).cloned().unwrap_or_default())
        })
    }

    fn with_memory<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
