//! The script's agents as agents of each kind.

use stand_ins::agents::AgentKind;

/// What the specialists are played by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Bedrock agents.
    Bedrock,
    /// AgentCore runtimes that send events with parts of the text.
    Stream,
    /// AgentCore runtimes that send one JSON object.
    Json,
    /// AgentCore runtimes that pass on what a Strands agent yields.
    Strands,
    /// AgentCore harnesses.
    Harness,
    /// Plain models.
    Model,
}

impl Cast {
    pub(crate) const ALL: [Self; 6] =
        [Self::Bedrock, Self::Stream, Self::Json, Self::Strands, Self::Harness, Self::Model];

    pub(crate) fn kind(self) -> AgentKind {
        match self {
            Self::Bedrock => AgentKind::Bedrock,
            Self::Stream | Self::Json | Self::Strands => AgentKind::Runtime,
            Self::Harness => AgentKind::Harness,
            Self::Model => AgentKind::Model,
        }
    }

    /// The script, with every agent of this kind.
    pub(crate) fn of(self, script: &str) -> String {
        let names = ["billing", "orders", "support", "general"];
        let script = names.iter().fold(script.to_owned(), |script, name| {
            let alias = format!("{:0<9}1/LIVE000001", name.to_uppercase());
            script.replace(&alias, &self.agent(name))
        });
        let format = match self {
            Self::Bedrock | Self::Stream | Self::Harness | Self::Model => return script,
            Self::Json => "format = \"json\"",
            Self::Strands => "format = \"strands\"",
        };
        script
            .replace("{ when", &format!("{{ {format}, when"))
            .replace("{ answer", &format!("{{ {format}, answer"))
            .replace("[[orders.replies]]", &format!("[[orders.replies]]\n{format}"))
    }

    /// The agent of this kind that plays a specialist.
    pub(crate) fn agent(self, name: &str) -> String {
        let of_agentcore = |kind: &str| {
            format!("arn:aws:bedrock-agentcore:us-east-1:123456789012:{kind}/{name}-AbCdEf1234")
        };
        match self {
            Self::Bedrock => format!("{:0<9}1/LIVE000001", name.to_uppercase()),
            Self::Stream | Self::Json | Self::Strands => of_agentcore("runtime"),
            Self::Harness => of_agentcore("harness"),
            Self::Model => format!("model:example.{name}-v1:0"),
        }
    }
}
