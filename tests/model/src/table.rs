//! The two items, and the writes that change them, each as one step.
//!
//! The conditions and changes are those of `router-aws`, `ledger/writes.rs` and
//! `ledger/funding.rs`; each function names the one that it mirrors.

use std::collections::BTreeMap;

use router_core::charge::Charge;
use router_core::ledger::{Account, Demand, Limits};
use router_core::units::{MicroUsd, Tokens};

use crate::{Flaw, Setup};

/// There are never so many folds in a tick.
const FOLDS_PER_TICK: u8 = 16;

/// The table: one session and its tenant's day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    /// `SESSION#<id>` / `BUDGET`.
    pub session: Option<Session>,
    /// `TENANT#<id>` / `DAY#<date>`.
    pub day: Day,
}

/// A session's item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Invocations.
    pub steps: u8,
    /// Settled and held.
    pub committed: u8,
    /// Settled.
    pub spent: u8,
    /// Drawn from the tenant's day.
    pub drawn: u8,
    /// What is left of that.
    pub room: i8,
    /// When the session is over.
    pub expires_at: u8,
    /// The holds by their ids.
    pub holds: BTreeMap<u8, Held>,
    /// The ids of holds settled recently.
    pub recent: Vec<Option<u8>>,
    /// Changes whenever its spending is added to the tenant's day, and is another in another
    /// session: it counts on from the time of the first reservation.
    pub folds: u8,
    /// How much of it.
    pub folded: u8,
    /// The limit that an operator has set.
    pub limit: Option<u8>,
}

/// What a hold says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// What is held.
    pub amount: u8,
    /// When it belongs to a dead invocation.
    pub expires: u8,
}

/// A tenant's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Day {
    /// What sessions have drawn.
    pub drawn: u8,
    /// What they said that they spent.
    pub spent: u8,
}

/// What a reservation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// The hold's id.
    pub id: u8,
    /// What is to be held.
    pub amount: u8,
    /// The time of the reservation.
    pub now: u8,
    /// When the hold expires.
    pub expires: u8,
}

/// What a reservation takes the session's item to be like; else it is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// The limit.
    pub limit: u8,
    /// Whether the limit was read from the session's item; else it is the policy's.
    pub is_limit_of_item: bool,
    /// Whether the session lasts longer than the reservation would have it.
    pub lasts_longer: bool,
}

/// A session's spending as it was read, to be added to the tenant's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fold {
    /// [`Session::folds`] as it was.
    pub folds: u8,
    /// What was spent.
    pub spent: u8,
    /// How much of that had been added.
    pub folded: u8,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    /// A hold, with money that the session has drawn.
    Take {
        /// What is asked.
        ask: Ask,
        /// What the item is taken to be like.
        terms: Terms,
    },
    /// A session's first hold, in one transaction with the money for it.
    Open {
        /// What is asked.
        ask: Ask,
        /// What is drawn from the tenant's day.
        draw: u8,
    },
    /// A hold, in one transaction with the money that it needs.
    Fund {
        /// What is asked.
        ask: Ask,
        /// What the item is taken to be like.
        terms: Terms,
        /// What is drawn from the tenant's day.
        draw: u8,
        /// What the session lacked when it was read.
        needed: u8,
        /// What is added to the tenant's day as spent.
        fold: Option<Fold>,
    },
    /// A hold's replacement by what was used.
    Settle {
        /// The hold.
        id: u8,
        /// What was held.
        held: u8,
        /// What was used.
        used: u8,
    },
    /// The move of expired holds from held to spent.
    ChargeExpired(
        /// The holds with what they hold.
        Vec<(u8, u8)>,
    ),
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is applied.
    Done,
    /// The session's item does not meet its condition.
    Condition,
    /// The tenant's day does not.
    NotEnough,
}

impl Session {
    /// The account of `router-core`, under `limit`.
    pub fn account(&self, limit: u8, max_steps: u8) -> Account {
        let limits = limits(limit, max_steps);
        let (committed, spent) = (charge(self.committed), charge(self.spent));
        Account { steps: self.steps.into(), handoffs: 0, committed, spent, limits }
    }

    /// Mirrors `SessionItem::expired_holds`.
    pub fn expired_holds(&self, now: u8) -> Vec<(u8, u8)> {
        let expired = self.holds.iter().filter(|(_, held)| held.expires <= now);
        expired.map(|(id, held)| (*id, held.amount)).collect()
    }

