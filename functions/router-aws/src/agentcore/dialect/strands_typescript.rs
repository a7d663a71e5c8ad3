//! What a Strands agent in TypeScript yields, and its result: every event says its class.
//!
//! ```json
//! {"type": "modelMessageStartEvent", "role": "assistant"}
//! {"type": "modelContentBlockDeltaEvent", "delta": {"type": "textDelta", "text": "It has "}}
//! {"type": "modelMessageStopEvent", "stopReason": "endTurn"}
//! {"type": "modelMetadataEvent", "usage": {"inputTokens": 30, "outputTokens": 4}}
//! {"type": "modelStreamUpdateEvent", "event": {…}}              newer versions wrap the above
//! {"type": "agentResult", "stopReason": "endTurn", "lastMessage": {…}}
//! ```
//!
//! The answer is the text of the last message, which `modelMessageStopEvent` ends. A result tells
//! the usage of its last message only, unless it has `metrics`.

use serde::Deserialize;
use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::Message;
use crate::agentcore::usage::Told;

const NAME: &str = "Strands (TypeScript)";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Sent {
    ModelStreamUpdateEvent { event: Value },
    ModelMessageStartEvent,
    ModelContentBlockStartEvent { start: Option<Value> },
    ModelContentBlockDeltaEvent { delta: Value },
    ModelMessageStopEvent { stop_reason: Value },
    ModelMetadataEvent { usage: Option<Value> },
    AgentResult(Ending),
    AgentResultEvent { result: Ending },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ending {
    #[serde(default)]
    stop_reason: Value,
    last_message: Value,
    #[serde(default)]
    metrics: Value,
}

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    if value["type"].is_null() && value["lastMessage"].is_object() {
        hear(Sent::AgentResult(Ending::deserialize(value).ok()?), heard);
        return Some(());
    }
    let kind = value["type"].as_str()?;
    match Sent::deserialize(value) {
        Ok(event) => hear(event, heard),
        Err(_) if kind.starts_with("toolStream") || kind.contains("ToolCallEvent") => heard.tool(),
        // Hooks, blocks and steps of the loop, which repeat what the model's events said.
        Err(_) if is_class_of_event(kind) => {}
        Err(_) => return None,
    }
    Some(())
}

fn hear(event: Sent, heard: &mut Heard) {
    match event {
        Sent::ModelStreamUpdateEvent { event } => {
            read(&event, heard);
        }
        Sent::ModelMessageStartEvent => {
            heard.call_begins();
            heard.opens(NAME);
        }
        Sent::ModelContentBlockStartEvent { start } => {
            if start.is_some_and(|start| start["type"] == "toolUseStart") {
                heard.tool();
            }
        }
        Sent::ModelContentBlockDeltaEvent { delta } => match delta["type"].as_str() {
            Some("textDelta") => heard.piece(None, delta["text"].as_str().unwrap_or_default()),
            Some("toolUseInputDelta") => heard.tool(),
            _ => {}
        },
        Sent::ModelMessageStopEvent { stop_reason } => {
            heard.ends(NAME);
            heard.stops(&stop_reason);
        }
        Sent::ModelMetadataEvent { usage } => {
            heard.meter.call(None, Told::by(&usage.unwrap_or_default()));
        }
        Sent::AgentResult(ending) | Sent::AgentResultEvent { result: ending } => {
            if let Some(message) = Message::of(&ending.last_message) {
                heard.is_last_word(true);
                message.hear(heard);
            }
            heard.meter.total(Told::within(&ending.metrics));
            heard.stops(&ending.stop_reason);
        }
    }
}

/// `beforeModelEvent`, `contentBlockEvent`, …: camel case, as no other framework names events.
fn is_class_of_event(kind: &str) -> bool {
    kind.strip_suffix("Event").is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|it| it.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::told;
    use super::*;

    #[test]
    fn the_last_message_is_the_answer_and_each_model_call_is_counted() {
        let call = |text: &str, reason: &str| {
            [
                json!({"type": "beforeModelEvent"}),
                json!({"type": "modelMessageStartEvent", "role": "assistant"}),
                json!({"type": "modelContentBlockStartEvent"}),
                json!({"type": "modelContentBlockDeltaEvent", "delta": {"type": "reasoningContentDelta", "text": "Hm"}}),
                json!({"type": "modelContentBlockDeltaEvent", "delta": {"type": "textDelta", "text": text}}),
                json!({"type": "modelContentBlockStopEvent"}),
                json!({"type": "modelMessageStopEvent", "stopReason": reason}),
                json!({"type": "modelMetadataEvent", "usage": {"inputTokens": 3, "outputTokens": 4}}),
            ]
        };
        let events = [call("Hm.", "toolUse"), call("It is 7.", "endTurn")].concat();
        let wrapped =
            events.iter().map(|event| json!({"type": "modelStreamUpdateEvent", "event": event}));
        for events in [events.clone(), wrapped.collect()] {
            let whole = told(&DIALECT, &events);
            assert_eq!(whole.answer.unwrap(), "It is 7.");
            assert_eq!(whole.usage, Usage::Reported(TokenUse::new(6, 8)));
        }
        let half = told(&DIALECT, &events[..events.len() - 3]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn a_result_tells_the_usage_of_its_last_message_only() {
        let message = json!({"role": "assistant", "content": [{"text": "Hi"}],
            "metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}});
        let result =
            json!({"type": "agentResult", "stopReason": "endTurn", "lastMessage": message});
        let whole = told(&DIALECT, &[result]);
        assert_eq!(whole.answer.unwrap(), "Hi");
        assert_eq!(whole.usage, Usage::AtLeast(TokenUse::new(3, 4)));
    }
}
