//! Quantities with their units: money, tokens, prices, points in time.
//!
//! Everything a budget is reckoned in is an integer. A price list speaks in decimal dollars,
//! so those are read digit by digit; a float never takes part.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use time::{Date, OffsetDateTime};

/// Micro-dollars in one US dollar, and tokens in one "Mtok" of a price list.
const MILLION: u64 = 1_000_000;

/// An amount of money in whole micro-dollars (1 USD = 1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tokens(pub u64);

impl Tokens {
    /// Both numbers together; [`u64::MAX`] when they do not fit.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

/// The tokens that a model used, by what they cost. No token is in two of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUse {
    /// Input tokens that went past the prompt cache.
    pub input: Tokens,
    /// Input tokens read from the prompt cache.
    pub cache_read: Tokens,
    /// Input tokens written to the prompt cache.
    pub cache_write: Tokens,
    /// Output tokens.
    pub output: Tokens,
    /// Tokens that a reported total has beyond its parts. They count at the highest price.
    pub unexplained: Tokens,
}

impl TokenUse {
    /// Input and output tokens without any cache.
    pub fn new(input: u64, output: u64) -> Self {
        Self { input: Tokens(input), output: Tokens(output), ..Self::default() }
    }

    /// All tokens.
    pub fn total(&self) -> Tokens {
        self.all_input().plus(self.all_output())
    }

    /// All input tokens, cached ones too.
    pub fn all_input(&self) -> Tokens {
        self.input.plus(self.cache_read).plus(self.cache_write)
    }

    /// The output tokens, with those that no part explains.
    pub fn all_output(&self) -> Tokens {
        self.output.plus(self.unexplained)
    }

    /// Both uses together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.plus(other.input),
            cache_read: self.cache_read.plus(other.cache_read),
            cache_write: self.cache_write.plus(other.cache_write),
            output: self.output.plus(other.output),
            unexplained: self.unexplained.plus(other.unexplained),
        }
    }
}

/// What a specialist's model costs, in micro-dollars for a million tokens.
///
/// Providers quote dollars for a million tokens; that number times a million is kept, so a
/// price of 0.25 USD is 250,000 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For a million input tokens that went past the prompt cache.
    pub input_per_mtok: MicroUsd,
    /// For a million output tokens.
    pub output_per_mtok: MicroUsd,
    /// For a million tokens read from the prompt cache.
    pub cache_read_per_mtok: MicroUsd,
    /// For a million tokens written to the prompt cache.
    pub cache_write_per_mtok: MicroUsd,
}

impl Price {
    /// The price of a model whose provider quotes no other price for cached input: reading
    /// costs the input price, writing 1.25 times as much, rounded up.
    pub fn new(input_per_mtok: MicroUsd, output_per_mtok: MicroUsd) -> Self {
        Self {
            input_per_mtok,
            output_per_mtok,
            cache_read_per_mtok: input_per_mtok,
            cache_write_per_mtok: MicroUsd(input_per_mtok.0.saturating_mul(5).div_ceil(4)),
        }
    }

    /// The cost of one attempt, rounded up to the next whole micro-dollar.
    pub fn cost(&self, used: &TokenUse) -> MicroUsd {
        let exact = [
            (used.input, self.input_per_mtok),
            (used.cache_read, self.cache_read_per_mtok),
            (used.cache_write, self.cache_write_per_mtok),
            (used.output, self.output_per_mtok),
            (used.unexplained, self.highest_per_mtok()),
        ]
        .into_iter()
        .map(|(tokens, per_mtok)| u128::from(tokens.0) * u128::from(per_mtok.0))
        .fold(0, u128::saturating_add);
        let rounded_up = exact.div_ceil(u128::from(MILLION));
        MicroUsd(u64::try_from(rounded_up).unwrap_or(u64::MAX))
    }

    /// The most that `tokens` can cost, whichever kinds of tokens they are.
    pub fn highest_cost(&self, tokens: Tokens) -> MicroUsd {
        self.cost(&TokenUse { unexplained: tokens, ..TokenUse::default() })
    }

    fn highest_per_mtok(&self) -> MicroUsd {
        self.input_per_mtok
            .max(self.output_per_mtok)
            .max(self.cache_read_per_mtok)
            .max(self.cache_write_per_mtok)
    }
}

/// A share of a whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

impl Share {
    /// The share of a whole, rounded up.
    pub fn of(self, whole: u64) -> u64 {
        let millionths = u128::from(whole) * u128::from(self.0);
        u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

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

    /// The UTC date, as `2026-11-21`. Times after the year 9999 have its last day.
    pub fn date(self) -> String {
        let seconds = i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX);
        let date = OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, |at| at.date());
        format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

/// When an item that belongs to the day of `now` expires, in epoch seconds: 90 days later.
pub fn day_expiry(now: Timestamp) -> u64 {
    const KEPT_SECONDS: u64 = 90 * 86_400;
    now.epoch_seconds() + KEPT_SECONDS
}

/// A reading of a process's steady clock, which cannot be set: the time since a moment that means
/// nothing outside the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// The time from `earlier` to this.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// When something was learnt that a process remembers for a while, by both of its clocks. The
/// one that people set may step back; the steady one may stand still while Lambda has the
/// process frozen. What either takes for old is old.
#[derive(Clone, Copy, Debug)]
pub struct Learnt {
    at: Timestamp,
    moment: Moment,
}

impl Learnt {
    /// Now.
    pub fn now<C: Clock>(clock: &C) -> Self {
        Self { at: clock.now(), moment: clock.moment() }
    }

