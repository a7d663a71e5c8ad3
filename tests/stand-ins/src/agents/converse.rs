//! The events of the Converse API, in which AgentCore harnesses and models answer.
//!
//! A harness shows its loop: a model call that asks for a tool, what the tool answered, and the next
//! one. What stands where follows recorded streams: usage comes after the end of its message, and a
//! `hookEvent` may follow the end of the answer.

use aws_smithy_eventstream::error::Error as FrameError;
use bytes::Bytes;
use serde_json::{Value, json};

use super::fault::{Exception, Fault};
use super::kind::AgentKind;
use super::playback::Step;
use super::script::{Reply, Usage};
use super::tool_call::ToolCall;
use super::wire::{self, CANNED_ANSWER};
use super::{harness, model};

/// All steps of a reply of a harness or a model that has come as far as its stream.
pub(super) fn steps(reply: &Reply, kind: AgentKind) -> Result<Vec<Step>, FrameError> {
    let mut stream = Stream { kind, block: 0, frames: Vec::new() };
    stream.calls_before_the_last(reply)?;
    let end = stream.last_call(reply)?;
    Ok(stream.frames.into_iter().map(Step::Send).chain(end).collect())
}

struct Stream {
    kind: AgentKind,
    /// The index of the block that is open, or comes next, in its message.
    block: usize,
    frames: Vec<Bytes>,
}

impl Stream {
    /// The model calls that end in the call of a tool. A plain model is called once.
    fn calls_before_the_last(&mut self, reply: &Reply) -> Result<(), FrameError> {
        if self.kind == AgentKind::Model {
            return Ok(());
        }
        let before = reply.usage.split_last().map_or(&[][..], |(_, before)| before);
        for (place, usage) in before.iter().enumerate() {
            self.start("assistant")?;
            self.text("Let me look that up.")?;
            self.block_stop()?;
            self.own_tool_use(place)?;
            self.stop("tool_use")?;
            self.metadata(*usage)?;
            self.hook("after_tool_call")?;
            self.start("user")?;
            let id = tool_use_id(place);
            self.block_start(json!({ "toolResult": { "toolUseId": id, "status": "success" } }))?;
            self.delta(json!({ "toolResult": [{ "text": "It was found." }] }))?;
            self.block_stop()?;
            self.stop("tool_result")?;
        }
        Ok(())
    }

    /// The model call that answers, and how the stream ends, if not in order.
    fn last_call(&mut self, reply: &Reply) -> Result<Option<Step>, FrameError> {
        self.start("assistant")?;
        match reply.fault {
            None | Some(Fault::Slow(_) | Fault::Masked | Fault::UnknownEvent) => {
                if reply.fault == Some(Fault::UnknownEvent) {
                    self.send("heartbeat", json!({ "sequence": 1 }))?;
                }
                let reason = if reply.calls.is_empty() { "end_turn" } else { "tool_use" };
                self.answer(reply, reason)?;
            }
            Some(Fault::Stop(reason)) => self.answer(reply, reason)?,
            Some(Fault::Drip(_)) => {
                let delta = json!({ "contentBlockIndex": 0, "delta": { "text": "." } });
                return Ok(Some(Step::Repeat(wire::event("contentBlockDelta", &delta)?)));
            }
            Some(Fault::Empty) => self.ending(reply, "end_turn")?,
            Some(Fault::SoftFailure) => {
                self.text(CANNED_ANSWER)?;
                let is_model = self.kind == AgentKind::Model;
                let limit = if is_model { "max_tokens" } else { "max_iterations_exceeded" };
                self.ending(reply, limit)?;
            }
            Some(Fault::Guardrail) => {
                self.text(CANNED_ANSWER)?;
                self.ending(reply, "guardrail_intervened")?;
            }
            Some(Fault::ReturnControl) => {
                self.own_tool_use(reply.usage.len())?;
                self.ending(reply, "tool_use")?;
            }
            Some(Fault::InStream(exception)) => {
                self.text(reply.half())?;
                let (name, message) = self.exception(exception);
                self.frames.push(wire::exception_of(&name, &message)?);
            }
            Some(Fault::CloseInStream) => {
                self.text(reply.half())?;
                self.text(reply.half())?;
                let last = self.frames.pop().unwrap_or_default();
                self.frames.push(last.slice(..last.len() / 2));
                return Ok(Some(Step::Break));
            }
            Some(Fault::BadChecksum) => {
                self.text(&reply.answer)?;
                let mut damaged = self.frames.pop().unwrap_or_default().to_vec();
                if let Some(last) = damaged.last_mut() {
                    *last ^= 0xff;
                }
                self.frames.push(damaged.into());
            }
            Some(Fault::HangInStream) => {
                self.text(reply.half())?;
                return Ok(Some(Step::Hang));
            }
            // These never come as far as a stream.
            Some(Fault::Before(_) | Fault::Hang | Fault::Close | Fault::Reset) => {
                return Ok(Some(Step::Break));
            }
        }
        Ok(None)
    }

