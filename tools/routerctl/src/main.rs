//! The operator's program: prints what is made from a policy, and looks after the policy in the
//! table.

mod place;
mod policy;
mod prompt;
mod schema;

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
/// Credentials and region come from the usual AWS environment.
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
    Schema(schema::Arguments),
    Prompt(prompt::Arguments),
    /// Check a policy, compare it with the one in the table, or put it there
    #[command(subcommand)]
    Policy(policy::Command),
}

const AFTER_HELP: &str = "\
Examples:
  cargo run -p routerctl -- schema routing.toml --form gateway
  cargo run -p routerctl -- prompt routing.toml
  cargo run -p routerctl -- policy check routing.toml
  cargo run -p routerctl -- policy diff routing.toml --table shop-budget --region eu-west-1
  cargo run -p routerctl -- policy push routing.toml --table shop-budget --region eu-west-1

Exit codes:
  0  done
  1  the policy has mistakes, it differs, or the table's was changed by another author meanwhile
  2  wrong usage, a file that cannot be read, a table that gives no answer";

/// What a command has to say.
struct Said {
    text: String,
    is_well: bool,
}

impl Said {
    fn well(text: String) -> Self {
        Self { text, is_well: true }
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
    #[error(transparent)]
    LastRun(#[from] OpenError),
    #[error("the table has no policy: name the file that is compiled into the function")]
    NoPolicy,
    #[error("the table has no previous policy")]
    NoPrevious,
    #[error("the policy has mistakes:\n{0}")]
    Mistakes(String),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
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

async fn run(Arguments { command, json }: Arguments) -> Result<bool, Failure> {
    let said = match command {
        Command::Schema(arguments) => schema::run(&arguments).await?,
        Command::Prompt(arguments) => prompt::run(&arguments, json).await?,
        Command::Policy(command) => policy::run(command, json).await?,
    };
    match io::stdout().write_all(said.text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(said.is_well),
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
