//! The sandbox as a program: plays event files on the whole product and shows what happened.

mod bench;
mod circuits;
mod elsewhere;
mod incidents;
mod injected;
mod item;
mod page;
mod paint;
mod play;
mod report;
mod serve;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

use crate::bench::BenchError;
use crate::elsewhere::Elsewhere;
use crate::page::ReportFile;
use crate::paint::Paint;
use crate::play::PlayError;
use crate::serve::ServeError;

/// Runs the supervisor router on this machine, without an AWS account.
///
/// Starts stand-ins for Bedrock's agents, DynamoDB and CloudWatch, builds the real Lambda
/// function and runs it against them, plays the events and shows what became of each: the
/// specialist asked and the one that answered, attempts, tokens, cost, time and the budget left.
/// Then come the metrics received and the state of the table, which `routerctl` shows in detail
/// (`cargo run -p routerctl -- budget`). `bench` measures what a request costs.
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

    /// Let specialists fail: SPECIALIST=FAULT or SPECIALIST=FAULT:RATE (see below)
    #[arg(long, value_name = "SPECIALIST=FAULT:RATE,…")]
    fail: Vec<String>,

    /// The function's timeout; attempts that hang get their share of it
    #[arg(long, value_name = "SECONDS", default_value = USUAL_TIMEOUT, value_parser = seconds)]
    timeout: Duration,

    /// How many processes the function runs in
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    processes: u16,

    /// Write a page about the run; to a FILE.svg, its overview as a picture. May be repeated
    #[arg(long, value_name = "FILE.html", value_parser = ReportFile::parse)]
    report: Vec<ReportFile>,

    /// Go on with the table that the last run left, in place of a new one
    #[arg(long, conflicts_with = "aws")]
    go_on: bool,

    /// Show each reply's body and all lines that the function writes
    #[arg(long)]
    logs: bool,

    #[command(flatten)]
    elsewhere: Elsewhere,

    /// Whether to use colors
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto, value_enum)]
    #[arg(global = true)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Arguments),
    Serve(serve::Arguments),
}

/// The function's timeout in seconds, in the sandbox.
const USUAL_TIMEOUT: &str = "30";

const USAGE: &str = "\
sandbox [OPTIONS] [EVENT.json]...
       sandbox bench [--short | --floor [--rounds N] | --front-door] [--json] [--env NAME=VALUE]... [--function FILE]
       sandbox serve [--supervisor KIND] [--port PORT] [--agents FILE] [--policy FILE]";

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox                                   all events of the repository
  cargo run -p sandbox -- events/NAME.json --logs        one event, with the function's log
  cargo run -p sandbox -- --agents broken.toml --policy strict.toml
  cargo run -p sandbox -- --report run.html              all of it as a page, with plots
  cargo run -p sandbox -- --fail billing=throttle:0.5,orders=break
  cargo run -p sandbox -- --fail '*=hang' --timeout 4    nobody answers, and time is short
  cargo run -p sandbox -- --go-on events/NAME.json       after what the last run has left
  cargo run --release -p sandbox -- bench                what a request costs
  cargo run -p sandbox -- serve --supervisor model       the front door at an HTTP address

Faults (--fail; the option may be repeated):
  SPECIALIST  a name of the script, or * for all that are not named
  RATE        the share of its attempts that fail, from 0 to 1 [default: 1]; spread evenly,
              beginning with the first: of 0.5, every second one
  FAULT       throttle            is short for before:throttlingException
              error               is short for before:internalServerException
              break               is short for close-in-stream
              slow, slow=12s      nothing for 9 s or as long as it says, then the answer
              drip, drip=200ms    a chunk a second or as often as it says, and never an end
              hang                no response         hang-in-stream   no more after a chunk
              close               connection closed   close-in-stream  within a frame
              reset               connection reset    bad-checksum     a damaged frame
              empty               an empty stream     unknown-event    one more than there should be
              soft-failure        the agent gives up  guardrail        a guardrail intervenes
              masked              a guardrail masks a part of the answer
              return-control      the agent asks its caller to run a function
              before:EXCEPTION    an HTTP error instead of a stream
              in-stream:EXCEPTION the exception after one chunk
              stop:REASON         a message that ended for this reason (harnesses and models)
  EXCEPTION   throttlingException, serviceQuotaExceededException, validationException,
              accessDeniedException, resourceNotFoundException, conflictException,
              dependencyFailedException, modelNotReadyException, internalServerException,
              badGatewayException, throttledException, concurrencyException
  REASON      end_turn, stop_sequence, tool_use, max_tokens, content_filtered,
              guardrail_intervened, malformed_model_output, malformed_tool_use,
              model_context_window_exceeded; of harnesses also tool_result, interrupted,
              partial_turn, max_iterations_exceeded, max_output_tokens_exceeded,
              timeout_exceeded, hook_stopped
  Where a fault can touch an event, its expectation does not apply: it is marked `--` and held to
  the rules for every reply only. So is an event without an expectation.

