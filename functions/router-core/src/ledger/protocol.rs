//! How holds are taken and settled, one request to the table at a time.
//!
//! A session is one item. A condition of the table's has no arithmetic, so the item keeps what is
//! committed (settled and held together), and the condition compares that with the limit less what
//! is asked: checking and taking are one write. Each hold is an attribute of its own, `hold#<id>`,
//! whose absence is part of the condition: a write that is repeated, because its answer was lost,
//! finds its own hold and takes no second. Settling removes the attribute and leaves the id in one
//! of sixteen `recent_<n>`, which a late duplicate of the first write runs into.
//!
//! Both machines are values: an answer makes the next of one. The adapter and the model check
//! drive them alike, and nothing is decided anywhere else.

use std::time::Duration;

use super::funding::{self, Draw, TENANT};
use super::session::{SessionItem, hold_attribute};
use super::terms::Terms;
use super::{
    Exhausted, HoldRequest, Holds, Limits, Payer, Reservation, ReserveError, Settlement, writes,
};
use crate::error::Cause;
use crate::ids::HoldId;
use crate::store::{Answer, Item, ItemKey, Request};

/// How often a reservation is begun again, because another request changed the session.
const ROUNDS: u32 = 12;

/// What follows an answer of the table's.
#[derive(Debug)]
pub enum Next<M, T> {
    /// The machine has another request.
    Send(M),
    /// It is at its end.
    Done(T),
}

/// A reservation under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reserving {
    terms: Terms,
    round: u32,
    rounds: u32,
    is_begun_again: bool,
    expired_holds: u32,
    step: Step,
    request: Request,
}

/// What the request of a reservation is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// To take the holds with money that the session has drawn.
    Take,
    /// To move what dead invocations hold from held to spent. The item shows it as held still.
    ChargeExpired { is_taken: bool, session: SessionItem, count: u32 },
    /// To begin the session with the holds.
    Open(Draw),
    /// To take the holds and the money for them.
    Fund { session: SessionItem, draw: Draw },
    /// To see what a transaction has written. It does not answer with the items, and who else is
    /// there decides about the lane.
    ReadBack,
}

/// How a reservation ends.
type Reserved = Result<Holds, ReserveError>;

impl Reserving {
    /// The first request for a reservation.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Unusable`] when it asks for no hold.
    pub fn begin(reservation: &Reservation<'_>) -> Result<Self, ReserveError> {
        if reservation.holds.is_empty() {
            return Err(ReserveError::Unusable("no hold was asked for".into()));
        }
        let terms = Terms::of_policy(reservation);
        Ok(Self {
            terms,
            round: 0,
            rounds: ROUNDS,
            is_begun_again: false,
            expired_holds: 0,
            step: Step::Take,
            request: Request::Update(writes::take(reservation, &terms)),
        })
    }

    /// The same with another number of rounds.
    #[must_use]
    pub fn with_rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    /// What the table is asked now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// How long to wait before the request, so that those who met at the session do not meet again.
    pub fn pause(&self, reservation: &Reservation<'_>) -> Option<Duration> {
        let first = reservation.holds.first().filter(|_| self.is_begun_again)?;
        Some(backoff(first.id, self.round - 1))
    }

    /// What follows an answer to [`Self::request`]. `reservation` is the one that was begun.
    pub fn on(mut self, reservation: &Reservation<'_>, answer: Answer) -> Next<Self, Reserved> {
        let reserved = match self.take_answer(reservation, answer) {
            Ok(None) => return Next::Send(self),
            Ok(Some(holds)) => Ok(Holds { expired_holds: self.expired_holds, ..holds }),
            Err(ReserveError::Exhausted(exhausted)) => {
                let expired_holds = self.expired_holds;
                Err(ReserveError::Exhausted(Exhausted { expired_holds, ..exhausted }))
            }
            Err(error) => Err(error),
        };
        Next::Done(reserved)
    }

