//! How a request is answered: by the script, or by the fault that strikes it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response};

use super::action_group::{ActionGroup, GroupCall};
use super::asked::Asked;
use super::calls::{Call, CallLog, Ending, OpenCall};
use super::failure::{Failure, REQUEST_ID};
use super::fault::{Exception, Fault};
use super::injection::Injections;
use super::kind::AgentKind;
use super::playback::{self, Step, play};
use super::script::{Reply, Script};
use super::sessions::Sessions;
use super::tool_call::ToolCall;
use super::wire::Traces;
use super::{converse, harness, model, runtime};
use crate::http::{Body, HangUp};
use crate::{clock, identity};

/// What all requests share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) script: Script,
    pub(super) log: Arc<CallLog>,
    pub(super) injections: Injections,
    pub(super) sessions: Sessions,
    pub(super) action_group: ActionGroup,
}

impl Stage {
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, HangUp> {
        let asked = match Asked::read(&request) {
            Ok(asked) => asked,
            Err(failure) => return Ok(failure.into_response()),
        };
        let known = self.script.specialists.iter().find(|(_, known)| known.agent == asked.agent);
        let Some((name, specialist)) = known else {
            return Ok(Failure::from(Exception::RESOURCE_NOT_FOUND).into_response());
        };
        let scene = match self.sessions.enter(&asked) {
            Ok(scene) => scene,
            Err(failure) => return Ok(failure.into_response()),
        };
        let injected = self.injections.strike(name);
        let told = |header: &str| {
            request.headers().get(header).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let call = self.log.open(Call {
            specialist: name.clone(),
            agent: asked.agent.clone(),
            region: asked.region.clone(),
            session_id: asked.session_id.clone(),
            input_text: scene.asked.clone(),
            session_attributes: asked.session_attributes.clone(),
            enable_trace: asked.enable_trace,
            trace_parent: told("traceparent"),
            baggage: told("baggage"),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
            injected,
            ending: Ending::Running,
            began: Duration::ZERO,
            took: None,
        });
        let reply = match &scene.next_call {
            Some(call) => Reply::handing_over(call.clone()),
            None => {
                let mut replies = specialist.replies.iter().enumerate();
                let reply = replies.find(|(index, reply)| {
                    reply.is_meant_for(&scene) && self.log.take_turn(name, *index, reply.times)
                });
                // A checked script always has a reply.
                let Some((_, reply)) = reply else { return Err(HangUp::Close) };
                let calls = reply.calls.iter().map(ToolCall::made_now).collect();
                Reply { calls, ..reply.clone() }
            }
        };
        let reply = &mut struck(reply, injected);
        tokio::time::sleep(reply.delay).await;
        match reply.fault {
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            Some(Fault::Hang) => return pending().await,
            Some(Fault::Close) => {
                call.finish();
                return Err(HangUp::Close);
            }
            Some(Fault::Reset) => {
                call.finish();
                return Err(HangUp::Reset);
            }
            _ => {}
        }
        if let Some(failure) = before_the_answer(asked.kind, reply) {
            call.finish();
            return Ok(failure.into_response());
        }
        if reply.fault.is_none_or(Fault::answers) {
            self.sessions.leave(&asked, scene, reply.calls.clone());
        }
        if asked.kind == AgentKind::Harness {
            // The others wait in the session.
            reply.calls.truncate(1);
        }
        match asked.kind {
            AgentKind::Bedrock => {
                let calls = self.action_group.calls(&asked, &reply.calls);
                of_bedrock(&asked, reply, calls, call)
            }
            AgentKind::Runtime => of_runtime(&asked, reply, call),
            AgentKind::Harness | AgentKind::Model => in_converse(&asked, reply, call),
        }
    }
}

/// The failure that a reply is, if it is one before its answer begins.
fn before_the_answer(kind: AgentKind, reply: &Reply) -> Option<Failure> {
    match (kind, reply.fault?) {
        (AgentKind::Runtime, _) => runtime::before_the_body(reply),
        (AgentKind::Bedrock, Fault::Before(exception)) => Some(exception.into()),
        (AgentKind::Harness, Fault::Before(exception)) => Some(harness::failure(exception)),
        (AgentKind::Model, Fault::Before(exception)) => Some(model::failure(exception)),
        _ => None,
    }
}

/// The answer of a Bedrock agent.
fn of_bedrock(
    asked: &Asked,
    reply: &Reply,
    calls: Vec<GroupCall>,
    call: OpenCall,
) -> Result<Response<Body>, HangUp> {
    let trace_id = identity::uuid();
    let (agent_id, alias_id) = asked.agent.split_once('/').ok_or(HangUp::Close)?;
    let traces = asked.enable_trace.then(|| Traces {
        agent_id,
        alias_id,
        session_id: &asked.session_id,
        trace_id: &trace_id,
        now: clock::now(),
    });
    // Only a payload of more than 4 GB cannot be framed.
    let steps = playback::steps(reply, traces.as_ref(), calls).map_err(|_| HangUp::Close)?;
    let mut response = event_stream(steps, reply, call)?;
    let headers = response.headers_mut();
    headers.insert(SESSION_ID, header(&asked.session_id)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The answer of a harness or a model.
fn in_converse(asked: &Asked, reply: &Reply, call: OpenCall) -> Result<Response<Body>, HangUp> {
    let steps = converse::steps(reply, asked.kind).map_err(|_| HangUp::Close)?;
    let mut response = event_stream(steps, reply, call)?;
    if asked.kind == AgentKind::Harness {
        response.headers_mut().insert(runtime::SESSION_ID, header(&asked.session_id)?);
    }
    Ok(response)
}

fn event_stream(steps: Vec<Step>, reply: &Reply, call: OpenCall) -> Result<Response<Body>, HangUp> {
    let mut response = Response::new(play(steps, reply, call));
    let headers = response.headers_mut();
    headers.insert(
        hyper::header::CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.amazon.eventstream"),
    );
    headers.insert(REQUEST_ID, header(&identity::uuid())?);
    Ok(response)
}

/// The answer of an agent on a runtime.
fn of_runtime(asked: &Asked, reply: &Reply, call: OpenCall) -> Result<Response<Body>, HangUp> {
    let mut response = Response::new(play(runtime::steps(reply), reply, call));
    let headers = response.headers_mut();
    headers.insert(hyper::header::CONTENT_TYPE, header(runtime::content_type(reply))?);
    headers.insert(runtime::SESSION_ID, header(&asked.session_id)?);
    headers.insert(REQUEST_ID, header(&identity::uuid())?);
    Ok(response)
}

fn header(value: &str) -> Result<HeaderValue, HangUp> {
    HeaderValue::from_str(value).map_err(|_| HangUp::Close)
}

/// The reply with an injected fault in place of its own. Slowness is no fault of content, so
/// that what is slow may also fail.
fn struck(mut reply: Reply, injected: Option<Fault>) -> Reply {
    match injected {
        None => {}
        Some(Fault::Slow(time)) => reply.delay += time,
        Some(fault) => reply.fault = Some(fault),
    }
    reply
}

const SESSION_ID: HeaderName = HeaderName::from_static("x-amz-bedrock-agent-session-id");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-bedrock-agent-content-type");
