//! `routerctl evaluate`: how well a supervisor routes labelled requests, from here.
//!
//! The run is the routing gate's own. It counts its money itself and touches no table: what it spends is
//! the account's, not a session's.

mod page;
mod text;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use router_aws::{AwsSupervisor, SystemClock, aws_configuration};
use router_core::ids::RootSession;
use router_core::units::{Clock, MicroUsd, Share};
use routing_gate::cases::{self, Names};
use routing_gate::purse::CountingPurse;
use routing_gate::report::Report;
use routing_gate::run::{self, Plan, Rules};
use routing_gate::score::{Thresholds, Verdict};
use routing_gate::settings::{self, GateSettings};

use crate::place::Source;
use crate::policy::line;
use crate::{Failure, Said, read_file};

/// Replay labelled requests against the supervisor, and judge how it routes
///
/// Asks the policy's supervisor for its first decision on each request, with the AWS environment's
/// credentials and region; no specialist is called. Shows the accuracy with its bound, who was chosen
/// for whom, the misses by number, decision times and what it cost. docs/accuracy.md says what each
/// number means.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The requests, JSONL: {"text", "specialist", "intent"?} [default: the example's 1,000]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,

    /// The supervisor's agent in place of the policy's: a harness, a model or a Bedrock agent, whose
    /// router is told to rehearse
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,

    /// Write a page to look at: matrix, bounds, misses
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Show the texts of misrouted requests
    #[arg(long)]
    texts: bool,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    source: Source,
}

/// How the run is made, and what it must reach: the gate's settings.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How, and how well")]
struct Limits {
    /// What the run may cost [default: 5]
    #[arg(long, value_name = "USD", value_parser = usd)]
    max_cost_usd: Option<MicroUsd>,

    /// Requests at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    concurrency: Option<u16>,

    /// Attempts at one request [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    max_attempts: Option<u64>,

    /// The accuracy, at least [default: 0.9]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_accuracy: Option<Share>,

    /// Its lower bound at 95 % confidence, at least [default: 0.85]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_lower_bound: Option<Share>,

    /// The share that each specialist gets of its requests, at least [default: 0.75]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_recall: Option<Share>,

    /// 95 % of the decisions come in less than so many milliseconds [default: 2000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=900_000))]
    p95_below_ms: Option<u64>,
}

const AFTER_HELP: &str = "\
Exit codes: 0 passed; 1 failed, and the reasons are printed; 2 no verdict, since too few requests got a
decision, or wrong usage.

Texts are what users wrote. They are shown with --texts alone, also on the page.";

/// No run takes longer.
const LONGEST: Duration = Duration::from_secs(3_600);

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let policy = arguments.source.policy_with(|text| with_agent(text, &arguments.agent)).await?;
    let supervisor = policy.supervisor().ok_or_else(|| {
        Failure::Usage(
            "the policy has no supervisor with an agent: it needs a table [supervisor], and its agent \
             there or as --agent"
                .to_owned(),
        )
    })?;
    let file = arguments.cases.as_deref().map(read_file).transpose()?;
    let text = file.as_deref().unwrap_or(cases::EXAMPLE);
    let cases = cases::parse(text.as_bytes(), &Names::of(&policy)).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
        Failure::Usage(format!("the cases have mistakes:\n{}", lines.join("\n")))
    })?;
    let GateSettings { max_cost, rules, thresholds, .. } = arguments.limits.settings();
    // A page that cannot be written is no reason to throw a run away that was paid.
    let page = arguments.html.clone().map(create).transpose()?;
    let began = SystemClock.now();
    // Unlike any other run's, and short.
    let session = RootSession::parse("run", &format!("evaluate-{}", began.0))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let purse = CountingPurse::new(&supervisor.callee, max_cost);
    let plan = Plan {
        cases: &cases,
        policy: &policy,
        supervisor,
        session: &session,
        rules,
        deadline: began.after(LONGEST),
    };
    let asked = AwsSupervisor::new(&aws_configuration().await);
    let ran = run::run(&plan, &asked, &purse, &SystemClock).await;
    let report = Report::of(ran, thresholds);
    let shown = arguments.texts.then_some(&*cases);
    if let Some((path, mut file)) = page {
        let page = page::of(&report, shown);
        file.write_all(page.as_bytes()).map_err(|source| Failure::Write { path, source })?;
    }
    let said = if json { line(&report.json(shown)) } else { Said::well(text::of(&report, shown)) };
    let is_known = !matches!(report.verdict, Verdict::Inconclusive { .. });
    Ok(Said { is_well: report.has_passed(), is_known, ..said })
}

fn create(path: PathBuf) -> Result<(PathBuf, File), Failure> {
    match File::create(&path) {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(Failure::Write { path, source }),
    }
}

impl Limits {
    fn settings(&self) -> GateSettings {
        let GateSettings { cases, max_cost, rules, thresholds } = GateSettings::default();
        GateSettings {
            cases,
            max_cost: self.max_cost_usd.unwrap_or(max_cost),
            rules: Rules {
                width: self.concurrency.map_or(rules.width, usize::from),
                max_attempts: self.max_attempts.unwrap_or(rules.max_attempts),
                ..rules
            },
            thresholds: Thresholds {
                min_accuracy: self.min_accuracy.unwrap_or(thresholds.min_accuracy),
                min_lower_bound: self.min_lower_bound.unwrap_or(thresholds.min_lower_bound),
                min_recall: self.min_recall.unwrap_or(thresholds.min_recall),
                p95_below_ms: self.p95_below_ms.unwrap_or(thresholds.p95_below_ms),
                ..thresholds
            },
        }
    }
}

/// The policy's text with this agent for its supervisor.
fn with_agent(text: String, agent: &Option<String>) -> Result<String, Failure> {
    let Some(agent) = agent else { return Ok(text) };
    // What is no TOML is told as a policy's mistake.
    let Ok(mut table) = text.parse::<toml::Table>() else { return Ok(text) };
    let Some(toml::Value::Table(supervisor)) = table.get_mut("supervisor") else {
        return Err(Failure::Usage("--agent is for a policy with a table [supervisor]".to_owned()));
    };
    supervisor.insert("agent".to_owned(), agent.clone().into());
    Ok(table.to_string())
}

fn usd(text: &str) -> Result<MicroUsd, String> {
    MicroUsd::parse_usd(text)
        .filter(|cost| cost.0 > 0)
        .ok_or_else(|| "it must be an amount in US dollars above 0".to_owned())
}

fn share(text: &str) -> Result<Share, String> {
    settings::share(text).ok_or_else(|| "it must be a decimal number from 0 to 1".to_owned())
}
