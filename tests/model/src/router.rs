//! A router: what it does next, and what an answer of the table makes of that.
//!
//! Mirrors `DynamoLedger::take` with all that it calls, and the settlement after it. Each
//! request to the table is a step of its own.

use router_core::ledger::Account;

use crate::table::{Answer, Ask, Fold, Session, Table, Terms, Write, limits, signed};
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
    /// It takes a hold.
    Reserving(Reserving),
    /// It waits for a specialist.
    Invoking(Ask),
    /// It replaces the hold by what was used.
    Settling {
        /// What was held.
        ask: Ask,
        /// What was used.
        used: u8,
    },
}

/// A reservation under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reserving {
    /// What is asked.
    pub ask: Ask,
    terms: Terms,
    round: u8,
    step: Step,
}

/// What a reservation asks of the table next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Whether there is room: only in the flawed protocol that checks first.
    Check,
    /// A write.
    Write(Write),
    /// The item that a transaction has written.
    ReadBack,
    /// The charge of expired holds; then what was decided on already.
    ChargeExpired(Vec<(u8, u8)>, Next),
}

/// What a reservation does next; mirrors `NextMove`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Next {
    Granted,
    Refused,
    /// A further round, on these terms.
    TakeAgain(Terms),
    Send(Write),
}

impl Router {
    /// A router that has done nothing.
    pub(crate) fn new() -> Self {
        Self { begun: 0, phase: Phase::Idle }
    }

    /// Begins a request of its own.
    pub(crate) fn begin(&mut self, ask: Ask, setup: &Setup) {
        self.begun += 1;
        self.reserve(ask, setup);
    }

    /// Begins a reservation.
    pub(crate) fn reserve(&mut self, ask: Ask, setup: &Setup) {
        let terms = Terms { limit: setup.limit, is_limit_of_item: false, lasts_longer: false };
        let step = match setup.has(Flaw::CheckedThenTaken) {
            true => Step::Check,
            false => Step::Write(Write::Take { ask, terms }),
        };
        self.phase = Phase::Reserving(Reserving { ask, terms, round: 0, step });
    }

    /// Whether the table is to answer it.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Reserving(_) | Phase::Settling { .. })
    }

    /// The hold that its request has, or asks for.
    pub fn ask(&self) -> Option<&Ask> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Reserving(Reserving { ask, .. })
            | Phase::Invoking(ask)
            | Phase::Settling { ask, .. } => Some(ask),
        }
    }

    /// The write that the table is to answer.
    pub(crate) fn write(&self) -> Option<Write> {
        match &self.phase {
            Phase::Idle | Phase::Invoking(_) => None,
            Phase::Settling { ask, used } => {
                Some(Write::Settle { id: ask.id, held: ask.amount, used: *used })
            }
            Phase::Reserving(Reserving { step, .. }) => match step {
                Step::Check | Step::ReadBack => None,
                Step::Write(write) => Some(write.clone()),
                Step::ChargeExpired(expired, _) => Some(Write::ChargeExpired(expired.clone())),
            },
        }
    }

    /// Goes on after an answer, which shows the table as it is.
    pub(crate) fn answered(&mut self, answer: &Answer, table: &Table, setup: &Setup) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Reserving(reserving) => reserving.answered(answer, table, setup),
            // Mirrors `DynamoLedger::settle`: a hold that is gone was settled, or has expired.
            Phase::Settling { .. } => Phase::Idle,
            phase @ (Phase::Idle | Phase::Invoking(_)) => phase,
        };
    }
}

impl Reserving {
    fn answered(self, answer: &Answer, table: &Table, setup: &Setup) -> Phase {
        let session = table.session.as_ref();
        match &self.step {
            Step::Check => {
                let next = self.next_after_check(session, setup);
                self.go_on(next, setup)
            }
            Step::Write(Write::Take { .. }) => {
                let next = match answer {
                    Answer::Done => Next::Granted,
                    _ => self.next_move(session, setup),
                };
                self.charge_expired(session, next, setup)
            }
            Step::Write(Write::Open { draw, .. }) => {
                let next = match answer {
                    Answer::Done => Next::Granted,
                    Answer::Condition => Next::TakeAgain(self.terms),
                    Answer::NotEnough => {
                        self.draw_exactly(self.ask.amount, *draw, table, setup, |draw| {
                            Write::Open { ask: self.ask, draw }
                        })
                    }
                };
                self.go_on(next, setup)
            }
            Step::Write(Write::Fund { draw, fold, needed, .. }) => {
                let next = match answer {
                    Answer::Done => return Phase::Reserving(Self { step: Step::ReadBack, ..self }),
                    Answer::Condition => Next::TakeAgain(self.terms),
                    Answer::NotEnough => self.draw_exactly(*needed, *draw, table, setup, |draw| {
                        let Self { ask, terms, .. } = self;
                        Write::Fund { ask, terms, draw, needed: *needed, fold: *fold }
                    }),
                };
                self.go_on(next, setup)
            }
            Step::ReadBack => self.charge_expired(session, Next::Granted, setup),
            Step::ChargeExpired(_, next) => {
                let next = next.clone();
                self.go_on(next, setup)
            }
            Step::Write(Write::Settle { .. } | Write::ChargeExpired(_)) => Phase::Idle,
        }
    }

