//! Events of Bedrock's `ConverseStream`, bare or as Strands passes them on (`{"event": …}`).
//!
//! ```json
//! {"messageStart": {"role": "assistant"}}
//! {"contentBlockStart": {"start": {"toolUse": {"name": "lookup", "toolUseId": "t"}}}}
//! {"contentBlockDelta": {"delta": {"text": "It has "}}}
//! {"messageStop": {"stopReason": "end_turn"}}
//! {"metadata": {"usage": {"inputTokens": 30, "outputTokens": 4}}}
//! ```
//!
//! The answer is the text of the last message, which `messageStop` ends; an agent that sends
//! deltas only has no end mark. `metadata` tells the usage of one model call.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::usage::Told;

const NAME: &str = "Bedrock stream events";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Event {
    MessageStart {
        #[serde(default)]
        role: String,
    },
    ContentBlockStart(Block),
    ContentBlockDelta(Block),
    ContentBlockStop(IgnoredAny),
    #[serde(rename_all = "camelCase")]
    MessageStop {
        #[serde(default)]
        stop_reason: Value,
    },
    Metadata(Value),
    #[serde(
        alias = "internalServerException",
        alias = "modelStreamErrorException",
        alias = "modelTimeoutException",
        alias = "runtimeClientError",
        alias = "serviceUnavailableException",
        alias = "throttlingException",
        alias = "validationException"
    )]
    Exception(IgnoredAny),
}

#[derive(Deserialize)]
struct Block {
    #[serde(default, alias = "start")]
    delta: Value,
}

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let event = value.get("event").filter(|event| event.is_object()).unwrap_or(value);
    match Event::deserialize(event).ok()? {
        Event::MessageStart { role } if role == "user" => heard.tool(),
        Event::MessageStart { .. } => {
            heard.call_begins();
            heard.opens(NAME);
        }
        Event::ContentBlockStart(Block { delta }) | Event::ContentBlockDelta(Block { delta }) => {
            if let Some(text) = delta["text"].as_str() {
                heard.piece(None, text);
            } else if !delta["toolUse"].is_null() || !delta["toolResult"].is_null() {
                heard.tool();
            }
        }
        Event::ContentBlockStop(_) => {}
        Event::MessageStop { stop_reason } => {
            heard.ends(NAME);
            heard.stops(&stop_reason);
        }
        Event::Metadata(metadata) => heard.meter.call(None, Told::by(&metadata["usage"])),
        Event::Exception(_) => heard.fails(event),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    fn delta(delta: Value) -> Value {
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}})
    }

    fn metadata(input: u64, output: u64) -> Value {
        json!({"metadata": {"usage": {"inputTokens": input, "outputTokens": output}, "metrics": {"latencyMs": 1}}})
    }

    #[test]
    fn the_last_message_is_the_answer_and_each_model_call_is_counted() {
        let start = json!({"messageStart": {"role": "assistant"}});
        let events = [
            start.clone(),
            delta(json!({"text": "Let me see."})),
            json!({"contentBlockStart": {"start": {"toolUse": {"name": "x", "toolUseId": "1"}}}}),
            delta(json!({"toolUse": {"input": "{}"}})),
            json!({"contentBlockStop": {}}),
            json!({"messageStop": {"stopReason": "tool_use"}}),
            metadata(300, 20),
            start,
            delta(json!({"reasoningContent": {"text": "Hm"}})),
            delta(json!({"text": "It is"})),
            delta(json!({"text": " 7."})),
            json!({"messageStop": {"stopReason": "end_turn"}}),
            metadata(400, 30),
        ];
        let enveloped = events.clone().map(|event| json!({"event": event}));
        for events in [events, enveloped] {
            let told = told(&DIALECT, &events);
            assert_eq!(told.answer.unwrap(), "It is 7.");
            assert_eq!(told.usage, Usage::Reported(TokenUse::new(700, 50)));
        }
    }

    #[test]
    fn a_message_that_began_has_to_end_and_deltas_alone_do_not() {
        let start = json!({"messageStart": {"role": "assistant"}});
        let text = delta(json!({"text": "Hi"}));
        assert_eq!(answer(&DIALECT, std::slice::from_ref(&text)), "Hi");
        let half = told(&DIALECT, &[start, text]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn a_model_call_without_metadata_makes_the_usage_unknown() {
        let start = json!({"messageStart": {"role": "assistant"}});
        let stop = json!({"messageStop": {"stopReason": "end_turn"}});
        let text = delta(json!({"text": "Hi"}));
        let events = [start.clone(), metadata(3, 4), start, text, stop];
        assert_eq!(told(&DIALECT, &events).usage, Usage::AtLeast(TokenUse::new(3, 4)));
    }

    #[test]
    fn an_exception_in_the_stream_is_a_failure() {
        let throttled = json!({"throttlingException": {"message": "Too many requests"}});
        assert!(matches!(told(&DIALECT, &[throttled]).answer, Err(InvokeError::Throttled)));
        let blocked = json!({"messageStop": {"stopReason": "guardrail_intervened"}});
        assert!(matches!(told(&DIALECT, &[blocked]).answer, Err(InvokeError::Guardrail)));
    }
}
