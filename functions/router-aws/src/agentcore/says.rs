//! What one piece of an answer says: the data of an event, or a whole body.
//!
//! Nobody prescribes its form, so this is what is in use, by whom:
//!
//! | piece | is | sent by |
//! |---|---|---|
//! | `"text"`, `text` | a part of the text | AgentCore's SDKs for Python and TypeScript, for a text |
//! | `{"data": "…"}`, also `text`, `content`, `delta`, `chunk` | a part of the text | agents of one's own, Strands |
//! | `{"event": {"contentBlockDelta": …}}` | a part of the text | Strands, out of Bedrock's `ConverseStream` |
//! | `{"result": …}`, also `response`, `output` | the text | the examples of AgentCore |
//! | `{"message": {"role": …, "content": [{"text": …}]}}` | a message | Strands |
//! | `{"usage": {"input_tokens": …, "output_tokens": …}}` | usage of the whole call | agents of one's own |
//! | `{"event": {"metadata": {"usage": …}}}` | usage of one model invocation | as above |
//! | `{"error": …}`, `{"status": "error"}` | a failure | both SDKs |
//! | `{"out_of_scope": true}` | the text as it is | agents of one's own |

use serde_json::{Map, Value};

/// The names under which a whole text is sent.
const WHOLE: [&str; 3] = ["result", "response", "output"];
/// The names under which a part of a text is sent.
const PART: [&str; 5] = ["data", "text", "content", "delta", "chunk"];
/// The names under which a text is found inside of something else.
const INSIDE: [&str; 9] =
    ["text", "content", "message", "parts", "result", "response", "output", "data", "delta"];

/// A text that a piece holds, by what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// All of the text.
    Whole(String),
    /// A part of the text of a message of `ConverseStream`.
    Delta(String),
    /// A part of the text.
    Part(String),
    /// A message, the last of which is the text.
    Message(String),
}

/// What stands in a piece.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text.
    pub(super) says: Option<Says>,
    /// Usage of the whole call, input and output.
    pub(super) usage: Option<(u64, u64)>,
    /// Usage of one model invocation, input and output.
    pub(super) model_usage: Option<(u64, u64)>,
    /// Whether it is a failure.
    pub(super) failed: bool,
    /// Whether it is the beginning of a model's message.
    pub(super) begins_message: bool,
    /// Whether a guardrail intervened.
    pub(super) is_blocked: bool,
}

impl Piece {
    /// Reads a JSON value.
    pub(super) fn of(value: &Value) -> Self {
        let part = |text: String| Self { says: Some(Says::Part(text)), ..Self::default() };
        match value {
            Value::Null => Self::default(),
            Value::Object(object) => Self::of_object(object),
            Value::String(text) => part(text.clone()),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) => part(text_or_json(value)),
        }
    }

    fn of_object(object: &Map<String, Value>) -> Self {
        let converse = object.get("event").and_then(Value::as_object).unwrap_or(object);
        let whole = WHOLE.iter().find_map(|name| object.get(*name).filter(|it| !it.is_null()));
        let stop_reasons = [
            stop_reason(object),
            whole.and_then(Value::as_object).and_then(stop_reason),
            converse.get("messageStop").and_then(Value::as_object).and_then(stop_reason),
        ];
        let usage = object.get("usage").or_else(|| whole?.get("usage"));
        Self {
            says: says(object, converse, whole),
            usage: usage.and_then(tokens),
            model_usage: converse.get("metadata").and_then(|it| tokens(it.get("usage")?)),
            failed: failed(object),
            begins_message: converse.contains_key("messageStart"),
            is_blocked: stop_reasons.contains(&Some("guardrail_intervened")),
        }
    }
}

fn says(
    object: &Map<String, Value>,
    converse: &Map<String, Value>,
    whole: Option<&Value>,
) -> Option<Says> {
    if is_out_of_scope(object) {
        return Some(Says::Whole(Value::Object(object.clone()).to_string()));
    }
    if let Some(whole) = whole {
        return Some(Says::Whole(text_or_json(whole)));
    }
    if let Some(delta) = converse.get("contentBlockDelta") {
        return text_in(delta).map(Says::Delta);
    }
    if let Some(part) = PART.iter().find_map(|name| text_in(object.get(*name)?)) {
        return Some(Says::Part(part));
    }
    match object.get("message")? {
        Value::String(text) => Some(Says::Part(text.clone())),
        // What tools answered comes back to the model as a message of the user.
        message if message.get("role").is_none_or(|role| role != "user") => {
            text_in(message).map(Says::Message)
        }
        _ => None,
    }
}

