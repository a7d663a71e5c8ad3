//! The conversation as the services take it: messages of blocks, the user's and the assistant's by
//! turns.
//!
//! Bedrock refuses blank texts, and calls and results in a request that offers no tools. In the last
//! round, which offers none, a plain model is therefore *told* what was called and what came of it,
//! as a part of what the user says: it cannot call anything then, whatever it wants. (Offering the
//! tools and asking it not to call them would leave that to the model: the API has no `toolChoice`
//! for it.)

use std::borrow::Cow;

use router_core::supervisor::{Message, ToolCall, ToolResult, Turn};
use serde_json::{Map, Value};

/// The longest name of a tool that the services take.
const MOST_NAME_CHARS: usize = 64;

/// What one side says at once.
#[derive(Debug, PartialEq)]
pub(super) struct Said<'m> {
    pub(super) is_users: bool,
    pub(super) blocks: Vec<Block<'m>>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block<'m> {
    Text(Cow<'m, str>),
    Call(&'m ToolCall),
    Result(&'m ToolResult),
}

/// The whole conversation, with calls and results as they are, or told in words.
pub(super) fn all(messages: &[Message], offers_tools: bool) -> Vec<Said<'_>> {
    let mut said = Vec::new();
    let mut calls: &[ToolCall] = &[];
    for message in messages {
        match message {
            Message::User(text) => say(&mut said, true, texts(text)),
            Message::Assistant(turn) => {
                let called = if offers_tools { &turn.calls[..] } else { &[] };
                let blocks = texts(&turn.text).chain(called.iter().map(Block::Call));
                say(&mut said, false, blocks);
                calls = &turn.calls;
            }
            Message::Results(results) if offers_tools => {
                say(&mut said, true, results.iter().map(Block::Result));
            }
            Message::Results(results) => {
                let told = results.iter().map(|result| Block::Text(told(calls, result).into()));
                say(&mut said, true, told);
            }
        }
    }
    said
}

/// What a supervisor that keeps its conversation has not seen: what the user wrote last, or the
/// results, together with the turn whose calls they answer.
pub(super) fn unseen(messages: &[Message]) -> &[Message] {
    let count = match messages {
        [.., Message::Assistant(_), Message::Results(_)] => 2,
        _ => 1,
    };
    &messages[messages.len().saturating_sub(count)..]
}

/// The calls that the last message answers.
pub(super) fn answered_calls(messages: &[Message]) -> &[ToolCall] {
    match messages {
        [.., Message::Assistant(Turn { calls, .. }), Message::Results(_)] => calls,
        _ => &[],
    }
}

/// The name of a called tool, as the services take it back: a model may have made up any.
pub(super) fn name(call: &ToolCall) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let letters = call.name.chars().take(MOST_NAME_CHARS);
    letters.map(|letter| if is_allowed(letter) { letter } else { '_' }).collect()
}

/// The arguments of a call, as the services take them back. What was no object is none: its result
/// says what was wrong with it.
pub(super) fn arguments(call: &ToolCall) -> Value {
    Value::Object(call.arguments.as_ref().map_or_else(|_| Map::new(), Clone::clone))
}

fn texts(text: &str) -> impl Iterator<Item = Block<'_>> {
    let text = Some(text).filter(|text| !text.trim().is_empty());
    text.map(|text| Block::Text(text.into())).into_iter()
}

/// A result in words.
fn told(calls: &[ToolCall], result: &ToolResult) -> String {
    let text = &result.text;
    match calls.iter().find(|call| call.id == result.id) {
        Some(call) => format!("`{}` was called with {}: {text}", name(call), arguments(call)),
        None => format!("A tool was called: {text}"),
    }
}

