//! Specialists played by Amazon Bedrock agents.
//!
//! `InvokeAgent` has no idempotency token: a repeated call is a second agent run, with a
//! second bill. So the SDK's own retries are off.

mod classify;
mod reading;
mod steps;
mod told;

use aws_config::SdkConfig;
use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::config::Builder;
use aws_sdk_bedrockagentruntime::config::retry::RetryConfig;
use aws_sdk_bedrockagentruntime::operation::invoke_agent::InvokeAgentOutput;
use aws_sdk_bedrockagentruntime::types::SessionState;
use reading::Reading;
use router_core::invocation::{Attempt, Outcome, Usage};
use router_core::policy::AgentAlias;

use crate::timer::Timer;
use crate::xray_header::XrayHeader;

/// Invokes Bedrock agents through their aliases.
#[derive(Clone, Debug)]
pub(crate) struct BedrockInvoker {
    client: Client,
}

impl BedrockInvoker {
    /// An invoker with the region, credentials and endpoint of `config`.
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
    pub(crate) async fn invoke(&self, alias: &AgentAlias, attempt: &Attempt<'_>) -> Outcome {
        let timer = Timer::start(attempt);
        let output = match timer.beginning(self.start(alias, attempt)).await {
            Ok(Ok(output)) => output,
            Ok(Err(outcome)) => return outcome,
            Err(late) => return Outcome::new(Err(late), Usage::UNKNOWN),
        };
        // Dropping the stream, which every return here does, closes the connection.
        let mut stream = output.completion;
        let mut reading = Reading::new(attempt.wants_steps);
        loop {
            let event = match timer.next(stream.recv()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return reading.finish(),
                Ok(Err(error)) => return reading.broken_off(classify::in_the_stream(error)),
                Err(late) => return reading.broken_off(late),
            };
            if reading.goes_too_far(&event, attempt.max_tokens) {
                return reading.cut(attempt.max_tokens);
            }
            reading.take(event);
        }
    }

    async fn start(
        &self,
        alias: &AgentAlias,
        attempt: &Attempt<'_>,
    ) -> Result<InvokeAgentOutput, Outcome> {
        let state = SessionState::builder()
            .set_session_attributes(Some(attempt.attributes.clone().into_iter().collect()))
            .build();
        self.client
            .invoke_agent()
            .agent_id(&alias.agent_id)
            .agent_alias_id(&alias.alias_id)
            .session_id(attempt.session_id)
            .session_state(state)
            .input_text(attempt.request)
            // Token usage exists in the trace alone.
            .enable_trace(true)
            .send()
            .await
            .map_err(classify::before_the_stream)
    }
}
