//! `routerctl circuits`: which specialists are called, and an operator's word on that.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use router_aws::{DynamoCircuits, SystemClock};
use router_core::circuit::{Circuit, CircuitSnapshot, CircuitStore, Forced, State, Word};
use router_core::ids::SpecialistName;
use router_core::policy::{Policy, Specialist};
use router_core::units::{Clock, Timestamp};
use serde_json::{Value, json};
use stand_ins::print::{printable, span};

use crate::place::Governed;
use crate::policy::line;
use crate::print::Head::{Left, Right};
use crate::print::table;
use crate::{Failure, Said};

/// The name that stands for all specialists.
const ALL: &str = "*";
/// How long all circuits may take to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show the specialists' circuits, take a specialist away, or bring it back
///
/// Shows each specialist's circuit: closed (it is called), open and for how long (it is not), or
/// half open and whether a probe is out; failures in a row that count; what an operator has forced.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    governed: Governed,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take a specialist away (open), or keep it however often it fails (closed)
    ///
    /// Functions obey it within 5 seconds, whatever the circuit's state, until the time is over or
    /// `release` takes it back. A call that is under way is not ended. `*` for all specialists goes
    /// before what is forced for one: with `'*' open` every request is refused (circuit_open).
    #[command(verbatim_doc_comment)]
    Force {
        /// A specialist of the policy, or '*' for all
        name: String,

        /// What the circuit is to be
        word: To,

        /// For so long; without it, until `release`
        #[arg(long = "for", value_name = "SECONDS")]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
        seconds: Option<u64>,

        #[command(flatten)]
        governed: Governed,
    },
    /// Take back what was forced: the circuit goes by its state again
    Release {
        /// A specialist of the policy, or '*' for all
        name: String,

        #[command(flatten)]
        governed: Governed,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// It is not called
    Open,
    /// It is called, however often it fails
    Closed,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    match &arguments.action {
        None => show(&arguments.governed, json).await,
        Some(Action::Force { name, word, seconds, governed }) => {
            let now = SystemClock.now();
            let forced = match word {
                To::Open => Forced::Open,
                To::Closed => Forced::Closed,
            };
            let until = seconds.map(|seconds| now.after(Duration::from_secs(seconds)));
            set(name, Some(Word { forced, until }), governed, json).await
        }
        Some(Action::Release { name, governed }) => set(name, None, governed, json).await,
    }
}

async fn show(governed: &Governed, json: bool) -> Result<Said, Failure> {
    let (opened, policy) = governed.open().await?;
    let names: Vec<&SpecialistName> =
        policy.specialists().map(|specialist| &specialist.name).collect();
    let store = DynamoCircuits::new(opened.table.clone());
    let snapshot = store.read(&names, PATIENCE).await.map_err(|error| error.0)?;
    let now = SystemClock.now();
    if json {
        let all = snapshot.all.map(|word| word_json(Some(word), now));
        let circuits = circuits(&snapshot, &policy);
        let circuits: Value =
            circuits.iter().map(|(specialist, circuit)| member(specialist, circuit, now)).collect();
        return Ok(line(&json!({ "all": all, "circuits": circuits })));
    }
    let rows = circuits(&snapshot, &policy).into_iter().map(|(specialist, circuit)| {
        let failures = match circuit.state {
            State::Closed { .. } => {
                let rules = &specialist.circuit;
                format!("{} of {}", circuit.state.failures(now, rules).0, rules.failures)
            }
            State::Open { .. } | State::HalfOpen { .. } => "-".to_owned(),
        };
        let forced = said(circuit.forced, now);
        [specialist.name.to_string(), described(&circuit.state, now), failures, forced]
    });
    let all = snapshot.all.map(|word| {
        [ALL.to_owned(), "all specialists".to_owned(), "-".to_owned(), said(Some(word), now)]
    });
    let heads = [Left("specialist"), Left("state"), Right("failures"), Left("forced")];
    Ok(Said::well(table(heads, all.into_iter().chain(rows))))
}