    fn answer(&mut self, reply: &Reply, reason: &str) -> Result<(), FrameError> {
        if !reply.answer.is_empty() {
            reply.parts().into_iter().try_for_each(|part| self.text(part))?;
            self.block_stop()?;
        }
        reply.calls.iter().try_for_each(|call| self.tool_use(call))?;
        self.message_end(reply, reason)
    }

    /// What comes after the text.
    fn ending(&mut self, reply: &Reply, reason: &str) -> Result<(), FrameError> {
        self.block_stop()?;
        self.message_end(reply, reason)
    }

    fn message_end(&mut self, reply: &Reply, reason: &str) -> Result<(), FrameError> {
        self.stop(reason)?;
        let last = reply.usage.last().copied();
        let usage = match self.kind {
            AgentKind::Model => reply.usage.iter().copied().reduce(Usage::plus),
            _ => last,
        };
        usage.map_or(Ok(()), |usage| self.metadata(usage))?;
        self.hook("after_invocation")
    }

    fn exception(&self, exception: Exception) -> (String, String) {
        let failure = match self.kind {
            AgentKind::Model => model::failure_in_stream(exception),
            _ => harness::failure(exception),
        };
        let mut name = failure.error_type;
        name[..1].make_ascii_lowercase();
        (name, failure.message)
    }

    fn start(&mut self, role: &str) -> Result<(), FrameError> {
        self.block = 0;
        self.send("messageStart", json!({ "role": role }))
    }

    fn text(&mut self, text: &str) -> Result<(), FrameError> {
        self.delta(json!({ "text": text }))
    }

    /// A call of a tool that the harness runs itself.
    fn own_tool_use(&mut self, place: usize) -> Result<(), FrameError> {
        self.tool_use(&ToolCall {
            id: tool_use_id(place),
            name: "look_up".to_owned(),
            arguments: "{}".to_owned(),
        })
    }

    fn tool_use(&mut self, call: &ToolCall) -> Result<(), FrameError> {
        let ToolCall { id, name, arguments } = call;
        let mut start = json!({ "toolUseId": id, "name": name });
        if self.kind == AgentKind::Harness {
            start["type"] = "tool_use".into();
        }
        self.block_start(json!({ "toolUse": start }))?;
        // In two pieces, unless there is nothing in it.
        let half = if arguments.len() > 2 { arguments.len() / 2 } else { arguments.len() };
        let (one, two) = arguments.split_at(arguments.ceil_char_boundary(half));
        for piece in [one, two].into_iter().filter(|piece| !piece.is_empty()) {
            self.delta(json!({ "toolUse": { "input": piece } }))?;
        }
        self.block_stop()
    }

    fn block_start(&mut self, start: Value) -> Result<(), FrameError> {
        self.send("contentBlockStart", json!({ "contentBlockIndex": self.block, "start": start }))
    }

    fn block_stop(&mut self) -> Result<(), FrameError> {
        self.send("contentBlockStop", json!({ "contentBlockIndex": self.block }))?;
        self.block += 1;
        Ok(())
    }

    fn delta(&mut self, delta: Value) -> Result<(), FrameError> {
        self.send("contentBlockDelta", json!({ "contentBlockIndex": self.block, "delta": delta }))
    }

    fn stop(&mut self, reason: &str) -> Result<(), FrameError> {
        self.send("messageStop", json!({ "stopReason": reason }))
    }

