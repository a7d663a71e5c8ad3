//! Specialists played by AgentCore harnesses: a model, its prompt and its tools in AgentCore's own
//! loop.
//!
//! A harness keeps its session, so a repeated call is a second turn of it, with a second bill: the
//! SDK's own retries are off. Session attributes have no channel there. Each call says how long it is
//! waited for, so that what the router gives up ends there too.

use std::time::Duration;

use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::config::{Builder, Region};
use aws_sdk_bedrockagentcore::error::BuildError;
use aws_sdk_bedrockagentcore::types::{
    HarnessContentBlock, HarnessConversationRole, HarnessMessage,
};
use router_core::charge::Usage;
use router_core::invocation::{Attempt, InvokeError, Outcome};
use router_core::policy::AgentCoreAgent;

use crate::agentcore::baggage;
use crate::converse::AnswerReader;
use crate::failure;
use crate::frames::{self, Frames, TakesBody};

/// Invokes harnesses.
#[derive(Clone, Debug)]
pub(crate) struct HarnessInvoker {
    client: Client,
}

impl HarnessInvoker {
    /// An invoker with this client. A harness is called in the region that its ARN names.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one attempt, as [`SpecialistInvoker::invoke`] does.
    ///
    /// [`SpecialistInvoker::invoke`]: router_core::invocation::SpecialistInvoker::invoke
    pub(crate) async fn invoke(&self, harness: &AgentCoreAgent, attempt: &Attempt<'_>) -> Outcome {
        frames::read(attempt.into(), self.start(harness, attempt), AnswerReader::default()).await
    }

    async fn start(
        &self,
        harness: &AgentCoreAgent,
        attempt: &Attempt<'_>,
    ) -> Result<Frames, Outcome> {
        let body = TakesBody::default();
        // It has all that a message needs.
        let message =
            message(attempt).map_err(|_| Outcome::new(Err(InvokeError::Invalid), Usage::NotRun))?;
        self.client
            .invoke_harness()
            .harness_arn(&harness.arn)
            .set_qualifier(harness.endpoint.clone())
            .runtime_session_id(attempt.session_id)
            .messages(message)
            .timeout_seconds(whole_seconds(attempt.timeout))
            .set_max_tokens(attempt.model.max_output_tokens.and_then(|most| most.try_into().ok()))
            .set_trace_parent(attempt.trace.map(|parent| parent.to_string()))
            .baggage(baggage(attempt.root_session))
            .customize()
            .interceptor(body.clone())
            .config_override(Builder::new().region(Region::new(harness.region.clone())))
            .send()
            .await
            .map_err(|error| failure::before_the_answer("AgentCore", error))?;
        Ok(body.frames())
    }
}

fn message(attempt: &Attempt<'_>) -> Result<HarnessMessage, BuildError> {
    let texts = attempt.scratchpad_as_text().into_iter().chain([attempt.request.to_owned()]);
    HarnessMessage::builder()
        .role(HarnessConversationRole::User)
        .set_content(Some(texts.map(HarnessContentBlock::Text).collect()))
        .build()
}

/// The least whole seconds, one at least, that are not shorter than `time`.
pub(crate) fn whole_seconds(time: Duration) -> i32 {
    let seconds = time.as_millis().div_ceil(1_000).max(1);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harness_is_never_given_less_time_than_it_is_waited_for() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (20_000, 20)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
