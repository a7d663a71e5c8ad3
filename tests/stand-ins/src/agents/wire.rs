//! What an agent's stream looks like on the wire: event-stream frames with JSON in them.
//!
//! Names, header order and the shape of a trace's envelope follow recorded traffic, not the
//! service model alone: the model's limits on some fields do not hold there.

use std::time::SystemTime;

use aws_smithy_eventstream::error::Error as FrameError;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::base64;
use aws_smithy_types::date_time::{DateTime, Format};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

use super::action_group;
use super::fault::Exception;
use super::script::Usage;
use crate::clock;
use crate::identity::{ACCOUNT, REGION};

/// What Bedrock says when it will not say why.
pub(super) const CANNED_ANSWER: &str = "Sorry, I am unable to assist you with this request.";

/// One event of a type that callers know.
pub(super) fn event(event_type: &'static str, payload: &Value) -> Result<Bytes, FrameError> {
    frame(":event-type", event_type, "event", payload)
}

/// A part of the answer; it may begin or end inside a character.
pub(super) fn chunk(part: &[u8]) -> Result<Bytes, FrameError> {
    event("chunk", &json!({ "bytes": base64::encode(part) }))
}

/// An exception inside the stream.
pub(super) fn exception(exception: Exception) -> Result<Bytes, FrameError> {
    exception_of(exception.in_stream_name(), &exception.message())
}

/// An exception of this name inside the stream.
pub(super) fn exception_of(name: &str, message: &str) -> Result<Bytes, FrameError> {
    frame(":exception-type", name, "exception", &json!({ "message": message }))
}

fn frame(
    kind_header: &'static str,
    kind: &str,
    message_type: &'static str,
    payload: &Value,
) -> Result<Bytes, FrameError> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let message = Message::new(payload.to_string())
        .add_header(Header::new(kind_header, text(kind)))
        .add_header(Header::new(":content-type", text("application/json")))
        .add_header(Header::new(":message-type", text(message_type)));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes)?;
    Ok(bytes.into())
}

/// The traces of one call, which share their envelope.
pub(super) struct Traces<'a> {
    pub(super) agent_id: &'a str,
    pub(super) alias_id: &'a str,
    pub(super) session_id: &'a str,
    /// The id that all traces of the call begin with.
    pub(super) trace_id: &'a str,
    pub(super) now: SystemTime,
}

