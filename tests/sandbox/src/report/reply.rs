//! A reply in a few words: who was asked, how it ended, what it cost.

use serde_json::Value;
use stand_ins::events::{Charged, Played};
use stand_ins::lambda::Outcome;

use crate::paint::{counted, grouped, usd};

/// `billing → general`; several tasks are joined with `+`.
pub(crate) fn route(body: Option<&Value>) -> String {
    let Some(body) = body else { return "-".to_owned() };
    let tasks = match &body["results"] {
        Value::Array(results) if !results.is_empty() => results.iter().collect(),
        _ => vec![body],
    };
    let joined = |key: &str| {
        let names: Vec<&str> = tasks.iter().map(|task| task[key].as_str().unwrap_or("-")).collect();
        names.join("+")
    };
    format!("{} → {}", joined("asked"), joined("specialist"))
}

/// `fell_back (throttled)`
pub(crate) fn status(body: Option<&Value>, outcome: &Outcome) -> String {
    match outcome {
        Outcome::TimedOut => return "timed out".to_owned(),
        Outcome::FunctionError(error) => return format!("error {}", error.error_type),
        Outcome::Response(_) => {}
    }
    let text = |key: &str| body.and_then(|body| body[key].as_str());
    match (text("status"), text("reason")) {
        (Some(status), Some(reason)) => format!("{status} ({reason})"),
        (Some(status), None) => status.to_owned(),
        (None, _) => "no body".to_owned(),
    }
}

/// What the event cost, by the table, and what is left, by the reply:
/// `2 attempts, 8,236 tokens (236 reported), $0.120272; left: …`.
///
/// Where it is unknown what an invocation used, it is charged at its hold, so that more is charged
/// than was reported.
pub(super) fn costs(played: &Played, body: Option<&Value>) -> String {
    let Charged { touched, tokens, micro_usd, holds_left } = played.charged;
    let attempts = counted(played.calls.len(), "attempt");
    let reported = reported_tokens(played);
    let left = left(body);
    let mut costs = attempts;
    if touched || left.is_some() || reported > 0 {
        costs.push_str(&format!(", {} tokens", grouped(tokens)));
        if reported != tokens {
            costs.push_str(&format!(" ({} reported)", grouped(reported)));
        }
        costs.push_str(&format!(", {}", usd(micro_usd)));
    }
    if holds_left > 0 {
        costs.push_str(&format!(", {} left", counted(holds_left, "hold")));
    }
    match left {
        Some(left) => format!("{costs}; left: {left}"),
        None if touched => costs,
        None => format!("{costs}; budget not touched"),
    }
}

/// The usage that was published in metrics.
pub(crate) fn reported_tokens(played: &Played) -> u64 {
    let data = played.batches.iter().flat_map(|batch| &batch.data);
    let tokens = data.filter(|datum| {
        ["InputTokens", "OutputTokens"].contains(&&*datum.name) && datum.dimensions.is_empty()
    });
    tokens.map(|datum| datum.sum().max(0.0) as u64).sum()
}

/// What the reply says is left; `None`: no budget was looked at.
pub(crate) fn left(body: Option<&Value>) -> Option<String> {
    let budget = &body?["budget"];
    let count = |key: &str| budget[key].as_u64().map(grouped);
    let (steps, tokens) = (count("steps_left")?, count("tokens_left")?);
    let cost = budget["cost_left_usd"].as_f64()?;
    Some(format!("{steps} steps, {tokens} tokens, ${cost:.6}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_names_all_tasks() {
        let one = json!({ "asked": "billing", "specialist": "general" });
        assert_eq!(route(Some(&one)), "billing → general");
        let two =
            json!({ "asked": null, "results": [one, { "asked": "orders", "specialist": null }] });
        assert_eq!(route(Some(&two)), "billing+orders → general+-");
    }
}
