//! The operator's program: sessions' budgets, circuits, incidents, cost, and the policy.

mod budget;
mod circuits;
mod close;
mod compare_cost;
mod cost;
mod day;
mod erase;
mod escalations;
mod evaluate;
mod incidents;
mod labels;
mod place;
mod policy;
mod print;
mod prompt;
mod schema;
mod scratchpad;
mod session;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use router_core::error::Cause;
use stand_ins::last_run::OpenError;

/// Looks after a supervisor router.
///
/// Works on the table of a deployed stack (`--table`), or on what the sandbox's last run left.
/// Credentials and region come from the usual AWS environment; all commands take the same options
/// for that. `--help` of a command says more than `-h`.
#[derive(Debug, Parser)]
#[command(name = "routerctl", verbatim_doc_comment, after_long_help = AFTER_HELP)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Budget(budget::Arguments),
    Circuits(circuits::Arguments),
    Incidents(incidents::Arguments),
    Scratchpad(scratchpad::Arguments),
    Escalations(escalations::Arguments),
    Labels(labels::Arguments),
    Evaluate(evaluate::Arguments),
    Cost(cost::Arguments),
    CompareCost(compare_cost::Arguments),
    Close(close::Arguments),
    Erase(erase::Arguments),
    Schema(schema::Arguments),
    Prompt(prompt::Arguments),
    /// Check a policy, compare it with the one in the table, or put it there
    #[command(subcommand)]
    Policy(policy::Command),
}

const AFTER_HELP: &str = "\
Examples (cargo run -p routerctl -- …):
  routerctl cost --by tenant --date yesterday       the most expensive tenant comes first
  routerctl compare-cost --rounds 3                 one large agent, or a supervisor
  routerctl budget                                  which sessions there are
  routerctl budget 5f1c0a52-orders --raise steps=20
  routerctl circuits force billing open --for 600   no request asks billing for ten minutes
  routerctl circuits release billing                the circuit goes by its state again
  routerctl incidents --specialist orders           why requests fell back
  routerctl scratchpad 5f1c0a52-orders              what its specialists have written down
  routerctl escalations --open                      what people are asked
  routerctl labels --corrections corrections.jsonl  cases for a routing gate
  routerctl evaluate routing.toml --html misses.html  how well the supervisor routes
  routerctl close 5f1c0a52-orders                   its tenant gets back what it did not use
  routerctl erase --user u-17 --dry-run             what would be erased
  routerctl policy diff routing.toml --table shop-budget --region eu-west-1

Exit codes:
  0  done, or shown, even if there is nothing to show
  1  refused, or not found: no such session, specialist or ticket, a ticket that another person
     has, a limit that is not above the one in force, an open hold; the policy has mistakes, it
     differs, or another author changed it; the supervisor does not route well enough
  2  wrong usage, a file that cannot be read, a table that gives no answer; a supervisor that decides
     on too few requests for a verdict";

/// What a command has to say.
struct Said {
    text: String,
    is_well: bool,
    /// Whether it could be found out at all what was asked.
    is_known: bool,
}

impl Said {
    fn well(text: String) -> Self {
        Self { text, is_well: true, is_known: true }
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the table gave no answer: {0}")]
    Table(Cause),
    /// What was asked for cannot be done, and why.
    #[error("{0}")]
    Refused(String),
    /// An argument that cannot be read, and what is allowed.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    LastRun(#[from] OpenError),
    #[error(
        "the table has no policy: name the file that is compiled into the function (FILE, or --policy \
         FILE)"
    )]
    NoPolicy,
    #[error("the table has no previous policy")]
    NoPrevious,
    #[error("the policy has mistakes:\n{0}")]
    Mistakes(String),
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Table(cause)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(failure) => {
            let is_refused = matches!(failure, Failure::Refused(_));
            eprintln!("error: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::from(if is_refused { 1 } else { 2 })
        }
    }
}

async fn run(Arguments { command, json }: Arguments) -> Result<ExitCode, Failure> {
    let said = match command {
        Command::Budget(arguments) => budget::run(&arguments, json).await?,
        Command::Circuits(arguments) => circuits::run(&arguments, json).await?,
        Command::Incidents(arguments) => incidents::run(&arguments, json).await?,
        Command::Scratchpad(arguments) => scratchpad::run(&arguments, json).await?,
        Command::Escalations(arguments) => escalations::run(&arguments, json).await?,
        Command::Labels(arguments) => labels::run(&arguments, json).await?,
        Command::Evaluate(arguments) => evaluate::run(&arguments, json).await?,
        Command::Cost(arguments) => cost::run(&arguments, json).await?,
        Command::CompareCost(arguments) => compare_cost::run(&arguments, json)?,
        Command::Close(arguments) => close::run(&arguments, json).await?,
        Command::Erase(arguments) => erase::run(&arguments, json).await?,
        Command::Schema(arguments) => schema::run(&arguments).await?,
        Command::Prompt(arguments) => prompt::run(&arguments, json).await?,
        Command::Policy(command) => policy::run(command, json).await?,
    };
    match io::stdout().write_all(said.text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(match said {
            Said { is_known: false, .. } => ExitCode::from(2),
            Said { is_well: false, .. } => ExitCode::from(1),
            Said { .. } => ExitCode::SUCCESS,
        }),
    }
}

/// A policy's text.
fn read_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    text.map_err(|source| Failure::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