    /// By these readings.
    pub fn at(at: Timestamp, moment: Moment) -> Self {
        Self { at, moment }
    }

    /// How old what was learnt `before` is by now.
    pub fn since(&self, before: &Self) -> Duration {
        self.at.since(before.at).max(self.moment.since(before.moment))
    }
}

/// Where the router learns the time, and waits.
pub trait Clock {
    /// The time now, on the clock that Lambda's deadline is given in. It does not step back
    /// while a request is served: a request's durations are differences of it.
    fn now(&self) -> Timestamp;

    /// The time now, on a clock that never steps back as long as the process lives.
    fn moment(&self) -> Moment;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each kind of token has a price of its own: 3, 15, 1 and 20 USD.
    const PRICE: Price = Price {
        input_per_mtok: MicroUsd(3_000_000),
        output_per_mtok: MicroUsd(15_000_000),
        cache_read_per_mtok: MicroUsd(1_000_000),
        cache_write_per_mtok: MicroUsd(20_000_000),
    };

    fn used() -> impl Strategy<Value = TokenUse> {
        prop::array::uniform5(0..1_u64 << 40).prop_map(
            |[input, cache_read, cache_write, output, unexplained]| TokenUse {
                input: Tokens(input),
                cache_read: Tokens(cache_read),
                cache_write: Tokens(cache_write),
                output: Tokens(output),
                unexplained: Tokens(unexplained),
            },
        )
    }

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
        let cheap = Price::new(MicroUsd(1), MicroUsd(0));
        assert_eq!(cheap.cost(&TokenUse::new(1, 0)), MicroUsd(1));
        assert_eq!(cheap.cost(&TokenUse::new(0, 1)), MicroUsd(0));
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let used = TokenUse {
            input: Tokens(30),
            cache_read: Tokens(1_000),
            cache_write: Tokens(5_000),
            output: Tokens(4),
            unexplained: Tokens(7),
        };
        assert_eq!(used.total(), Tokens(6_041));
        assert_eq!(PRICE.cost(&used), MicroUsd(90 + 1_000 + 100_000 + 60 + 140));
    }

    #[test]
    fn cached_input_costs_the_input_price_or_a_quarter_more() {
        let price = Price::new(MicroUsd(3_000_000), MicroUsd(0));
        assert_eq!(price.cache_read_per_mtok, MicroUsd(3_000_000));
        assert_eq!(price.cache_write_per_mtok, MicroUsd(3_750_000));
        assert_eq!(Price::new(MicroUsd(1), MicroUsd(0)).cache_write_per_mtok, MicroUsd(2));
    }

    #[test]
    fn what_was_learnt_grows_old_by_either_clock() {
        let at = |wall, steady| Learnt::at(Timestamp(wall), Moment(Duration::from_millis(steady)));
        let before = at(10_000, 500);
        assert_eq!(at(12_000, 600).since(&before), Duration::from_secs(2), "it was frozen");
        assert_eq!(at(3_000, 2_500).since(&before), Duration::from_secs(2), "it was set back");
    }

    proptest! {
        #[test]
        fn no_split_of_tokens_costs_more_than_the_highest_cost(
            used in used(),
        ) {
            prop_assert!(PRICE.cost(&used) <= PRICE.highest_cost(used.total()));
        }

        #[test]
        fn rounding_never_undercharges(input in 0..1_u64 << 40, output in 0..1_u64 << 40) {
            let exact = u128::from(input) * 3_000_000 + u128::from(output) * 15_000_000;
            let charged = u128::from(PRICE.cost(&TokenUse::new(input, output)).0) * 1_000_000;
            prop_assert!(charged >= exact && charged - exact < 1_000_000);
        }
    }

    #[test]
    fn a_ttl_is_never_before_its_time() {
        assert_eq!([0, 1, 1_000, 1_001].map(|ms| Timestamp(ms).epoch_seconds()), [0, 1, 1, 2]);
        assert_eq!(day_expiry(Timestamp(1_001)), 2 + 7_776_000);
    }

    #[test]
    fn a_date_is_utc_and_changes_at_midnight() {
        let midnight = 1_764_115_200_000;
        assert_eq!(Timestamp(midnight - 1).date(), "2025-11-25");
        assert_eq!(Timestamp(midnight).date(), "2025-11-26");
        assert_eq!(Timestamp(u64::MAX).date(), "9999-12-31");
    }

    #[test]
    fn money_is_written_in_dollars_to_the_last_micro_dollar() {
        assert_eq!(MicroUsd(12_000_345).to_string(), "12.000345 USD");
    }
}
