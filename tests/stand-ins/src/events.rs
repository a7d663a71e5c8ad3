//! The repository's event files: read, played on a sandbox, compared with what is expected.
//!
//! `events/NAME.json` is sent byte for byte. `events/expected/NAME.json` says what should come of
//! it. Where they are there, `events/client-context/NAME.json` is the invocation's client context,
//! and `events/given/NAME.json` a list of items that are in the table while the event is played.

mod charged;
mod compare;
mod expectation;
mod files;
mod form;
mod given;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use self::charged::Charged;
pub use self::compare::Mismatch;
pub use self::expectation::Expectation;
pub use self::files::{EventError, folder, load, load_all, load_folder};
pub use self::form::Form;
pub use self::given::{Given, GivenError};

use self::compare::same;
use crate::agents::Call;
use crate::lambda::{Invocation, Outcome, StartError};
use crate::metrics::Batch;
use crate::options::FUNCTION;
use crate::sandbox::Sandbox;
use crate::table::TableError;

/// The most bytes that Bedrock takes as a reply.
pub const MOST_REPLY_BYTES: usize = 25_000;

/// One event file with all that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The file's name without `.json`.
    pub name: String,
    /// The event, byte for byte.
    pub event: Bytes,
    /// The invocation's client context.
    pub client_context: Option<Value>,
    /// What should come of it; only files outside the repository may have none.
    pub expectation: Option<Expectation>,
    /// What is in the table while it is played.
    pub given: Given,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The invocation of the function.
    pub invocation: Invocation,
    /// The agent calls it made.
    pub calls: Vec<Call>,
    /// The metrics it published.
    pub batches: Vec<Batch>,
    /// What it put on the sessions' budgets.
    pub charged: Charged,
    /// Why CloudWatch refused batches.
    pub refusals: Vec<String>,
    /// The lines it wrote, standard output before standard error.
    pub lines: Vec<String>,
}

/// Why an event cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// What is given cannot be written, or the table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A new process of the function does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Invokes the function with the event and collects what came of it. Where items are given, they
/// are in the table meanwhile, and only then; the event is played in new processes of the
/// function, and new ones are started after it.
///
/// Agent calls, metrics, lines and charges are told apart by when they arrive, so a sandbox must
/// play one case at a time.
///
/// # Errors
///
/// [`PlayError`]. What is given is left in the table only where the table itself fails.
pub async fn play(sandbox: &Sandbox, case: &Case) -> Result<Played, PlayError> {
    if case.given.is_empty() {
        return Ok(play_on(sandbox, case).await?);
    }
    let before = case.given.put(sandbox.table()).await?;
    let played = play_in_new_processes(sandbox, case).await;
    before.put_back(sandbox.table()).await?;
    let played = played?;
    sandbox.renew_processes().await?;
    Ok(played)
}

async fn play_in_new_processes(sandbox: &Sandbox, case: &Case) -> Result<Played, PlayError> {
    sandbox.renew_processes().await?;
    Ok(play_on(sandbox, case).await?)
}

async fn play_on(sandbox: &Sandbox, case: &Case) -> Result<Played, TableError> {
    let table_before = sandbox.table().scan().await?;
    let calls_before = sandbox.agents().calls().len();
    let batches_before = sandbox.metrics().batches().len();
    let refusals_before = sandbox.metrics().refusals().len();
    let lines_before = sandbox.lines_by_stream();
    let (event, client_context) = (case.event.clone(), case.client_context.clone());
    let (function, limit) = (case.function(), case.timeout());
    let invocation = sandbox.invoke_function(function, limit, event, client_context).await;
    let lines = sandbox.lines_by_stream().into_iter().zip(lines_before);
    Ok(Played {
        invocation,
        calls: sandbox.agents().calls().split_off(calls_before),
        batches: sandbox.metrics().batches().split_off(batches_before),
        charged: Charged::between(&table_before, &sandbox.table().scan().await?),
        refusals: sandbox.metrics().refusals().split_off(refusals_before),
        lines: lines.flat_map(|(mut now, before)| now.split_off(before.len())).collect(),
    })
}

/// The reply's body, if there is one.
pub fn body(case: &Case, played: &Played) -> Option<Value> {
    case.form()?.body(&played.invocation.json()?)
}

/// Everything that is not as it should be: what the expectation says, and what always holds for
/// a reply.
pub fn check(case: &Case, played: &Played) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    check_outcome(case, played, &mut mismatches);
    for refusal in &played.refusals {
        mismatches.push(Mismatch::new("metrics", "what CloudWatch takes", &json!(refusal)));
    }
    let holds = played.charged.holds_left;
    if holds > 0 && matches!(played.invocation.outcome, Outcome::Response(_)) {
        mismatches.push(Mismatch::new("holds", "none left after a reply", &json!(holds)));
    }
    if let Some(expectation) = &case.expectation {
        if let Some(expected) = &expectation.calls {
            let found: Vec<&str> = played.calls.iter().map(|call| &*call.specialist).collect();
            same("calls", &json!(expected), &json!(found), &mut mismatches);
        }
        check_metrics(expectation, &played.batches, &mut mismatches);
    }
    mismatches
}

