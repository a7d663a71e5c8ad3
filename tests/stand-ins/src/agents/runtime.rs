//! Stand-in of AgentCore: `InvokeAgentRuntime`, and the container behind it.
//!
//! The container speaks as AgentCore's SDK for Python has its agents speak: a text that is
//! yielded becomes an event with a JSON string, a value that is returned a JSON body, and an
//! exception an `error` in the stream, or before it a status that the service wraps into
//! `RuntimeClientError`. With `format = "strands"` it passes on what a Strands agent yields, and
//! with a `content_type` it sends the answer byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{Asked, is_signed_for_region_of, percent_decode, query, region};
use super::failure::Failure;
use super::fault::{Exception, Fault};
use super::kind::AgentKind;
use super::playback::Step;
use super::script::{Format, Reply, Usage};
use super::wire::CANNED_ANSWER;

pub(super) const SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");

/// The name of the service in a signature.
pub(super) const SIGNED_FOR: &str = "bedrock-agentcore";

/// What a container gets.
#[derive(Deserialize)]
struct Payload {
    prompt: String,
    #[serde(default)]
    session_attributes: BTreeMap<String, String>,
}

/// Reads `POST /runtimes/{arn}/invocations?qualifier={endpoint}`; `None` for other requests.
pub(super) fn read(request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let segments: Vec<&str> = request.uri().path().split('/').collect();
    let ["", "runtimes", arn, "invocations"] = segments[..] else { return None };
    if *request.method() != Method::POST {
        return None;
    }
    let asked = asked(arn, request).ok_or_else(|| failure(Exception::VALIDATION));
    Some(asked)
}

fn asked(arn: &str, request: &Request<Bytes>) -> Option<Asked> {
    let mut agent = percent_decode(arn)?;
    let session_id = request.headers().get(SESSION_ID)?.to_str().ok()?;
    // The limits are those of the service model of bedrock-agentcore 2024-02-28.
    let is_session = (33..=256).contains(&session_id.len());
    if !is_session || !is_signed_for_region_of(&agent, SIGNED_FOR, request.headers()) {
        return None;
    }
    if let Some(endpoint) = query(request, "qualifier") {
        agent = format!("{agent}/runtime-endpoint/{}", percent_decode(endpoint)?);
    }
    let payload: Payload = serde_json::from_slice(request.body()).ok()?;
    Some(Asked {
        kind: AgentKind::Runtime,
        agent,
        region: region(request.headers()),
        session_id: session_id.to_owned(),
        input_text: payload.prompt,
        session_attributes: payload.session_attributes,
        enable_trace: false,
        dialogue: None,
    })
}

/// An exception of `InvokeAgent` as AgentCore has it. What AgentCore does not have comes from the
/// container, or from its start.
pub(super) fn failure(exception: Exception) -> Failure {
    let of_the_container = |message: &str| Failure {
        error_type: "RuntimeClientError".to_owned(),
        status: StatusCode::FAILED_DEPENDENCY,
        message: format!("{message} Please check your CloudWatch logs for more information."),
    };
    let usual = Failure::from(exception);
    match exception.in_stream_name() {
        "conflictException" => {
            Failure { error_type: "RetryableConflictException".to_owned(), ..usual }
        }
        "serviceQuotaExceededException" => {
            Failure { status: StatusCode::PAYMENT_REQUIRED, ..usual }
        }
        "dependencyFailedException" => of_the_container("Received error (500) from runtime."),
        "badGatewayException" => of_the_container("Received error (502) from runtime."),
        "modelNotReadyException" => of_the_container("Runtime initialization time exceeded."),
        _ => usual,
    }
}

/// The exception that a fault is before any body. A container that answers with JSON has nothing
/// sent when it raises one.
pub(super) fn before_the_body(reply: &Reply) -> Option<Failure> {
    match (reply.fault?, reply.format) {
        (Fault::Before(exception), _) => Some(failure(exception)),
        (Fault::InStream(_), Format::Json) => Some(failure(Exception::DEPENDENCY_FAILED)),
        _ => None,
    }
}

