//! What an error of `InvokeAgentRuntime` means.
//!
//! Its errors are those of the service, but for one: `RuntimeClientError` tells that the
//! container failed, or answered with a status of its own ("Received error (500) from runtime").
//! It has HTTP status 424, and yet the agent may have run.

use aws_sdk_bedrockagentcore::config::http::HttpResponse;
use aws_sdk_bedrockagentcore::error::SdkError;
use aws_sdk_bedrockagentcore::operation::invoke_agent_runtime::InvokeAgentRuntimeError;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};

use crate::failure;

/// The HTTP status of `RuntimeClientError`, in the model of bedrock-agentcore 2024-02-28.
const FAILED_DEPENDENCY: u16 = 424;

/// An error instead of a body.
pub(super) fn before_the_body(error: SdkError<InvokeAgentRuntimeError, HttpResponse>) -> Outcome {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let outcome = failure::before_the_answer("AgentCore", error, special);
    if status == Some(FAILED_DEPENDENCY) {
        Outcome { usage: Usage::UNKNOWN, ..outcome }
    } else {
        outcome
    }
}

/// What `RuntimeClientError` means. All others are what their names say.
fn special(error: &InvokeAgentRuntimeError) -> Option<InvokeError> {
    match error {
        InvokeAgentRuntimeError::RuntimeClientError(error) => {
            Some(of_the_runtime(error.message().unwrap_or_default()))
        }
        _ => None,
    }
}

/// What the runtime failed with. A container that turns the request down, is throttled or busy with
/// the session says so with a status; all else is a runtime that failed, or did not start.
pub(super) fn of_the_runtime(message: &str) -> InvokeError {
    let status = message.split_once("Received error (").and_then(|(_, rest)| {
        let (status, _) = rest.split_once(')')?;
        status.parse::<u16>().ok()
    });
    match status {
        Some(status @ (409 | 429)) => failure::unnamed(status),
        Some(400..=499) => InvokeError::Invalid,
        _ if failure::tells_of_throttling(message) => InvokeError::Throttled,
        _ => InvokeError::ServiceFault("the runtime failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16) -> InvokeError {
        of_the_runtime(&format!(
            "Received error ({status}) from runtime. Please check your CloudWatch logs."
        ))
    }

    #[test]
    fn the_status_of_the_container_tells_what_failed() {
        assert!(matches!(of(429), InvokeError::Throttled));
        assert!(matches!(of(409), InvokeError::Conflict));
        for status in [400, 404, 415, 422] {
            assert!(matches!(of(status), InvokeError::Invalid), "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert!(matches!(of(status), InvokeError::ServiceFault(_)), "{status}");
        }
    }

    #[test]
    fn a_runtime_that_tells_no_status_has_failed() {
        for message in ["", "Runtime initialization time exceeded.", "Received error (x)"] {
            assert!(matches!(of_the_runtime(message), InvokeError::ServiceFault(_)), "{message}");
        }
    }
}
