//! Which agent plays a specialist, and where it runs.

use std::fmt;

/// The agent that plays a specialist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRef {
    /// An Amazon Bedrock agent.
    Bedrock(AgentAlias),
    /// An agent of the user's own code, on an Amazon Bedrock AgentCore runtime.
    Runtime(AgentCoreAgent),
    /// An AgentCore harness.
    Harness(AgentCoreAgent),
    /// A plain model, with the specialist's instruction.
    Model(Model),
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

/// A runtime or harness of AgentCore and, where it is not the default one, the endpoint that is
/// called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCoreAgent {
    /// Its ARN, without its endpoint.
    pub arn: String,
    /// The region of that ARN, where it has to be called.
    pub region: String,
    /// The name of the endpoint, which stands for a version; `None`: the default one.
    pub endpoint: Option<String>,
}

/// A model, or an inference profile that chooses among the regions of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The id or ARN by which it is called.
    pub id: String,
    /// The region of its ARN, where it has to be called; `None` of one that was given by its id:
    /// the caller's own.
    pub region: Option<String>,
}

impl AgentRef {
    /// What [`AgentRef::parse`] accepts, for messages.
    pub const RULE: &str = "it must be `AGENTID/ALIASID`, 1 to 10 letters and digits each, or \
        `model:ID`, or the ARN of an agent's alias, of an AgentCore runtime or harness, of a \
        foundation model or of an inference profile";
    const ARN_RULE: &str = "an ARN must be `arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID`, \
        which may end in `/runtime-endpoint/NAME`, or \
        `arn:aws:bedrock-agentcore:REGION:ACCOUNT:harness/NAME-ID`, which may end in \
        `/harness-endpoint/NAME`, or `arn:aws:bedrock:REGION:ACCOUNT:agent-alias/AGENTID/ALIASID`, \
        `arn:aws:bedrock:REGION::foundation-model/ID` or \
        `arn:aws:bedrock:REGION:ACCOUNT:inference-profile/ID`";

    /// Reads `AGENTID/ALIASID`, `model:ID`, or the ARN of an agent's alias, of an AgentCore runtime
    /// or harness or of an endpoint of one, of a foundation model or of an inference profile.
    ///
    /// # Errors
    ///
    /// The rule that the string breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("arn:") {
            Self::parse_arn(text).ok_or(Self::ARN_RULE)
        } else if let Some(id) = text.strip_prefix("model:") {
            Model::parse(id).map(Self::Model).ok_or(Self::RULE)
        } else {
            AgentAlias::parse(text, None).map(Self::Bedrock).ok_or(Self::RULE)
        }
    }

    fn parse_arn(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        match (arn.service, arn.kind) {
            ("bedrock", "agent-alias") => AgentAlias::parse(arn.id, Some(arn.region))
                .filter(|_| arn.has_account())
                .map(Self::Bedrock),
            ("bedrock", "foundation-model" | "inference-profile") => {
                // A foundation model belongs to no account.
                let is_sound = match arn.kind {
                    "foundation-model" => arn.account.is_empty(),
                    _ => arn.has_account(),
                };
                let model = Model { region: Some(arn.region.to_owned()), id: text.to_owned() };
                (is_sound && Model::is_id(arn.id)).then_some(Self::Model(model))
            }
            ("bedrock-agentcore", "runtime") => AgentCoreAgent::parse(&arn).map(Self::Runtime),
            ("bedrock-agentcore", "harness") => AgentCoreAgent::parse(&arn).map(Self::Harness),
            _ => None,
        }
    }

    /// The id of the agent, runtime, harness or model, without the account that an ARN names.
    pub fn id(&self) -> &str {
        let id = match self {
            Self::Bedrock(alias) => &alias.agent_id,
            Self::Runtime(agent) | Self::Harness(agent) => &agent.arn,
            Self::Model(model) => &model.id,
        };
        id.rsplit('/').next().unwrap_or_default()
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
}

