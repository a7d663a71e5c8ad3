//! What real agents on AgentCore runtimes answered, sent to the function byte for byte.

use serde_json::Value;
use stand_ins::Options;

use crate::support::{Ask, Limits, RUNTIME, World, agents_with};

const RECORDINGS: &str = include_str!("../../cases/agentcore-recordings.jsonl");
const VARIANTS: &str = include_str!("../../cases/agentcore-variants.jsonl");
const ANSWERS: &str = include_str!("../../cases/agentcore-answers.json");

/// What an attempt of orders costs whose usage is unknown.
const UNKNOWN: u64 = 8_000;
/// What general uses.
const GENERAL: u64 = 250;
/// Cases of which each model call reports its usage, though no sum of them is given.
const REPORTED: [&str; 3] = ["strands-dumps-events", "strands-graph", "strands-sample-typed"];

fn cases() -> Vec<Value> {
    let lines = RECORDINGS.lines().chain(VARIANTS.lines());
    let answers: Vec<Value> = serde_json::from_str(ANSWERS).unwrap();
    lines.map(|line| serde_json::from_str(line).unwrap()).chain(answers).collect()
}

/// The reply of orders, in pieces, that is this case.
fn reply(case: &Value) -> Option<String> {
    if case["status"].as_u64().is_some_and(|status| status >= 400) {
        return Some("fault = 'before:dependencyFailedException'".to_owned());
    }
    let body = match case["body"].as_str() {
        Some(body) => body.to_owned(),
        None => String::from_utf8(decoded(case["body_base64"].as_str()?)).ok()?,
    };
    let chunks = body.len().clamp(1, 3);
    // JSON's way to write a text is TOML's, too.
    let (body, content_type) = (Value::String(body), &case["content_type"]);
    Some(format!("answer = {body}\nchunks = {chunks}\ncontent_type = {content_type}"))
}

fn decoded(base64: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in base64.bytes().filter(|letter| *letter != b'=') {
        let value = ALPHABET.iter().position(|it| *it == letter).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

fn is_answer(answer: &Value, expected: &Value) -> bool {
    let json = |text: &Value| serde_json::from_str::<Value>(text.as_str()?).ok();
    answer == expected || json(answer).is_some_and(|answer| Some(answer) == json(expected))
}

#[tokio::test]
async fn each_recorded_answer_becomes_the_right_reply_and_charge() {
    let cases = cases();
    let replies: Vec<(String, String)> = cases
        .iter()
        .filter_map(|case| Some((format!("[{}]", case["name"].as_str()?), reply(case)?)))
        .collect();
    assert_eq!(replies.len(), cases.len());
    let agents = agents_with(replies.iter().map(|(marker, reply)| (&**marker, &**reply)));
    let agents = Some(agents.replace("ORDERS0001/LIVE000001", RUNTIME));
    let world = World::start(Options { agents, ..World::options(Limits::NONE) }).await;
    let mut mistakes = Vec::new();
    for (case, (marker, _)) in cases.iter().zip(&replies) {
        let name = &marker[1..marker.len() - 1];
        // A tenant of its own: one tenant's day would not pay for all cases.
        let ask = Ask::orders(marker).session(name).attribute("tenant_id", name);
        let told = world.ask(&ask).await;
        let expect = &case["expect"];
        // Where a guardrail intervened no other specialist is asked.
        let (status, reason) = match told.outcome() {
            ("failed", Some("guardrail")) => ("fell_back", Some("guardrail")),
            outcome => outcome,
        };
        let mut mistake = |what: String| mistakes.push(format!("{marker}: {what}"));
        if expect["status"] != status && expect["also"] != status {
            mistake(format!("{status} {reason:?}"));
        } else if status == "answered" && !is_answer(&told.body["answer"], &expect["answer"]) {
            mistake(told.body["answer"].to_string());
        } else if expect["reason"].is_string() && expect["reason"] != reason.unwrap_or_default() {
            mistake(format!("{reason:?}"));
        }
        let charged = world.account(&ask).await.unwrap().tokens;
        let is_known = REPORTED.iter().any(|name| case["name"] == **name);
        let is_charged = match (status, expect["tokens"].as_u64()) {
            ("answered", Some(tokens)) => charged == tokens,
            ("answered", None) => is_known || charged == UNKNOWN,
            _ if reason == Some("guardrail") => charged > 0,
            _ => charged > GENERAL,
        };
        if !is_charged {
            mistake(format!("{charged} tokens"));
        }
    }
    assert!(mistakes.is_empty(), "{} of them:\n{}", mistakes.len(), mistakes.join("\n"));
}
