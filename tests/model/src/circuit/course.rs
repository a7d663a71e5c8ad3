//! How an attempt goes on: what it makes of an answer, and what that does to its process.
//!
//! What it does next is said by `router-core`: see [`super::keeper`].

use router_core::circuit::{Admission, State as CircuitState};
use router_core::units::Timestamp;

use super::form::{self, owner};
use super::history::{By, Odd};
use super::keeper::{Heard, Move};
use super::process::{Again, Exchange, Phase, Task, Word};
use super::properties::{self, rule};
use super::table::{Answer, Seen, Write};
use super::{Flaw, State, World};

impl World {
    /// The process that an attempt belongs to.
    pub(super) fn process(&self, task: usize) -> usize {
        task / self.setup.tasks
    }

    /// The table does what a change says.
    pub(super) fn apply(&self, state: &mut State, write: &Write, by: By) -> Answer {
        let before = state.table.clone();
        let answer = state.table.apply(write, &self.setup);
        if state.table.circuit.stamp != before.circuit.stamp {
            state.history.note(&before, &state.table, by, &self.setup);
        }
        answer
    }

    pub(super) fn by(&self, state: &State, index: usize) -> By {
        By { attempt: Some(index), word: state.tasks[index].word() }
    }

    /// The table answers; the attempt has the answer at once where it does not travel.
    pub(super) fn answer(&self, state: &mut State, index: usize) -> Option<()> {
        if let Phase::Reading { found } = &mut state.tasks[index].phase {
            *found = Some((state.table.circuit.clone(), 0));
        } else {
            let write = state.tasks[index].unanswered()?.clone();
            let by = self.by(state, index);
            let answer = self.apply(state, &write, by);
            state.tasks[index].exchange_mut()?.answer = Some(answer);
        }
        if self.setup.answers_travel() { Some(()) } else { self.deliver(state, index) }
    }

    /// The attempt goes on after the answer.
    pub(super) fn deliver(&self, state: &mut State, index: usize) -> Option<()> {
        let memory = &mut state.memories[self.process(index)];
        match state.tasks[index].phase.clone() {
            Phase::Reading { found } => {
                let (found, age) = found?;
                memory.take(found, age, &self.setup);
                let seen = memory.seen.clone();
                self.admit(state, index, &seen, None);
            }
            Phase::Admitting(Exchange { from, write, answer }) => {
                let answer = answer?;
                memory.take(known(&write, &answer), 0, &self.setup);
                self.admit(state, index, &from, Some(Ok(&answer)));
            }
            Phase::Reporting { word, exchange: Exchange { from, write, answer }, again } => {
                let answer = answer?;
                let found = known(&write, &answer);
                memory.take(found.clone(), 0, &self.setup);
                let first = match from.state {
                    CircuitState::Closed { .. } => Again::Closed,
                    CircuitState::Open { .. } | CircuitState::HalfOpen { .. } => Again::HalfOpen,
                };
                let is_lost = answer != Answer::Stored;
                let again = again.or(is_lost.then_some(first));
                if self.setup.has(Flaw::RunEndedBlindly) && is_lost {
                    self.report(state, index, word, &found, None, again);
                } else {
                    self.report(state, index, word, &from, Some(Ok(&answer)), again);
                }
            }
            Phase::Idle | Phase::Calling => return None,
        }
        Some(())
    }

    pub(super) fn admit(&self, state: &mut State, index: usize, from: &Seen, heard: Heard<'_>) {
        let task = &mut state.tasks[index];
        let now = form::ago(task.age);
        let place = match (&task.phase, heard) {
            (Phase::Admitting(exchange), Some(Ok(Answer::Stored))) => place(&exchange.write),
            _ => None,
        };
        match self.desk.admit(from, &owner(index, &self.setup), now, heard) {
            Move::Ask(write) => {
                let from = last_found(from, heard).clone();
                task.phase = Phase::Admitting(Exchange { from, write, answer: None });
            }
            Move::End(Admission::Pass { .. }) => {
                *task = Task { phase: Phase::Calling, age: 0, place };
                if heard.is_none() {
                    self.note_age(state, self.process(index));
                }
            }
            Move::End(Admission::Reject | Admission::RejectAll) => self.end(state, index),
        }
    }

    /// Notes down that an attempt went by the memory of its process, if that was too old.
    fn note_age(&self, state: &mut State, process: usize) {
        if state.memories[process].age <= self.setup.longest_exchange {
            return;
        }
        let tasks = process * self.setup.tasks..(process + 1) * self.setup.tasks;
        let mut tasks = state.tasks[tasks].iter();
        if tasks.any(|task| matches!(task.phase, Phase::Reading { .. })) {
            state.history.odd = Some(Odd::OldMemory);
        } else {
            state.history.broken.insert(rule::MEMORY);
        }
    }

    pub(super) fn report(
        &self,
        state: &mut State,
        index: usize,
        word: Word,
        from: &Seen,
        heard: Heard<'_>,
        again: Option<Again>,
    ) {
        let task = &mut state.tasks[index];
        let now = form::ago(task.age);
        let is_failing = word == Word::Unknown && self.setup.has(Flaw::UnknownIsFailing);
        let word_told = if is_failing { Word::Failing { session: 0 } } else { word };
        let mine = owner(index, &self.setup);
        let owner = match properties::probe(&last_found(from, heard).state) {
            Some(probe) if self.setup.has(Flaw::EverybodyHasASay) => probe.owner.clone(),
            _ => mine.clone(),
        };
        match self.desk.report(from, &owner, word_told, now, heard) {
            Move::Ask(write) => {
                let from = last_found(from, heard).clone();
                let write = Write { author: format!("{mine}!"), ..write };
                let exchange = Exchange { from, write, answer: None };
                task.phase = Phase::Reporting { word, exchange, again };
            }
            Move::End(_) => {
                let has_answer = !matches!(heard, Some(Err(_)));
                let is_still_out = properties::probe(&state.table.circuit.state)
                    .is_some_and(|probe| probe.owner == mine);
                if has_answer && is_still_out && task.place.is_some() {
                    state.history.note_unheard(word);
                }
                self.end(state, index);
            }
        }
    }

    /// The attempt is over.
    pub(super) fn end(&self, state: &mut State, index: usize) {
        state.tasks[index] = Task::new();
        state.history.note_end(index);
        for late in &mut state.late {
            if late.by.attempt == Some(index) {
                late.by.attempt = None;
            }
        }
    }
}

/// What a process knows after an answer.
fn known(write: &Write, answer: &Answer) -> Seen {
    match answer {
        Answer::Stored => Seen { stamp: write.seen + 1, state: write.state.clone() },
        Answer::Lost(found) => found.clone(),
    }
}

/// What a change is made from that follows on an answer.
fn last_found<'a>(from: &'a Seen, heard: Heard<'a>) -> &'a Seen {
    match heard {
        Some(Ok(Answer::Lost(found))) => found,
        _ => from,
    }
}

fn place(write: &Write) -> Option<Timestamp> {
    properties::probe(&write.state).map(|probe| probe.until)
}
