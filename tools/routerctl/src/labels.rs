//! `routerctl labels`: incidents as labelled cases, for a routing gate.
//!
//! Prints what people wrote, so everything goes through [`redact`] first. Nothing is judged here but by
//! rule: who answered, or whom a person named.

mod cases;
mod corrections;
mod redact;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use router_aws::SystemClock;
use router_core::outcome::Reason;
use router_core::policy::Policy;
use router_core::store::{Item, ItemKey};
use router_core::units::Clock;
use serde_json::{Value, json};
use stand_ins::print::{counted, printable};

use crate::day::Span;
use crate::labels::cases::{Case, Incident, Labelled};
use crate::labels::corrections::Corrections;
use crate::place::Governed;
use crate::policy::line;
use crate::{Failure, Said, read_file};

/// So many ids stand behind a reason for leaving incidents out; `--json` has all of them.
const SHOWN_IDS: usize = 5;

/// Make labelled cases for a routing gate from incidents
///
/// One JSON object a line: text (what was asked, without e-mail addresses, card and phone numbers),
/// specialist (the one that answered in the end, or that a correction names) and source
/// (incident:ID or correction:ID). How many incidents were left out, and why, goes to stderr.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    span: Span,

    /// Only incidents with this reason, such as out_of_scope; may be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = parse_reason)]
    reasons: Vec<Reason>,

    /// People's corrections, JSONL: {"id": "INCIDENT", "specialist": "NAME"}
    #[arg(long, value_name = "FILE")]
    corrections: Option<PathBuf>,

    #[command(flatten)]
    governed: Governed,
}

const AFTER_HELP: &str = "\
Only incidents become cases that kept what was asked (record_requests = true in the policy) and that a
specialist answered in the end, unless a correction names the specialist. A correction is of the whole
task of its incident. The same text with the same label is printed once; with different labels it is
left out.

Where a specialist was out of order, its fallback answered, and that is the label: correct it, or take
what says something of routing only: --reason out_of_scope --reason unknown_specialist

E-mail addresses, card and phone numbers are taken out as far as their form tells; names, postal addresses
and account numbers stay. Read the texts before they go anywhere.

JSON (--json): one object; cases, and left_out with reason, count and the incidents' ids.";

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let corrections = arguments.corrections.as_deref().map(read_file).transpose()?;
    let dates = arguments.span.dates(SystemClock.now());
    let dates = dates.map_err(|error| Failure::Usage(error.to_string()))?;
    let (opened, policy) = arguments.governed.open().await?;
    let corrections = match corrections {
        Some(text) => Corrections::parse(&text, &policy).map_err(|mistakes| {
            Failure::Usage(format!("the corrections have mistakes:\n  {}", mistakes.join("\n  ")))
        })?,
        None => Corrections::default(),
    };
    let mut incidents = Vec::new();
    for date in &dates {
        let mut of_day = opened.table.partition(&ItemKey::incident(date, "").pk).await?;
        of_day.sort_by_key(|(key, item)| (item.number("at_ms"), key.sk.clone()));
        incidents.extend(of_day);
    }
    incidents.retain(|(_, item)| {
        let reason = item.text("reason").and_then(Reason::parse);
        arguments.reasons.is_empty() || reason.is_some_and(|one| arguments.reasons.contains(&one))
    });
    let incidents: Vec<Incident> =
        incidents.iter().map(|(key, item)| incident(key, item)).collect();
    let labelled = cases::label(&incidents, &corrections, &names(&policy));
    let cases = labelled.cases.iter().map(Case::json);
    if json {
        let left_out = labelled.left_out.iter().map(
            |(why, ids)| json!({ "reason": why.as_str(), "count": ids.len(), "incidents": ids }),
        );
        let left_out: Value = left_out.collect();
        return Ok(line(&json!({ "cases": cases.collect::<Value>(), "left_out": left_out })));
    }
    eprint!("{}", summary(incidents.len(), &labelled));
    Ok(Said::well(cases.map(|case| format!("{case}\n")).collect()))
}

fn incident(key: &ItemKey, item: &Item) -> Incident {
    let text = |name: &str| item.text(name).map(str::to_owned);
    Incident { id: key.sk.clone(), answered_by: text("answered_by"), request: text("request") }
}

fn names(policy: &Policy) -> BTreeSet<String> {
    policy.specialists().map(|specialist| specialist.name.as_str().to_owned()).collect()
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text)
        .ok_or_else(|| "it must be a reason such as out_of_scope or timeout".to_owned())
}

/// What became of the incidents, for people.
fn summary(incidents: usize, Labelled { cases, left_out }: &Labelled) -> String {
    let mut text =
        format!("{} of {}\n", counted(cases.len(), "case"), counted(incidents, "incident"));
    for (why, ids) in left_out {
        let shown: Vec<String> = ids.iter().take(SHOWN_IDS).map(|id| printable(id)).collect();
        let more = if ids.len() > SHOWN_IDS { ", …" } else { "" };
        let (count, sentence) = (ids.len(), why.sentence());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {count} left out: {sentence} ({}{more})", shown.join(", "));
    }
    text
}
