//! The budget ledger: reserve before a specialist is asked, settle after.
//!
//! Checking whether there is room and taking it are one write, so two callers can never
//! both take the last of a budget. What is taken is a *hold*: an upper bound, replaced by
//! what was really used when the invocation is settled. A hold has an id of its own, so
//! that a repeated write finds it and takes no second one.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::invocation::{BoxError, Charge};
use crate::policy::{SessionLimits, SpecialistName};
use crate::reply::BudgetLeft;
use crate::session::{RootSession, Strand};
use crate::units::{MicroUsd, Timestamp, Tokens};

/// A hold that its invocation has not settled this long after the deadline of the function
/// that took it belongs to a dead one.
pub const HOLD_GRACE: Duration = Duration::from_secs(60);

/// The identity of one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldId(String);

impl HoldId {
    /// The id of the hold for the `invocation`th invocation of the `task`th task of a Lambda
    /// request. It never depends on content: two equal requests are two charges.
    pub fn new(request_id: &str, task: usize, invocation: usize) -> Self {
        Self(format!("{request_id}/{task}/{invocation}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a reservation asks for.
#[derive(Clone, Debug)]
pub struct Reservation<'a> {
    /// The identity of the hold.
    pub id: &'a HoldId,
    /// The session that pays.
    pub session: &'a RootSession,
    /// Its limits.
    pub limits: &'a SessionLimits,
    /// Who is to be invoked.
    pub specialist: &'a SpecialistName,
    /// What the invocation may use; one step comes with it.
    pub ask: Charge,
    /// Whether the invocation is a hand-off, of which a session has a limited number.
    pub is_handoff: bool,
    /// The time of the reservation.
    pub now: Timestamp,
    /// When the hold belongs to a dead invocation.
    pub expires: Timestamp,
}

/// A hold that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The session's account, the hold included.
    pub account: Account,
    /// Which of the specialist's sessions the invocation runs in.
    pub strand: Strand,
}

/// What a session has used and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Invocations so far.
    pub steps: u64,
    /// Hand-offs so far.
    pub handoffs: u64,
    /// Tokens and money settled and held together.
    pub committed: Charge,
    /// Tokens and money settled.
    pub spent: Charge,
}

impl Account {
    /// The account after a hold of `held` was replaced by what was `used`.
    pub fn settled(&self, held: Charge, used: Charge) -> Self {
        let replace =
            |total: u64, held: u64, used: u64| total.saturating_sub(held).saturating_add(used);
        let committed = Charge {
            tokens: Tokens(replace(self.committed.tokens.0, held.tokens.0, used.tokens.0)),
            cost: MicroUsd(replace(self.committed.cost.0, held.cost.0, used.cost.0)),
        };
        Self { committed, spent: self.spent.plus(used), ..*self }
    }

    /// What is left of each limit that the supervisor is told about.
    pub fn left(&self, limits: &SessionLimits) -> BudgetLeft {
        BudgetLeft {
            steps_left: limits.max_steps.saturating_sub(self.steps),
            tokens_left: limits.max_tokens.0.saturating_sub(self.committed.tokens.0),
            cost_left: MicroUsd(limits.max_cost.0.saturating_sub(self.committed.cost.0)),
        }
    }

    /// The use of the limit that is nearest to its end, in percent.
    pub fn utilization_percent(&self, limits: &SessionLimits) -> f64 {
        let percent = |used: u64, limit: u64| match limit {
            0 => 0.0,
            _ => 100.0 * used as f64 / limit as f64,
        };
        [
            percent(self.steps, limits.max_steps),
            percent(self.handoffs, limits.max_handoffs),
            percent(self.committed.tokens.0, limits.max_tokens.0),
            percent(self.committed.cost.0, limits.max_cost.0),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }

    /// The first limit that `reservation` would pass, with what is left of it.
    pub fn exhausted_by(&self, reservation: &Reservation<'_>) -> Option<Exhausted> {
        let Reservation { limits, ask, .. } = reservation;
        let handoffs = u64::from(reservation.is_handoff);
        [
            (Limit::Steps, self.steps, self.steps, 1, limits.max_steps),
            (Limit::Handoffs, self.handoffs, self.handoffs, handoffs, limits.max_handoffs),
            (
                Limit::Tokens,
                self.spent.tokens.0,
                self.committed.tokens.0,
                ask.tokens.0,
                limits.max_tokens.0,
            ),
            (Limit::Cost, self.spent.cost.0, self.committed.cost.0, ask.cost.0, limits.max_cost.0),
        ]
        .into_iter()
        .find(|(.., committed, asked, max)| *asked > 0 && committed.saturating_add(*asked) > *max)
        .map(|(limit, settled, committed, asked, max)| Exhausted {
            limit,
            settled,
            held: committed.saturating_sub(settled),
            asked,
            max,
            account: *self,
        })
    }
}

/// A limit of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Invocations.
    Steps,
    /// Tokens.
    Tokens,
    /// Micro-dollars.
    Cost,
    /// Hand-offs.
    Handoffs,
}

impl Limit {
    /// The limit's name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Handoffs => "handoffs",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reservation that found no room. Amounts are in the unit of the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The limit.
    pub limit: Limit,
    /// What is used up for good.
    pub settled: u64,
    /// What invocations under way hold.
    pub held: u64,
    /// What was asked.
    pub asked: u64,
    /// The limit's value.
    pub max: u64,
    /// The session's account, without the reservation.
    pub account: Account,
}

/// Why a reservation was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// There is no room under a limit.
    #[error(
        "the session's limit of {} {} has {} settled and {} held; {} asked",
        .0.max, .0.limit, .0.settled, .0.held, .0.asked
    )]
    Exhausted(Exhausted),
    /// The hold was settled already: the request was delivered a second time.
    #[error("hold `{}` was settled already", .0.as_str())]
    AlreadySettled(HoldId),
    /// The table gave no answer. The hold may exist; then it expires.
    #[error("the budget table gave no answer")]
    Unavailable(#[source] BoxError),
}

