//! What holds for every reply, whatever the event was.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use stand_ins::events::{Form, MOST_REPLY_BYTES};

/// What is told of each task.
const TASK_KEYS: [&str; 10] = [
    "status",
    "specialist",
    "asked",
    "answer",
    "task_id",
    "attempts",
    "reason",
    "message",
    "truncated",
    "ticket",
];
/// What is told of the whole beside that.
const BODY_KEYS: [&str; 2] = ["results", "budget"];
const STATUSES: [&str; 5] = ["answered", "fell_back", "refused", "failed", "escalated"];
const REASONS: [&str; 28] = [
    "unknown_specialist",
    "low_confidence",
    "circuit_open",
    "throttled",
    "timeout",
    "agent_error",
    "stream_broken",
    "empty_answer",
    "guardrail",
    "output_invalid",
    "out_of_scope",
    "identity_not_verified",
    "deadline",
    "loop_detected",
    "stopped",
    "not_reached",
    "max_rounds",
    "budget_steps",
    "budget_tokens",
    "budget_cost",
    "budget_handoffs",
    "budget_tenant",
    "budget_user",
    "budget_gateway",
    "ledger_unavailable",
    "escalated",
    "access_denied",
    "bad_request",
];

/// The form in which an event has to be answered. A field that is `null` is not present.
pub(crate) fn form_of(event: &Value, client_context: Option<&Value>) -> Option<Form> {
    let present = |field: &str| event.get(field).is_some_and(|value| !value.is_null());
    let tool =
        client_context.and_then(|context| context.pointer("/custom/bedrockAgentCoreToolName"));
    match (tool, present("apiPath"), present("function")) {
        (Some(_), ..) => Some(Form::Gateway),
        (None, true, _) => Some(Form::OpenApi),
        (None, false, true) => Some(Form::Function),
        (None, false, false) => None,
    }
}

/// All that is wrong with the bytes of a reply in this form.
pub(crate) fn reply_mistakes(form: Form, event: &Value, bytes: &[u8]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            mistakes.push(what);
        }
    };
    must(bytes.len() <= MOST_REPLY_BYTES, format!("the reply has {} bytes", bytes.len()));
    let reply: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let Some(Value::Object(body)) = form.body(&reply) else {
        must(false, "there is no body, which must be a JSON object".to_owned());
        return mistakes;
    };
    let found: BTreeSet<&str> = body.keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = TASK_KEYS.into_iter().chain(BODY_KEYS).collect();
    must(found == expected, format!("the body's keys are {found:?}"));
    match body["results"].as_array() {
        None => task_mistakes(&body, &mut must),
        Some(results) => several_mistakes(&body, results, &mut must),
    }
    if form != Form::Gateway {
        envelope_mistakes(form, event, &reply, &body, &mut must);
    }
    mistakes
}

fn several_mistakes(
    body: &Map<String, Value>,
    results: &[Value],
    must: &mut impl FnMut(bool, String),
) {
    for result in results {
        let result = result.as_object().cloned().unwrap_or_default();
        let found: BTreeSet<&str> = result.keys().map(String::as_str).collect();
        must(found == TASK_KEYS.into(), format!("a result's keys are {found:?}"));
        task_mistakes(&result, must);
    }
    let status = body["status"].as_str().unwrap_or_default();
    let is_known = ["answered", "partial", "failed", "refused", "escalated"].contains(&status);
    must(is_known, format!("the status of several tasks is `{status}`"));
    must(
        (status == "answered") == body["reason"].is_null(),
        format!("{status}, {}", body["reason"]),
    );
    for name in ["answer", "specialist", "asked", "task_id"] {
        must(body[name].is_null(), format!("`{name}` of several tasks is {}", body[name]));
    }
    let attempts: u64 = results.iter().filter_map(|result| result["attempts"].as_u64()).sum();
    must(body["attempts"] == attempts, format!("{} attempts of {attempts}", body["attempts"]));
}

/// What must hold for what is told of a task.
fn task_mistakes(body: &Map<String, Value>, must: &mut impl FnMut(bool, String)) {
    let status = body["status"].as_str().unwrap_or_default();
    must(STATUSES.contains(&status), format!("status is `{status}`"));
    let reason = body["reason"].as_str();
    let known = reason.is_none_or(|reason| REASONS.contains(&reason));
    must(known && (reason.is_some() || body["reason"].is_null()), format!("reason is {reason:?}"));
    must((status == "answered") == reason.is_none(), format!("{status} because of {reason:?}"));
    let has_answer = matches!(status, "answered" | "fell_back");
    let message = body["message"].as_str().unwrap_or_default();
    let is_rehearsal = status == "answered" && message.starts_with("This is a rehearsal");
    let gives_one = has_answer && !is_rehearsal;
    must(gives_one == body["answer"].is_string(), format!("{status}, {:?}", body["answer"]));
    must(!is_rehearsal || body["attempts"] == 0, format!("{} attempts", body["attempts"]));
    // An answer may be one that was given before; a failure needs somebody who failed.
    let called = body["attempts"].as_u64().unwrap_or_default() > 0;
    let is_escalated = status == "escalated";
    let fits = has_answer || is_escalated || called == (status == "failed");
    must(fits, format!("{status}, {} attempts", body["attempts"]));
    must(is_escalated == body["ticket"].is_string(), format!("{status}, {}", body["ticket"]));
    // Tools that ask no specialist name none.
    let may_have_name = status != "refused" && body["asked"].is_string();
    let has_name = body["specialist"].is_string();
    let fits = has_name == may_have_name || is_escalated;
    must(fits, format!("{status}, specialist {}", body["specialist"]));
    for name in ["asked", "task_id"] {
        let length = body[name].as_str().unwrap_or_default().chars().count();
        must(length <= 100, format!("{length} characters of `{name}` are echoed"));
    }
}

fn envelope_mistakes(
    form: Form,
    event: &Value,
    reply: &Value,
    body: &Map<String, Value>,
    must: &mut impl FnMut(bool, String),
) {
    must(reply["messageVersion"] == "1.0", format!("version {}", reply["messageVersion"]));
    for name in ["sessionAttributes", "promptSessionAttributes"] {
        let texts = reply[name].as_object().is_some_and(|map| map.values().all(Value::is_string));
        must(texts, format!("`{name}` is {}", reply[name]));
    }
    let response = &reply["response"];
    let echoed: &[&str] = match form {
        Form::OpenApi => &["actionGroup", "apiPath", "httpMethod"],
        Form::Function | Form::Gateway => &["actionGroup", "function"],
    };
    for &name in echoed {
        let sent = event.get(name).and_then(Value::as_str).unwrap_or_default();
        // No name that Bedrock allows is longer; a longer one may be cut to keep the limit.
        let echo = response[name].as_str().unwrap_or("no text");
        let is_echo = echo == sent || (sent.len() > 1_000 && sent.starts_with(echo));
        must(is_echo, format!("`{name}` is {echo:.50} for {sent:.50}"));
    }
    let bad_request = body["reason"] == "bad_request";
    match form {
        Form::OpenApi => {
            let status = response["httpStatusCode"].as_u64();
            let allowed = status == Some(200) || (status == Some(400) && bad_request);
            must(allowed, format!("HTTP status {status:?} for {}", body["reason"]));
        }
        Form::Function | Form::Gateway => {
            let state = &response["functionResponse"]["responseState"];
            let allowed = state.is_null() || (state == "REPROMPT" && bad_request);
            must(allowed, format!("responseState {state} for {}", body["reason"]));
        }
    }
}
