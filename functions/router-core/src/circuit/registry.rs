//! The circuits as one process sees them.
//!
//! What the table says is remembered for [`REMEMBERED`], for all specialists at once: healthy
//! traffic reads once in that time and writes nothing. A process that changes a circuit knows
//! the new state at once. Without the table, circuits fail open: a
//! circuit protects from failures, and must not become one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::{
    Change, Changed, Circuit, CircuitSnapshot, CircuitStore, Forced, Gate, Probe, State, Verdict,
    Word,
};
use crate::error::chain;
use crate::ids::{SessionMark, SpecialistName};
use crate::policy::Specialist;
use crate::units::{Clock, Learnt, Moment, Timestamp};

/// How long a process goes by what it has read.
pub const REMEMBERED: Duration = Duration::from_secs(5);

/// The longest that one question about a circuit, or one change of it, may take in all.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The time between the word that a probe may go and its attempt: taking its hold, mostly.
const PREPARATION: Duration = Duration::from_secs(5);

/// A probe's place is free again this long after its attempt must have ended, by clocks that may
/// differ a little.
const PROBE_GRACE: Duration = Duration::from_secs(1);

/// How often a change is made anew when others change the same circuit. Each change that is
/// first brings it nearer to its next state, so no process has to be first many times.
const ROUNDS: u32 = 8;

/// Whether an attempt may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and has to end by then.
    Pass {
        /// When the place of a probe is given to another one; for other attempts, never.
        until: Timestamp,
    },
    /// The specialist is not to be called; another one may be.
    Reject,
    /// An operator has stopped all calls.
    RejectAll,
}

/// The circuits of all specialists.
#[derive(Debug, Default)]
pub struct Circuits<S> {
    store: S,
    cache: Mutex<Cache>,
}

/// What a process knows, and since when.
#[derive(Debug, Default)]
struct Cache {
    read_at: Option<Learnt>,
    all: Option<Word>,
    circuits: BTreeMap<SpecialistName, Known>,
}

/// A circuit as it was seen, and when that was.
#[derive(Debug)]
struct Known {
    circuit: Circuit,
    seen_at: Moment,
}

impl Cache {
    /// Whether it is time to read. Others who come while that goes on go by what is known.
    fn claim_read(&mut self, now: Learnt) -> bool {
        let is_fresh = self.read_at.is_some_and(|read_at| now.since(&read_at) < REMEMBERED);
        if !is_fresh {
            self.read_at = Some(now);
        }
        !is_fresh
    }

    /// Takes in what the table says to a read that began at `began`.
    fn take_all(&mut self, snapshot: CircuitSnapshot, began: Moment, now: Moment) {
        self.all = snapshot.all;
        let is_newer = |known: &Known| known.seen_at >= began;
        self.circuits.retain(|_, known| is_newer(known));
        for (name, read) in snapshot.circuits {
            self.take(&name, read, began, now);
        }
    }

    /// Takes in what the table says to a request that began at `began`, unless something was
    /// seen since that has been changed more often.
    fn take(&mut self, name: &SpecialistName, circuit: Circuit, began: Moment, now: Moment) {
        match self.circuits.get_mut(name) {
            Some(known) if known.seen_at >= began && known.circuit.stamp > circuit.stamp => {
                known.circuit.forced = circuit.forced;
            }
            _ => {
                self.circuits.insert(name.clone(), Known { circuit, seen_at: now });
            }
        }
    }
}

/// The longest that the specialist's circuit keeps an attempt out at a time.
fn longest(specialist: &Specialist) -> Duration {
    let place = PREPARATION.saturating_add(specialist.timeout).saturating_add(PROBE_GRACE);
    place.max(specialist.circuit.open)
}

