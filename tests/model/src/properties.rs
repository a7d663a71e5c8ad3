//! What holds in every state, and what happens in some.
//!
//! A hold of a call under way, or of a dead one until somebody charges it, is *listed* in the
//! session's item.

use stateright::Property;

use crate::history::{End, Fate};
use crate::router::{Phase, Router};
use crate::table::{Session, Table, signed};
use crate::{Setup, State, World};

/// The rules.
pub mod rule {
    /// What is held alone never passes the limit.
    pub const HELD: &str = "held <= limit";
    /// A hold is only taken where it has room; only calls that use more than they hold pass
    /// the limit, and by no more than those that were under way when the last hold was taken.
    pub const LIMIT: &str = "settled + held <= limit + overruns of calls under way";
    /// Nor are there more invocations than steps.
    pub const STEPS: &str = "steps <= limit";
    /// What is committed is what is settled and what is listed.
    pub const COMMITTED: &str = "committed = spent + listed holds";
    /// What is settled is what the calls that ended used, or held when they died: each once.
    pub const SPENT: &str = "spent = what ended calls owe";
    /// A hold that was taken is listed, was charged, or went with a session that was over; the
    /// hold of a call under way is listed.
    pub const NO_HOLD_LOST: &str = "no hold is lost";
    /// A repeated or late write takes no second hold, but after the hold expired, the session
    /// ended, or the id had to give way to others. Then it is one too many, never one too few.
    pub const NO_HOLD_TWICE: &str = "no hold is taken twice";
    /// A call is paid for by a hold that no other call has: also where a request is delivered
    /// twice, and so executed twice.
    pub const OWN_HOLD: &str = "every call has a hold of its own";
    /// After all holds have expired, the next reservation leaves none of them listed.
    pub const HOLDS_END: &str = "every hold ends";
    /// Sessions draw no more than the tenant's day has.
    pub const DAY: &str = "drawn from the day <= the day's limit";
    /// What they drew is what the day has given.
    pub const DRAWN: &str = "the day's drawn = drawn by its sessions";
    /// What a session drew and has not committed is its room.
    pub const ROOM: &str = "drawn = committed + room";
    /// A session commits no more than it has drawn, but for overruns as with its limit.
    pub const FUNDED: &str = "committed <= drawn + overruns of calls under way";
    /// What a session spent is added to its tenant's day once.
    pub const FOLDED: &str = "the day's spent = spent by its sessions when they drew";
    /// The user's day is drawn from, committed and added to as the tenant's is.
    pub const USER: &str = "the user's day is kept like the tenant's";
    /// All gateway sessions together have no more invocations than the hour has, and only calls that
    /// use more than they hold pass its money.
    pub const HOUR: &str = "the hour's settled + held <= its limit + overruns of calls under way";
    /// What the hour has committed is what its sessions have, and no less: a hold that went with its
    /// session stays charged.
    pub const HOUR_COUNTED: &str = "the hour's steps and committed = its sessions'";
}

/// What has to be possible, or the rules would be kept by doing nothing.
pub mod event {
    /// The whole of the limit is spent.
    pub const USED_UP: &str = "a budget is used up to the last";
    /// Calls pass the limit.
    pub const OVERRUN: &str = "overruns pass the limit";
    /// Two holds are listed at once.
    pub const TOGETHER: &str = "two calls are under way";
    /// A hold of a dead router is charged.
    pub const EXPIRED: &str = "an expired hold is charged";
    /// A late copy of a reservation is refused after the hold was settled.
    pub const DUPLICATE: &str = "a late copy of a settled hold is refused";
    /// The exception to [`super::rule::NO_HOLD_TWICE`].
    pub const CHARGED_TWICE: &str = "a late copy is charged after its id was forgotten";
    /// Both executions of a request that was delivered twice have been charged.
    pub const REDELIVERED: &str = "a request that is delivered twice is charged twice";
    /// A session is over and another takes its place.
    pub const REPLACED: &str = "a session is replaced";
    /// The tenant's day is used up.
    pub const DAY_USED_UP: &str = "a day is used up to the last";
    /// The user's day is used up.
    pub const USER_USED_UP: &str = "a user's day is used up to the last";
    /// The gateways' hour is used up.
    pub const HOUR_USED_UP: &str = "an hour is used up to the last";
}

