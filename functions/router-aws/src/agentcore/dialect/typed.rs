//! Typed events of one's own: `type` or `event` says what a thing is.
//!
//! ```json
//! {"type": "text", "content": "It has "}   {"event": "token", "data": "shipped."}
//! {"type": "tool_use", "name": "lookup", "input": {…}}   {"type": "tool_result", "result": "…"}
//! {"type": "thinking", "text": "…"}
//! {"type": "complete", "final_response": "It has shipped.", "usage": {"input_tokens": 30, …}}
//! {"type": "error", "message": "…"}
//! ```
//!
//! The words in the name say the kind. The answer is what an event of an end has, or the
//! pieces of text after the last tool. There is no end mark. Usage is that of the whole call.
//! Fields that name a tool say the same as a type.

use serde_json::Value;

use super::{Dialect, own};
use crate::agentcore::heard::Heard;
use crate::agentcore::kind::{Kind, NAMES, kind_of, words_of};
use crate::agentcore::message::{is_thought, text_of};
use crate::agentcore::usage::Told;

pub(super) const DIALECT: Dialect = Dialect { name: "typed events", read };

/// Names of where in a run an event was sent. A node of a graph has a name of its own choice, of
/// which only that of a tool is clear.
const PLACES: [&str; 3] = ["stage", "phase", "step"];
const NODE: &str = "node";

