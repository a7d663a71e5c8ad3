//! All that can happen next: the model that is checked.

use stateright::{Model, Property};

use crate::history::History;
use crate::router::{Phase, Router};
use crate::setup::in_turn;
use crate::table::{Answer, Ask, Table, Write};
use crate::{Setup, properties};

/// The model.
#[derive(Clone, Debug)]
pub struct World {
    /// Its bounds.
    pub setup: Setup,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The time.
    pub now: u8,
    /// The table.
    pub table: Table,
    /// The routers.
    pub routers: Vec<Router>,
    /// Copies of writes that are still on their way, in order.
    pub late: Vec<LateWrite>,
    /// The faults that may still happen.
    pub faults: Faults,
    /// What has really happened.
    pub history: History,
}

/// A copy of a write on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LateWrite {
    /// The write.
    pub write: Write,
    /// When it arrives at the latest.
    pub until: u8,
}

/// How many faults of each kind may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    crashes: u8,
    lost_answers: u8,
    late_copies: u8,
    redeliveries: u8,
    raises: u8,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A router gets its next request and sends the first write.
    Begin(usize),
    /// A router gets the request again that was the first of all, whatever became of that.
    Redeliver(usize),
    /// The table does what a router has asked, and the router has the answer.
    Answer(usize),
    /// The table does what a router has asked; the answer is lost, and the router asks again.
    LoseAnswer(usize),
    /// A router has sent its write twice, and one of the two is late.
    SendTwice(usize),
    /// A specialist has answered and used this much.
    EndCall(usize, u8),
    /// A router dies, or gives up.
    Die(usize),
    /// A late copy of a write arrives.
    Arrive(usize),
    /// Time passes.
    Tick,
    /// The database deletes a session that is over.
    Delete,
    /// An operator sets a limit for the session.
    RaiseLimit,
}

impl World {
    /// The world within the bounds of `setup`.
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    /// The reservation for hold `id`, made now.
    pub(crate) fn ask(&self, id: u8, now: u8) -> Ask {
        let expires = now + in_turn(&self.setup.hold_lives, id);
        Ask { id, amount: in_turn(&self.setup.asks, id), now, expires }
    }

    fn apply(&self, state: &mut State, write: &Write) -> Answer {
        let before = state.table.clone();
        let answer = state.table.apply(write, &self.setup);
        if answer == Answer::Done {
            state.history.note(&before, write, &self.setup);
        }
        answer
    }

    /// A call ends before its hold expires: its function's deadline comes first.
    fn may_tick(&self, state: &State) -> bool {
        let mut asks = state.routers.iter().filter_map(Router::ask);
        state.now < self.setup.horizon && asks.all(|ask| ask.expires > state.now + 1)
    }

    /// Mirrors what an operator writes into the item by hand.
    fn may_raise(&self, state: &State) -> bool {
        let session = state.table.session.as_ref();
        state.faults.raises > 0 && session.is_some_and(|session| session.expires_at > state.now)
    }

    fn add_router_actions(&self, state: &State, index: usize, actions: &mut Vec<Action>) {
        let router = &state.routers[index];
        if let Phase::Idle = router.phase {
            if router.begun < self.setup.requests {
                actions.push(Action::Begin(index));
            }
            if state.faults.redeliveries > 0 && state.routers[0].begun > 0 {
                actions.push(Action::Redeliver(index));
            }
            return;
        }
        if state.faults.crashes > 0 {
            actions.push(Action::Die(index));
        }
        if let Phase::Invoking(ask) = router.phase {
            let mut uses: Vec<u8> = Vec::new();
            uses.extend(
                self.setup.overruns.iter().map(|more| ask.amount.saturating_add_signed(*more)),
            );
            uses.dedup();
            actions.extend(uses.into_iter().map(|used| Action::EndCall(index, used)));
        }
        if router.is_waiting() {
            actions.push(Action::Answer(index));
        }
        if router.write().is_some() {
            if state.faults.lost_answers > 0 {
                actions.push(Action::LoseAnswer(index));
            }
            if state.faults.late_copies > 0 {
                actions.push(Action::SendTwice(index));
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Setup { routers, crashes, lost_answers, late_copies, redeliveries, .. } = self.setup;
        let raises = u8::from(self.setup.raised_limit.is_some());
        vec![State {
            now: 0,
            table: Table::default(),
            routers: vec![Router::new(); usize::from(routers)],
            late: Vec::new(),
            faults: Faults { crashes, lost_answers, late_copies, redeliveries, raises },
            history: History::new(&self.setup),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for index in 0..state.routers.len() {
            self.add_router_actions(state, index, actions);
        }
        actions.extend((0..state.late.len()).map(Action::Arrive));
        if self.may_tick(state) {
            actions.push(Action::Tick);
        }
        let session = state.table.session.as_ref();
        if session.is_some_and(|session| session.expires_at <= state.now) {
            actions.push(Action::Delete);
        }
        if self.may_raise(state) {
            actions.push(Action::RaiseLimit);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(index) => {
                let router = &mut state.routers[index];
                let id = u8::try_from(index).ok()? + router.begun * self.setup.routers;
                router.begin(self.ask(id, state.now), &self.setup);
            }
            Action::Redeliver(index) => {
                let id = self.setup.id_of_redelivery(state.faults.redeliveries);
                state.routers[index].reserve(self.ask(id, state.now), &self.setup);
                state.faults.redeliveries -= 1;
            }
            Action::Answer(index) => {
                let write = state.routers[index].write();
                let answer = write.map_or(Answer::Done, |write| self.apply(&mut state, &write));
                let State { routers, table, .. } = &mut state;
                routers[index].answered(&answer, table, &self.setup);
                if let Phase::Invoking(ask) = routers[index].phase {
                    state.history.note_call(ask.id, &self.setup);
                }
            }
            Action::LoseAnswer(index) => {
                let write = state.routers[index].write()?;
                if self.apply(&mut state, &write) != Answer::Done {
                    return None;
                }
                state.faults.lost_answers -= 1;
            }
            Action::SendTwice(index) => {
                let write = state.routers[index].write()?;
                let until = write.ask().map_or(state.now, |ask| ask.now) + self.setup.longest_delay;
                state.late.push(LateWrite { write, until });
                state.late.sort();
                state.faults.late_copies -= 1;
            }
            Action::EndCall(index, used) => {
                let router = &mut state.routers[index];
                let ask = *router.ask()?;
                router.phase = Phase::Settling { ask, used };
            }
            Action::Die(index) => {
                state.routers[index].phase = Phase::Idle;
                state.faults.crashes -= 1;
            }
            Action::Arrive(index) => {
                let LateWrite { write, .. } = state.late.remove(index);
                self.apply(&mut state, &write);
            }
            Action::Tick => {
                state.now += 1;
                let now = state.now;
                state.late.retain(|late| late.until >= now);
            }
            Action::Delete => {
                let session = state.table.session.take();
                state.history.note_session_end(session.as_ref());
            }
            Action::RaiseLimit => {
                state.table.session.as_mut()?.limit = self.setup.raised_limit;
                state.faults.raises -= 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
