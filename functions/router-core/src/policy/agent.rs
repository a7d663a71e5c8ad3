//! Which agent plays a specialist.

use std::fmt;

/// An Amazon Bedrock agent and one of its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRef {
    /// The agent's id.
    pub agent_id: String,
    /// The id of the alias through which it is invoked.
    pub alias_id: String,
}

impl AgentRef {
    /// What [`AgentRef::parse`] accepts, for messages.
    pub const RULE: &str = "it must be `AGENTID/ALIASID`, 1 to 10 letters and digits each";

    /// Reads `AGENTID/ALIASID`.
    ///
    /// Both ids match `[0-9a-zA-Z]{1,10}`, as the model of `InvokeAgent` has it.
    pub fn parse(text: &str) -> Option<Self> {
        let (agent_id, alias_id) = text.split_once('/')?;
        let is_id = |id: &str| {
            (1..=10).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        (is_id(agent_id) && is_id(alias_id))
            .then(|| Self { agent_id: agent_id.to_owned(), alias_id: alias_id.to_owned() })
    }
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent_id, self.alias_id)
    }
}
