//! What holds in every state, and what happens in some.

use router_core::circuit::{Admission, Probe, State as CircuitState};
use stateright::Property;

use super::form::{self, GONE, NOW};
use super::history::Odd;
use super::keeper::Move;
use super::process::{Phase, Task};
use super::table::Answer;
use super::{State, World};

/// The rules.
pub mod rule {
    /// Of the calls that were given the probe's place, one at most still has it.
    pub const ONE_PROBE: &str = "one probe is out at a time";
    /// Whoever asked for the probe's place and was answered that he has it does have it. Others
    /// are only let go by a memory that says closed, or where the table gives no answer.
    pub const PLACE: &str = "the probe that is out has its place in the table";
    /// An attempt is only let go by a memory no older than the 5 seconds that it is kept and one
    /// exchange with the table; or however old, while another attempt of its process reads it
    /// anew. A read that failed counts as one that found what was known.
    pub const MEMORY: &str = "nobody goes by an old memory";
    /// When everything that is out now has run out of time, any process, whatever it remembers,
    /// admits an attempt.
    pub const ENDS: &str = "nobody is kept out for ever";
    /// While the circuit is not closed, only the attempt that took the probe's place changes it.
    pub const OWN_WORD: &str = "only the probe's verdict counts while it is not closed";
    /// An attempt that says nothing of the specialist neither opens nor closes the circuit.
    pub const UNKNOWN: &str = "an unknown verdict neither opens nor closes";
    /// It opens after so many failures in a row, of as many attempts; of fewer only by those of
    /// them that were counted twice, which see [`ONCE`].
    pub const OPENS: &str = "it opens after so many failures";
    /// It opens only for failures of that many sessions, of the run that is still counted.
    pub const SESSIONS: &str = "one session alone does not open it";
    /// A repeated or late change is not stored on top of itself. It is stored twice only if its
    /// answer was lost and another change came in between.
    pub const ONCE: &str = "nothing is counted twice in a row";
    /// A success only ends a run of failures that its process knew of when it reported.
    pub const WIPED: &str = "a success ends no failure that came after it";
    /// It closes after so many probes in a row that succeeded.
    pub const CLOSES: &str = "it closes after so many probes";
    /// A probe that was answered when it asked for its place and when it reported has its place
    /// no longer.
    pub const HEARD: &str = "the probe's verdict is heard";
}

/// What has to be possible, or the rules would be kept by doing nothing.
pub mod event {
    /// It is open.
    pub const OPEN: &str = "it opens";
    /// A probe has succeeded, and another is out.
    pub const SECOND_PROBE: &str = "a second probe is out";
    /// A probe vanished, and its time is up.
    pub const VANISHED: &str = "a probe has vanished";
    /// A probe is out, and so is the one whose place it took.
    pub const TAKEN_OVER: &str = "a slow probe's place is taken over";
    /// Two ask for the probe's place.
    pub const RACE: &str = "two ask for the place";
    /// Somebody who has not seen that it has opened calls.
    pub const UNSEEN: &str = "somebody calls who has not seen that it is open";
    /// Somebody has been let go who got no answer, and his change is stored after all.
    pub const LATE_PLACE: &str = "a place is taken by one that did not wait for it";
    /// The exception to [`super::rule::MEMORY`].
    pub const OLD_MEMORY: &str = "somebody goes by an old memory that is being read anew";
    /// The exception to [`super::rule::OPENS`].
    pub const OPENED_SOONER: &str = "it opens sooner for a failure that was counted twice";
}

type Rule = Property<World>;

