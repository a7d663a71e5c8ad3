//! Supervisors for the front door, scripted: one of each kind, each routing what a user says by a word
//! in it.

use serde_json::{Value, json};

use crate::agents::{DEFAULT_SCRIPT, Script, ScriptError};
use crate::options::{FUNCTION, FunctionOptions, Options};

/// The front door's function.
pub const FRONT_DOOR: &str = "front-door";

/// The name of the supervisor among the agents.
const SUPERVISOR: &str = "supervisor";

/// What plays the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An AgentCore harness.
    Harness,
    /// A plain model.
    Model,
    /// A Bedrock agent, whose action group is [`FUNCTION`].
    Agent,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Harness, Self::Model, Self::Agent];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harness => "harness",
            Self::Model => "model",
            Self::Agent => "agent",
        }
    }

    /// The agent as the policy names it.
    pub fn agent(self) -> &'static str {
        match self {
            Self::Harness => {
                "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/supervisor-FrDoor0001"
            }
            Self::Model => "model:eu.anthropic.claude-sonnet-supervisor",
            Self::Agent => "SUPERVIS01/LIVE000001",
        }
    }
}

/// A word in what the user says, who is asked for it with which intent, and what the user is told.
const ROUTES: [(&str, &str, &str, &str); 3] = [
    ("refund", "billing", "refund", "Your refund is on its way: billing has sent it."),
    ("order", "orders", "order", "I have looked your order up: here is what orders says."),
    ("password", "support", "password", "Support has sent you a link for a new password."),
];

const USAGE: &str = "usage = [{ input = 900, output = 60 }]\ndelay_ms = 20\n";

/// The section of a supervisor that does this in its rounds: replies as the script has them.
pub fn section(kind: Kind, replies: &str) -> String {
    format!("\n[{SUPERVISOR}]\nagent = \"{}\"\nlisted = false\n{replies}", kind.agent())
}

/// The replies of a supervisor that routes by a word, and answers once it has the results.
pub fn routing(kind: Kind) -> String {
    let mut replies = String::new();
    let of_end =
        "answer = \"I have had it looked into, and it is taken care of: the department says so.\"";
    if kind != Kind::Agent {
        replies +=
            &format!("[[supervisor.replies]]\nresults = true\n{of_end}\nchunks = 6\n{USAGE}");
    }
    let otherwise = ("", "general", "contact", "I have passed it on.");
    for (word, specialist, intent, told) in ROUTES.into_iter().chain([otherwise]) {
        let when = if word.is_empty() { String::new() } else { format!("when = \"{word}\"\n") };
        let request = format!(
            "The customer writes about: {}",
            if word.is_empty() { "something else" } else { word }
        );
        let call = format!(
            "calls = [{{ name = \"invoke_specialist_agent\", arguments = {{ specialist_type = \
             \"{specialist}\", request = \"{request}\", intent = \"{intent}\" }} }}]"
        );
        let answer = if kind == Kind::Agent {
            format!("answer = \"{told}\"\nchunks = 6\n")
        } else {
            String::new()
        };
        replies += &format!("[[supervisor.replies]]\n{when}{call}\n{answer}{USAGE}");
    }
    replies
}

/// The product with a front door whose supervisor is this, beside what `options` has.
///
/// # Errors
///
/// When the script has mistakes.
pub fn with_front_door(
    kind: Kind,
    replies: &str,
    mut options: Options,
) -> Result<Options, ScriptError> {
    let agents = options.agents.take().unwrap_or_else(|| DEFAULT_SCRIPT.to_owned());
    let script = agents + &section(kind, replies);
    let listed = Script::parse(&script)?.specialist_agents();
    let mut listed: Value = serde_json::from_str(&listed).unwrap_or_default();
    listed[SUPERVISOR] = json!(kind.agent());
    let env = [("SPECIALIST_AGENTS".to_owned(), listed.to_string())].into();
    options.functions.entry(FUNCTION.to_owned()).or_default();
    let front_door = FunctionOptions { env, ..FunctionOptions::default() };
    options.functions.insert(FRONT_DOOR.to_owned(), front_door);
    Ok(Options { agents: Some(script), ..options })
}
