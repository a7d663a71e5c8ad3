//! AG-UI, the protocol between agents and user interfaces; field names in camel case, or in snake
//! case where an agent yields the Python objects.
//!
//! ```json
//! {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
//! {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
//! {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "It has "}
//! {"type": "TOOL_CALL_START", …}   {"type": "TOOL_CALL_RESULT", "content": "…"}
//! {"type": "MESSAGES_SNAPSHOT", "messages": […]}   {"type": "RAW", "event": {…}}
//! {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "usage": [{"inputTokens": 30, …}]}
//! {"type": "RUN_ERROR", "message": "…"}
//! ```
//!
//! The answer is the text message after the last call of a tool. A run has to finish. Usage of
//! the whole run is in `RUN_FINISHED`, that of a Strands agent's model calls in `RAW`, too.
//! <https://docs.ag-ui.com/concepts/events>

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::hear_conversation;
use crate::agentcore::usage::Told;

const NAME: &str = "AG-UI";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let kind = value["type"].as_str()?;
    let id = ["messageId", "message_id"].iter().find_map(|name| value[*name].as_str());
    match kind {
        "RUN_STARTED" => heard.opens(NAME),
        "RUN_FINISHED" => {
            heard.ends(NAME);
            heard.meter.total(Told::within(value));
            if value["outcome"]["type"] == "interrupt" {
                heard.hands_back();
            }
            if let Some(result) = value["result"].as_str() {
                heard.message(result);
            }
        }
        "RUN_ERROR" => heard.fails(value),
        // Only the beginning of a message, or of its chunks, says whose it is.
        "TEXT_MESSAGE_START" | "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK" => {
            if value["role"].as_str().is_none_or(|role| role == "assistant") {
                heard.piece(id, value["delta"].as_str().unwrap_or_default());
            } else if let Some(id) = id {
                heard.is_not_the_models(id);
            }
        }
        "MESSAGES_SNAPSHOT" => {
            hear_conversation(value["messages"].as_array()?, heard);
        }
        "TEXT_MESSAGE_END" => {}
        _ if kind.starts_with("TOOL_CALL_") => heard.tool(),
        // What the framework itself sent: of a Strands agent it has the usage of a model call.
        "RAW" => {
            let usage = &value["event"]["event"]["metadata"]["usage"];
            if usage.is_object() {
                heard.meter.call(None, Told::by(usage));
            }
        }
        "CUSTOM" => {}
        _ if ["STEP_", "THINKING_", "REASONING_", "ACTIVITY_", "STATE_", "SUBAGENT_", "META"]
            .iter()
            .any(|family| kind.starts_with(family)) => {}
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::told;
    use super::*;

    fn content(id: &str, delta: &str) -> Value {
        json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta})
    }

    #[test]
    fn the_text_after_the_last_tool_is_the_answer_of_a_run_that_finished() {
        let question = json!({"id": "u", "role": "user", "content": "Where?"});
        let events = [
            json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r"}),
            json!({"type": "MESSAGES_SNAPSHOT", "messages": [question]}),
            json!({"type": "REASONING_MESSAGE_CONTENT", "messageId": "h", "delta": "Hm"}),
            json!({"type": "SUBAGENT_FINISHED", "result": "state=shipped"}),
            content("a", "Let me see."),
            json!({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "x"}),
            json!({"type": "TOOL_CALL_RESULT", "toolCallId": "c", "content": "state=shipped"}),
            json!({"type": "TEXT_MESSAGE_START", "messageId": "b", "role": "assistant"}),
            content("b", "It has "),
            content("b", "shipped."),
            json!({"type": "TEXT_MESSAGE_START", "messageId": "u", "role": "user"}),
            content("u", "Thanks."),
            json!({"type": "RAW", "event": {"event": {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 1}}}}}),
            json!({"type": "RUN_FINISHED", "runId": "r", "usage": [
                {"model": "m", "inputTokens": 30, "outputTokens": 4},
                {"model": "n", "input_tokens": 3, "output_tokens": 1},
            ]}),
        ];
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It has shipped.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(33, 5)));
        let half = told(&DIALECT, &events[..events.len() - 1]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
        assert_eq!(half.usage, Usage::Reported(TokenUse::new(7, 1)));
    }

    #[test]
    fn an_error_of_the_run_is_a_failure_whatever_was_said_before() {
        let error = json!({"type": "RUN_ERROR", "message": "connection lost"});
        let told = told(&DIALECT, &[content("a", "It has"), error]);
        assert!(matches!(told.answer, Err(InvokeError::ServiceFault(_))));
    }
}
