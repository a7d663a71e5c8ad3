//! What really happened, kept beside the table, to judge the table by.

use std::collections::BTreeSet;

use router_core::circuit::State as CircuitState;

use super::Setup;
use super::form::GONE;
use super::process::{Again, Word};
use super::properties::rule;
use super::table::Item;

/// What changes were made by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// By attempt: whether its failure is one of the present run.
    pub run: Vec<bool>,
    /// How many failures of the present run are those of attempts that are over.
    pub past_run: u8,
    /// The sessions that failures of the present run are of.
    pub run_sessions: BTreeSet<u8>,
    /// How many failures of the present run were counted already.
    pub recounted: u8,
    /// Probes in a row that succeeded.
    pub row: u8,
    /// Which attempt took the probe's place last, if that is still taken.
    pub holder: Option<Holder>,
    /// The rules that were seen broken.
    pub broken: BTreeSet<&'static str>,
    /// What was odd in the last step.
    pub odd: Option<Odd>,
}

/// What no rule forbids, and is yet worth knowing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Odd {
    /// Somebody went by an old memory while another attempt of the process read it anew.
    OldMemory,
    /// It opened after fewer failures than the rules say, for one of them was counted twice.
    OpenedSooner,
}

/// Who has the probe's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// This attempt.
    Attempt(usize),
    /// One that is over.
    Gone,
}

/// Whose change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct By {
    /// The attempt, while it is not over.
    pub attempt: Option<usize>,
    /// The verdict that it reports, and whether it was late with it; `None` where it takes the
    /// probe's place.
    pub word: Option<(Word, Option<Again>)>,
}

impl History {
    /// Of a world in which nothing has happened.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            run: vec![false; setup.processes * setup.tasks],
            past_run: 0,
            run_sessions: BTreeSet::new(),
            recounted: 0,
            row: 0,
            holder: None,
            broken: BTreeSet::new(),
            odd: None,
        }
    }

    /// Notes down a change that was stored.
    pub(crate) fn note(&mut self, before: &Item, after: &Item, by: By, setup: &Setup) {
        if after.author == before.author && after.author != GONE {
            self.broken.insert(rule::ONCE);
        }
        let holder = by.attempt.map_or(Holder::Gone, Holder::Attempt);
        match by.word {
            None => {
                if let CircuitState::Open { .. } = before.circuit.state {
                    self.row = 0;
                }
                self.holder = Some(holder);
            }
            Some((word, again)) => self.note_report(before, after, by, (word, again), setup),
        }
        if !matches!(after.circuit.state, CircuitState::HalfOpen { probe: Some(_), .. }) {
            self.holder = None;
        }
    }

    fn note_report(
        &mut self,
        before: &Item,
        after: &Item,
        by: By,
        (word, again): (Word, Option<Again>),
        setup: &Setup,
    ) {
        let (from, to) = (&before.circuit.state, &after.circuit.state);
        let is_closed = matches!(from, CircuitState::Closed { .. });
        let holder = by.attempt.map_or(Holder::Gone, Holder::Attempt);
        if !is_closed && self.holder != Some(holder) {
            self.broken.insert(rule::OWN_WORD);
        }
        let is_half_open = matches!(to, CircuitState::HalfOpen { .. });
        if word == Word::Unknown && !is_half_open {
            self.broken.insert(rule::UNKNOWN);
        }
        if is_closed && word == Word::Healthy && again.is_some() {
            self.broken.insert(rule::WIPED);
        }
        if let Word::Failing { session } = word
            && is_closed
        {
            // A run whose last failure is long ago is over.
            if matches!(to, CircuitState::Closed { failures: 1, .. }) {
                self.end_run();
            }
            self.count(by.attempt);
            self.run_sessions.insert(session);
            let is_open = matches!(to, CircuitState::Open { .. });
            if is_open && self.run_sessions.len() < usize::from(setup.sessions) {
                self.broken.insert(rule::SESSIONS);
            }
            let own = u8::try_from(self.run.iter().filter(|failed| **failed).count());
            let failures = own.unwrap_or(u8::MAX) + self.past_run;
            if is_open && failures < setup.failures {
                self.odd = Some(Odd::OpenedSooner);
                if failures + self.recounted < setup.failures {
                    self.broken.insert(rule::OPENS);
                }
            }
        } else {
            self.end_run();
        }
        if !is_closed && word == Word::Healthy {
            self.row += 1;
            let closes = matches!(to, CircuitState::Closed { .. });
            if closes && self.row < setup.probes {
                self.broken.insert(rule::CLOSES);
            }
        }
        if !is_half_open {
            self.row = 0;
        }
        if let CircuitState::Open { .. } = to {
            self.end_run();
        }
    }

    fn count(&mut self, attempt: Option<usize>) {
        match attempt {
            Some(attempt) if self.run[attempt] => self.recounted += 1,
            Some(attempt) => self.run[attempt] = true,
            None => self.past_run += 1,
        }
    }

    fn end_run(&mut self) {
        self.run.fill(false);
        self.past_run = 0;
        self.run_sessions.clear();
        self.recounted = 0;
    }

    /// Forgets of a run that it is longer than it takes to open.
    pub(crate) fn forget_more_than(&mut self, failures: u8) {
        self.past_run = self.past_run.min(failures);
        self.recounted = self.recounted.min(failures);
    }

    /// Notes down that a probe that still has its place has reported in vain.
    pub(crate) fn note_unheard(&mut self, word: Word) {
        self.broken.insert(rule::HEARD);
        if matches!(word, Word::Failing { .. }) {
            self.row = 0;
        }
    }

    /// Notes down that an attempt is over.
    pub(crate) fn note_end(&mut self, attempt: usize) {
        self.past_run += u8::from(std::mem::take(&mut self.run[attempt]));
        if self.holder == Some(Holder::Attempt(attempt)) {
            self.holder = Some(Holder::Gone);
        }
    }
}
