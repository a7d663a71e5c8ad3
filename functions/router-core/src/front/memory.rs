//! What a plain model is given again of a session: whole turns, the oldest out first.

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Cause;
use crate::ids::RootSession;
use crate::supervisor::{Message, ToolCall, ToolResult, Turn};
use crate::units::Timestamp;

/// A turn longer than this is kept without what was asked and found out on the way. An item of the
/// table has 400 KB at most.
const MAX_TURN_BYTES: usize = 200_000;

/// A turn of a session that is to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct NewTurn<'a> {
    /// The session.
    pub session: &'a RootSession,
    /// When it ended.
    pub at: Timestamp,
    /// What tells it from others that ended at the same time.
    pub id: &'a str,
    /// Its messages, as [`written`] has them.
    pub text: &'a str,
    /// When it is forgotten.
    pub expires: Timestamp,
}

/// Remembers the turns of sessions.
pub trait Memory {
    /// The last turns of the session that are not to be forgotten by `now`, at most so many, in the
    /// order in which they ended, within `within`.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    fn turns(
        &self,
        session: &RootSession,
        most: usize,
        now: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<Vec<String>, Cause>> + Send;

    /// Keeps a turn, within `within`.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    fn keep(
        &self,
        turn: &NewTurn<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<(), Cause>> + Send;
}

/// A turn as it is kept; `None` where it is too long however short it is told.
pub fn written(messages: &[Message]) -> Option<String> {
    let whole = Value::Array(messages.iter().map(to_json).collect()).to_string();
    if whole.len() <= MAX_TURN_BYTES {
        return Some(whole);
    }
    let short = Value::Array(in_short(messages).iter().map(to_json).collect()).to_string();
    (short.len() <= MAX_TURN_BYTES).then_some(short)
}

/// The messages that a supervisor is given again, at most so many, of turns as they were kept. A turn
/// that does not fit as a whole is told in short, and with it all that came before it is forgotten; no
/// result is told without its call. What cannot be read was written by another version.
pub(super) fn remembered(turns: &[String], most: usize) -> Vec<Message> {
    let mut remembered: Vec<Vec<Message>> = Vec::new();
    let mut left = most;
    for turn in turns.iter().rev() {
        let Some(messages) = from_json(turn) else { continue };
        let fits = messages.len() <= left;
        let messages = if fits { messages } else { in_short(&messages) };
        if messages.len() > left {
            break;
        }
        left -= messages.len();
        remembered.push(messages);
        if !fits {
            break;
        }
    }
    remembered.into_iter().rev().flatten().collect()
}

/// What the user asked and what was answered in the end.
fn in_short(messages: &[Message]) -> Vec<Message> {
    let asked = messages.iter().find(|message| matches!(message, Message::User(_)));
    let answered = messages.iter().rev().find_map(|message| match message {
        Message::Assistant(Turn { text, calls }) if calls.is_empty() => {
            let turn = Turn { text: text.clone(), calls: Vec::new() };
            Some(Message::Assistant(turn))
        }
        _ => None,
    });
    asked
        .cloned()
        .into_iter()
        .zip(answered)
        .flat_map(|(asked, answered)| [asked, answered])
        .collect()
}

fn to_json(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "user": text }),
        Message::Assistant(Turn { text, calls }) => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|ToolCall { id, name, arguments }| match arguments {
                    Ok(arguments) => json!({ "id": id, "name": name, "arguments": arguments }),
                    Err(found) => json!({ "id": id, "name": name, "found": found }),
                })
                .collect();
            json!({ "assistant": text, "calls": calls })
        }
        Message::Results(results) => {
            let result = |ToolResult { id, text, is_error }: &ToolResult| json!({ "id": id, "text": text, "is_error": is_error });
            json!({ "results": results.iter().map(result).collect::<Vec<_>>() })
        }
    }
}

fn from_json(turn: &str) -> Option<Vec<Message>> {
    let value: Value = serde_json::from_str(turn).ok()?;
    let messages: Option<Vec<Message>> = value.as_array()?.iter().map(message).collect();
    messages.filter(|messages| matches!(messages.first(), Some(Message::User(_))))
}

