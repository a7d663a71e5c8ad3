//! A session's account: what it has used and holds, its limits, and the one that has no room.

use std::fmt;

use crate::charge::Charge;
use crate::ids::Ticket;
use crate::policy::SessionLimits;
use crate::store::Item;
use crate::units::{MicroUsd, Share, Tokens};
use crate::wire::reply::BudgetLeft;

/// The hard limits in force for a session: the policy's, unless an operator has set others
/// in the session's item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// What a session's item says, under limits.
    pub fn of_item(item: &Item, limits: Limits) -> Self {
        let charge = |tokens: &str, micro_usd: &str| Charge {
            tokens: Tokens(item.number(tokens)),
            cost: MicroUsd(item.number(micro_usd)),
        };
        Self {
            steps: item.number("steps"),
            handoffs: item.number("handoffs"),
            committed: charge("committed_tokens", "committed_micro_usd"),
            spent: charge("spent_tokens", "spent_micro_usd"),
            limits,
        }
    }

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

    /// The first limit that `demand` would pass, with what is left of it.
    pub fn exhausted_by(&self, demand: &Demand) -> Option<Exhausted> {
        self.uses_with(demand)
            .into_iter()
            .find(|used| used.asked > 0 && used.committed().saturating_add(used.asked) > used.max)
    }

    /// Of the limits of whose use `share` is reached the one that is nearest to its end.
    pub fn nearest_from(&self, share: Share, demand: &Demand) -> Option<Exhausted> {
        let parts = |used: &Exhausted| (u128::from(used.committed()), u128::from(used.max));
        let reached = self.uses_with(demand).into_iter().filter(|used| {
            let (committed, max) = parts(used);
            max > 0 && committed * 1_000_000 >= max * u128::from(share.0)
        });
        reached.reduce(|nearest, other| {
            let ((one, of_one), (two, of_two)) = (parts(&nearest), parts(&other));
            if two * of_one > one * of_two { other } else { nearest }
        })
    }

    /// What is used of each limit, and asked.
    fn uses_with(&self, demand: &Demand) -> [Exhausted; 4] {
        let Demand { charge: ask, .. } = demand;
        let Self { steps, handoffs, spent, committed, limits } = *self;
        [
            (Limit::Steps, steps, steps, demand.steps, limits.steps),
            (Limit::Handoffs, handoffs, handoffs, demand.handoffs, limits.handoffs),
            (Limit::Tokens, spent.tokens.0, committed.tokens.0, ask.tokens.0, limits.tokens.0),
            (Limit::Cost, spent.cost.0, committed.cost.0, ask.cost.0, limits.cost.0),
        ]
        .map(|(limit, settled, committed, asked, max)| Exhausted {
            limit,
            settled,
            held: committed.saturating_sub(settled),
            asked,
            max,
            account: *self,
            expired_holds: 0,
            answered: Vec::new(),
        })
    }
}

/// What a reservation asks of each limit: of all its holds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Invocations.
    pub steps: u64,
    /// Hand-offs.
    pub handoffs: u64,
    /// Tokens and money.
    pub charge: Charge,
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
    /// The user's micro-dollars of the day.
    User,
    /// Invocations of all gateway sessions in the hour.
    GatewaySteps,
    /// Micro-dollars of all gateway sessions in the hour.
    GatewayCost,
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
            Self::User => "user",
            Self::GatewaySteps | Self::GatewayCost => "gateway",
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
    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub answered: Vec<Ticket>,
}

impl Exhausted {
    /// What is used up for good or held.
    fn committed(&self) -> u64 {
        self.settled.saturating_add(self.held)
    }

    /// Whether the limit is used up for good, and not merely by invocations under way.
    pub fn is_for_good(&self) -> bool {
        self.settled.saturating_add(self.asked) > self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::account;
    use crate::ledger::Purpose;

    fn charge(tokens: u64, micro_usd: u64) -> Charge {
        Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
    }

    fn exhausted(account: Account, charge: Charge, purpose: Purpose) -> Option<Limit> {
        let demand = Demand { steps: purpose.steps(), handoffs: purpose.handoffs(), charge };
        account.exhausted_by(&demand).map(|exhausted| exhausted.limit)
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
        let overrun = Account { steps: 13, committed: charge(0, 500_001), ..account };
        assert_eq!(exhausted(overrun, charge(8_000, 0), Purpose::Retry), None, "it needs none");
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
        let unlimited = Limits { handoffs: 0, ..account.limits };
        let account = Account { handoffs: 1, limits: unlimited, ..account };
        assert_eq!(account.utilization_percent(), 50.0, "there is no share of nothing");
        assert!(!account.has_reached(Share(600_000)));
    }

    #[test]
    fn a_share_is_reached_by_any_limit() {
        let account = Account { committed: charge(64_000, 0), ..account() };
        assert!(account.has_reached(Share(800_000)));
        assert!(!account.has_reached(Share(800_001)));
        let account = Account { steps: 11, ..account };
        assert!(account.has_reached(Share(900_000)));
        assert!(!account.before(Charge::default()).has_reached(Share(900_000)));
        let before = account.before(charge(24_000, 0));
        assert_eq!((before.steps, before.committed), (10, charge(40_000, 0)));
    }

    #[test]
    fn a_limit_is_used_up_for_good_by_what_is_settled_alone() {
        let held = Account { committed: charge(79_000, 0), ..account() };
        let settled = Account { spent: charge(79_000, 0), ..held };
        let demand = Demand { steps: 1, handoffs: 0, charge: charge(8_000, 0) };
        let of = |account: Account| account.exhausted_by(&demand);
        assert!(!of(held).unwrap().is_for_good());
        assert!(of(settled).unwrap().is_for_good());
        let room = Account { spent: charge(72_000, 0), ..held };
        assert!(!of(room).unwrap().is_for_good(), "just enough is not used up");
    }

    #[test]
    fn an_overrun_leaves_nothing_and_no_less() {
        let account = Account { steps: 13, committed: charge(90_000, 600_000), ..account() };
        let left = account.left();
        assert_eq!((left.steps_left, left.tokens_left, left.cost_left), (0, 0, MicroUsd(0)));
    }
}