/// The end of a hold.
#[derive(Clone, Debug)]
pub struct Settlement<'a> {
    /// The identity of the hold.
    pub id: &'a HoldId,
    /// The session that pays.
    pub session: &'a RootSession,
    /// What was held.
    pub held: Charge,
    /// What was used.
    pub used: Charge,
}

/// A settlement that the table did not answer. The hold expires and stays charged.
#[derive(Debug, thiserror::Error)]
#[error("the budget table gave no answer to a settlement")]
pub struct SettleError(#[source] pub BoxError);

/// Keeps the budgets.
pub trait Ledger {
    /// Takes a hold within `within`, if there is room for it under every limit.
    ///
    /// The check and the hold are one atomic step. Repeating a call with the same id finds
    /// the same hold.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Exhausted`] when a limit has no room.
    /// [`ReserveError::AlreadySettled`] when the hold has been taken and settled before.
    /// [`ReserveError::Unavailable`] when the table gave no answer.
    fn reserve(
        &self,
        reservation: &Reservation<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<Hold, ReserveError>> + Send;

    /// Replaces a hold by what was used, within `within`. A second settlement of the same
    /// hold changes nothing.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gave no answer.
    fn settle(
        &self,
        settlement: &Settlement<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy;

    fn charge(tokens: u64, micro_usd: u64) -> Charge {
        Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
    }

    fn exhausted(account: Account, ask: Charge, is_handoff: bool) -> Option<Limit> {
        let policy = policy();
        let reservation = Reservation {
            id: &HoldId::new("r", 0, 0),
            session: &RootSession::parse("sessionId", "s").unwrap(),
            limits: &policy.session,
            specialist: &policy.fallback().name,
            ask,
            is_handoff,
            now: Timestamp(0),
            expires: Timestamp(0),
        };
        account.exhausted_by(&reservation).map(|exhausted| exhausted.limit)
    }

    // The policy of the tests: 12 steps, 80,000 tokens, 0.50 USD, 2 hand-offs.

    #[test]
    fn a_reservation_may_take_all_that_is_left_and_nothing_more() {
        let account =
            Account { steps: 11, committed: charge(72_000, 380_000), ..Account::default() };
        assert_eq!(exhausted(account, charge(8_000, 120_000), false), None);
        assert_eq!(exhausted(account, charge(8_001, 120_000), false), Some(Limit::Tokens));
        assert_eq!(exhausted(account, charge(8_000, 120_001), false), Some(Limit::Cost));
        let account = Account { steps: 12, ..account };
        assert_eq!(exhausted(account, charge(8_000, 120_000), false), Some(Limit::Steps));
    }

    #[test]
    fn hand_offs_are_limited_where_they_are_made() {
        let account = Account { handoffs: 2, ..Account::default() };
        assert_eq!(exhausted(account, charge(1, 1), false), None);
        assert_eq!(exhausted(account, charge(1, 1), true), Some(Limit::Handoffs));
    }

    #[test]
    fn settling_replaces_the_hold_by_the_use() {
        let account = Account { steps: 1, committed: charge(8_000, 120_000), ..Account::default() };
        let settled = account.settled(charge(8_000, 120_000), charge(340, 1_500));
        assert_eq!((settled.committed, settled.spent), (charge(340, 1_500), charge(340, 1_500)));
        assert_eq!(settled.steps, 1);
    }

    #[test]
    fn utilization_is_that_of_the_limit_nearest_to_its_end() {
        let account = Account { steps: 3, committed: charge(8_000, 250_000), ..Account::default() };
        assert_eq!(account.utilization_percent(&policy().session), 50.0);
    }

    #[test]
    fn an_overrun_leaves_nothing_and_no_less() {
        let account =
            Account { steps: 13, committed: charge(90_000, 600_000), ..Account::default() };
        let left = account.left(&policy().session);
        assert_eq!((left.steps_left, left.tokens_left, left.cost_left), (0, 0, MicroUsd(0)));
    }
}
