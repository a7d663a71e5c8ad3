//! One form for all states that only differ in what nobody can tell.
//!
//! It is always [`NOW`]: when time passes, everything else moves back. What is past for
//! everybody is equally past, a stamp is what it is to the table's, and an attempt that is over
//! has no name. So there are finitely many states, and runs of any length are visited.

use router_core::circuit::State as CircuitState;
use router_core::units::Timestamp;

use super::process::{Memory, OLD, Phase, Task};
use super::setup::TICK;
use super::table::Answer;
use super::{Flaw, Setup, State};

/// The time.
pub const NOW: Timestamp = Timestamp(1_000_000_000);
/// So long ago that it makes no difference when.
pub const FLOOR: Timestamp = Timestamp(0);
/// An attempt that is over, or one of another process in the memory of this one.
pub const GONE: &str = "gone";

/// The table's stamp once it has been changed.
const STAMP: u64 = 100;
/// A time that never comes.
const NEVER: Timestamp = Timestamp(u64::MAX / 2);

/// The time `ticks` ago.
pub(crate) fn ago(ticks: u8) -> Timestamp {
    Timestamp(NOW.0 - millis(ticks))
}

/// The time in as many `ticks`.
pub(crate) fn ahead(ticks: u8) -> Timestamp {
    Timestamp(NOW.0 + millis(ticks))
}

/// What a time is when a tick has passed.
pub(crate) fn a_tick_ago(time: Timestamp) -> Timestamp {
    if time > NEVER { time } else { Timestamp(time.0.saturating_sub(millis(1))) }
}

fn millis(ticks: u8) -> u64 {
    u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX) * u64::from(ticks)
}

/// The attempt `task` as its circuit knows it.
pub(crate) fn owner(task: usize, setup: &Setup) -> String {
    let owner = if setup.has(Flaw::OwnerIsProcess) { task / setup.tasks } else { task };
    owner.to_string()
}

impl State {
    /// Lets a tick pass.
    pub(crate) fn age(&mut self, setup: &Setup) {
        each_circuit(self, |state, _| match state {
            CircuitState::Closed { since, .. } => *since = a_tick_ago(*since),
            CircuitState::Open { until } => *until = a_tick_ago(*until),
            CircuitState::HalfOpen { probe, .. } => {
                if let Some(probe) = probe {
                    probe.until = a_tick_ago(probe.until);
                }
            }
        });
        for memory in &mut self.memories {
            memory.is_fresh &= setup.has(Flaw::RemembersForEver);
            memory.age = OLD.min(memory.age + 1);
        }
        for task in &mut self.tasks {
            task.age += u8::from(task.is_exchanging());
            task.place = task.place.map(a_tick_ago);
            if let Phase::Reading { found: Some((_, age)) } = &mut task.phase {
                *age = OLD.min(*age + 1);
            }
        }
    }

    /// The form that stands for this state.
    pub(crate) fn into_form(mut self, setup: &Setup) -> Self {
        if setup.tasks == 1 {
            self.forget_what_nobody_asks();
        }
        let owners: Vec<(String, usize)> = (0..self.tasks.len())
            .filter(|task| self.tasks[*task].phase != Phase::Idle)
            .map(|task| (owner(task, setup), task / setup.tasks))
            .collect();
        // What nobody's clock says any more, not even that of the longest exchange.
        let past = ago(setup.longest_exchange);
        let long_past = ago(setup.longest_exchange + setup.open);
        let is_live = |name: &str, process: Option<usize>| {
            owners.iter().any(|(owner, of)| owner == name && process.is_none_or(|it| it == *of))
        };
        let tasks_each = setup.tasks;
        each_circuit(&mut self, |state, holder| match state {
            CircuitState::Closed { failures, since, .. } => {
                // More than it takes open it no sooner.
                *failures = u64::from(setup.failures).min(*failures);
                if *failures == 0 || *since <= long_past {
                    *since = FLOOR;
                }
            }
            CircuitState::Open { until } => *until = past.max(*until),
            CircuitState::HalfOpen { probe, .. } => {
                if let Some(probe) = probe {
                    probe.until = past.max(probe.until);
                    if !is_live(&probe.owner, holder.process(tasks_each)) {
                        GONE.clone_into(&mut probe.owner);
                    }
                }
            }
        });
        for memory in &mut self.memories {
            if !matches!(memory.seen.state, CircuitState::Closed { .. }) {
                memory.age = 0;
            }
        }
        for task in &mut self.tasks {
            task.place = task.place.map(|until| NOW.max(until));
        }
        self.history.forget_more_than(setup.failures);
        self.forget_authors();
        self.forget_stamps(setup);
        self
    }

    /// One attempt alone reads before it looks, unless it has read just now.
    fn forget_what_nobody_asks(&mut self) {
        for (memory, task) in self.memories.iter_mut().zip(&self.tasks) {
            let reads = match task.phase {
                Phase::Idle => !memory.is_fresh,
                Phase::Reading { .. } => true,
                _ => false,
            };
            if reads {
                *memory = Memory { is_fresh: memory.is_fresh, ..Memory::new() };
            }
        }
    }

