//! Vercel's AI SDK: parts of its streams and of a UI message stream, and Mastra's chunks, which
//! are the same with a `payload`.
//!
//! ```json
//! {"type": "start"}   {"type": "start-step"}
//! {"type": "text-delta", "id": "t", "delta": "It has "}          of a UI message stream
//! {"type": "text-delta", "id": "t", "text": "It has "}           of `fullStream`
//! {"type": "text-delta", "runId": "r", "from": "AGENT", "payload": {"text": "It has "}}
//! {"type": "tool-call", …}   {"type": "tool-output-available", …}
//! {"type": "finish-step", "usage": {"inputTokens": 30, …}, …}
//! {"type": "finish", "totalUsage": {…}}   {"type": "error", "errorText": "…"}
//! ```
//!
//! The answer is the text after the last tool; `finish` has to end it. Usage is that of a step's
//! model call, and at the end that of all of them.

use serde_json::Value;

use super::{Dialect, own};
use crate::agentcore::heard::Heard;
use crate::agentcore::usage::Told;

const NAME: &str = "Vercel AI SDK, Mastra";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let fields = value.get("payload").unwrap_or(value);
    let text = || ["delta", "text", "textDelta"].iter().find_map(|name| fields[*name].as_str());
    match value["type"].as_str()? {
        "text-delta" => {
            heard.opens(NAME);
            heard.piece(None, text().unwrap_or_default());
        }
        "finish-step" | "step-finish" => {
            let usage = Told::within(fields).or(Told::within(&fields["output"]));
            heard.meter.call(None, usage);
            hear_reason(fields, heard);
        }
        "finish" if own::answer_in(value).is_none() => {
            heard.ends(NAME);
            heard.meter.total(Told::within(fields).or(Told::within(&fields["output"])));
            hear_reason(fields, heard);
        }
        "error" if fields.get("errorText").is_some() || value.get("payload").is_some() => {
            heard.fails(value);
        }
        "abort" | "tripwire" => heard.fails(value),
        "start-step" | "step-start" | "text-start" | "text-end" | "message-metadata" => {}
        kind if kind.starts_with("tool-") => heard.tool(),
        kind if ["reasoning-", "source-", "data-", "response-"]
            .iter()
            .any(|family| kind.starts_with(family)) => {}
        _ => return None,
    }
    Some(())
}

fn hear_reason(fields: &Value, heard: &mut Heard) {
    heard.stops(own::stop_reason(fields));
    heard.stops(&fields["stepResult"]["reason"]);
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
    fn the_text_after_the_last_tool_is_the_answer_of_a_stream_that_finished() {
        let usage = json!({"inputTokens": 30, "outputTokens": 4, "totalTokens": 34});
        let total = json!({"inputTokens": 60, "outputTokens": 8, "totalTokens": 68});
        let ui = [
            json!({"type": "text-delta", "id": "a", "delta": "Let me see."}),
            json!({"type": "tool-output-available", "toolCallId": "c", "output": "state=shipped"}),
            json!({"type": "reasoning-delta", "id": "r", "delta": "Hm"}),
            json!({"type": "text-delta", "id": "b", "delta": "It has "}),
            json!({"type": "text-delta", "id": "b", "delta": "shipped."}),
            json!({"type": "finish", "messageMetadata": {}}),
        ];
        let full = [
            json!({"type": "text-delta", "id": "a", "text": "Let me see."}),
            json!({"type": "tool-result", "toolCallId": "c", "output": "state=shipped"}),
            json!({"type": "finish-step", "finishReason": "tool-calls", "usage": usage}),
            json!({"type": "text-delta", "id": "b", "text": "It has shipped."}),
            json!({"type": "finish-step", "finishReason": "stop", "usage": usage}),
            json!({"type": "finish", "finishReason": "stop", "totalUsage": total}),
        ];
        let mastra = [
            json!({"type": "text-delta", "from": "AGENT", "payload": {"text": "Let me see."}}),
            json!({"type": "tool-result", "from": "AGENT", "payload": {"result": "state=shipped"}}),
            json!({"type": "step-finish", "payload": {"output": {"usage": usage}, "stepResult": {"reason": "tool-calls"}}}),
            json!({"type": "text-delta", "from": "AGENT", "payload": {"text": "It has shipped."}}),
            json!({"type": "step-finish", "payload": {"output": {"usage": usage}, "stepResult": {"reason": "stop"}}}),
            json!({"type": "finish", "payload": {"output": {"usage": total}, "stepResult": {"reason": "stop"}}}),
        ];
        let used = Usage::Reported(TokenUse::new(60, 8));
        for (events, usage) in [(ui, Usage::UNKNOWN), (full, used), (mastra, used)] {
            let whole = told(&DIALECT, &events);
            assert_eq!(whole.answer.unwrap(), "It has shipped.");
            assert_eq!(whole.usage, usage);
            let half = told(&DIALECT, &events[..5]);
            assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
        }
    }

    #[test]
    fn an_error_is_a_failure() {
        for error in [
            json!({"type": "error", "errorText": "boom"}),
            json!({"type": "error", "from": "AGENT", "payload": {"error": "boom"}}),
            json!({"type": "abort"}),
        ] {
            let told = told(&DIALECT, &[error]);
            assert!(matches!(told.answer, Err(InvokeError::ServiceFault(_))));
        }
    }
}