/// What an operator's word comes to at `now`, if there is one.
fn forced(all: Option<Word>, circuit: &Circuit, now: Timestamp) -> Option<Admission> {
    let in_force = |word: Option<Word>| word.and_then(|word| word.in_force(now));
    match (in_force(all), in_force(circuit.forced)) {
        (Some(Forced::Open), _) => Some(Admission::RejectAll),
        (_, Some(Forced::Open)) => Some(Admission::Reject),
        (Some(Forced::Closed), _) | (_, Some(Forced::Closed)) => {
            Some(Admission::Pass { until: Timestamp(u64::MAX) })
        }
        (None, None) => None,
    }
}

impl<S: CircuitStore> Circuits<S> {
    /// The circuits that `store` keeps.
    pub fn new(store: S) -> Self {
        Self { store, cache: Mutex::default() }
    }

    /// Where they are kept.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Has the next request read the circuits, however fresh what is known: its policy may have
    /// specialists of whom the table was never asked.
    pub fn forget(&self) {
        self.with_cache(|cache| cache.read_at = None);
    }

    /// Reads the circuits of `specialists` unless that was done a moment ago. Where the table
    /// gives no answer, what was known before holds on: a circuit that is open ends by its own
    /// time, and one of which nothing is known is closed.
    pub async fn refresh<C: Clock>(
        &self,
        specialists: impl Iterator<Item = &SpecialistName>,
        clock: &C,
        within: Duration,
    ) {
        let now = Learnt::now(clock);
        if !self.with_cache(|cache| cache.claim_read(now)) {
            return;
        }
        let began = clock.moment();
        let names: Vec<&SpecialistName> = specialists.collect();
        match self.store.read(&names, within.min(LONGEST_WAIT)).await {
            Ok(snapshot) => {
                self.with_cache(|cache| cache.take_all(snapshot, began, clock.moment()));
            }
            Err(error) => warn!(error = chain(&error), "circuits are not known"),
        }
    }

    /// Whether the specialist is certainly not called at `now`, as far as this process knows.
    pub fn rejects(&self, specialist: &Specialist, now: Timestamp) -> bool {
        let (all, circuit) = self.known(&specialist.name);
        match forced(all, &circuit, now) {
            Some(admission) => !matches!(admission, Admission::Pass { .. }),
            None => circuit.state.gate(now, longest(specialist)) == Gate::Reject,
        }
    }

    /// Whether `attempt` of `specialist` may go, which ends by `deadline` in any case. Where it
    /// goes as the probe of a circuit that was open, its place is taken when this returns, and
    /// [`Circuits::report`] has to follow.
    pub async fn admit<C: Clock>(
        &self,
        specialist: &Specialist,
        attempt: &str,
        deadline: Timestamp,
        clock: &C,
        within: Duration,
    ) -> Admission {
        let (all, mut circuit) = self.known(&specialist.name);
        let patience = clock.now().after(within.min(LONGEST_WAIT));
        let pass = Admission::Pass { until: Timestamp(u64::MAX) };
        for _ in 0..ROUNDS {
            let now = clock.now();
            if let Some(admission) = forced(all, &circuit, now) {
                return admission;
            }
            match circuit.state.gate(now, longest(specialist)) {
                Gate::Pass => return pass,
                Gate::Reject => return Admission::Reject,
                Gate::Probe => {}
            }
            let until = deadline.min(now.after(PREPARATION).after(specialist.timeout));
            let place = Probe { owner: attempt.to_owned(), until: until.after(PROBE_GRACE) };
            let next = circuit.state.probed(place);
            let author = format!("{attempt}?");
            let left = patience.since(now);
            match self.change(&specialist.name, &circuit, &next, &author, clock, left).await {
                // Without an answer the change may have been stored all the same. Its verdict is
                // not heard then, and the place is free again when its time is up.
                Some(Changed::Stored) | None => return Admission::Pass { until },
                Some(Changed::Lost(found)) => circuit = found,
            }
        }
        Admission::Reject
    }

