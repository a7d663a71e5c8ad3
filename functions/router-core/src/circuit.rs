//! The circuit in front of each specialist.
//!
//! A failing specialist still costs a hold and a wait, so after a run of failures the router
//! does not call it for a while. All environments of the function share a circuit through the table. Nothing
//! here reads a clock or keeps state: a transition takes a [`State`] and gives the next one,
//! and the caller stores it on the condition that no other was stored in between
//! (see [`Circuits`], which does).
//!
//! A probe can vanish when Lambda ends its environment, so a circuit that is half open says who
//! has the probe and until when. The next attempt after that may take its place.

mod registry;

use std::future::Future;
use std::time::Duration;

pub use registry::{Admission, Circuits, REMEMBERED};

use crate::error::Cause;
use crate::ids::{SessionMark, SpecialistName};
use crate::policy::CircuitRules;
use crate::units::Timestamp;

/// What is kept of one circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    /// How often it has been changed. A change is stored if this is as it was read.
    pub stamp: u64,
    /// Where it stands.
    pub state: State,
    /// What an operator wants it to be, whatever its state.
    pub forced: Option<Word>,
}

/// An operator's word on a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// What the circuit is to be.
    pub forced: Forced,
    /// From when on the word does not count; `None`: it counts until it is taken back.
    pub until: Option<Timestamp>,
}

impl Word {
    /// What the circuit is to be at `now`, if the word still counts.
    pub fn in_force(self, now: Timestamp) -> Option<Forced> {
        self.until.is_none_or(|until| now < until).then_some(self.forced)
    }
}

impl From<Forced> for Word {
    /// A word that counts until it is taken back.
    fn from(forced: Forced) -> Self {
        Self { forced, until: None }
    }
}

/// What an operator makes of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// The specialist is not called.
    Open,
    /// The specialist is called, however often it fails.
    Closed,
}

impl Forced {
    /// The word's name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The state of a circuit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Invocations pass.
    Closed {
        /// Failures in a row.
        failures: u64,
        /// Whose they were, as far as it takes to tell that it was not one session alone: no
        /// more than the rules ask for, each once.
        sessions: Vec<SessionMark>,
        /// When the last of them was counted.
        since: Timestamp,
    },
    /// No invocation passes before `until`; then a probe does.
    Open {
        /// When the first probe may go.
        until: Timestamp,
    },
    /// One probe at a time passes.
    HalfOpen {
        /// Probes in a row that succeeded.
        successes: u64,
        /// The probe that is out.
        probe: Option<Probe>,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::closed(Timestamp(0))
    }
}

/// A probe that is out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The attempt that it is. Two attempts of one process are two owners.
    pub owner: String,
    /// If it has not reported by then, another may go.
    pub until: Timestamp,
}

/// What a state lets an attempt do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Go ahead.
    Pass,
    /// Go ahead as the probe, once its place is taken.
    Probe,
    /// Do not go.
    Reject,
}

/// What an attempt says of the health of its specialist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered in time.
    Healthy,
    /// It failed, or took too long.
    Failing,
    /// Nothing: it was busy, or the request was at fault.
    Unknown,
}

impl State {
    /// Closed, without a failure.
    fn closed(now: Timestamp) -> Self {
        Self::Closed { failures: 0, sessions: Vec::new(), since: now }
    }

    /// Whether an attempt may go at `now`. No attempt is kept out for more than `longest`: a time
    /// that lies further ahead was written by a clock that was wrong, and would last until
    /// the clock of every process gets there.
    pub fn gate(&self, now: Timestamp, longest: Duration) -> Gate {
        let is_ahead = |until: &Timestamp| now < *until && until.since(now) <= longest;
        match self {
            Self::Closed { .. } => Gate::Pass,
            Self::Open { until } if is_ahead(until) => Gate::Reject,
            Self::HalfOpen { probe: Some(probe), .. } if is_ahead(&probe.until) => Gate::Reject,
            Self::Open { .. } | Self::HalfOpen { .. } => Gate::Probe,
        }
    }

    /// The state in which `probe` is out. Only to be taken where the gate says
    /// [`Gate::Probe`].
    pub fn probed(&self, probe: Probe) -> Self {
        let successes = match self {
            Self::HalfOpen { successes, .. } => *successes,
            Self::Closed { .. } | Self::Open { .. } => 0,
        };
        Self::HalfOpen { successes, probe: Some(probe) }
    }

