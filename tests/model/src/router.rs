//! A router: what it asks of the table next, and what an answer makes of that.
//!
//! The decisions are the core's: [`Reserving`] and [`Settling`], which also the function drives.

use router_core::ledger::{Next, Reserving, Settling};
use router_core::store::{Answer, Request};

use crate::cast::{Ask, Cast};
use crate::hashed::Hashed;
use crate::table::Table;
use crate::{Flaw, Setup};

/// A router: one invocation of the function at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Router {
    /// How many requests it has begun.
    pub begun: u8,
    /// What it is doing.
    pub phase: Phase,
}

/// What a router is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing: no request, or the router that had it has died.
    Idle,
    /// It looks whether there is room: only in the flawed protocol that checks first.
    Checking(Ask),
    /// It takes holds.
    Reserving(Ask, Hashed<Reserving>),
    /// It waits for specialists.
    Invoking(Ask),
    /// It replaces the holds by what was used.
    Settling {
        /// What was held.
        ask: Ask,
        /// What was used, by branch.
        used: Vec<u8>,
        /// The settlement.
        settling: Hashed<Settling>,
    },
}

impl Router {
    /// A router that has done nothing.
    pub(crate) fn new() -> Self {
        Self { begun: 0, phase: Phase::Idle }
    }

    /// Begins a request of its own.
    pub(crate) fn begin(&mut self, ask: Ask, setup: &Setup, cast: &Cast) {
        self.begun += 1;
        self.reserve(ask, setup, cast);
    }

    /// Begins a reservation.
    pub(crate) fn reserve(&mut self, ask: Ask, setup: &Setup, cast: &Cast) {
        self.phase = match setup.has(Flaw::CheckedThenTaken) {
            true => Phase::Checking(ask),
            false => reserving(ask, setup, cast),
        };
    }

    /// Ends the calls, which have used so much.
    pub(crate) fn settle(&mut self, ask: Ask, used: Vec<u8>, cast: &Cast) {
        let settling = cast.settling(&ask, &used, |all| Settling::begin(&cast.payer(), all));
        self.phase = settling.map_or(Phase::Idle, |settling| Phase::Settling {
            ask,
            used,
            settling: Hashed::new(settling),
        });
    }

    /// Whether the table is to answer it.
    pub(crate) fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Invoking(_))
    }

    /// What its request asks for.
    pub fn ask(&self) -> Option<&Ask> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Checking(ask)
            | Phase::Reserving(ask, _)
            | Phase::Invoking(ask)
            | Phase::Settling { ask, .. } => Some(ask),
        }
    }

    /// What the table is asked.
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.phase {
            Phase::Idle | Phase::Invoking(_) | Phase::Checking(_) => None,
            Phase::Reserving(_, reserving) => Some(reserving.request()),
            Phase::Settling { settling, .. } => Some(settling.request()),
        }
    }

    /// Goes on after the table's answer.
    pub(crate) fn answered(&mut self, answer: Answer, cast: &Cast) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Reserving(ask, machine) => {
                let machine = Reserving::clone(&machine);
                match cast.reserving(&ask, |reservation| machine.on(reservation, answer)) {
                    Next::Send(machine) => Phase::Reserving(ask, Hashed::new(machine)),
                    Next::Done(Ok(_)) => Phase::Invoking(ask),
                    Next::Done(Err(_)) => Phase::Idle,
                }
            }
            Phase::Settling { ask, used, settling } => {
                let machine = Settling::clone(&settling);
                let payer = cast.payer();
                match cast.settling(&ask, &used, |all| machine.on(&payer, all, answer)) {
                    Next::Send(machine) => {
                        Phase::Settling { ask, used, settling: Hashed::new(machine) }
                    }
                    Next::Done(_) => Phase::Idle,
                }
            }
            phase @ (Phase::Idle | Phase::Checking(_) | Phase::Invoking(_)) => phase,
        };
    }

    /// Gives up when its check found no room.
    pub(crate) fn check(&mut self, table: &Table, setup: &Setup, cast: &Cast) {
        let Phase::Checking(ask) = self.phase else { return };
        let has_room = table.session.as_ref().is_none_or(|session| {
            session.has_room(&ask, session.limit.unwrap_or(setup.limit), setup.max_steps)
        });
        self.phase = if has_room { reserving(ask, setup, cast) } else { Phase::Idle };
    }
}

fn reserving(ask: Ask, setup: &Setup, cast: &Cast) -> Phase {
    match cast.reserving(&ask, Reserving::begin) {
        Ok(machine) => Phase::Reserving(ask, Hashed::new(machine.with_rounds(setup.rounds.into()))),
        Err(_) => Phase::Idle,
    }
}
