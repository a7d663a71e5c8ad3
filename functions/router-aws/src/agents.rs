//! Specialists, wherever they run.

use aws_config::SdkConfig;
use router_core::invocation::{Attempt, Outcome, SpecialistInvoker};
use router_core::policy::AgentRef;

use crate::agentcore::AgentCoreInvoker;
use crate::bedrock::BedrockInvoker;

/// Calls a specialist's agent where the policy says that it runs.
#[derive(Clone, Debug)]
pub struct AgentInvoker {
    bedrock: BedrockInvoker,
    agentcore: AgentCoreInvoker,
}

impl AgentInvoker {
    /// An invoker with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        Self { bedrock: BedrockInvoker::new(config), agentcore: AgentCoreInvoker::new(config) }
    }
}

impl SpecialistInvoker for AgentInvoker {
    async fn invoke(&self, attempt: &Attempt<'_>) -> Outcome {
        match attempt.agent {
            AgentRef::Bedrock(alias) => self.bedrock.invoke(alias, attempt).await,
            AgentRef::AgentCore(runtime) => self.agentcore.invoke(runtime, attempt).await,
        }
    }
}