    /// Takes the verdict of `attempt` in, which was made for `session`. Returns whether that opened the circuit.
    pub async fn report<C: Clock>(
        &self,
        specialist: &Specialist,
        attempt: &str,
        session: SessionMark,
        verdict: Verdict,
        clock: &C,
        within: Duration,
    ) -> bool {
        let (all, mut circuit) = self.known(&specialist.name);
        let patience = clock.now().after(within.min(LONGEST_WAIT));
        let author = format!("{attempt}!");
        for _ in 0..ROUNDS {
            let now = clock.now();
            if forced(all, &circuit, now).is_some() {
                return false;
            }
            let next = circuit.state.after(verdict, attempt, session, now, &specialist.circuit);
            let Some(next) = next else { return false };
            let opens = matches!(next, State::Open { .. });
            let left = patience.since(now);
            match self.change(&specialist.name, &circuit, &next, &author, clock, left).await {
                Some(Changed::Stored) => return opens,
                // A success ends the run of failures that was known of, and no later one.
                Some(Changed::Lost(Circuit { state: State::Closed { .. }, .. }))
                    if verdict == Verdict::Healthy =>
                {
                    return false;
                }
                Some(Changed::Lost(found)) => circuit = found,
                None => return false,
            }
        }
        false
    }

    /// Stores a change and remembers what the circuit is then. `None`: the table gave no answer.
    async fn change<C: Clock>(
        &self,
        specialist: &SpecialistName,
        circuit: &Circuit,
        next: &State,
        author: &str,
        clock: &C,
        within: Duration,
    ) -> Option<Changed> {
        let (now, began) = (clock.now(), clock.moment());
        let change = Change { specialist, seen: circuit.stamp, state: next, author, now };
        let changed = match self.store.change(&change, within).await {
            Ok(changed) => changed,
            Err(error) => {
                warn!(error = chain(&error), specialist.name = %specialist, "circuit not changed");
                return None;
            }
        };
        match &changed {
            Changed::Stored => {
                if circuit.state.as_str() != next.as_str() {
                    let (from, to) = (circuit.state.as_str(), next.as_str());
                    warn!(specialist.name = %specialist, from, to, "circuit changed");
                }
                let (stamp, forced) = (circuit.stamp + 1, circuit.forced);
                let stored = Circuit { stamp, state: next.clone(), forced };
                self.remember(specialist, stored, began, clock.moment());
            }
            Changed::Lost(found) => {
                self.remember(specialist, found.clone(), began, clock.moment());
            }
        }
        Some(changed)
    }

    fn remember(&self, specialist: &SpecialistName, circuit: Circuit, began: Moment, now: Moment) {
        self.with_cache(|cache| cache.take(specialist, circuit, began, now));
    }

    fn known(&self, specialist: &SpecialistName) -> (Option<Word>, Circuit) {
        self.with_cache(|cache| {
            let known = cache.circuits.get(specialist).map(|known| known.circuit.clone());
            (cache.all, known.unwrap_or_default())
        })
    }