impl Case {
    /// The form of the event, if it has one.
    pub fn form(&self) -> Option<Form> {
        Form::of(&self.json(), self.client_context.as_ref())
    }

    /// The event, as far as it is JSON: a field with a lone surrogate or a number beyond all bounds
    /// makes the others no less readable. Without any, `null`.
    fn json(&self) -> Value {
        let whole = serde_json::from_slice(&self.event).ok();
        let fields = || {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&self.event).ok()?;
            let read = |(name, value): (String, &RawValue)| {
                (name, serde_json::from_str(value.get()).unwrap_or_default())
            };
            Some(Value::Object(fields.into_iter().map(read).collect()))
        };
        whole.or_else(fields).unwrap_or_default()
    }

    /// An event of no form goes wrong in production, whatever the function makes of it.
    fn without_form(&self) -> Mismatch {
        let found = match serde_json::from_slice::<Value>(&self.event) {
            Ok(event) => event,
            Err(error) => json!(format!("no JSON: {error}")),
        };
        let expected = "`function`, `apiPath` or a gateway's client context, unless its expectation \
                        names an `error`";
        Mismatch::new("event", expected, &found)
    }

    /// The function that it goes to.
    pub fn function(&self) -> &str {
        let named = self.expectation.as_ref().and_then(|it| it.function.as_deref());
        named.unwrap_or(FUNCTION)
    }

    /// The function's timeout, where the expectation sets one.
    pub fn timeout(&self) -> Option<Duration> {
        let millis = self.expectation.as_ref()?.lambda_timeout_ms?;
        Some(Duration::from_millis(millis))
    }
}

fn check_outcome(case: &Case, played: &Played, mismatches: &mut Vec<Mismatch>) {
    let expectation = case.expectation.as_ref();
    let error = expectation.and_then(|expectation| expectation.error.as_deref());
    if error.is_none() && case.form().is_none() {
        mismatches.push(case.without_form());
    }
    let bytes = match &played.invocation.outcome {
        Outcome::Response(bytes) => bytes,
        Outcome::FunctionError(found) => {
            if error != Some(found.error_type.as_str()) {
                let expected =
                    error.map_or("a reply".to_owned(), |error| format!("error `{error}`"));
                mismatches.push(Mismatch::new("outcome", &expected, &json!(found.to_string())));
            }
            return;
        }
        Outcome::TimedOut => {
            mismatches.push(Mismatch::new("outcome", "an end in time", &json!("a timeout")));
            return;
        }
    };
    let event = case.json();
    if let Some(error) = error {
        let found = json!(String::from_utf8_lossy(bytes));
        mismatches.push(Mismatch::new("outcome", &format!("error `{error}`"), &found));
        return;
    }
    if bytes.len() > MOST_REPLY_BYTES {
        let expected = format!("at most {MOST_REPLY_BYTES} bytes");
        mismatches.push(Mismatch::new("reply", &expected, &json!(bytes.len())));
    }
    let Some(form) = case.form() else { return };
    let Some(reply) = played.invocation.json() else {
        let found = json!(String::from_utf8_lossy(bytes));
        mismatches.push(Mismatch::new("reply", "JSON", &found));
        return;
    };
    form.check(&event, &reply, expectation, mismatches);
    form.check_body(&reply, expectation, mismatches);
}

fn check_metrics(expectation: &Expectation, batches: &[Batch], mismatches: &mut Vec<Mismatch>) {
    let mut sums: BTreeMap<(&str, String), f64> = BTreeMap::new();
    for datum in batches.iter().flat_map(|batch| &batch.data) {
        *sums.entry((&datum.name, datum.dimension_set())).or_default() += datum.sum();
    }
    for (name, sets) in &expectation.metrics {
        for (set, expected) in sets {
            let found = sums.get(&(name.as_str(), set.clone())).copied();
            let equal = match (expected, found) {
                // Sums of fractions of a dollar are not exact.
                (Some(expected), Some(found)) => (expected - found).abs() < 1e-9,
                (expected, found) => expected.is_none() && found.is_none(),
            };
            if !equal {
                let expected = expected.map_or("nothing".to_owned(), |sum| sum.to_string());
                let path = format!("metrics.{name}[{set}]");
                mismatches.push(Mismatch::new(&path, &expected, &json!(found)));
            }
        }
    }
}
