//! Turns a scripted reply into the events of one stream, and plays them.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use aws_smithy_eventstream::error::Error as FrameError;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use super::action_group::GroupCall;
use super::calls::OpenCall;
use super::fault::Fault;
use super::script::{Reply, StreamOrder};
use super::wire::{self, Traces};
use crate::http::{Body, HangUp};
use crate::identity;

/// One thing a stream does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends these bytes, mostly one whole frame.
    Send(Bytes),
    /// Sends these bytes again and again, so long as the caller stays.
    Repeat(Bytes),
    /// Calls the action group, and tells of it in the trace. When that fails, the stream ends with
    /// an exception.
    Call(GroupCall),
    /// Says nothing more, ever.
    Hang,
    /// Closes the connection.
    Break,
}

/// All steps of a reply that has come as far as its stream. `traces` is `None` when the caller
/// asked for no traces, and `calls` are those of its action group: the agent makes them after its
/// first model invocation.
pub(super) fn steps(
    reply: &Reply,
    traces: Option<&Traces<'_>>,
    calls: Vec<GroupCall>,
) -> Result<Vec<Step>, FrameError> {
    let mut steps = told(reply, traces)?;
    let first = reply.usage.first().filter(|_| traces.is_some());
    let is_told_later = reply.stream_order == StreamOrder::Streaming && reply.usage.len() == 1;
    let frames = match first {
        None => 0,
        Some(usage) if usage.silent || is_told_later => 1,
        Some(_) => 2,
    };
    let rest = steps.split_off(frames.min(steps.len()));
    for mut call in calls {
        if let Some(traces) = traces {
            steps.push(Step::Send(call.traced(traces)?));
        }
        steps.push(Step::Call(call));
    }
    steps.extend(rest);
    Ok(steps)
}

/// What the agent says.
fn told(reply: &Reply, traces: Option<&Traces<'_>>) -> Result<Vec<Step>, FrameError> {
    let mut frames = Vec::new();
    let after = model_traces(reply, traces, &mut frames)?;
    let answer = reply.answer.as_bytes();
    let partial = &answer[..answer.len().div_ceil(2)];
    let mut end = None;
    match reply.fault {
        None | Some(Fault::Slow(_)) => {
            chunks(reply, &mut frames)?;
            frames.extend(after);
        }
        Some(Fault::Drip(_)) => end = Some(Step::Repeat(wire::chunk(b".")?)),
        Some(Fault::UnknownEvent) => {
            frames.push(wire::event("heartbeat", &json!({ "sequence": 1 }))?);
            chunks(reply, &mut frames)?;
            frames.extend(after);
        }
        Some(Fault::Masked) => {
            chunks(reply, &mut frames)?;
            frames.extend(traces.map(Traces::masked).transpose()?);
            frames.extend(after);
        }
        Some(Fault::Empty) => frames.extend(after),
        Some(Fault::SoftFailure) => {
            frames.extend(traces.map(Traces::failure).transpose()?);
            frames.push(wire::chunk(wire::CANNED_ANSWER.as_bytes())?);
            frames.extend(after);
        }
        Some(Fault::Guardrail) => {
            frames.extend(traces.map(Traces::guardrail).transpose()?);
            frames.push(wire::chunk(wire::CANNED_ANSWER.as_bytes())?);
            frames.extend(after);
        }
        Some(Fault::ReturnControl) => frames.push(return_control()?),
        Some(Fault::InStream(exception)) => {
            frames.push(wire::chunk(partial)?);
            frames.push(wire::exception(exception)?);
        }
        Some(Fault::CloseInStream) => {
            frames.push(wire::chunk(partial)?);
            let rest = wire::chunk(&answer[partial.len()..])?;
            frames.push(rest.slice(..rest.len() / 2));
            end = Some(Step::Break);
        }
        Some(Fault::BadChecksum) => {
            let mut damaged = wire::chunk(answer)?.to_vec();
            if let Some(last) = damaged.last_mut() {
                *last ^= 0xff;
            }
            frames.push(damaged.into());
        }
        Some(Fault::HangInStream) => {
            frames.push(wire::chunk(partial)?);
            end = Some(Step::Hang);
        }
        // These never come as far as a stream.
        Some(Fault::Before(_) | Fault::Hang | Fault::Close | Fault::Reset | Fault::Stop(_)) => {
            end = Some(Step::Break);
        }
    }
    Ok(frames.into_iter().map(Step::Send).chain(end).collect())
}

/// Adds the traces that come before the answer and returns those that come after it.
fn model_traces(
    reply: &Reply,
    traces: Option<&Traces<'_>>,
    before: &mut Vec<Bytes>,
) -> Result<Vec<Bytes>, FrameError> {
    let Some(traces) = traces else { return Ok(Vec::new()) };
    let mut after = Vec::new();
    for (step, usage) in reply.usage.iter().enumerate() {
        before.push(traces.model_input(step)?);
        if usage.silent {
            continue;
        }
        let last = step + 1 == reply.usage.len();
        let output = traces.model_output(step, *usage)?;
        match reply.stream_order {
            StreamOrder::Streaming if last => after.push(output),
            StreamOrder::Streaming | StreamOrder::Buffered => before.push(output),
        }
    }
    let finish = traces.final_response(reply.usage.len(), &reply.answer)?;
    match reply.stream_order {
        StreamOrder::Streaming => after.push(finish),
        StreamOrder::Buffered if reply.fault.is_none_or(Fault::answers) => before.push(finish),
        StreamOrder::Buffered => {}
    }
    Ok(after)
}

