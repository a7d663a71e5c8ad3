//! Looks after one function process: starts it, gives it one invocation at a time, and replaces
//! it when it exits, when an invocation's time is up, as Lambda does, or when it is told to.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::api::{self, Dispatch, FunctionError, Headers, Message};
use super::output::Output;
use super::{Invocation, Launch, Outcome, Process, StartError};
use crate::http::Server;

/// How long a process may take to its first poll. Lambda gives ten seconds; a laptop that
/// compiles at the same time gets more.
const START_LIMIT: Duration = Duration::from_secs(30);

/// An invocation on its way to a process.
pub(super) struct Job {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) headers: Headers,
    /// How long it may take, where that is not the function's usual limit.
    pub(super) limit: Option<Duration>,
    pub(super) reply: oneshot::Sender<Invocation>,
    /// Where the pieces of a reply go as they come.
    pub(super) pieces: Option<mpsc::UnboundedSender<Bytes>>,
}

/// The invocations that wait, shared by all workers.
#[derive(Clone)]
pub(super) struct Jobs(pub(super) Arc<Mutex<mpsc::UnboundedReceiver<Job>>>);

impl Jobs {
    /// The next invocation; `None` once the sandbox has gone.
    async fn next(&self) -> Option<Job> {
        self.0.lock().await.recv().await
    }
}

/// A wish for a new process. It is answered when the process has polled, or has not started.
pub(super) type Renewal = oneshot::Sender<Result<(), StartError>>;

/// The process of a worker that polled last.
pub(super) type Latest = Arc<std::sync::Mutex<Option<Process>>>;

/// The process slot.
pub(super) struct Worker {
    launch: Arc<Launch>,
    jobs: Jobs,
    renewals: mpsc::UnboundedReceiver<Renewal>,
    output: Arc<Output>,
    latest: Latest,
    api: Server,
    messages: mpsc::UnboundedReceiver<Message>,
}

/// A process that has polled.
struct Ready {
    child: Child,
    poll: oneshot::Sender<Dispatch>,
}

/// What to do after a process has been looked after.
enum Next {
    Restart,
    Renew(Renewal),
    Stop,
}

impl Worker {
    pub(super) async fn new(
        launch: Arc<Launch>,
        jobs: Jobs,
        renewals: mpsc::UnboundedReceiver<Renewal>,
        output: Arc<Output>,
        latest: Latest,
    ) -> Result<Self, StartError> {
        let (api, messages) = api::start().await?;
        Ok(Self { launch, jobs, renewals, output, latest, api, messages })
    }

    /// Runs until the sandbox has gone. Says through `ready` how the first start went, and ends
    /// if it failed.
    pub(super) async fn run(mut self, ready: Renewal) {
        let mut process = self.start_for(ready).await;
        if process.is_err() {
            return;
        }
        loop {
            let next = match process {
                Ok(process) => self.look_after(process).await,
                Err(error) => self.refuse_one(error).await,
            };
            process = match next {
                Next::Stop => return,
                Next::Restart => self.start().await.map_err(|error| error.to_string()),
                Next::Renew(renewal) => self.start_for(renewal).await,
            };
        }
    }

    /// Starts a process and tells who wanted it. The error is the one told, in words.
    async fn start_for(&mut self, renewal: Renewal) -> Result<Ready, String> {
        let (told, process) = match self.start().await {
            Ok(process) => (Ok(()), Ok(process)),
            Err(error) => {
                let text = error.to_string();
                (Err(error), Err(text))
            }
        };
        // Whoever wanted it may have given up meanwhile.
        let _ = renewal.send(told);
        process
    }

    /// Starts a process and waits for its first poll.
    async fn start(&mut self) -> Result<Ready, StartError> {
        let earlier = (self.output.stdout_lines().len(), self.output.stderr_lines().len());
        let begun = Instant::now();
        let mut child = Command::new(&self.launch.executable)
            .env_clear()
            .envs(&self.launch.env)
            .env("AWS_LAMBDA_RUNTIME_API", self.api.address().to_string())
            .stdin(Stdio::null())
            .stdout(self.output.stdout()?)
            .stderr(self.output.stderr()?)
            .kill_on_drop(true)
            .spawn()?;
        // A process that died may have left messages behind.
        while self.messages.try_recv().is_ok() {}
        let mut reported = None;
        let first_poll = timeout(START_LIMIT, async {
            loop {
                tokio::select! {
                    biased;
                    Some(message) = self.messages.recv() => match message {
                        Message::Next(poll) => return Ok(poll),
                        Message::InitError(error) => reported = Some(error),
                        Message::Done { .. } | Message::Piece { .. } => {}
                    },
                    status = child.wait() => return Err(status),
                }
            }
        });
        match first_poll.await {
            Ok(Ok(poll)) => {
                let process = child.id().map(|id| Process { id, started_in: begun.elapsed() });
                *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = process;
                Ok(Ready { child, poll })
            }
            Ok(Err(status)) => {
                let output = self.last_lines(earlier);
                Err(StartError::Exited { status: status?, reported, output })
            }
            Err(_) => {
                Err(StartError::Silent { limit: START_LIMIT, output: self.last_lines(earlier) })
            }
        }
    }