    /// The state after an attempt of `owner`, made for `session`, came to `verdict` at `now`;
    /// `None` where it changes nothing. While the circuit is not closed, only the probe's word
    /// counts: any other attempt began before it opened.
    pub fn after(
        &self,
        verdict: Verdict,
        owner: &str,
        session: SessionMark,
        now: Timestamp,
        rules: &CircuitRules,
    ) -> Option<Self> {
        match (self, verdict) {
            (Self::Closed { .. }, Verdict::Failing) => {
                let (failures, sessions) = self.failures(now, rules);
                let (failures, mut sessions) = (failures + 1, sessions.to_vec());
                if sessions.len() < rules.sessions && !sessions.contains(&session) {
                    sessions.push(session);
                }
                Some(if failures >= rules.failures && sessions.len() >= rules.sessions {
                    Self::Open { until: now.after(rules.open) }
                } else {
                    Self::Closed { failures, sessions, since: now }
                })
            }
            (Self::Closed { .. }, Verdict::Healthy) if self.failures(now, rules).0 > 0 => {
                Some(Self::closed(now))
            }
            (Self::HalfOpen { successes, probe: Some(probe) }, _) if probe.owner == owner => {
                Some(match verdict {
                    Verdict::Failing => Self::Open { until: now.after(rules.open) },
                    Verdict::Healthy if successes + 1 >= rules.probes => Self::closed(now),
                    Verdict::Healthy => Self::HalfOpen { successes: successes + 1, probe: None },
                    Verdict::Unknown => Self::HalfOpen { successes: *successes, probe: None },
                })
            }
            (Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen { .. }, _) => None,
        }
    }

    /// The failures in a row that still count, and the sessions that they were of: a run that
    /// was interrupted for as long as the circuit would be open is over.
    pub fn failures(&self, now: Timestamp, rules: &CircuitRules) -> (u64, &[SessionMark]) {
        match self {
            Self::Closed { failures, sessions, since } if now.since(*since) < rules.open => {
                (*failures, sessions)
            }
            Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen { .. } => (0, &[]),
        }
    }

    /// The state's name in the table and in the log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

/// What the table says of circuits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CircuitSnapshot {
    /// The operator's word for all specialists.
    pub all: Option<Word>,
    /// The circuits that have ever been changed.
    pub circuits: Vec<(SpecialistName, Circuit)>,
}

/// A change of one circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Whose circuit.
    pub specialist: &'a SpecialistName,
    /// The stamp that it had when it was read.
    pub seen: u64,
    /// What it is to be.
    pub state: &'a State,
    /// Who changes it: no two changes that an attempt makes from the same stamp have the same
    /// author, so that one whose answer was lost is recognised when it is repeated.
    pub author: &'a str,
    /// When.
    pub now: Timestamp,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is stored; the stamp is one higher.
    Stored,
    /// Another process changed the circuit first; this is what it is now.
    Lost(Circuit),
}

