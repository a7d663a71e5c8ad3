//! What an error of `InvokeAgent` means.
//!
//! The service fails in two places: with an HTTP status before the stream, and with an
//! exception inside it. The SDK has a type for each, with the same members, and gives no
//! error code for the second, so both are told apart by their variants.

use aws_sdk_bedrockagentruntime::config::http::HttpResponse;
use aws_sdk_bedrockagentruntime::error::SdkError;
use aws_sdk_bedrockagentruntime::operation::invoke_agent::InvokeAgentError;
use aws_sdk_bedrockagentruntime::types::error::ResponseStreamError;
use router_core::causes::Cause;
use router_core::invocation::{InvokeError, Outcome};

use crate::failure;

/// Names the error for each exception that the service knows, in either place.
macro_rules! exception {
    ($type:ident, $error:expr) => {
        match $error {
            $type::ThrottlingException(_) => Some(InvokeError::Throttled),
            $type::ServiceQuotaExceededException(_) => Some(InvokeError::QuotaExceeded),
            $type::InternalServerException(_) => {
                Some(InvokeError::ServiceFault("internal server error"))
            }
            $type::BadGatewayException(_) => Some(InvokeError::ServiceFault("bad gateway")),
            $type::ModelNotReadyException(_) => Some(InvokeError::ServiceFault("model not ready")),
            $type::DependencyFailedException(_) => Some(InvokeError::DependencyFailed),
            $type::ConflictException(_) => Some(InvokeError::Conflict),
            $type::AccessDeniedException(_) => Some(InvokeError::AccessDenied),
            $type::ResourceNotFoundException(_) => Some(InvokeError::NotFound),
            $type::ValidationException(_) => Some(InvokeError::Invalid),
            _ => None,
        }
    };
}

/// An error instead of a stream.
pub(super) fn before_the_stream(error: SdkError<InvokeAgentError, HttpResponse>) -> Outcome {
    failure::before_the_answer("Bedrock", error, |error| exception!(InvokeAgentError, error))
}

/// An error inside the stream. Its frames are checked, so what cannot be read is no answer.
pub(super) fn in_the_stream(error: SdkError<ResponseStreamError, impl Sized>) -> InvokeError {
    match error {
        SdkError::ServiceError(context) => exception!(ResponseStreamError, context.err())
            .unwrap_or(InvokeError::ServiceFault("unknown")),
        other => InvokeError::StreamBroken(without_payload(&other)),
    }
}

/// The kind of a stream's error. The error itself may quote the frame that it could not read.
fn without_payload<E, R>(error: &SdkError<E, R>) -> Cause {
    let kind = match error {
        SdkError::DispatchFailure(_) => "the connection failed",
        SdkError::ResponseError(_) => "a frame could not be read",
        SdkError::TimeoutError(_) => "the connection timed out",
        _ => "it could not be read",
    };
    kind.into()
}
