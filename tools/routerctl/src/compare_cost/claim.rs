//! The claim that is checked: a million requests for 3,200 USD with one large agent, for 1,800 USD with a
//! supervisor and specialists.

use super::prices::{Price, Prices};
use super::reckoning::times;

/// What is claimed of a way of working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// All tokens of one request.
    pub(crate) tokens: u64,
    pub(crate) micro_usd: u64,
}

pub(crate) const REQUESTS: u64 = 1_000_000;
pub(crate) const SINGLE: Claimed = Claimed { tokens: 2_000, micro_usd: 3_200_000_000 };
pub(crate) const SUPERVISED: Claimed = Claimed { tokens: 1_200, micro_usd: 1_800_000_000 };

/// Where the claimed saving comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saving {
    pub(crate) all: u64,
    /// What the tokens that are left out would cost at the price of the one agent.
    pub(crate) by_fewer_tokens: u64,
    /// What the lower price for a token makes.
    pub(crate) by_price: u64,
}

/// Which output, in hundredths of a percent of all tokens, a model's price fits a claim with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Output(u64),
    /// Input alone costs more.
    TooCheap,
    /// Output alone costs less.
    TooExpensive,
}

impl Claimed {
    /// The price that the claim comes to, whatever is input or output: micro-dollars for a million
    /// tokens.
    pub(crate) fn per_mtok(self) -> u64 {
        times(self.micro_usd, 1, self.tokens)
    }

    /// Whether a model could cost what is claimed.
    pub(crate) fn fit(self, price: &Price) -> Fit {
        let (input, output, claimed) = (price.input, price.output, self.per_mtok());
        if claimed < input.min(output) {
            Fit::TooCheap
        } else if claimed > input.max(output) {
            Fit::TooExpensive
        } else if input == output {
            Fit::Output(0)
        } else {
            Fit::Output(claimed.abs_diff(input) * 10_000 / output.abs_diff(input))
        }
    }

    /// What the claimed tokens cost at least with a model, in a month.
    pub(crate) fn at_least(self, price: &Price) -> u64 {
        times(REQUESTS * self.tokens, price.input.min(price.output), 1_000_000)
    }
}

pub(crate) fn saving() -> Saving {
    let all = SINGLE.micro_usd - SUPERVISED.micro_usd;
    let by_fewer_tokens =
        times(REQUESTS * (SINGLE.tokens - SUPERVISED.tokens), SINGLE.per_mtok(), 1_000_000);
    Saving { all, by_fewer_tokens, by_price: all - by_fewer_tokens }
}

/// Each model with how its price fits the one agent and the supervisor with specialists.
pub(crate) fn fits(prices: &Prices) -> Vec<(&str, &Price, Fit, Fit)> {
    let models = prices.models.iter();
    models
        .map(|(name, price)| (name.as_str(), price, SINGLE.fit(price), SUPERVISED.fit(price)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3,200 USD / 2,000 M tokens, 1,800 USD / 1,200 M tokens.
    #[test]
    fn both_sides_of_the_claim_are_nearly_one_price_for_a_token() {
        assert_eq!((SINGLE.per_mtok(), SUPERVISED.per_mtok()), (1_600_000, 1_500_000));
        // 800 M tokens at 1.60 USD are 1,280 of the 1,400 USD; 1,200 M at 0.10 USD are the rest.
        let expected =
            Saving { all: 1_400_000_000, by_fewer_tokens: 1_280_000_000, by_price: 120_000_000 };
        assert_eq!(saving(), expected);
    }

    #[test]
    fn a_price_fits_with_one_share_of_output_or_with_none() {
        let price = |input, output| Price { input, output, source: String::new() };
        // 1 + share × 4 = 1.60, and 1.50.
        let small = price(1_000_000, 5_000_000);
        assert_eq!(
            (SINGLE.fit(&small), SUPERVISED.fit(&small)),
            (Fit::Output(1_500), Fit::Output(1_250))
        );
        let large = price(3_000_000, 15_000_000);
        assert_eq!((SINGLE.fit(&large), SUPERVISED.fit(&large)), (Fit::TooCheap, Fit::TooCheap));
        assert_eq!(
            (SINGLE.at_least(&large), SUPERVISED.at_least(&large)),
            (6_000_000_000, 3_600_000_000)
        );
        assert_eq!(SINGLE.fit(&price(60_000, 240_000)), Fit::TooExpensive);
        assert_eq!(SINGLE.fit(&price(1_600_000, 1_600_000)), Fit::Output(0));
    }
}