/// The content type of a reply.
pub(super) fn content_type(reply: &Reply) -> &str {
    match (&reply.content_type, reply.format) {
        (Some(content_type), _) => content_type,
        (None, Format::Json) => "application/json",
        (None, Format::Stream | Format::Strands) => "text/event-stream; charset=utf-8",
    }
}

/// All steps of a reply that has come as far as its body.
pub(super) fn steps(reply: &Reply) -> Vec<Step> {
    if reply.content_type.is_some() {
        let parts = reply.parts().into_iter();
        return parts.map(|part| Step::Send(part.to_owned().into())).collect();
    }
    match reply.format {
        Format::Json => body_steps(reply),
        Format::Stream | Format::Strands => event_steps(reply),
    }
}

fn body_steps(reply: &Reply) -> Vec<Step> {
    let body = |result: &str| {
        let mut body = json!({ "result": result });
        if let Some(usage) = usage(&reply.usage) {
            body["usage"] = usage;
        }
        body
    };
    let whole = |body: &Value| vec![Step::Send(body.to_string().into())];
    let half_and = |end: Step| {
        let body = body(&reply.answer).to_string();
        vec![Step::Send(body.as_bytes()[..body.len() / 2].to_vec().into()), end]
    };
    match reply.fault {
        None | Some(Fault::Slow(_) | Fault::Masked) => whole(&body(&reply.answer)),
        Some(Fault::UnknownEvent) => {
            let mut body = body(&reply.answer);
            body["heartbeat"] = json!({ "sequence": 1 });
            whole(&body)
        }
        Some(Fault::Empty) => whole(&body("")),
        Some(Fault::SoftFailure) => {
            let mut body = body(CANNED_ANSWER);
            body["status"] = "error".into();
            whole(&body)
        }
        Some(Fault::Guardrail) => {
            let mut body = body(CANNED_ANSWER);
            body["stop_reason"] = "guardrail_intervened".into();
            whole(&body)
        }
        Some(Fault::BadChecksum) => {
            let body = body(&reply.answer).to_string();
            vec![Step::Send(body.as_bytes()[..body.len() - 1].to_vec().into())]
        }
        Some(Fault::Drip(_)) => vec![Step::Send("\"".into()), Step::Repeat(".".into())],
        Some(Fault::HangInStream) => half_and(Step::Hang),
        Some(Fault::CloseInStream) => half_and(Step::Break),
        // It has no text, only what is to be done.
        Some(Fault::ReturnControl) => {
            let mut body = body("");
            body["stop_reason"] = "interrupt".into();
            whole(&body)
        }
        // These never come as far as a body.
        Some(
            Fault::Before(_)
            | Fault::InStream(_)
            | Fault::Hang
            | Fault::Close
            | Fault::Reset
            | Fault::Stop(_),
        ) => vec![Step::Break],
    }
}

