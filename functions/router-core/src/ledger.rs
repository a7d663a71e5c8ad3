//! The budget ledger: reserve before a specialist is asked, settle after.
//!
//! Checking whether there is room and taking it are one write, so two callers can never
//! both take the last of a budget. What is taken is a *hold*: an upper bound, replaced by
//! what was really used when the invocation is settled. A hold has an id of its own, so
//! that a repeated write finds it and takes no second one.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::charge::Charge;
use crate::error::Cause;
pub use crate::ids::HoldId;
use crate::ids::{Fingerprint, Lane, RootSession, SpecialistName, Tenant, UserMark};
use crate::policy::{SessionLimits, TenantDay};
use crate::units::{Learnt, MicroUsd, Share, Timestamp, Tokens};
use crate::wire::reply::BudgetLeft;

/// A hold that its invocation has not settled this long after the deadline of the function
/// that took it belongs to a dead one.
pub const HOLD_GRACE: Duration = Duration::from_secs(60);

/// What a reservation asks for.
#[derive(Clone, Debug)]
pub struct Reservation<'a> {
    /// The identity of the hold.
    pub id: &'a HoldId,
    /// The session that pays.
    pub session: &'a RootSession,
    /// Its limits, as far as its item does not say otherwise.
    pub limits: &'a SessionLimits,
    /// The tenant that the session must belong to, and draws its money from.
    pub tenant: &'a Tenant,
    /// The user that it must belong to, if one has come with a request of it.
    pub user: Option<&'a UserMark>,
    /// What that tenant may use in a day.
    pub tenant_day: &'a TenantDay,
    /// What is asked of whom, where repetitions are limited.
    pub fingerprint: Option<&'a Fingerprint>,
    /// Who is to be invoked.
    pub specialist: &'a SpecialistName,
    /// What the invocation may use.
    pub ask: Charge,
    /// What the hold is for, which says what else it takes.
    pub purpose: Purpose,
    /// The time of the reservation.
    pub now: Timestamp,
    /// The same, for what the process remembers.
    pub asked: Learnt,
    /// When the hold belongs to a dead invocation.
    pub expires: Timestamp,
}

/// What a hold is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An invocation: a step and a turn of the specialist's come with it.
    Invocation,
    /// A hand-off, of which a session has a limited number, over and above an invocation.
    Handoff,
    /// A further attempt of an invocation that has its step already.
    Retry,
}

impl Purpose {
    /// The steps that come with the hold, and the turns of the specialist's.
    pub fn steps(self) -> u64 {
        match self {
            Self::Invocation | Self::Handoff => 1,
            Self::Retry => 0,
        }
    }

    /// The hand-offs that come with the hold.
    pub fn handoffs(self) -> u64 {
        u64::from(self == Self::Handoff)
    }
}

/// A hold that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The session's account, the hold included.
    pub account: Account,
    /// Which of the specialist's sessions the invocation runs in.
    pub lane: Lane,
    /// How many holds of dead invocations were found and charged on the way.
    pub expired_holds: u32,
    /// What was asked so long ago that its repetitions need not be counted any more.
    pub stale: Vec<Fingerprint>,
}

/// The hard limits in force for a session: the policy's, unless an operator has set others
/// in the session's item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Invocations.
    pub steps: u64,
    /// Hand-offs.
    pub handoffs: u64,
    /// Input and output tokens.
    pub tokens: Tokens,
    /// Money.
    pub cost: MicroUsd,
}

impl From<&SessionLimits> for Limits {
    fn from(policy: &SessionLimits) -> Self {
        Self {
            steps: policy.max_steps,
            handoffs: policy.max_handoffs,
            tokens: policy.max_tokens,
            cost: policy.max_cost,
        }
    }
}

/// What a session has used and holds, and what it may.
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
    /// The limits in force.
    pub limits: Limits,
}

impl Account {
    /// The account after a hold of `held` was replaced by what was `used`.
    pub fn settled(&self, held: Charge, used: Charge) -> Self {
        let committed = self.committed.minus(held).plus(used);
        Self { committed, spent: self.spent.plus(used), ..*self }
    }

    /// The account as it was before a step that holds `held` was taken.
    pub fn before(&self, held: Charge) -> Self {
        let steps = self.steps.saturating_sub(1);
        Self { steps, committed: self.committed.minus(held), ..*self }
    }

    /// What is left of each limit that the supervisor is told about.
    pub fn left(&self) -> BudgetLeft {
        let Limits { steps, tokens, cost, .. } = self.limits;
        BudgetLeft {
            steps_left: steps.saturating_sub(self.steps),
            tokens_left: tokens.0.saturating_sub(self.committed.tokens.0),
            cost_left: MicroUsd(cost.0.saturating_sub(self.committed.cost.0)),
        }
    }

    /// The use of the limit that is nearest to its end, in percent.
    pub fn utilization_percent(&self) -> f64 {
        self.uses()
            .into_iter()
            .filter(|(_, limit)| *limit > 0)
            .map(|(used, limit)| 100.0 * used as f64 / limit as f64)
            .fold(0.0, f64::max)
    }

