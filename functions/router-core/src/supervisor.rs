//! Asking the supervisor for its next decision: the port.
//!
//! A round is one call of the supervisor: it answers, or it wants tools. Who carries the tools out,
//! how many rounds there are and what is charged is not known here. A supervisor that keeps its own
//! conversation (a harness, a Bedrock agent) gets of the messages what it has not seen.

use std::future::Future;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::ids::RootSession;
use crate::invocation::Outcome;
use crate::policy::{AgentRef, ModelSettings};
use crate::stop::Stop;
use crate::trace::TraceParent;
use crate::units::Tokens;
use crate::wire::caller::Attributes;
use crate::wire::reply::echo;
use crate::wire::tools::catalog::Tool;

/// One call of the supervisor.
#[derive(Clone, Debug)]
pub struct Round<'a> {
    /// The agent that plays the supervisor: any but a runtime, which has no way to call a tool.
    pub agent: &'a AgentRef,
    /// The supervisor's own session, valid for Bedrock and AgentCore. A harness that wants tools
    /// waits in it for their results and takes nothing else: a session that was left like that is
    /// of no more use.
    pub session_id: &'a str,
    /// The session that the request belongs to.
    pub root_session: &'a RootSession,
    /// The session attributes that a Bedrock agent gets, as
    /// [`Caller::forwarded_attributes`](crate::wire::caller::Caller::forwarded_attributes) makes
    /// them, so that its action group charges the same session.
    pub attributes: &'a Attributes,
    /// The system prompt. A Bedrock agent has its own.
    pub prompt: &'a str,
    /// The conversation so far. It begins with the user and ends with what is to be answered: the
    /// user's text, or the results of all calls of the turn before.
    pub messages: &'a [Message],
    /// What it may call; nothing in the last round. A Bedrock agent has its own action group.
    pub tools: &'a [Tool],
    /// How its model is asked; `instruction` is not looked at, since `prompt` holds it.
    pub model: &'a ModelSettings,
    /// From the start to the last byte of the answer.
    pub timeout: Duration,
    /// The longest silence between two events of its stream.
    pub idle_timeout: Duration,
    /// Once more tokens than these are reported, no further model invocation is waited for.
    pub max_tokens: Tokens,
    /// The span of this round, if the request is traced.
    pub trace: Option<TraceParent>,
    /// Ends the round before its time.
    pub stop: &'a Stop,
}

/// A message of the conversation with the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// What the user wrote.
    User(String),
    /// What the supervisor answered.
    Assistant(Turn),
    /// What the calls of the turn before came to: one result for each, and for no other.
    Results(Vec<ToolResult>),
}

/// What the supervisor answered: a text, calls, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// What it said. Beside calls it is rarely more than an announcement of them.
    pub text: String,
    /// The tools that it calls, in its order; none where the text is the answer.
    pub calls: Vec<ToolCall>,
}

/// A call of a tool, as a model wrote it: nothing about it is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The service's id of it, which its result has to name.
    pub id: String,
    /// The tool; there may be none of this name.
    pub name: String,
    /// The arguments; the beginning of what came where that is no JSON object.
    pub arguments: Result<Map<String, Value>, String>,
}

impl ToolCall {
    /// A call whose arguments came as this text. A tool without arguments is called with none.
    pub fn new(id: String, name: String, arguments: &str) -> Self {
        let arguments = if arguments.trim().is_empty() {
            Ok(Map::new())
        } else {
            serde_json::from_str(arguments).map_err(|_| echo(arguments))
        };
        Self { id, name, arguments }
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// What the model is told. It must say by itself that the call failed, if it did.
    pub text: String,
    /// Whether the call failed, for supervisors that can be told so.
    pub is_error: bool,
}

/// Something that a supervisor does while its answer is on its way.
///
/// What was heard may still become no answer: the stream can break off after it, and a harness with
/// tools of its own can begin anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard<'a> {
    /// It says this; the pieces together are its text.
    Text(&'a str),
    /// It begins to call the tool of this name.
    Tool(&'a str),
    /// It has this call carried out by its own action group, so that its turn will not have it.
    Carried(&'a ToolCall),
}

/// What a round came to. As with a specialist, usage is told whatever the result.
pub type Decided = Outcome<Turn>;

/// Calls the supervisor.
pub trait Supervisor {
    /// Makes one round, without retrying: a repeated call is a second turn of the supervisor, with a
    /// second bill.
    ///
    /// The round ends within `round.timeout`, and at once when `round.stop` is given. A turn has a
    /// text or a call. `heard` is told of both as they come.
    fn decide(
        &self,
        round: &Round<'_>,
        heard: &mut (dyn FnMut(Heard<'_>) + Send),
    ) -> impl Future<Output = Decided> + Send;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(text: &str) -> Result<Value, String> {
        ToolCall::new("t".to_owned(), "n".to_owned(), text).arguments.map(Value::Object)
    }

    #[test]
    fn arguments_are_an_object_or_the_beginning_of_what_is_none() {
        assert_eq!(arguments(r#" {"a": {"b": 1}} "#), Ok(json!({ "a": { "b": 1 } })));
        for text in ["", " \n"] {
            assert_eq!(arguments(text), Ok(json!({})), "{text:?}");
        }
        for text in [r#"{"a": "#, "[1]", "null", "7", "\"a\"", "billing, please"] {
            assert_eq!(arguments(text), Err(text.to_owned()));
        }
        let long = "é".repeat(1_000);
        assert_eq!(arguments(&long), Err(echo(&long)));
    }
}