    /// What invocations under way hold.
    pub fn held(&self) -> u8 {
        self.holds.values().map(|held| held.amount).sum()
    }

    /// Whether the session lasts longer than a reservation would have it.
    pub(crate) fn lasts_longer(&self, ask: &Ask, setup: &Setup) -> bool {
        self.expires_at > ask.session_expiry(setup)
    }

    /// Mirrors the condition of `writes::take_whatever_is_drawn`.
    fn may_take(&self, ask: &Ask, terms: &Terms, setup: &Setup) -> bool {
        let is_recent = self.recent[setup.recent_slot(ask.id)] == Some(ask.id);
        let is_limit_in_force = match self.limit {
            Some(set) => set == terms.limit,
            None => !terms.is_limit_of_item || setup.has(Flaw::LimitOutlivesSession),
        };
        let has_room = self.committed + ask.amount <= terms.limit && self.steps < setup.max_steps;
        let is_end_in_order = terms.lasts_longer == self.lasts_longer(ask, setup);
        self.expires_at > ask.now
            && (!self.holds.contains_key(&ask.id) || setup.has(Flaw::HoldTakenTwice))
            && !is_recent
            && is_limit_in_force
            && (is_end_in_order || setup.has(Flaw::ExpiryMovesBack))
            && (has_room || setup.has(Flaw::CheckedThenTaken))
    }

    /// Mirrors the changes of `writes::take_whatever_is_drawn`.
    fn put_hold(&mut self, ask: &Ask, terms: &Terms, setup: &Setup) {
        self.steps += 1;
        self.committed += ask.amount;
        self.holds.insert(ask.id, ask.held());
        if !terms.lasts_longer {
            self.expires_at = ask.session_expiry(setup);
        }
    }
}

impl Write {
    /// What it asks for, if it is to take a hold.
    pub(crate) fn ask(&self) -> Option<&Ask> {
        match self {
            Self::Take { ask, .. } | Self::Open { ask, .. } | Self::Fund { ask, .. } => Some(ask),
            Self::Settle { .. } | Self::ChargeExpired(_) => None,
        }
    }
}

impl Ask {
    fn held(&self) -> Held {
        Held { amount: self.amount, expires: self.expires }
    }

    /// What is asked of each limit.
    pub(crate) fn demand(&self) -> Demand {
        Demand { steps: 1, handoffs: 0, charge: charge(self.amount) }
    }

    /// Mirrors `Reservation::session_expiry`.
    fn session_expiry(&self, setup: &Setup) -> u8 {
        self.expires.max(self.now + setup.idle_ttl)
    }
}

impl Table {
    /// Applies a write, if its condition holds.
    pub fn apply(&mut self, write: &Write, setup: &Setup) -> Answer {
        match write {
            Write::Take { ask, terms } => self.take(ask, terms, setup),
            Write::Open { ask, draw } => self.open(ask, *draw, setup),
            Write::Fund { ask, terms, draw, fold, .. } => {
                self.fund(ask, terms, *draw, fold.as_ref(), setup)
            }
            Write::Settle { id, held, used } => self.settle(*id, *held, *used, setup),
            Write::ChargeExpired(expired) => self.charge_expired(expired, setup),
        }
    }

    /// Mirrors `writes::take`.
    fn take(&mut self, ask: &Ask, terms: &Terms, setup: &Setup) -> Answer {
        let Some(session) = &mut self.session else { return Answer::Condition };
        if !session.may_take(ask, terms, setup) || session.room < signed(ask.amount) {
            return Answer::Condition;
        }
        session.put_hold(ask, terms, setup);
        session.room -= signed(ask.amount);
        Answer::Done
    }