    /// Whether the use of any limit has reached `share` of it.
    pub fn has_reached(&self, share: Share) -> bool {
        self.uses().into_iter().filter(|(_, limit)| *limit > 0).any(|(used, limit)| {
            u128::from(used) * 1_000_000 >= u128::from(limit) * u128::from(share.0)
        })
    }

    /// Each limit's use and value.
    fn uses(&self) -> [(u64, u64); 4] {
        let Self { steps, handoffs, committed, limits, .. } = *self;
        [
            (steps, limits.steps),
            (handoffs, limits.handoffs),
            (committed.tokens.0, limits.tokens.0),
            (committed.cost.0, limits.cost.0),
        ]
    }

    /// The first limit that `reservation` would pass, with what is left of it.
    pub fn exhausted_by(&self, reservation: &Reservation<'_>) -> Option<Exhausted> {
        let Reservation { ask, purpose, .. } = reservation;
        let Self { steps, handoffs, spent, committed, limits } = *self;
        [
            (Limit::Steps, steps, steps, purpose.steps(), limits.steps),
            (Limit::Handoffs, handoffs, handoffs, purpose.handoffs(), limits.handoffs),
            (Limit::Tokens, spent.tokens.0, committed.tokens.0, ask.tokens.0, limits.tokens.0),
            (Limit::Cost, spent.cost.0, committed.cost.0, ask.cost.0, limits.cost.0),
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
            expired_holds: 0,
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
    /// The tenant's micro-dollars of the day.
    Tenant,
}

impl Limit {
    /// The limit's name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Handoffs => "handoffs",
            Self::Tenant => "tenant",
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
    /// How many holds of dead invocations were found and charged on the way.
    pub expired_holds: u32,
}

impl Exhausted {
    /// Whether the limit is used up for good, and not merely by invocations under way.
    pub fn is_for_good(&self) -> bool {
        self.settled.saturating_add(self.asked) > self.max
    }
}

/// Why a reservation was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// There is no room under a limit.
    #[error(
        "the limit of {} {} has {} settled and {} held; {} asked",
        .0.max, .0.limit, .0.settled, .0.held, .0.asked
    )]
    Exhausted(Exhausted),
    /// The session belongs to another tenant.
    #[error("the session belongs to another tenant")]
    OtherTenant,
    /// The session belongs to another user, or to one and none is named.
    #[error("the session belongs to another user")]
    OtherUser,
    /// The same specialist was asked the same too often.
    #[error("the same request was made of the same specialist {times} times before")]
    Repeated {
        /// How often it was asked already.
        times: u64,
    },
    /// The hold was settled already.
    #[error("hold `{}` was settled already", .0.as_str())]
    AlreadySettled(HoldId),
    /// The session's item is such that no hold can be taken: something in it was set by hand to
    /// what it cannot be, or others change it all the time. Unlike a table without an answer,
    /// that never lets an invocation go uncounted.
    #[error("the session's item cannot be used")]
    Unusable(#[source] Cause),
    /// The table gave no answer. The hold may exist; then it expires.
    #[error("the budget table gave no answer")]
    Unavailable(#[source] Cause),
}

/// The end of a hold.
#[derive(Clone, Debug)]
pub struct Settlement<'a> {
    /// The identity of the hold.
    pub id: &'a HoldId,
    /// The session that pays.
    pub session: &'a RootSession,
    /// Who was invoked.
    pub specialist: &'a SpecialistName,
    /// What was held.
    pub held: Charge,
    /// What was used.
    pub used: Charge,
    /// Repetitions that are not counted any more.
    pub forget: &'a [Fingerprint],
    /// The lane that the invocation was left in while the agent may still be at work: later ones
    /// take another.
    pub left: Option<Lane>,
}

