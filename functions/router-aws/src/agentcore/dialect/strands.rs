//! What a Strands agent (Python) yields from `stream_async`, its messages and its result.
//!
//! ```json
//! {"init_event_loop": true}
//! {"event": {"contentBlockDelta": …}}                            Bedrock's, read as such
//! {"data": "It has ", "delta": {"text": "It has "}, …}           a piece of text
//! {"current_tool_use": {"toolUseId": "t", "name": "lookup"}, …}  a tool
//! {"message": {"role": "assistant", "content": [{"text": "…"}]}} a whole message
//! {"force_stop": true, "force_stop_reason": "…"}                 a failure
//! {"type": "multiagent_node_stream", "node_id": "n", "event": {…}}
//! {"stop_reason": "end_turn", "message": {…}, "metrics": {"accumulated_usage": {…}}}
//! ```
//!
//! The answer is the last message of the model. Each message has the usage of its model call in
//! `metadata`, a result that of all of them. What is no JSON comes as what Python prints of it.

use serde_json::Value;

use super::{Dialect, own};
use crate::agentcore::heard::Heard;
use crate::agentcore::message::Message;
use crate::agentcore::usage::Told;

pub(super) const DIALECT: Dialect = Dialect { name: "Strands", read };

/// Keys of events that are of the loop's own course.
const LIFECYCLE: [&str; 6] = [
    "init_event_loop",
    "start",
    "start_event_loop",
    "complete",
    "event_loop_throttled_delay",
    "event_loop_cycle_id",
];
/// Keys of events that are of a tool.
const TOOL: [&str; 4] = ["current_tool_use", "toolUseId", "tool_stream_event", "tool_use_id"];
/// Keys of events that are of the model's thoughts. A result may have a field `reasoning` of its
/// own, which is no flag.
const REASONING: [&str; 3] = ["reasoningText", "reasoning_signature", "redactedContent"];

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let object = value.as_object()?;
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if let Some(kind) = value["type"].as_str() {
        return match kind {
            "multiagent_node_stream" => {
                super::hear(&value["event"], heard);
                Some(())
            }
            "multiagent_handoff"
            | "multiagent_node_start"
            | "multiagent_node_stop"
            | "multiagent_node_cancel"
            | "multiagent_node_interrupt" => Some(()),
            "multiagent_result" => {
                hear_agents(value, heard);
                Some(())
            }
            "tool_use_stream" | "tool_stream" => {
                heard.tool();
                Some(())
            }
            _ => hear_result(value, heard),
        };
    }
    if value["force_stop"] == Value::Bool(true) {
        heard.fails(value);
    } else if has(&TOOL) {
        heard.tool();
    } else if value["reasoning"] == Value::Bool(true) || has(&REASONING) {
        // A thought is no text.
    } else if let Some(text) = value["data"].as_str().filter(|_| has(&["delta", "agent"])) {
        heard.loose(text);
    } else if hear_result(value, heard).is_some() {
    } else if let Some(message) = value.get("message").and_then(Message::of) {
        // Next to other names it is a result, whose usage is that of all model calls.
        if object.len() > 1 {
            heard.is_last_word(true);
        }
        heard.meter.total(Told::within(value));
        heard.stops(&value["stopReason"]);
        message.hear(heard);
    } else {
        let is_of_the_loop = LIFECYCLE.iter().any(|name| value[*name] == Value::Bool(true));
        let says_more = has(&["data", "text"]) || own::answer_in(value).is_some();
        return (is_of_the_loop && !says_more).then_some(());
    }
    Some(())
}

/// The result of a graph or a swarm, with the usage of all its agents. Which of several agents
/// came last, the names of a JSON object do not say: then there is no answer.
fn hear_agents(value: &Value, heard: &mut Heard) {
    heard.meter.total(Told::within(value));
    let mut results = value["results"].as_object().into_iter().flat_map(|results| results.values());
    match (results.next(), results.next()) {
        (Some(only), None) => {
            hear_result(&only["result"], heard);
        }
        _ => heard.unknown(),
    }
    if value["status"] == "failed" {
        heard.fails(value);
    }
}

/// An `AgentResult`: why the agent stopped, its last message, and the usage of all model calls.
fn hear_result(value: &Value, heard: &mut Heard) -> Option<()> {
    let reason = value.get("stop_reason")?;
    let message = Message::of(value.get("message")?)?;
    let was_last_word = heard.is_last_word(true);
    message.hear(heard);
    heard.is_last_word(was_last_word);
    heard.stops(reason);
    heard.meter.total(Told::within(value));
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
    fn a_messages_text_is_the_answer_and_a_tools_is_not() {
        let usage = json!({"usage": {"inputTokens": 3, "outputTokens": 4}});
        let call = json!({"message": {"role": "assistant", "content": [{"text": "Hm"}, {"toolUse": {"name": "x"}}], "metadata": usage}});
        let tool = json!({"message": {"role": "user", "content": [{"toolResult": {"content": [{"text": "7"}]}}]}});
        let last = json!({"message": {"role": "assistant", "content": [{"text": "It is 7."}], "metadata": usage}});
        let events = [json!({"init_event_loop": true}), call.clone(), tool.clone(), last];
        let whole = told(&DIALECT, &events);
        assert_eq!(whole.answer.unwrap(), "It is 7.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(6, 8)));
        let limited = told(&DIALECT, &[call, tool]);
        assert!(matches!(limited.answer, Err(InvokeError::EmptyAnswer)));
    }

    #[test]
    fn pieces_of_text_are_told_apart_from_thoughts_and_tools() {
        let piece = |text| json!({"data": text, "delta": {"text": text}, "agent": "<Agent>"});
        let events = [
            json!({"start_event_loop": true}),
            json!({"reasoningText": "Hm", "delta": {}, "reasoning": true}),
            piece("Let me see."),
            json!({"current_tool_use": {"name": "x", "input": "{}"}, "delta": {}}),
            json!({"toolUseId": "t", "name": "x", "input": "{}"}),
            piece("It is "),
            piece("7."),
        ];
        assert_eq!(answer(&DIALECT, &events), "It is 7.");
    }

    #[test]
    fn a_result_has_the_usage_of_all_model_calls() {
        let result = |reason| {
            json!({"stop_reason": reason, "state": {}, "message": {"role": "assistant", "content": [{"text": "Hi"}]},
                "metrics": {"accumulated_usage": {"inputTokens": 30, "outputTokens": 4}}})
        };
        let ended = told(&DIALECT, &[result("end_turn")]);
        assert_eq!(ended.answer.unwrap(), "Hi");
        assert_eq!(ended.usage, Usage::Reported(TokenUse::new(30, 4)));
        let blocked = told(&DIALECT, &[result("guardrail_intervened")]);
        assert!(matches!(blocked.answer, Err(InvokeError::Guardrail)));
    }

    #[test]
    fn of_several_agents_the_last_ones_message_is_the_answer() {
        let of = |node, text| {
            let message = json!({"role": "assistant", "content": [{"text": text}]});
            json!({"type": "multiagent_node_stream", "node_id": node, "event": {"message": message}})
        };
        let start = json!({"type": "multiagent_node_start", "node_id": "writer"});
        let events = [of("facts", "state=shipped"), start, of("writer", "It has shipped.")];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
    }

    #[test]
    fn an_agent_that_was_forced_to_stop_has_failed() {
        let stop = json!({"force_stop": true, "force_stop_reason": "ThrottlingException: x"});
        assert!(matches!(told(&DIALECT, &[stop]).answer, Err(InvokeError::Throttled)));
    }
}