type Rule = Property<World>;

/// All of them.
pub(crate) fn all() -> Vec<Rule> {
    vec![
        Rule::always(rule::HELD, |world, state| {
            session_is(state, |session| session.held() <= limit(session, world))
        }),
        Rule::always(rule::LIMIT, |world, state| {
            session_is(state, |session| {
                session.committed <= limit(session, world) + state.history.overrun
            })
        }),
        Rule::always(rule::STEPS, |world, state| {
            session_is(state, |session| session.steps <= world.setup.max_steps)
        }),
        Rule::always(rule::COMMITTED, |_, state| {
            session_is(state, |session| session.committed == session.spent + session.held())
        }),
        Rule::always(rule::SPENT, |_, state| {
            session_is(state, |session| session.spent == state.history.due)
        }),
        Rule::always(rule::NO_HOLD_LOST, |_, state| no_hold_is_lost(state)),
        Rule::always(rule::NO_HOLD_TWICE, |_, state| !state.history.taken_again),
        Rule::always(rule::OWN_HOLD, |_, state| {
            state.history.fates.iter().all(|fate| fate.calls <= fate.taken)
        }),
        Rule::always(rule::HOLDS_END, every_hold_ends),
        Rule::always(rule::DAY, |world, state| state.table.day.drawn <= world.setup.day_limit),
        Rule::always(rule::DRAWN, |_, state| {
            let drawn = state.table.session.as_ref().map_or(0, |session| session.drawn);
            state.table.day.drawn == state.history.past_drawn + drawn
        }),
        Rule::always(rule::ROOM, |_, state| {
            session_is(state, |session| {
                signed(session.drawn) == signed(session.committed) + session.room
            })
        }),
        Rule::always(rule::FUNDED, |_, state| {
            session_is(state, |session| session.committed <= session.drawn + state.history.overrun)
        }),
        Rule::always(rule::FOLDED, |_, state| {
            let folded = state.table.session.as_ref().map_or(0, |session| session.folded);
            state.table.day.spent == state.history.past_folded + folded
                && session_is(state, |session| session.folded <= session.spent)
        }),
        Rule::always(rule::USER, a_users_day_is_kept),
        Rule::always(rule::HOUR, |world, state| {
            let Some((steps, money)) = world.setup.gateway_limits else { return true };
            let hour = state.table.hour;
            hour.steps <= steps && hour.committed <= money + state.history.hour_overrun
        }),
        Rule::always(rule::HOUR_COUNTED, |world, state| {
            let (steps, committed) = state.history.past_committed;
            let session = state.table.session.as_ref();
            let now = session.map_or((0, 0), |session| (session.steps, session.committed));
            let hour = state.table.hour;
            world.setup.gateway_limits.is_none()
                || (hour.steps, hour.committed) == (steps + now.0, committed + now.1)
                    && hour.spent <= hour.committed
        }),
        Rule::sometimes(event::USED_UP, |world, state| {
            session_has(state, |session| session.spent == world.setup.limit)
        }),
        Rule::sometimes(event::OVERRUN, |world, state| {
            session_has(state, |session| session.committed > limit(session, world))
        }),
        Rule::sometimes(event::TOGETHER, |_, state| {
            session_has(state, |session| session.holds.len() > 1)
        }),
        Rule::sometimes(event::EXPIRED, |_, state| {
            has_fate(state, |fate| fate.end == Some(End::Expired))
        }),
        Rule::sometimes(event::DUPLICATE, |_, state| {
            session_has(state, |session| a_duplicate_is_refused(session, state))
        }),
        Rule::sometimes(event::CHARGED_TWICE, |_, state| has_fate(state, |fate| fate.charged > 1)),
        Rule::sometimes(event::REDELIVERED, |world, state| {
            let Setup { redeliveries, .. } = world.setup;
            let ids = [0, world.setup.id_of_redelivery(redeliveries)];
            let is_charged = |id: u8| state.history.fates[usize::from(id)].charged > 0;
            redeliveries > 0 && ids.into_iter().all(is_charged)
        }),
        Rule::sometimes(event::REPLACED, |_, state| {
            state.history.past_drawn > 0 && state.table.session.is_some()
        }),
        Rule::sometimes(event::DAY_USED_UP, |world, state| {
            state.table.day.drawn == world.setup.day_limit
        }),
        Rule::sometimes(event::USER_USED_UP, |world, state| {
            Some(state.table.user_day.drawn) == world.setup.user_limit
        }),
        Rule::sometimes(event::HOUR_USED_UP, |world, state| {
            world.setup.gateway_limits.is_some_and(|(_, money)| state.table.hour.spent == money)
        }),
    ]
}

