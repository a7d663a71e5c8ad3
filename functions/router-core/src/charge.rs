//! What an attempt used, and what that costs.

use crate::policy::Specialist;
use crate::units::{MicroUsd, TokenUse, Tokens};

/// What is known of the tokens that an attempt used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The agent certainly did not run: the connection was refused, or the service answered
    /// the request with HTTP 4xx before any stream, and did not speak for the agent.
    NotRun,
    /// The stream ended in order and reported this, over all model invocations.
    Reported(TokenUse),
    /// This was used when the stream was cut, because it was more than a call may use.
    Cut(TokenUse),
    /// At least this was used: the stream did not report everything or did not end, or it
    /// is unknown whether the agent ran.
    AtLeast(TokenUse),
}

impl Usage {
    /// Nothing is known, and the agent may have run.
    pub const UNKNOWN: Self = Self::AtLeast(TokenUse {
        input: Tokens(0),
        cache_read: Tokens(0),
        cache_write: Tokens(0),
        output: Tokens(0),
        unexplained: Tokens(0),
    });

    /// The tokens that were reported.
    pub fn reported(&self) -> TokenUse {
        match *self {
            Self::NotRun => TokenUse::default(),
            Self::Reported(used) | Self::Cut(used) | Self::AtLeast(used) => used,
        }
    }
}

/// What is charged to a budget, or held for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Tokens of every kind.
    pub tokens: Tokens,
    /// Money.
    pub cost: MicroUsd,
}

impl Charge {
    /// What an invocation of `specialist` holds until its usage is known.
    pub fn hold(specialist: &Specialist) -> Self {
        Self::at_most(specialist, specialist.max_tokens_per_call)
    }

    /// What an attempt costs. Where usage is unknown that is the larger of what was reported
    /// and the specialist's `unknown_usage_tokens`: never nothing. A stream that was cut for
    /// using too much costs its hold at least.
    pub fn of(specialist: &Specialist, usage: &Usage) -> Self {
        let reported = Self::of_reported(specialist, usage);
        match usage {
            Usage::NotRun | Usage::Reported(_) => reported,
            Usage::Cut(_) => reported.max(Self::hold(specialist)),
            Usage::AtLeast(_) => reported.max(Self::at_most(specialist, specialist.unknown_usage)),
        }
    }

    /// The part of [`Charge::of`] that was reported.
    pub fn of_reported(specialist: &Specialist, usage: &Usage) -> Self {
        let used = usage.reported();
        Self { tokens: used.total(), cost: specialist.price.cost(&used) }
    }

    fn max(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), cost: self.cost.max(other.cost) }
    }

    /// This charge less another; never less than nothing.
    pub fn minus(self, other: Self) -> Self {
        Self {
            tokens: Tokens(self.tokens.0.saturating_sub(other.tokens.0)),
            cost: MicroUsd(self.cost.0.saturating_sub(other.cost.0)),
        }
    }

    /// Whether this has more of anything than another.
    pub fn exceeds(self, other: Self) -> bool {
        self.minus(other) != Self::default()
    }

    /// Both charges together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: Tokens(self.tokens.0.saturating_add(other.tokens.0)),
            cost: MicroUsd(self.cost.0.saturating_add(other.cost.0)),
        }
    }

    fn at_most(specialist: &Specialist, tokens: Tokens) -> Self {
        Self { tokens, cost: specialist.price.highest_cost(tokens) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy;

    // Orders holds 8,000 tokens, costs 3 USD in and 15 USD out for a million of them, and
    // counts 6,000 where usage is unknown.
    fn charge(usage: Usage) -> Charge {
        Charge::of(policy().find("orders").unwrap(), &usage)
    }

    #[test]
    fn a_call_holds_its_tokens_at_the_highest_price() {
        let hold = Charge::hold(policy().find("orders").unwrap());
        assert_eq!(hold, Charge { tokens: Tokens(8_000), cost: MicroUsd(120_000) });
    }

    #[test]
    fn a_charge_exceeds_another_with_more_tokens_or_more_money() {
        let of = |tokens, cost| Charge { tokens: Tokens(tokens), cost: MicroUsd(cost) };
        for (charge, exceeds) in
            [(of(8, 120), false), (of(9, 0), true), (of(0, 121), true), (of(7, 119), false)]
        {
            assert_eq!(charge.exceeds(of(8, 120)), exceeds, "{charge:?}");
        }
    }

    #[test]
    fn an_attempt_that_was_not_run_costs_nothing() {
        assert_eq!(charge(Usage::NotRun), Charge::default());
    }

    #[test]
    fn reported_usage_is_charged_as_reported_even_above_the_hold() {
        let usage = Usage::Reported(TokenUse::new(9_000, 1_000));
        assert_eq!(charge(usage), Charge { tokens: Tokens(10_000), cost: MicroUsd(42_000) });
    }

    #[test]
    fn a_cut_call_costs_its_hold_at_least() {
        let hold = Charge::hold(policy().find("orders").unwrap());
        assert_eq!(charge(Usage::Cut(TokenUse::new(8_001, 0))).cost, hold.cost);
        let much = Usage::Cut(TokenUse::new(0, 9_000));
        assert_eq!(charge(much), Charge { tokens: Tokens(9_000), cost: MicroUsd(135_000) });
    }

    #[test]
    fn unknown_usage_costs_the_larger_of_what_was_reported_and_what_is_assumed() {
        let assumed = Charge { tokens: Tokens(6_000), cost: MicroUsd(90_000) };
        assert_eq!(charge(Usage::UNKNOWN), assumed);
        let little = Usage::AtLeast(TokenUse::new(100, 10));
        assert_eq!(charge(little), assumed);
        let much = Usage::AtLeast(TokenUse::new(0, 7_000));
        assert_eq!(charge(much), Charge { tokens: Tokens(7_000), cost: MicroUsd(105_000) });
    }
}