    /// Mirrors `next_move`, with the preparations of `DynamoLedger::open` and `fund`.
    fn next_move(&self, session: Option<&Session>, setup: &Setup) -> Next {
        let Some(session) = session else { return self.open(setup) };
        if session.holds.contains_key(&self.ask.id) {
            return Next::Granted;
        }
        if session.recent[setup.recent_slot(self.ask.id)] == Some(self.ask.id) {
            return Next::Refused;
        }
        if session.expires_at <= self.ask.now {
            return self.open(setup);
        }
        let terms = Terms {
            limit: session.limit.unwrap_or(setup.limit),
            is_limit_of_item: session.limit.is_some(),
            lasts_longer: session.lasts_longer(&self.ask, setup)
                && !setup.has(Flaw::ExpiryMovesBack),
        };
        if terms != self.terms {
            return Next::TakeAgain(terms);
        }
        let account = session.account(terms.limit, setup.max_steps);
        if account.exhausted_by(&self.ask.demand()).is_some() {
            return Next::Refused;
        }
        let missing = signed(self.ask.amount) - session.room;
        let needed = u8::try_from(missing).unwrap_or(0);
        let draw = setup.block.max(needed);
        let Session { folds, spent, folded, .. } = *session;
        let fold = (self.round == 0).then_some(Fold { folds, spent, folded });
        Next::Send(Write::Fund { ask: self.ask, terms, draw, needed, fold })
    }

    /// Mirrors the beginning of `DynamoLedger::open`.
    fn open(&self, setup: &Setup) -> Next {
        let limits = limits(self.terms.limit, setup.max_steps);
        let empty = Account { limits, ..Account::default() };
        if empty.exhausted_by(&self.ask.demand()).is_some() {
            return Next::Refused;
        }
        let draw = setup.block.max(self.ask.amount);
        Next::Send(Write::Open { ask: self.ask, draw })
    }

    /// Mirrors `exact_draw`.
    fn draw_exactly(
        &self,
        needed: u8,
        drawn_in_vain: u8,
        table: &Table,
        setup: &Setup,
        write: impl Fn(u8) -> Write,
    ) -> Next {
        if needed < drawn_in_vain && table.day.drawn + needed <= setup.day_limit {
            return Next::Send(write(needed));
        }
        Next::Refused
    }

    /// Mirrors `DynamoLedger::charge_expired`, which comes before anything that was decided.
    fn charge_expired(self, session: Option<&Session>, next: Next, setup: &Setup) -> Phase {
        let expired = session.map(|session| session.expired_holds(self.ask.now));
        match expired.filter(|expired| !expired.is_empty()) {
            Some(expired) => {
                Phase::Reserving(Self { step: Step::ChargeExpired(expired, next), ..self })
            }
            None => self.go_on(next, setup),
        }
    }

    /// The check of the flawed protocol. A session that is not there is begun as ever.
    fn next_after_check(&self, session: Option<&Session>, setup: &Setup) -> Next {
        let account = session.map(|session| session.account(self.terms.limit, setup.max_steps));
        match account.and_then(|account| account.exhausted_by(&self.ask.demand())) {
            Some(_) => Next::Refused,
            None => Next::Send(Write::Take { ask: self.ask, terms: self.terms }),
        }
    }

    /// Mirrors the loop of `DynamoLedger::take`.
    fn go_on(self, next: Next, setup: &Setup) -> Phase {
        match next {
            Next::Granted => Phase::Invoking(self.ask),
            Next::Refused => Phase::Idle,
            Next::Send(write) => Phase::Reserving(Self { step: Step::Write(write), ..self }),
            Next::TakeAgain(_) if self.round + 1 == setup.rounds => Phase::Idle,
            Next::TakeAgain(terms) => {
                let step = Step::Write(Write::Take { ask: self.ask, terms });
                Phase::Reserving(Self { terms, round: self.round + 1, step, ..self })
            }
        }
    }
}