fn event_steps(reply: &Reply) -> Vec<Step> {
    let dialect = reply.format;
    let partial = || text(dialect, reply.half());
    let mut end = None;
    let mut events = Vec::new();
    if dialect == Format::Strands {
        events.push(json!({ "init_event_loop": true }));
        events.extend(turns_before_the_last(&reply.usage));
        events.push(converse(json!({ "messageStart": { "role": "assistant" } })));
    }
    match reply.fault {
        None | Some(Fault::Slow(_) | Fault::Masked | Fault::UnknownEvent) => {
            if reply.fault == Some(Fault::UnknownEvent) {
                events.push(json!({ "heartbeat": { "sequence": 1 } }));
            }
            events.extend(reply.parts().iter().map(|part| text(dialect, part)));
            events.extend(ending(reply, "end_turn"));
        }
        Some(Fault::Drip(_)) => end = Some(Step::Repeat(event(&text(dialect, ".")))),
        Some(Fault::Empty) => events.extend(ending(reply, "end_turn")),
        Some(Fault::SoftFailure) => {
            let mut failed = json!({ "status": "error", "response": CANNED_ANSWER });
            if let Some(usage) = usage(&reply.usage) {
                failed["usage"] = usage;
            }
            events.push(failed);
        }
        Some(Fault::Guardrail) => {
            events.push(text(dialect, CANNED_ANSWER));
            events.push(stop("guardrail_intervened"));
            events.extend(ending(reply, "guardrail_intervened"));
        }
        Some(Fault::ReturnControl) => events.extend(ending(reply, "interrupt")),
        Some(Fault::InStream(exception)) => {
            events.push(partial());
            events.push(json!({
                "error": "The sandbox was told to fail here.",
                "error_type": exception.error_type(),
                "message": "An error occurred during streaming",
            }));
        }
        Some(Fault::CloseInStream) => {
            events.push(partial());
            end = Some(Step::Break);
        }
        Some(Fault::BadChecksum) => {
            events.push(partial());
            let damaged = Step::Send(Bytes::from_static(b"data: \"\xff\"\n\n"));
            let whole = events.iter().map(|it| Step::Send(event(it)));
            return whole.chain([damaged]).collect();
        }
        Some(Fault::HangInStream) => {
            events.push(partial());
            end = Some(Step::Hang);
        }
        // These never come as far as a body.
        Some(Fault::Before(_) | Fault::Hang | Fault::Close | Fault::Reset | Fault::Stop(_)) => {
            end = Some(Step::Break);
        }
    }
    events.iter().map(|it| Step::Send(event(it))).chain(end).collect()
}

/// What comes after the text.
fn ending(reply: &Reply, stop_reason: &str) -> Vec<Value> {
    match reply.format {
        Format::Strands => {
            let metadata = reply.usage.last().map(|usage| metadata(*usage));
            [stop(stop_reason)].into_iter().chain(metadata).collect()
        }
        Format::Stream | Format::Json => {
            usage(&reply.usage).map(|usage| json!({ "usage": usage })).into_iter().collect()
        }
    }
}

/// The model invocations that end in a call of a tool.
fn turns_before_the_last(usage: &[Usage]) -> Vec<Value> {
    let before = usage.split_last().map_or(&[][..], |(_, before)| before);
    before
        .iter()
        .flat_map(|usage| {
            [
                converse(json!({ "messageStart": { "role": "assistant" } })),
                text(Format::Strands, "Let me look that up."),
                stop("tool_use"),
                metadata(*usage),
            ]
        })
        .collect()
}

fn text(dialect: Format, part: &str) -> Value {
    match dialect {
        Format::Strands => {
            let delta = json!({ "contentBlockIndex": 0, "delta": { "text": part } });
            converse(json!({ "contentBlockDelta": delta }))
        }
        Format::Stream | Format::Json => part.into(),
    }
}

fn stop(reason: &str) -> Value {
    converse(json!({ "messageStop": { "stopReason": reason } }))
}

fn metadata(usage: Usage) -> Value {
    let Usage { input, output, .. } = usage;
    let usage =
        json!({ "inputTokens": input, "outputTokens": output, "totalTokens": input + output });
    converse(json!({ "metadata": { "usage": usage, "metrics": { "latencyMs": 1 } } }))
}

fn converse(event: Value) -> Value {
    json!({ "event": event })
}

/// What all model invocations used together; `None` where the agent does not tell.
fn usage(model_invocations: &[Usage]) -> Option<Value> {
    let sum = |tokens: fn(&Usage) -> u64| model_invocations.iter().map(tokens).sum::<u64>();
    let (input, output) = (sum(|usage| usage.input), sum(|usage| usage.output));
    (!model_invocations.is_empty())
        .then(|| json!({ "input_tokens": input, "output_tokens": output }))
}

