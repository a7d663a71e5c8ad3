//! Stand-in of AgentCore: `InvokeHarness`.

use bytes::Bytes;
use hyper::{Method, Request};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, is_signed_for_region_of, percent_decode, query, region};
use super::dialogue::{Dialogue, Message};
use super::failure::Failure;
use super::fault::Exception;
use super::kind::AgentKind;
use super::runtime;

/// The part of an `InvokeHarness` body that a script can depend on.
#[derive(Deserialize)]
struct Payload {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Value>,
}

/// Reads `POST /harnesses/invoke?harnessArn={arn}&qualifier={endpoint}`; `None` for other requests.
pub(super) fn read(request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let is_ours = request.uri().path() == "/harnesses/invoke" && *request.method() == Method::POST;
    is_ours.then(|| asked(request).unwrap_or_else(|| Err(Exception::VALIDATION.into())))
}

/// `None` of what is no request of this operation.
fn asked(request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let mut agent = percent_decode(query(request, "harnessArn")?)?;
    let headers = request.headers();
    let session_id = headers.get(runtime::SESSION_ID)?.to_str().ok()?;
    // The limits are those of the service model of bedrock-agentcore 2024-02-28.
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_session = (33..=100).contains(&session_id.len())
        && session_id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && session_id.bytes().all(is_letter);
    if !is_session || !is_signed_for_region_of(&agent, runtime::SIGNED_FOR, headers) {
        return None;
    }
    if let Some(endpoint) = query(request, "qualifier") {
        agent = format!("{agent}/harness-endpoint/{}", percent_decode(endpoint)?);
    }
    let payload: Payload = serde_json::from_slice(request.body()).ok()?;
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    let tools = payload.tools.iter().map(name).collect();
    let dialogue = match Dialogue::read(payload.messages, tools) {
        Ok(dialogue) => dialogue,
        Err(message) => return Some(Err(Failure::validation(message))),
    };
    Some(Ok(Asked {
        kind: AgentKind::Harness,
        agent,
        region: region(headers),
        session_id: session_id.to_owned(),
        input_text: dialogue.asked().unwrap_or_default(),
        session_attributes: Default::default(),
        enable_trace: false,
        dialogue: Some(dialogue),
    }))
}

/// An exception of `InvokeAgent` as a harness has it, which runs on a runtime.
pub(super) fn failure(exception: Exception) -> Failure {
    runtime::failure(exception)
}
