//! What handlers send that make their answers themselves, and what the SDKs send of a failure.
//!
//! ```json
//! {"result": …}   {"response": …}   {"output": …}   {"answer": …}    with "usage", "stop_reason"
//! {"status": "success", "message": "…"}   {"statusCode": 200, "body": "…"}
//! {"error": "…", "error_type": "ValueError", "message": "…"}          AgentCore's SDK for Python
//! {"error": "…"}   {"status": "error", …}   {"success": false, …}   {"statusCode": 500, …}
//! {"out_of_scope": true, …}                                           not the agent's job
//! {"text": "It has "}   {"data": "shipped."}                          pieces of text
//! ```
//!
//! A result is a string, or a value of any other dialect, or a structured answer, which is passed on
//! as it is. There is no end mark. Usage is that of the whole call.

use serde_json::{Map, Value};

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::json;
use crate::agentcore::kind::{NAMES, words_of};
use crate::agentcore::message::{is_thought, text_of};
use crate::agentcore::usage::Told;

pub(super) const HAND_BACK: Dialect = Dialect { name: "not its job", read: read_hand_back };
pub(super) const FAILURE: Dialect = Dialect { name: "failures", read: read_failure };
pub(super) const RESULT: Dialect = Dialect { name: "results", read: read_result };

/// The names of a result.
const RESULTS: [&str; 9] = [
    "result",
    "response",
    "output",
    "answer",
    "final_response",
    "final_answer",
    "final_output",
    "finalResponse",
    "finalAnswer",
];
/// The names of a piece of text.
const PIECES: [&str; 6] = ["text", "data", "content", "delta", "chunk", "token"];

/// The names of an error.
const ERROR: [&str; 2] = ["error", "errorMessage"];
/// Names of an error where there is no answer.
const ERRORS: [&str; 4] = ["errors", "error_message", "exception", "fault"];

fn read_hand_back(value: &Value, heard: &mut Heard) -> Option<()> {
    (value.get("out_of_scope") == Some(&Value::Bool(true))).then(|| {
        heard.meter.total(Told::within(value));
        heard.result(&value.to_string());
    })
}

fn read_failure(value: &Value, heard: &mut Heard) -> Option<()> {
    is_failure(value).then(|| {
        heard.meter.total(Told::within(value));
        heard.fails(value);
    })
}

/// Whether an object says that it is a failure: by an error, even one without words, or by how
/// the call ended.
pub(super) fn is_failure(value: &Value) -> bool {
    let says_error = |name: &str| match &value[name] {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(errors) => !errors.is_empty(),
        _ => true,
    };
    // What went wrong on the way to an answer may be reported beside it.
    let is_without_answer = || answer_in(value).is_none_or(|answer| answer == "");
    let status = value["status"].as_str().unwrap_or_default().to_ascii_lowercase();
    ERROR.iter().any(|name| says_error(name))
        || (ERRORS.iter().any(|name| says_error(name)) && is_without_answer())
        || value["error_type"].is_string()
        || matches!(status.as_str(), "error" | "failed" | "failure")
        || ["success", "ok"].iter().any(|name| value[*name] == Value::Bool(false))
        || ["is_error", "isError"].iter().any(|name| value[*name] == Value::Bool(true))
        || http_status(value).is_some_and(|status| (400..600).contains(&status))
}

/// The HTTP status that an object names, as a number or as a string. `code` may be anything's, and
/// is a status beside a message.
fn http_status(value: &Value) -> Option<u64> {
    let has_message = ["message", "msg"].iter().any(|name| value[*name].is_string());
    let names = ["statusCode", "status_code", "status", "code"];
    names.iter().filter(|name| **name != "code" || has_message).find_map(|name| {
        let status = &value[*name];
        status.as_u64().or_else(|| status.as_str()?.parse().ok())
    })
}

fn read_result(value: &Value, heard: &mut Heard) -> Option<()> {
    match answer_in(value) {
        Some(answer) => hear_result(answer, heard),
        None => hear_body(value.get("body").filter(|_| value["statusCode"].is_u64())?, heard),
    }
    heard.meter.total(usage(value));
    heard.stops(stop_reason(value));
    Some(())
}

/// The usage of the whole call, under its usual names, within `metadata`, or as counts that stand
/// beside the result.
fn usage(value: &Value) -> Told {
    let counts = ["input_tokens", "output_tokens", "inputTokens", "outputTokens"];
    let is_beside = counts.iter().any(|name| value.get(*name).is_some());
    let beside = if is_beside { Told::by(value) } else { Told::Nothing };
    Told::within(value).or(Told::within(&value["metadata"])).or(beside)
}

