//! Stand-in of Bedrock's agent runtime: `InvokeAgent` for agents that follow a script.
//!
//! The wire format is the true one, down to checksums and header order, since what this
//! project must survive is exactly what happens there: errors before and inside a stream, usage
//! that arrives after the text, streams that break, hang or say nothing.
//!
//! What each agent answers stands in a [`Script`]; what it was asked is kept as [`Call`]s.

mod calls;
mod fault;
mod playback;
mod script;
mod wire;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use serde::Deserialize;

pub use self::calls::{Call, Ending};
pub use self::fault::{Exception, Fault, UnknownFault};
pub use self::script::{DEFAULT_SCRIPT, Script, ScriptError};

use self::calls::CallLog;
use self::playback::play;
use self::wire::Traces;
use crate::http::{Body, HangUp, Server, response};
use crate::{clock, identity};

/// The running stand-in.
#[derive(Debug)]
pub struct Agents {
    server: Server,
    log: Arc<CallLog>,
}

impl Agents {
    /// Starts to answer by `script`.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start(script: Script) -> io::Result<Self> {
        let log = Arc::new(CallLog::new());
        let stage = Arc::new(Stage { script, log: Arc::clone(&log) });
        let handler = move |request| Arc::clone(&stage).answer(request);
        Ok(Self { server: Server::start(handler).await?, log })
    }

    /// What `AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All calls so far, in the order they arrived.
    pub fn calls(&self) -> Vec<Call> {
        self.log.calls()
    }

    /// How many calls of this Bedrock session ran at once, at most.
    pub fn greatest_at_once(&self, session_id: &str) -> usize {
        self.log.greatest_at_once(session_id)
    }

    /// Returns as soon as `count` calls have arrived, counted from the start.
    pub async fn wait_for_calls(&self, count: usize) {
        self.log.wait_for(count).await;
    }
}

/// What all requests share.
struct Stage {
    script: Script,
    log: Arc<CallLog>,
}

/// The part of an `InvokeAgent` body that a script can depend on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    #[serde(default)]
    input_text: String,
    #[serde(default)]
    enable_trace: bool,
    #[serde(default)]
    session_state: SessionState,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionState {
    #[serde(default)]
    session_attributes: BTreeMap<String, String>,
}

impl Stage {
    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Result<Response<Body>, HangUp> {
        let Some([agent_id, alias_id, session_id]) = route(request.method(), request.uri().path())
        else {
            return Ok(exception(Exception::VALIDATION));
        };
        let Ok(body) = serde_json::from_slice::<Invocation>(request.body()) else {
            return Ok(exception(Exception::VALIDATION));
        };
        let known = self
            .script
            .specialists
            .iter()
            .find(|(_, known)| known.agent_id == agent_id && known.alias_id == alias_id);
        let Some((name, specialist)) = known else {
            return Ok(exception(Exception::RESOURCE_NOT_FOUND));
        };
        let call = self.log.open(Call {
            specialist: name.clone(),
            agent_id: agent_id.clone(),
            alias_id: alias_id.clone(),
            session_id: session_id.clone(),
            input_text: body.input_text.clone(),
            session_attributes: body.session_state.session_attributes,
            enable_trace: body.enable_trace,
            ending: Ending::Running,
        });
        let reply = specialist.replies.iter().enumerate().find(|(index, reply)| {
            let meant = reply.when.as_ref().is_none_or(|when| body.input_text.contains(when));
            meant && self.log.take_turn(name, *index, reply.times)
        });
        // A checked script always has a reply.
        let Some((_, reply)) = reply else { return Err(HangUp) };
        tokio::time::sleep(reply.delay).await;
        match reply.fault {
            Some(Fault::Hang) => return pending().await,
            Some(Fault::Close) => {
                call.finish();
                return Err(HangUp);
            }
            Some(Fault::Before(before)) => {
                call.finish();
                return Ok(exception(before));
            }
            _ => {}
        }
        let trace_id = identity::uuid();
        let traces = body.enable_trace.then(|| Traces {
            agent_id: &agent_id,
            alias_id: &alias_id,
            session_id: &session_id,
            trace_id: &trace_id,
            now: clock::now(),
        });
        // Only a payload of more than 4 GB cannot be framed.
        let steps = playback::steps(reply, traces.as_ref()).map_err(|_| HangUp)?;
        let mut response = Response::new(play(steps, reply.gap, call));
        let headers = response.headers_mut();
        headers.insert(
            hyper::header::CONTENT_TYPE,
            HeaderValue::from_static("application/vnd.amazon.eventstream"),
        );
        let text = |value: &str| HeaderValue::from_str(value).map_err(|_| HangUp);
        headers.insert(SESSION_ID, text(&session_id)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REQUEST_ID, text(&identity::uuid())?);
        Ok(response)
    }
}

