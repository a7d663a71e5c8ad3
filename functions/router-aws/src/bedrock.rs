//! Specialists played by Amazon Bedrock agents.
//!
//! `InvokeAgent` has no idempotency token: a repeated call is a second agent run, with a
//! second bill. So the SDK's own retries are off. No timeout of the SDK covers the stream of
//! the answer either, so both the whole of it and its silences are timed here.

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
use router_core::invocation::{Attempt, InvokeError, Outcome, SpecialistInvoker, Usage, Wait};
use tokio::time::{Instant, timeout_at};

/// Invokes Bedrock agents through their aliases.
#[derive(Clone, Debug)]
pub struct BedrockInvoker {
    client: Client,
}

impl BedrockInvoker {
    /// An invoker with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let config = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config) }
    }

    async fn start(&self, attempt: &Attempt<'_>) -> Result<InvokeAgentOutput, Outcome> {
        let state = SessionState::builder()
            .set_session_attributes(Some(attempt.attributes.clone().into_iter().collect()))
            .build();
        self.client
            .invoke_agent()
            .agent_id(&attempt.agent.agent_id)
            .agent_alias_id(&attempt.agent.alias_id)
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

impl SpecialistInvoker for BedrockInvoker {
    async fn invoke(&self, attempt: &Attempt<'_>) -> Outcome {
        let deadline = Instant::now() + attempt.timeout;
        let late = |limit, what| InvokeError::TimedOut { what, limit };
        let output = match timeout_at(deadline, self.start(attempt)).await {
            Ok(Ok(output)) => output,
            Ok(Err(outcome)) => return outcome,
            Err(_) => {
                let result = Err(late(attempt.timeout, Wait::Answer));
                return Outcome::new(result, Usage::UNKNOWN);
            }
        };
        // Dropping the stream, which every return here does, closes the connection.
        let mut stream = output.completion;
        let mut reading = Reading::new(attempt.wants_steps);
        loop {
            let idle_deadline = Instant::now() + attempt.idle_timeout;
            let event = match timeout_at(deadline.min(idle_deadline), stream.recv()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return reading.finish(),
                Ok(Err(error)) => return reading.broken_off(classify::in_the_stream(error)),
                Err(_) if deadline <= idle_deadline => {
                    return reading.broken_off(late(attempt.timeout, Wait::Answer));
                }
                Err(_) => return reading.broken_off(late(attempt.idle_timeout, Wait::NextEvent)),
            };
            if reading.goes_too_far(&event, attempt.max_tokens) {
                return reading.cut(attempt.max_tokens);
            }
            reading.take(event);
        }
    }
}
