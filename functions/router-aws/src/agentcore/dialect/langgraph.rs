//! LangGraph and LangChain, and all else that consists of messages.
//!
//! ```json
//! {"messages": [{"type": "human", …}, {"type": "ai", "content": "It has shipped.", …}]}   a state
//! {"agent": {"messages": [{"type": "ai", …}]}}                     stream mode `updates`
//! [{"type": "AIMessageChunk", …}, {"langgraph_node": "agent", …}]  stream mode `messages`
//! ["updates", {…}]   [["tools:1"], "messages", […]]                several modes, subgraphs
//! {"type": "updates", "ns": [], "data": {…}}                       the same since LangGraph 1.1
//! {"event": "on_chat_model_stream", "data": {"chunk": {…}}, …}     `astream_events`
//! {"type": "ai", "content": "…", "usage_metadata": {…}}   {"role": "assistant", "content": […]}
//! ```
//!
//! The answer is the model's last message after the user's last question; it calls no tool. There
//! is no end mark. Each message has the usage of its model call.

use serde_json::Value;

use super::{Dialect, own};
use crate::agentcore::heard::Heard;
use crate::agentcore::kind::{Kind, kind_of};
use crate::agentcore::message::{Message, hear_blocks, hear_conversation};

pub(super) const DIALECT: Dialect = Dialect { name: "LangGraph, LangChain, messages", read };

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    match value {
        Value::Array(items) => read_list(items, heard),
        Value::Object(_) if value["ns"].is_array() => {
            hear_mode(value["type"].as_str()?, &value["data"], heard);
            Some(())
        }
        Value::Object(_) => {
            if let Some(kind) = value["event"].as_str().filter(|kind| kind.starts_with("on_")) {
                hear_event(kind, &value["data"], heard);
                return Some(());
            }
            if let Some(message) = Message::of(value) {
                message.hear(heard);
                return Some(());
            }
            if value["type"].as_str().and_then(kind_of) == Some(Kind::Aside) {
                return None;
            }
            read_state(value, heard).or_else(|| read_update(value, heard))
        }
        _ => None,
    }
}

/// A list of messages or of blocks, a message beside its metadata, or a stream mode beside what
/// it tells.
fn read_list(items: &[Value], heard: &mut Heard) -> Option<()> {
    let is_metadata = |value: &Value| {
        value.as_object().is_some_and(|it| it.keys().any(|key| key.starts_with("langgraph_")))
    };
    match items {
        [message, metadata] if is_metadata(metadata) => {
            hear_message(message, heard);
            Some(())
        }
        [Value::String(mode), data] if !data.is_string() => {
            hear_mode(mode, data, heard);
            Some(())
        }
        [Value::Array(_), Value::String(mode), data] => {
            hear_mode(mode, data, heard);
            Some(())
        }
        // With subgraphs: where a step took place, and what it changed.
        [Value::Array(_), data] => read(data, heard),
        _ => hear_conversation(items, heard)
            .or_else(|| hear_events(items, heard))
            .or_else(|| hear_blocks(items, heard)),
    }
}

/// Hears a list of events or results of any framework; `None` if it is none.
fn hear_events(items: &[Value], heard: &mut Heard) -> Option<()> {
    let is_event =
        |item: &Value| item.is_object() && super::hear_framework(item, &mut Heard::default());
    if items.is_empty() || !items.iter().all(is_event) {
        return None;
    }
    for item in items {
        super::hear_framework(item, heard);
    }
    Some(())
}

fn hear_mode(mode: &str, data: &Value, heard: &mut Heard) {
    match mode {
        "values" => {
            read_state(data, heard);
        }
        "updates" => {
            read_update(data, heard);
        }
        "messages" => {
            read(data, heard);
        }
        // What tools and nodes tell of themselves, and what is for debugging.
        _ => {}
    }
}

/// The whole state.
fn read_state(state: &Value, heard: &mut Heard) -> Option<()> {
    let messages = state["messages"].as_array()?;
    hear_interrupt(state, heard);
    // A conversation may not have begun.
    hear_conversation(messages, heard).or(messages.is_empty().then_some(()))
}

/// What nodes have added to the state: an object with the names of nodes, none of which is the
/// name of a result.
fn read_update(update: &Value, heard: &mut Heard) -> Option<()> {
    if hear_interrupt(update, heard) {
        return Some(());
    }
    let nodes = update.as_object().filter(|_| own::answer_in(update).is_none())?;
    let is_node = |node: &Value| node.is_null() || node["messages"].is_array();
    if nodes.is_empty() || !nodes.values().any(|node| node["messages"].is_array()) {
        return nodes.values().all(is_node).then_some(()).filter(|()| !nodes.is_empty());
    }
    for message in nodes.values().flat_map(|node| node["messages"].as_array()).flatten() {
        hear_message(message, heard);
    }
    Some(())
}

/// Whether the graph waits for a person's word.
fn hear_interrupt(value: &Value, heard: &mut Heard) -> bool {
    let waits = value["__interrupt__"].as_array().is_some_and(|it| !it.is_empty());
    if waits {
        heard.hands_back();
    }
    waits
}

/// An event of `astream_events`.
fn hear_event(kind: &str, data: &Value, heard: &mut Heard) {
    match kind {
        "on_chat_model_stream" => hear_message(&data["chunk"], heard),
        "on_chat_model_end" => hear_message(&data["output"], heard),
        _ if kind.starts_with("on_tool_") => heard.tool(),
        _ => {}
    }
}

