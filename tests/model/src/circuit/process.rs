//! The processes: what each remembers, and the attempts that it has under way.

use router_core::circuit::Verdict;
use router_core::units::Timestamp;

use super::table::{Answer, Seen, Write};
use super::{Flaw, Setup};

/// What a process knows of the circuit; all its attempts share that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The circuit, as it was seen last.
    pub seen: Seen,
    /// How many ticks ago that was; [`OLD`] at most, which it also is before the first read.
    pub age: u8,
    /// Whether a read was begun in this tick, so that none is needed.
    pub is_fresh: bool,
}

/// So old that it makes no difference how old.
pub const OLD: u8 = 2;

/// An attempt, or room for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Where it stands.
    pub phase: Phase,
    /// How many ticks ago its present exchange with the table began.
    pub age: u8,
    /// How long it has the place that was given to it as the probe.
    pub place: Option<Timestamp>,
}

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is none.
    Idle,
    /// Its process reads the circuits.
    Reading {
        /// The answer on its way, and how many ticks ago it was given.
        found: Option<(Seen, u8)>,
    },
    /// It asks for the probe's place.
    Admitting(Exchange),
    /// The specialist is being called.
    Calling,
    /// It reports its verdict.
    Reporting {
        /// The verdict.
        word: Word,
        /// The change that this makes.
        exchange: Exchange,
        /// Whether somebody else's change came first, so that it is reported again.
        again: Option<Again>,
    },
}

/// Where the process believed the circuit to be when it began to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// Closed.
    Closed,
    /// Half open, with its own attempt as the probe.
    HalfOpen,
}

/// A change that the table is to answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The circuit that it is made from.
    pub from: Seen,
    /// The change.
    pub write: Write,
    /// The answer on its way.
    pub answer: Option<Answer>,
}

/// A verdict that can be kept in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// [`Verdict::Healthy`].
    Healthy,
    /// [`Verdict::Failing`], of an attempt that was made for this session.
    Failing {
        /// Its number.
        session: u8,
    },
    /// [`Verdict::Unknown`].
    Unknown,
}

impl Memory {
    /// Of a process that has just started.
    pub(crate) fn new() -> Self {
        Self { seen: Seen::default(), age: OLD, is_fresh: false }
    }

    /// Takes in what was seen `age` ticks ago, unless something newer is known.
    pub fn take(&mut self, seen: Seen, age: u8, setup: &Setup) {
        if seen.stamp >= self.seen.stamp || setup.has(Flaw::MemoryGoesBack) {
            self.replace(seen, age);
        }
    }

    /// Takes in what was seen `age` ticks ago. Where a read failed that is what was known.
    pub(crate) fn replace(&mut self, seen: Seen, age: u8) {
        self.seen = seen;
        self.age = age;
    }
}

impl Task {
    /// Room for an attempt.
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Idle, age: 0, place: None }
    }

    /// The change that it has asked for.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match &self.phase {
            Phase::Idle | Phase::Reading { .. } | Phase::Calling => None,
            Phase::Admitting(exchange) | Phase::Reporting { exchange, .. } => Some(exchange),
        }
    }

    pub(crate) fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        match &mut self.phase {
            Phase::Idle | Phase::Reading { .. } | Phase::Calling => None,
            Phase::Admitting(exchange) | Phase::Reporting { exchange, .. } => Some(exchange),
        }
    }

    /// The change that the table has not answered yet.
    pub(crate) fn unanswered(&self) -> Option<&Write> {
        let exchange = self.exchange()?;
        exchange.answer.is_none().then_some(&exchange.write)
    }

    /// Whether it waits for the table.
    pub(crate) fn is_exchanging(&self) -> bool {
        matches!(self.phase, Phase::Reading { .. }) || self.exchange().is_some()
    }

    /// Whether an answer is on its way to it.
    pub(crate) fn is_answered(&self) -> bool {
        match &self.phase {
            Phase::Reading { found } => found.is_some(),
            _ => self.exchange().is_some_and(|exchange| exchange.answer.is_some()),
        }
    }

    /// The verdict that it reports.
    pub(crate) fn word(&self) -> Option<(Word, Option<Again>)> {
        match self.phase {
            Phase::Reporting { word, again, .. } => Some((word, again)),
            _ => None,
        }
    }
}

impl From<Word> for Verdict {
    fn from(word: Word) -> Self {
        match word {
            Word::Healthy => Self::Healthy,
            Word::Failing { .. } => Self::Failing,
            Word::Unknown => Self::Unknown,
        }
    }
}