/// The table of circuits gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the circuit table gave no answer")]
pub struct CircuitError(#[source] pub Cause);

/// Keeps the circuits of all environments.
pub trait CircuitStore {
    /// The circuits of `specialists`, in one request.
    ///
    /// # Errors
    ///
    /// [`CircuitError`] when the table gave no answer within `within`.
    fn read(
        &self,
        specialists: &[&SpecialistName],
        within: Duration,
    ) -> impl Future<Output = Result<CircuitSnapshot, CircuitError>> + Send;

    /// Changes a circuit, if its stamp is still the one that was seen. The check and the change
    /// are one atomic step.
    ///
    /// # Errors
    ///
    /// [`CircuitError`] when the table gave no answer within `within`: the change may have been
    /// stored.
    fn change(
        &self,
        change: &Change<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<Changed, CircuitError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens after 3 failures for 30 s, and closes after 2 successful probes.
    const RULES: CircuitRules = CircuitRules {
        failures: 3,
        sessions: 2,
        open: Duration::from_secs(30),
        probes: 2,
        slow_call: Duration::from_secs(8),
    };
    const NOW: Timestamp = Timestamp(1_000_000);
    const LONGEST: Duration = Duration::from_secs(30);

    /// The failures of two sessions in turn, the first of which is asked about next.
    fn closed(failures: u64) -> State {
        let sessions = (0..failures.min(2)).map(|failure| session(1 - failure)).collect();
        State::Closed { failures, sessions, since: NOW }
    }

    fn session(number: u64) -> SessionMark {
        SessionMark::parse(&number.to_string()).unwrap()
    }

    fn half_open(successes: u64, owner: Option<&str>) -> State {
        let until = NOW.after(Duration::from_secs(21));
        let probe = owner.map(|owner| Probe { owner: owner.to_owned(), until });
        State::HalfOpen { successes, probe }
    }

    fn after(state: &State, verdict: Verdict) -> Option<State> {
        state.after(verdict, "mine", session(0), NOW, &RULES)
    }

    #[test]
    fn failures_in_a_row_open_it() {
        assert_eq!(after(&closed(1), Verdict::Failing), Some(closed(2)));
        let open = State::Open { until: Timestamp(1_030_000) };
        assert_eq!(after(&closed(2), Verdict::Failing), Some(open));
    }

    #[test]
    fn one_session_alone_does_not_open_it() {
        let fails = |state: State, number| {
            state.after(Verdict::Failing, "mine", session(number), NOW, &RULES).unwrap()
        };
        let state = (0..100).fold(State::default(), |state, _| fails(state, 7));
        let failed = State::Closed { failures: 100, sessions: vec![session(7)], since: NOW };
        assert_eq!(state, failed, "it grows no further");
        let patient = CircuitRules { failures: 9, ..RULES };
        let state = (0..3).fold(State::default(), |state, number| {
            state.after(Verdict::Failing, "mine", session(number), NOW, &patient).unwrap()
        });
        let sessions = vec![session(0), session(1)];
        let failed_thrice = State::Closed { failures: 3, sessions, since: NOW };
        assert_eq!(state, failed_thrice, "no more sessions are kept than it takes");
        assert!(matches!(fails(failed, 8), State::Open { .. }));
        let alone = CircuitRules { sessions: 1, ..RULES };
        let third = State::Closed { failures: 2, sessions: vec![session(7)], since: NOW };
        let third = third.after(Verdict::Failing, "mine", session(7), NOW, &alone);
        assert!(matches!(third, Some(State::Open { .. })), "unless the policy lets it");
    }

    #[test]
    fn a_time_that_a_wrong_clock_wrote_keeps_nobody_out_for_longer_than_any_right_one() {
        let hours = Timestamp(NOW.0 + 7_200_000);
        let probe = Some(Probe { owner: "another".to_owned(), until: hours });
        for state in [State::Open { until: hours }, State::HalfOpen { successes: 0, probe }] {
            assert_eq!(state.gate(NOW, LONGEST), Gate::Probe, "{state:?}");
            assert_eq!(state.gate(Timestamp(hours.0 - 30_000), LONGEST), Gate::Reject);
        }
    }

    #[test]
    fn a_success_ends_a_run_of_failures_and_writes_nothing_where_there_is_none() {
        assert_eq!(after(&closed(2), Verdict::Healthy), Some(closed(0)));
        assert_eq!(after(&closed(0), Verdict::Healthy), None);
    }

    #[test]
    fn what_says_nothing_of_the_specialist_changes_nothing() {
        for state in [closed(0), closed(2), State::Open { until: NOW }, half_open(1, None)] {
            assert_eq!(after(&state, Verdict::Unknown), None, "{state:?}");
        }
    }

    #[test]
    fn a_run_of_failures_is_over_when_none_came_for_as_long_as_it_would_open() {
        let two = || vec![session(1), session(0)];
        let old = State::Closed { since: Timestamp(NOW.0 - 30_000), failures: 2, sessions: two() };
        let first = State::Closed { failures: 1, sessions: vec![session(0)], since: NOW };
        assert_eq!(after(&old, Verdict::Failing), Some(first));
        assert_eq!(after(&old, Verdict::Healthy), None);
        let recent =
            State::Closed { since: Timestamp(NOW.0 - 29_999), failures: 2, sessions: two() };
        assert!(matches!(after(&recent, Verdict::Failing), Some(State::Open { .. })));
    }

    #[test]
    fn an_open_circuit_rejects_until_its_time_is_up_and_then_lets_a_probe_out() {
        let open = State::Open { until: NOW };
        assert_eq!(open.gate(Timestamp(NOW.0 - 1), LONGEST), Gate::Reject);
        assert_eq!(open.gate(NOW, LONGEST), Gate::Probe);
        let probe = Probe { owner: "mine".to_owned(), until: NOW.after(Duration::from_secs(21)) };
        assert_eq!(open.probed(probe), half_open(0, Some("mine")));
    }

    #[test]
    fn one_probe_is_out_at_a_time_and_one_that_vanished_frees_its_place() {
        let probed = half_open(0, Some("another"));
        assert_eq!(probed.gate(NOW, LONGEST), Gate::Reject);
        assert_eq!(probed.gate(NOW.after(Duration::from_secs(21)), LONGEST), Gate::Probe);
        assert_eq!(half_open(1, None).gate(NOW, LONGEST), Gate::Probe);
    }

    #[test]
    fn enough_successful_probes_close_it_and_one_that_fails_opens_it_again() {
        let first = half_open(0, Some("mine"));
        assert_eq!(after(&first, Verdict::Healthy), Some(half_open(1, None)));
        let second = half_open(1, Some("mine"));
        assert_eq!(after(&second, Verdict::Healthy), Some(closed(0)));
        let open = State::Open { until: Timestamp(1_030_000) };
        assert_eq!(after(&second, Verdict::Failing), Some(open));
        assert_eq!(after(&second, Verdict::Unknown), Some(half_open(1, None)), "it was no probe");
    }

    #[test]
    fn attempts_that_began_before_it_opened_have_no_say_any_more() {
        for state in [State::Open { until: NOW }, half_open(1, Some("another")), half_open(1, None)]
        {
            for verdict in [Verdict::Healthy, Verdict::Failing] {
                assert_eq!(after(&state, verdict), None, "{state:?}");
            }
        }
    }

    #[test]
    fn a_states_name_is_the_one_in_the_table() {
        let open = State::Open { until: NOW };
        let names = [&closed(0), &open, &half_open(0, None)].map(State::as_str);
        assert_eq!(names, ["closed", "open", "half_open"]);
    }
}
