//! Raising a session's limits by hand.
//!
//! An operator's limits are attributes of the session's item, which go before the policy. The
//! router's next write of the session finds out; only its memory of a session that has used its
//! budget up, which lasts 5 seconds, can keep it from asking.

use std::collections::HashMap;
use std::fmt;

use stand_ins::table::AttributeValue;
use stand_ins::table::{TABLE_NAME, Table};

use super::limit::{Limit, Policy};
use super::session::Session;
use super::{BudgetError, session_key};

/// New limits, each named once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raise(Vec<(Limit, u64)>);

/// One thing that is wrong with `--raise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    found: String,
    rule: String,
}

impl Raise {
    /// Reads `steps=20,cost_usd=1.0` and compares it with the limits in force; all mistakes at
    /// once.
    pub(crate) fn parse(
        text: &str,
        session: &Session,
        policy: &Policy,
    ) -> Result<Self, Vec<Mistake>> {
        let mut limits: Vec<(Limit, u64)> = Vec::new();
        let mut mistakes = Vec::new();
        for setting in text.split(',').map(str::trim) {
            let mut wrong =
                |rule: String| mistakes.push(Mistake { found: setting.to_owned(), rule });
            let Some((name, value)) = setting.split_once('=') else {
                wrong("it must be NAME=VALUE".to_owned());
                continue;
            };
            let Some(limit) = Limit::ALL.into_iter().find(|limit| limit.name() == name) else {
                let names = Limit::ALL.map(Limit::name).join(", ");
                wrong(format!("there is no such limit, only {names}"));
                continue;
            };
            let Some(value) = limit.parse(value) else {
                wrong(format!("it must be {}", limit.rule()));
                continue;
            };
            let in_force = session.limit(limit, policy);
            if limits.iter().any(|(other, _)| *other == limit) {
                wrong("it must be given once".to_owned());
            } else if value <= in_force {
                wrong(format!("it must be above the limit in force, {}", limit.show(in_force)));
            }
            limits.push((limit, value));
        }
        if mistakes.is_empty() { Ok(Self(limits)) } else { Err(mistakes) }
    }

    /// Sets the limits in the session's item, all or none.
    pub(crate) async fn write(&self, table: &Table, session: &Session) -> Result<(), BudgetError> {
        let clauses: Vec<String> =
            self.0.iter().map(|(limit, _)| format!("{0} = :{0}", limit.attribute())).collect();
        let values: HashMap<String, AttributeValue> = self
            .0
            .iter()
            .map(|(limit, value)| {
                (format!(":{}", limit.attribute()), AttributeValue::N(value.to_string()))
            })
            .collect();
        let update = table
            .client()
            .update_item()
            .table_name(TABLE_NAME)
            .set_key(Some(session_key(&session.id)))
            .update_expression(format!("SET {}", clauses.join(", ")))
            // An item of limits only would be a session that nobody has begun.
            .condition_expression("attribute_exists(pk)")
            .set_expression_attribute_values(Some(values));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(BudgetError::Raise(error.into_source().unwrap_or_else(Box::from))),
        }
    }

    /// `steps from 12 to 20, cost from $0.500000 to $1.000000`
    pub(crate) fn describe(&self, session: &Session, policy: &Policy) -> String {
        let changes: Vec<String> = self
            .0
            .iter()
            .map(|(limit, value)| {
                let before = limit.show(session.limit(*limit, policy));
                format!("{} from {before} to {}", limit.title(), limit.show(*value))
            })
            .collect();
        changes.join(", ")
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.found.escape_debug(), self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::tests::{item, policy};

    fn parse(text: &str) -> Result<Raise, Vec<String>> {
        let session = Session::parse(&item("s", &[("limit_tokens", 90_000)])).unwrap();
        Raise::parse(text, &session, &policy())
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn limits_are_raised_to_new_values() {
        let raise = parse("steps=20, tokens=100000,cost_usd=1.0,handoffs=7").unwrap();
        let values: Vec<u64> = raise.0.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [20, 100_000, 1_000_000, 7]);
        let session = Session::parse(&item("s", &[])).unwrap();
        let change = parse("cost_usd=1").unwrap().describe(&session, &policy());
        assert_eq!(change, "cost from $0.500000 to $1.000000");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        assert_eq!(
            parse("steps=12,steps=20,tokens=85000,turns=3,cost_usd=1.0000001,handoffs")
                .unwrap_err(),
            [
                "`steps=12`: it must be above the limit in force, 12",
                "`steps=20`: it must be given once",
                "`tokens=85000`: it must be above the limit in force, 90,000",
                "`turns=3`: there is no such limit, only steps, tokens, cost_usd, handoffs",
                "`cost_usd=1.0000001`: it must be dollars above 0, up to 1000000, of six decimals \
                 at most",
                "`handoffs`: it must be NAME=VALUE",
            ]
        );
        assert_eq!(parse("").unwrap_err(), ["``: it must be NAME=VALUE"]);
    }

    #[tokio::test]
    async fn a_raised_limit_is_the_documented_attribute_and_nothing_else_changes() {
        let table = Table::start().await.unwrap();
        let before = item("s", &[("steps", 12), ("limit_steps", 13)]);
        table.put_item(before.clone()).await.unwrap();
        let session = Session::parse(&before).unwrap();
        let raise = Raise::parse("steps=20,cost_usd=0.75", &session, &policy()).unwrap();
        raise.write(&table, &session).await.unwrap();
        let after = table.session_budget("s").await.unwrap().unwrap();
        let limits = [("steps", 12), ("limit_steps", 20), ("limit_micro_usd", 750_000)];
        assert_eq!(after, item("s", &limits));
    }

    #[tokio::test]
    async fn a_session_that_has_gone_is_not_made_up() {
        let table = Table::start().await.unwrap();
        let session = Session::parse(&item("gone", &[])).unwrap();
        let raise = Raise::parse("steps=20", &session, &policy()).unwrap();
        raise.write(&table, &session).await.unwrap_err();
        assert_eq!(table.scan().await.unwrap(), []);
    }
}
