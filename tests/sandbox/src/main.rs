//! The sandbox as a program: plays event files on the whole product and shows what happened.

mod paint;
mod report;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ColorChoice, Parser};
use sandbox::events::{self, Case};
use sandbox::lambda::build_function;
use sandbox::{FUNCTION, Options, Sandbox};
use tokio::time::Instant;

use crate::paint::{Paint, counted};
use crate::report::Report;

/// Runs the supervisor router on this machine, without an AWS account.
///
/// Starts stand-ins for Bedrock's agents, DynamoDB and CloudWatch, builds the real Lambda
/// function and runs it against them, plays the events and shows what became of each: the
/// specialist asked and the one that answered, attempts, tokens, cost, time and the budget left.
/// Then come the metrics received and the state of the table.
#[derive(Debug, Parser)]
#[command(name = "sandbox", verbatim_doc_comment, after_long_help = AFTER_HELP)]
struct Arguments {
    /// Events to play; without any, all of the repository's `events/`
    #[arg(value_name = "EVENT.json")]
    events: Vec<PathBuf>,

    /// What the agents answer (TOML) [default: tests/sandbox/agents.toml]
    #[arg(long, value_name = "FILE")]
    agents: Option<PathBuf>,

    /// The routing policy (TOML) [default: the one compiled into the function]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// How many processes the function runs in
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    processes: u16,

    /// Show each reply's body and all lines that the function writes
    #[arg(long)]
    logs: bool,

    /// Whether to use colors
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto, value_enum)]
    color: ColorChoice,
}

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox                                   all events of the repository
  cargo run -p sandbox -- events/NAME.json --logs        one event, with the function's log
  cargo run -p sandbox -- --agents broken.toml --policy strict.toml

Files:
  EVENT.json                    sent to the function byte for byte
  expected/EVENT.json           beside it, optional: what should come of it
  client-context/EVENT.json     beside it, optional: the invocation's client context
  --agents FILE                 the format is described at the top of tests/sandbox/agents.toml
  --policy FILE                 handed to the function in ROUTING_POLICY

Exit codes:
  0  every event went as expected
  1  at least one did not
  2  wrong usage, an unreadable file, or something did not start
  130  interrupted; the function's processes are ended";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = tokio::select! {
        ended = run(arguments) => ended,
        // Leaving ends the runtime, and with it every process that was started.
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever read has seen enough.
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

/// Why nothing could be shown, or not all of it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no event in {}", .0.display())]
    NoEvents(PathBuf),
    #[error(transparent)]
    Event(#[from] events::EventError),
    #[error(transparent)]
    Start(#[from] sandbox::SandboxError),
    #[error(transparent)]
    Table(#[from] sandbox::table::TableError),
    #[error("cannot write the report")]
    Output(#[from] io::Error),
}

/// Plays everything and returns how many events did not go as expected.
async fn run(arguments: Arguments) -> Result<usize, Failure> {
    let mut report = Report::new(io::stdout(), Paint::new(arguments.color), arguments.logs);
    let cases = cases(&arguments.events)?;
    let options = Options {
        policy: read(arguments.policy)?,
        agents: read(arguments.agents)?,
        processes: usize::from(arguments.processes),
        ..Options::default()
    };

    report.progress(&format!("Building {FUNCTION} …"))?;
    build_function(FUNCTION).await.map_err(sandbox::SandboxError::from)?;
    let started = Instant::now();
    let sandbox = Sandbox::start(options).await?;
    report.progress(&format!(
        "Started in {} ms, playing {} …\n",
        started.elapsed().as_millis(),
        counted(cases.len(), "event")
    ))?;

    let mut wrong = 0;
    for case in &cases {
        let played = events::play(&sandbox, case).await?;
        let mismatches = events::check(case, &played);
        wrong += usize::from(!mismatches.is_empty());
        report.event(case, &played, &mismatches)?;
    }
    report.metrics(&sandbox.metrics().batches())?;
    report.table(&sandbox.table().scan().await?)?;
    sandbox.stop().await;
    let unjudged = cases.iter().filter(|case| case.expectation.is_none()).count();
    report.summary(cases.len(), wrong, unjudged)?;
    Ok(wrong)
}

fn cases(files: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let cases: Vec<Case> = match files {
        [] => events::load_all()?,
        files => files.iter().map(|file| events::load(file)).collect::<Result<_, _>>()?,
    };
    if cases.is_empty() { Err(Failure::NoEvents(events::folder())) } else { Ok(cases) }
}

fn read(path: Option<PathBuf>) -> Result<Option<String>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(&path);
    text.map(Some).map_err(|source| Failure::Read { path, source })
}
