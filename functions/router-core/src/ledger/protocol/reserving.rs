//! Taking holds: the requests that a reservation makes, and what their answers mean.

use std::time::Duration;

use super::{Next, backoff};
use crate::error::Cause;
use crate::ledger::funding::{self, Draws};
use crate::ledger::session::SessionItem;
use crate::ledger::source::Source;
use crate::ledger::terms::Terms;
use crate::ledger::{
    Exhausted, HoldRequest, Holds, Limits, Reservation, ReserveError, hour, writes,
};
use crate::store::{Answer, Item, ItemKey, Request, Write};

/// How often a reservation is begun again, because another request changed the session.
pub(super) const ROUNDS: u32 = 12;
/// The same where all gateway sessions write one item.
const ROUNDS_OF_GATEWAYS: u32 = 40;

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
    ChargeExpired { shown: Shown, session: SessionItem, count: u32 },
    /// To begin the session with the holds.
    Open(Draws),
    /// To take the holds and the money for them.
    Fund { session: SessionItem, draws: Draws },
    /// To see what a transaction has written. It does not answer with the items, and who else is
    /// there decides about the lane.
    ReadBack,
    /// To see the account of a session that the gateways' hour has no room for.
    ReadRefused { hour: Item },
}

/// What an item shows of the holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shown {
    /// They were not taken.
    Refused,
    /// They were taken by the write that the item answers.
    Taken,
    /// They were taken a moment ago.
    TakenBefore,
    /// They were not taken, since the hour of the gateways, which this is, has no room for them.
    HourIsFull(Item),
}

/// What has no room in a transaction, or was changed by another request.
enum Refusal {
    Session,
    Day(Source, Item),
    Hour(Item),
}

/// How a reservation ends.
type Reserved = Result<Holds, ReserveError>;

