//! The repository's event files: read, played on a sandbox, compared with what is expected.
//!
//! `events/NAME.json` is sent byte for byte. `events/expected/NAME.json` says what should come of
//! it. Where they are there, `events/client-context/NAME.json` is the invocation's client context,
//! and `events/given/NAME.json` a list of items that are in the table while the event is played.

mod charged;
mod compare;
mod expectation;
mod form;
mod given;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use self::charged::Charged;
pub use self::compare::Mismatch;
pub use self::expectation::Expectation;
pub use self::form::Form;
pub use self::given::{Given, GivenError};

use self::compare::same;
use crate::agents::Call;
use crate::lambda::{Invocation, Outcome, StartError, workspace_root};
use crate::metrics::Batch;
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

/// Why event files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not as it should be", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The place and the mistake.
        #[source]
        source: serde_json::Error,
    },
    /// A given item cannot be put into the table.
    #[error("{} is not as it should be", .path.display())]
    Given {
        /// The file.
        path: PathBuf,
        /// The mistake.
        #[source]
        source: GivenError,
    },
    /// An event of the repository has no expectation.
    #[error("{} is missing: every event of the repository has an expectation", .0.display())]
    NoExpectation(PathBuf),
    /// An expectation, a client context or a list of given items belongs to no event.
    #[error("{} belongs to no event", .0.display())]
    NoEvent(PathBuf),
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

/// The repository's folder of events.
pub fn folder() -> PathBuf {
    workspace_root().join("events")
}

/// All cases of the repository, by name.
///
/// # Errors
///
/// [`EventError`], also when an event lacks its expectation or a file belongs to no event.
pub fn load_all() -> Result<Vec<Case>, EventError> {
    load_folder(&folder())
}

/// All cases of a folder that is laid out like the repository's, by name.
///
/// # Errors
///
/// As [`load_all`].
pub fn load_folder(folder: &Path) -> Result<Vec<Case>, EventError> {
    let cases: Vec<Case> =
        json_files(folder)?.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
    if let Some(case) = cases.iter().find(|case| case.expectation.is_none()) {
        let missing = companion(&folder.join(&case.name).with_extension("json"), "expected");
        return Err(EventError::NoExpectation(missing));
    }
    for companions in ["expected", "client-context", "given"] {
        let companions = folder.join(companions);
        if !companions.is_dir() {
            continue;
        }
        let known = |path: &PathBuf| cases.iter().any(|case| case.name == name_of(path));
        if let Some(stray) = json_files(&companions)?.into_iter().find(|path| !known(path)) {
            return Err(EventError::NoEvent(stray));
        }
    }
    Ok(cases)
}

/// The case of one event file, with what is beside it: expectation, client context, given items.
///
/// # Errors
///
/// [`EventError`] when a file cannot be read or is not as it should be.
pub fn load(path: &Path) -> Result<Case, EventError> {
    let given_path = companion(path, "given");
    let given: Vec<Map<String, Value>> = read_json(&given_path)?.unwrap_or_default();
    Ok(Case {
        name: name_of(path),
        event: read(path)?.into(),
        client_context: read_json(&companion(path, "client-context"))?,
        expectation: read_json(&companion(path, "expected"))?,
        given: Given::parse(&given)
            .map_err(|source| EventError::Given { path: given_path, source })?,
    })
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
/// [`PlayError`]; what is given may be left in the table then.
pub async fn play(sandbox: &Sandbox, case: &Case) -> Result<Played, PlayError> {
    if case.given.is_empty() {
        return Ok(play_on(sandbox, case).await?);
    }
    let before = case.given.put(sandbox.table()).await?;
    sandbox.renew_processes().await?;
    let played = play_on(sandbox, case).await?;
    before.put_back(sandbox.table()).await?;
    sandbox.renew_processes().await?;
    Ok(played)
}

async fn play_on(sandbox: &Sandbox, case: &Case) -> Result<Played, TableError> {
    let table_before = sandbox.table().scan().await?;
    let calls_before = sandbox.agents().calls().len();
    let batches_before = sandbox.metrics().batches().len();
    let refusals_before = sandbox.metrics().refusals().len();
    let lines_before = sandbox.lines_by_stream();
    let (event, client_context) = (case.event.clone(), case.client_context.clone());
    let invocation = match case.timeout() {
        Some(limit) => sandbox.invoke_within(limit, event, client_context).await,
        None => sandbox.invoke(event, client_context).await,
    };
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
        let event = serde_json::from_slice(&self.event).unwrap_or(Value::Null);
        Form::of(&event, self.client_context.as_ref())
    }

    /// The function's timeout, where the expectation sets one.
    pub fn timeout(&self) -> Option<Duration> {
        let millis = self.expectation.as_ref()?.lambda_timeout_ms?;
        Some(Duration::from_millis(millis))
    }
}

fn check_outcome(case: &Case, played: &Played, mismatches: &mut Vec<Mismatch>) {
    let expectation = case.expectation.as_ref();
    let error = expectation
        .and_then(|expectation| expectation.error.as_deref())
        .or_else(|| case.form().is_none().then_some("UnknownEventForm"));
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
    let event = serde_json::from_slice(&case.event).unwrap_or(Value::Null);
    if let Some(error) = error {
        let found = json!(String::from_utf8_lossy(bytes));
        mismatches.push(Mismatch::new("outcome", &format!("error `{error}`"), &found));
        return;
    }
    if bytes.len() > MOST_REPLY_BYTES {
        let expected = format!("at most {MOST_REPLY_BYTES} bytes");
        mismatches.push(Mismatch::new("reply", &expected, &json!(bytes.len())));
    }
    let (Some(form), Some(reply)) = (case.form(), played.invocation.json()) else {
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

/// The file of the same name in a folder beside the event.
fn companion(event: &Path, folder: &str) -> PathBuf {
    let name = event.file_name().unwrap_or_default();
    event.with_file_name(folder).join(name)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, EventError> {
    let unreadable = |source| EventError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, EventError> {
    std::fs::read(path).map_err(|source| EventError::Read { path: path.to_owned(), source })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EventError> {
    if !path.exists() {
        return Ok(None);
    }
    let parsed = serde_json::from_slice(&read(path)?);
    parsed.map(Some).map_err(|source| EventError::Json { path: path.to_owned(), source })
}
