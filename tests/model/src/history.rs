//! What really happened, kept beside the table, to judge the table by.

use crate::Setup;
use crate::table::{Session, Table, Write};

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
        }
    }

    /// Notes down a write that was applied to the table as it was `before`.
    pub(crate) fn note(&mut self, before: &Table, write: &Write, setup: &Setup) {
        let was_listed =
            |id: u8| before.session.as_ref().is_some_and(|session| session.holds.contains_key(&id));
        match write {
            Write::Open { ask, .. } => {
                self.note_session_end(before.session.as_ref());
                self.note_taken(ask.id, setup);
            }
            Write::Take { ask, .. } | Write::Fund { ask, .. } => self.note_taken(ask.id, setup),
            Write::Settle { id, held, used } if was_listed(*id) => {
                self.note_charged(*id, End::Settled, *used);
                self.settled_last[setup.recent_slot(*id)] = Some(*id);
                self.overrun += used.saturating_sub(*held);
            }
            Write::Settle { .. } => {}
            Write::ChargeExpired(expired) => {
                for (id, amount) in expired.iter().filter(|(id, _)| was_listed(*id)) {
                    self.note_charged(*id, End::Expired, *amount);
                }
            }
        }
    }

    /// Notes down that the session was deleted or replaced.
    pub(crate) fn note_session_end(&mut self, session: Option<&Session>) {
        let Some(session) = session else { return };
        self.past_drawn += session.drawn;
        self.past_folded += session.folded;
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
    }

    /// Notes down that a call begins which the hold is to pay for.
    pub(crate) fn note_call(&mut self, id: u8, setup: &Setup) {
        self.fates[usize::from(id)].calls += u8::from(setup.redeliveries > 0);
    }

    fn note_charged(&mut self, id: u8, end: End, amount: u8) {
        let fate = &mut self.fates[usize::from(id)];
        fate.charged += 1;
        fate.end = Some(end);
        self.due += amount;
    }
}