/// The result that an object names.
pub(super) fn answer_in(value: &Value) -> Option<&Value> {
    let result = RESULTS.iter().find_map(|name| value.get(*name).filter(|it| !it.is_null()));
    let status = value["status"].as_str().unwrap_or_default().to_ascii_lowercase();
    let went_well = matches!(status.as_str(), "success" | "ok" | "completed" | "complete")
        || ["success", "ok"].iter().any(|name| value[*name] == Value::Bool(true));
    let message = || value.get("message").filter(|it| went_well && it.is_string());
    result.or_else(message)
}

/// Hears the body of what a handler answers that is used to API Gateway: a value once more, as
/// JSON in a string.
fn hear_body(body: &Value, heard: &mut Heard) {
    let value = body.as_str().and_then(json::parse_composite);
    if !value.is_some_and(|value| super::hear(&value, heard)) {
        hear_result(body, heard);
    }
}

/// Hears what an object names as its result.
pub(super) fn hear_result(result: &Value, heard: &mut Heard) {
    let is_composite = result.is_object() || result.is_array();
    heard.is_last_word(true);
    match result {
        Value::Null => {}
        // JSON that a model said stays what it is; a failure as JSON is one all the same, and an
        // object that a framework marks is read.
        Value::String(text) => {
            let value = json::parse_composite(text).unwrap_or_default();
            let mut fields = value.as_object().into_iter().flat_map(Map::values);
            if is_failure(&value) {
                heard.fails(&value);
            } else if fields.all(Value::is_null) || !super::hear_framework(&value, heard) {
                heard.result(text);
            }
        }
        _ if is_composite && super::hear(result, heard) => {}
        _ => heard.result(&result.to_string()),
    }
}

/// Why the model stopped, where the result says so.
pub(super) fn stop_reason(value: &Value) -> &Value {
    let names = ["stop_reason", "stopReason", "finish_reason", "finishReason"];
    names.iter().map(|name| &value[*name]).find(|it| it.is_string()).unwrap_or(&Value::Null)
}

/// Hears a piece of text under one of its names, or usage alone. An event that says what it is
/// belongs to the typed ones.
pub(super) fn hear_pieces(value: &Value, heard: &mut Heard) -> Option<()> {
    let object = value.as_object()?;
    if NAMES.iter().chain(&["role"]).any(|name| object.contains_key(*name)) {
        return None;
    }
    let pieces = || PIECES.iter().filter_map(|name| object.get(*name));
    let usage = Told::within(value);
    let is_wrapped = pieces().any(|it| it.is_object() && super::hear_framework(it, heard));
    if !is_wrapped {
        let text = pieces().find_map(text_of);
        if text.is_none() && usage == Told::Nothing {
            return None;
        }
        if !is_thought(value) {
            heard.loose(&text.unwrap_or_default());
        }
    }
    heard.meter.total(usage);
    heard.stops(stop_reason(value));
    Some(())
}

/// Words that name an agent's inside, wherever they stand in a name.
const INTERNAL: [&str; 14] = [
    "error",
    "fault",
    "exception",
    "detail",
    "trace",
    "stack",
    "reason",
    "thought",
    "think",
    "tool",
    "function",
    "debug",
    "prompt",
    "secret",
];

