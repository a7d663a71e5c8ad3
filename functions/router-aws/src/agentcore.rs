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

mod classify;
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
use reading::AnswerReader;
use router_core::charge::Usage;
use router_core::invocation::{Attempt, InvokeError, Outcome};
use router_core::policy::AgentRuntime;
use serde_json::json;

use crate::timer::Timer;
use crate::xray_header::XrayHeader;

/// Invokes agents on AgentCore runtimes.
#[derive(Clone, Debug)]
pub(crate) struct AgentCoreInvoker {
    client: Client,
}

impl AgentCoreInvoker {
    /// An invoker with the credentials and endpoint of `config`. A runtime is called in the
    /// region that its ARN names.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .interceptor(XrayHeader)
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Makes one attempt, as [`SpecialistInvoker::invoke`] does.
    ///
    /// [`SpecialistInvoker::invoke`]: router_core::invocation::SpecialistInvoker::invoke
    pub(crate) async fn invoke(&self, runtime: &AgentRuntime, attempt: &Attempt<'_>) -> Outcome {
        let timer = Timer::start(attempt);
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
        runtime: &AgentRuntime,
        attempt: &Attempt<'_>,
    ) -> Result<InvokeAgentRuntimeOutput, Outcome> {
        let payload =
            json!({ "prompt": attempt.request, "session_attributes": attempt.attributes });
        self.client
            .invoke_agent_runtime()
            .agent_runtime_arn(&runtime.arn)
            .set_qualifier(runtime.endpoint.clone())
            .runtime_session_id(attempt.session_id)
            .content_type("application/json")
            .accept("text/event-stream, application/json")
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(Builder::new().region(Region::new(runtime.region.clone())))
            .send()
            .await
            .map_err(classify::before_the_body)
    }
}

#[cfg(test)]
mod cases;
