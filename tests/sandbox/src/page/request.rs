//! One played event, as far as the page tells of it.
//!
//! What users, models and agents wrote stays out of it: the page is made to be passed on.

use serde_json::Value;
use stand_ins::events::{self, Case, Charged, Mismatch, Played};

use super::chart::Tone;
use super::figures::Figures;
use super::span::Span;
use crate::paint::cut;
use crate::report;

/// Values at these places are names, numbers or words of a closed set. Of any other mismatch only
/// the place is told.
const TELLABLE: [&str; 12] = [
    "asked",
    "attempts",
    "calls",
    "cost_left_usd",
    "httpStatusCode",
    "reason",
    "responseState",
    "specialist",
    "status",
    "steps_left",
    "tokens_left",
    "truncated",
];

/// The longest text from outside.
const LONGEST: usize = 160;

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// The event's name.
    pub(crate) name: String,
    /// The event in one sentence, if its expectation has one.
    pub(crate) about: Option<String>,
    /// Whether it went as it should.
    pub(crate) verdict: Verdict,
    /// `billing → general`
    pub(crate) route: String,
    /// Its tasks; most requests have one.
    pub(crate) tasks: Vec<Task>,
    /// The reply's status, or how it ended without a reply.
    pub(crate) status: String,
    /// The status's reason.
    pub(crate) reason: Option<String>,
    /// The status for the eye.
    pub(crate) tone: Tone,
    /// How many times an agent was called.
    pub(crate) attempts: usize,
    /// What it cost the session's budget.
    pub(crate) charged: Charged,
    /// The tokens that agents reported.
    pub(crate) reported: u64,
    /// How much of its session's budget is used, in percent of the limit that is nearest.
    pub(crate) used_percent: Option<f64>,
    /// What the reply says is left of the budget.
    pub(crate) left: Option<String>,
    /// How long the function took, in milliseconds.
    pub(crate) millis: f64,
    /// Its trace, if there is one.
    pub(crate) spans: Vec<Span>,
}

/// Whether a request went as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As its expectation says.
    Expected,
    /// Nobody said what to expect; it kept the rules for every reply.
    RulesKept,
    /// Not, and what was found.
    Unexpected(Vec<String>),
}

/// One sub-task of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// The specialist that was asked for.
    pub(crate) asked: Option<String>,
    /// The specialist that answered, or failed last.
    pub(crate) used: Option<String>,
    /// `answered`, `fell_back`, …
    pub(crate) status: String,
}

impl Request {
    /// The request of a played event. `judged` is the case as the run held it to.
    pub(crate) fn new(
        case: &Case,
        judged: &Case,
        played: &Played,
        mismatches: &[Mismatch],
        spans: Vec<Span>,
    ) -> Self {
        let body = events::body(case, played);
        let about = case.expectation.as_ref().map(|expectation| cut(&expectation.about, LONGEST));
        let status = report::status(body.as_ref(), &played.invocation.outcome);
        let (status, reason) = match status.strip_suffix(')').and_then(|it| it.split_once(" (")) {
            Some((status, reason)) => (status.to_owned(), Some(reason.to_owned())),
            None => (status, None),
        };
        let used = Figures::of(&played.batches).values("BudgetUtilization");
        Self {
            name: cut(&case.name, LONGEST),
            about,
            verdict: Verdict::of(judged, mismatches),
            route: cut(&report::route(body.as_ref()), LONGEST),
            tasks: tasks(body.as_ref()),
            status: cut(&status, LONGEST),
            reason: reason.map(|reason| cut(&reason, LONGEST)),
            tone: tone(body.as_ref()),
            attempts: played.calls.len(),
            charged: played.charged,
            reported: report::reported_tokens(played),
            used_percent: used.last().copied(),
            left: report::left(body.as_ref()),
            millis: played.invocation.duration.as_secs_f64() * 1_000.0,
            spans,
        }
    }

    /// `fell_back (throttled)`
    pub(crate) fn ending(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} ({reason})", self.status),
            None => self.status.clone(),
        }
    }
}

impl Verdict {
    fn of(judged: &Case, mismatches: &[Mismatch]) -> Self {
        match (mismatches, &judged.expectation) {
            ([], Some(_)) => Self::Expected,
            ([], None) => Self::RulesKept,
            _ => Self::Unexpected(mismatches.iter().map(told).collect()),
        }
    }
}

fn told(mismatch: &Mismatch) -> String {
    let path = &mismatch.path;
    let last = path.rsplit('.').next().unwrap_or(path);
    if path.starts_with("metrics") || TELLABLE.contains(&last) {
        return cut(&mismatch.to_string(), LONGEST);
    }
    format!("{}: not as expected", cut(path, LONGEST))
}