    /// `None`: there is another request.
    fn take_answer(
        &mut self,
        reservation: &Reservation<'_>,
        answer: Answer,
    ) -> Result<Option<Holds>, ReserveError> {
        let step = std::mem::replace(&mut self.step, Step::Take);
        match (step, answer) {
            (Step::ChargeExpired { is_taken, session, count }, answer) => {
                let session = match answer {
                    Answer::Done(Some(item)) => {
                        self.expired_holds += count;
                        session.with(item)
                    }
                    // Another request has moved them, or will.
                    _ => session,
                };
                self.decide(reservation, is_taken, session)
            }
            (_, Answer::Unusable(cause)) => Err(ReserveError::Unusable(cause)),
            (_, Answer::Unavailable(cause)) => Err(ReserveError::Unavailable(cause)),
            (Step::Take, Answer::Done(item)) => {
                self.charge_expired(reservation, true, item.unwrap_or_default())
            }
            (Step::Take, Answer::Refused { item: Some(item), .. }) => {
                self.charge_expired(reservation, false, item)
            }
            (Step::Take, Answer::Refused { item: None, .. }) => self.open_session(reservation),
            (Step::Open(draw), Answer::Done(_)) => {
                let begun = funding::first_item(reservation, draw);
                Ok(Some(SessionItem::new(begun, &policy_limits(reservation)).holds(reservation)))
            }
            (Step::Open(draw), Answer::Refused { write: TENANT, item }) => {
                let day = item.unwrap_or_default();
                let draw = draw.exactly(reservation, &day, unbegun(reservation).account());
                self.open(reservation, draw.map_err(ReserveError::Exhausted)?)
            }
            (Step::Fund { .. }, Answer::Done(_)) => {
                let key = ItemKey::session(reservation.payer.session);
                self.send(Step::ReadBack, Request::Read(key))
            }
            (Step::Fund { session, draw }, Answer::Refused { write: TENANT, item }) => {
                let draw = draw.exactly(reservation, &item.unwrap_or_default(), session.account());
                self.fund(reservation, session, draw.map_err(ReserveError::Exhausted)?)
            }
            (Step::ReadBack, Answer::Done(item)) => {
                let session = SessionItem::new(item.unwrap_or_default(), &self.terms.limits);
                Ok(Some(session.holds_found(reservation)))
            }
            (_, Answer::Refused { .. } | Answer::Contended) => {
                self.is_begun_again = true;
                self.take(reservation)
            }
        }
    }

    /// What the item says of the session comes second: what dead invocations hold is moved first.
    /// What they really used is unknown, so it stays charged at the hold.
    fn charge_expired(
        &mut self,
        reservation: &Reservation<'_>,
        is_taken: bool,
        item: Item,
    ) -> Result<Option<Holds>, ReserveError> {
        let session = SessionItem::new(item, &self.terms.limits);
        let expired = session.expired_holds(reservation.now);
        if expired.is_empty() || session.is_over(reservation.now) {
            return self.decide(reservation, is_taken, session);
        }
        let update = writes::charge_expired(&reservation.payer, &expired);
        let count = u32::try_from(expired.len()).unwrap_or(u32::MAX);
        let step = Step::ChargeExpired { is_taken, session, count };
        self.send(step, Request::Update(update))
    }

