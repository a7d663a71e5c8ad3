//! `sandbox bench`: what a request costs, in time, CPU, memory and calls.
//!
//! The function runs as in every other run of the sandbox, with agents that answer at once. What
//! is measured is the function's own: the stand-ins are another process, and their time is in the
//! latencies but not in the CPU.

mod calls;
mod counts;
mod document;
mod front_door;
mod process;
mod series;
mod side_by_side;
mod spread;
mod subject;
mod view;
mod workload;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use stand_ins::lambda::{FunctionBuildError, StartError, build_function, build_release};
use stand_ins::supervisors::FRONT_DOOR;
use stand_ins::table::TableError;
use stand_ins::{FUNCTION, SandboxError};

use self::document::Document;
use self::subject::Subject;
use crate::paint::Paint;

/// Measure what a request costs
///
/// Builds the function as it is deployed (in the release profile) and measures its start, its
/// first request, and of warm requests latency, own CPU (user and system time of its process),
/// calls by service and peak memory: by length of the session, by number of specialists, and by
/// requests at once over several processes. Agents answer at once. Needs Linux.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Only check how many calls a request makes, with the debug build; nothing is timed
    #[arg(long)]
    short: bool,

    /// Measure side by side, in turns: the function, the same calls with the bare SDK and with a
    /// bare HTTP client, and a plain function in Python
    #[arg(long, conflicts_with = "short")]
    floor: bool,

    /// Measure what the front door adds to its supervisor's own time
    #[arg(long, conflicts_with_all = ["short", "floor"])]
    front_door: bool,

    /// Write one JSON document in place of tables
    #[arg(long)]
    json: bool,

    /// How often everything is measured side by side
    #[arg(long, value_name = "N", default_value_t = 5, requires = "floor")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,

    /// An environment variable of the function. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// A binary to measure in place of the one that cargo builds
    #[arg(long, value_name = "FILE")]
    function: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  cargo run --release -p sandbox -- bench                 all tables, in about two minutes
  cargo run --release -p sandbox -- bench --json          the same for programs
  cargo run --release -p sandbox -- bench --floor         beside the floors and Python
  cargo run --release -p sandbox -- bench --front-door    the front door beside its supervisor
  cargo run -p sandbox -- bench --short                   counts of calls only

docs/performance.md has the numbers, and what they mean. --floor makes a virtual environment of
Python under target/ and installs tests/floor/python/requirements.txt into it.

Exit codes:
  0  measured, or all counts as they must be
  1  a count is not
  2  something did not start, or a request was not answered";

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("the function is not there")]
    Build(#[from] FunctionBuildError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("a request was not answered: {0}")]
    NotAnswered(String),
    #[error("the function's process cannot be measured")]
    Process(#[source] io::Error),
    #[error("the environment of the function in Python was not made: {0}")]
    Python(String),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot write the measurements")]
    Output(#[from] io::Error),
    #[error("cannot write the measurements")]
    Json(#[from] serde_json::Error),
}

/// Measures what is asked for, and returns how many counts are wrong.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<usize, BenchError> {
    let name = if arguments.front_door { FRONT_DOOR } else { FUNCTION };
    let executable = match &arguments.function {
        Some(file) => file.clone(),
        None if arguments.short => build_function(FUNCTION).await?,
        None => build_release(name, name).await?,
    };
    let env: BTreeMap<String, String> = arguments.env.into_iter().collect();
    let router = Subject { name, executable, env };
    let mut document = Document::of(&router)?;
    if arguments.short {
        document.counts = counts::check(&router).await?;
    } else if arguments.front_door {
        document.front_door = front_door::measure(&router).await?;
    } else if arguments.floor {
        document.side_by_side = side_by_side::measure(router, arguments.rounds.into()).await?;
    } else {
        document.start = Some(series::start(&router).await?);
        document.series = series::all(&router).await?;
    }
    let out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(out, &document)?;
    } else {
        view::write(out, paint, &document)?;
    }
    Ok(document.counts.iter().filter(|count| !count.is_right()).count())
}

/// The size of a file in bytes; of a script, which is small, it means nothing.
fn size(file: &Path) -> Result<u64, BenchError> {
    Ok(file.metadata().map_err(BenchError::Process)?.len())
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
