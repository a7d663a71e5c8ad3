//! LlamaIndex: the events of its `AgentCoreRuntime`, those of a workflow, and `AgentOutput`.
//!
//! ```json
//! {"event": "agent_stream", "delta": "has ", "response": "It has ", "thinking_delta": "…"}
//! {"event": "tool_call", "tool_name": "lookup", "tool_kwargs": {…}}
//! {"event": "tool_result", "tool_name": "lookup", "tool_output": "…"}
//! {"event": "done", "response": "assistant: It has shipped."}
//! {"event": "error", "message": "…"}
//! {"delta": "has ", "response": "It has ", "current_agent_name": "Agent", …}    of a workflow
//! {"response": {"role": "assistant", "blocks": […]}, "current_agent_name": "Agent", …}
//! ```
//!
//! The answer is what was said after the last tool: the pieces in `delta`, of which `response` has
//! all so far. `AgentCoreRuntime` swallows errors, so after the first piece and after the last
//! tool's result a `done` has to come. There is no usage.

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::Message;

const NAME: &str = "LlamaIndex";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

/// What `str()` of a message begins with.
const SPEAKER: &str = "assistant: ";

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    match value["event"].as_str() {
        Some("agent_stream") => {
            heard.opens(NAME);
            heard.piece(None, value["delta"].as_str().unwrap_or_default());
        }
        Some("done") => {
            let whole = value["response"].as_str()?;
            heard.ends(NAME);
            heard.message(whole.strip_prefix(SPEAKER).unwrap_or(whole));
        }
        Some("tool_call") if value.get("tool_kwargs").is_some() => heard.tool(),
        Some("tool_result") if value.get("tool_output").is_some() => {
            heard.opens(NAME);
            heard.tool();
        }
        Some("agent_input" | "agent_output") => {}
        Some(_) => return None,
        None => return read_workflow(value, heard),
    }
    Some(())
}

/// An event of a workflow, which is recognised by its fields alone.
fn read_workflow(value: &Value, heard: &mut Heard) -> Option<()> {
    let object = value.as_object()?;
    if object.contains_key("tool_kwargs") {
        heard.tool();
    } else if object.contains_key("current_agent_name") {
        if let Some(delta) = value["delta"].as_str() {
            heard.piece(None, delta);
        } else if let Some(message) = Message::of(&value["response"]) {
            message.hear(heard);
        } else if !object.contains_key("input") {
            return None;
        }
    } else {
        return None;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::invocation::InvokeError;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    fn stream(delta: &str, response: &str) -> Value {
        json!({"event": "agent_stream", "delta": delta, "response": response})
    }

    #[test]
    fn the_pieces_after_the_last_tool_are_the_answer_once() {
        let events = [
            stream("Let me see.", "Let me see."),
            json!({"event": "done", "response": "assistant: Let me see."}),
            json!({"event": "tool_call", "tool_name": "x", "tool_kwargs": {}}),
            json!({"event": "tool_result", "tool_name": "x", "tool_output": "state=shipped"}),
            json!({"event": "agent_stream", "delta": "", "response": "", "thinking_delta": "Hm"}),
            stream("It has ", "It has "),
            stream("shipped.", "It has shipped."),
            json!({"event": "done", "response": "assistant: It has shipped."}),
        ];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
        for cut in [1, 4, 6, 7] {
            let told = told(&DIALECT, &events[..cut]);
            assert!(matches!(told.answer, Err(InvokeError::StreamBroken(_))), "{cut}");
        }
    }

    #[test]
    fn a_model_that_does_not_stream_says_all_at_the_end() {
        for response in ["assistant: Hi", "Hi"] {
            let done = json!({"event": "done", "response": response});
            assert_eq!(answer(&DIALECT, &[done]), "Hi");
        }
    }

    #[test]
    fn a_workflows_events_are_told_by_their_fields() {
        let message = |text, tools| json!({"role": "assistant", "additional_kwargs": {"tools": tools}, "blocks": [{"block_type": "text", "text": text}]});
        let events = [
            json!({"input": [], "current_agent_name": "Agent"}),
            json!({"delta": "Hm.", "response": "Hm.", "current_agent_name": "Agent", "tool_calls": []}),
            json!({"response": message("Hm.", json!([{"name": "x"}])), "current_agent_name": "Agent"}),
            json!({"tool_name": "x", "tool_kwargs": {}, "tool_id": "1", "tool_output": {"blocks": [{"block_type": "text", "text": "state=shipped"}]}}),
            json!({"delta": "It has ", "response": "It has ", "current_agent_name": "Agent"}),
            json!({"delta": "shipped.", "response": "It has shipped.", "current_agent_name": "Agent"}),
        ];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
        let output = json!({"response": message("It has shipped.", json!([])), "current_agent_name": "Agent",
            "tool_calls": [{"tool_name": "x"}]});
        assert_eq!(answer(&DIALECT, &[output]), "It has shipped.");
    }
}
