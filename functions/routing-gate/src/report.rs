//! What is told of a run: for programs, and in one sentence.

use std::fmt;

use router_core::units::Share;
use serde_json::{Value, json};

use crate::cases::Case;
use crate::run::Ran;
use crate::score::{Chosen, Class, Confusion, Outcome, Score, Thresholds, Verdict, verdict};

/// A run with its score and its verdict.
#[derive(Clone, Debug)]
pub struct Report {
    /// What came of the run.
    pub ran: Ran,
    /// How well the requests were routed.
    pub score: Score,
    /// What the score must reach.
    pub thresholds: Thresholds,
    /// Whether it does.
    pub verdict: Verdict,
}

impl Report {
    /// Judges a run.
    pub fn of(ran: Ran, thresholds: Thresholds) -> Self {
        let score = Score::of(&ran.outcomes);
        let verdict = verdict(&score, &thresholds);
        Self { ran, score, thresholds, verdict }
    }

    /// Whether new traffic may come.
    pub fn has_passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    /// The verdict as one word.
    pub fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Why it has not passed, a sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let (doubt, failures) = match &self.verdict {
            Verdict::Passed => (None, [].as_slice()),
            Verdict::Failed(failures) => (None, failures.as_slice()),
            Verdict::Inconclusive { doubt, failures } => (Some(doubt), failures.as_slice()),
        };
        let stopped = self.ran.stopped.filter(|_| doubt.is_some());
        let stopped = stopped.map(|stopped| format!("the run ended early: {stopped}"));
        let undecided = doubt.filter(|_| !self.ran.failures.is_empty()).map(|_| {
            let by_reason = self.ran.failures.iter();
            let by_reason: Vec<String> =
                by_reason.map(|(reason, count)| format!("{reason} ({count})")).collect();
            format!("those that were asked got no decision for {}", by_reason.join(", "))
        });
        let doubt = doubt.map(ToString::to_string);
        let failures = failures.iter().map(ToString::to_string);
        doubt.into_iter().chain(stopped).chain(undecided).chain(failures).collect()
    }

    /// All of it, for programs; with the texts of misrouted requests where `cases` are given.
    ///
    /// Whoever reads it may not be meant to read what users wrote, so texts are told on request alone.
    pub fn json(&self, cases: Option<&[Case]>) -> Value {
        let Self { ran, score, thresholds, .. } = self;
        let claim = thresholds.min_accuracy;
        json!({
            "verdict": self.word(),
            "reasons": self.reasons(),
            "requests": score.requests,
            "asked": ran.asked,
            "right": score.right,
            "undecided": score.undecided,
            "undecided_by_reason": ran.failures,
            "stopped": ran.stopped.map(|stopped| stopped.as_str()),
            "accuracy": score.accuracy(),
            "lower_bound": score.lower_bound(),
            "claim": fraction(claim),
            "requests_needed": score.requests_needed(claim),
            "classes": score.classes().map(|class| self.class(class)).collect::<Value>(),
            "worst_class": score.worst_class().map(|class| class.specialist),
            "p50_ms": score.p50_ms,
            "p95_ms": score.p95_ms,
            "tokens": score.tokens.0,
            "cost_micro_usd": score.cost.0,
            "thresholds": {
                "min_accuracy": fraction(thresholds.min_accuracy),
                "min_lower_bound": fraction(thresholds.min_lower_bound),
                "min_recall": fraction(thresholds.min_recall),
                "p95_below_ms": thresholds.p95_below_ms,
                "max_undecided": fraction(thresholds.max_undecided),
            },
            "misrouted": self.misses().map(|miss| miss_json(miss, cases)).collect::<Value>(),
        })
    }

    /// The outcomes of the cases that were misrouted, those without a decision among them.
    pub fn misses(&self) -> impl Iterator<Item = &Outcome> {
        let is_right = |outcome: &Outcome| match &outcome.chosen {
            Chosen::Specialist(name) => *name == outcome.expected,
            Chosen::Nobody | Chosen::NoDecision => false,
        };
        self.ran.outcomes.iter().filter(move |outcome| !is_right(outcome))
    }

    /// How often who was chosen for a class: each specialist, then nobody (`None`).
    pub fn row(&self, specialist: &str) -> Vec<(Option<&str>, u64)> {
        let confusion: &Confusion = &self.score.confusion;
        let row = confusion.get(specialist).into_iter().flatten();
        let mut row: Vec<_> = row.map(|(name, count)| (name.as_deref(), *count)).collect();
        row.sort_by_key(|(name, _)| (name.is_none(), *name));
        row
    }

    fn class(&self, class: Class<'_>) -> Value {
        let chosen = self.row(class.specialist).into_iter();
        let chosen = chosen.map(|(name, count)| json!({ "specialist": name, "count": count }));
        json!({
            "specialist": class.specialist,
            "cases": class.cases,
            "right": class.right,
            "recall": class.recall(),
            "chosen": chosen.collect::<Value>(),
        })
    }
}

/// In one sentence, without a text of a request.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Score { requests, right, .. } = self.score;
        write!(f, "{}: {right} of {requests} requests went where they belong", self.word())?;
        for reason in self.reasons() {
            write!(f, "; {reason}")?;
        }
        Ok(())
    }
}