    async fn look_after(&mut self, mut process: Ready) -> Next {
        loop {
            let job = tokio::select! {
                biased;
                Some(renewal) = self.renewals.recv() => {
                    // It may be dead already.
                    let _ = process.child.kill().await;
                    return Next::Renew(renewal);
                }
                _ = process.child.wait() => return Next::Restart,
                job = self.jobs.next() => job,
            };
            let Some(job) = job else { return Next::Stop };
            let started = Instant::now();
            let limit = job.limit.unwrap_or(self.launch.limit);
            let function = &self.launch.function;
            let request_id = job.request_id;
            let dispatch =
                Dispatch::new(request_id.clone(), function, limit, job.payload, job.headers);
            // A process that is gone is noticed right below.
            let _ = process.poll.send(dispatch);
            let (outcome, alive) = tokio::select! {
                biased;
                result = done(&mut self.messages, &request_id, job.pieces.as_ref()) => (result.into(), true),
                status = process.child.wait() => (exited(&request_id, status), false),
                () = sleep(limit) => (Outcome::TimedOut, false),
            };
            let invocation = Invocation { request_id, outcome, duration: started.elapsed() };
            // Whoever asked may have stopped waiting.
            let _ = job.reply.send(invocation);
            if !alive {
                // It may be dead already.
                let _ = process.child.kill().await;
                return Next::Restart;
            }
            tokio::select! {
                biased;
                poll = next_poll(&mut self.messages) => process.poll = poll,
                _ = process.child.wait() => return Next::Restart,
            }
        }
    }

    /// Answers one invocation in place of a process that does not start.
    async fn refuse_one(&mut self, error: String) -> Next {
        let job = tokio::select! {
            biased;
            Some(renewal) = self.renewals.recv() => return Next::Renew(renewal),
            job = self.jobs.next() => job,
        };
        let Some(job) = job else { return Next::Stop };
        let outcome = Outcome::FunctionError(FunctionError {
            error_type: "Runtime.InitError".to_owned(),
            error_message: error,
        });
        let request_id = job.request_id;
        let _ = job.reply.send(Invocation { request_id, outcome, duration: Duration::ZERO });
        Next::Restart
    }

    /// The last lines of standard output and standard error since there were that many.
    fn last_lines(&self, earlier: (usize, usize)) -> String {
        const MOST: usize = 40;
        let mut lines = self.output.stdout_lines().split_off(earlier.0);
        lines.extend(self.output.stderr_lines().split_off(earlier.1));
        lines[lines.len().saturating_sub(MOST)..].join("\n")
    }
}

/// Waits for the end of this invocation. Without a process nothing arrives any more.
async fn done(
    messages: &mut mpsc::UnboundedReceiver<Message>,
    awaited: &str,
    pieces: Option<&mpsc::UnboundedSender<Bytes>>,
) -> Result<Bytes, FunctionError> {
    loop {
        match messages.recv().await {
            Some(Message::Done { request_id, result }) if request_id == awaited => return result,
            Some(Message::Piece { request_id, bytes }) if request_id == awaited => {
                // Whoever listened may have gone.
                let _ = pieces.map(|pieces| pieces.send(bytes));
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

async fn next_poll(messages: &mut mpsc::UnboundedReceiver<Message>) -> oneshot::Sender<Dispatch> {
    loop {
        match messages.recv().await {
            Some(Message::Next(poll)) => return poll,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// What Lambda reports when the process ends within an invocation.
fn exited(request_id: &str, status: std::io::Result<ExitStatus>) -> Outcome {
    let how = match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Outcome::FunctionError(FunctionError {
        error_type: "Runtime.ExitError".to_owned(),
        error_message: format!("RequestId: {request_id} Error: Runtime exited with error: {how}"),
    })
}
