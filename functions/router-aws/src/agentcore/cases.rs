//! What real agents answered: each case is read whole and in pieces, and the outcome compared.

use std::collections::BTreeSet;
use std::fs;

use aws_smithy_types::base64;
use router_core::charge::Usage;
use router_core::invocation::Outcome;
use router_core::units::Tokens;
use serde::Deserialize;
use serde_json::Value;

use super::reading::AnswerReader;
use crate::failure;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/end-to-end/cases");

/// Cases whose bytes report all of their usage, though no number is given for them: two model
/// calls each, with one report for each.
const REPORTED: [(&str, u64); 3] =
    [("strands-dumps-events", 251), ("strands-graph", 262), ("strands-sample-typed", 262)];

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    status: Option<u16>,
    content_type: String,
    body: Option<String>,
    body_base64: Option<String>,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    status: String,
    also: Option<String>,
    answer: Option<String>,
    tokens: Option<u64>,
    reason: Option<String>,
}

impl Case {
    fn all() -> Vec<Self> {
        let text = |name: &str| fs::read_to_string(format!("{DIRECTORY}/{name}")).unwrap();
        let lines = text("agentcore-recordings.jsonl") + &text("agentcore-variants.jsonl");
        let mut cases: Vec<Self> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let answers: Vec<Self> = serde_json::from_str(&text("agentcore-answers.json")).unwrap();
        cases.extend(answers);
        cases
    }

    fn body(&self) -> Vec<u8> {
        let body = self.body.as_ref().map(|body| body.clone().into_bytes());
        body.unwrap_or_else(|| base64::decode(self.body_base64.as_ref().unwrap()).unwrap())
    }

    /// Reads the body in pieces of `size` bytes.
    fn read(&self, size: usize) -> Outcome {
        if self.status.is_some_and(|status| status >= 400) {
            let message = format!("Received error ({}) from runtime.", self.status.unwrap());
            let error = failure::named("RuntimeClientError", &message).unwrap();
            return Outcome::new(Err(error), Usage::UNKNOWN);
        }
        let mut reading = AnswerReader::new(&self.content_type, Tokens(100_000));
        for bytes in self.body().chunks(size) {
            if let Err(error) = reading.take(bytes) {
                return reading.broken_off(error);
            }
        }
        reading.finish()
    }

    /// What is wrong with an outcome.
    fn mistake(&self, outcome: &Outcome) -> Option<String> {
        let Outcome { result, usage, .. } = outcome;
        let status = if result.is_ok() { "answered" } else { "fell_back" };
        if status != self.expect.status && Some(status) != self.expect.also.as_deref() {
            return Some(format!("{status}: {result:?}"));
        }
        match result {
            Ok(answer) if !self.is_answer(answer) => return Some(format!("answer: {answer:?}")),
            Err(error) => {
                let reason = error.reason().as_str();
                let expected = self.expect.reason.as_deref();
                if expected.is_some_and(|expected| expected != reason) && self.expect.also.is_none()
                {
                    return Some(format!("reason: {reason}"));
                }
                return None;
            }
            Ok(_) => {}
        }
        let argued =
            REPORTED.iter().find(|(name, _)| *name == self.name).map(|(_, tokens)| *tokens);
        let is_usage = match (usage, self.expect.tokens.or(argued)) {
            (Usage::Reported(used), Some(tokens)) => used.total() == Tokens(tokens),
            (Usage::AtLeast(_), None) => true,
            _ => false,
        };
        (!is_usage).then(|| format!("usage: {usage:?}"))
    }

    fn is_answer(&self, answer: &str) -> bool {
        let expected = self.expect.answer.as_deref().unwrap();
        let json = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        answer == expected || json(answer).is_some_and(|answer| Some(answer) == json(expected))
    }
}

#[test]
fn each_recorded_answer_is_read_right() {
    let cases = Case::all();
    assert_eq!(cases.len(), 119 + 22 + 363);
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len());
    let mistakes: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            Some(format!("{}: {}", case.name, case.mistake(&case.read(usize::MAX))?))
        })
        .collect();
    assert!(mistakes.is_empty(), "{} of them:\n{}", mistakes.len(), mistakes.join("\n"));
}

#[test]
fn an_answer_in_pieces_reads_as_one_that_comes_whole() {
    for case in Case::all() {
        let told = |outcome: Outcome| (outcome.result.map_err(|it| it.reason()), outcome.usage);
        let whole = told(case.read(usize::MAX));
        for size in [1, 7] {
            assert_eq!(told(case.read(size)), whole, "{} in pieces of {size}", case.name);
        }
    }
}

/// What only tools, thoughts and failures say in the recordings.
#[test]
fn nothing_of_an_agents_inside_is_ever_shown() {
    const INSIDE: [&str; 5] = [
        "internal margin",
        "The user is angry",
        "model endpoint refused",
        "connection lost",
        "secret",
    ];
    // A fake model whose answer is what its tool said.
    const QUOTES: &str = "pydantic-ai-testmodel-sync";
    for case in Case::all().iter().filter(|case| case.name != QUOTES) {
        if let Ok(answer) = case.read(usize::MAX).result {
            let shown = INSIDE.iter().find(|secret| answer.contains(**secret));
            assert_eq!(shown, None, "{}", case.name);
        }
    }
}
