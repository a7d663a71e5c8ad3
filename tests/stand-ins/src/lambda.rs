//! Stand-in of Lambda: runs a function's real binary and invokes it through the Runtime API.
//!
//! A function runs in one or more processes, as in as many execution environments; each has one
//! invocation at a time, and invocations wait for a free one. A process sees only the
//! environment it is given, nothing of the machine it runs on.

mod api;
mod build;
mod output;
mod start_error;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderName;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

pub use self::api::FunctionError;
pub use self::build::{FunctionBuildError, build_function, build_release};
pub use self::start_error::StartError;

use self::api::Headers;
pub(crate) use self::build::workspace_root;
use self::output::Output;
use self::worker::{Job, Jobs, Latest, Renewal, Worker};
use crate::identity;

/// How a function is run.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The function's name.
    pub function: String,
    /// The binary.
    pub executable: PathBuf,
    /// The whole environment, but for the address of the Runtime API.
    pub env: BTreeMap<String, String>,
    /// How many processes, at least 1.
    pub processes: usize,
    /// How long one invocation may take.
    pub limit: Duration,
    /// Whether standard output is a pipe that is not read until [`Lambda::read_output`].
    pub stalled_output: bool,
}

/// One process of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// From its start to its first poll of the Runtime API.
    pub started_in: Duration,
}

/// The end of one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id.
    pub request_id: String,
    /// What came of it.
    pub outcome: Outcome,
    /// From the moment a process got it.
    pub duration: Duration,
}

/// What came of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's reply, byte for byte.
    Response(Bytes),
    /// The function reported an error, or its process ended (`Runtime.ExitError`).
    FunctionError(FunctionError),
    /// The deadline passed and the process was killed.
    TimedOut,
}

impl From<Result<Bytes, FunctionError>> for Outcome {
    fn from(result: Result<Bytes, FunctionError>) -> Self {
        match result {
            Ok(response) => Self::Response(response),
            Err(error) => Self::FunctionError(error),
        }
    }
}

impl Invocation {
    /// The reply as JSON, if there is one and it is JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        match &self.outcome {
            Outcome::Response(bytes) => serde_json::from_slice(bytes).ok(),
            Outcome::FunctionError(_) | Outcome::TimedOut => None,
        }
    }
}

/// The running function.
#[derive(Debug)]
pub struct Lambda {
    jobs: mpsc::UnboundedSender<Job>,
    renewals: Vec<mpsc::UnboundedSender<Renewal>>,
    outputs: Vec<Arc<Output>>,
    latest: Vec<Latest>,
    workers: JoinSet<()>,
}

impl Lambda {
    /// Starts all processes and returns once each has asked for its first event.
    ///
    /// # Errors
    ///
    /// [`StartError`] of the first process that did not come so far.
    pub async fn start(launch: Launch) -> Result<Self, StartError> {
        let launch = Arc::new(launch);
        let (sender, receiver) = mpsc::unbounded_channel();
        let jobs = Jobs(Arc::new(Mutex::new(receiver)));
        let mut lambda = Self {
            jobs: sender,
            renewals: Vec::new(),
            outputs: Vec::new(),
            latest: Vec::new(),
            workers: JoinSet::new(),
        };
        let mut starting = Vec::new();
        for _ in 0..launch.processes {
            let output = Arc::new(Output::new(launch.stalled_output)?);
            let (renewals, wishes) = mpsc::unbounded_channel();
            let latest = Latest::default();
            let (launch, jobs) = (Arc::clone(&launch), jobs.clone());
            let worker =
                Worker::new(launch, jobs, wishes, Arc::clone(&output), Arc::clone(&latest));
            let (ready, started) = oneshot::channel();
            lambda.workers.spawn(worker.await?.run(ready));
            lambda.renewals.push(renewals);
            lambda.outputs.push(output);
            lambda.latest.push(latest);
            starting.push(started);
        }
        all_started(starting).await?;
        Ok(lambda)
    }

    /// Ends all processes, each as soon as it is idle, and returns once new ones have asked for
    /// their first event, as new execution environments do.
    ///
    /// # Errors
    ///
    /// [`StartError`] of a process that did not come so far. Its next invocations fail with
    /// `Runtime.InitError`, and each tries to start it again.
    pub async fn renew(&self) -> Result<(), StartError> {
        let mut starting = Vec::new();
        for renewals in &self.renewals {
            let (renewal, started) = oneshot::channel();
            // When the worker has ended, the sender is dropped, which the receiver notices.
            let _ = renewals.send(renewal);
            starting.push(started);
        }
        all_started(starting).await
    }

