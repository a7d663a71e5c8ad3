//! What an error of an SDK means that came in place of an agent's answer.

use std::error::Error;
use std::io;

use aws_sdk_bedrockagentruntime::config::http::HttpResponse;
use aws_sdk_bedrockagentruntime::error::SdkError;
use router_core::invocation::{InvokeError, Outcome, Usage};

/// The outcome of a request that failed before its answer began. `named` tells what the errors
/// mean that the service knows by name.
pub(crate) fn before_the_answer<E>(
    error: SdkError<E, HttpResponse>,
    named: impl FnOnce(&E) -> Option<InvokeError>,
) -> Outcome
where
    E: Error + Send + Sync + 'static,
{
    let was_turned_down =
        error.raw_response().is_some_and(|response| response.status().is_client_error());
    let usage = if was_turned_down { Usage::NotRun } else { Usage::UNKNOWN };
    let (result, usage) = match error {
        SdkError::ServiceError(context) => {
            let by_status = || unnamed(context.raw().status().as_u16());
            (named(context.err()).unwrap_or_else(by_status), usage)
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
pub(crate) fn unnamed(status: u16) -> InvokeError {
    match status {
        401 | 403 => InvokeError::AccessDenied,
        404 => InvokeError::NotFound,
        409 => InvokeError::Conflict,
        429 => InvokeError::Throttled,
        400..=499 => InvokeError::Invalid,
        _ => InvokeError::ServiceFault("unknown"),
    }
}

/// Whether the connection was refused, so that nobody can have got the request.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
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