/// Whether the rule holds for the session, if there is one.
fn session_is(state: &State, rule: impl FnOnce(&Session) -> bool) -> bool {
    state.table.session.as_ref().is_none_or(rule)
}

/// Whether there is a session of which this is true.
fn session_has(state: &State, event: impl FnOnce(&Session) -> bool) -> bool {
    state.table.session.as_ref().is_some_and(event)
}

fn has_fate(state: &State, event: impl FnMut(&Fate) -> bool) -> bool {
    state.history.fates.iter().any(event)
}

/// As the tenant's: what is drawn is within the limit and is the sessions', what a session has drawn
/// and not committed is its room, and what it spent is added once.
fn a_users_day_is_kept(world: &World, state: &State) -> bool {
    let Some(limit) = world.setup.user_limit else { return true };
    let day = state.table.user_day;
    let (past_drawn, past_folded) = state.history.past_of_user;
    let of_user = state.table.session.as_ref().map(|session| (session, session.of_user));
    let (drawn, folded) = of_user.map_or((0, 0), |(_, user)| (user.drawn, user.folded));
    day.drawn <= limit
        && day.drawn == past_drawn + drawn
        && day.spent == past_folded + folded
        && of_user.is_none_or(|(session, user)| {
            signed(user.drawn) == signed(session.committed) + user.room
                && user.spent == session.spent
                && user.folded <= user.spent
        })
}

fn limit(session: &Session, world: &World) -> u8 {
    session.limit.unwrap_or(world.setup.limit)
}

fn no_hold_is_lost(state: &State) -> bool {
    let is_listed = |id: u8| session_has(state, |session| session.holds.contains_key(&id));
    let mut fates = (0_u8..).zip(&state.history.fates);
    let are_known =
        fates.all(|(id, fate)| fate.taken == u8::from(is_listed(id)) + fate.charged + fate.dropped);
    let are_listed = state.routers.iter().all(|router| match &router.phase {
        Phase::Idle | Phase::Checking(_) | Phase::Reserving(..) => true,
        Phase::Invoking(ask) => ask.ids().all(is_listed),
        Phase::Settling { ask, .. } => {
            ask.ids().all(|id| is_listed(id) || state.history.fates[usize::from(id)].charged > 0)
        }
    });
    are_known && are_listed
}

fn a_duplicate_is_refused(session: &Session, state: &State) -> bool {
    let mut late = state.late.iter().filter_map(|late| late.takes);
    late.any(|ask| session.recent.contains(&ask.id))
}

/// Lets one more request come after all have ended and all their holds have expired.
fn every_hold_ends(world: &World, state: &State) -> bool {
    if !state.routers.iter().all(|router| router.phase == Phase::Idle) {
        return true;
    }
    let Some(session) = &state.table.session else { return true };
    let Some(last) = session.holds.values().map(|held| held.expires).max() else { return true };
    let now = last.max(state.now);
    let table = after_a_request(world, &state.table, now);
    table.session.is_none_or(|session| session.expires_at <= now || !session.has_expired_holds(now))
}

/// The table after one more reservation at `now`, which nobody disturbs.
fn after_a_request(world: &World, table: &Table, now: u8) -> Table {
    let World { setup, cast } = world;
    let mut table = table.clone();
    let mut router = Router::new();
    router.begin(world.ask(setup.hold_ids() - setup.branches, now), setup, cast);
    while router.is_waiting() {
        let Some(request) = router.request().cloned() else {
            router.check(&table, setup, cast);
            continue;
        };
        let answer = table.apply(&request, cast);
        router.answered(answer, cast);
    }
    table
}