/// Whether an object that belongs to no dialect may be a structured answer, the only thing an
/// agent sent: it is flat, and no name in it says that it is something else.
pub(in crate::agentcore) fn is_structured(object: &Map<String, Value>) -> bool {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    let is_internal = |name: &str| {
        let is_log = words_of(name).iter().any(|word| word == "log" || word == "logs");
        let name = name.to_ascii_lowercase();
        is_log || INTERNAL.iter().any(|word| name.contains(word))
    };
    let is_field = |(name, value): (&String, &Value)| {
        let is_list = value.as_array().is_some_and(|items| items.iter().all(is_plain));
        (is_plain(value) || is_list) && !is_internal(name)
    };
    let says_what_it_is = ["type", "event", "role", "message", "usage", "status"];
    !object.is_empty()
        && object.iter().all(is_field)
        && !says_what_it_is.iter().any(|name| object.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    #[test]
    fn a_result_is_a_text_or_a_value_of_another_dialect_or_passed_on_as_it_is() {
        for value in [
            json!({"result": "Hi"}),
            json!({"response": "Hi", "status": "success"}),
            json!({"output": "Hi", "data": "progress"}),
            json!({"result": null, "output": "Hi"}),
            json!({"answer": "Hi", "sources": ["s3://kb/17.pdf"]}),
            json!({"error": null, "result": "Hi"}),
            json!({"error": "", "result": "Hi"}),
            json!({"result": "Hi", "errors": ["one source was down"]}),
            json!({"answer": "Hi", "reasoning": "Hm"}),
            json!({"result": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]}),
            json!({"result": "{\"role\": \"assistant\", \"content\": [{\"text\": \"Hi\"}]}"}),
            json!({"status": "success", "message": "Hi"}),
            json!({"statusCode": 200, "body": "{\"result\": \"Hi\"}"}),
            json!({"result": {"role": "assistant", "content": [{"text": "Hi"}]}}),
            json!({"response": [{"text": "Hi"}]}),
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}, "model": "m"}}),
            json!({"result": {"messages": [{"type": "human", "content": "?"}, {"type": "ai", "content": "Hi"}]}}),
        ] {
            assert_eq!(answer(&RESULT, std::slice::from_ref(&value)), "Hi", "{value}");
        }
        let structured = json!({"result": {"shipped": true, "parcels": [{"id": 1}]}});
        let text = answer(&RESULT, std::slice::from_ref(&structured));
        assert_eq!(json::parse(&text).unwrap(), structured["result"]);
        assert_eq!(answer(&RESULT, &[json!({"output": [1, 2]})]), "[1,2]");
        let said = r#"{"answer": "Hi", "sure": true}"#;
        for said in [said, "[]", r#"[{"text": "a"}]"#, r#"{"order": null}"#] {
            assert_eq!(answer(&RESULT, &[json!({"result": said})]), said);
        }
    }

    #[test]
    fn a_result_that_is_a_tools_or_a_failure_is_no_answer() {
        for value in [
            json!({"result": "[{'type': 'text', 'text': 'Hi'}]"}),
            json!({"output": ""}),
            json!({"result": {"role": "user", "content": [{"toolResult": {}}]}}),
            json!({"result": {"error": "boom"}}),
            json!({"result": "{\"error\": \"boom\"}"}),
            json!({"statusCode": 200, "body": "{\"error\": \"boom\"}"}),
        ] {
            assert!(told(&RESULT, std::slice::from_ref(&value)).answer.is_err(), "{value}");
        }
    }

    #[test]
    fn a_failure_is_told_by_its_error_or_by_how_the_call_ended() {
        for value in [
            json!({"error": "boom", "error_type": "ValueError", "message": "An error occurred"}),
            json!({"error": "", "error_type": "ValueError"}),
            json!({"error": {"code": -32603}, "jsonrpc": "2.0"}),
            json!({"error": true, "result": "Sorry."}),
            json!({"status": "error", "response": "Sorry."}),
            json!({"success": false, "message": "boom"}),
            json!({"statusCode": 500, "body": "{}"}),
            json!({"content": [{"type": "text", "text": "boom"}], "isError": true}),
            json!({"statusCode": "500", "body": "boom"}),
            json!({"status": 502, "response": "Sorry."}),
            json!({"code": 500, "msg": "boom"}),
            json!({"errors": [{"message": "boom"}], "data": null}),
            json!({"result": "", "error_message": "boom"}),
            json!({"exception": "boom"}),
        ] {
            let told = told(&FAILURE, &[value]);
            assert!(matches!(told.answer, Err(InvokeError::ServiceFault(_))));
        }
    }

    #[test]
    fn usage_and_the_models_stop_stand_beside_a_result() {
        let usage = json!({"input_tokens": 30, "output_tokens": 4});
        for value in [
            json!({"result": "Hi", "usage": usage}),
            json!({"result": {"text": "Hi", "usage": usage}}),
            json!({"result": "Hi", "metadata": {"usage": usage}}),
            json!({"result": "Hi", "input_tokens": 30, "output_tokens": 4.0}),
        ] {
            let whole = told(&RESULT, &[value]);
            assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
        }
        let blocked = json!({"result": "Sorry.", "stop_reason": "guardrail_intervened"});
        assert!(matches!(told(&RESULT, &[blocked]).answer, Err(InvokeError::Guardrail)));
    }

    #[test]
    fn what_is_not_its_job_is_passed_on_whatever_is_said_besides() {
        let value = json!({"message": "Not mine.", "out_of_scope": true, "suggest": "orders"});
        assert_eq!(answer(&HAND_BACK, std::slice::from_ref(&value)), value.to_string());
        assert_eq!(answer(&RESULT, &[json!({"result": value})]), value.to_string());
    }

    #[test]
    fn a_structured_answer_is_flat_and_says_nothing_of_the_agents_inside() {
        let is_structured = |value: Value| is_structured(value.as_object().unwrap());
        assert!(is_structured(json!({"state": "shipped", "order": 17, "parcels": ["a", "b"]})));
        assert!(is_structured(json!({"logistics_status": "shipped", "catalog": 17})));
        for value in [
            json!({}),
            json!({"detail": "db-internal-7 refused"}),
            json!({"message": "db-internal-7 refused"}),
            json!({"tool_output": "state=shipped"}),
            json!({"agentLog": "state=shipped"}),
            json!({"type": "order", "state": "shipped"}),
            json!({"retrieve": {"documents": ["state=shipped"]}}),
        ] {
            assert!(!is_structured(value.clone()), "{value}");
        }
    }
}
