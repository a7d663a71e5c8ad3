//! What a request costs by what may make it cost more.

use std::time::Duration;

use serde::Serialize;

use super::BenchError;
use super::spread::{Spread, micros};
use super::subject::{Cost, Subject};

/// How a process begins.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Start {
    /// How often it was measured.
    pub(super) starts: usize,
    /// From the process's start to its first poll of the Runtime API.
    pub(super) start_us: Spread,
    /// Its first request, the first of a session.
    pub(super) first_request_us: Spread,
}

/// One setting.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// What is varied.
    pub(super) series: &'static str,
    /// Steps of each session.
    pub(super) steps: usize,
    pub(super) specialists: usize,
    pub(super) processes: usize,
    pub(super) at_once: usize,
    pub(super) cost: Cost,
}

const STARTS: usize = 20;

/// As in the policy that is shipped.
const USUAL_SPECIALISTS: usize = 4;
const USUAL_STEPS: usize = 100;

/// At least so many requests are measured for a row: their CPU is counted in ticks of 10 ms.
const REQUESTS: usize = 1_000;

/// How long agents take where tasks are answered at once.
const SLOW_AGENT: Duration = Duration::from_millis(200);
const MOST_TASKS: usize = 8;
const FAN_OUTS: usize = 100;

/// Requests before those that are measured.
pub(super) const WARM_UP: usize = 30;

pub(super) async fn start(function: &Subject) -> Result<Start, BenchError> {
    let running = function.start(USUAL_SPECIALISTS, 1).await?;
    let (mut starts, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        running.sandbox.renew_processes().await?;
        starts.extend(running.started_in());
        firsts.extend(running.steps(1).await?);
    }
    Ok(Start {
        starts: STARTS,
        start_us: Spread::of(starts.into_iter().map(micros)),
        first_request_us: Spread::of(firsts.into_iter().map(micros)),
    })
}

pub(super) async fn all(function: &Subject) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for steps in [1, 10, 100, 1_000] {
        rows.push(in_turn(function, "session length", steps, USUAL_SPECIALISTS).await?);
    }
    for specialists in [4, 20, 50, 200] {
        rows.push(in_turn(function, "specialists", USUAL_STEPS, specialists).await?);
    }
    for tasks in [1, 4, 8] {
        rows.push(fan_out(function, tasks).await?);
    }
    for processes in [1, 2, 4, 8] {
        let running = function.start(USUAL_SPECIALISTS, processes).await?;
        running.at_once(WARM_UP * processes, processes).await?;
        for at_once in [1, 4, 16, 64] {
            let cost = running.cost(running.at_once(REQUESTS, at_once)).await?;
            rows.push(Row {
                series: "requests at once",
                steps: REQUESTS / at_once,
                specialists: USUAL_SPECIALISTS,
                processes,
                at_once,
                cost,
            });
        }
    }
    Ok(rows)
}

/// One call after the other of so many tasks, each of another specialist.
async fn fan_out(function: &Subject, tasks: usize) -> Result<Row, BenchError> {
    let running = function.start_slow(MOST_TASKS, 1, SLOW_AGENT).await?;
    let session = running.new_session();
    let mut steps = 0..;
    let mut calls = async |count: usize| {
        let mut times = Vec::new();
        for step in steps.by_ref().take(count) {
            times.push(running.fan_out(&session, step, tasks).await?);
        }
        Ok(times)
    };
    calls(FAN_OUTS / 10).await?;
    let cost = running.cost(calls(FAN_OUTS)).await?;
    let (series, specialists) = ("tasks in one call, of agents that take 200 ms", MOST_TASKS);
    Ok(Row { series, steps: FAN_OUTS, specialists, processes: 1, at_once: tasks, cost })
}

/// One request after the other, in sessions of so many steps.
async fn in_turn(
    function: &Subject,
    series: &'static str,
    steps: usize,
    specialists: usize,
) -> Result<Row, BenchError> {
    let running = function.start(specialists, 1).await?;
    running.steps(WARM_UP).await?;
    let cost = running.cost(async {
        let mut times = Vec::new();
        for _ in 0..REQUESTS.div_ceil(steps) {
            times.extend(running.steps(steps).await?);
        }
        Ok(times)
    });
    Ok(Row { series, steps, specialists, processes: 1, at_once: 1, cost: cost.await? })
}