/// A settlement that the table did not answer. The hold expires and stays charged.
#[derive(Debug, thiserror::Error)]
#[error("the budget table gave no answer to a settlement")]
pub struct SettleError(#[source] pub Cause);

/// A request that may have been answered before.
#[derive(Clone, Debug)]
pub struct Repeat<'a> {
    /// The session.
    pub session: &'a RootSession,
    /// The tenant that it must belong to.
    pub tenant: &'a Tenant,
    /// The user that it must belong to, if one has come with a request of it.
    pub user: Option<&'a UserMark>,
    /// Its limits.
    pub limits: &'a SessionLimits,
    /// Who is asked.
    pub specialist: &'a SpecialistName,
    /// What is asked of whom.
    pub fingerprint: &'a Fingerprint,
    /// The user; see [`crate::wire::caller::Caller::identity`].
    pub identity: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// An answer that was given before and still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The answer.
    pub answer: String,
    /// The session's account.
    pub account: Account,
}

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
    /// [`ReserveError::OtherTenant`] when the session was first charged to another tenant.
    /// [`ReserveError::OtherUser`] when a user has come with a request of the session, and this
    /// one comes with another or with none.
    /// [`ReserveError::Repeated`] when the fingerprint was seen `max_repeats` times.
    /// [`ReserveError::AlreadySettled`] when the hold has been taken and settled before.
    /// [`ReserveError::Unusable`] when the session's item is not as it must be.
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

    /// The answer that the same specialist gave the same user to the same request, in the same
    /// session and generation, if it is still to be given again. `None` also when the table
    /// gave no answer: then the specialist is asked.
    fn recall(
        &self,
        repeat: &Repeat<'_>,
        within: Duration,
    ) -> impl Future<Output = Option<Recalled>> + Send;

    /// Keeps an answer of `generation` for `window`, so that [`Ledger::recall`] finds it.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gave no answer.
    fn keep(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{account, policy};
    use crate::policy::Policy;
    use crate::units::Moment;

    fn charge(tokens: u64, micro_usd: u64) -> Charge {
        Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
    }

    fn exhausted(account: Account, ask: Charge, purpose: Purpose) -> Option<Limit> {
        exhausted_with(&policy(), account, ask, purpose).map(|exhausted| exhausted.limit)
    }

    fn exhausted_with(
        policy: &Policy,
        account: Account,
        ask: Charge,
        purpose: Purpose,
    ) -> Option<Exhausted> {
        let reservation = Reservation {
            id: &HoldId::new("r", 0, 0),
            session: &RootSession::parse("sessionId", "s").unwrap(),
            limits: &policy.session,
            tenant: &Tenant::default(),
            user: None,
            tenant_day: &policy.tenant_day,
            fingerprint: None,
            specialist: &policy.fallback().name,
            ask,
            purpose,
            now: Timestamp(0),
            asked: Learnt::at(Timestamp(0), Moment::default()),
            expires: Timestamp(0),
        };
        account.exhausted_by(&reservation)
    }

    // The policy of the tests: 12 steps, 80,000 tokens, 0.50 USD, 2 hand-offs.

    #[test]
    fn a_reservation_may_take_all_that_is_left_and_nothing_more() {
        let account = Account { steps: 11, committed: charge(72_000, 380_000), ..account() };
        let invocation = Purpose::Invocation;
        assert_eq!(exhausted(account, charge(8_000, 120_000), invocation), None);
        assert_eq!(exhausted(account, charge(8_001, 120_000), invocation), Some(Limit::Tokens));
        assert_eq!(exhausted(account, charge(8_000, 120_001), invocation), Some(Limit::Cost));
        let account = Account { steps: 12, ..account };
        assert_eq!(exhausted(account, charge(8_000, 120_000), invocation), Some(Limit::Steps));
    }

    #[test]
    fn a_retry_needs_tokens_and_money_and_no_step() {
        let account = Account { steps: 12, committed: charge(72_000, 0), ..account() };
        assert_eq!(exhausted(account, charge(8_000, 120_000), Purpose::Retry), None);
        assert_eq!(exhausted(account, charge(8_001, 0), Purpose::Retry), Some(Limit::Tokens));
    }

    #[test]
    fn hand_offs_are_limited_where_they_are_made() {
        let account = Account { handoffs: 2, ..account() };
        assert_eq!(exhausted(account, charge(1, 1), Purpose::Invocation), None);
        assert_eq!(exhausted(account, charge(1, 1), Purpose::Handoff), Some(Limit::Handoffs));
    }

    #[test]
    fn settling_replaces_the_hold_by_the_use() {
        let account = Account { steps: 1, committed: charge(8_000, 120_000), ..account() };
        let settled = account.settled(charge(8_000, 120_000), charge(340, 1_500));
        assert_eq!((settled.committed, settled.spent), (charge(340, 1_500), charge(340, 1_500)));
        assert_eq!(settled.steps, 1);
    }

    #[test]
    fn utilization_is_that_of_the_limit_nearest_to_its_end() {
        let account = Account { steps: 3, committed: charge(8_000, 250_000), ..account() };
        assert_eq!(account.utilization_percent(), 50.0);
    }

    #[test]
    fn a_share_is_reached_by_any_limit() {
        let account = Account { committed: charge(64_000, 0), ..account() };
        assert!(account.has_reached(Share(800_000)));
        assert!(!account.has_reached(Share(800_001)));
        let account = Account { steps: 11, ..account };
        assert!(account.has_reached(Share(900_000)));
        assert!(!account.before(Charge::default()).has_reached(Share(900_000)));
    }

    #[test]
    fn a_limit_is_used_up_for_good_by_what_is_settled_alone() {
        let held = Account { committed: charge(79_000, 0), ..account() };
        let settled = Account { spent: charge(79_000, 0), ..held };
        let policy = policy();
        let of = |account: Account| {
            exhausted_with(&policy, account, charge(8_000, 0), Purpose::Invocation)
        };
        assert!(!of(held).unwrap().is_for_good());
        assert!(of(settled).unwrap().is_for_good());
    }

    #[test]
    fn an_overrun_leaves_nothing_and_no_less() {
        let account = Account { steps: 13, committed: charge(90_000, 600_000), ..account() };
        let left = account.left();
        assert_eq!((left.steps_left, left.tokens_left, left.cost_left), (0, 0, MicroUsd(0)));
    }
}
