//! A report as people read it in a terminal.

use std::fmt::Write;

use routing_gate::cases::Case;
use routing_gate::report::Report;
use routing_gate::score::{Chosen, Outcome};
use stand_ins::print::{printable, usd};

use crate::print::{Head, table};

/// So many misses are listed; `--json` and the page have all of them.
const SHOWN_MISSES: usize = 20;

/// The report, with the texts of misses where `cases` are given.
pub(super) fn of(report: &Report, cases: Option<&[Case]>) -> String {
    let mut text = format!("{report}\n\n");
    // Writing to a string cannot fail.
    for (name, value) in facts(report) {
        let _ = writeln!(text, "{name:<36} {value}");
    }
    let rows = report.score.classes().map(|class| {
        let others = report.row(class.specialist).into_iter();
        let others = others.filter(|(name, _)| *name != Some(class.specialist));
        let others: Vec<String> =
            others.map(|(name, count)| format!("{} {count}", name.unwrap_or("nobody"))).collect();
        [
            class.specialist.to_owned(),
            class.cases.to_string(),
            class.right.to_string(),
            percent(class.recall()),
            others.join(", "),
        ]
    });
    let heads = [
        Head::Left("belongs to"),
        Head::Right("requests"),
        Head::Right("right"),
        Head::Right("share"),
        Head::Left("the others went to"),
    ];
    let _ = write!(text, "\n{}", table(heads, rows));
    let misses: Vec<&Outcome> = report.misses().collect();
    if !misses.is_empty() {
        let rows = misses.iter().take(SHOWN_MISSES).map(|miss| {
            let line = miss.case.to_string();
            [line, miss.expected.clone(), chosen(miss).to_owned(), text_of(miss, cases)]
        });
        let heads = [
            Head::Right("line"),
            Head::Left("belongs to"),
            Head::Left("went to"),
            Head::Left(if cases.is_some() { "text" } else { "" }),
        ];
        let _ = write!(text, "\n{}", table(heads, rows));
        if misses.len() > SHOWN_MISSES {
            let _ = writeln!(text, "… and {} more", misses.len() - SHOWN_MISSES);
        }
    }
    text
}

/// What is told of the whole, by name.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let score = &report.score;
    let claim = report.thresholds.min_accuracy;
    let millis = |millis: Option<u64>| millis.map_or("none".to_owned(), |ms| format!("{ms} ms"));
    let needed = match score.requests_needed(claim) {
        Some(needed) => format!("{needed} requests at this accuracy"),
        None => "no number of requests at this accuracy".to_owned(),
    };
    vec![
        ("accuracy", score.accuracy().map_or("none".to_owned(), percent)),
        ("its lower bound, 95 % confidence", percent(score.lower_bound())),
        ("to show the accuracy that is asked", needed),
        ("requests without a decision", score.undecided.to_string()),
        ("decisions, median", millis(score.p50_ms)),
        ("decisions, 95th percentile", millis(score.p95_ms)),
        ("tokens", stand_ins::print::grouped(score.tokens.0)),
        ("cost", usd(score.cost.0)),
    ]
}

/// Whom a miss went to.
pub(super) fn chosen(miss: &Outcome) -> &str {
    match &miss.chosen {
        Chosen::Specialist(name) => name,
        Chosen::Nobody => "nobody",
        Chosen::NoDecision => "no decision",
    }
}

/// The text of a miss; nothing without `cases`.
pub(super) fn text_of(miss: &Outcome, cases: Option<&[Case]>) -> String {
    let case = cases.and_then(|cases| cases.iter().find(|case| case.line == miss.case));
    case.map(|case| printable(&case.text)).unwrap_or_default()
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
