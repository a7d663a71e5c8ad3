//! Pydantic AI: the events of a run, and what a run results in.
//!
//! ```json
//! {"event_kind": "part_start", "part": {"part_kind": "text", "content": "It "}}
//! {"event_kind": "part_delta", "delta": {"part_delta_kind": "text", "content_delta": "has "}}
//! {"event_kind": "function_tool_call", "part": {…}}   {"event_kind": "function_tool_result", …}
//! {"event_kind": "agent_run_result", "result": {"output": "…"}}
//! {"output": "It has shipped.", "_state": {…}}
//! ```
//!
//! The answer is the text after the last tool, or the result's output. There is no end mark: an
//! event that is no JSON, the result's too, arrives as what Python prints of it. `stream_text`
//! yields plain strings, each with all of the text so far. Messages are read as messages.

use serde_json::Value;

use super::{Dialect, own};
use crate::agentcore::heard::Heard;
use crate::agentcore::usage::Told;

pub(super) const DIALECT: Dialect = Dialect { name: "Pydantic AI", read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    match value["event_kind"].as_str() {
        Some("part_start") => match value["part"]["part_kind"].as_str()? {
            "text" => heard.piece(None, value["part"]["content"].as_str().unwrap_or_default()),
            kind if kind.contains("tool") => heard.tool(),
            _ => {}
        },
        Some("part_delta") => {
            let delta = &value["delta"];
            if delta["part_delta_kind"] == "text" {
                heard.piece(None, delta["content_delta"].as_str().unwrap_or_default());
            }
        }
        Some("part_end") if value["part"]["part_kind"] == "text" => {
            heard.message(value["part"]["content"].as_str().unwrap_or_default());
        }
        Some("agent_run_result") => {
            own::hear_result(&value["result"]["output"], heard);
            heard.meter.total(Told::within(&value["result"]));
        }
        Some(kind) if kind.contains("tool") => heard.tool(),
        Some(_) => {}
        None if value.get("_state").is_some() || value.get("_output_tool_name").is_some() => {
            own::hear_result(value.get("output")?, heard);
            heard.meter.total(Told::within(&value["_state"]));
        }
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    #[test]
    fn the_text_after_the_last_tool_is_the_answer() {
        let start = |part: Value| json!({"index": 0, "part": part, "event_kind": "part_start"});
        let delta = |text: &str| json!({"index": 0, "delta": {"content_delta": text, "part_delta_kind": "text"}, "event_kind": "part_delta"});
        let end = |text: &str| json!({"part": {"content": text, "part_kind": "text"}, "event_kind": "part_end"});
        let events = [
            start(json!({"content": "Let ", "part_kind": "text"})),
            json!({"tool_name": null, "event_kind": "final_result"}),
            delta("me see."),
            end("Let me see."),
            start(json!({"tool_name": "x", "args": "{}", "part_kind": "tool-call"})),
            json!({"part": {"tool_name": "x"}, "event_kind": "function_tool_call"}),
            json!({"result": {"content": "state=shipped", "part_kind": "tool-return"}, "event_kind": "function_tool_result"}),
            start(json!({"content": "Hm", "part_kind": "thinking"})),
            start(json!({"content": "It has ", "part_kind": "text"})),
            delta("shipped."),
        ];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
    }

    #[test]
    fn a_result_is_its_output_and_the_usage_of_the_run() {
        let usage = json!({"input_tokens": 30, "output_tokens": 4, "requests": 2});
        let event =
            json!({"event_kind": "agent_run_result", "result": {"output": "Hi", "usage": usage}});
        let object = json!({"output": "Hi", "_output_tool_name": null, "_state": {"usage": usage}});
        for value in [event, object] {
            let whole = told(&DIALECT, &[value]);
            assert_eq!(whole.answer.unwrap(), "Hi");
            assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
        }
    }
}
