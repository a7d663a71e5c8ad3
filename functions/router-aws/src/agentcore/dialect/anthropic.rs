//! Anthropic: events of the Messages API, and the messages of the Claude Agent SDK.
//!
//! ```json
//! {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 30, …}, …}}
//! {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It has "}}
//! {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}
//! {"type": "message_stop"}
//! {"type": "message", "role": "assistant", "content": […], "usage": {…}}
//! {"type": "assistant", "message": {…}}   {"type": "result", "subtype": "success", "result": "…", "usage": {…}}
//! ```
//!
//! The answer is the text of the last message, which `message_stop` ends, or the `result` of the
//! Agent SDK. Usage is that of one model call, of a `result` that of all of them.

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::Message;
use crate::agentcore::usage::Told;

const NAME: &str = "Anthropic";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    if let Some(ending) = value["subtype"].as_str().filter(|_| value["is_error"].is_boolean()) {
        hear_result(ending, value, heard);
        return Some(());
    }
    match value["type"].as_str()? {
        "message_start" => {
            let message = &value["message"];
            heard.call_begins();
            heard.opens(NAME);
            heard.meter.call(Some(&call(heard)), Told::by(&message["usage"]));
        }
        "content_block_start" => match value["content_block"]["type"].as_str()? {
            "text" => {
                heard.piece(None, value["content_block"]["text"].as_str().unwrap_or_default());
            }
            "tool_use" | "server_tool_use" => heard.tool(),
            _ => {}
        },
        "content_block_delta" => {
            let delta = &value["delta"];
            if delta["type"] == "text_delta" {
                heard.piece(None, delta["text"].as_str().unwrap_or_default());
            } else if delta["type"] == "input_json_delta" {
                heard.tool();
            }
        }
        "message_delta" => {
            heard.meter.call(Some(&call(heard)), Told::by(&value["usage"]));
            heard.stops(&value["delta"]["stop_reason"]);
        }
        "message_stop" => heard.ends(NAME),
        "content_block_stop" | "ping" => {}
        // The Agent SDK: a message of a turn, and an event of the above.
        "assistant" | "user" if value["message"].is_object() => {
            Message::of(&value["message"])?.hear(heard);
        }
        "stream_event" if value["event"].is_object() => {
            read(&value["event"], heard);
        }
        "system" if value["subtype"].is_string() => {}
        _ => return None,
    }
    Some(())
}

/// The name of the model call that is under way: its usage comes in two events.
fn call(heard: &Heard) -> String {
    format!("message {}", heard.meter.begun())
}

/// How a run of the Agent SDK ended.
fn hear_result(ending: &str, value: &Value, heard: &mut Heard) {
    heard.meter.total(Told::by(&value["usage"]));
    if value["is_error"] == Value::Bool(true) || ending.starts_with("error") {
        heard.fails(value);
    } else {
        heard.result(value["result"].as_str().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::{TokenUse, Tokens};
    use serde_json::json;

    use super::super::testing::told;
    use super::*;

    fn message(blocks: &[Value], stop_reason: &str) -> Vec<Value> {
        let usage = json!({"input_tokens": 30, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0, "output_tokens": 1});
        let mut events = vec![
            json!({"type": "message_start", "message": {"role": "assistant", "content": [], "usage": usage}}),
        ];
        events.extend_from_slice(blocks);
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 4}}));
        events.push(json!({"type": "message_stop"}));
        events
    }

    fn text(text: &str) -> Value {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
    }

    #[test]
    fn the_last_messages_text_is_the_answer_and_cached_input_is_added() {
        let tool = json!({"type": "content_block_start", "content_block": {"type": "tool_use", "name": "x"}});
        let thought = json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm"}});
        let mut events = message(&[text("Let me see."), tool], "tool_use");
        events.extend(message(&[thought, text("It is "), text("7.")], "end_turn"));
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It is 7.");
        let used = TokenUse { cache_read: Tokens(2000), ..TokenUse::new(60, 8) };
        assert_eq!(whole.usage, Usage::Reported(used));
        let half = told(&DIALECT, &events[..events.len() - 1]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn a_message_that_reached_its_limit_is_half_a_message() {
        let cut = told(&DIALECT, &message(&[text("It is")], "max_tokens"));
        assert!(matches!(cut.answer, Err(InvokeError::GaveUp)));
    }

    #[test]
    fn a_result_of_the_agent_sdk_is_the_answer_or_a_failure() {
        let said = json!({"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, {"type": "tool_use", "name": "x"}]}});
        let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "It is 7.",
            "usage": {"input_tokens": 30, "output_tokens": 4}});
        let whole =
            told(&DIALECT, &[json!({"type": "system", "subtype": "init"}), said.clone(), result]);
        assert_eq!(whole.answer.unwrap(), "It is 7.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
        let failed = json!({"type": "result", "subtype": "error_max_turns", "is_error": false});
        assert!(told(&DIALECT, &[said, failed]).answer.is_err());
    }
}
