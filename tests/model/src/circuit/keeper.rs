//! What a process does next: said by `router-core`'s own [`Circuits`].
//!
//! A model has to remember what a process is waiting for, and a future cannot be kept in a
//! state. So each step makes the circuits anew as the process knew them, gives them the answer
//! that has come, and looks at what they ask for then. That they ask no more than eight times is
//! thereby left out: here they ask until they are answered.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::iter::once;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use router_core::circuit::{
    Admission, Change, Changed, Circuit, CircuitError, CircuitSnapshot, CircuitStore, Circuits,
};
use router_core::ids::{SessionMark, SpecialistName};
use router_core::policy::{AgentRef, CircuitRules, ModelSettings, Retry, Specialist};
use router_core::units::{Clock, MicroUsd, Moment, Price, Timestamp, Tokens};

use super::process::Word;
use super::setup::TICK;
use super::table::{Answer, Seen, Write};
use super::{Flaw, Setup};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move<T> {
    /// A change, which the table is to answer.
    Ask(Write),
    /// Nothing: it has come to this.
    End(T),
}

/// What the table has said to the change that was asked for first.
pub type Heard<'a> = Option<Result<&'a Answer, GivenUp>>;

/// The table gave no answer in time.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp;

/// The specialist whose circuit is modelled.
#[derive(Clone, Debug)]
pub struct Desk {
    specialist: Specialist,
    /// The sessions that attempts are made for.
    sessions: Vec<SessionMark>,
    /// How long an attempt may take; `None`: for ever.
    place: Option<Duration>,
}

impl Desk {
    /// The desk for a setup.
    #[expect(clippy::unwrap_used, reason = "the names are fixed and valid")]
    pub(crate) fn new(setup: &Setup) -> Self {
        let specialist = Specialist {
            name: SpecialistName::parse("general").unwrap(),
            description: String::new(),
            agent: AgentRef::parse("AGENT/ALIAS").unwrap(),
            model: ModelSettings::default(),
            degraded_agent: None,
            intents: BTreeSet::new(),
            output_schema: None,
            writes: None,
            fallback: Vec::new(),
            requires_verified_identity: false,
            max_tokens_per_call: Tokens(0),
            unknown_usage: Tokens(0),
            timeout: Duration::MAX,
            idle_timeout: TICK,
            retry: Retry { max_attempts: 1, base_delay: TICK, max_delay: TICK },
            circuit: CircuitRules {
                failures: setup.failures.into(),
                sessions: match setup.has(Flaw::OpensForOneSession) {
                    true => 1,
                    false => setup.sessions.into(),
                },
                open: TICK * u32::from(setup.open),
                probes: setup.probes.into(),
                slow_call: TICK,
            },
            price: Price::new(MicroUsd(0), MicroUsd(0)),
        };
        // `Circuits` adds a second of grace.
        let place = TICK * u32::from(setup.place) - Duration::from_secs(1);
        let place = (!setup.has(Flaw::ProbeForEver)).then_some(place);
        let names = (0..setup.sessions).map(|number| number.to_string());
        let sessions = names.map(|name| SessionMark::parse(&name).unwrap()).collect();
        Self { specialist, sessions, place }
    }

    /// Admits the attempt `owner`, by a process that knows the circuit as it was `seen`.
    pub fn admit(
        &self,
        seen: &Seen,
        owner: &str,
        now: Timestamp,
        heard: Heard<'_>,
    ) -> Move<Admission> {
        let circuits = self.circuits(seen, heard);
        let deadline = self.place.map_or(Timestamp(u64::MAX), |place| now.after(place));
        let clock = Stopped(now);
        let admitting = circuits.admit(&self.specialist, owner, deadline, &clock, TICK);
        next_move(circuits.store(), admitting)
    }

    /// Reports the verdict of the attempt `owner`, likewise.
    pub fn report(
        &self,
        seen: &Seen,
        owner: &str,
        word: Word,
        now: Timestamp,
        heard: Heard<'_>,
    ) -> Move<bool> {
        let circuits = self.circuits(seen, heard);
        let clock = Stopped(now);
        let of = match word {
            Word::Failing { session } => usize::from(session),
            Word::Healthy | Word::Unknown => 0,
        };
        let (specialist, session) = (&self.specialist, self.sessions[of]);
        let reporting = circuits.report(specialist, owner, session, word.into(), &clock, TICK);
        next_move(circuits.store(), reporting)
    }

    /// A process that knows what was seen, and hears this.
    fn circuits(&self, seen: &Seen, heard: Heard<'_>) -> Circuits<Script> {
        let answer = heard.map(|heard| match heard {
            Ok(answer) => Ok(answer.into()),
            Err(GivenUp) => Err(CircuitError("no answer in time".into())),
        });
        let name = &self.specialist.name;
        let script = Script {
            snapshot: CircuitSnapshot {
                all: None,
                circuits: vec![(name.clone(), Circuit::from(seen))],
            },
            answer: Mutex::new(answer),
            asked: Mutex::new(None),
        };
        let circuits = Circuits::new(script);
        let reading = circuits.refresh(once(name), &Stopped(Timestamp(0)), TICK);
        let _ready = pin!(reading).poll(&mut Context::from_waker(Waker::noop()));
        circuits
    }
}

/// A clock that stands still for as long as a step takes.
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn moment(&self) -> Moment {
        Moment(self.0.since(Timestamp(0)))
    }

    async fn sleep(&self, _duration: Duration) {}
}

/// A table that says what it is told to.
struct Script {
    snapshot: CircuitSnapshot,
    answer: Mutex<Option<Result<Changed, CircuitError>>>,
    asked: Mutex<Option<Write>>,
}

impl CircuitStore for Script {
    async fn read(
        &self,
        _specialists: &[&SpecialistName],
        _within: Duration,
    ) -> Result<CircuitSnapshot, CircuitError> {
        Ok(self.snapshot.clone())
    }

    async fn change(
        &self,
        change: &Change<'_>,
        _within: Duration,
    ) -> Result<Changed, CircuitError> {
        let answer = take(&self.answer);
        if let Some(answer) = answer {
            return answer;
        }
        let Change { seen, state, author, .. } = *change;
        let write = Write { seen, state: state.clone(), author: author.to_owned() };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(write);
        pending().await
    }
}

#[expect(clippy::unwrap_used, reason = "whoever waits has asked for a change")]
fn next_move<T>(script: &Script, future: impl Future<Output = T>) -> Move<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => Move::End(end),
        Poll::Pending => Move::Ask(take(&script.asked).unwrap()),
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
