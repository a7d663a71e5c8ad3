//! The sandbox as a program: plays event files on the whole product and shows what happened, and
//! what the budgets are afterwards.

mod budget;
mod item;
mod last_run;
mod paint;
mod report;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, Parser, Subcommand};
use sandbox::events::{self, Case};
use sandbox::lambda::build_function;
use sandbox::{FUNCTION, Options, Sandbox};
use tokio::time::Instant;

use crate::budget::BudgetError;
use crate::last_run::LastRun;
use crate::paint::{Paint, counted};
use crate::report::Report;

/// Runs the supervisor router on this machine, without an AWS account.
///
/// Starts stand-ins for Bedrock's agents, DynamoDB and CloudWatch, builds the real Lambda
/// function and runs it against them, plays the events and shows what became of each: the
/// specialist asked and the one that answered, attempts, tokens, cost, time and the budget left.
/// Then come the metrics received and the state of the table, which `budget` shows in detail.
#[derive(Debug, Parser)]
#[command(name = "sandbox", verbatim_doc_comment, after_long_help = AFTER_HELP)]
#[command(override_usage = USAGE, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

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
    #[arg(global = true)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Budget(budget::Arguments),
}

const USAGE: &str = "\
sandbox [OPTIONS] [EVENT.json]...
       sandbox budget [SESSION] [--raise NAME=VALUE,…] [--policy FILE]";

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox                                   all events of the repository
  cargo run -p sandbox -- events/NAME.json --logs        one event, with the function's log
  cargo run -p sandbox -- --agents broken.toml --policy strict.toml
  cargo run -p sandbox -- budget                         the sessions of the last run
  cargo run -p sandbox -- budget SESSION                 one session's limits, holds and money
  cargo run -p sandbox -- budget SESSION --raise steps=20,cost_usd=1.0

Files:
  EVENT.json                    sent to the function byte for byte
  expected/EVENT.json           beside it, optional: what should come of it
  client-context/EVENT.json     beside it, optional: the invocation's client context
  given/EVENT.json              beside it, optional: items (a JSON list of objects) that are in the
                                table while the event is played, in new processes of the function
  --agents FILE                 the format is described at the top of tests/sandbox/agents.toml
  --policy FILE                 handed to the function in ROUTING_POLICY
  TARGET/sandbox/table.db       the table, kept for `budget`; each run begins it anew. TARGET is
                                cargo's target folder

Exit codes:
  0  every event went as expected
  1  at least one did not
  2  wrong usage, an unreadable file, or something did not start
  130  interrupted; the function's processes are ended";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = arguments.unused() {
        let message = format!("`budget` does not go together with {name}");
        Arguments::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    let ended = tokio::select! {
        ended = run(arguments) => ended,
        // Leaving ends the runtime, and with it every process that was started.
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(Failure::Output(error) | Failure::Budget(BudgetError::Output(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
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
    Play(#[from] events::PlayError),
    #[error(transparent)]
    Table(#[from] sandbox::table::TableError),
    #[error(transparent)]
    Keep(#[from] last_run::KeepError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error("cannot write the report")]
    Output(#[from] io::Error),
}

impl Arguments {
    /// The first argument that only playing events makes use of, where none are to be played.
    fn unused(&self) -> Option<&'static str> {
        self.command.as_ref()?;
        let unused = [
            ("EVENT.json", !self.events.is_empty()),
            ("--agents", self.agents.is_some()),
            ("--policy before it", self.policy.is_some()),
            ("--processes", self.processes != 1),
            ("--logs", self.logs),
        ];
        unused.into_iter().find_map(|(name, given)| given.then_some(name))
    }
}

async fn run(arguments: Arguments) -> Result<usize, Failure> {
    let paint = Paint::new(arguments.color);
    match arguments.command {
        Some(Command::Budget(arguments)) => Ok(budget::run(arguments, paint).await.map(|()| 0)?),
        None => play(arguments, paint).await,
    }
}

/// Plays everything and returns how many events did not go as expected.
async fn play(arguments: Arguments, paint: Paint) -> Result<usize, Failure> {
    let mut report = Report::new(io::stdout(), paint, arguments.logs);
    let cases = cases(&arguments.events)?;
    let mut options = Options {
        policy: read(arguments.policy)?,
        agents: read(arguments.agents)?,
        processes: usize::from(arguments.processes),
        ..Options::default()
    };

    report.progress(&format!("Building {FUNCTION} …"))?;
    build_function(FUNCTION).await.map_err(sandbox::SandboxError::from)?;
    let this_run = LastRun::find().begin(options.policy.as_deref())?;
    options.table_file = this_run.as_ref().map(|run| run.table.clone());
    let started = Instant::now();
    let sandbox = Sandbox::start(options).await?;
    report.progress(&format!(
        "Started in {} ms, playing {} …\n",
        started.elapsed().as_millis(),
        counted(cases.len(), "event")
    ))?;

    if this_run.is_none() {
        report.progress("Another run is under way: `budget` shows that one, not this.\n")?;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["sandbox"], words].concat())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_not_the_word_budget_is_an_event() {
        for events in [&[][..], &["events/x.json"], &["budge"], &["./budget"], &["help"]] {
            let arguments = parse(events).unwrap();
            assert!(arguments.command.is_none(), "{events:?}");
            assert_eq!(arguments.events, events.iter().map(PathBuf::from).collect::<Vec<_>>());
        }
        let several = parse(&["a.json", "budget"]).unwrap();
        assert_eq!((several.command.is_none(), several.events.len()), (true, 2));
    }

    #[test]
    fn what_only_playing_events_uses_is_not_ignored_silently() {
        let unused = |words: &[&str]| parse(words).unwrap().unused();
        assert_eq!(unused(&["a.json", "--color", "never", "budget"]), Some("EVENT.json"));
        assert_eq!(unused(&["--policy", "p.toml", "budget"]), Some("--policy before it"));
        assert_eq!(unused(&["budget", "--policy", "p.toml"]), None);
        assert_eq!(unused(&["--logs", "a.json"]), None);
    }

    #[test]
    fn the_budget_needs_a_session_only_to_be_raised() {
        assert!(matches!(parse(&["budget"]).unwrap().command, Some(Command::Budget(_))));
        parse(&["--color", "never", "budget", "s", "--raise", "steps=20"]).unwrap();
        parse(&["budget", "--raise", "steps=20"]).unwrap_err();
    }
}