/// Where the text of an event stands.
const TEXT: [&str; 10] = [
    "text", "content", "delta", "data", "chunk", "token", "message", "value", "answer", "response",
];
/// Where an event of an end has the answer, if not under the name of a result.
const ANSWER: [&str; 3] = ["content", "text", "data"];
/// Names that only what a tool is or does has.
const TOOL: [&str; 9] = [
    "tool",
    "tool_name",
    "toolName",
    "tool_call_id",
    "toolCallId",
    "tool_input",
    "tool_output",
    "toolResult",
    "function_name",
];

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let object = value.as_object()?;
    let name = NAMES.iter().find_map(|name| object.get(*name)?.as_str());
    let place_of = |name: &str| kind_of(object.get(name)?.as_str()?);
    let is_of_a_tool = || {
        TOOL.iter().any(|name| object.contains_key(*name))
            || PLACES.iter().chain(&[NODE]).any(|name| place_of(name) == Some(Kind::Tool))
    };
    let is_aside = || PLACES.iter().any(|name| place_of(name) == Some(Kind::Aside));
    let kind = match name.and_then(kind_of) {
        None | Some(Kind::Text | Kind::End) if is_of_a_tool() => Kind::Tool,
        Some(Kind::Text | Kind::End) if own::is_failure(value) => Kind::Error,
        None if is_aside() => Kind::Aside,
        Some(Kind::Text) if is_thought(value) => Kind::Aside,
        Some(Kind::Aside) if name == Some("status") && own::is_failure(value) => Kind::Error,
        kind => kind?,
    };
    match kind {
        Kind::Error => heard.fails(value),
        Kind::Tool => heard.tool(),
        Kind::Aside => {}
        // An event of a framework, wrapped once more.
        Kind::Event => {
            super::hear_framework(&value["data"], heard);
        }
        Kind::Text => {
            if let Some(text) = TEXT.iter().find_map(|name| text_of(&value[*name])) {
                heard.loose(&text);
            }
        }
        Kind::End => {
            let answer = own::answer_in(value)
                .or_else(|| ANSWER.iter().map(|name| &value[*name]).find(|it| !it.is_null()));
            if let Some(answer) = answer {
                heard.forget_result();
                // What it says takes the place of the pieces before, whatever dialect it is in.
                let mut said = Heard::default();
                own::hear_result(answer, &mut said);
                if said.into_answer().is_ok() {
                    heard.forget_words();
                }
                own::hear_result(answer, heard);
            }
        }
    }
    heard.stops(own::stop_reason(value));
    heard.meter.total(Told::within(value));
    if name.is_some_and(|name| words_of(name).iter().any(|word| word == "usage")) {
        heard.meter.total(Told::by(value));
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

    #[test]
    fn pieces_of_text_after_the_last_tool_are_the_answer() {
        let events = [
            json!({"type": "start", "session_id": "s"}),
            json!({"type": "thinking", "text": "Hm"}),
            json!({"type": "text", "content": "Let me see."}),
            json!({"type": "tool_use", "name": "x", "input": {"id": 7}}),
            json!({"type": "tool_result", "name": "x", "result": "state=shipped", "status": "error"}),
            json!({"event": "message", "data": {"text": "It "}}),
            json!({"type": "token", "text": "has "}),
            json!({"type": "content_block", "delta": {"type": "text_delta", "text": "shipped."}}),
            json!({"type": "done"}),
        ];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
    }

    #[test]
    fn the_end_may_have_the_whole_answer_and_the_usage() {
        let usage = json!({"input_tokens": 30, "output_tokens": 4});
        for end in [
            json!({"type": "complete", "final_response": "It has shipped.", "usage": usage}),
            json!({"event": "done", "result": "It has shipped.", "usage": usage}),
            json!({"type": "final", "content": [{"text": "It has shipped."}], "usage": usage}),
            json!({"type": "final", "text": "It has shipped."}),
            json!({"type": "final", "response": {"text": "It has shipped."}, "usage": usage}),
        ] {
            let said = json!({"type": "text", "text": "Let me see."});
            let progress = json!({"event": "progress", "data": "Looking it up"});
            let usage = json!({"type": "usage", "input_tokens": 30, "output_tokens": 4});
            let whole = told(&DIALECT, &[progress, said, usage, end]);
            assert_eq!(whole.answer.unwrap(), "It has shipped.");
            assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
        }
        let only = json!({"type": "complete", "message": "Stream completed"});
        assert!(matches!(told(&DIALECT, &[only]).answer, Err(InvokeError::EmptyAnswer)));
    }

    #[test]
    fn an_error_is_a_failure_whatever_was_said_before() {
        for error in [
            json!({"type": "error", "message": "db-internal-7 refused"}),
            json!({"event": "agent_failed", "data": "db-internal-7 refused"}),
            json!({"type": "message", "error": "db-internal-7 refused"}),
            json!({"type": "status", "status": "failed"}),
            json!({"kind": "error", "message": "db-internal-7 refused"}),
        ] {
            let said = json!({"type": "token", "text": "It has"});
            let told = told(&DIALECT, &[said, error]);
            assert!(matches!(told.answer, Err(InvokeError::ServiceFault(_))));
        }
    }

    #[test]
    fn a_kind_is_told_by_whole_words() {
        for (name, kind) in [
            ("tool_use", Kind::Tool),
            ("toolUseError", Kind::Tool),
            ("RUN_ERROR", Kind::Error),
            ("agent-thinking", Kind::Aside),
            ("messageDelta", Kind::Text),
            ("stream_end", Kind::End),
            ("agent_end", Kind::End),
            ("llm_end", Kind::Event),
            ("llm_stream_chunk", Kind::Text),
            ("search_results", Kind::Aside),
        ] {
            assert_eq!(kind_of(name), Some(kind), "{name}");
        }
        for name in ["dialog", "explanation", "transaction", ""] {
            assert_eq!(kind_of(name), None, "{name}");
        }
    }

    #[test]
    fn what_names_a_tool_is_a_tools_and_what_has_no_usual_name_is_left_to_others() {
        for tool in [
            json!({"tool_name": "x", "output": "state=shipped"}),
            json!({"kind": "tool_result", "text": "state=shipped"}),
            json!({"message_type": "tool", "content": "state=shipped"}),
            json!({"node": "tools", "content": "state=shipped"}),
            json!({"stage": "thinking", "content": "Hm"}),
        ] {
            assert!(matches!(told(&DIALECT, &[tool]).answer, Err(InvokeError::EmptyAnswer)));
        }
        for other in [json!({"type": "order", "text": "x"}), json!({"text": "x"}), json!([])] {
            assert!(read(&other, &mut Heard::default()).is_none(), "{other}");
        }
    }
}
