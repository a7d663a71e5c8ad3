//! What an event is, by the words of the name that it goes by.

/// Names under which an event says what it is.
pub(super) const NAMES: [&str; 8] = [
    "type",
    "event",
    "event_type",
    "eventType",
    "kind",
    "chunk_type",
    "message_type",
    "messageType",
];
/// What a typed event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Tool,
    /// Thoughts, progress, and what else is not meant for the user.
    Aside,
    /// The end of a run, perhaps with the answer.
    End,
    Text,
    /// Something has happened; what, the name does not say.
    Event,
}

/// What the words of a name begin with that is of a kind; the first kind counts.
const WORDS: [(Kind, &[&str]); 6] = [
    (Kind::Tool, &["tool", "function", "action", "observation"]),
    (Kind::Error, &["error", "exception", "fail", "abort", "cancel", "timeout"]),
    (
        Kind::Aside,
        &[
            "reason",
            "think",
            "thought",
            "plan",
            "user",
            "human",
            "system",
            "prompt",
            "input",
            "status",
            "progress",
            "start",
            "begin",
            "init",
            "metadata",
            "usage",
            "metric",
            "ping",
            "heartbeat",
            "log",
            "debug",
            "trace",
            "step",
            "handoff",
            "session",
            "thread",
            "history",
            "context",
            "search",
            "retriev",
            "document",
        ],
    ),
    (Kind::End, &["final", "complete", "done", "end", "finish", "result", "stop", "success"]),
    (
        Kind::Text,
        &[
            "text",
            "token",
            "chunk",
            "delta",
            "content",
            "message",
            "stream",
            "data",
            "partial",
            "answer",
            "response",
            "output",
            "assistant",
        ],
    ),
    (Kind::Event, &["event", "update", "info", "node", "lifecycle"]),
];

/// What the words of a name begin with that is only a part of a run, so that its end is not the
/// run's.
const PARTS: [&str; 5] = ["node", "llm", "model", "chain", "graph"];

/// What the name of an event says of it; `None` if there is no usual word in it.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    let words = words_of(name);
    let is_one = |beginnings: &[&str]| {
        words.iter().any(|word| beginnings.iter().any(|begin| word.starts_with(begin)))
    };
    match WORDS.iter().find(|(_, beginnings)| is_one(beginnings))? {
        (Kind::End, _) if is_one(&PARTS) => Some(Kind::Event),
        (kind, _) => Some(*kind),
    }
}

/// The words of `tool_use`, `tool-use`, `toolUse` or `TOOL_USE`, in lower case.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (after_lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
        after_lower = letter.is_lowercase();
    }
    words
}
