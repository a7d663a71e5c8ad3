//! Which agent plays a specialist, and where it runs.

use std::fmt;

/// The agent that plays a specialist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRef {
    /// An Amazon Bedrock agent.
    Bedrock(AgentAlias),
    /// An agent on an Amazon Bedrock AgentCore runtime.
    AgentCore(AgentRuntime),
}

/// An Amazon Bedrock agent and one of its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAlias {
    /// The agent's id.
    pub agent_id: String,
    /// The id of the alias through which it is invoked.
    pub alias_id: String,
    /// The region of its ARN, where it has to be called; `None` of one that was given by its ids:
    /// the caller's own.
    pub region: Option<String>,
}

/// An AgentCore runtime and, where it is not the default one, the endpoint that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRuntime {
    /// The runtime's ARN, without its endpoint.
    pub arn: String,
    /// The region of that ARN, where the runtime has to be called.
    pub region: String,
    /// The name of the endpoint, which stands for a version; `None`: the runtime's default.
    pub endpoint: Option<String>,
}

impl AgentRef {
    /// What [`AgentRef::parse`] accepts, for messages.
    pub const RULE: &str = "it must be `AGENTID/ALIASID`, 1 to 10 letters and digits each, or \
        the ARN of an agent's alias or of an AgentCore runtime";
    const ARN_RULE: &str = "an ARN must be `arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID`, \
        which may end in `/runtime-endpoint/NAME`, or \
        `arn:aws:bedrock:REGION:ACCOUNT:agent-alias/AGENTID/ALIASID`";

    /// Reads `AGENTID/ALIASID`, or the ARN of an agent's alias, of an AgentCore runtime or of one of
    /// its endpoints.
    ///
    /// # Errors
    ///
    /// The rule that the string breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("arn:") {
            let alias = AgentAlias::parse_arn(text).map(Self::Bedrock);
            alias.or_else(|| AgentRuntime::parse(text).map(Self::AgentCore)).ok_or(Self::ARN_RULE)
        } else {
            AgentAlias::parse(text, None).map(Self::Bedrock).ok_or(Self::RULE)
        }
    }

    /// The id of the agent or runtime, without the account that an ARN names.
    pub fn id(&self) -> &str {
        match self {
            Self::Bedrock(alias) => &alias.agent_id,
            Self::AgentCore(runtime) => runtime.arn.rsplit('/').next().unwrap_or_default(),
        }
    }
}

impl AgentAlias {
    /// Both ids match `[0-9a-zA-Z]{1,10}`, as the model of `InvokeAgent` has it.
    fn parse(text: &str, region: Option<&str>) -> Option<Self> {
        let (agent_id, alias_id) = text.split_once('/')?;
        (is_id(agent_id) && is_id(alias_id)).then(|| Self {
            agent_id: agent_id.to_owned(),
            alias_id: alias_id.to_owned(),
            region: region.map(str::to_owned),
        })
    }

    fn parse_arn(text: &str) -> Option<Self> {
        let (region, resource) = resource(text, "bedrock")?;
        Self::parse(resource.strip_prefix("agent-alias/")?, Some(region))
    }
}

impl AgentRuntime {
    /// The parts are those of `AgentRuntimeArn` and `AgentRuntimeEndpointArn` in the model of
    /// bedrock-agentcore-control 2023-06-05.
    fn parse(text: &str) -> Option<Self> {
        let (arn, endpoint) = match text.split_once("/runtime-endpoint/") {
            Some((arn, endpoint)) => (arn, Some(endpoint)),
            None => (text, None),
        };
        let (region, resource) = resource(arn, "bedrock-agentcore")?;
        let (name, id) = resource.strip_prefix("runtime/")?.rsplit_once('-')?;
        let is_endpoint = endpoint.is_none_or(|name| is_name(name, 48));
        (is_name(name, 100) && is_id(id) && is_endpoint).then(|| Self {
            arn: arn.to_owned(),
            region: region.to_owned(),
            endpoint: endpoint.map(str::to_owned),
        })
    }
}

