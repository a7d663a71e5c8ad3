//! The function beside what it can be compared with, in turns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stand_ins::lambda::build_release;
use tokio::process::Command;

use super::BenchError;
use super::series::WARM_UP;
use super::spread::{Spread, micros};
use super::subject::Subject;

/// One program, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Beside {
    pub(super) name: &'static str,
    pub(super) binary_bytes: u64,
    pub(super) start_us: Spread,
    pub(super) first_request_us: Spread,
    /// The median latency of a warm request.
    pub(super) p50_us: Spread,
    /// Of a warm request.
    pub(super) cpu_us: Spread,
    pub(super) peak_kib: Spread,
    /// Of a warm request.
    pub(super) calls: BTreeMap<String, f64>,
    /// The function's own number over this one's, each of the same round.
    pub(super) function_over_this: Ratios,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Ratios {
    pub(super) start: Spread,
    pub(super) p50: Spread,
    pub(super) cpu: Spread,
    pub(super) peak: Spread,
}

/// One program in one round.
#[derive(Clone, Debug)]
struct Round {
    start_us: f64,
    first_request_us: f64,
    p50_us: f64,
    cpu_us: f64,
    peak_kib: f64,
    calls: BTreeMap<String, f64>,
}

/// Warm requests in each round, all of one session.
const REQUESTS: usize = 500;

/// Measures the function, the floors and the function in Python, one after the other in each
/// round, so that what disturbs the machine disturbs all of them.
pub(super) async fn measure(function: Subject, rounds: usize) -> Result<Vec<Beside>, BenchError> {
    let other = |name, executable| Subject { name, executable, env: BTreeMap::new() };
    let subjects = [
        function,
        other("bare SDK, same calls", build_release("floor", "floor-sdk").await?),
        other("bare HTTP, same calls", build_release("floor", "floor-http").await?),
        other("Python, two calls", python().await?),
    ];
    let mut all = vec![Vec::new(); subjects.len()];
    for _ in 0..rounds {
        for (subject, its_rounds) in subjects.iter().zip(&mut all) {
            its_rounds.push(round(subject).await?);
        }
    }
    let of_function = all[0].clone();
    let summed_up = |(subject, rounds): (&Subject, &Vec<Round>)| {
        let spread = |number: fn(&Round) -> f64| Spread::of(rounds.iter().map(number));
        let ratio = |number: fn(&Round) -> f64| {
            let pairs = of_function.iter().zip(rounds);
            Spread::of(pairs.map(|(function, other)| number(function) / number(other)))
        };
        Ok(Beside {
            name: subject.name,
            binary_bytes: super::size(&subject.executable)?,
            start_us: spread(|round| round.start_us),
            first_request_us: spread(|round| round.first_request_us),
            p50_us: spread(|round| round.p50_us),
            cpu_us: spread(|round| round.cpu_us),
            peak_kib: spread(|round| round.peak_kib),
            calls: rounds.last().map(|round| round.calls.clone()).unwrap_or_default(),
            function_over_this: Ratios {
                start: ratio(|round| round.start_us),
                p50: ratio(|round| round.p50_us),
                cpu: ratio(|round| round.cpu_us),
                peak: ratio(|round| round.peak_kib),
            },
        })
    };
    subjects.iter().zip(&all).map(summed_up).collect()
}

async fn round(subject: &Subject) -> Result<Round, BenchError> {
    let running = subject.start(4, 1).await?;
    let start_us = Spread::of(running.started_in().into_iter().map(micros)).median;
    let first = running.steps(1).await?;
    running.steps(WARM_UP).await?;
    let cost = running.cost(running.steps(REQUESTS)).await?;
    Ok(Round {
        start_us,
        first_request_us: Spread::of(first.into_iter().map(micros)).median,
        p50_us: cost.latency_us.p50,
        cpu_us: cost.cpu_us,
        peak_kib: cost.peak_kib as f64,
        calls: cost.calls,
    })
}

/// The program that runs the function in Python, after making its environment.
async fn python() -> Result<PathBuf, BenchError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../floor/python");
    let folder = folder.canonicalize().map_err(|error| BenchError::Python(error.to_string()))?;
    let installed = Command::new(folder.join("install")).kill_on_drop(true).status().await;
    match installed {
        Ok(status) if status.success() => Ok(folder.join("run")),
        Ok(status) => Err(BenchError::Python(status.to_string())),
        Err(error) => Err(BenchError::Python(error.to_string())),
    }
}