/// Splits the answer's bytes evenly, wherever its characters begin.
fn chunks(reply: &Reply, frames: &mut Vec<Bytes>) -> Result<(), FrameError> {
    let answer = reply.answer.as_bytes();
    for index in 0..reply.chunks {
        let at = |part: usize| answer.len() * part / reply.chunks;
        frames.push(wire::chunk(&answer[at(index)..at(index + 1)])?);
    }
    Ok(())
}

fn return_control() -> Result<Bytes, FrameError> {
    wire::event(
        "returnControl",
        &json!({
            "invocationId": identity::uuid(),
            "invocationInputs": [{ "functionInvocationInput": {
                "actionGroup": "Approvals",
                "function": "approve_refund",
                "actionInvocationType": "RESULT",
                "parameters": [],
            }}],
        }),
    )
}

/// A body that plays `steps` with the pauses of `reply` between them. `call` ends when the stream does, or is dropped with
/// the body when the caller leaves first.
pub(super) fn play(steps: Vec<Step>, reply: &Reply, call: OpenCall) -> Body {
    let gap = match reply.fault {
        Some(Fault::Drip(gap)) => gap,
        _ => reply.gap,
    };
    let player = Player { steps: steps.into(), gap, first: true, call: Some(call) };
    let frames = stream::unfold(player, |mut player| async move {
        player.next().await.map(|frame| (frame.map(Frame::data), player))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

struct Player {
    steps: VecDeque<Step>,
    gap: Duration,
    first: bool,
    call: Option<OpenCall>,
}

impl Player {
    async fn next(&mut self) -> Option<Result<Bytes, HangUp>> {
        if !std::mem::take(&mut self.first) && !self.gap.is_zero() {
            tokio::time::sleep(self.gap).await;
        }
        // A pending body makes the server send what it holds, which a `Break` would discard.
        tokio::task::yield_now().await;
        while let Some(Step::Call(_)) = self.steps.front() {
            let Some(Step::Call(call)) = self.steps.pop_front() else { break };
            match call.make().await {
                Ok(Some(trace)) => return Some(Ok(trace)),
                Ok(None) => {}
                Err(exception) => {
                    self.steps.clear();
                    return Some(Ok(exception));
                }
            }
        }
        match self.steps.pop_front() {
            Some(Step::Send(bytes)) => Some(Ok(bytes)),
            Some(Step::Repeat(bytes)) => {
                self.steps.push_front(Step::Repeat(bytes.clone()));
                Some(Ok(bytes))
            }
            Some(Step::Hang) => pending().await,
            Some(Step::Break) => {
                self.finish();
                Some(Err(HangUp::Close))
            }
            Some(Step::Call(_)) | None => {
                self.finish();
                None
            }
        }
    }

    fn finish(&mut self) {
        if let Some(call) = self.call.take() {
            call.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use aws_smithy_eventstream::frame::read_message_from;
    use serde_json::Value;

    use super::super::script::Script;
    use super::*;

    const TRACES: Traces<'_> =
        Traces { agent_id: "A", alias_id: "B", session_id: "s", trace_id: "t", now: UNIX_EPOCH };

    fn steps_of(reply: &str, traces: Option<&Traces<'_>>) -> Vec<Step> {
        let script = format!(r#"a = {{ agent = "A/B", replies = [{{ {reply} }}] }}"#);
        let script = Script::parse(&script).unwrap();
        steps(&script.specialists["a"].replies[0], traces, Vec::new()).unwrap()
    }

    /// The kind and payload of each frame; `?` where a frame cannot be decoded.
    fn decoded(steps: &[Step]) -> Vec<(String, Value)> {
        let decode = |step: &Step| match step {
            Step::Send(bytes) => match read_message_from(&bytes[..]) {
                Ok(message) => {
                    let kind = message.headers()[0].value().as_string().unwrap().as_str();
                    (kind.to_owned(), serde_json::from_slice(message.payload()).unwrap())
                }
                Err(_) => ("?".to_owned(), Value::Null),
            },
            other => (format!("{other:?}"), Value::Null),
        };
        steps.iter().map(decode).collect()
    }

    /// The stream in short: the kinds of events, traces by what they trace.
    fn kinds(steps: &[Step]) -> Vec<String> {
        let traced = |payload: &Value| {
            let (kind, part) = payload["trace"].as_object().unwrap().iter().next().unwrap();
            if kind == "orchestrationTrace" {
                part.as_object().unwrap().keys().next().unwrap().clone()
            } else {
                kind.clone()
            }
        };
        decoded(steps)
            .into_iter()
            .map(|(kind, payload)| if kind == "trace" { traced(&payload) } else { kind })
            .collect()
    }

    const TWO_MODEL_CALLS: &str =
        r#"answer = "yes", usage = [{ input = 3, output = 4 }, { input = 5, output = 6 }]"#;

    #[test]
    fn without_enable_trace_there_is_no_trace() {
        assert_eq!(kinds(&steps_of(TWO_MODEL_CALLS, None)), ["chunk"]);
    }

    #[test]
    fn a_buffered_answer_comes_after_all_its_usage() {
        assert_eq!(
            kinds(&steps_of(TWO_MODEL_CALLS, Some(&TRACES))),
            [
                "modelInvocationInput",
                "modelInvocationOutput",
                "modelInvocationInput",
                "modelInvocationOutput",
                "observation",
                "chunk"
            ]
        );
    }

    #[test]
    fn a_streamed_answer_comes_before_the_last_usage() {
        let reply = format!("{TWO_MODEL_CALLS}, stream_order = \"streaming\", chunks = 2");
        assert_eq!(
            kinds(&steps_of(&reply, Some(&TRACES))),
            [
                "modelInvocationInput",
                "modelInvocationOutput",
                "modelInvocationInput",
                "chunk",
                "chunk",
                "modelInvocationOutput",
                "observation"
            ]
        );
    }

    #[test]
    fn a_trace_has_the_services_envelope_and_usage() {
        let (_, payload) = decoded(&steps_of(TWO_MODEL_CALLS, Some(&TRACES))).swap_remove(3);
        let usage =
            &payload["trace"]["orchestrationTrace"]["modelInvocationOutput"]["metadata"]["usage"];
        assert_eq!(*usage, json!({ "inputTokens": 5, "outputTokens": 6 }));
        let keys: Vec<&String> = payload.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "agentAliasId",
                "agentId",
                "agentVersion",
                "callerChain",
                "eventTime",
                "sessionId",
                "trace"
            ]
        );
    }

    #[test]
    fn chunks_together_are_the_answer_even_where_a_character_is_split() {
        let steps = steps_of(r#"answer = "aéü", chunks = 4"#, None);
        let parts: Vec<Vec<u8>> = decoded(&steps)
            .iter()
            .map(|(_, chunk)| {
                aws_smithy_types::base64::decode(chunk["bytes"].as_str().unwrap()).unwrap()
            })
            .collect();
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().any(|part| std::str::from_utf8(part).is_err()));
        assert_eq!(parts.concat(), "aéü".as_bytes());
    }

    #[test]
    fn faults_inside_the_stream_leave_a_partial_answer() {
        let cases = [
            ("in-stream:throttlingException", ["chunk", "throttlingException"]),
            ("hang-in-stream", ["chunk", "Hang"]),
        ];
        for (fault, expected) in cases {
            assert_eq!(kinds(&steps_of(&format!("fault = {fault:?}"), None)), expected);
        }
        let close = kinds(&steps_of(r#"fault = "close-in-stream""#, None));
        assert_eq!(close, ["chunk", "?", "Break"]);
    }

    #[test]
    fn a_reply_may_have_a_thousand_events_or_a_megabyte_in_one() {
        let many = steps_of("answer_bytes = 5000, chunks = 1000", None);
        assert_eq!(many.len(), 1_000);
        let traces = vec!["{ input = 1, output = 1 }"; 500].join(", ");
        let many = steps_of(&format!(r#"answer = "x", usage = [{traces}]"#), Some(&TRACES));
        assert_eq!(many.len(), 1_002, "two a model invocation, the final one and a chunk");
        let huge = decoded(&steps_of("answer_bytes = 1000000", None)).swap_remove(0).1;
        let bytes = aws_smithy_types::base64::decode(huge["bytes"].as_str().unwrap()).unwrap();
        assert_eq!(bytes.len(), 1_000_000);
    }

    #[test]
    fn a_slow_answer_is_whole_and_a_dripping_one_never() {
        assert_eq!(kinds(&steps_of(r#"answer = "x", fault = "slow""#, None)), ["chunk"]);
        let drip = steps_of(r#"fault = "drip=1ms""#, None);
        assert!(matches!(drip[..], [Step::Repeat(_)]), "{drip:?}");
    }

    #[test]
    fn faults_of_content_keep_the_stream_intact() {
        let kinds = |fault: &str| {
            kinds(&steps_of(&format!(r#"answer = "x", fault = {fault:?}"#), Some(&TRACES)))
        };
        assert_eq!(kinds("empty"), [""; 0]);
        assert_eq!(kinds("unknown-event"), ["observation", "heartbeat", "chunk"]);
        assert_eq!(kinds("soft-failure"), ["failureTrace", "chunk"]);
        assert_eq!(kinds("guardrail"), ["guardrailTrace", "chunk"]);
        assert_eq!(kinds("masked"), ["observation", "chunk", "guardrailTrace"]);
        assert_eq!(kinds("return-control"), ["returnControl"]);
        assert_eq!(kinds("bad-checksum"), ["?"]);
    }
}
