//! A session's limits, raised by an operator.
//!
//! The new limits are attributes of the session's item that override the policy's. A reservation
//! names the limits that it was decided by in its condition, so one that is under way meets the
//! new ones and is decided again.

use super::Limit;
use super::statement::{CLOSED_AT, SetLimits, Statement};
use crate::ids::RootSession;
use crate::policy::SessionLimits;
use crate::store::Comparison::{Equal, Greater};
use crate::store::{Item, ItemKey, Update, Value};
use crate::units::Timestamp;

/// Why limits cannot be raised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRaised {
    /// The next request begins the session anew, under the policy's limits.
    #[error("the session is over: its next request begins it anew, under the policy's limits")]
    Over,
    /// A limit would not be higher.
    #[error("the limit of {limit} is {in_force}; {asked} is not above it")]
    NotAbove {
        /// The limit; amounts are in its unit.
        limit: Limit,
        /// What is in force.
        in_force: u64,
        /// What was asked for.
        asked: u64,
    },
    /// No limit was named.
    #[error("no limit was named; allowed are steps, tokens, cost_usd and handoffs")]
    Nothing,
}

/// The write that gives a session new limits, if its item has the limits of `item` still. A
/// session that an operator closed is open again; limits that are not named are the policy's then.
///
/// # Errors
///
/// [`NotRaised`], for the first limit that is not higher than the one in force.
pub fn raise(
    session: &RootSession,
    item: &Item,
    policy: &SessionLimits,
    to: &SetLimits,
    now: Timestamp,
) -> Result<Update, NotRaised> {
    let statement = Statement::of(item, policy);
    if statement.is_over(now) {
        return Err(NotRaised::Over);
    }
    let in_force = statement.account.limits;
    let limits = [
        (Limit::Steps, "limit_steps", to.steps, in_force.steps),
        (Limit::Tokens, "limit_tokens", to.tokens.map(|limit| limit.0), in_force.tokens.0),
        (Limit::Cost, "limit_micro_usd", to.cost.map(|limit| limit.0), in_force.cost.0),
        (Limit::Handoffs, "limit_handoffs", to.handoffs, in_force.handoffs),
    ];
    if limits.iter().all(|(.., asked, _)| asked.is_none()) {
        return Err(NotRaised::Nothing);
    }
    let mut write = Update::of(ItemKey::session(session));
    // An item of limits only would be a session that has not begun.
    write.require("pk");
    write.compare_if_there("expires_at", Greater, Value::number(now.0 / 1_000));
    as_read(&mut write, item, CLOSED_AT);
    let reopens = item.has(CLOSED_AT);
    if reopens {
        write.remove(CLOSED_AT);
    }
    for (limit, name, asked, in_force) in limits {
        match asked {
            Some(asked) if asked <= in_force => {
                return Err(NotRaised::NotAbove { limit, in_force, asked });
            }
            Some(asked) => {
                as_read(&mut write, item, name);
                write.set(name, Value::number(asked));
            }
            None if reopens && limit != Limit::Handoffs => write.remove(name),
            None => {}
        }
    }
    Ok(write)
}

/// On the condition that the attribute is as it was read.
pub(super) fn as_read(write: &mut Update, item: &Item, name: &str) {
    match item.get(name) {
        Some(value) => write.compare(name, Equal, value.clone()),
        None => write.require_absent(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy;
    use crate::store::{Answer, Request, memory};
    use crate::units::{MicroUsd, Tokens};
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn session() -> RootSession {
        RootSession::parse("sessionId", "s").unwrap()
    }

    fn item(numbers: &[(&str, u64)]) -> Item {
        let numbers = numbers.iter();
        Item(numbers.map(|(name, value)| ((*name).to_owned(), Value::number(*value))).collect())
    }

    fn steps(limit: u64) -> SetLimits {
        SetLimits { steps: Some(limit), ..SetLimits::default() }
    }

    fn raised(found: &Item, to: &SetLimits) -> Result<Item, NotRaised> {
        let write = raise(&session(), found, &policy().session, to, NOW)?;
        let mut items = BTreeMap::from([(ItemKey::session(&session()), found.clone())]);
        match memory::apply(&mut items, &Request::Update(write)) {
            Answer::Done(Some(item)) => Ok(item),
            other => panic!("{other:?}"),
        }
    }

    // The policy of the tests: 12 steps, 80,000 tokens, 0.50 USD.

    #[test]
    fn a_limit_is_raised_above_the_one_in_force_and_nothing_else_changes() {
        let before = item(&[("steps", 12), ("limit_tokens", 90_000)]);
        let to = SetLimits { cost: Some(MicroUsd(750_000)), ..steps(20) };
        let mut expected = before.clone();
        expected.set("limit_steps", Value::number(20));
        expected.set("limit_micro_usd", Value::number(750_000));
        assert_eq!(raised(&before, &to), Ok(expected));
        let not_above = |limit, in_force| NotRaised::NotAbove { limit, in_force, asked: in_force };
        assert_eq!(raised(&before, &steps(12)), Err(not_above(Limit::Steps, 12)));
        let to = SetLimits { tokens: Some(Tokens(90_000)), ..SetLimits::default() };
        assert_eq!(raised(&before, &to), Err(not_above(Limit::Tokens, 90_000)), "the item's own");
        assert_eq!(raised(&before, &SetLimits::default()), Err(NotRaised::Nothing));
    }

    #[test]
    fn a_session_that_is_over_is_not_raised_and_one_that_has_gone_is_not_made_up() {
        assert_eq!(raised(&item(&[("expires_at", 1_000)]), &steps(20)), Err(NotRaised::Over));
        let found = item(&[("expires_at", 1_001)]);
        let write = raise(&session(), &found, &policy().session, &steps(20), NOW).unwrap();
        let mut items = BTreeMap::new();
        let answer = memory::apply(&mut items, &Request::Update(write));
        assert!(matches!(answer, Answer::Refused { .. }) && items.is_empty());
    }

    #[test]
    fn raising_opens_a_closed_session_under_the_policys_limits_where_none_is_named() {
        let closed = item(&[
            (CLOSED_AT, 5),
            ("limit_steps", 2),
            ("limit_tokens", 500),
            ("limit_micro_usd", 700),
            ("limit_handoffs", 9),
        ]);
        let expected = item(&[("limit_steps", 5), ("limit_handoffs", 9)]);
        assert_eq!(raised(&closed, &steps(5)), Ok(expected));
    }
}
