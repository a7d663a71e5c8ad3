//! The function behind the action group of the scripted Bedrock agents.
//!
//! Such an agent calls it by itself, within its turn, and its caller sees that in the trace alone.
//! Calls and replies have the form of function details. What Bedrock takes for a failed dependency
//! ends the turn: an error of the function, a reply of another form or of more than 25,000 bytes, and
//! `responseState: FAILURE`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_eventstream::error::Error as FrameError;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::asked::Asked;
use super::fault::Exception;
use super::tool_call::ToolCall;
use super::wire::{self, Traces};

/// The most bytes of a reply.
const MOST_REPLY_BYTES: usize = 25_000;

/// The name of the action group, which no script gives.
pub(super) const NAME: &str = "supervisor-router";

/// The function, which is invoked with an event and gives its reply, or nothing when it failed.
#[derive(Clone)]
pub(super) struct Function(Arc<Invoke>);

type Invoke = dyn Fn(Bytes) -> BoxFuture<'static, Option<Bytes>> + Send + Sync;

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Function {}

/// The action group of all agents, behind which there may be no function.
#[derive(Debug, Default)]
pub(super) struct ActionGroup(Mutex<Option<Function>>);

impl ActionGroup {
    pub(super) fn set<F>(&self, invoke: impl Fn(Bytes) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<Bytes>> + Send + 'static,
    {
        let function = Function(Arc::new(move |event| invoke(event).boxed()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(function);
    }

    /// The calls that an agent makes when it is asked this.
    pub(super) fn calls(&self, asked: &Asked, calls: &[ToolCall]) -> Vec<GroupCall> {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = |call: &ToolCall| GroupCall {
            function: function.clone(),
            name: call.name.clone(),
            parameters: call.parameters(),
            event: event(asked, call).to_string().into(),
            trace: None,
        };
        calls.iter().map(of).collect()
    }
}

/// One call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupCall {
    function: Option<Function>,
    name: String,
    parameters: Vec<Value>,
    event: Bytes,
    /// What the caller is told of its end, if traces are wanted.
    trace: Option<Value>,
}

impl GroupCall {
    /// The trace that tells of its beginning; from now on its end is told, too.
    pub(super) fn traced(&mut self, traces: &Traces<'_>) -> Result<Bytes, FrameError> {
        self.trace = Some(traces.group_output());
        wire::event("trace", &traces.group_input(&self.name, &self.parameters))
    }

    /// Makes the call, and gives the trace of its end.
    ///
    /// # Errors
    ///
    /// The exception that the stream ends with.
    pub(super) async fn make(self) -> Result<Option<Bytes>, Bytes> {
        let failed = || wire::exception(Exception::DEPENDENCY_FAILED).unwrap_or_default();
        let function = self.function.ok_or_else(failed)?;
        let reply = (function.0)(self.event).await.ok_or_else(failed)?;
        let text = text(&reply).ok_or_else(failed)?;
        let Some(trace) = self.trace else { return Ok(None) };
        wire::event("trace", &wire::with_group_text(trace, &text)).map(Some).map_err(|_| failed())
    }
}

fn event(asked: &Asked, call: &ToolCall) -> Value {
    let (agent_id, alias_id) = asked.agent.split_once('/').unwrap_or_default();
    json!({
        "messageVersion": "1.0",
        "agent": { "name": "supervisor", "id": agent_id, "alias": alias_id, "version": "1" },
        "sessionId": asked.session_id,
        "inputText": asked.input_text,
        "sessionAttributes": asked.session_attributes,
        "promptSessionAttributes": {},
        "actionGroup": NAME,
        "function": call.name,
        "parameters": call.parameters(),
    })
}

/// The text of a reply that Bedrock takes.
fn text(reply: &Bytes) -> Option<String> {
    let value: Value = serde_json::from_slice(reply).ok()?;
    let response = &value["response"]["functionResponse"];
    let is_taken = reply.len() <= MOST_REPLY_BYTES && response["responseState"] != "FAILURE";
    let text = response["responseBody"]["TEXT"]["body"].as_str()?;
    is_taken.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_that_bedrock_takes_has_a_text() {
        let reply = |response: Value| {
            text(&json!({ "response": { "functionResponse": response } }).to_string().into())
        };
        let body = |body: Value| json!({ "TEXT": { "body": body } });
        let taken = json!({ "responseBody": body(json!("yes")), "responseState": "REPROMPT" });
        assert_eq!(reply(taken).as_deref(), Some("yes"));
        for refused in [
            json!({ "responseBody": body(json!("yes")), "responseState": "FAILURE" }),
            json!({ "responseBody": body(json!({ "a": 1 })) }),
            json!({ "responseBody": body(json!("x".repeat(MOST_REPLY_BYTES))) }),
            json!({}),
        ] {
            assert_eq!(reply(refused), None);
        }
        assert_eq!(text(&Bytes::from_static(b"no JSON")), None);
    }
}