A function that runs elsewhere (--invoke):
  PROGRAM                       gets the event on its standard input and writes the reply to its
                                standard output; what it writes to its standard error are the
                                function's lines. Its environment says the rest:
  SANDBOX_FUNCTION              the function's name
  SANDBOX_FUNCTION_ENV          the variables by which the function finds the stand-ins (JSON)
  SANDBOX_TIMEOUT_SECONDS       the function's timeout
  SANDBOX_CLIENT_CONTEXT        the invocation's client context (JSON), where there is one
  SANDBOX_FORGETFUL=true        where the function must not remember what it has read before
  tests/sam/local, tests/sam/emulator and tests/sam/deployed are such programs.

Files:
  EVENT.json                    sent to the function byte for byte
  expected/EVENT.json           beside it, optional: what should come of it. An event that is in no
                                form of the function's is right only where this names its `error`;
                                `function` names the function that it goes to [supervisor-router]
  client-context/EVENT.json     beside it, optional: the invocation's client context
  given/EVENT.json              beside it, optional: items (a JSON list of objects) that are in the
                                table while the event is played, in new processes of the function
  --agents FILE                 the format is described at the top of tests/sandbox/agents.toml
  --policy FILE                 handed to the function in ROUTING_POLICY
  --report FILE.html            one file without scripts that refers to nothing outside itself. It
                                has names, numbers and statuses, no requests and no answers
  TARGET/sandbox/table.db       the table, kept for `routerctl`; each run that starts begins it
                                anew, unless it has --go-on. TARGET is cargo's target folder

Exit codes:
  0  every event went as expected
  1  at least one did not
  2  wrong usage, an unreadable file, something did not start (the last run is kept then), or the
     output was closed before the run's end
  130  interrupted; the function's processes are ended";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some((command, name)) = arguments.unused() {
        let message = format!("`{command}` does not go together with {name}");
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
        // Events that are not told of are not as expected.
        Err(Failure::Play(PlayError::Output(error))) if is_closed_output(&error) => {
            ExitCode::from(2)
        }
        // The reader of a table has seen enough.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
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
    #[error(transparent)]
    Play(#[from] PlayError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl Failure {
    fn is_closed_output(&self) -> bool {
        match self {
            Self::Bench(BenchError::Output(error)) => is_closed_output(error),
            Self::Play(_) | Self::Bench(_) | Self::Serve(_) => false,
        }
    }
}

