//! Playing events, which is what the program does when it is asked for nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stand_ins::events::{self, Case};
use stand_ins::lambda::build_function;
use stand_ins::traces::Traces;
use stand_ins::{Options, Sandbox, SandboxError, clock};
use tokio::time::{Instant, timeout};

use crate::Arguments;
use crate::injected::Injected;
use crate::page::{ReportFile, Request, Run, Setting, Span};
use crate::paint::{Paint, counted};
use crate::report::{Report, Tally};
use stand_ins::last_run::{KeepError, LastRun, SHIPPED_POLICY};

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
    #[error("{event} goes to the function `{function}`; there is only {known}")]
    UnknownFunction { event: String, function: String, known: String },
    #[error(transparent)]
    Start(#[from] SandboxError),
    #[error(transparent)]
    Play(#[from] events::PlayError),
    #[error(transparent)]
    Table(#[from] stand_ins::table::TableError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("cannot tell the specialists and limits of the policy")]
    Policy(#[from] toml::de::Error),
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the report")]
    Output(#[from] io::Error),
}

/// Plays everything and returns how many events did not go as expected.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<usize, PlayError> {
    let mut report = Report::new(io::stdout(), paint, arguments.logs);
    let cases = cases(&arguments.events)?;
    let fail = (!arguments.fail.is_empty()).then(|| arguments.fail.join(","));
    let mut options = Options {
        policy: read(arguments.policy.as_deref())?,
        agents: read(arguments.agents.as_deref())?,
        fail,
        processes: usize::from(arguments.processes),
        lambda_timeout: arguments.timeout,
        ..Options::default()
    };
    arguments.elsewhere.apply(&mut options);
    let mut injected = Injected::new(&options)?;
    let mut waterfalls = None;
    if !arguments.report.is_empty() {
        waterfalls = Some(Waterfalls::start(&mut options).await?);
    }

    let known: Vec<&str> = options.functions.keys().map(String::as_str).collect();
    if let Some(case) = cases.iter().find(|case| !known.contains(&case.function())) {
        let (event, function) = (case.name.clone(), case.function().to_owned());
        return Err(PlayError::UnknownFunction { event, function, known: known.join(", ") });
    }
    if options.invoker.is_none() {
        report.progress(&format!("Building {} …", known.join(", ")))?;
        for name in known {
            build_function(name).await.map_err(SandboxError::from)?;
        }
    }
    let (mut this_run, mut others) = (None, false);
    if options.aws.is_none() {
        this_run = LastRun::find().begin(options.policy.as_deref(), arguments.go_on)?;
        others = this_run.is_none();
    }
    let policy = options.policy.clone();
    options.table_goes_on = arguments.go_on;
    options.table_file = this_run.as_ref().map(|run| run.table.clone());
    let started = Instant::now();
    let sandbox = Sandbox::start(options).await?;
    if let Some(run) = &mut this_run {
        run.take_over()?;
    }
    report.progress(&format!(
        "Started in {} ms, playing {} …\n",
        started.elapsed().as_millis(),
        counted(cases.len(), "event")
    ))?;

    if others {
        let others = "`budget`, `circuits` and `incidents` show that one, not this";
        report.progress(&format!("Another run is under way: {others}.\n"))?;
    }
    if let Some(warning) = injected.warning(arguments.timeout) {
        report.progress(warning)?;
    }

    let mut tally = Tally::default();
    let mut requests = Vec::new();
    for case in &cases {
        let played = events::play(&sandbox, case).await?;
        injected.count(case, &played);
        let judged = injected.judged(case, &played);
        let mismatches = events::check(&judged, &played);
        tally.add(judged.expectation.is_some(), !mismatches.is_empty());
        report.event(&judged, &played, &mismatches)?;
        let spans = match &mut waterfalls {
            Some(waterfalls) => waterfalls.next().await,
            None => Vec::new(),
        };
        requests.push(Request::new(case, &judged, &played, &mismatches, spans));
    }
    let (batches, now_ms) = (sandbox.metrics().batches(), clock::now_ms());
    let items = sandbox.table().scan().await?;
    report.metrics(&batches)?;
    report.table(&items, now_ms)?;
    sandbox.stop().await;
    report.injected(&injected)?;
    if !arguments.report.is_empty() {
        let setting = Setting {
            ended: now_ms / 1_000,
            all_events: arguments.events.is_empty(),
            policy: arguments.policy,
            agents: arguments.agents,
            processes: usize::from(arguments.processes),
            timeout: arguments.timeout,
        };
        let policy = policy.as_deref().unwrap_or(SHIPPED_POLICY);
        let run = Run::new(setting, requests, batches, policy, (&items, now_ms))?;
        for written in write(&run.under(&injected), &arguments.report)? {
            report.progress(&format!("\nReport in {}", written.display()))?;
        }
    }
    report.summary(tally)?;
    Ok(tally.wrong)
}

/// The longest that the trace of a request is waited for. It is exported when the reply is out.
const EXPORTED_WITHIN: Duration = Duration::from_secs(1);

/// The traces of a run, where somebody wants to see them.
struct Waterfalls {
    receiver: Traces,
    seen: usize,
}

impl Waterfalls {
    /// Has the function export to a receiver of this run.
    async fn start(options: &mut Options) -> Result<Self, SandboxError> {
        let stand_in = "a collector of traces";
        let receiver = Traces::start().await;
        let receiver = receiver.map_err(|source| SandboxError::Listen { stand_in, source })?;
        options.env.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), receiver.url());
        Ok(Self { receiver, seen: 0 })
    }

    /// The spans of the event that was played last. An event that the function could not read
    /// has none.
    async fn next(&mut self) -> Vec<Span> {
        let exported = timeout(EXPORTED_WITHIN, self.receiver.exports(self.seen + 1));
        let exports = exported.await.unwrap_or_default();
        let spans = exports.iter().skip(self.seen).flat_map(|export| &export.spans);
        let spans = spans.map(Span::from).collect();
        self.seen = self.seen.max(exports.len());
        spans
    }
}

/// Writes the files about a run, and returns where they are.
fn write<'f>(run: &Run, files: &'f [ReportFile]) -> Result<Vec<&'f Path>, PlayError> {
    let write = |file: &'f ReportFile| match file.write(run) {
        Ok(()) => Ok(file.path()),
        Err(source) => Err(PlayError::Write { path: file.path().to_owned(), source }),
    };
    files.iter().map(write).collect()
}

fn cases(files: &[PathBuf]) -> Result<Vec<Case>, PlayError> {
    let cases: Vec<Case> = match files {
        [] => events::load_all()?,
        files => files.iter().map(|file| events::load(file)).collect::<Result<_, _>>()?,
    };
    if cases.is_empty() { Err(PlayError::NoEvents(events::folder())) } else { Ok(cases) }
}

fn read(path: Option<&Path>) -> Result<Option<String>, PlayError> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path);
    text.map(Some).map_err(|source| PlayError::Read { path: path.to_owned(), source })
}