/// The text in a value; a value without any is the text itself, such as a structured answer.
fn text_or_json(value: &Value) -> String {
    text_in(value).unwrap_or_else(|| value.to_string())
}

/// The text in a value, however it is wrapped: content blocks, messages, deltas.
fn text_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().filter_map(text_in).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        Value::Object(object) if is_out_of_scope(object) => Some(value.to_string()),
        Value::Object(object) => INSIDE.iter().find_map(|name| text_in(object.get(*name)?)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_out_of_scope(object: &Map<String, Value>) -> bool {
    object.get("out_of_scope") == Some(&Value::Bool(true))
}

/// An `error` that says something, or the status of one.
fn failed(object: &Map<String, Value>) -> bool {
    let has_error = object.get("error").is_some_and(|error| match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
    has_error || object.get("status").is_some_and(|status| status == "error")
}

fn stop_reason(object: &Map<String, Value>) -> Option<&str> {
    object.get("stop_reason").or_else(|| object.get("stopReason"))?.as_str()
}

/// Input and output tokens of a `usage`; `None` unless both are counts, since nothing else says
/// what a call cost.
fn tokens(usage: &Value) -> Option<(u64, u64)> {
    let count = |names: [&str; 2]| {
        let count = names.iter().find_map(|name| usage.get(*name))?.as_u64()?;
        (count <= u64::from(u32::MAX)).then_some(count)
    };
    Some((count(["input_tokens", "inputTokens"])?, count(["output_tokens", "outputTokens"])?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(value: Value) -> Option<Says> {
        Piece::of(&value).says
    }

    fn part(text: &str) -> Option<Says> {
        Some(Says::Part(text.to_owned()))
    }

    fn whole(text: &str) -> Option<Says> {
        Some(Says::Whole(text.to_owned()))
    }

    #[test]
    fn a_part_of_the_text_comes_bare_or_under_a_name() {
        for value in [
            json!("Hi"),
            json!({ "data": "Hi", "init_event_loop": true }),
            json!({ "text": "Hi" }),
            json!({ "content": [{ "text": "H" }, { "toolUse": { "name": "x" } }, { "text": "i" }] }),
            json!({ "delta": { "type": "text_delta", "text": "Hi" } }),
            json!({ "chunk": "Hi" }),
            json!({ "message": "Hi", "timestamp": 7 }),
            json!([{ "type": "text", "text": "Hi" }]),
        ] {
            assert_eq!(says(value.clone()), part("Hi"), "{value}");
        }
        assert_eq!(says(json!(42)), part("42"));
        assert_eq!(says(json!(null)), None);
    }

    #[test]
    fn the_whole_text_comes_under_one_of_three_names_however_it_is_wrapped() {
        for value in [
            json!({ "result": "Hi" }),
            json!({ "response": "Hi", "status": "success" }),
            json!({ "output": "Hi", "data": "progress" }),
            json!({ "result": null, "output": "Hi" }),
            json!({ "result": { "role": "assistant", "content": [{ "text": "Hi" }] } }),
            json!({ "response": [{ "text": "Hi" }] }),
            json!({ "output": { "message": { "content": [{ "text": "Hi" }] }, "model": "m" } }),
            json!({ "result": { "message": { "parts": [{ "kind": "text", "text": "Hi" }] } } }),
        ] {
            assert_eq!(says(value.clone()), whole("Hi"), "{value}");
        }
    }

    #[test]
    fn a_structured_answer_stays_what_it_is() {
        assert_eq!(says(json!({ "result": { "shipped": true } })), whole(r#"{"shipped":true}"#));
        assert_eq!(says(json!({ "output": [1, 2] })), whole("[1,2]"));
        assert_eq!(says(json!({ "output": "" })), whole(""));
    }

    #[test]
    fn what_is_not_its_job_is_passed_on_whatever_is_said_besides() {
        let answer = json!({ "message": "Not mine.", "out_of_scope": true, "suggest": "orders" });
        let text = answer.to_string();
        assert_eq!(says(answer.clone()), whole(&text));
        assert_eq!(says(json!({ "result": answer })), whole(&text));
    }

    #[test]
    fn a_message_counts_unless_it_is_the_users() {
        let message = |role| json!({ "message": { "role": role, "content": [{ "text": "Hi" }] } });
        assert_eq!(says(message("assistant")), Some(Says::Message("Hi".to_owned())));
        assert_eq!(says(message("user")), None);
    }

    #[test]
    fn events_of_converse_stream_are_read_with_and_without_their_envelope() {
        let delta =
            json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": "Hi" } } });
        for event in [delta.clone(), json!({ "event": delta })] {
            assert_eq!(says(event), Some(Says::Delta("Hi".to_owned())));
        }
        let reasoning = json!({ "delta": { "reasoningContent": { "text": "Hm" } } });
        assert_eq!(says(json!({ "event": { "contentBlockDelta": reasoning } })), None);
        let start = Piece::of(&json!({ "event": { "messageStart": { "role": "assistant" } } }));
        assert!(start.begins_message && start.says.is_none());
        let usage = json!({ "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 });
        let metadata = Piece::of(&json!({ "event": { "metadata": { "usage": usage } } }));
        assert_eq!((metadata.model_usage, metadata.usage), (Some((3, 4)), None));
    }

    #[test]
    fn usage_is_two_counts_or_nothing() {
        let usage = |usage: Value| Piece::of(&json!({ "result": "x", "usage": usage })).usage;
        assert_eq!(usage(json!({ "input_tokens": 3, "output_tokens": 4 })), Some((3, 4)));
        assert_eq!(usage(json!({ "inputTokens": 3, "outputTokens": 0 })), Some((3, 0)));
        for nothing in [
            json!(null),
            json!(7),
            json!({}),
            json!({ "input_tokens": 3 }),
            json!({ "input_tokens": 3, "output_tokens": "4" }),
            json!({ "input_tokens": -3, "output_tokens": 4 }),
            json!({ "input_tokens": 3.5, "output_tokens": 4 }),
            json!({ "input_tokens": 3, "output_tokens": 10_000_000_000_u64 }),
        ] {
            assert_eq!(usage(nothing.clone()), None, "{nothing}");
        }
        let inside = json!({ "result": { "text": "x", "usage": { "input_tokens": 1, "output_tokens": 2 } } });
        assert_eq!(Piece::of(&inside).usage, Some((1, 2)));
    }

    #[test]
    fn an_error_is_a_failure_unless_it_is_none() {
        for value in [
            json!({ "error": "boom", "error_type": "ValueError", "message": "An error occurred" }),
            json!({ "error": { "code": -32603 }, "jsonrpc": "2.0" }),
            json!({ "error": true, "result": "x" }),
            json!({ "status": "error", "response": "Sorry." }),
        ] {
            assert!(Piece::of(&value).failed, "{value}");
        }
        for value in [
            json!({ "error": null, "result": "x" }),
            json!({ "error": "", "result": "x" }),
            json!({ "error": false, "result": "x" }),
            json!({ "status": "success", "response": "x" }),
            json!("error"),
        ] {
            assert!(!Piece::of(&value).failed, "{value}");
        }
    }

    #[test]
    fn a_guardrail_that_intervened_is_the_reason_why_the_model_stopped() {
        let reason = "guardrail_intervened";
        for value in [
            json!({ "event": { "messageStop": { "stopReason": reason } } }),
            json!({ "result": "Sorry.", "stop_reason": reason }),
            json!({ "result": { "stop_reason": reason, "message": {} } }),
        ] {
            assert!(Piece::of(&value).is_blocked, "{value}");
        }
        let stop = json!({ "event": { "messageStop": { "stopReason": "end_turn" } } });
        assert!(!Piece::of(&stop).is_blocked);
    }
}