impl Reserving {
    /// The first request for a reservation.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Unusable`] when it asks for nothing.
    pub fn begin(reservation: &Reservation<'_>) -> Result<Self, ReserveError> {
        if reservation.holds.is_empty() && reservation.opening.is_none() {
            return Err(ReserveError::Unusable("no hold was asked for".into()));
        }
        let terms = Terms::of_policy(reservation);
        let is_gateways = reservation.payer.gateway_hour.is_some();
        Ok(Self {
            terms,
            round: 0,
            rounds: if is_gateways { ROUNDS_OF_GATEWAYS } else { ROUNDS },
            is_begun_again: false,
            expired_holds: 0,
            step: Step::Take,
            request: writes::take(reservation, &terms),
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
        self.is_begun_again.then(|| backoff(reservation.spread(), self.round - 1))
    }

    /// What follows an answer to [`Self::request`]. `reservation` is the one that was begun.
    pub fn on(mut self, reservation: &Reservation<'_>, answer: Answer) -> Next<Self, Reserved> {
        let reserved = match self.take_answer(reservation, answer) {
            Ok(None) => return Next::Send(self),
            Ok(Some(holds)) => Ok(Holds { expired_holds: self.expired_holds, ..holds }),
            Err(ReserveError::Exhausted(exhausted)) => {
                Err(ReserveError::Exhausted(self.with_expired(exhausted)))
            }
            Err(ReserveError::NearlyExhausted(exhausted)) => {
                Err(ReserveError::NearlyExhausted(self.with_expired(exhausted)))
            }
            Err(error) => Err(error),
        };
        Next::Done(reserved)
    }

    fn with_expired(&self, mut exhausted: Box<Exhausted>) -> Box<Exhausted> {
        exhausted.expired_holds = self.expired_holds;
        exhausted
    }

    /// `None`: there is another request.
    fn take_answer(
        &mut self,
        reservation: &Reservation<'_>,
        answer: Answer,
    ) -> Result<Option<Holds>, ReserveError> {
        let step = std::mem::replace(&mut self.step, Step::Take);
        match (step, answer) {
            (Step::ChargeExpired { shown, session, count }, answer) => {
                let session = match answer {
                    Answer::Done(item) => {
                        self.expired_holds += count;
                        // A transaction shows no item; what it changed decides about nothing here.
                        item.map_or(session.clone(), |item| session.with(item))
                    }
                    // Another request has moved them, or will.
                    _ => session,
                };
                self.decide(reservation, shown, session)
            }
            (_, Answer::Unusable(cause)) => Err(ReserveError::Unusable(cause)),
            (_, Answer::Unavailable(cause)) => Err(ReserveError::Unavailable(cause)),
            (Step::Take, Answer::Done(Some(item))) => {
                self.charge_expired(reservation, Shown::Taken, item)
            }
            (Step::Take | Step::Fund { .. }, Answer::Done(_)) => {
                self.read_session(reservation, Step::ReadBack)
            }
            (Step::Take, Answer::Refused { write, item }) => {
                match self.refusal(reservation, None, write, item.clone()) {
                    Refusal::Hour(hour) => {
                        self.read_session(reservation, Step::ReadRefused { hour })
                    }
                    _ => match item {
                        Some(item) => self.charge_expired(reservation, Shown::Refused, item),
                        None => self.open_session(reservation),
                    },
                }
            }
            (Step::Open(draws), Answer::Done(_)) => {
                let begun = funding::first_item(reservation, &draws);
                Ok(Some(SessionItem::new(begun, &policy_limits(reservation)).holds(reservation)))
            }
            (Step::Open(draws), Answer::Refused { write, item }) => {
                let session = unbegun(reservation);
                match self.refusal(reservation, Some(&draws), write, item) {
                    Refusal::Session => self.begin_again(reservation),
                    Refusal::Hour(hour) => no_room_in(&hour, reservation, &session),
                    Refusal::Day(source, day) => {
                        let account = session.account();
                        let draws = draws.exactly(source, reservation, &day, account);
                        self.open(reservation, draws.map_err(ReserveError::Exhausted)?)
                    }
                }
            }
            (Step::Fund { session, draws }, Answer::Refused { write, item }) => {
                match self.refusal(reservation, Some(&draws), write, item) {
                    Refusal::Session => self.begin_again(reservation),
                    Refusal::Hour(hour) => no_room_in(&hour, reservation, &session),
                    Refusal::Day(source, day) => {
                        let account = session.account();
                        let draws = draws.exactly(source, reservation, &day, account);
                        self.fund(reservation, session, draws.map_err(ReserveError::Exhausted)?)
                    }
                }
            }
            (Step::ReadBack, Answer::Done(item)) => {
                self.charge_expired(reservation, Shown::TakenBefore, item.unwrap_or_default())
            }
            (Step::ReadRefused { hour }, Answer::Done(item)) => {
                let shown = Shown::HourIsFull(hour);
                self.charge_expired(reservation, shown, item.unwrap_or_default())
            }
            (_, Answer::Refused { .. } | Answer::Contended) => self.begin_again(reservation),
        }
    }

    /// Which of the writes was refused. The session's is the first, so that a transaction which is
    /// repeated meets its own holds.
    fn refusal(
        &self,
        reservation: &Reservation<'_>,
        draws: Option<&Draws>,
        write: usize,
        item: Option<Item>,
    ) -> Refusal {
        let key = match &self.request {
            Request::Transact(writes) => writes.get(write).map(Write::key),
            Request::Update(_) | Request::Read(_) => None,
        };
        let source = |key| draws.and_then(|draws| draws.source_of(key, reservation));
        let item = item.unwrap_or_default();
        match key {
            Some(key) if hour::is_of(key, reservation.now) => Refusal::Hour(item),
            Some(key) => source(key).map_or(Refusal::Session, |source| Refusal::Day(source, item)),
            None => Refusal::Session,
        }
    }

    fn read_session(
        &mut self,
        reservation: &Reservation<'_>,
        step: Step,
    ) -> Result<Option<Holds>, ReserveError> {
        self.send(step, Request::Read(ItemKey::session(reservation.payer.session)))
    }

    fn begin_again(
        &mut self,
        reservation: &Reservation<'_>,
    ) -> Result<Option<Holds>, ReserveError> {
        self.is_begun_again = true;
        self.take(reservation)
    }

    /// What the item says of the session comes second: what dead invocations hold is moved first.
    /// What they really used is unknown, so it stays charged at the hold.
    fn charge_expired(
        &mut self,
        reservation: &Reservation<'_>,
        shown: Shown,
        item: Item,
    ) -> Result<Option<Holds>, ReserveError> {
        let session = SessionItem::new(item, &self.terms.limits);
        let expired = session.expired_holds(reservation.now);
        if expired.is_empty() || session.is_over(reservation.now) {
            return self.decide(reservation, shown, session);
        }
        let request = writes::charge_expired(reservation.payer.session, &expired);
        let count = u32::try_from(expired.len()).unwrap_or(u32::MAX);
        self.send(Step::ChargeExpired { shown, session, count }, request)
    }

    /// Reads from the session's item why the holds could not be taken, unless they were.
    fn decide(
        &mut self,
        reservation: &Reservation<'_>,
        shown: Shown,
        session: SessionItem,
    ) -> Result<Option<Holds>, ReserveError> {
        match shown {
            Shown::Taken => return Ok(Some(session.holds(reservation))),
            Shown::TakenBefore => return Ok(Some(session.holds_found(reservation))),
            Shown::HourIsFull(hour) => return no_room_in(&hour, reservation, &session),
            Shown::Refused => {}
        }
        let held = reservation.holds.iter().filter(|hold| session.has_hold(hold.id)).count();
        if held == reservation.holds.len() && (held > 0 || session.has_ticket(reservation)) {
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
        if let Some(refusal) = session.refuse(reservation) {
            return Err(refusal);
        }
        // Only money that was drawn can have been missing.
        let cost = i128::from(reservation.demand().charge.cost.0);
        let draws = Draws::blocks(reservation, |source| {
            let missing = cost - session.room(source);
            u64::try_from(missing).ok().filter(|missing| *missing > 0)
        });
        self.fund(reservation, session, draws)
    }

    /// A further round.
    fn take(&mut self, reservation: &Reservation<'_>) -> Result<Option<Holds>, ReserveError> {
        self.round += 1;
        if self.round >= self.rounds {
            return Err(ReserveError::Unusable("the session changed under every attempt".into()));
        }
        self.send(Step::Take, writes::take(reservation, &self.terms))
    }

    /// Begins a session that does not exist, or is over.
    fn open_session(
        &mut self,
        reservation: &Reservation<'_>,
    ) -> Result<Option<Holds>, ReserveError> {
        let empty = unbegun(reservation);
        if let Some(refusal) = empty.refuse(reservation) {
            return Err(refusal);
        }
        let demand = reservation.demand();
        self.open(reservation, Draws::blocks(reservation, |_| Some(demand.charge.cost.0)))
    }

    fn open(
        &mut self,
        reservation: &Reservation<'_>,
        draws: Draws,
    ) -> Result<Option<Holds>, ReserveError> {
        let writes = funding::open(reservation, &draws);
        self.send(Step::Open(draws), Request::Transact(writes))
    }

    fn fund(
        &mut self,
        reservation: &Reservation<'_>,
        session: SessionItem,
        draws: Draws,
    ) -> Result<Option<Holds>, ReserveError> {
        // Where many draw at once, only the first round folds.
        let fold = self.round == 0;
        let writes = funding::fund(reservation, &self.terms, &session, &draws, fold);
        self.send(Step::Fund { session, draws }, Request::Transact(writes))
    }

    fn send(&mut self, step: Step, request: Request) -> Result<Option<Holds>, ReserveError> {
        self.step = step;
        self.request = request;
        Ok(None)
    }
}

/// The hour of the gateways has no room for the holds.
fn no_room_in(
    hour: &Item,
    reservation: &Reservation<'_>,
    session: &SessionItem,
) -> Result<Option<Holds>, ReserveError> {
    let exhausted = hour::exhausted(reservation, hour, session.account());
    let error = exhausted.map(Box::new).map(ReserveError::Exhausted);
    Err(error.unwrap_or(ReserveError::Unusable("an hour was written that is not asked of".into())))
}

fn policy_limits(reservation: &Reservation<'_>) -> Limits {
    Limits::from(reservation.payer.limits)
}

/// A session that has not begun.
fn unbegun(reservation: &Reservation<'_>) -> SessionItem {
    SessionItem::new(Item::default(), &policy_limits(reservation))
}