fn hear_message(message: &Value, heard: &mut Heard) {
    if let Some(message) = Message::of(message) {
        message.hear(heard);
    }
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    fn ai(id: &str, text: &str, calls: Value) -> Value {
        json!({"type": "ai", "id": id, "content": text, "tool_calls": calls,
            "usage_metadata": {"input_tokens": 30, "output_tokens": 4}})
    }

    fn chunk(id: &str, text: &str) -> Value {
        json!({"type": "AIMessageChunk", "id": id, "content": text, "tool_call_chunks": []})
    }

    fn called() -> Value {
        ai("1", "Let me see.", json!([{"name": "x"}]))
    }

    fn tool() -> Value {
        json!({"type": "tool", "content": "state=shipped", "tool_call_id": "c", "status": "error"})
    }

    fn last() -> Value {
        ai("2", "It has shipped.", json!([]))
    }

    fn is_answer(events: &[Value]) {
        let whole = told(&DIALECT, events);
        assert_eq!(whole.answer.unwrap(), "It has shipped.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(60, 8)));
    }

    #[test]
    fn the_last_message_of_the_model_is_the_answer_in_each_stream_mode() {
        let human = json!({"type": "human", "content": "Where is it?"});
        let updates = [
            json!({"agent": {"messages": [called()]}, "hook": null}),
            json!({"hook": null}),
            json!({"tools": {"messages": [tool()]}}),
            json!({"agent": {"messages": [last()]}}),
        ];
        let values = [
            json!({"messages": [human]}),
            json!({"messages": [human, called()]}),
            json!({"messages": [human, called(), tool()]}),
            json!({"messages": [human, called(), tool(), last()]}),
        ];
        is_answer(&updates);
        is_answer(&values);
        is_answer(&updates.clone().map(|data| json!(["updates", data])));
        is_answer(&updates.clone().map(|data| json!([["sub:1"], "updates", data])));
        is_answer(&updates.clone().map(|data| json!({"type": "updates", "ns": [], "data": data})));
        is_answer(&[updates, values.clone()].concat());
        is_answer(&values[3..]);
        is_answer(&[json!([human, called(), tool(), last()])]);
    }

    #[test]
    fn chunks_of_the_last_message_are_the_answer() {
        let metadata = json!({"langgraph_node": "agent"});
        let mut usage = chunk("b", "");
        usage["usage_metadata"] = json!({"input_tokens": 30, "output_tokens": 4});
        let mut call = chunk("a", "");
        call["tool_call_chunks"] = json!([{"name": "x"}]);
        call["usage_metadata"] = usage["usage_metadata"].clone();
        let chunks = [
            chunk("a", "Let me see."),
            call,
            tool(),
            chunk("b", "It has "),
            chunk("b", "shipped."),
            usage,
        ];
        is_answer(&chunks);
        is_answer(&chunks.clone().map(|chunk| json!([chunk, metadata])));
        is_answer(&chunks.map(|chunk| json!(["messages", [chunk, metadata]])));
    }

    #[test]
    fn events_of_models_and_tools_are_told_apart() {
        let event = |kind: &str, data: Value| json!({"event": kind, "data": data, "run_id": "r"});
        is_answer(&[
            event("on_chain_start", json!({"input": "Where is it?"})),
            event("on_chat_model_stream", json!({"chunk": chunk("1", "Let me see.")})),
            event("on_chat_model_end", json!({"output": called()})),
            event("on_tool_end", json!({"output": "state=shipped"})),
            event("on_chat_model_stream", json!({"chunk": chunk("2", "It has shipped.")})),
            event("on_chat_model_end", json!({"output": last()})),
            event("on_chain_end", json!({"output": {"messages": [last()]}})),
        ]);
    }

    #[test]
    fn a_graph_that_did_not_come_to_an_answer_has_none() {
        let limited =
            [json!({"agent": {"messages": [called()]}}), json!({"tools": {"messages": [tool()]}})];
        assert!(matches!(told(&DIALECT, &limited).answer, Err(InvokeError::EmptyAnswer)));
        let waits = [json!({"__interrupt__": [{"value": "Sure?"}]})];
        assert!(matches!(told(&DIALECT, &waits).answer, Err(InvokeError::ReturnedControl)));
    }

    #[test]
    fn blocks_of_text_are_pieces() {
        let block = |text| json!([{"type": "text", "text": text, "index": 0}]);
        assert_eq!(answer(&DIALECT, &[block("It has "), block("shipped.")]), "It has shipped.");
        let thought = json!({"type": "thinking", "thinking": "Hm"});
        let said = json!([thought, {"type": "text", "text": "It has shipped."}]);
        assert_eq!(answer(&DIALECT, &[said]), "It has shipped.");
        for inside in [json!([thought]), json!([{"text": "Hm"}, {"toolUse": {"name": "x"}}])] {
            let told = told(&DIALECT, &[inside]);
            assert!(matches!(told.answer, Err(InvokeError::EmptyAnswer)));
        }
        let mut heard = Heard::default();
        assert!(read(&json!([{"type": "order", "id": 17}]), &mut heard).is_none());
        assert!(read(&json!({"retrieve": {"documents": ["state=shipped"]}}), &mut heard).is_none());
    }
}
