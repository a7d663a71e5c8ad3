//! A function that is measured, on a sandbox of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use stand_ins::lambda::Outcome;
use stand_ins::{FUNCTION, FunctionOptions, Options, Sandbox};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchError;
use super::calls::Calls;
use super::process::Usage;
use super::spread::{Latency, micros};
use super::workload;

/// A program that is measured.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// What it is called.
    pub(super) name: &'static str,
    /// What runs.
    pub(super) executable: PathBuf,
    /// Its own environment variables.
    pub(super) env: BTreeMap<String, String>,
}

/// It runs, in one or more processes.
pub(super) struct Running {
    pub(super) sandbox: std::sync::Arc<Sandbox>,
    sessions: AtomicUsize,
}

/// What many requests cost.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cost {
    /// How many they were.
    pub(super) requests: usize,
    /// From the moment a process got the event to its reply.
    pub(super) latency_us: Latency,
    /// User and system time of the function's processes, for each request.
    pub(super) cpu_us: f64,
    /// For each request.
    pub(super) calls: BTreeMap<String, f64>,
    /// Of the process that had most.
    pub(super) peak_kib: u64,
    /// All processes together.
    pub(super) requests_per_second: f64,
}

impl Subject {
    /// Starts it with so many specialists, whose agents answer at once.
    pub(super) async fn start(
        &self,
        specialists: usize,
        processes: usize,
    ) -> Result<Running, BenchError> {
        self.start_slow(specialists, processes, Duration::ZERO).await
    }

    /// The same with agents that answer after `delay`.
    pub(super) async fn start_slow(
        &self,
        specialists: usize,
        processes: usize,
        delay: Duration,
    ) -> Result<Running, BenchError> {
        let function =
            FunctionOptions { executable: Some(self.executable.clone()), env: self.env.clone() };
        let sandbox = Sandbox::start(Options {
            policy: Some(workload::policy(specialists)),
            agents: Some(workload::agents(specialists, delay)),
            processes,
            functions: BTreeMap::from([(FUNCTION.to_owned(), function)]),
            ..Options::default()
        });
        let sandbox = sandbox.await?.into();
        Ok(Running { sandbox, sessions: AtomicUsize::new(0) })
    }
}

impl Running {
    /// A session that has not been used.
    pub(super) fn new_session(&self) -> String {
        format!("bench-{}", self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    /// One step of a session, which has to be answered; how long it took.
    pub(super) async fn step(&self, session: &str, step: usize) -> Result<Duration, BenchError> {
        step_of(&self.sandbox, session, step).await
    }

    /// One step of a session with so many tasks at once, all of which have to be answered.
    pub(super) async fn fan_out(
        &self,
        session: &str,
        step: usize,
        tasks: usize,
    ) -> Result<Duration, BenchError> {
        answered(&self.sandbox, workload::fan_out(session, step, tasks)).await
    }

    /// Steps of one session, one after the other.
    pub(super) async fn steps(&self, steps: usize) -> Result<Vec<Duration>, BenchError> {
        let session = self.new_session();
        let mut times = Vec::new();
        for step in 0..steps {
            times.push(self.step(&session, step).await?);
        }
        Ok(times)
    }

    /// `requests`, of which `at_once` are under way, each lane in a session of its own.
    pub(super) async fn at_once(
        &self,
        requests: usize,
        at_once: usize,
    ) -> Result<Vec<Duration>, BenchError> {
        let mut lanes = JoinSet::new();
        for _ in 0..at_once {
            let (sandbox, session) = (self.sandbox.clone(), self.new_session());
            lanes.spawn(async move {
                let mut times = Vec::new();
                for step in 0..requests / at_once {
                    times.push(step_of(&sandbox, &session, step).await?);
                }
                Ok::<_, BenchError>(times)
            });
        }
        let mut times = Vec::new();
        for lane in lanes.join_all().await {
            times.extend(lane?);
        }
        Ok(times)
    }

    /// What `work` costs, which makes requests and returns how long each took.
    pub(super) async fn cost(
        &self,
        work: impl Future<Output = Result<Vec<Duration>, BenchError>>,
    ) -> Result<Cost, BenchError> {
        let (calls, used) = (Calls::so_far(&self.sandbox), self.usage()?);
        let began = Instant::now();
        let times = work.await?;
        let took = began.elapsed();
        let (calls, after) = (Calls::so_far(&self.sandbox).since(&calls), self.usage()?);
        let requests = times.len();
        Ok(Cost {
            requests,
            latency_us: Latency::of(&times),
            cpu_us: micros(after.cpu.saturating_sub(used.cpu)) / requests.max(1) as f64,
            calls: calls.per(requests),
            peak_kib: after.peak_kib,
            requests_per_second: requests as f64 / took.as_secs_f64(),
        })
    }

    /// How long each process took from its start to its first poll.
    pub(super) fn started_in(&self) -> Vec<Duration> {
        self.sandbox.processes().iter().map(|process| process.started_in).collect()
    }

    fn usage(&self) -> Result<Usage, BenchError> {
        let ids = self.sandbox.processes().into_iter().map(|process| process.id);
        Usage::of(ids).map_err(BenchError::Process)
    }
}

async fn step_of(sandbox: &Sandbox, session: &str, step: usize) -> Result<Duration, BenchError> {
    answered(sandbox, workload::event(session, step)).await
}

/// How long an event took that has to be answered.
async fn answered(sandbox: &Sandbox, event: String) -> Result<Duration, BenchError> {
    let invocation = sandbox.invoke(event, None).await;
    let reply = match &invocation.outcome {
        Outcome::Response(reply) => String::from_utf8_lossy(reply),
        other => return Err(BenchError::NotAnswered(format!("{other:?}"))),
    };
    // The floors answer in forms of their own.
    if reply.contains("answered") && !reply.contains("partial") {
        Ok(invocation.duration)
    } else {
        Err(BenchError::NotAnswered(reply.into_owned()))
    }
}