const SESSION_ID: HeaderName = HeaderName::from_static("x-amz-bedrock-agent-session-id");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-bedrock-agent-content-type");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// An exception before the stream.
fn exception(exception: Exception) -> Response<Body> {
    let payload = wire::exception_payload(exception).to_string();
    let mut response = response(exception.status(), "application/json", payload);
    if let Ok(error_type) = HeaderValue::from_str(&exception.error_type()) {
        response.headers_mut().insert(ERROR_TYPE, error_type);
    }
    if let Ok(id) = HeaderValue::from_str(&identity::uuid()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Agent, alias and session of `POST /agents/{}/agentAliases/{}/sessions/{}/text`.
fn route(method: &Method, path: &str) -> Option<[String; 3]> {
    let segments: Vec<&str> = path.split('/').collect();
    let ["", "agents", agent, "agentAliases", alias, "sessions", session, "text"] = segments[..]
    else {
        return None;
    };
    if *method != Method::POST {
        return None;
    }
    Some([percent_decode(agent)?, percent_decode(alias)?, percent_decode(session)?])
}

/// The SDK percent-encodes also what a path may hold as it is, such as `:`.
fn percent_decode(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    const SCRIPT: &str = r#"
        [billing]
        agent = "BILLING001/LIVE000001"
        [[billing.replies]]
        when = "slow"
        times = 1
        fault = "before:throttlingException"
        [[billing.replies]]
        when = "gone"
        fault = "close"
        [[billing.replies]]
        when = "broken"
        fault = "close-in-stream"
        [[billing.replies]]
        answer = "yes"
    "#;

    async fn ask(agents: &Agents, agent: &str, text: &str) -> String {
        let path = format!("/agents/{agent}/agentAliases/LIVE000001/sessions/a%3Ab/text");
        let body = serde_json::json!({
            "inputText": text,
            "sessionState": { "sessionAttributes": { "router_hops": "1" } },
        });
        let request = post(&path, "", body.to_string().as_bytes());
        let answer = exchange(agents.server.address(), &request).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn agents() -> Agents {
        Agents::start(Script::parse(SCRIPT).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_is_answered_in_the_services_form_and_kept() {
        let agents = agents().await;
        let answer = ask(&agents, "BILLING001", "hi").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("x-amz-bedrock-agent-session-id: a:b\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/vnd.amazon.eventstream\r\n"));
        assert!(answer.contains(r#"{"bytes":"eWVz"}"#), "{answer}");
        let calls = agents.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!((&*calls[0].specialist, &*calls[0].session_id), ("billing", "a:b"));
        assert_eq!(calls[0].session_attributes["router_hops"], "1");
        assert_eq!(calls[0].ending, Ending::Played);
    }

    #[tokio::test]
    async fn an_unknown_agent_is_not_found() {
        let answer = ask(&agents().await, "NOBODY0001", "hi").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.contains("x-amzn-errortype: ResourceNotFoundException\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_reply_with_times_makes_way_for_the_next() {
        let agents = agents().await;
        assert!(ask(&agents, "BILLING001", "slow").await.starts_with("HTTP/1.1 429 "));
        assert!(ask(&agents, "BILLING001", "slow").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_broken_stream_still_delivers_what_came_before() {
        let agents = agents().await;
        assert_eq!(ask(&agents, "BILLING001", "gone").await, "");
        let broken = ask(&agents, "BILLING001", "broken").await;
        assert!(broken.contains(r#"{"bytes":"#), "{broken}");
        assert!(!broken.ends_with("0\r\n\r\n"), "the stream must not look complete: {broken}");
    }

    #[test]
    fn only_the_operations_own_path_is_routed() {
        assert_eq!(
            route(&Method::POST, "/agents/A/agentAliases/B/sessions/a%3Ab/text"),
            Some(["A".into(), "B".into(), "a:b".into()])
        );
        assert_eq!(route(&Method::GET, "/agents/A/agentAliases/B/sessions/s/text"), None);
        assert_eq!(route(&Method::POST, "/agents/A/agentAliases/B/sessions/%4/text"), None);
    }
}