impl Traces<'_> {
    /// A model invocation is about to start.
    pub(super) fn model_input(&self, step: usize) -> Result<Bytes, FrameError> {
        self.orchestration(json!({ "modelInvocationInput": {
            "traceId": self.step_id(step),
            "type": "ORCHESTRATION",
            "foundationModel": "amazon.nova-lite-v1:0",
            "text": "{\"system\":\"\",\"messages\":[]}",
        }}))
    }

    /// A model invocation has ended and reports its usage.
    pub(super) fn model_output(&self, step: usize, usage: Usage) -> Result<Bytes, FrameError> {
        let Usage { input, output, cache_read, cache_write, .. } = usage;
        let mut usage = json!({ "inputTokens": input, "outputTokens": output });
        for (name, tokens) in
            [("cacheReadInputTokens", cache_read), ("cacheWriteInputTokens", cache_write)]
        {
            if tokens > 0 {
                usage[name] = tokens.into();
            }
        }
        self.orchestration(json!({ "modelInvocationOutput": {
            "traceId": self.step_id(step),
            "rawResponse": { "content": "{}" },
            "metadata": { "clientRequestId": self.trace_id, "usage": usage },
        }}))
    }

    /// The agent has its final answer.
    pub(super) fn final_response(&self, step: usize, answer: &str) -> Result<Bytes, FrameError> {
        self.orchestration(json!({ "observation": {
            "traceId": self.step_id(step),
            "type": "FINISH",
            "finalResponse": { "text": answer },
        }}))
    }

    /// The agent has given up, which its caller sees as a normal answer.
    pub(super) fn failure(&self) -> Result<Bytes, FrameError> {
        self.trace(json!({ "failureTrace": {
            "traceId": self.step_id(0),
            "failureReason": "LLM prediction format incorrect",
        }}))
    }

    /// A guardrail has replaced the answer.
    pub(super) fn guardrail(&self) -> Result<Bytes, FrameError> {
        let topics = json!([{ "name": "sandbox", "type": "DENY", "action": "BLOCKED" }]);
        self.intervened("pre", "inputAssessments", json!({ "topicPolicy": { "topics": topics } }))
    }

    /// A guardrail has masked a part of the answer.
    pub(super) fn masked(&self) -> Result<Bytes, FrameError> {
        let entities = json!([{ "type": "EMAIL", "match": "a@b.c", "action": "ANONYMIZED" }]);
        let policy = json!({ "sensitiveInformationPolicy": { "piiEntities": entities } });
        self.intervened("post", "outputAssessments", policy)
    }

    /// The action group is about to be called.
    pub(super) fn group_input(&self, function: &str, parameters: &[Value]) -> Value {
        let input = json!({
            "actionGroupName": action_group::NAME,
            "function": function,
            "parameters": parameters,
            "executionType": "LAMBDA",
        });
        self.payload(json!({ "orchestrationTrace": { "invocationInput": {
            "traceId": self.step_id(0),
            "invocationType": "ACTION_GROUP",
            "actionGroupInvocationInput": input,
        }}}))
    }

    /// The action group has answered; the text is not known yet.
    pub(super) fn group_output(&self) -> Value {
        self.payload(json!({ "orchestrationTrace": { "observation": {
            "traceId": self.step_id(0),
            "type": "ACTION_GROUP",
            "actionGroupInvocationOutput": { "text": null },
        }}}))
    }

    fn intervened(&self, when: &str, place: &str, found: Value) -> Result<Bytes, FrameError> {
        self.trace(json!({ "guardrailTrace": {
            "traceId": format!("{}-guardrail-{when}-0", self.trace_id),
            "action": "INTERVENED",
            place: [found],
        }}))
    }

    fn step_id(&self, step: usize) -> String {
        format!("{}-{step}", self.trace_id)
    }

    fn orchestration(&self, part: Value) -> Result<Bytes, FrameError> {
        self.trace(json!({ "orchestrationTrace": part }))
    }

    fn trace(&self, trace: Value) -> Result<Bytes, FrameError> {
        event("trace", &self.payload(trace))
    }

    fn payload(&self, trace: Value) -> Value {
        let Self { agent_id, alias_id, session_id, .. } = self;
        let alias_arn =
            format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:agent-alias/{agent_id}/{alias_id}");
        json!({
            "agentId": agent_id,
            "agentAliasId": alias_id,
            "agentVersion": "1",
            "sessionId": session_id,
            "callerChain": [{ "agentAliasArn": alias_arn }],
            "eventTime": event_time(self.now),
            "trace": trace,
        })
    }
}

/// The trace of an action group that answered this now.
pub(super) fn with_group_text(mut trace: Value, text: &str) -> Value {
    trace["eventTime"] = event_time(clock::now()).into();
    let observation = &mut trace["trace"]["orchestrationTrace"]["observation"];
    observation["actionGroupInvocationOutput"]["text"] = text.into();
    trace
}

/// RFC 3339 with nine fractional digits, as Bedrock writes it.
fn event_time(time: SystemTime) -> String {
    let millis = clock::unix_millis(time);
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let whole = DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_default();
    format!("{}.{:03}000000Z", whole.trim_end_matches('Z'), millis % 1000)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};

    use super::*;

    #[test]
    fn a_frame_decodes_again_with_its_headers_in_the_services_order() {
        let frame = chunk("é".as_bytes()).unwrap();
        let DecodedFrame::Complete(message) =
            MessageFrameDecoder::new().decode_frame(&frame[..]).unwrap()
        else {
            panic!("incomplete")
        };
        let headers: Vec<(&str, &str)> = message
            .headers()
            .iter()
            .map(|h| (h.name().as_str(), h.value().as_string().unwrap().as_str()))
            .collect();
        assert_eq!(
            headers,
            [
                (":event-type", "chunk"),
                (":content-type", "application/json"),
                (":message-type", "event")
            ]
        );
        assert_eq!(&message.payload()[..], br#"{"bytes":"w6k="}"#);
    }

    #[test]
    fn event_times_have_nine_fractional_digits() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_050);
        assert_eq!(event_time(time), "2023-11-14T22:13:20.050000000Z");
    }
}
