//! Supervisors, wherever they run.
//!
//! A harness and a model are given the tools with each call and hand their calls back; a Bedrock
//! agent has an action group and calls it by itself. The streams are read by the readers that read
//! specialists' answers, within the same limits.

mod agent;
mod conversation;
mod document;
mod harness;
mod model;

use agent::AgentSupervisor;
use aws_config::SdkConfig;
use harness::HarnessSupervisor;
use model::ModelSupervisor;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};
use router_core::policy::AgentRef;
use router_core::supervisor::{Decided, Heard, Round, Supervisor};

use crate::{agentcore, bedrock};

/// Who hears of an answer while it is on its way.
type Listener<'h> = &'h mut (dyn FnMut(Heard<'_>) + Send);

/// Calls a supervisor where the policy says that it runs.
#[derive(Clone, Debug)]
pub struct AwsSupervisor {
    agents: AgentSupervisor,
    harnesses: HarnessSupervisor,
    models: ModelSupervisor,
}

impl AwsSupervisor {
    /// A supervisor with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            agents: AgentSupervisor::new(bedrock::client(config)),
            harnesses: HarnessSupervisor::new(agentcore::client(config)),
            models: ModelSupervisor::new(crate::model::client(config)),
        }
    }
}

impl Supervisor for AwsSupervisor {
    async fn decide(&self, round: &Round<'_>, heard: Listener<'_>) -> Decided {
        match round.agent {
            AgentRef::Bedrock(alias) => self.agents.decide(alias, round, heard).await,
            AgentRef::Harness(harness) => self.harnesses.decide(harness, round, heard).await,
            AgentRef::Model(model) => self.models.decide(model, round, heard).await,
            AgentRef::Runtime(_) => not_run(),
        }
    }
}

/// The outcome of a round that no service can be asked for.
fn not_run() -> Decided {
    Outcome::new(Err(InvokeError::Invalid), Usage::NotRun)
}

#[cfg(test)]
mod tests;