fn is_closed_output(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

impl Arguments {
    /// The command, and the first argument that only playing events makes use of, where none are
    /// to be played.
    fn unused(&self) -> Option<(&'static str, &'static str)> {
        let command = match self.command.as_ref()? {
            Command::Bench(_) => "bench",
            Command::Serve(_) => "serve",
        };
        let unused = [
            ("EVENT.json", !self.events.is_empty()),
            ("--agents", self.agents.is_some()),
            ("--policy before it", self.policy.is_some()),
            ("--fail", !self.fail.is_empty()),
            ("--timeout", seconds(USUAL_TIMEOUT) != Ok(self.timeout)),
            ("--processes", self.processes != 1),
            ("--report", !self.report.is_empty()),
            ("--go-on", self.go_on),
            ("--logs", self.logs),
        ];
        let unused = unused.into_iter().find_map(|(name, given)| given.then_some(name));
        Some((command, unused.or_else(|| self.elsewhere.given())?))
    }
}

/// Does what is asked for, and returns how many events, or counts, are not as expected.
async fn run(arguments: Arguments) -> Result<usize, Failure> {
    let paint = Paint::new(arguments.color);
    match arguments.command {
        None => Ok(play::run(arguments, paint).await?),
        Some(Command::Bench(arguments)) => Ok(bench::run(arguments, paint).await?),
        Some(Command::Serve(arguments)) => Ok(serve::run(arguments).await?),
    }
}

/// Seconds as a decimal, up to what Lambda allows.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let allowed = Duration::from_millis(1)..=Duration::from_secs(900);
    let rule = "allowed are seconds above 0, up to 900";
    seconds.filter(|seconds| allowed.contains(seconds)).ok_or_else(|| rule.to_owned())
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
    fn what_is_no_command_is_an_event() {
        for events in [&[][..], &["events/x.json"], &["benc"], &["./bench"], &["help"]] {
            let arguments = parse(events).unwrap();
            assert!(arguments.command.is_none(), "{events:?}");
            assert_eq!(arguments.events, events.iter().map(PathBuf::from).collect::<Vec<_>>());
        }
        let several = parse(&["a.json", "bench"]).unwrap();
        assert_eq!((several.command.is_none(), several.events.len()), (true, 2));
    }

    #[test]
    fn what_only_playing_events_uses_is_not_ignored_silently() {
        let unused = |words: &[&str]| parse(words).unwrap().unused();
        let color = ["a.json", "--color", "never", "bench"];
        assert_eq!(unused(&color), Some(("bench", "EVENT.json")));
        assert_eq!(unused(&["--policy", "p.toml", "bench"]), Some(("bench", "--policy before it")));
        assert_eq!(unused(&["--fail", "a=hang", "bench"]), Some(("bench", "--fail")));
        assert_eq!(unused(&["--timeout", "4", "bench"]), Some(("bench", "--timeout")));
        assert_eq!(unused(&["--report", "r.svg", "bench"]), Some(("bench", "--report")));
        assert_eq!(unused(&["bench", "--short"]), None);
        assert_eq!(unused(&["--processes", "2", "bench"]), Some(("bench", "--processes")));
        assert_eq!(unused(&["--logs", "a.json"]), None);
    }

    #[test]
    fn a_function_elsewhere_is_described_completely() {
        let elsewhere = ["--invoke", "i", "--aws", "127.0.0.1:1", "--table", "t", "a.json"];
        parse(&elsewhere).unwrap();
        parse(&elsewhere[..4]).unwrap_err();
        parse(&elsewhere[2..]).unwrap_err();
        parse(&["--table", "t"]).unwrap_err();
        parse(&["--listen", "172.17.0.1"]).unwrap_err();
        assert_eq!(
            parse(&["--listen", "172.17.0.1:0", "bench"]).unwrap().unused(),
            Some(("bench", "--listen"))
        );
    }

    #[test]
    fn faults_may_be_given_in_several_options() {
        let arguments = parse(&["--fail", "a=hang,b=empty", "--fail", "c=slow=2s:0.5"]).unwrap();
        assert_eq!(arguments.fail, ["a=hang,b=empty", "c=slow=2s:0.5"]);
    }

    #[test]
    fn a_report_goes_to_a_file_whose_name_says_what_it_shows() {
        let files = |words: &[&str]| parse(words).map(|it| it.report.len()).ok();
        assert_eq!(files(&["--report", "r.html", "--report", "./r.svg"]), Some(2));
        for wrong in ["r.pdf", "html", "no-such-folder/r.html", ""] {
            assert_eq!(files(&["--report", wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn a_timeout_is_one_that_lambda_allows() {
        let timeout = |text: &str| parse(&["--timeout", text]).map(|it| it.timeout).ok();
        assert_eq!(timeout("2.5"), Some(Duration::from_millis(2_500)));
        assert_eq!(parse(&[]).unwrap().timeout, Duration::from_secs(30));
        for text in ["0", "-1", "901", "nan", "4s", ""] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[test]
    fn help_and_script_tell_of_every_fault() {
        use stand_ins::agents::{AgentKind, Fault};

        let script = stand_ins::agents::DEFAULT_SCRIPT;
        let head: String = script.lines().take_while(|line| line.starts_with('#')).collect();
        for text in [AFTER_HELP, &head] {
            for fault in Fault::all_of(AgentKind::Harness) {
                let name = fault.to_string();
                let name = name.split_once(':').map_or(&*name, |(_, exception)| exception);
                assert!(text.contains(name), "{name} in {text}");
            }
            for word in [
                "before:",
                "in-stream:",
                "stop:",
                "throttle ",
                "error ",
                "break ",
                "slow=",
                "drip=",
            ] {
                assert!(text.contains(word), "{word} in {text}");
            }
        }
    }
}