impl AgentCoreAgent {
    /// The parts are those of `AgentRuntimeArn`, `AgentRuntimeEndpointArn` and `HarnessArn` in the
    /// model of bedrock-agentcore-control 2023-06-05.
    fn parse(arn: &Arn<'_>) -> Option<Self> {
        let (id, endpoint) = match arn.id.split_once('/') {
            Some((id, rest)) => {
                let rest = rest.strip_prefix(arn.kind)?;
                (id, Some(rest.strip_prefix("-endpoint/")?))
            }
            None => (arn.id, None),
        };
        let (name, suffix) = id.rsplit_once('-')?;
        let is_endpoint = endpoint.is_none_or(|name| is_name(name, 48));
        (arn.has_account() && is_name(name, 100) && is_id(suffix) && is_endpoint).then(|| Self {
            arn: arn.text[..arn.text.len() - arn.id.len() + id.len()].to_owned(),
            region: arn.region.to_owned(),
            endpoint: endpoint.map(str::to_owned),
        })
    }
}

impl Model {
    fn parse(id: &str) -> Option<Self> {
        Self::is_id(id).then(|| Self { id: id.to_owned(), region: None })
    }

    /// The letters of `modelId` in the model of bedrock-runtime 2023-09-30, which allows a model's
    /// id 140 of them.
    fn is_id(id: &str) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        (1..=140).contains(&id.len())
            && id.starts_with(|first: char| first.is_ascii_alphanumeric())
            && id.bytes().all(is_letter)
    }
}

/// The parts of an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:KIND/ID`.
struct Arn<'t> {
    text: &'t str,
    service: &'t str,
    region: &'t str,
    account: &'t str,
    kind: &'t str,
    id: &'t str,
}