    /// Mirrors the transaction of `DynamoLedger::open`: `first_item` and `tenant_update`.
    fn open(&mut self, ask: &Ask, draw: u8, setup: &Setup) -> Answer {
        let is_live = self.session.as_ref().is_some_and(|old| old.expires_at > ask.now);
        if is_live && !setup.has(Flaw::LiveSessionReplaced) {
            return Answer::Condition;
        }
        if !self.day.draw(draw, 0, setup) {
            return Answer::NotEnough;
        }
        self.session = Some(Session {
            steps: 1,
            committed: ask.amount,
            spent: 0,
            drawn: draw,
            room: signed(draw) - signed(ask.amount),
            expires_at: ask.session_expiry(setup),
            holds: BTreeMap::from([(ask.id, ask.held())]),
            recent: vec![None; usize::from(setup.recent_slots)],
            folds: if setup.has(Flaw::FoldedIntoNextSession) {
                0
            } else {
                ask.now * FOLDS_PER_TICK
            },
            folded: 0,
            limit: None,
        });
        Answer::Done
    }

    /// Mirrors the transaction of `DynamoLedger::fund`: `take_whatever_is_drawn`,
    /// `fold_session` and `tenant_update`.
    fn fund(
        &mut self,
        ask: &Ask,
        terms: &Terms,
        draw: u8,
        fold: Option<&Fold>,
        setup: &Setup,
    ) -> Answer {
        let Some(session) = &mut self.session else { return Answer::Condition };
        let change = signed(draw) - signed(ask.amount);
        let has_room = session.room + change >= 0 || setup.has(Flaw::RoomNotChecked);
        let is_as_it_was = fold.is_none_or(|fold| session.folds == fold.folds);
        let may_fold = is_as_it_was || setup.has(Flaw::FoldedTwice);
        if !session.may_take(ask, terms, setup) || !has_room || !may_fold {
            return Answer::Condition;
        }
        let spent = fold.map_or(0, |fold| fold.spent - fold.folded);
        if !self.day.draw(draw, spent, setup) {
            return Answer::NotEnough;
        }
        session.put_hold(ask, terms, setup);
        session.room += change;
        session.drawn += draw;
        if let Some(fold) = fold {
            session.folds = fold.folds + 1;
            session.folded = fold.spent;
        }
        Answer::Done
    }

    /// Mirrors `writes::settle`.
    fn settle(&mut self, id: u8, held: u8, used: u8, setup: &Setup) -> Answer {
        let Some(session) = &mut self.session else { return Answer::Condition };
        if session.holds.remove(&id).is_none() && !setup.has(Flaw::SettledWithoutHold) {
            return Answer::Condition;
        }
        let account = session.account(setup.limit, setup.max_steps);
        let settled = account.settled(charge(held), charge(used));
        session.committed = amount(settled.committed);
        session.spent = amount(settled.spent);
        session.room += signed(held) - signed(used);
        if !setup.has(Flaw::NoRecentIds) {
            session.recent[setup.recent_slot(id)] = Some(id);
        }
        Answer::Done
    }

    /// Mirrors `writes::charge_expired`.
    fn charge_expired(&mut self, expired: &[(u8, u8)], setup: &Setup) -> Answer {
        let Some(session) = &mut self.session else { return Answer::Condition };
        let are_there = expired.iter().all(|(id, _)| session.holds.contains_key(id));
        if !are_there && !setup.has(Flaw::ExpiredWithoutHold) {
            return Answer::Condition;
        }
        for (id, amount) in expired {
            session.holds.remove(id);
            session.spent += amount;
        }
        Answer::Done
    }
}

impl Day {
    /// Mirrors `DynamoLedger::tenant_update`. False: there is not enough left.
    fn draw(&mut self, draw: u8, spent: u8, setup: &Setup) -> bool {
        if self.drawn + draw > setup.day_limit && !setup.has(Flaw::DayDrawnBlindly) {
            return false;
        }
        self.drawn += draw;
        self.spent += spent;
        true
    }
}

/// The session's limits of `router-core`: money and steps.
pub(crate) fn limits(limit: u8, max_steps: u8) -> Limits {
    Limits { steps: max_steps.into(), handoffs: 0, tokens: Tokens(0), cost: cost(limit) }
}

/// An amount as a charge: of money alone.
pub(crate) fn charge(amount: u8) -> Charge {
    Charge { tokens: Tokens(0), cost: cost(amount) }
}

fn cost(amount: u8) -> MicroUsd {
    MicroUsd(amount.into())
}

fn amount(charge: Charge) -> u8 {
    u8::try_from(charge.cost.0).unwrap_or(u8::MAX)
}

pub(crate) fn signed(amount: u8) -> i8 {
    i8::try_from(amount).unwrap_or(i8::MAX)
}
