//! Stand-in of Bedrock's models: `ConverseStream`.

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, is_signed_for_region_of, percent_decode, region};
use super::dialogue::{Dialogue, Message, is_name};
use super::failure::Failure;
use super::fault::Exception;
use super::kind::AgentKind;

/// The part of a `ConverseStream` body that a script can depend on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    messages: Vec<Message>,
    tool_config: Option<ToolConfig>,
}

#[derive(Deserialize)]
struct ToolConfig {
    tools: Vec<Value>,
}

impl ToolConfig {
    /// The names of the tools; `None`: they are not as the service wants them.
    fn names(&self) -> Option<Vec<String>> {
        let name = |tool: &Value| {
            let specification = &tool["toolSpec"];
            let name = specification["name"].as_str()?;
            let schema = &specification["inputSchema"]["json"];
            let is_sound = is_name(&specification["name"]) && schema["type"] == "object";
            is_sound.then(|| name.to_owned())
        };
        let names: Option<Vec<String>> = self.tools.iter().map(name).collect();
        names.filter(|names| !names.is_empty())
    }
}

/// Reads `POST /model/{id or arn}/converse-stream`; `None` for other requests.
pub(super) fn read(request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let segments: Vec<&str> = request.uri().path().split('/').collect();
    let ["", "model", id, "converse-stream"] = segments[..] else { return None };
    let is_ours = *request.method() == Method::POST;
    is_ours.then(|| asked(id, request).unwrap_or_else(|| Err(Exception::VALIDATION.into())))
}

/// `None` of what is no request of this operation.
fn asked(id: &str, request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let id = percent_decode(id)?;
    let headers = request.headers();
    let is_arn = id.starts_with("arn:");
    if is_arn && !is_signed_for_region_of(&id, "bedrock", headers) {
        return None;
    }
    let payload: Payload = serde_json::from_slice(request.body()).ok()?;
    let tools = match &payload.tool_config {
        Some(config) => config.names()?,
        None => Vec::new(),
    };
    let dialogue = Dialogue::read(payload.messages, tools).and_then(|dialogue| {
        dialogue.check_as_models()?;
        Ok(dialogue)
    });
    let dialogue = match dialogue {
        Ok(dialogue) => dialogue,
        Err(message) => return Some(Err(Failure::validation(message))),
    };
    Some(Ok(Asked {
        kind: AgentKind::Model,
        agent: if is_arn { id } else { format!("model:{id}") },
        region: region(headers),
        // A model keeps none.
        session_id: String::new(),
        input_text: dialogue.asked().unwrap_or_default(),
        session_attributes: Default::default(),
        enable_trace: false,
        dialogue: Some(dialogue),
    }))
}

/// An exception of `InvokeAgent` as a model has it before its stream. Source: the service model of
/// bedrock-runtime 2023-09-30.
pub(super) fn failure(exception: Exception) -> Failure {
    let usual = Failure::from(exception);
    match exception.in_stream_name() {
        "dependencyFailedException" => {
            Failure { error_type: "ModelErrorException".to_owned(), ..usual }
        }
        "modelNotReadyException" => Failure { status: StatusCode::TOO_MANY_REQUESTS, ..usual },
        "badGatewayException" => Failure {
            error_type: "ServiceUnavailableException".to_owned(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..usual
        },
        _ => usual,
    }
}

/// The same inside the stream.
pub(super) fn failure_in_stream(exception: Exception) -> Failure {
    match exception.in_stream_name() {
        "dependencyFailedException" => Failure {
            error_type: "ModelStreamErrorException".to_owned(),
            ..Failure::from(exception)
        },
        _ => failure(exception),
    }
}
