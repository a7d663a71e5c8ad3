//! Specialists, wherever they run.

use aws_config::SdkConfig;
use router_core::invocation::{Attempt, Outcome, SpecialistInvoker};
use router_core::policy::AgentRef;

use crate::agentcore::{self, RuntimeInvoker};
use crate::bedrock::{self, BedrockInvoker};
use crate::harness::HarnessInvoker;
use crate::model::{self, ModelInvoker};

/// Calls a specialist's agent where the policy says that it runs.
#[derive(Clone, Debug)]
pub struct AgentInvoker {
    bedrock: BedrockInvoker,
    runtimes: RuntimeInvoker,
    harnesses: HarnessInvoker,
    models: ModelInvoker,
}

impl AgentInvoker {
    /// An invoker with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let agentcore = agentcore::client(config);
        Self {
            bedrock: BedrockInvoker::new(bedrock::client(config)),
            runtimes: RuntimeInvoker::new(agentcore.clone()),
            harnesses: HarnessInvoker::new(agentcore),
            models: ModelInvoker::new(model::client(config)),
        }
    }
}

impl SpecialistInvoker for AgentInvoker {
    async fn invoke(&self, attempt: &Attempt<'_>) -> Outcome {
        match attempt.agent {
            AgentRef::Bedrock(alias) => self.bedrock.invoke(alias, attempt).await,
            AgentRef::Runtime(runtime) => self.runtimes.invoke(runtime, attempt).await,
            AgentRef::Harness(harness) => self.harnesses.invoke(harness, attempt).await,
            AgentRef::Model(model) => self.models.invoke(model, attempt).await,
        }
    }
}