    /// Reads from the session's item why the holds could not be taken, unless they were.
    fn decide(
        &mut self,
        reservation: &Reservation<'_>,
        is_taken: bool,
        session: SessionItem,
    ) -> Result<Option<Holds>, ReserveError> {
        if is_taken {
            return Ok(Some(session.holds(reservation)));
        }
        let held = reservation.holds.iter().filter(|hold| session.has_hold(hold.id)).count();
        if held == reservation.holds.len() {
            return Ok(Some(session.holds_found(reservation)));
        }
        // Of holds that were taken together, those that are gone have been settled or charged.
        let is_over = |hold: &&HoldRequest<'_>| {
            session.was_settled(hold.id) || held > 0 && !session.has_hold(hold.id)
        };
        if let Some(hold) = reservation.holds.iter().find(is_over) {
            return Err(ReserveError::AlreadySettled(hold.id.clone()));
        }
        if session.is_over(reservation.now) {
            return self.open_session(reservation);
        }
        if !session.belongs_to_tenant(reservation.payer.tenant) {
            return Err(ReserveError::OtherTenant);
        }
        if !session.belongs_to_user(reservation.payer.user) {
            return Err(ReserveError::OtherUser);
        }
        if let Some(name) = session.malformed_limit() {
            let cause = Cause::new("a limit of the session, set by hand, is not a whole number");
            return Err(ReserveError::Unusable(cause.code(Some(name))));
        }
        let shown = session.terms(reservation);
        if shown != self.terms {
            self.terms = shown;
            self.is_begun_again = false;
            return self.take(reservation);
        }
        if let Some(times) = session.times_seen(reservation) {
            return Err(ReserveError::Repeated { times });
        }
        if let Some(exhausted) = session.account().exhausted_by(&reservation.demand()) {
            return Err(ReserveError::Exhausted(exhausted));
        }
        // Only the tenant's money can have been missing.
        let cost = reservation.demand().charge.cost.0;
        let missing = i128::from(cost) - session.tenant_room();
        let draw = Draw::block(reservation, u64::try_from(missing).unwrap_or(0));
        self.fund(reservation, session, draw)
    }

    /// A further round.
    fn take(&mut self, reservation: &Reservation<'_>) -> Result<Option<Holds>, ReserveError> {
        self.round += 1;
        if self.round >= self.rounds {
            return Err(ReserveError::Unusable("the session changed under every attempt".into()));
        }
        self.send(Step::Take, Request::Update(writes::take(reservation, &self.terms)))
    }

    /// Begins a session that does not exist, or is over.
    fn open_session(
        &mut self,
        reservation: &Reservation<'_>,
    ) -> Result<Option<Holds>, ReserveError> {
        let empty = unbegun(reservation);
        if let Some(times) = empty.times_seen(reservation) {
            return Err(ReserveError::Repeated { times });
        }
        let demand = reservation.demand();
        if let Some(exhausted) = empty.account().exhausted_by(&demand) {
            return Err(ReserveError::Exhausted(exhausted));
        }
        self.open(reservation, Draw::block(reservation, demand.charge.cost.0))
    }

    fn open(
        &mut self,
        reservation: &Reservation<'_>,
        draw: Draw,
    ) -> Result<Option<Holds>, ReserveError> {
        self.send(Step::Open(draw), Request::Transact(funding::open(reservation, draw)))
    }

    fn fund(
        &mut self,
        reservation: &Reservation<'_>,
        session: SessionItem,
        draw: Draw,
    ) -> Result<Option<Holds>, ReserveError> {
        // Where many draw at once, only the first round folds.
        let fold = self.round == 0;
        let writes = funding::fund(reservation, &self.terms, &session, draw, fold);
        self.send(Step::Fund { session, draw }, Request::Transact(writes))
    }

    fn send(&mut self, step: Step, request: Request) -> Result<Option<Holds>, ReserveError> {
        self.step = step;
        self.request = request;
        Ok(None)
    }
}

/// Holds that are being settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settling {
    /// The ids of those that are not known to be gone.
    due: Vec<HoldId>,
    request: Request,
}

impl Settling {
    /// The first request that settles `settlements`; `None` where there are none.
    pub fn begin(payer: &Payer<'_>, settlements: &[Settlement<'_>]) -> Option<Self> {
        Self::of(payer, settlements.iter().collect())
    }

    fn of(payer: &Payer<'_>, due: Vec<&Settlement<'_>>) -> Option<Self> {
        let request = Request::Update(writes::settle(payer, &due));
        let due: Vec<HoldId> = due.into_iter().map(|settlement| settlement.id.clone()).collect();
        (!due.is_empty()).then_some(Self { due, request })
    }

    /// What the table is asked now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What follows an answer to [`Self::request`]; payer and settlements are those it was begun
    /// with. A hold that is gone was settled by an earlier try, or has expired; it must not keep
    /// the others.
    pub fn on(
        self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        answer: Answer,
    ) -> Next<Self, Result<(), Cause>> {
        let item = match answer {
            Answer::Done(_) => return Next::Done(Ok(())),
            Answer::Refused { item, .. } => item.unwrap_or_default(),
            Answer::Contended => return Next::Send(self),
            Answer::Unusable(cause) | Answer::Unavailable(cause) => return Next::Done(Err(cause)),
        };
        let is_due = |settlement: &&Settlement<'_>| {
            self.due.contains(settlement.id) && item.has(&hold_attribute(settlement.id))
        };
        let due: Vec<&Settlement<'_>> = settlements.iter().filter(is_due).collect();
        if due.len() == self.due.len() {
            return Next::Done(Err("the holds of the session came back".into()));
        }
        Self::of(payer, due).map_or(Next::Done(Ok(())), Next::Send)
    }
}

fn policy_limits(reservation: &Reservation<'_>) -> Limits {
    Limits::from(reservation.payer.limits)
}

/// A session that has not begun.
fn unbegun(reservation: &Reservation<'_>) -> SessionItem {
    SessionItem::new(Item::default(), &policy_limits(reservation))
}

/// How long to wait before a write for a hold is tried again: up to 5 ms at first, and twice as
/// much each time, up to 160 ms. It is different for each hold.
pub fn backoff(id: &HoldId, round: u32) -> Duration {
    let ceiling_micros = 5_000_u64 << round.min(5);
    Duration::from_micros(id.spread().rotate_left(round) % ceiling_micros)
}

#[cfg(test)]
mod tests;
