//! Specialists played by Amazon Bedrock agents.
//!
//! `InvokeAgent` has no idempotency token: a repeated call is a second agent run, with a
//! second bill. So the SDK's own retries are off.

mod frames;
mod guardrail;
mod reading;
mod steps;
mod trace_event;
mod usage;

use aws_config::SdkConfig;
use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::config::retry::RetryConfig;
use aws_sdk_bedrockagentruntime::config::{Builder, Region};
use aws_sdk_bedrockagentruntime::types::SessionState;
use frames::{Frames, TakesBody};
use reading::AnswerReader;
use router_core::charge::Usage;
use router_core::invocation::{Attempt, Outcome};
use router_core::policy::AgentAlias;

use crate::failure;
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
        let mut frames = match timer.beginning(self.start(alias, attempt)).await {
            Ok(Ok(frames)) => frames,
            Ok(Err(outcome)) => return outcome,
            Err(late) => return Outcome::new(Err(late), Usage::UNKNOWN),
        };
        // Dropping the frames, which every return here does, closes the connection.
        let mut reading = AnswerReader::new(attempt.wants_steps);
        loop {
            let event = match timer.next(frames.next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return reading.finish(),
                Ok(Err(error)) | Err(error) => return reading.broken_off(error),
            };
            if reading.goes_too_far(&event, attempt.max_tokens) {
                return reading.cut(attempt.max_tokens);
            }
            if let Err(error) = reading.take(event) {
                return reading.broken_off(error);
            }
        }
    }

    async fn start(&self, alias: &AgentAlias, attempt: &Attempt<'_>) -> Result<Frames, Outcome> {
        let body = TakesBody::default();
        let state = SessionState::builder()
            .set_session_attributes(Some(attempt.attributes.clone().into_iter().collect()))
            .build();
        let region = alias.region.clone().map(Region::new);
        let call = self
            .client
            .invoke_agent()
            .agent_id(&alias.agent_id)
            .agent_alias_id(&alias.alias_id)
            .session_id(attempt.session_id)
            .session_state(state)
            .input_text(attempt.request)
            // Token usage exists in the trace alone.
            .enable_trace(true)
            .customize()
            .interceptor(body.clone());
        let call = match region {
            Some(region) => call.config_override(Builder::new().region(region)),
            None => call,
        };
        call.send()
            .await
            .map_err(|error| failure::before_the_answer("Bedrock", error, |_| None))?;
        Ok(body.frames())
    }
}
