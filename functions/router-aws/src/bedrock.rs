//! Specialists played by Amazon Bedrock agents.
//!
//! `InvokeAgent` has no idempotency token: a repeated call is a second agent run, with a
//! second bill. So the SDK's own retries are off.

mod action_group;
mod guardrail;
mod reading;
mod steps;
mod trace_event;

use aws_config::SdkConfig;
use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::config::retry::RetryConfig;
use aws_sdk_bedrockagentruntime::config::{Builder, Region};
use aws_sdk_bedrockagentruntime::types::SessionState;
pub(crate) use reading::AnswerReader;
use router_core::invocation::{Attempt, Outcome};
use router_core::policy::AgentAlias;

use crate::failure;
use crate::frames::{self, Frames, TakesBody, unheard};
use crate::xray_header::XrayHeader;

/// A client of Bedrock's agents with the region, credentials and endpoint of `config`.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let config =
        Builder::from(config).retry_config(RetryConfig::disabled()).interceptor(XrayHeader).build();
    Client::from_conf(config)
}

/// Invokes Bedrock agents through their aliases.
#[derive(Clone, Debug)]
pub(crate) struct BedrockInvoker {
    client: Client,
}

impl BedrockInvoker {
    /// An invoker with this client. An alias that is named by an ARN is called in the region of it.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one attempt, as [`SpecialistInvoker::invoke`] does.
    ///
    /// [`SpecialistInvoker::invoke`]: router_core::invocation::SpecialistInvoker::invoke
    pub(crate) async fn invoke(&self, alias: &AgentAlias, attempt: &Attempt<'_>) -> Outcome {
        let reading = AnswerReader::new(attempt.trace.is_some(), unheard);
        frames::read(attempt.into(), self.start(alias, attempt), reading).await
    }

    async fn start(&self, alias: &AgentAlias, attempt: &Attempt<'_>) -> Result<Frames, Outcome> {
        let body = TakesBody::default();
        let has_scratchpad = !attempt.scratchpad.is_empty();
        let scratchpad = attempt.scratchpad.clone().into_iter().collect();
        let state = SessionState::builder()
            .set_session_attributes(Some(attempt.attributes.clone().into_iter().collect()))
            .set_prompt_session_attributes(Some(scratchpad).filter(|_| has_scratchpad))
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
        call.send().await.map_err(|error| failure::before_the_answer("Bedrock", error))?;
        Ok(body.frames())
    }
}
