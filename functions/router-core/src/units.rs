//! Quantities with their units: money, tokens, prices, points in time.
//!
//! Everything a budget is reckoned in is an integer. A price list speaks in decimal dollars,
//! so those are read digit by digit; a float never takes part.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;

/// Micro-dollars in one US dollar, and tokens in one "Mtok" of a price list.
const MILLION: u64 = 1_000_000;

/// An amount of money in whole micro-dollars (1 USD = 1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// Reads a decimal number of dollars, such as `0.02`, exactly.
    ///
    /// Returns `None` for anything but digits with at most one decimal point, for more than
    /// six decimals (the unit has no smaller part) and for what does not fit.
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 6 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
        whole.checked_mul(MILLION)?.checked_add(fraction).map(Self)
    }

    /// The same amount in dollars, for people, metrics and replies; never to calculate with.
    pub fn to_usd(self) -> f64 {
        self.0 as f64 / MILLION as f64
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} USD", self.0 / MILLION, self.0 % MILLION)
    }
}

/// A number of model tokens, input and output together unless a name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tokens(pub u64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

/// What a specialist's model costs, in micro-dollars for a million tokens.
///
/// Providers quote dollars for a million tokens; that number times a million is kept, so a
/// price of 0.25 USD is 250,000 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For a million input tokens.
    pub input_per_mtok: MicroUsd,
    /// For a million output tokens.
    pub output_per_mtok: MicroUsd,
}

impl Price {
    /// The cost of one attempt, rounded up to the next whole micro-dollar.
    pub fn cost(&self, input: Tokens, output: Tokens) -> MicroUsd {
        let exact = u128::from(input.0) * u128::from(self.input_per_mtok.0)
            + u128::from(output.0) * u128::from(self.output_per_mtok.0);
        let rounded_up = exact.div_ceil(u128::from(MILLION));
        MicroUsd(u64::try_from(rounded_up).unwrap_or(u64::MAX))
    }

    /// The most that `tokens` can cost, however they divide into input and output.
    pub fn highest_cost(&self, tokens: Tokens) -> MicroUsd {
        if self.input_per_mtok > self.output_per_mtok {
            self.cost(tokens, Tokens(0))
        } else {
            self.cost(Tokens(0), tokens)
        }
    }
}

/// A share of a whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time from `earlier` to this; zero when the clock was set back in between.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This time moved on by `duration`, which is cut to whole milliseconds.
    pub fn after(self, duration: Duration) -> Timestamp {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// Whole seconds since the Unix epoch, rounded up: the form of a DynamoDB TTL attribute.
    pub fn epoch_seconds(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// Where the router learns the time, and waits.
pub trait Clock {
    /// The time now, on the clock that Lambda's deadline is given in.
    fn now(&self) -> Timestamp;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRICE: Price =
        Price { input_per_mtok: MicroUsd(3_000_000), output_per_mtok: MicroUsd(15_000_000) };

    #[test]
    fn dollars_are_read_to_the_micro_dollar() {
        assert_eq!(MicroUsd::parse_usd("0.5"), Some(MicroUsd(500_000)));
        assert_eq!(MicroUsd::parse_usd("25"), Some(MicroUsd(25_000_000)));
        assert_eq!(MicroUsd::parse_usd("0.000001"), Some(MicroUsd(1)));
    }

    #[test]
    fn what_is_not_an_exact_amount_of_dollars_is_refused() {
        for text in ["", ".5", "-1", "+1", "1e3", "0.0000001", "1.2.3", "NaN", "99999999999999999"]
        {
            assert_eq!(MicroUsd::parse_usd(text), None, "{text}");
        }
    }

    #[test]
    fn a_fraction_of_a_micro_dollar_is_charged_as_a_whole_one() {
        let cheap = Price { input_per_mtok: MicroUsd(1), output_per_mtok: MicroUsd(0) };
        assert_eq!(cheap.cost(Tokens(1), Tokens(0)), MicroUsd(1));
        assert_eq!(cheap.cost(Tokens(0), Tokens(1)), MicroUsd(0));
    }

    proptest! {
        #[test]
        fn no_split_of_tokens_costs_more_than_the_highest_cost(
            input in 0..1_000_000_u64, output in 0..1_000_000_u64,
        ) {
            let highest = PRICE.highest_cost(Tokens(input + output));
            prop_assert!(PRICE.cost(Tokens(input), Tokens(output)) <= highest);
        }

        #[test]
        fn rounding_never_undercharges(input in 0..1_u64 << 40, output in 0..1_u64 << 40) {
            let exact = u128::from(input) * 3_000_000 + u128::from(output) * 15_000_000;
            let charged = u128::from(PRICE.cost(Tokens(input), Tokens(output)).0) * 1_000_000;
            prop_assert!(charged >= exact && charged - exact < 1_000_000);
        }
    }
}
