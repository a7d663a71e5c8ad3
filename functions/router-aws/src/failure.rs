//! What an error of an SDK means: for the log, and in place of an agent's answer.

use std::error::Error;
use std::io;

use aws_sdk_bedrockagentruntime::config::http::HttpResponse;
use aws_sdk_bedrockagentruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockagentruntime::operation::RequestId;
use hyper_util::client::legacy;
use router_core::causes::Cause;
use router_core::invocation::{InvokeError, Outcome, Usage};

/// What the log may say of an error of the SDK, whose own words may quote the whole request.
pub(crate) fn cause<E>(service: &'static str, error: SdkError<E, HttpResponse>) -> Cause
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let what = match &error {
        SdkError::ServiceError(_) => "the service answered with an error",
        SdkError::ResponseError(_) => "the answer could not be read",
        SdkError::TimeoutError(_) => NO_ANSWER,
        SdkError::DispatchFailure(_) if was_refused(&error) => "the connection was refused",
        _ if was_never_sent(&error) => "the request could not be sent",
        SdkError::DispatchFailure(_) => "the connection was lost",
        _ => "the request could not be made",
    };
    Cause::new(what)
        .of_service(service)
        .code(error.code())
        .status(error.raw_response().map(|response| response.status().as_u16()))
        .request_id(error.request_id())
}

/// What the log says when a service took too long.
pub(crate) const NO_ANSWER: &str = "no answer came in time";

/// The outcome of a request that failed before its answer began. `named` tells what the errors
/// mean that the service knows by name.
pub(crate) fn before_the_answer<E>(
    service: &'static str,
    error: SdkError<E, HttpResponse>,
    named: impl FnOnce(&E) -> Option<InvokeError>,
) -> Outcome
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
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
        error if was_never_sent(&error) => {
            (InvokeError::Unreachable(cause(service, error)), Usage::NotRun)
        }
        SdkError::ResponseError(context) if was_turned_down => {
            (unnamed(context.raw().status().as_u16()), usage)
        }
        other => (InvokeError::ConnectionLost(cause(service, other)), usage),
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

/// Whether no service can have got the request: there was no connection to send it over, or it did
/// not come so far for want of an endpoint, credentials or a signature.
fn was_never_sent<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + Send + Sync + 'static,
{
    let SdkError::DispatchFailure(failure) = error else { return false };
    match causes(error).find_map(|error| error.downcast_ref::<legacy::Error>()) {
        Some(error) => error.is_connect(),
        // Whatever goes wrong on a connection is an error of hyper.
        None => failure.is_other() && !causes(error).any(|error| error.is::<hyper::Error>()),
    }
}

/// Whether the connection was refused.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    let of_kind = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    causes(error).any(|error| error.downcast_ref().is_some_and(of_kind))
}

/// The error and what caused it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
