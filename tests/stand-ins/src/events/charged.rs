//! What an event cost the sessions' budgets, by the table before and after it.
//!
//! The usage that the function reports is less than that: where nobody knows what an invocation
//! used, it is charged at its hold.

use std::collections::HashMap;

use crate::table::Item;

/// What was added to the budgets of all sessions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// Whether a session's budget changed at all.
    pub touched: bool,
    /// Tokens, settled and held together.
    pub tokens: u64,
    /// Micro-dollars, settled and held together.
    pub micro_usd: u64,
    /// How many of the holds taken are still there.
    pub holds_left: usize,
}

impl Charged {
    /// The difference between two states of the table.
    pub(super) fn between(before: &[Item], after: &[Item]) -> Self {
        let before: HashMap<&str, &Item> = budgets(before).collect();
        let nothing = Item::new();
        let mut charged = Self::default();
        for (session, item) in budgets(after) {
            let old = before.get(session).copied().unwrap_or(&nothing);
            charged.touched |= old != item;
            // A session that was over has begun anew, and owes nothing of what it did before.
            let steps_fell = number(item, "steps") < number(old, "steps");
            let old = if steps_fell { &nothing } else { old };
            let more = |name| number(item, name).saturating_sub(number(old, name));
            charged.tokens += more("committed_tokens");
            charged.micro_usd += more("committed_micro_usd");
            let holds = item.keys().filter(|name| name.starts_with("hold#"));
            charged.holds_left += holds.filter(|name| !old.contains_key(*name)).count();
        }
        charged
    }
}

/// The items of sessions' budgets, each with its key.
fn budgets(items: &[Item]) -> impl Iterator<Item = (&str, &Item)> {
    items.iter().filter_map(|item| {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let is_budget = text("sk").is_some_and(|sk| sk == "BUDGET");
        Some((text("pk").filter(|_| is_budget)?.as_str(), item))
    })
}

fn number(item: &Item, name: &str) -> u64 {
    let digits = item.get(name).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn budget(session: &str, numbers: &[(&str, u64)]) -> Item {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let keys = [("pk".to_owned(), text(session)), ("sk".to_owned(), text("BUDGET"))];
        let number =
            |&(name, value): &(&str, u64)| (name.to_owned(), AttributeValue::N(value.to_string()));
        keys.into_iter().chain(numbers.iter().map(number)).collect()
    }

    #[test]
    fn what_was_committed_before_is_not_charged_again() {
        let numbers = |steps, tokens, micro_usd| {
            let committed = [("committed_tokens", tokens), ("committed_micro_usd", micro_usd)];
            budget("SESSION#s", &[&[("steps", steps)], &committed[..]].concat())
        };
        let charged = Charged::between(&[numbers(1, 500, 40)], &[numbers(2, 8_500, 90)]);
        let expected = Charged { touched: true, tokens: 8_000, micro_usd: 50, holds_left: 0 };
        assert_eq!(charged, expected);
        let same = [numbers(1, 500, 40)];
        assert_eq!(Charged::between(&same, &same), Charged::default());
    }

    #[test]
    fn a_session_that_begins_anew_is_charged_from_nothing() {
        let old = budget("SESSION#s", &[("steps", 9), ("committed_tokens", 100)]);
        let new = budget("SESSION#s", &[("steps", 1), ("committed_tokens", 300)]);
        assert_eq!(Charged::between(&[old], &[new]).tokens, 300);
    }

    #[test]
    fn only_holds_that_the_event_left_are_counted() {
        let old = budget("SESSION#s", &[("hold#dead", 0)]);
        let new = budget("SESSION#s", &[("hold#dead", 0), ("hold#own", 0)]);
        assert_eq!(Charged::between(&[old], &[new]).holds_left, 1);
    }

    #[test]
    fn other_items_than_budgets_cost_a_session_nothing() {
        let mut day = budget("TENANT#t", &[("drawn_micro_usd", 5)]);
        day.insert("sk".to_owned(), AttributeValue::S("DAY#2026-11-21".to_owned()));
        assert_eq!(Charged::between(&[], &[day]), Charged::default());
    }
}