fn tasks(body: Option<&Value>) -> Vec<Task> {
    let Some(body) = body else { return Vec::new() };
    let task = |of: &Value| {
        let text = |key: &str| of[key].as_str().map(|text| cut(text, LONGEST));
        let status = text("status").unwrap_or_else(|| "without a status".to_owned());
        Task { asked: text("asked"), used: text("specialist"), status }
    };
    match &body["results"] {
        Value::Array(results) if !results.is_empty() => results.iter().map(task).collect(),
        _ => vec![task(body)],
    }
}

fn tone(body: Option<&Value>) -> Tone {
    match body.and_then(|body| body["status"].as_str()) {
        Some(status) => status_tone(status),
        None => Tone::Bad,
    }
}

/// What a status means for whoever asked.
pub(crate) fn status_tone(status: &str) -> Tone {
    match status {
        "answered" => Tone::Plain,
        "fell_back" | "partial" => Tone::Detour,
        "refused" | "escalated" => Tone::Second,
        _ => Tone::Bad,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use serde_json::json;
    use stand_ins::lambda::{Invocation, Outcome};
    use stand_ins::metrics::Batch;

    use super::*;
    use crate::page::figures::tests::{batch, datum};

    /// What came of an event of the function form.
    pub(crate) fn played(body: &Value, batches: Vec<Batch>) -> Played {
        let text = json!({ "TEXT": { "body": body.to_string() } });
        let reply = json!({ "response": { "functionResponse": { "responseBody": text } } });
        Played {
            invocation: Invocation {
                request_id: "id".into(),
                outcome: Outcome::Response(reply.to_string().into()),
                duration: Duration::from_micros(34_500),
            },
            calls: Vec::new(),
            batches,
            charged: Charged { touched: true, tokens: 236, micro_usd: 272, holds_left: 0 },
            refusals: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(crate) fn case(name: &str) -> Case {
        Case {
            name: name.to_owned(),
            event: r#"{"function": "invoke_specialist_agent"}"#.into(),
            client_context: None,
            expectation: None,
            given: events::Given::default(),
        }
    }

    #[test]
    fn a_request_tells_what_the_reply_and_the_metrics_say() {
        let body = json!({
            "asked": "orders", "specialist": "general", "status": "fell_back",
            "reason": "throttled", "answer": "the answer itself",
            "budget": { "steps_left": 10, "tokens_left": 5, "cost_left_usd": 0.25 },
        });
        let batches = vec![batch(vec![
            datum("BudgetUtilization", "", &[24.5]),
            datum("InputTokens", "", &[200.0]),
            datum("InputTokens", "Specialist=orders", &[200.0]),
        ])];
        let (case, played) = (case("throttled"), played(&body, batches));
        let request = Request::new(&case, &case, &played, &[], Vec::new());
        assert_eq!((&*request.route, &*request.status), ("orders → general", "fell_back"));
        assert_eq!((request.reported, request.used_percent), (200, Some(24.5)));
        assert_eq!((request.tone, request.verdict.clone()), (Tone::Detour, Verdict::RulesKept));
        assert_eq!(request.left.as_deref(), Some("10 steps, 5 tokens, $0.250000"));
        assert_eq!(request.millis, 34.5);
        assert_eq!(request.ending(), "fell_back (throttled)");
        assert!(!format!("{request:?}").contains("the answer itself"));
    }

    #[test]
    fn each_task_has_its_own_route() {
        let one = json!({ "asked": "billing", "specialist": "general", "status": "fell_back" });
        let two = json!({ "asked": "orders", "specialist": null, "status": "refused" });
        let body = json!({ "asked": null, "status": "partial", "results": [one, two] });
        let tasks = tasks(Some(&body));
        let statuses: Vec<&str> = tasks.iter().map(|task| &*task.status).collect();
        assert_eq!(statuses, ["fell_back", "refused"]);
        assert_eq!((tasks[0].used.as_deref(), tasks[1].used.as_deref()), (Some("general"), None));
    }

    #[test]
    fn a_mismatch_gives_no_answer_away() {
        let mismatch = |path: &str| Mismatch {
            path: path.to_owned(),
            expected: "\"wanted\"".to_owned(),
            found: "\"found\"".to_owned(),
        };
        assert_eq!(
            told(&mismatch("body.status")),
            "body.status: expected \"wanted\", found \"found\""
        );
        assert!(told(&mismatch("metrics.Cost[Specialist=billing]")).contains("found"));
        for path in ["body.answer", "body.message", "reply", "outcome", "body.results.0"] {
            assert_eq!(told(&mismatch(path)), format!("{path}: not as expected"));
        }
    }
}