impl<'t> Arn<'t> {
    /// Reads an ARN of a partition of AWS.
    fn parse(text: &'t str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else {
            return None;
        };
        let is_region = |part: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !part.is_empty() && part.bytes().all(allowed)
        };
        let is_partition =
            partition == "aws" || partition.strip_prefix("aws-").is_some_and(is_region);
        let (kind, id) = resource.split_once('/')?;
        (is_partition && is_region(region)).then_some(Self {
            text,
            service,
            region,
            account,
            kind,
            id,
        })
    }

    fn has_account(&self) -> bool {
        self.account.len() == 12 && self.account.bytes().all(|byte| byte.is_ascii_digit())
    }
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
        let (agent, kind) = match self {
            Self::Bedrock(alias) => return write!(f, "{}/{}", alias.agent_id, alias.alias_id),
            Self::Model(Model { id, region: None }) => return write!(f, "model:{id}"),
            Self::Model(Model { id, region: Some(_) }) => return f.write_str(id),
            Self::Runtime(runtime) => (runtime, "runtime"),
            Self::Harness(harness) => (harness, "harness"),
        };
        match &agent.endpoint {
            None => f.write_str(&agent.arn),
            Some(endpoint) => write!(f, "{}/{kind}-endpoint/{endpoint}", agent.arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str =
        "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/my_agent-AbCdEf1234";
    const MODEL: &str = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0";
    const PROFILE: &str =
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0";

    #[test]
    fn an_agent_of_each_kind_is_written_as_it_was_read() {
        let endpoint = format!("{ARN}/runtime-endpoint/PROD_2");
        let gov = ARN.replace("arn:aws:", "arn:aws-us-gov:");
        let harness = ARN.replace("runtime/", "harness/");
        let live = format!("{harness}/harness-endpoint/live");
        let model = "model:us.anthropic.claude-3-5-haiku-20241022-v1:0";
        for text in ["A/B", "BILLING001/TSTALIASID", ARN, &endpoint, &gov] {
            assert_eq!(AgentRef::parse(text).unwrap().to_string(), text);
        }
        for text in [&*harness, &live, model, MODEL, PROFILE] {
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
            ("123456789012", ""),
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
    fn what_runs_on_agentcore_is_called_by_its_arn_in_its_region_at_its_endpoint() {
        let agent = |arn: &str| AgentCoreAgent {
            arn: arn.to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: Some("DEFAULT".to_owned()),
        };
        let text = format!("{ARN}/runtime-endpoint/DEFAULT");
        assert_eq!(AgentRef::parse(&text), Ok(AgentRef::Runtime(agent(ARN))));
        let harness = ARN.replace("runtime/", "harness/");
        let text = format!("{harness}/harness-endpoint/DEFAULT");
        assert_eq!(AgentRef::parse(&text), Ok(AgentRef::Harness(agent(&harness))));
    }

    #[test]
    fn a_model_is_called_by_its_id_where_the_caller_is_or_by_its_arn_in_its_region() {
        let model = |id: &str, region: Option<&str>| {
            let region = region.map(str::to_owned);
            Ok(AgentRef::Model(Model { id: id.to_owned(), region }))
        };
        assert_eq!(AgentRef::parse("model:m-1"), model("m-1", None));
        for arn in [MODEL, PROFILE] {
            assert_eq!(AgentRef::parse(arn), model(arn, Some("eu-west-1")));
        }
    }

    #[test]
    fn an_agent_is_named_without_the_account_of_its_arn() {
        let harness = ARN.replace("runtime/", "harness/");
        for (text, id) in [
            ("A/B", "A"),
            (&format!("{ARN}/runtime-endpoint/B"), "my_agent-AbCdEf1234"),
            (&harness, "my_agent-AbCdEf1234"),
            ("model:m-1", "m-1"),
            (MODEL, "amazon.nova-lite-v1:0"),
            (PROFILE, "eu.amazon.nova-lite-v1:0"),
        ] {
            assert_eq!(AgentRef::parse(text).unwrap().id(), id, "{text}");
        }
    }

    #[test]
    fn what_is_no_agent_is_told_which_rule_it_breaks() {
        let long = format!("model:{}", "m".repeat(141));
        for text in ["", "billing", "A/B/C", "A/", "ÄGENT/B", "ELEVENCHARS/A"] {
            assert_eq!(AgentRef::parse(text), Err(AgentRef::RULE), "{text}");
        }
        for text in ["model:", "model:-m", "model:a/b", "model:a b", "model:*", &long] {
            assert_eq!(AgentRef::parse(text), Err(AgentRef::RULE), "{text}");
        }
        for (part, wrong) in [
            (ARN, "arn:"),
            ("arn:aws:", "arn:gcp:"),
            ("arn:aws:", "arn:aws-:"),
            ("bedrock-agentcore:", "bedrock-agentcore-control:"),
            ("bedrock-agentcore:", "bedrock:"),
            ("eu-west-1", ""),
            ("eu-west-1", "EU-West-1"),
            ("123456789012", "12345678901"),
            ("runtime/", "gateway/"),
            ("my_agent-", ""),
            ("my_agent-", "1st-"),
            ("my_agent-", "my agent-"),
            ("AbCdEf1234", "AbCdEf12345"),
            ("AbCdEf1234", "AbCdEf1234/endpoint/DEFAULT"),
            ("AbCdEf1234", "AbCdEf1234/harness-endpoint/DEFAULT"),
            ("AbCdEf1234", "AbCdEf1234/runtime-endpoint/"),
            ("AbCdEf1234", "AbCdEf1234/runtime-endpoint/a-b"),
            ("AbCdEf1234", "AbCdEf1234/runtime-endpoint/a/b"),
            ("AbCdEf1234", "AbCdEf1234:1"),
        ] {
            let text = ARN.replace(part, wrong);
            assert_eq!(AgentRef::parse(&text), Err(AgentRef::ARN_RULE), "{text}");
        }
        for (part, wrong) in [
            ("::", ":123456789012:"),
            ("::", ":none:"),
            ("foundation-model/", "custom-model/"),
            ("foundation-model/", "foundation-model/*"),
            ("foundation-model/", "foundation-model/a/"),
            ("foundation-model/amazon.nova-lite-v1:0", "foundation-model/"),
        ] {
            let text = MODEL.replace(part, wrong);
            assert_eq!(AgentRef::parse(&text), Err(AgentRef::ARN_RULE), "{text}");
        }
        let of_no_account = PROFILE.replace("123456789012", "");
        assert_eq!(AgentRef::parse(&of_no_account), Err(AgentRef::ARN_RULE));
    }
}