    /// An author matters to whoever may ask whether it was he.
    fn forget_authors(&mut self) {
        let is_asked = |author: &str| {
            let mut unanswered = self.tasks.iter().filter_map(Task::unanswered);
            unanswered.any(|write| write.author == author)
        };
        if !is_asked(&self.table.author) {
            GONE.clone_into(&mut self.table.author);
        }
        let are_asked: Vec<bool> =
            self.late.iter().map(|late| is_asked(&late.write.author)).collect();
        for (late, is_asked) in self.late.iter_mut().zip(are_asked) {
            if !is_asked {
                GONE.clone_into(&mut late.write.author);
            }
        }
    }

    /// Of stamps it matters which are the table's and which of a process's own are older.
    fn forget_stamps(&mut self, setup: &Setup) {
        let last = self.table.circuit.stamp;
        if !setup.has(Flaw::ChangedBlindly) {
            self.late.retain(|late| late.write.seen == last);
        }
        if last == 0 {
            return;
        }
        let Self { table, memories, tasks, .. } = self;
        for (memory, tasks) in memories.iter_mut().zip(tasks.chunks_mut(setup.tasks)) {
            let mut older = Vec::new();
            each_stamp(memory, tasks, |stamp| older.push(*stamp));
            older.retain(|stamp| *stamp != last);
            older.sort_unstable_by(|one, other| other.cmp(one));
            older.dedup();
            let are_repeated: Vec<bool> = tasks
                .iter()
                .map(|task| {
                    let write = task.unanswered();
                    let is_ours =
                        |author: &str| author == table.author || setup.has(Flaw::RecognisedByStamp);
                    write.is_some_and(|it| it.seen + 1 == last && is_ours(&it.author))
                })
                .collect();
            each_stamp(memory, tasks, |stamp| {
                let rank = (1..).zip(&older).find(|(_, older)| *older == stamp);
                *stamp = rank.map_or(STAMP, |(rank, _)| STAMP - 2 * rank);
            });
            for (task, is_repeated) in tasks.iter_mut().zip(are_repeated) {
                if let Some(exchange) = task.exchange_mut() {
                    if is_repeated {
                        exchange.write.seen = STAMP - 1;
                    }
                    exchange.from.stamp = exchange.write.seen;
                }
            }
        }
        for late in &mut self.late {
            late.write.seen = STAMP;
        }
        self.table.circuit.stamp = STAMP;
    }
}

/// Who has a copy of a circuit.
#[derive(Clone, Copy)]
pub(crate) enum Copied {
    /// The table, or a change on its way.
    Table,
    Process(usize),
    Task(usize),
}

impl Copied {
    /// The process whose attempts alone matter to this copy.
    fn process(self, tasks_each: usize) -> Option<usize> {
        match self {
            Self::Table => None,
            Self::Process(process) => Some(process),
            Self::Task(task) => Some(task / tasks_each),
        }
    }
}

/// Every state of the circuit that is known or meant anywhere.
pub(crate) fn each_circuit(state: &mut State, mut change: impl FnMut(&mut CircuitState, Copied)) {
    change(&mut state.table.circuit.state, Copied::Table);
    for late in &mut state.late {
        change(&mut late.write.state, Copied::Table);
    }
    for (process, memory) in state.memories.iter_mut().enumerate() {
        change(&mut memory.seen.state, Copied::Process(process));
    }
    for (index, task) in state.tasks.iter_mut().enumerate() {
        let copied = Copied::Task(index);
        if let Phase::Reading { found: Some((found, _)) } = &mut task.phase {
            change(&mut found.state, copied);
        }
        if let Some(exchange) = task.exchange_mut() {
            change(&mut exchange.from.state, copied);
            change(&mut exchange.write.state, copied);
            if let Some(Answer::Lost(found)) = &mut exchange.answer {
                change(&mut found.state, copied);
            }
        }
    }
}

/// Every name of an author.
pub(crate) fn each_author(state: &mut State, mut change: impl FnMut(&mut String)) {
    change(&mut state.table.author);
    for late in &mut state.late {
        change(&mut late.write.author);
    }
    for exchange in state.tasks.iter_mut().filter_map(Task::exchange_mut) {
        change(&mut exchange.write.author);
    }
}

/// Every stamp that a process may compare with the table's.
fn each_stamp(memory: &mut Memory, tasks: &mut [Task], mut change: impl FnMut(&mut u64)) {
    change(&mut memory.seen.stamp);
    for task in tasks {
        if let Phase::Reading { found: Some((found, _)) } = &mut task.phase {
            change(&mut found.stamp);
        }
        let Some(exchange) = task.exchange_mut() else { continue };
        match &mut exchange.answer {
            None => change(&mut exchange.write.seen),
            Some(Answer::Lost(found)) => change(&mut found.stamp),
            Some(Answer::Stored) => {
                let mut stored = exchange.write.seen + 1;
                change(&mut stored);
                exchange.write.seen = stored - 1;
            }
        }
    }
}
