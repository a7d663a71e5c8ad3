//! The dated prices of the repository, and those that a user names.

use std::collections::BTreeMap;

use router_core::units::MicroUsd;
use serde::{Deserialize, Serialize};

/// The one file with prices.
const FILE: &str = include_str!("../../prices.toml");

/// 1,000 USD for a million tokens: no model costs that, and sums stay within 64 bits.
const MAX_PER_MTOK: u64 = 1_000_000_000;

/// What models and functions cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// When the prices were written down.
    pub(crate) date: String,
    pub(crate) models: BTreeMap<String, Price>,
    pub(crate) functions: Functions,
}

/// A model's price.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// Micro-dollars for a million input tokens.
    pub(crate) input: u64,
    /// Micro-dollars for a million output tokens.
    pub(crate) output: u64,
    pub(crate) source: String,
}

/// What the router costs beside the models, in micro-dollars.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Functions {
    pub(crate) source: String,
    pub(crate) per_million_requests: PerRequests,
    pub(crate) per_month: PerMonth,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerRequests {
    pub(crate) lambda: u64,
    pub(crate) dynamodb: u64,
    pub(crate) cloudwatch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerMonth {
    pub(crate) metrics: u64,
    pub(crate) alarms: u64,
    pub(crate) dashboard: u64,
}

/// A price that a user names: `NAME=IN,OUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named(String, Price);

impl Named {
    /// Reads dollars for a million tokens, such as `nova=0.06,0.24`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rule = "it must be NAME=IN,OUT, in USD for a million tokens, such as small=0.06,0.24, each \
                    at most 1000";
        let micro_usd = |text: &str| MicroUsd::parse_usd(text).map(|price| price.0);
        let read = || {
            let (name, prices) = text.split_once('=')?;
            let (input, output) = prices.split_once(',')?;
            let (input, output) = (micro_usd(input)?, micro_usd(output)?);
            let fits = !name.is_empty() && input.max(output) <= MAX_PER_MTOK;
            let source = "--price".to_owned();
            fits.then(|| Self(name.to_owned(), Price { input, output, source }))
        };
        read().ok_or_else(|| rule.to_owned())
    }
}

impl Prices {
    /// The repository's prices, with a user's own in the place of those of the same name.
    ///
    /// # Errors
    ///
    /// The file has a mistake, which a test would have found.
    pub(crate) fn with(own: &[Named]) -> Result<Self, String> {
        let mut prices: Self = toml::from_str(FILE).map_err(|error| error.to_string())?;
        prices.models.extend(own.iter().map(|Named(name, price)| (name.clone(), price.clone())));
        Ok(prices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_price_is_read_digit_by_digit_and_comes_first() {
        let own = Named::parse("claude-haiku-4-5=0.8,4").unwrap();
        let prices = Prices::with(&[own, Named::parse("nova=0.06,0.24").unwrap()]).unwrap();
        let price = |name: &str| (prices.models[name].input, prices.models[name].output);
        assert_eq!(price("claude-haiku-4-5"), (800_000, 4_000_000));
        assert_eq!(price("nova"), (60_000, 240_000));
        assert_eq!(price("claude-sonnet-4-6"), (3_000_000, 15_000_000));
        for wrong in ["", "nova", "nova=1", "=1,2", "nova=1,x", "nova=-1,2", "nova=1,1000.1"] {
            assert!(Named::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_price_of_the_file_has_a_date_and_a_source() {
        let prices = Prices::with(&[]).unwrap();
        assert!(stand_ins::print::parse_utc(&format!("{}T00:00:00Z", prices.date)).is_some());
        for (name, price) in &prices.models {
            assert!(price.source.starts_with("https://"), "{name}");
            assert!((1..=price.output).contains(&price.input) && price.output <= MAX_PER_MTOK);
        }
    }
}
