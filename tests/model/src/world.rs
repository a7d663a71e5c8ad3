//! All that can happen next: the model that is checked.

use stateright::{Model, Property};

use router_core::store::{Answer, Request};

use crate::cast::{Ask, Cast};
use crate::hashed::Hashed;
use crate::history::History;
use crate::router::{Phase, Router};
use crate::setup::in_turn;
use crate::table::Table;
use crate::{Setup, properties};

/// The model.
#[derive(Clone, Debug)]
pub struct World {
    /// Its bounds.
    pub setup: Setup,
    /// Who takes part.
    pub cast: Cast,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateWrite {
    /// The write.
    pub request: Hashed<Request>,
    /// The reservation that it is of, where it is to take the holds of one.
    pub takes: Option<Ask>,
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
    /// The specialists have answered, or were stopped, and used this much, by branch.
    EndCalls(usize, Vec<u8>),
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
        let cast = Cast::new(&setup);
        Self { setup, cast }
    }

    /// The reservation for hold `id`, made now.
    pub(crate) fn ask(&self, id: u8, now: u8) -> Ask {
        let Setup { branches, hold_lives, asks, .. } = &self.setup;
        let request = id / branches;
        let expires = now + in_turn(hold_lives, request);
        Ask { id, branches: *branches, amount: in_turn(asks, request), now, expires }
    }

    fn apply(&self, state: &mut State, request: &Request) -> Answer {
        let before = state.table.session.clone();
        let answer = state.table.apply(request, &self.cast);
        if matches!(answer, Answer::Done(_)) {
            state.history.note(before.as_ref(), request, &self.setup, &self.cast);
        }
        answer
    }

    /// What the router sends, by the protocol or by the flawed one.
    fn sent_by(&self, router: &Router) -> Option<Request> {
        let request = router.request()?;
        Some(self.setup.flaw.map_or_else(|| request.clone(), |flaw| flaw.mar(request)))
    }

    /// What the calls of a request may have used: of one that is stopped nothing is known, and it
    /// is charged what it held, or it had not begun, and all is given back.
    fn uses(&self, ask: &Ask) -> Vec<Vec<u8>> {
        let mut uses: Vec<u8> = Vec::new();
        uses.extend(self.setup.overruns.iter().map(|more| ask.amount.saturating_add_signed(*more)));
        uses.dedup();
        if ask.branches == 1 {
            return uses.into_iter().map(|used| vec![used]).collect();
        }
        let answered = usize::from(ask.branches - 1);
        let of_both = |used: u8| [0, ask.amount].map(|stopped| (used, stopped));
        let all = uses.into_iter().flat_map(of_both);
        all.map(|(used, stopped)| [vec![used; answered], vec![stopped]].concat()).collect()
    }

    /// A call ends before its hold expires: its function's deadline comes first.
    fn may_tick(&self, state: &State) -> bool {
        let mut asks = state.routers.iter().filter_map(Router::ask);
        state.now < self.setup.horizon && asks.all(|ask| ask.expires > state.now + 1)
    }

    /// An operator sets the limit of a session that there is.
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
            let uses = self.uses(&ask).into_iter();
            actions.extend(uses.map(|used| Action::EndCalls(index, used)));
        }
        if router.is_waiting() {
            actions.push(Action::Answer(index));
        }
        if router.request().is_some_and(|request| !matches!(request, Request::Read(_))) {
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
        let Self { setup, cast } = self;
        match action {
            Action::Begin(index) => {
                let router = &mut state.routers[index];
                let request = u8::try_from(index).ok()? + router.begun * setup.routers;
                router.begin(self.ask(request * setup.branches, state.now), setup, cast);
            }
            Action::Redeliver(index) => {
                let id = setup.id_of_redelivery(state.faults.redeliveries);
                state.routers[index].reserve(self.ask(id, state.now), setup, cast);
                state.faults.redeliveries -= 1;
            }
            Action::Answer(index) => {
                match self.sent_by(&state.routers[index]) {
                    Some(request) => {
                        let answer = self.apply(&mut state, &request);
                        state.routers[index].answered(answer, cast);
                    }
                    None => state.routers[index].check(&last.table, setup, cast),
                }
                if let Phase::Invoking(ask) = state.routers[index].phase {
                    ask.ids().for_each(|id| state.history.note_call(id, setup));
                }
            }
            Action::LoseAnswer(index) => {
                let request = self.sent_by(&state.routers[index])?;
                if !matches!(self.apply(&mut state, &request), Answer::Done(_)) {
                    return None;
                }
                state.faults.lost_answers -= 1;
            }
            Action::SendTwice(index) => {
                let router = &state.routers[index];
                let request = Hashed::new(self.sent_by(router)?);
                let takes = match &router.phase {
                    Phase::Reserving(ask, _) => Some(*ask),
                    _ => None,
                };
                let until = takes.map_or(state.now, |ask| ask.now) + setup.longest_delay;
                state.late.push(LateWrite { request, takes, until });
                state.late.sort_by_key(|late| (late.request.order(), late.until));
                state.faults.late_copies -= 1;
            }
            Action::EndCalls(index, used) => {
                let ask = *state.routers[index].ask()?;
                state.routers[index].settle(ask, used, cast);
            }
            Action::Die(index) => {
                state.routers[index].phase = Phase::Idle;
                state.faults.crashes -= 1;
            }
            Action::Arrive(index) => {
                let LateWrite { request, .. } = state.late.remove(index);
                self.apply(&mut state, &request);
            }
            Action::Tick => {
                state.now += 1;
                let now = state.now;
                state.late.retain(|late| late.until >= now);
            }
            Action::Delete => {
                state.history.note_session_end(state.table.session.as_ref());
                state.table.delete_session(cast);
            }
            Action::RaiseLimit => {
                state.table.raise_limit(setup.raised_limit?, cast);
                state.faults.raises -= 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
