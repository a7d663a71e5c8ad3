//! Stand-in of Bedrock's models: `ConverseStream`.

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;

use super::asked::{Asked, is_signed_for_region_of, percent_decode, region};
use super::failure::Failure;
use super::fault::Exception;
use super::harness::{Message, asked_in};
use super::kind::AgentKind;

/// The part of a `ConverseStream` body that a script can depend on.
#[derive(Deserialize)]
struct Payload {
    messages: Vec<Message>,
}

/// Reads `POST /model/{id or arn}/converse-stream`; `None` for other requests.
pub(super) fn read(request: &Request<Bytes>) -> Option<Result<Asked, Failure>> {
    let segments: Vec<&str> = request.uri().path().split('/').collect();
    let ["", "model", id, "converse-stream"] = segments[..] else { return None };
    let is_ours = *request.method() == Method::POST;
    is_ours.then(|| asked(id, request).ok_or_else(|| Exception::VALIDATION.into()))
}

fn asked(id: &str, request: &Request<Bytes>) -> Option<Asked> {
    let id = percent_decode(id)?;
    let headers = request.headers();
    let is_arn = id.starts_with("arn:");
    if is_arn && !is_signed_for_region_of(&id, "bedrock", headers) {
        return None;
    }
    let payload: Payload = serde_json::from_slice(request.body()).ok()?;
    Some(Asked {
        kind: AgentKind::Model,
        agent: if is_arn { id } else { format!("model:{id}") },
        region: region(headers),
        // A model keeps none.
        session_id: String::new(),
        input_text: asked_in(&payload.messages)?,
        session_attributes: Default::default(),
        enable_trace: false,
    })
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
