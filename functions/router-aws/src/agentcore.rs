//! Specialists on Amazon Bedrock AgentCore runtimes.
//!
//! A runtime runs a container, and the container decides what an answer looks like. The request is
//! `{"prompt": "…", "session_attributes": {…}}`; the answer is a stream of server-sent events, a
//! JSON value or a plain text, in one of the dialects of the frameworks that people use:
//!
//! bytes → [`reading`] → values → [`dialect`] → what was said → [`heard`] → answer and usage
//!
//! As with `InvokeAgent`, a repeated call is a second agent run, so the SDK's own retries are
//! off.

mod dialect;
mod event_stream;
mod heard;
mod json;
mod kind;
mod message;
mod meter;
mod pieces;
mod python;
mod reading;
mod usage;

use aws_config::SdkConfig;
use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::config::retry::RetryConfig;
use aws_sdk_bedrockagentcore::config::{Builder, Region};
use aws_sdk_bedrockagentcore::operation::invoke_agent_runtime::InvokeAgentRuntimeOutput;
use aws_sdk_bedrockagentcore::primitives::Blob;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reading::AnswerReader;
use router_core::charge::Usage;
use router_core::ids::RootSession;
use router_core::invocation::{Attempt, InvokeError, Outcome};
use router_core::policy::AgentCoreAgent;
use serde_json::json;

use crate::failure;
use crate::timer::Timer;
use crate::xray_header::XrayHeader;

/// A client of AgentCore with the credentials and endpoint of `config`.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let config =
        Builder::from(config).retry_config(RetryConfig::disabled()).interceptor(XrayHeader).build();
    Client::from_conf(config)
}

/// What AgentCore is told with a call, so that its spans name the session as the application does.
/// A value of the header must be percent-encoded: <https://www.w3.org/TR/baggage/#value>.
pub(crate) fn baggage(session: &RootSession) -> String {
    const UNRESERVED: AsciiSet =
        NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("session.id={}", utf8_percent_encode(session.as_str(), &UNRESERVED))
}

/// Invokes agents on AgentCore runtimes.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeInvoker {
    client: Client,
}

impl RuntimeInvoker {
    /// An invoker with this client. A runtime is called in the region that its ARN names.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one attempt, as [`SpecialistInvoker::invoke`] does.
    ///
    /// [`SpecialistInvoker::invoke`]: router_core::invocation::SpecialistInvoker::invoke
    pub(crate) async fn invoke(&self, runtime: &AgentCoreAgent, attempt: &Attempt<'_>) -> Outcome {
        let timer = Timer::start(attempt.into());
        let output = match timer.beginning(self.start(runtime, attempt)).await {
            Ok(Ok(output)) => output,
            Ok(Err(outcome)) => return outcome,
            Err(late) => return Outcome::new(Err(late), Usage::UNKNOWN),
        };
        // Dropping the body, which every return here does, closes the connection.
        let mut body = output.response;
        let mut reading = AnswerReader::new(&output.content_type, attempt.max_tokens);
        loop {
            let bytes = match timer.next(body.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(None) => return reading.finish(),
                Ok(Some(Err(_))) => {
                    return reading
                        .broken_off(InvokeError::StreamBroken("the connection was lost".into()));
                }
                Err(late) => return reading.broken_off(late),
            };
            if let Err(error) = reading.take(&bytes) {
                return reading.broken_off(error);
            }
        }
    }

    async fn start(
        &self,
        runtime: &AgentCoreAgent,
        attempt: &Attempt<'_>,
    ) -> Result<InvokeAgentRuntimeOutput, Outcome> {
        let mut attributes = attempt.attributes.clone();
        attributes.extend(attempt.scratchpad.clone());
        let payload = json!({ "prompt": attempt.request, "session_attributes": attributes });
        self.client
            .invoke_agent_runtime()
            .agent_runtime_arn(&runtime.arn)
            .set_qualifier(runtime.endpoint.clone())
            .runtime_session_id(attempt.session_id)
            .set_trace_parent(attempt.trace.map(|parent| parent.to_string()))
            .baggage(baggage(attempt.root_session))
            .content_type("application/json")
            .accept("text/event-stream, application/json")
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(Builder::new().region(Region::new(runtime.region.clone())))
            .send()
            .await
            .map_err(|error| failure::before_the_answer("AgentCore", error))
    }
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_whatever_its_name() {
        for (session, expected) in
            [("s-1_a.b~", "s-1_a.b~"), ("a b,c;d=\"ü%", "a%20b%2Cc%3Bd%3D%22%C3%BC%25")]
        {
            let session = RootSession::parse("sessionId", session).unwrap();
            assert_eq!(baggage(&session), format!("session.id={expected}"));
        }
    }
}