/// The region and the last part of an ARN of this service.
fn resource<'t>(arn: &'t str, service: &str) -> Option<(&'t str, &'t str)> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, of, region, account, resource] = parts[..] else { return None };
    let is_region = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(allowed)
    };
    let is_partition = partition == "aws" || partition.strip_prefix("aws-").is_some_and(is_region);
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (of == service && is_partition && is_region(region) && is_account).then_some((region, resource))
}

fn is_id(id: &str) -> bool {
    (1..=10).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A letter, then letters, digits and `_`.
fn is_name(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bedrock(alias) => write!(f, "{}/{}", alias.agent_id, alias.alias_id),
            Self::AgentCore(AgentRuntime { arn, endpoint: None, .. }) => f.write_str(arn),
            Self::AgentCore(AgentRuntime { arn, endpoint: Some(endpoint), .. }) => {
                write!(f, "{arn}/runtime-endpoint/{endpoint}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str =
        "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/my_agent-AbCdEf1234";

    #[test]
    fn an_agent_is_an_alias_or_a_runtime_and_is_written_as_it_was_read() {
        let endpoint = format!("{ARN}/runtime-endpoint/PROD_2");
        let gov = ARN.replace("arn:aws:", "arn:aws-us-gov:");
        for text in ["A/B", "BILLING001/TSTALIASID", ARN, &endpoint, &gov] {
            assert_eq!(AgentRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_alias_that_was_given_by_its_arn_is_called_in_that_region() {
        let arn = "arn:aws:bedrock:eu-west-1:123456789012:agent-alias/BILLING001/LIVE000001";
        let alias = |region: Option<&str>| {
            AgentRef::Bedrock(AgentAlias {
                agent_id: "BILLING001".to_owned(),
                alias_id: "LIVE000001".to_owned(),
                region: region.map(str::to_owned),
            })
        };
        assert_eq!(AgentRef::parse(arn), Ok(alias(Some("eu-west-1"))));
        assert_eq!(AgentRef::parse("BILLING001/LIVE000001"), Ok(alias(None)));
        for (part, wrong) in [
            (":bedrock:", ":bedrock-agentcore:"),
            ("agent-alias/", "agent/"),
            ("/LIVE000001", ""),
            ("LIVE000001", "LIVE000001/*"),
            ("BILLING001", "*"),
        ] {
            let text = arn.replace(part, wrong);
            assert_eq!(AgentRef::parse(&text), Err(AgentRef::ARN_RULE), "{text}");
        }
    }

    #[test]
    fn a_runtime_is_called_by_its_arn_in_its_region_at_its_endpoint() {
        let text = format!("{ARN}/runtime-endpoint/DEFAULT");
        let expected = AgentRuntime {
            arn: ARN.to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: Some("DEFAULT".to_owned()),
        };
        assert_eq!(AgentRef::parse(&text), Ok(AgentRef::AgentCore(expected)));
    }

    #[test]
    fn what_is_neither_is_told_which_rule_it_breaks() {
        let other_than_arns = ["", "billing", "A/B/C", "A/", "ÄGENT/B", "ELEVENCHARS/A"];
        for text in other_than_arns {
            assert_eq!(AgentRef::parse(text), Err(AgentRef::RULE), "{text}");
        }
        for (part, wrong) in [
            (ARN, "arn:"),
            ("arn:aws:", "arn:gcp:"),
            ("arn:aws:", "arn:aws-:"),
            ("bedrock-agentcore:", "bedrock-agentcore-control:"),
            ("eu-west-1", ""),
            ("eu-west-1", "EU-West-1"),
            ("123456789012", "12345678901"),
            ("runtime/", "gateway/"),
            ("my_agent-", ""),
            ("my_agent-", "1st-"),
            ("my_agent-", "my agent-"),
            ("AbCdEf1234", "AbCdEf12345"),
            ("AbCdEf1234", "AbCdEf1234/endpoint/DEFAULT"),
            ("AbCdEf1234", "AbCdEf1234/runtime-endpoint/"),
            ("AbCdEf1234", "AbCdEf1234/runtime-endpoint/a-b"),
            ("AbCdEf1234", "AbCdEf1234:1"),
        ] {
            let text = ARN.replace(part, wrong);
            assert_eq!(AgentRef::parse(&text), Err(AgentRef::ARN_RULE), "{text}");
        }
    }
}
