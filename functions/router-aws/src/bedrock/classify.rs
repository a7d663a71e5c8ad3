//! What an error of `InvokeAgent` means.
//!
//! The service fails in two places: with an HTTP status before the stream, and with an
//! exception inside it. The SDK has a type for each, with the same members, and gives no
//! error code for the second, so both are told apart by their variants.

use std::io;

use aws_sdk_bedrockagentruntime::config::http::HttpResponse;
use aws_sdk_bedrockagentruntime::error::SdkError;
use aws_sdk_bedrockagentruntime::operation::invoke_agent::InvokeAgentError;
use aws_sdk_bedrockagentruntime::types::error::ResponseStreamError;
use router_core::invocation::{BoxError, InvokeError, Outcome, Usage};

/// Names the error for each exception that the service knows, in either place.
macro_rules! exception {
    ($type:ident, $error:expr, $otherwise:expr) => {
        match $error {
            $type::ThrottlingException(_) => InvokeError::Throttled,
            $type::ServiceQuotaExceededException(_) => InvokeError::QuotaExceeded,
            $type::InternalServerException(_) => InvokeError::ServiceFault("internal server error"),
            $type::BadGatewayException(_) => InvokeError::ServiceFault("bad gateway"),
            $type::ModelNotReadyException(_) => InvokeError::ServiceFault("model not ready"),
            $type::DependencyFailedException(_) => InvokeError::DependencyFailed,
            $type::ConflictException(_) => InvokeError::Conflict,
            $type::AccessDeniedException(_) => InvokeError::AccessDenied,
            $type::ResourceNotFoundException(_) => InvokeError::NotFound,
            $type::ValidationException(_) => InvokeError::Invalid,
            _ => $otherwise,
        }
    };
}

/// An error instead of a stream.
pub(super) fn before_the_stream(error: SdkError<InvokeAgentError, HttpResponse>) -> Outcome {
    let was_turned_down =
        error.raw_response().is_some_and(|response| response.status().is_client_error());
    let usage = if was_turned_down { Usage::NotRun } else { Usage::UNKNOWN };
    let (result, usage) = match error {
        SdkError::ServiceError(context) => {
            let by_status = unnamed(context.raw().status().as_u16());
            (exception!(InvokeAgentError, context.err(), by_status), usage)
        }
        SdkError::ConstructionFailure(_) => (InvokeError::Invalid, Usage::NotRun),
        error @ SdkError::DispatchFailure(_) if was_refused(&error) => {
            (InvokeError::Unreachable(error.into()), Usage::NotRun)
        }
        SdkError::ResponseError(context) if was_turned_down => {
            (unnamed(context.raw().status().as_u16()), usage)
        }
        other => (InvokeError::ConnectionLost(other.into()), usage),
    };
    Outcome::new(Err(result), usage)
}

/// An error whose name the SDK does not know, such as those of a gateway in between or of the
/// signature, by its HTTP status.
fn unnamed(status: u16) -> InvokeError {
    match status {
        401 | 403 => InvokeError::AccessDenied,
        404 => InvokeError::NotFound,
        409 => InvokeError::Conflict,
        429 => InvokeError::Throttled,
        400..=499 => InvokeError::Invalid,
        _ => InvokeError::ServiceFault("unknown"),
    }
}

/// An error inside the stream. Its frames are checked, so what cannot be read is no answer.
pub(super) fn in_the_stream(error: SdkError<ResponseStreamError, impl Sized>) -> InvokeError {
    match error {
        SdkError::ServiceError(context) => {
            exception!(ResponseStreamError, context.err(), InvokeError::ServiceFault("unknown"))
        }
        other => InvokeError::StreamBroken(without_payload(&other)),
    }
}

/// The kind of a stream's error. The error itself may quote the frame that it could not read.
fn without_payload<E, R>(error: &SdkError<E, R>) -> BoxError {
    let kind = match error {
        SdkError::DispatchFailure(_) => "the connection failed",
        SdkError::ResponseError(_) => "a frame could not be read",
        SdkError::TimeoutError(_) => "the connection timed out",
        _ => "it could not be read",
    };
    kind.into()
}

/// Whether the connection was refused, so that nobody can have got the request.
fn was_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