    fn with_cache<T>(&self, look: impl FnOnce(&mut Cache) -> T) -> T {
        look(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{InMemoryCircuits, ManualClock, policy};
    use crate::ids::RootSession;

    const NOW: Timestamp = Timestamp(60_000);

    fn moment(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    /// A circuit that was changed `stamp` times, with as many failures.
    fn changed(stamp: u64) -> Circuit {
        let state = State::Closed { failures: stamp, sessions: Vec::new(), since: NOW };
        Circuit { stamp, state, forced: None }
    }

    fn orders() -> Specialist {
        policy().find("orders").unwrap().clone()
    }

    fn mark() -> SessionMark {
        RootSession::parse("sessionId", "s").unwrap().mark()
    }

    async fn refresh(circuits: &Circuits<InMemoryCircuits>, clock: &ManualClock) {
        circuits.refresh([&orders().name].into_iter(), clock, Duration::MAX).await;
    }

    #[test]
    fn one_request_in_five_seconds_reads() {
        let mut cache = Cache::default();
        let reads = [0, 1, 4_999, 5_000, 5_001, 9_999, 10_000].map(|millis| {
            let moment = Moment(Duration::from_millis(millis));
            cache.claim_read(Learnt::at(Timestamp(millis), moment))
        });
        assert_eq!(reads, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn what_was_seen_since_a_read_began_and_changed_more_often_holds_but_for_the_operators_word() {
        let name = orders().name;
        // A circuit with three changes was seen in the second minute of the process.
        for (began, stamp, holds) in [(60, 2, 3), (60, 3, 3), (60, 4, 4), (61, 2, 2), (59, 2, 3)] {
            let mut cache = Cache::default();
            cache.take(&name, changed(3), moment(59), moment(60));
            let read = Circuit { forced: Some(Forced::Open.into()), ..changed(stamp) };
            cache.take(&name, read, moment(began), moment(62));
            let known = &cache.circuits[&name];
            let expected = Circuit { forced: Some(Forced::Open.into()), ..changed(holds) };
            assert_eq!(known.circuit, expected, "a read of {began} s that found {stamp}");
            let is_read = holds == stamp;
            assert_eq!(known.seen_at == moment(62), is_read, "a read of {began} s found {stamp}");
        }
    }

    #[test]
    fn a_circuit_that_the_table_no_longer_has_is_forgotten_unless_it_was_seen_since() {
        let name = orders().name;
        for (began, is_known) in [(59, true), (60, true), (61, false)] {
            let mut cache = Cache::default();
            cache.take(&name, changed(3), moment(59), moment(60));
            cache.take_all(CircuitSnapshot::default(), moment(began), moment(62));
            assert_eq!(cache.circuits.contains_key(&name), is_known, "a read of {began} s");
        }
    }

    #[tokio::test]
    async fn a_new_policy_has_the_circuits_read_again_at_once() {
        let (circuits, clock) =
            (Circuits::new(InMemoryCircuits::default()), ManualClock::default());
        refresh(&circuits, &clock).await;
        refresh(&circuits, &clock).await;
        assert_eq!(circuits.store().reads(), 1);
        circuits.forget();
        refresh(&circuits, &clock).await;
        assert_eq!(circuits.store().reads(), 2);
    }

    #[tokio::test]
    async fn a_specialist_is_certainly_not_called_while_its_circuit_or_an_operator_forbids_it() {
        let open = || State::Open { until: Timestamp(NOW.0 + 1) };
        for (state, one, all, rejects) in [
            (State::default(), None, None, false),
            (open(), None, None, true),
            (State::Open { until: NOW }, None, None, false),
            (open(), Some(Forced::Closed), None, false),
            (State::default(), Some(Forced::Open), None, true),
            (State::default(), None, Some(Forced::Open), true),
            (open(), None, Some(Forced::Closed), false),
        ] {
            let circuits = Circuits::new(InMemoryCircuits::default());
            circuits.store().set("orders", state);
            one.into_iter().for_each(|forced| circuits.store().force("orders", forced));
            all.into_iter().for_each(|forced| circuits.store().force_all(forced));
            refresh(&circuits, &ManualClock::default()).await;
            assert_eq!(circuits.rejects(&orders(), NOW), rejects, "{:?}", circuits.store());
        }
    }

    #[tokio::test]
    async fn a_success_does_not_end_a_run_of_failures_that_began_since() {
        let (circuits, clock) =
            (Circuits::new(InMemoryCircuits::default()), ManualClock::default());
        let failed = |failures| changed(failures).state;
        circuits.store().set("orders", failed(2));
        refresh(&circuits, &clock).await;
        circuits.store().set("orders", failed(3));
        let orders = orders();
        let succeed =
            || circuits.report(&orders, "mine", mark(), Verdict::Healthy, &clock, Duration::MAX);
        succeed().await;
        assert_eq!(circuits.store().state("orders"), failed(3));
        succeed().await;
        let since = clock.now();
        let over = State::Closed { failures: 0, sessions: Vec::new(), since };
        assert_eq!(circuits.store().state("orders"), over, "it is known by now");
    }
}