fn event(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/a-AbCdEf1234";
    const USAGE: &str = "usage = [{ input = 3, output = 4 }, { input = 5, output = 6 }]";

    fn played(reply: &str) -> (String, Option<Step>) {
        let script = format!(r#"a = {{ agent = "{ARN}", replies = [{{ {reply} }}] }}"#);
        let mut steps = steps(&Script::parse(&script).unwrap().specialists["a"].replies[0]);
        let end = steps.pop_if(|step| !matches!(step, Step::Send(_)));
        let sent = steps.iter().flat_map(|step| match step {
            Step::Send(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        });
        (String::from_utf8_lossy(&sent.collect::<Vec<u8>>()).into_owned(), end)
    }

    #[test]
    fn a_stream_is_events_of_json_strings_and_then_the_usage_of_all_model_invocations() {
        let (sent, end) = played(&format!(r#"answer = "aéü", chunks = 2, {USAGE}"#));
        let usage = r#"data: {"usage":{"input_tokens":8,"output_tokens":10}}"#;
        assert_eq!(sent, format!("data: \"aé\"\n\ndata: \"ü\"\n\n{usage}\n\n"));
        assert_eq!(end, None);
        assert_eq!(played(r#"answer = "x""#).0, "data: \"x\"\n\n", "an agent need not tell");
    }

    #[test]
    fn a_json_body_has_the_text_and_the_usage() {
        let (sent, _) = played(&format!(r#"answer = "aé", format = "json", {USAGE}"#));
        assert_eq!(sent, r#"{"result":"aé","usage":{"input_tokens":8,"output_tokens":10}}"#);
        assert_eq!(played(r#"answer = "x", format = "json""#).0, r#"{"result":"x"}"#);
    }

    #[test]
    fn a_strands_agent_tells_the_usage_of_each_model_invocation() {
        let (sent, _) = played(&format!(r#"answer = "x", format = "strands", {USAGE}"#));
        assert_eq!(sent.matches("messageStart").count(), 2);
        assert_eq!(sent.matches("contentBlockDelta").count(), 2);
        assert!(sent.contains(r#""inputTokens":3,"outputTokens":4,"#), "{sent}");
        assert!(sent.find("tool_use").unwrap() < sent.find("end_turn").unwrap());
    }

    #[test]
    fn a_fault_leaves_a_part_of_the_answer_or_damages_it() {
        let (sent, end) = played(r#"fault = "close-in-stream""#);
        assert!(sent.starts_with("data: \"Let me") && end == Some(Step::Break), "{sent}");
        let (sent, end) = played(r#"fault = "hang-in-stream", format = "json""#);
        assert!(!sent.ends_with('}') && end == Some(Step::Hang), "{sent}");
        let (sent, _) = played(r#"fault = "in-stream:throttlingException""#);
        assert!(sent.contains(r#""error_type":"ThrottlingException""#), "{sent}");
        assert!(played(r#"fault = "bad-checksum""#).0.contains('\u{fffd}'));
        assert_eq!(played(r#"fault = "bad-checksum", format = "json""#).0.matches('}').count(), 0);
        assert_eq!(played(r#"fault = "empty""#).0, "");
    }

    #[test]
    fn what_agentcore_does_not_have_comes_from_the_container() {
        let of = |name: &str| match format!("before:{name}").parse() {
            Ok(Fault::Before(exception)) => failure(exception),
            other => panic!("{other:?}"),
        };
        let conflict = of("conflictException");
        assert_eq!(
            (&*conflict.error_type, conflict.status.as_u16()),
            ("RetryableConflictException", 409)
        );
        assert_eq!(of("serviceQuotaExceededException").status.as_u16(), 402);
        for name in ["dependencyFailedException", "modelNotReadyException", "badGatewayException"] {
            assert_eq!(of(name).error_type, "RuntimeClientError");
        }
        assert_eq!(of("throttlingException").status.as_u16(), 429);
    }
}
