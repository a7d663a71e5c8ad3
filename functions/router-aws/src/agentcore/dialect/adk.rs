//! Google ADK: the events of a run; field names in camel case or in snake case.
//!
//! ```json
//! {"author": "orders", "content": {"role": "model", "parts": [{"text": "It "}]}, "partial": true, …}
//! {"author": "orders", "content": {"role": "model", "parts": [{"functionCall": {…}}]}, …}
//! {"author": "orders", "content": {"role": "user", "parts": [{"functionResponse": {…}}]}, …}
//! {"author": "orders", "content": {"role": "model", "parts": [{"text": "…", "thought": true}, {"text": "It has shipped."}]},
//!  "usageMetadata": {"promptTokenCount": 30, "candidatesTokenCount": 4}, …}
//! {"author": "orders", "errorCode": "…", "errorMessage": "…", …}
//! {"candidates": [{"content": {"parts": […]}}], "usageMetadata": {…}}      of the model itself
//! ```
//!
//! The answer is the text of the last event of the model that calls no function. A piece is marked
//! `partial`, and the whole text has to follow. Each whole event tells the usage of a model call.

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::{Message, calls_tools_within, text_of};
use crate::agentcore::usage::Told;

const NAME: &str = "Google ADK";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    if let Some(candidates) = value["candidates"].as_array() {
        hear_model(value, candidates.first()?, heard);
        return Some(());
    }
    let author = value["author"].as_str()?;
    let either = |camel: &str, snake: &str| {
        let field = value.get(camel).or_else(|| value.get(snake));
        field.filter(|field| !field.is_null())
    };
    either("invocationId", "invocation_id").or_else(|| either("actions", "actions"))?;
    // The reason why a model stopped comes as an error, unless it stopped in order.
    let code = either("errorCode", "error_code");
    if let Some(code) = code {
        heard.stops(code);
        if code != "MAX_TOKENS" && !heard.is_blocked() {
            heard.fails(value);
        }
    }
    let Some(message) = Message::of(&value["content"]).filter(|_| author != "user") else {
        return Some(());
    };
    if value["partial"] == Value::Bool(true) {
        heard.opens(NAME);
        return Some(());
    }
    if value["content"]["role"] == "model" {
        heard.ends(NAME);
        let usage = either("usageMetadata", "usage_metadata");
        heard.meter.call(value["id"].as_str(), usage.map_or(Told::Nothing, Told::by));
    }
    message.hear(heard);
    for reason in [code, either("finishReason", "finish_reason")].into_iter().flatten() {
        heard.stops(reason);
    }
    Some(())
}

/// A response of a Gemini model, or a piece of one.
fn hear_model(response: &Value, candidate: &Value, heard: &mut Heard) {
    let parts = &candidate["content"]["parts"];
    if calls_tools_within(parts) {
        heard.tool();
    } else {
        heard.piece(None, &text_of(parts).unwrap_or_default());
    }
    heard.stops(&candidate["finishReason"]);
    // Each piece tells the usage so far.
    let id = response["responseId"].as_str().unwrap_or_default();
    heard.meter.call(Some(id), Told::within(response));
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::{TokenUse, Tokens};
    use serde_json::json;

    use super::super::testing::told;
    use super::*;

    fn event(role: &str, parts: Value) -> Value {
        json!({"author": "orders", "invocationId": "e", "content": {"role": role, "parts": parts},
            "usageMetadata": {"promptTokenCount": 30, "cachedContentTokenCount": 20, "candidatesTokenCount": 4}})
    }

    fn partial(text: &str) -> Value {
        json!({"author": "orders", "invocation_id": "e", "partial": true,
            "content": {"role": "model", "parts": [{"text": text}]}})
    }

    #[test]
    fn the_last_whole_event_is_the_answer_and_each_model_call_is_counted() {
        let mut tool =
            event("user", json!([{"functionResponse": {"response": {"state": "shipped"}}}]));
        tool["usageMetadata"] = Value::Null;
        let events = [
            event("model", json!([{"text": "Let me see."}, {"functionCall": {"name": "x"}}])),
            tool,
            partial("It has "),
            partial("shipped."),
            event("model", json!([{"text": "Hm", "thought": true}, {"text": "It has shipped."}])),
        ];
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It has shipped.");
        let used = TokenUse { cache_read: Tokens(40), ..TokenUse::new(20, 8) };
        assert_eq!(whole.usage, Usage::Reported(used));
        let half = told(&DIALECT, &events[..4]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
        let limited = told(&DIALECT, &events[..2]);
        assert!(matches!(limited.answer, Err(InvokeError::EmptyAnswer)));
    }

    #[test]
    fn an_error_is_a_failure_and_a_models_own_stop_is_what_it_is() {
        let stopped = |code: &str| {
            let mut event = event("model", json!([{"text": "It has"}]));
            event["errorCode"] = code.into();
            told(&DIALECT, &[event]).answer
        };
        assert!(matches!(stopped("RuntimeError"), Err(InvokeError::ServiceFault(_))));
        assert!(matches!(stopped("MAX_TOKENS"), Err(InvokeError::GaveUp)));
        assert!(matches!(stopped("SAFETY"), Err(InvokeError::Guardrail)));
    }
}