fn miss_json(miss: &Outcome, cases: Option<&[Case]>) -> Value {
    let (chosen, is_decided) = match &miss.chosen {
        Chosen::Specialist(name) => (Some(name), true),
        Chosen::Nobody => (None, true),
        Chosen::NoDecision => (None, false),
    };
    let mut told = json!({
        "case": miss.case, "expected": miss.expected, "chosen": chosen, "decided": is_decided,
    });
    if let Some(cases) = cases {
        let case = cases.iter().find(|case| case.line == miss.case);
        told["text"] = case.map(|case| case.text.clone()).into();
    }
    told
}

fn fraction(share: Share) -> f64 {
    f64::from(share.0) / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use router_core::units::{MicroUsd, Tokens};

    use super::*;
    use crate::run::Stopped;

    fn outcome(case: usize, expected: &str, chosen: Chosen) -> Outcome {
        let expected = expected.to_owned();
        Outcome { case, expected, chosen, latency_ms: 700, tokens: Tokens(10), cost: MicroUsd(3) }
    }

    fn to(name: &str) -> Chosen {
        Chosen::Specialist(name.to_owned())
    }

    fn ran(outcomes: Vec<Outcome>) -> Ran {
        Ran { asked: outcomes.len() as u64, outcomes, ..Ran::default() }
    }

    fn case(line: usize) -> Case {
        Case {
            line,
            text: format!("SECRET {line}"),
            specialist: "orders".to_owned(),
            intent: None,
            kind: None,
            language: None,
        }
    }

    /// 99 requests for orders of which 30 went astray, and one for billing.
    fn poor() -> Report {
        let mut outcomes: Vec<Outcome> = (1..=99)
            .map(|at| outcome(at, "orders", to(if at <= 30 { "billing" } else { "orders" })))
            .collect();
        outcomes.push(outcome(100, "billing", to("billing")));
        Report::of(ran(outcomes), Thresholds::default())
    }

    #[test]
    fn a_report_names_the_class_that_is_too_low_and_the_cases_without_their_texts() {
        let report = poor();
        let told = report.json(None);
        assert_eq!((&told["verdict"], &told["worst_class"]), (&json!("failed"), &json!("orders")));
        let reasons = told["reasons"].to_string();
        assert!(reasons.contains("`orders` got 69 of its 99 requests"), "{reasons}");
        assert_eq!(told["classes"][1]["chosen"][0], json!({"specialist": "billing", "count": 30}));
        let first = json!({"case": 1, "expected": "orders", "chosen": "billing", "decided": true});
        assert_eq!(
            (&told["misrouted"][0], told["misrouted"].as_array().unwrap().len()),
            (&first, 30)
        );
        assert_eq!((&told["p95_ms"], &told["cost_micro_usd"]), (&json!(700), &json!(300)));
        assert_eq!(told["requests_needed"], Value::Null, "no number shows what is not so");
        assert!(report.to_string().starts_with("failed: 70 of 100 requests went"), "{report}");
    }

    #[test]
    fn texts_are_told_on_request() {
        let cases: Vec<Case> = (1..=100).map(case).collect();
        assert_eq!(poor().json(Some(&cases))["misrouted"][2]["text"], "SECRET 3");
        assert!(!poor().json(None).to_string().contains("SECRET"));
    }

    #[test]
    fn a_run_without_a_verdict_says_why_it_ended() {
        let outcomes = (1..=10).map(|at| outcome(at, "orders", Chosen::NoDecision)).collect();
        let ran = Ran {
            asked: 1,
            failures: BTreeMap::from([("throttled", 1)]),
            stopped: Some(Stopped::TooManyUndecided),
            ..ran(outcomes)
        };
        let report = Report::of(ran, Thresholds::default());
        assert!(!report.has_passed());
        let told = report.json(None);
        assert_eq!((&told["verdict"], &told["asked"]), (&json!("inconclusive"), &json!(1)));
        assert_eq!(
            (&told["p95_ms"], &told["stopped"]),
            (&Value::Null, &json!("too_many_undecided"))
        );
        assert_eq!(told["undecided_by_reason"], json!({ "throttled": 1 }));
        assert_eq!(told["reasons"][1], "the run ended early: too many requests got no decision");
        assert_eq!(told["classes"][0]["chosen"], json!([{ "specialist": null, "count": 10 }]));
        let miss = json!({"case": 1, "expected": "orders", "chosen": null, "decided": false});
        assert_eq!(told["misrouted"][0], miss);
    }

    #[test]
    fn a_good_run_passes_and_says_how_many_requests_its_claim_takes() {
        let outcomes = (1..=200)
            .map(|at| outcome(at, "orders", to(if at <= 10 { "billing" } else { "orders" })));
        let report = Report::of(ran(outcomes.collect()), Thresholds::default());
        assert!(report.has_passed());
        assert_eq!(report.json(None)["requests_needed"], 139);
        assert_eq!(report.to_string(), "passed: 190 of 200 requests went where they belong");
    }
}