async fn set(
    name: &str,
    word: Option<Word>,
    governed: &Governed,
    json: bool,
) -> Result<Said, Failure> {
    let (opened, policy) = governed.open().await?;
    let specialist = match name {
        ALL => None,
        name => Some(policy.find(name).ok_or_else(|| unknown(name, &policy))?),
    };
    let now = SystemClock.now();
    let author = format!("routerctl/{}/{}", now.0, std::process::id());
    let store = DynamoCircuits::new(opened.table.clone());
    let specialist = specialist.map(|specialist| &specialist.name);
    let before = store.force(specialist, word, &author).await?;
    if json {
        let (before, after) = (word_json(before, now), word_json(word, now));
        return Ok(line(&json!({ "specialist": name, "before": before, "after": after })));
    }
    let (before, after) = (said(before, now), said(word, now));
    Ok(Said::well(format!(
        "{name}: forced: {after} (before: {before}). Functions obey it within 5 seconds.\n"
    )))
}

/// The circuits of all specialists of the policy. One that was never changed is closed.
fn circuits<'p>(snapshot: &CircuitSnapshot, policy: &'p Policy) -> Vec<(&'p Specialist, Circuit)> {
    let of = |specialist: &'p Specialist| {
        let known = snapshot.circuits.iter().find(|(name, _)| *name == specialist.name);
        (specialist, known.map(|(_, circuit)| circuit.clone()).unwrap_or_default())
    };
    policy.specialists().map(of).collect()
}

fn member(specialist: &Specialist, circuit: &Circuit, now: Timestamp) -> Value {
    let (mut failures, mut open_until, mut successes, mut probe_until) = (None, None, None, None);
    match &circuit.state {
        State::Closed { .. } => {
            failures = Some(circuit.state.failures(now, &specialist.circuit).0);
        }
        State::Open { until } => open_until = Some(until.0),
        State::HalfOpen { successes: count, probe } => {
            successes = Some(count);
            probe_until = probe.as_ref().map(|probe| probe.until.0);
        }
    }
    json!({
        "specialist": specialist.name.as_str(),
        "state": circuit.state.as_str(),
        "failures": failures,
        "failures_to_open": specialist.circuit.failures,
        "open_until_ms": open_until,
        "successes": successes,
        "probe_until_ms": probe_until,
        "forced": word_json(circuit.forced, now),
    })
}

fn word_json(word: Option<Word>, now: Timestamp) -> Value {
    let Some(word) = word.filter(|word| word.in_force(now).is_some()) else {
        return Value::Null;
    };
    let until = word.until.map(|until| until.0);
    json!({ "word": word.forced.as_str(), "until_ms": until })
}

/// `open`, `open for another 5 min 0 s`, or `no`
fn said(word: Option<Word>, now: Timestamp) -> String {
    let Some(word) = word.filter(|word| word.in_force(now).is_some()) else {
        return "no".to_owned();
    };
    let forced = word.forced.as_str();
    match word.until {
        Some(until) => format!("{forced} for another {}", span(seconds_to(until, now))),
        None => forced.to_owned(),
    }
}

fn described(state: &State, now: Timestamp) -> String {
    match state {
        State::Closed { .. } => "closed".to_owned(),
        State::Open { until } if *until > now => {
            format!("open for another {}", span(seconds_to(*until, now)))
        }
        State::Open { .. } => "half open, no probe yet".to_owned(),
        State::HalfOpen { successes, probe } => {
            let out = probe.as_ref().filter(|probe| probe.until > now);
            let out = out.map_or("no probe out".to_owned(), |probe| {
                format!("probe out for {}", span(seconds_to(probe.until, now)))
            });
            format!("half open, {successes} probes answered, {out}")
        }
    }
}

fn seconds_to(until: Timestamp, now: Timestamp) -> u64 {
    until.0.saturating_sub(now.0).div_ceil(1_000)
}

fn unknown(name: &str, policy: &Policy) -> Failure {
    let known: Vec<&str> =
        policy.specialists().map(|specialist| specialist.name.as_str()).collect();
    let (name, known) = (printable(name), known.join(", "));
    Failure::Refused(format!(
        "the policy has no specialist `{name}`; it has {known}, and `*` is for all"
    ))
}