fn message(value: &Value) -> Option<Message> {
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    if let Some(text) = text(value, "user") {
        return Some(Message::User(text));
    }
    if let Some(results) = value.get("results") {
        let result = |value: &Value| {
            let is_error = value.get("is_error")?.as_bool()?;
            Some(ToolResult { id: text(value, "id")?, text: text(value, "text")?, is_error })
        };
        let results: Option<Vec<ToolResult>> = results.as_array()?.iter().map(result).collect();
        return results.map(Message::Results);
    }
    let call = |value: &Value| {
        let arguments = match value.get("arguments") {
            Some(Value::Object(arguments)) => Ok(arguments.clone()),
            _ => Err(text(value, "found")?),
        };
        Some(ToolCall { id: text(value, "id")?, name: text(value, "name")?, arguments })
    };
    let calls: Option<Vec<ToolCall>> = value.get("calls")?.as_array()?.iter().map(call).collect();
    Some(Message::Assistant(Turn { text: text(value, "assistant")?, calls: calls? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(asked: &str, found: &str) -> Vec<Message> {
        let call = |id: &str, arguments: &str| {
            ToolCall::new(id.to_owned(), "invoke_specialist_agent".to_owned(), arguments)
        };
        let calls = vec![call("t-1", "{\"request\": \"r\"}"), call("t-2", "{\"request")];
        let result =
            |id: &str, is_error| ToolResult { id: id.to_owned(), text: found.to_owned(), is_error };
        vec![
            Message::User(asked.to_owned()),
            Message::Assistant(Turn { text: "Let me see.".to_owned(), calls }),
            Message::Results(vec![result("t-1", false), result("t-2", true)]),
            Message::Assistant(Turn { text: format!("{asked}: {found}"), calls: Vec::new() }),
        ]
    }

    fn kept(turns: &[Vec<Message>]) -> Vec<String> {
        turns.iter().map(|turn| written(turn).unwrap()).collect()
    }

    #[test]
    fn a_turn_is_remembered_as_it_was() {
        let turns = [turn("One?", "1"), turn("Two?", "2")];
        assert_eq!(remembered(&kept(&turns), 50), turns.concat());
    }

    #[test]
    fn the_oldest_goes_first_and_no_result_is_told_without_its_call() {
        let turns = [turn("One?", "1"), turn("Two?", "2"), turn("Three?", "3")];
        for most in 0..=12 {
            let messages = remembered(&kept(&turns), most);
            assert!(messages.len() <= most);
            if let Some(first) = messages.first() {
                assert!(matches!(first, Message::User(_)), "{most}");
                assert_eq!(messages.last(), turns[2].last(), "{most}");
            }
            for pair in messages.windows(2) {
                if let Message::Results(results) = &pair[1] {
                    let Message::Assistant(before) = &pair[0] else { panic!("{most}") };
                    assert_eq!(results.len(), before.calls.len());
                }
            }
        }
        assert_eq!(remembered(&kept(&turns), 7).len(), 6, "the second is told in short");
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let good = written(&turn("One?", "1")).unwrap();
        for bad in ["", "7", "[]", "[{\"assistant\": \"a\", \"calls\": []}]", "[{\"user\": 7}]"] {
            let turns = [good.clone(), bad.to_owned()];
            assert_eq!(remembered(&turns, 50), turn("One?", "1"), "{bad}");
        }
    }

    #[test]
    fn a_turn_of_any_length_is_kept_in_short_or_not_at_all() {
        let long = "x".repeat(MAX_TURN_BYTES);
        let mut messages = turn("One?", &long);
        assert_eq!(written(&messages), None, "its answer alone is too long");
        messages.pop();
        messages.push(Message::Assistant(Turn { text: "done".to_owned(), calls: Vec::new() }));
        assert_eq!(remembered(&[written(&messages).unwrap()], 50).len(), 2);
    }
}
