//! Playing events, which is what the program does when it is asked for nothing else.

use std::io;
use std::path::PathBuf;

use sandbox::events::{self, Case};
use sandbox::lambda::build_function;
use sandbox::{FUNCTION, Options, Sandbox, clock};
use tokio::time::Instant;

use crate::Arguments;
use crate::injected::Injected;
use crate::last_run::{KeepError, LastRun};
use crate::paint::{Paint, counted};
use crate::report::Report;

/// Why nothing could be played, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayError {
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
    Keep(#[from] KeepError),
    #[error("cannot write the report")]
    Output(#[from] io::Error),
}

/// Plays everything and returns how many events did not go as expected.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<usize, PlayError> {
    let mut report = Report::new(io::stdout(), paint, arguments.logs);
    let cases = cases(&arguments.events)?;
    let fail = (!arguments.fail.is_empty()).then(|| arguments.fail.join(","));
    let mut options = Options {
        policy: read(arguments.policy)?,
        agents: read(arguments.agents)?,
        fail,
        processes: usize::from(arguments.processes),
        lambda_timeout: arguments.timeout,
        ..Options::default()
    };
    let mut injected = Injected::new(&options)?;

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
        let others = "`budget`, `circuits` and `incidents` show that one, not this";
        report.progress(&format!("Another run is under way: {others}.\n"))?;
    }
    if let Some(warning) = injected.warning(arguments.timeout) {
        report.progress(warning)?;
    }

    let (mut wrong, mut unjudged) = (0, 0);
    for case in &cases {
        let played = events::play(&sandbox, case).await?;
        injected.count(case, &played);
        let judged = injected.judged(case, &played);
        let mismatches = events::check(&judged, &played);
        wrong += usize::from(!mismatches.is_empty());
        unjudged += usize::from(judged.expectation.is_none());
        report.event(&judged, &played, &mismatches)?;
    }
    report.metrics(&sandbox.metrics().batches())?;
    report.table(&sandbox.table().scan().await?, clock::now_ms())?;
    sandbox.stop().await;
    report.injected(&injected)?;
    report.summary(cases.len(), wrong, unjudged)?;
    Ok(wrong)
}

fn cases(files: &[PathBuf]) -> Result<Vec<Case>, PlayError> {
    let cases: Vec<Case> = match files {
        [] => events::load_all()?,
        files => files.iter().map(|file| events::load(file)).collect::<Result<_, _>>()?,
    };
    if cases.is_empty() { Err(PlayError::NoEvents(events::folder())) } else { Ok(cases) }
}

fn read(path: Option<PathBuf>) -> Result<Option<String>, PlayError> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(&path);
    text.map(Some).map_err(|source| PlayError::Read { path, source })
}
