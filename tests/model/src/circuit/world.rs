//! All that can happen next: the model that is checked.

use stateright::{Model, Property};

use super::history::{By, History};
use super::keeper::{Desk, GivenUp};
use super::process::{Memory, Phase, Task, Word};
use super::symmetry::{self, Order};
use super::table::{Item, Write};
use super::{Setup, properties};

/// The model.
#[derive(Clone, Debug)]
pub struct World {
    /// Its bounds.
    pub setup: Setup,
    pub(crate) desk: Desk,
    orders: Vec<Order>,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The table.
    pub table: Item,
    /// What each process knows.
    pub memories: Vec<Memory>,
    /// The attempts, those of the first process first.
    pub tasks: Vec<Task>,
    /// Copies of changes that are still on their way.
    pub late: Vec<LateWrite>,
    /// What has really happened.
    pub history: History,
}

/// A copy of a change on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateWrite {
    /// The change.
    pub write: Write,
    /// Whose it is.
    pub by: By,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An attempt begins: it goes by what its process remembers, or reads.
    Begin(usize),
    /// The table does what an attempt has asked.
    Answer(usize),
    /// An attempt has the answer that was on its way.
    Deliver(usize),
    /// The table does what an attempt has asked; the answer is lost, and it asks again.
    LoseAnswer(usize),
    /// An attempt has sent its change twice, and one of the two is late.
    SendTwice(usize),
    /// An attempt waits no longer for the answer to its change.
    GiveUp(usize),
    /// An attempt waits no longer for what it wanted to read.
    FailToRead(usize),
    /// The call has come to its end.
    End(usize, Word),
    /// An attempt vanishes. One that reads only does so with its process.
    Vanish(usize),
    /// A process dies, and another takes its place.
    Die(usize),
    /// A late copy of a change arrives.
    Arrive(usize),
    /// Time passes.
    Tick,
}

impl World {
    /// The world within the bounds of `setup`.
    pub fn new(setup: Setup) -> Self {
        Self { desk: Desk::new(&setup), orders: symmetry::orders(&setup), setup }
    }

    fn add_task_actions(&self, state: &State, index: usize, actions: &mut Vec<Action>) {
        let Setup { vanishing, lost_answers, given_up, failed_reads, late_copies, .. } = self.setup;
        let task = &state.tasks[index];
        match &task.phase {
            Phase::Idle => return actions.push(Action::Begin(index)),
            Phase::Calling => {
                let failing = (0..self.setup.sessions).map(|session| Word::Failing { session });
                let words = failing.chain([Word::Healthy, Word::Unknown]);
                actions.extend(words.map(|word| Action::End(index, word)));
            }
            Phase::Reading { .. } if failed_reads => actions.push(Action::FailToRead(index)),
            Phase::Reading { .. } => {}
            Phase::Admitting(_) | Phase::Reporting { .. } if given_up => {
                actions.push(Action::GiveUp(index));
            }
            Phase::Admitting(_) | Phase::Reporting { .. } => {}
        }
        if vanishing && !matches!(task.phase, Phase::Reading { .. }) {
            actions.push(Action::Vanish(index));
        }
        if task.is_answered() {
            actions.push(Action::Deliver(index));
        } else if task.is_exchanging() {
            actions.push(Action::Answer(index));
        }
        if task.unanswered().is_some() {
            if lost_answers {
                actions.push(Action::LoseAnswer(index));
            }
            if state.late.len() < late_copies {
                actions.push(Action::SendTwice(index));
            }
        }
    }

    fn step(&self, state: &mut State, action: &Action) -> Option<()> {
        match *action {
            Action::Begin(index) => {
                let memory = &mut state.memories[self.process(index)];
                if std::mem::replace(&mut memory.is_fresh, true) {
                    let seen = memory.seen.clone();
                    self.admit(state, index, &seen, None);
                } else {
                    state.tasks[index].phase = Phase::Reading { found: None };
                }
            }
            Action::Answer(index) => self.answer(state, index)?,
            Action::Deliver(index) => self.deliver(state, index)?,
            Action::LoseAnswer(index) => {
                let write = state.tasks[index].unanswered()?.clone();
                let before = state.table.circuit.stamp;
                let by = self.by(state, index);
                self.apply(state, &write, by);
                if state.table.circuit.stamp == before {
                    return None;
                }
            }
            Action::SendTwice(index) => {
                let write = state.tasks[index].unanswered()?.clone();
                state.late.push(LateWrite { write, by: self.by(state, index) });
            }
            Action::GiveUp(index) => match state.tasks[index].phase.clone() {
                Phase::Admitting(exchange) => {
                    self.admit(state, index, &exchange.from, Some(Err(GivenUp)));
                }
                Phase::Reporting { word, exchange, again } => {
                    let from = exchange.from;
                    self.report(state, index, word, &from, Some(Err(GivenUp)), again);
                }
                _ => return None,
            },
            Action::FailToRead(index) => {
                let memory = &mut state.memories[self.process(index)];
                let seen = memory.seen.clone();
                memory.replace(seen.clone(), 0);
                self.admit(state, index, &seen, None);
            }
            Action::End(index, word) => {
                let seen = state.memories[self.process(index)].seen.clone();
                self.report(state, index, word, &seen, None, None);
            }
            Action::Vanish(index) => self.end(state, index),
            Action::Die(process) => {
                state.memories[process] = Memory::new();
                let first = process * self.setup.tasks;
                (first..first + self.setup.tasks).for_each(|index| self.end(state, index));
            }
            Action::Arrive(index) => {
                let LateWrite { write, by } = state.late.remove(index);
                self.apply(state, &write, by);
            }
            Action::Tick => state.age(&self.setup),
        }
        Some(())
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Setup { processes, tasks, .. } = self.setup;
        let state = State {
            table: Item::default(),
            memories: vec![Memory::new(); processes],
            tasks: vec![Task::new(); processes * tasks],
            late: Vec::new(),
            history: History::new(&self.setup),
        };
        vec![state.into_form(&self.setup)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for index in 0..state.tasks.len() {
            self.add_task_actions(state, index, actions);
        }
        if self.setup.vanishing {
            actions.extend((0..state.memories.len()).map(Action::Die));
        }
        actions.extend((0..state.late.len()).map(Action::Arrive));
        let mut exchanging = state.tasks.iter().filter(|task| task.is_exchanging());
        if exchanging.all(|task| task.age < self.setup.longest_exchange) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.history.odd = None;
        self.step(&mut state, &action)?;
        Some(symmetry::representative(state.into_form(&self.setup), &self.orders))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
