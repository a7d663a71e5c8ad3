//! A run in a few words and numbers.

use super::overview::dollars;
use super::request::Verdict;
use super::run::{Run, Setting};
use crate::paint::{counted, grouped, utc};
use crate::report::Tally;

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: String,
    pub(crate) name: &'static str,
}

/// The numbers to look at first.
pub(crate) fn keys(run: &Run) -> Vec<Key> {
    let figures = run.figures();
    let with_status =
        |status: &str| run.requests.iter().filter(|request| request.status == status).count();
    let key = |number: String, name| Key { number, name };
    let mut keys = vec![key(run.requests.len().to_string(), "requests")];
    let mut rest = run.requests.len();
    for (status, name) in [
        ("answered", "answered"),
        ("fell_back", "fell back"),
        ("refused", "refused"),
        ("failed", "failed"),
    ] {
        rest -= with_status(status);
        keys.push(key(with_status(status).to_string(), name));
    }
    if rest > 0 {
        keys.push(key(rest.to_string(), "other endings"));
    }
    let accuracy = figures.values("RoutingAccuracy");
    let percent = match accuracy.len() {
        0 => "-".to_owned(),
        samples => format!("{:.0} %", 100.0 * accuracy.iter().sum::<f64>() / samples as f64),
    };
    let tokens = figures.sum("InputTokens") + figures.sum("OutputTokens");
    keys.extend([
        key(percent, "routing accuracy"),
        key(grouped(figures.sum("SpecialistInvocations") as u64), "invocations"),
        key(grouped(tokens as u64), "tokens reported"),
        key(dollars(figures.charged()), "charged"),
    ]);
    keys
}

/// `22 of 22 events as expected`
pub(crate) fn verdict(run: &Run) -> String {
    let mut tally = Tally::default();
    for request in &run.requests {
        let is_wrong = matches!(request.verdict, Verdict::Unexpected(_));
        tally.add(request.verdict != Verdict::RulesKept, is_wrong);
    }
    tally.to_string()
}

/// What was run, as names with what they are.
pub(crate) fn setting(run: &Run) -> Vec<(&'static str, String)> {
    let Setting { ended, all_events, policy, agents, processes, timeout } = &run.setting;
    let file = |path: &Option<std::path::PathBuf>, shipped: &str| match path {
        Some(path) => path.display().to_string(),
        None => shipped.to_owned(),
    };
    let events = counted(run.requests.len(), "event");
    let events = match all_events {
        true => format!("{events}: all of the repository"),
        false => format!("{events}, named on the command line"),
    };
    vec![
        ("Events", events),
        ("Policy", file(policy, "the shipped one")),
        ("Agents", file(agents, "the shipped script")),
        ("Faults injected", faults(run)),
        (
            "Function",
            format!("{}, timeout {} s", processes_text(*processes), timeout.as_secs_f64()),
        ),
        ("Ended", utc(*ended)),
    ]
}

/// The same in one line.
pub(crate) fn setting_line(run: &Run) -> String {
    let told = setting(run);
    let parts = told.iter().map(|(name, what)| format!("{}: {what}", name.to_lowercase()));
    parts.collect::<Vec<_>>().join(" · ")
}

fn faults(run: &Run) -> String {
    match &run.faults[..] {
        [] => "none".to_owned(),
        faults => {
            let faults = faults.iter().map(|fault| format!("{}={}", fault.specialist, fault.fault));
            faults.collect::<Vec<_>>().join(", ")
        }
    }
}

fn processes_text(processes: usize) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}
