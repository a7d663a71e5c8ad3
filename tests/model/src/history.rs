//! What really happened, kept beside the table, to judge the table by.

use router_core::store::{Change, Request, Update, Value, Write};

use crate::Setup;
use crate::cast::Cast;
use crate::table::{Session, small};

/// What became of the holds and of the sessions before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// Each hold's.
    pub fates: Vec<Fate>,
    /// By slot, the id of the hold that was settled last.
    settled_last: Vec<Option<u8>>,
    /// Whether a hold was taken a second time without an excuse.
    pub taken_again: bool,
    /// What the calls that ended in this session have to pay.
    pub due: u8,
    /// By how much calls passed their holds since a hold was taken last.
    pub overrun: u8,
    /// What sessions that ended had drawn.
    pub past_drawn: u8,
    /// What sessions that ended had added to the tenant's day as spent.
    pub past_folded: u8,
    /// The same of the user's day: drawn, and added as spent.
    pub past_of_user: (u8, u8),
    /// The invocations of sessions that ended, and what they had committed.
    pub past_committed: (u8, u8),
    /// By how much calls of any session passed their holds since a hold was taken last.
    pub hour_overrun: u8,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fate {
    /// How often it was taken.
    pub taken: u8,
    /// How many calls it was for; not counted where no request is delivered twice.
    pub calls: u8,
    /// How often it was charged.
    pub charged: u8,
    /// How often it ended with its session.
    pub dropped: u8,
    /// How it ended last, if it did.
    pub end: Option<End>,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It was replaced by what was used.
    Settled,
    /// It was charged as it was.
    Expired,
    /// Its session is over.
    WithSession,
}

impl History {
    /// Of a world in which nothing has happened.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            fates: vec![Fate::default(); usize::from(setup.hold_ids())],
            settled_last: vec![None; usize::from(setup.recent_slots)],
            taken_again: false,
            due: 0,
            overrun: 0,
            past_drawn: 0,
            past_folded: 0,
            past_of_user: (0, 0),
            past_committed: (0, 0),
            hour_overrun: 0,
        }
    }

    /// Notes down a request that was carried out on the session as it was `before`.
    pub(crate) fn note(
        &mut self,
        before: Option<&Session>,
        request: &Request,
        setup: &Setup,
        cast: &Cast,
    ) {
        match request {
            Request::Update(update) => self.note_update(before, update, setup, cast),
            Request::Transact(writes) => {
                for write in writes {
                    match write {
                        Write::Update(update) => self.note_update(before, update, setup, cast),
                        Write::Put(put) => {
                            self.note_session_end(before);
                            let holds = put.item.beginning(HOLD);
                            let ids = holds.filter_map(|(id, _)| cast.number_of(id));
                            ids.for_each(|id| self.note_taken(id, setup));
                        }
                    }
                }
            }
            Request::Read(_) => {}
        }
    }

    fn note_update(
        &mut self,
        before: Option<&Session>,
        update: &Update,
        setup: &Setup,
        cast: &Cast,
    ) {
        let id_in = |name: &str| cast.number_of(name.strip_prefix(HOLD)?);
        for change in &update.changes {
            match change {
                Change::Set(name, Value::Map(_)) => {
                    id_in(name).into_iter().for_each(|id| self.note_taken(id, setup));
                }
                Change::Remove(name) => {
                    let Some(id) = id_in(name) else { continue };
                    let Some(held) = before.and_then(|session| session.holds.get(&id)) else {
                        continue;
                    };
                    match amount(update, "committed_micro_usd") {
                        Some(_) => {
                            self.note_charged(id, End::Settled);
                            self.settled_last[setup.recent_slot(id)] = Some(id);
                        }
                        None => {
                            self.note_charged(id, End::Expired);
                            self.due += held.amount;
                        }
                    }
                }
                _ => {}
            }
        }
        self.note_settlement(before, update, cast);
    }

    /// Notes down what the holds of a settlement used together, if they were there.
    fn note_settlement(&mut self, before: Option<&Session>, update: &Update, cast: &Cast) {
        let ids = update.changes.iter().filter_map(|change| match change {
            Change::Remove(name) => cast.number_of(name.strip_prefix(HOLD)?),
            _ => None,
        });
        let is_listed = |id: u8| before.is_some_and(|session| session.holds.contains_key(&id));
        let mut ids = ids.peekable();
        let Some(more_than_held) = amount(update, "committed_micro_usd") else { return };
        if ids.peek().is_some() && ids.all(is_listed) {
            self.due +=
                small(u64::try_from(amount(update, "spent_micro_usd").unwrap_or(0)).unwrap_or(0));
            let more = small(u64::try_from(more_than_held).unwrap_or(0));
            self.overrun += more;
            self.hour_overrun += more;
        }
    }

    /// Notes down that the session was deleted or replaced.
    pub(crate) fn note_session_end(&mut self, session: Option<&Session>) {
        let Some(session) = session else { return };
        self.past_drawn += session.drawn;
        self.past_folded += session.folded;
        self.past_of_user.0 += session.of_user.drawn;
        self.past_of_user.1 += session.of_user.folded;
        self.past_committed.0 += session.steps;
        self.past_committed.1 += session.committed;
        self.due = 0;
        self.overrun = 0;
        self.settled_last.fill(None);
        for (id, fate) in self.fates.iter_mut().enumerate() {
            let is_listed = session.holds.keys().any(|listed| usize::from(*listed) == id);
            fate.dropped += u8::from(is_listed);
            if fate.taken > 0 {
                fate.end = Some(End::WithSession);
            }
        }
    }

    fn note_taken(&mut self, id: u8, setup: &Setup) {
        let fate = &mut self.fates[usize::from(id)];
        let is_excused = match fate.end {
            None => fate.taken == 0,
            Some(End::Settled) => self.settled_last[setup.recent_slot(id)] != Some(id),
            Some(End::Expired | End::WithSession) => true,
        };
        self.taken_again |= !is_excused;
        fate.taken += 1;
        fate.end = None;
        self.overrun = 0;
        self.hour_overrun = 0;
    }

    /// Notes down that a call begins which the hold is to pay for.
    pub(crate) fn note_call(&mut self, id: u8, setup: &Setup) {
        self.fates[usize::from(id)].calls += u8::from(setup.redeliveries > 0);
    }

    fn note_charged(&mut self, id: u8, end: End) {
        let fate = &mut self.fates[usize::from(id)];
        fate.charged += 1;
        fate.end = Some(end);
    }
}

/// How the names of all holds begin.
const HOLD: &str = "hold#";

/// By how much an update changes an amount, if it adds to it.
fn amount(update: &Update, attribute: &str) -> Option<i128> {
    update.changes.iter().find_map(|change| match change {
        Change::Add(name, amount) if name == attribute => Some(*amount),
        _ => None,
    })
}
