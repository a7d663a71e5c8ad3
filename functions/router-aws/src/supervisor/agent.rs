//! Supervisors that are Amazon Bedrock agents. Such an agent runs its own loop and calls its action
//! group by itself, so one round is all of a request.
//!
//! Its trace tells the tokens of its own model calls, and of collaborators that Bedrock calls for it.
//! What the specialists behind its action group use is not in there: the router that calls them
//! charges it, to the session that the attributes name.
//!
//! The answer is streamed, for which the agent's role needs
//! `bedrock:InvokeModelWithResponseStream`.

use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::config::{Builder, Region};
use aws_sdk_bedrockagentruntime::types::{SessionState, StreamingConfigurations};
use router_core::invocation::Outcome;
use router_core::policy::AgentAlias;
use router_core::supervisor::{Decided, Message, Round, Turn};
use router_core::wire::caller::ROOT_SESSION_ID;

use super::{Listener, not_run};
use crate::bedrock::AnswerReader;
use crate::failure;
use crate::frames::{self, Frames, TakesBody};

/// Invokes Bedrock agents through their aliases.
#[derive(Clone, Debug)]
pub(super) struct AgentSupervisor {
    client: Client,
}

impl AgentSupervisor {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one round, as [`Supervisor::decide`](router_core::supervisor::Supervisor::decide) does.
    pub(super) async fn decide(
        &self,
        alias: &AgentAlias,
        round: &Round<'_>,
        heard: Listener<'_>,
    ) -> Decided {
        // Its results go to its action group.
        let Some(Message::User(request)) = round.messages.last() else { return not_run() };
        let reading = AnswerReader::new(round.trace.is_some(), heard);
        let start = self.start(alias, round, request);
        let Outcome { result, usage, steps } = frames::read(round.into(), start, reading).await;
        let result = result.map(|text| Turn { text, calls: Vec::new() });
        Outcome { result, usage, steps }
    }

    async fn start(
        &self,
        alias: &AgentAlias,
        round: &Round<'_>,
        request: &str,
    ) -> Result<Frames, Outcome> {
        let body = TakesBody::default();
        let mut attributes = round.attributes.clone();
        let root = || round.root_session.as_str().to_owned();
        attributes.entry(ROOT_SESSION_ID.to_owned()).or_insert_with(root);
        let state = SessionState::builder()
            .set_session_attributes(Some(attributes.into_iter().collect()))
            .build();
        let streaming = StreamingConfigurations::builder().stream_final_response(true).build();
        let call = self
            .client
            .invoke_agent()
            .agent_id(&alias.agent_id)
            .agent_alias_id(&alias.alias_id)
            .session_id(round.session_id)
            .session_state(state)
            .input_text(request)
            .streaming_configurations(streaming)
            // Token usage exists in the trace alone.
            .enable_trace(true)
            .customize()
            .interceptor(body.clone());
        let call = match alias.region.clone().map(Region::new) {
            Some(region) => call.config_override(Builder::new().region(region)),
            None => call,
        };
        call.send().await.map_err(|error| failure::before_the_answer("Bedrock", error))?;
        Ok(body.frames())
    }
}
