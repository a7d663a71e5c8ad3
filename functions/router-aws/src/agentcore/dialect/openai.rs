//! OpenAI: events and objects of the Responses API, as the Agents SDK passes them on, and chunks
//! and objects of chat completions, which many servers of models speak.
//!
//! ```json
//! {"type": "response.created", "response": {"id": "r", …}}
//! {"type": "response.output_text.delta", "item_id": "m", "delta": "It has "}
//! {"type": "response.output_item.done", "item": {"type": "function_call", …}}
//! {"type": "response.completed", "response": {"id": "r", "usage": {"input_tokens": 30, …}, …}}
//! {"type": "raw_response_event", "data": {…}}   {"type": "run_item_stream_event", "item": {…}}
//! {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "It has "}}]}
//! {"choices": [{"message": {"role": "assistant", "content": "…"}}], "usage": {"prompt_tokens": 30, …}}
//! ```
//!
//! The answer is the text of the last response. A response that was created has to be completed;
//! chat completions have no end mark that every server sends. Usage is that of one model call.

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::{Message, is_refusal, text_of};
use crate::agentcore::usage::Told;

const NAME: &str = "OpenAI";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    if let Some(choices) = value["choices"].as_array() {
        return read_completion(value, choices, heard);
    }
    if value["object"] == "response" {
        hear_response(value, heard);
        return Some(());
    }
    match value["type"].as_str()? {
        "raw_response_event" | "raw_model_stream_event" => {
            read(&value["data"], heard);
        }
        "run_item_stream_event" => {
            let item = &value["item"];
            hear_item(item.get("raw_item").unwrap_or(item), heard);
        }
        "agent_updated_stream_event" => {}
        kind => read_event(kind.strip_prefix("response.")?, value, heard),
    }
    Some(())
}

fn read_event(kind: &str, value: &Value, heard: &mut Heard) {
    match kind {
        "created" => {
            heard.call_begins();
            heard.opens(NAME);
        }
        "output_text.delta" => {
            heard.piece(value["item_id"].as_str(), value["delta"].as_str().unwrap_or_default());
        }
        "output_item.added" | "output_item.done" if value["item"]["type"] != "message" => {
            hear_item(&value["item"], heard);
        }
        "completed" | "incomplete" => {
            heard.ends(NAME);
            hear_response(&value["response"], heard);
        }
        "failed" | "error" => heard.fails(value),
        "refusal.done" => heard.stops(&"refusal".into()),
        // Arguments of tools, summaries of thoughts, and what only says how far it is.
        _ => {}
    }
}

/// A whole response: its items, why it is incomplete, its usage.
fn hear_response(response: &Value, heard: &mut Heard) {
    if !response["error"].is_null() || response["status"] == "failed" {
        heard.fails(response);
    }
    for item in response["output"].as_array().into_iter().flatten() {
        hear_item(item, heard);
    }
    heard.stops(&response["incomplete_details"]["reason"]);
    heard.meter.call(response["id"].as_str(), Told::by(&response["usage"]));
}

fn hear_item(item: &Value, heard: &mut Heard) {
    let kind = item["type"].as_str().unwrap_or_default();
    if kind.ends_with("_call") || kind.ends_with("_output") || kind.starts_with("mcp_") {
        heard.tool();
    } else if item["role"] == "assistant" {
        if is_refusal(item) {
            heard.stops(&"refusal".into());
        }
        if let Some(text) = text_of(&item["content"]) {
            heard.message(&text);
        }
    }
}

fn read_completion(value: &Value, choices: &[Value], heard: &mut Heard) -> Option<()> {
    let id = value["id"].as_str();
    let is_chunk = choices.iter().all(|choice| choice["message"].is_null());
    if let Some(choice) = choices.first() {
        if is_refusal(&choice["delta"]) {
            heard.stops(&"refusal".into());
        }
        let calls = &choice["delta"]["tool_calls"];
        if calls.as_array().is_some_and(|calls| !calls.is_empty()) {
            heard.tool();
        } else if let Some(text) = choice["delta"]["content"].as_str() {
            heard.piece(id, text);
        } else if let Some(message) = Message::of(&choice["message"]) {
            message.hear(heard);
        } else if !choice["delta"].is_object() {
            return None;
        }
        heard.stops(&choice["finish_reason"]);
    }
    // Only the last chunk has usage, or each has that so far.
    if !is_chunk || !value["usage"].is_null() {
        heard.meter.call(Some(id.unwrap_or_default()), Told::by(&value["usage"]));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::{TokenUse, Tokens};
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    fn response(id: &str, items: Value) -> [Value; 2] {
        let usage = json!({"input_tokens": 30, "input_tokens_details": {"cached_tokens": 20},
            "output_tokens": 4, "total_tokens": 34});
        [
            json!({"type": "response.created", "response": {"id": id, "error": null, "usage": null}}),
            json!({"type": "response.completed", "response":
                {"id": id, "error": null, "status": "completed", "output": items, "usage": usage}}),
        ]
    }

    #[test]
    fn the_last_responses_text_is_the_answer_and_each_response_is_counted() {
        let text = |id: &str, text: &str| json!({"id": id, "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]});
        let call = json!({"type": "function_call", "name": "x", "arguments": "{}"});
        let [created, completed] = response("a", json!([text("m", "Let me see."), call]));
        let [created_again, completed_again] = response("b", json!([text("n", "It is 7.")]));
        let events = [
            created,
            json!({"type": "response.output_text.delta", "item_id": "m", "delta": "Let me see."}),
            json!({"type": "response.output_item.done", "item": call}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "c", "delta": "{}"}),
            completed,
            created_again,
            json!({"type": "response.reasoning_summary_text.delta", "delta": "Hm"}),
            json!({"type": "response.output_text.delta", "item_id": "n", "delta": "It is "}),
            json!({"type": "response.output_text.delta", "item_id": "n", "delta": "7."}),
            completed_again,
        ];
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It is 7.");
        let used = TokenUse { cache_read: Tokens(40), ..TokenUse::new(20, 8) };
        assert_eq!(whole.usage, Usage::Reported(used));
        let half = told(&DIALECT, &events[..9]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
        assert!(matches!(half.usage, Usage::AtLeast(_)));
        let raw = events.map(|event| json!({"type": "raw_response_event", "data": event}));
        assert_eq!(answer(&DIALECT, &raw), "It is 7.");
    }

    #[test]
    fn a_response_that_failed_or_was_cut_off_is_no_answer() {
        let failed = json!({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}});
        assert!(matches!(told(&DIALECT, &[failed]).answer, Err(InvokeError::Throttled)));
        let cut = json!({"type": "response.incomplete", "response": {"id": "a", "output":
            [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It"}]}],
            "incomplete_details": {"reason": "max_output_tokens"}}});
        assert!(matches!(told(&DIALECT, &[cut]).answer, Err(InvokeError::GaveUp)));
    }

    #[test]
    fn chunks_of_a_chat_completion_are_pieces_and_the_last_has_the_usage() {
        let chunk = |delta: Value| json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
        let usage = json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34});
        let events = [
            chunk(json!({"role": "assistant", "content": ""})),
            chunk(json!({"reasoning_content": "Hm"})),
            chunk(json!({"content": "It has "})),
            chunk(json!({"content": "shipped."})),
            json!({"id": "c", "choices": [], "usage": usage}),
        ];
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It has shipped.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
        let object = json!({"object": "chat.completion", "usage": usage, "choices":
            [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]});
        let whole = told(&DIALECT, &[object]);
        assert_eq!(whole.answer.unwrap(), "Hi");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
    }
}
