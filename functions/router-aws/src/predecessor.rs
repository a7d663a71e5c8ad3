//! What was there before the supervisor: a Lambda function, or an agent of any kind.

mod function;

use aws_config::SdkConfig;
use function::FunctionInvoker;
use router_core::invocation::{Attempt, InvokeError, SpecialistInvoker};
use router_core::policy::{AgentRef, Current, ModelSettings};
use router_core::split::{Answer, Inquiry, Predecessor, agent_session_id};
use router_core::stop::Stop;
use router_core::units::Tokens;
use router_core::wire::caller::Attributes;

use crate::AgentInvoker;

/// Asks the predecessor where the policy says that it runs.
#[derive(Clone, Debug)]
pub struct AwsPredecessor {
    functions: FunctionInvoker,
    agents: AgentInvoker,
}

impl AwsPredecessor {
    /// A predecessor with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        Self { functions: FunctionInvoker::new(config), agents: AgentInvoker::new(config) }
    }

    async fn ask_agent(
        &self,
        agent: &AgentRef,
        inquiry: &Inquiry<'_>,
    ) -> Result<Answer, InvokeError> {
        let session_id = agent_session_id(agent, inquiry.session);
        let attempt = Attempt {
            agent,
            session_id: &session_id,
            root_session: inquiry.session,
            attributes: inquiry.attributes,
            scratchpad: &Attributes::new(),
            model: &ModelSettings::default(),
            request: inquiry.input,
            timeout: inquiry.timeout,
            idle_timeout: inquiry.timeout,
            // No budget covers it.
            max_tokens: Tokens(u64::MAX),
            trace: None,
            stop: &Stop::default(),
        };
        // The policy has no price for its tokens.
        let text = self.agents.invoke(&attempt).await.result?;
        Ok(Answer { text, cost: None })
    }
}

impl Predecessor for AwsPredecessor {
    async fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Answer, InvokeError> {
        match inquiry.current {
            Current::Lambda(arn) => self.functions.ask(arn, inquiry).await,
            Current::Agent(agent) => self.ask_agent(agent, inquiry).await,
        }
    }
}