/// Adds blocks to what the same side has just said, or begins a message of it.
fn say<'m>(said: &mut Vec<Said<'m>>, is_users: bool, blocks: impl Iterator<Item = Block<'m>>) {
    let mut blocks = blocks.peekable();
    if blocks.peek().is_none() {
        return;
    }
    match said.last_mut().filter(|last| last.is_users == is_users) {
        Some(last) => last.blocks.extend(blocks),
        None => said.push(Said { is_users, blocks: blocks.collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Message {
        Message::User(text.to_owned())
    }

    fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
        ToolCall::new(id.to_owned(), name.to_owned(), arguments)
    }

    fn assistant(text: &str, calls: &[ToolCall]) -> Message {
        Message::Assistant(Turn { text: text.to_owned(), calls: calls.to_vec() })
    }

    fn result(id: &str, text: &str) -> ToolResult {
        ToolResult { id: id.to_owned(), text: text.to_owned(), is_error: false }
    }

    /// One line a message.
    fn lines(messages: &[Message], offers_tools: bool) -> Vec<String> {
        let block = |block: &Block<'_>| match block {
            Block::Text(text) => text.to_string(),
            Block::Call(call) => format!("<{}>", call.id),
            Block::Result(result) => format!("<{}={}>", result.id, result.text),
        };
        let line = |said: &Said<'_>| {
            let blocks: Vec<String> = said.blocks.iter().map(block).collect();
            format!("{} {}", if said.is_users { "user" } else { "assistant" }, blocks.join(" | "))
        };
        all(messages, offers_tools).iter().map(line).collect()
    }

    fn conversation() -> Vec<Message> {
        let calls = [call("1", "ask", r#"{"q":"a"}"#), call("2", "no such!", "oops")];
        vec![
            user("Refund?"),
            assistant("Let me see.", &calls),
            Message::Results(vec![result("1", "yes"), result("2", "no")]),
            assistant("", &[call("3", "ask", "")]),
            Message::Results(vec![result("3", "done")]),
        ]
    }

    #[test]
    fn with_tools_calls_and_results_are_what_they_are() {
        let expected = [
            "user Refund?",
            "assistant Let me see. | <1> | <2>",
            "user <1=yes> | <2=no>",
            "assistant <3>",
            "user <3=done>",
        ];
        assert_eq!(lines(&conversation(), true), expected);
    }

    #[test]
    fn without_tools_they_are_told_by_the_user() {
        let expected = [
            "user Refund?",
            "assistant Let me see.",
            r#"user `ask` was called with {"q":"a"}: yes | `no_such_` was called with {}: no | `ask` was called with {}: done"#,
        ];
        assert_eq!(lines(&conversation(), false), expected);
        let lonely = [user("Hi"), Message::Results(vec![result("1", "yes")])];
        assert_eq!(lines(&lonely, false), ["user Hi | A tool was called: yes"]);
    }

    #[test]
    fn nothing_is_blank_and_both_sides_take_turns() {
        let messages = [user("a"), user(" "), assistant("\n", &[]), user("b"), assistant("c", &[])];
        assert_eq!(lines(&messages, true), ["user a | b", "assistant c"]);
    }

    #[test]
    fn who_keeps_the_conversation_gets_the_end_of_it() {
        let conversation = conversation();
        assert_eq!(unseen(&conversation), &conversation[3..]);
        assert_eq!(answered_calls(&conversation)[0].id, "3");
        assert_eq!(unseen(&conversation[..1]), &conversation[..1]);
        let again = [conversation, vec![user("More?")]].concat();
        assert_eq!(unseen(&again), [user("More?")]);
        assert!(answered_calls(&again).is_empty());
        assert!(unseen(&[]).is_empty());
    }

    #[test]
    fn a_made_up_name_can_be_sent_back() {
        let long = "x".repeat(100);
        for (name_of_model, expected) in
            [("a-b_1", "a-b_1"), ("functions.a b", "functions_a_b"), (&*long, &long[..64])]
        {
            assert_eq!(name(&call("1", name_of_model, "")), expected);
        }
    }
}
