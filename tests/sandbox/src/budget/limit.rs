//! The four limits of a session: what they are called, which values they may have, and what a
//! policy sets them to.

use serde::{Deserialize, Deserializer};
use toml::Value;

use crate::paint::{grouped, usd};

/// The most dollars of any limit.
const MOST_USD: u64 = 1_000_000;

/// A limit of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Specialist invocations.
    Steps,
    /// Input and output tokens.
    Tokens,
    /// Micro-dollars.
    Cost,
    /// Hand-offs.
    Handoffs,
}

impl Limit {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 4] = [Self::Steps, Self::Tokens, Self::Cost, Self::Handoffs];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Tokens => "tokens",
            Self::Cost => "cost_usd",
            Self::Handoffs => "handoffs",
        }
    }

    /// The name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Handoffs => "hand-offs",
            Self::Steps | Self::Tokens => self.name(),
        }
    }

    /// The attribute of a session's item that goes before the policy.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Steps => "limit_steps",
            Self::Tokens => "limit_tokens",
            Self::Cost => "limit_micro_usd",
            Self::Handoffs => "limit_handoffs",
        }
    }

    /// Reads a value as it is written on the command line, if it is one that a policy may have.
    pub(crate) fn parse(self, text: &str) -> Option<u64> {
        let most = match self {
            Self::Cost => return parse_usd(text),
            Self::Steps | Self::Handoffs => 10_000,
            Self::Tokens => 1_000_000_000,
        };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|value| is_number && (1..=most).contains(value))
    }

    /// What [`Limit::parse`] takes.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Steps | Self::Handoffs => "a whole number from 1 to 10000",
            Self::Tokens => "a whole number from 1 to 1000000000",
            Self::Cost => "dollars above 0, up to 1000000, of six decimals at most",
        }
    }

    /// An amount in the limit's unit.
    pub(crate) fn show(self, amount: u64) -> String {
        match self {
            Self::Cost => usd(amount),
            Self::Steps | Self::Tokens | Self::Handoffs => grouped(amount),
        }
    }
}

/// What a policy says about budgets. Whatever else it says is the function's to check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Policy {
    session: Session,
    /// The tenants' days.
    #[serde(default)]
    pub(crate) tenant_day: TenantDay,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Session {
    max_steps: u64,
    max_tokens: u64,
    max_cost_usd: MicroUsd,
    #[serde(default = "default_max_handoffs")]
    max_handoffs: u64,
    max_repeats: Option<u64>,
}

/// What one tenant may use on one UTC day.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TenantDay {
    max_cost_usd: MicroUsd,
    tenants: Vec<String>,
}

/// Micro-dollars, written as decimal dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MicroUsd(u64);

impl Policy {
    /// Reads what is needed.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The limit of each session, unless its item sets another.
    pub(crate) fn limit(&self, limit: Limit) -> u64 {
        let Session { max_steps, max_tokens, max_cost_usd, max_handoffs, .. } = self.session;
        match limit {
            Limit::Steps => max_steps,
            Limit::Tokens => max_tokens,
            Limit::Cost => max_cost_usd.0,
            Limit::Handoffs => max_handoffs,
        }
    }

    /// How often the same specialist may be asked the same; `None`: as often as you like.
    pub(crate) fn max_repeats(&self) -> Option<u64> {
        self.session.max_repeats
    }
}

impl TenantDay {
    /// Micro-dollars.
    pub(crate) fn limit(&self) -> u64 {
        self.max_cost_usd.0
    }

    /// The tenant whose day pays for a session of `tenant`.
    pub(crate) fn payer<'a>(&self, tenant: &'a str) -> &'a str {
        let has_own_day = self.tenants.is_empty() || self.tenants.iter().any(|own| own == tenant);
        if has_own_day { tenant } else { "default" }
    }
}

impl Default for TenantDay {
    fn default() -> Self {
        Self { max_cost_usd: MicroUsd(25_000_000), tenants: Vec::new() }
    }
}

impl<'de> Deserialize<'de> for MicroUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Written out again, a TOML float has the decimals that it was written with.
        let text = match Value::deserialize(deserializer)? {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            other => other.to_string(),
        };
        let wrong = || serde::de::Error::custom(format!("{text} is not {}", Limit::Cost.rule()));
        parse_usd(&text).map(Self).ok_or_else(wrong)
    }
}

fn default_max_handoffs() -> u64 {
    6
}

/// Micro-dollars from decimal dollars, digit by digit.
fn parse_usd(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
    let amount = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)?;
    (1..=MOST_USD * 1_000_000).contains(&amount).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stand_ins::last_run::SHIPPED_POLICY;

    #[test]
    fn dollars_are_read_to_the_micro_dollar() {
        let read = |text| Limit::Cost.parse(text);
        assert_eq!(read("1.0"), Some(1_000_000));
        assert_eq!(read("0.000001"), Some(1));
        assert_eq!(read("1000000"), Some(1_000_000_000_000));
        // As a float this would be one micro-dollar less.
        assert_eq!(read("2.001003"), Some(2_001_003));
    }

    #[test]
    fn what_is_no_exact_amount_of_dollars_is_refused() {
        for text in ["", ".5", "0", "0.0000001", "-1", "+1", "1e3", "$1", "1,5", "1000000.000001"] {
            assert_eq!(Limit::Cost.parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers_within_what_a_policy_may_say() {
        assert_eq!(Limit::Steps.parse("20"), Some(20));
        assert_eq!(Limit::Tokens.parse("1000000000"), Some(1_000_000_000));
        for text in ["", "0", "10001", "+5", "-5", "1.0", "1_000"] {
            assert_eq!(Limit::Steps.parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_shipped_policy_is_read() {
        let policy = Policy::parse(SHIPPED_POLICY).unwrap();
        for limit in Limit::ALL {
            assert!(policy.limit(limit) > 0, "{limit:?}");
        }
    }

    #[test]
    fn a_policy_without_what_has_a_default_gets_it() {
        let text = "[session]\nmax_steps = 1\nmax_tokens = 2\nmax_cost_usd = 0.000003\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!(Limit::ALL.map(|limit| policy.limit(limit)), [1, 2, 3, 6]);
        assert_eq!(policy.tenant_day.limit(), 25_000_000);
        assert_eq!(policy.max_repeats(), None);
        let error = Policy::parse(&text.replace("0.000003", "0.0000003")).unwrap_err();
        assert!(error.to_string().contains("six decimals"), "{error}");
    }

    #[test]
    fn a_tenant_that_the_policy_does_not_name_shares_a_day() {
        let text = "[session]\nmax_steps = 1\nmax_tokens = 2\nmax_cost_usd = 1\n\
                    [tenant_day]\nmax_cost_usd = 30\ntenants = [\"acme\"]\n";
        let day = Policy::parse(text).unwrap().tenant_day;
        assert_eq!((day.payer("acme"), day.payer("other")), ("acme", "default"));
        assert_eq!(TenantDay::default().payer("other"), "other");
    }
}