    /// Invokes the function with these bytes and waits for the end. `limit` goes before the
    /// function's own.
    pub async fn invoke(
        &self,
        payload: Bytes,
        client_context: Option<&serde_json::Value>,
        limit: Option<Duration>,
    ) -> Invocation {
        let name = HeaderName::from_static("lambda-runtime-client-context");
        let value = client_context.and_then(|context| ascii_json(context).try_into().ok());
        let headers = value.map(|value| (name, value)).into_iter().collect();
        self.send(identity::uuid(), payload, headers, limit).await
    }

    /// Invokes the function with these bytes, and passes the pieces of its reply on as they come.
    pub async fn invoke_streaming(
        &self,
        payload: Bytes,
        pieces: mpsc::UnboundedSender<Bytes>,
    ) -> Invocation {
        self.dispatch(identity::uuid(), payload, Headers::new(), None, Some(pieces)).await
    }

    /// Invokes the function with these bytes and with headers as they are, which override those
    /// that Lambda sends. The request id may be that of an invocation before: Lambda delivers an
    /// asynchronous one again that has failed.
    pub(crate) async fn send(
        &self,
        request_id: String,
        payload: Bytes,
        headers: Headers,
        limit: Option<Duration>,
    ) -> Invocation {
        self.dispatch(request_id, payload, headers, limit, None).await
    }

    async fn dispatch(
        &self,
        request_id: String,
        payload: Bytes,
        headers: Headers,
        limit: Option<Duration>,
        pieces: Option<mpsc::UnboundedSender<Bytes>>,
    ) -> Invocation {
        let (reply, replied) = oneshot::channel();
        let job = Job { request_id: request_id.clone(), payload, headers, limit, reply, pieces };
        // When no worker is left, the reply's sender is dropped with the job.
        let _ = self.jobs.send(job);
        replied.await.unwrap_or_else(|_| Invocation {
            request_id,
            outcome: Outcome::FunctionError(FunctionError {
                error_type: "Sandbox.Stopped".to_owned(),
                error_message: "no process is left to invoke".to_owned(),
            }),
            duration: Duration::ZERO,
        })
    }

    /// The processes that run, or ran last.
    pub fn processes(&self) -> Vec<Process> {
        let latest = |latest: &Latest| *latest.lock().unwrap_or_else(PoisonError::into_inner);
        self.latest.iter().filter_map(latest).collect()
    }

    /// The lines on standard output so far, process by process.
    pub fn stdout_lines(&self) -> Vec<String> {
        self.outputs.iter().flat_map(|output| output.stdout_lines()).collect()
    }

    /// The lines on standard error so far, process by process.
    pub fn stderr_lines(&self) -> Vec<String> {
        self.outputs.iter().flat_map(|output| output.stderr_lines()).collect()
    }

    /// Begins to read what [`Launch::stalled_output`] holds back.
    ///
    /// # Errors
    ///
    /// When the lines cannot be kept.
    pub fn read_output(&self) -> io::Result<()> {
        self.outputs.iter().try_for_each(|output| output.read())
    }

    /// Standard output and standard error of each process, apart.
    pub(crate) fn lines_by_stream(&self) -> Vec<Vec<String>> {
        let both = |output: &Arc<Output>| [output.stdout_lines(), output.stderr_lines()];
        self.outputs.iter().flat_map(both).collect()
    }

    /// Kills all processes. Dropping does so as well, but does not wait.
    pub async fn stop(mut self) {
        self.workers.shutdown().await;
    }
}

/// Waits for all of them, also after one has failed.
async fn all_started(
    starting: Vec<oneshot::Receiver<Result<(), StartError>>>,
) -> Result<(), StartError> {
    let mut all = Ok(());
    for started in starting {
        all = all.and(started.await.unwrap_or(Err(StartError::Worker)));
    }
    all
}

/// JSON for a header, where only ASCII is allowed: the rest is escaped.
fn ascii_json(value: &serde_json::Value) -> String {
    let mut ascii = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(executable: &str) -> Launch {
        Launch {
            function: "f".into(),
            executable: executable.into(),
            env: BTreeMap::new(),
            processes: 2,
            limit: Duration::from_secs(1),
            stalled_output: false,
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_process_that_ends_before_its_first_poll_is_a_start_error() {
        let error = Lambda::start(launch("/usr/bin/false")).await.unwrap_err();
        assert!(matches!(error, StartError::Exited { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_binary_that_does_not_exist_is_a_start_error() {
        let error = Lambda::start(launch("/nowhere/at/all")).await.unwrap_err();
        assert!(matches!(error, StartError::Io(_)), "{error}");
    }

    #[test]
    fn a_client_context_fits_a_header_and_stays_the_same_json() {
        let context = serde_json::json!({ "custom": { "name": "Zoë 🦀" } });
        let header = ascii_json(&context);
        assert!(header.is_ascii());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&header).unwrap(), context);
    }
}