    fn metadata(&mut self, usage: Usage) -> Result<(), FrameError> {
        if usage.silent {
            return Ok(());
        }
        let Usage { input, output, cache_read, cache_write, .. } = usage;
        let total = input + output + cache_read + cache_write;
        let mut usage =
            json!({ "inputTokens": input, "outputTokens": output, "totalTokens": total });
        for (name, tokens) in
            [("cacheReadInputTokens", cache_read), ("cacheWriteInputTokens", cache_write)]
        {
            if tokens > 0 {
                usage[name] = tokens.into();
            }
        }
        self.send("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 1 } }))
    }

    /// Models have no hooks.
    fn hook(&mut self, event: &str) -> Result<(), FrameError> {
        if self.kind == AgentKind::Model {
            return Ok(());
        }
        self.send("hookEvent", json!({ "hookEventId": "h-1", "name": "audit", "type": event }))
    }

    fn send(&mut self, name: &'static str, payload: Value) -> Result<(), FrameError> {
        self.frames.push(wire::event(name, &payload)?);
        Ok(())
    }
}

fn tool_use_id(place: usize) -> String {
    format!("tooluse_{place}")
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::super::script::Script;
    use super::*;

    const HARNESS: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/a-AbCdEf1234";
    const USAGE: &str = "usage = [{ input = 3, output = 4 }, { input = 5, output = 6 }]";

    /// The names of the stream's events with what tells them apart; `?` of a damaged frame.
    fn played(agent: &str, reply: &str) -> Vec<String> {
        let script = format!(r#"a = {{ agent = "{agent}", replies = [{{ {reply} }}] }}"#);
        let script = Script::parse(&script).unwrap();
        let specialist = &script.specialists["a"];
        let named = |step: &Step| {
            let Step::Send(bytes) = step else { return format!("{step:?}") };
            let Ok(message) = read_message_from(&bytes[..]) else { return "?".to_owned() };
            let name = message.headers()[0].value().as_string().unwrap().as_str().to_owned();
            let payload: Value = serde_json::from_slice(message.payload()).unwrap();
            let told = ["role", "stopReason"].iter().find_map(|key| payload[key].as_str());
            let text = payload["delta"]["text"].as_str();
            told.or(text).map_or(name.clone(), |told| format!("{name} {told}"))
        };
        steps(&specialist.replies[0], specialist.kind).unwrap().iter().map(named).collect()
    }

    #[test]
    fn a_harness_shows_its_tools_and_a_hook_after_the_end() {
        assert_eq!(
            played(HARNESS, &format!("answer = 'yes', {USAGE}")),
            [
                "messageStart assistant",
                "contentBlockDelta Let me look that up.",
                "contentBlockStop",
                "contentBlockStart",
                "contentBlockDelta",
                "contentBlockStop",
                "messageStop tool_use",
                "metadata",
                "hookEvent",
                "messageStart user",
                "contentBlockStart",
                "contentBlockDelta",
                "contentBlockStop",
                "messageStop tool_result",
                "messageStart assistant",
                "contentBlockDelta yes",
                "contentBlockStop",
                "messageStop end_turn",
                "metadata",
                "hookEvent",
            ]
        );
    }

    #[test]
    fn a_model_is_called_once() {
        assert_eq!(
            played("model:m", &format!("answer = 'yes', chunks = 3, {USAGE}")),
            [
                "messageStart assistant",
                "contentBlockDelta y",
                "contentBlockDelta e",
                "contentBlockDelta s",
                "contentBlockStop",
                "messageStop end_turn",
                "metadata",
            ]
        );
    }

    #[test]
    fn calls_of_tools_follow_the_text_each_in_a_block_of_its_own() {
        let calls =
            "calls = [{ name = 'a', arguments = { q = 1 } }, { name = 'b', arguments = '' }]";
        assert_eq!(
            played("model:m", &format!("answer = 'yes', {calls}")),
            [
                "messageStart assistant",
                "contentBlockDelta yes",
                "contentBlockStop",
                "contentBlockStart",
                "contentBlockDelta",
                "contentBlockDelta",
                "contentBlockStop",
                "contentBlockStart",
                "contentBlockStop",
                "messageStop tool_use",
            ]
        );
    }

    #[test]
    fn a_fault_breaks_the_stream_or_ends_its_message_for_a_reason() {
        let ends = |agent: &str, fault: &str| {
            let played = played(agent, &format!("answer = 'yes', fault = '{fault}'"));
            played[played.len() - 2..].join(", ")
        };
        for (agent, fault, expected) in [
            ("model:m", "stop:max_tokens", "contentBlockStop, messageStop max_tokens"),
            (HARNESS, "stop:hook_stopped", "messageStop hook_stopped, hookEvent"),
            (HARNESS, "close-in-stream", "?, Break"),
            (HARNESS, "bad-checksum", "messageStart assistant, ?"),
            (HARNESS, "in-stream:badGatewayException", "contentBlockDelta ye, runtimeClientError"),
            (
                "model:m",
                "in-stream:badGatewayException",
                "contentBlockDelta ye, serviceUnavailableException",
            ),
        ] {
            assert_eq!(ends(agent, fault), expected, "{fault}");
        }
    }
}