/// All of them.
pub(crate) fn all() -> Vec<Rule> {
    vec![
        Rule::always(rule::ONE_PROBE, |_, state| probes_out(state) <= 1),
        Rule::always(rule::PLACE, probes_have_their_place),
        Rule::always(rule::MEMORY, |_, state| is_kept(state, rule::MEMORY)),
        Rule::always(rule::ENDS, nobody_is_kept_out),
        Rule::always(rule::OWN_WORD, |_, state| is_kept(state, rule::OWN_WORD)),
        Rule::always(rule::UNKNOWN, |_, state| is_kept(state, rule::UNKNOWN)),
        Rule::always(rule::OPENS, |_, state| is_kept(state, rule::OPENS)),
        Rule::always(rule::SESSIONS, |_, state| is_kept(state, rule::SESSIONS)),
        Rule::always(rule::ONCE, |_, state| is_kept(state, rule::ONCE)),
        Rule::always(rule::WIPED, |_, state| is_kept(state, rule::WIPED)),
        Rule::always(rule::CLOSES, |_, state| is_kept(state, rule::CLOSES)),
        Rule::always(rule::HEARD, |_, state| is_kept(state, rule::HEARD)),
        Rule::sometimes(event::OPEN, |_, state| is_open(state)),
        Rule::sometimes(event::SECOND_PROBE, |_, state| {
            let is_second =
                |it: &CircuitState| matches!(it, CircuitState::HalfOpen { successes: 1, .. });
            is_second(&state.table.circuit.state) && probes_out(state) == 1
        }),
        Rule::sometimes(event::VANISHED, |_, state| {
            let probe = probe(&state.table.circuit.state);
            probe.is_some_and(|probe| probe.owner == GONE && probe.until <= NOW)
        }),
        Rule::sometimes(event::TAKEN_OVER, |_, state| {
            let is_slow = |task: &Task| is_calling(task) && task.place == Some(NOW);
            probes_out(state) == 1 && state.tasks.iter().any(is_slow)
        }),
        Rule::sometimes(event::RACE, |_, state| {
            let asks =
                |task: &&Task| matches!(task.phase, Phase::Admitting(_)) && !task.is_answered();
            state.tasks.iter().filter(asks).count() == 2
        }),
        Rule::sometimes(event::UNSEEN, |_, state| {
            let is_free = |task: &Task| is_calling(task) && task.place.is_none();
            is_open(state) && state.tasks.iter().any(is_free)
        }),
        Rule::sometimes(event::LATE_PLACE, |world, state| {
            let has_place = |index: usize| {
                let owner = form::owner(index, &world.setup);
                probe(&state.table.circuit.state).is_some_and(|probe| probe.owner == owner)
            };
            let calls = |index: usize| {
                is_calling(&state.tasks[index]) && state.tasks[index].place.is_none()
            };
            (0..state.tasks.len()).any(|index| calls(index) && has_place(index))
        }),
        Rule::sometimes(event::OLD_MEMORY, |_, state| is_odd(state, Odd::OldMemory)),
        Rule::sometimes(event::OPENED_SOONER, |_, state| is_odd(state, Odd::OpenedSooner)),
    ]
}

/// The probe that is out.
pub(crate) fn probe(state: &CircuitState) -> Option<&Probe> {
    match state {
        CircuitState::HalfOpen { probe, .. } => probe.as_ref(),
        CircuitState::Closed { .. } | CircuitState::Open { .. } => None,
    }
}

fn is_calling(task: &Task) -> bool {
    task.phase == Phase::Calling
}

fn is_open(state: &State) -> bool {
    matches!(state.table.circuit.state, CircuitState::Open { until } if NOW < until)
}

fn probes_out(state: &State) -> usize {
    state.tasks.iter().filter(|task| has_place(task)).count()
}

/// Whether it calls as the probe, and is not too slow.
fn has_place(task: &Task) -> bool {
    is_calling(task) && task.place.is_some_and(|until| NOW < until)
}

/// Whether nothing was seen to break the rule.
fn is_kept(state: &State, rule: &str) -> bool {
    !state.history.broken.contains(rule)
}

fn is_odd(state: &State, odd: Odd) -> bool {
    state.history.odd == Some(odd)
}

fn probes_have_their_place(world: &World, state: &State) -> bool {
    let in_table = probe(&state.table.circuit.state).map(|probe| probe.owner.as_str());
    state.tasks.iter().enumerate().all(|(index, task)| {
        !has_place(task) || in_table == Some(form::owner(index, &world.setup).as_str())
    })
}

/// Lets one more attempt come, of each process and of a new one, after the longest time that a
/// circuit is open or a probe has its place.
fn nobody_is_kept_out(world: &World, state: &State) -> bool {
    let later = form::ahead(world.setup.open.max(world.setup.place));
    let mut known = state.memories.iter().map(|memory| &memory.seen).chain([&state.table.circuit]);
    known.all(|seen| {
        let mut table = state.table.clone();
        let mut seen = seen.clone();
        let mut heard = None;
        loop {
            match world.desk.admit(&seen, "last", later, heard.as_ref().map(Ok)) {
                Move::End(admission) => return matches!(admission, Admission::Pass { .. }),
                Move::Ask(write) => {
                    if let Some(Answer::Lost(found)) = heard {
                        seen = found;
                    }
                    heard = Some(table.apply(&write, &world.setup));
                }
            }
        }
    })
}
