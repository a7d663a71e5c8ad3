//! The kinds of agents, told apart by how an agent is named.

/// What kind an agent is of, and so through which API it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentKind {
    /// A Bedrock agent, through `InvokeAgent`: `AGENTID/ALIASID`.
    Bedrock,
    /// An agent on an AgentCore runtime, through `InvokeAgentRuntime`: the runtime's ARN.
    Runtime,
    /// An AgentCore harness, through `InvokeHarness`: its ARN.
    Harness,
    /// A plain model, through `ConverseStream`: `model:ID`, or an ARN of a model or profile.
    Model,
}

impl AgentKind {
    /// What names an agent of each kind, for messages.
    pub(super) const RULE: &str = "AGENTID/ALIASID, each 1 to 10 letters and digits, `model:ID`, or the \
        ARN of an AgentCore runtime or harness, of a foundation model or of an inference profile";

    /// The kind of the agent that goes by this name; `None` of what is no agent.
    pub fn of(agent: &str) -> Option<Self> {
        if agent.strip_prefix("model:").is_some_and(|id| !id.is_empty()) {
            return Some(Self::Model);
        }
        let parts: Vec<&str> = agent.splitn(6, ':').collect();
        let ["arn", _, service, _, _, resource] = parts[..] else {
            return is_alias(agent).then_some(Self::Bedrock);
        };
        match (service, resource.split_once('/')?.0) {
            ("bedrock-agentcore", "runtime") => Some(Self::Runtime),
            ("bedrock-agentcore", "harness") => Some(Self::Harness),
            ("bedrock", "foundation-model" | "inference-profile") => Some(Self::Model),
            _ => None,
        }
    }
}

fn is_alias(agent: &str) -> bool {
    let valid = |part: &str| {
        (1..=10).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    agent.split_once('/').is_some_and(|(id, alias)| valid(id) && valid(alias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_name_tells_its_kind() {
        let of_agentcore =
            |resource: &str| format!("arn:aws:bedrock-agentcore:us-east-1:123456789012:{resource}");
        let model = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0";
        let profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.b-v1:0";
        for (agent, kind) in [
            ("A/B", Some(AgentKind::Bedrock)),
            (&of_agentcore("runtime/a-AbCdEf1234"), Some(AgentKind::Runtime)),
            (&of_agentcore("harness/a-AbCdEf1234/harness-endpoint/B"), Some(AgentKind::Harness)),
            ("model:amazon.nova-lite-v1:0", Some(AgentKind::Model)),
            (model, Some(AgentKind::Model)),
            (profile, Some(AgentKind::Model)),
            (&of_agentcore("gateway/a-AbCdEf1234"), None),
            ("model:", None),
            ("A", None),
        ] {
            assert_eq!(AgentKind::of(agent), kind, "{agent}");
        }
    }
}
