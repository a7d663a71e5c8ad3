//! How many calls requests make, which is the same on every machine.

use std::time::Duration;

use serde::Serialize;
use stand_ins::table::{AttributeValue, Item};
use tokio::time::Instant;

use super::BenchError;
use super::calls::{Calls, INVOKE_AGENT, PUT_METRIC_DATA, READ_CIRCUITS, UPDATE_ITEM};
use super::subject::{Running, Subject};

/// One count that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    /// What is counted.
    pub(super) what: String,
    pub(super) found: String,
    /// What it must be.
    pub(super) rule: String,
    right: bool,
}

impl Count {
    pub(super) fn is_right(&self) -> bool {
        self.right
    }
}

/// How many requests it takes until a session's item has all that it ever has: it remembers the
/// last holds in 16 places, by a hash of their ids, and 16 different requests.
const FILLED: usize = 100;

/// By how much it may grow in as many requests again: counters get longer, and one of those places
/// may still have been free.
const GROWS: usize = 100;

/// Tasks in one call.
const TASKS: usize = 8;

/// The circuits are read again after this time (docs/failures.md).
const CIRCUITS_KEPT: Duration = Duration::from_secs(5);

/// Counts the calls of a session's first request and of its ordinary ones, for few specialists
/// and for many.
pub(super) async fn check(function: &Subject) -> Result<Vec<Count>, BenchError> {
    let mut counts = Vec::new();
    for (specialists, steps) in [(4, 2 * FILLED), (50, 10)] {
        let running = function.start(specialists, 1).await?;
        counts.extend(of_session(&running, specialists, steps).await?);
    }
    counts.push(of_fan_out(&function.start(TASKS, 1).await?).await?);
    Ok(counts)
}

/// Counts the calls of a session's second call of eight tasks.
async fn of_fan_out(running: &Running) -> Result<Count, BenchError> {
    let session = running.new_session();
    running.fan_out(&session, 0, TASKS).await?;
    let earlier = Calls::so_far(&running.sandbox);
    running.fan_out(&session, 1, TASKS).await?;
    let mut found = Calls::so_far(&running.sandbox).since(&earlier);
    found.0.remove(READ_CIRCUITS);
    let expected = calls(&[(UPDATE_ITEM, 2), (INVOKE_AGENT, TASKS), (PUT_METRIC_DATA, 1)]);
    let (rule, right) = equals(&found, &expected);
    Ok(Count { what: format!("{TASKS} tasks at once"), found: found.to_string(), rule, right })
}

async fn of_session(
    running: &Running,
    specialists: usize,
    steps: usize,
) -> Result<Vec<Count>, BenchError> {
    let began = Instant::now();
    let mut circuits = 0;
    // A request's calls, but for reading the circuits, of which there may be none or one.
    let mut step = async |session: &str, step| {
        let earlier = Calls::so_far(&running.sandbox);
        running.step(session, step).await?;
        let mut calls = Calls::so_far(&running.sandbox).since(&earlier);
        circuits += calls.0.remove(READ_CIRCUITS).unwrap_or(0);
        Ok::<_, BenchError>(calls)
    };
    let mut counts = Vec::new();
    let mut counted = |what: &str, found: String, rule: String, right: bool| {
        let what = format!("{what}, {specialists} specialists");
        counts.push(Count { what, found, rule, right });
    };

    // The tenant's first request of the day draws the tenant's block. What follows is the usual.
    step(&running.new_session(), 0).await?;
    let session = running.new_session();
    let first = step(&session, 0).await?;
    let (rule, right) = equals(&first, &first_call());
    counted("first request of a session", first.to_string(), rule, right);

    let second = step(&session, 1).await?;
    let (rule, right) = equals(&second, &ordinary());
    counted("ordinary request", second.to_string(), rule, right);
    let (mut different, mut filled) = (0, None);
    for number in 2..steps {
        different += usize::from(step(&session, number).await? != second);
        if number + 1 == FILLED {
            filled = Some(item_size(running, &session).await?);
        }
    }
    let (found, rule) = (format!("{different} differ"), "all alike".to_owned());
    counted(&format!("requests 3 to {steps} of a session"), found, rule, different == 0);

    if let Some(filled) = filled {
        let late = item_size(running, &session).await?;
        let found = format!("{filled} bytes after {FILLED} requests, {late} after {steps}");
        let rule = format!("at most {GROWS} bytes more");
        counted("the session's item", found, rule, filled > 0 && late <= filled + GROWS);
    }

    let periods = began.elapsed().as_secs() / CIRCUITS_KEPT.as_secs();
    let found = format!("{circuits} reads");
    let rule = format!("1 to {}: once in {CIRCUITS_KEPT:?}", periods + 1);
    counted("circuits", found, rule, (1..=periods as usize + 1).contains(&circuits));
    Ok(counts)
}

fn equals(found: &Calls, expected: &Calls) -> (String, bool) {
    (expected.to_string(), found == expected)
}

/// One update before the agent is asked, one after, and the metrics.
fn ordinary() -> Calls {
    calls(&[(UPDATE_ITEM, 2), (INVOKE_AGENT, 1), (PUT_METRIC_DATA, 1)])
}

/// After an update that finds no session, a transaction opens it and draws from the tenant's day.
fn first_call() -> Calls {
    let mut calls = ordinary();
    calls.0.insert("DynamoDB.TransactWriteItems".to_owned(), 1);
    calls
}

fn calls(each: &[(&str, usize)]) -> Calls {
    Calls(each.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
}

/// The size by which DynamoDB charges ("Item sizes and formats" in its developer guide).
async fn item_size(running: &Running, session: &str) -> Result<usize, BenchError> {
    let item: Item = running.sandbox.table().session_budget(session).await?.unwrap_or_default();
    Ok(of_map(&item))
}

fn of_map(map: &Item) -> usize {
    map.iter().map(|(name, value)| name.len() + of_value(value)).sum()
}

fn of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // Two significant digits a byte, and one byte more.
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::L(list) => 3 + list.iter().map(|one| 1 + of_value(one)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + of_map(map),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_size_counts_names_and_values() {
        let number = AttributeValue::N("12345".to_owned());
        let holds = AttributeValue::M(Item::from([("ab".to_owned(), number.clone())]));
        let item = Item::from([
            ("pk".to_owned(), AttributeValue::S("SESSION#s".to_owned())),
            ("steps".to_owned(), number),
            ("holds".to_owned(), holds),
        ]);
        assert_eq!(of_map(&item), (2 + 9) + (5 + 4) + (5 + 3 + 1 + 2 + 4));
    }

    #[test]
    fn one_call_more_is_no_ordinary_request() {
        let mut calls = ordinary();
        assert!(equals(&calls, &ordinary()).1);
        calls.0.insert(UPDATE_ITEM.to_owned(), 3);
        assert!(!equals(&calls, &ordinary()).1);
    }
}
