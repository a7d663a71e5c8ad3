//! Rounds over replayed HTTP: the real clients, and answers byte for byte.

mod agent;
mod faults;
mod harness;
mod model;
mod replay;

use std::time::Duration;

use replay::{Answer, Replay};
use router_core::ids::RootSession;
use router_core::policy::{AgentRef, ModelSettings};
use router_core::stop::Stop;
use router_core::supervisor::{
    Decided, Heard, Message, Round, Supervisor, ToolCall, ToolResult, Turn,
};
use router_core::units::{TokenUse, Tokens};
use router_core::wire::caller::Attributes;
use router_core::wire::tools::catalog::{Argument, Tool};
use serde_json::{Value, json};

use super::AwsSupervisor;

const HARNESS: &str = "arn:aws:bedrock-agentcore:eu-west-1:123456789012:harness/s-AbCdEf1234";
const MODEL: &str = "model:amazon.nova-lite-v1:0";
const AGENT: &str = "SUPER00001/LIVE000001";
const SESSION: &str = "supervisor-0123456789-0123456789-0123456789";

/// A round, with what a test changes of it.
struct Asking {
    messages: Vec<Message>,
    offers_tools: bool,
    idle_timeout: Duration,
    timeout: Duration,
    max_tokens: u64,
    stop: Stop,
}

impl Default for Asking {
    fn default() -> Self {
        let long = Duration::from_secs(3_600);
        Self {
            messages: vec![user("Where is my refund?")],
            offers_tools: true,
            idle_timeout: long,
            timeout: long,
            max_tokens: 1_000,
            stop: Stop::default(),
        }
    }
}

/// What came of a round: the outcome, what was heard, and the body of the request.
struct Came {
    decided: Decided,
    heard: Vec<String>,
    /// `null` where no request was made.
    body: Value,
}

/// Makes a round of this supervisor, which is answered like this.
async fn decide(agent: &str, asking: Asking, answer: Answer) -> Came {
    let replay = Replay::of(answer);
    let supervisor = AwsSupervisor::new(&replay.configuration());
    let mut heard = Vec::new();
    let tools = if asking.offers_tools { vec![tool()] } else { Vec::new() };
    let decided = supervisor
        .decide(
            &Round {
                agent: &AgentRef::parse(agent).unwrap(),
                session_id: SESSION,
                root_session: &RootSession::parse("session_id", "s 1").unwrap(),
                attributes: &Attributes::from([("user_id".to_owned(), "u".to_owned())]),
                prompt: "You route.",
                messages: &asking.messages,
                tools: &tools,
                model: &ModelSettings {
                    instruction: Some("not this".to_owned()),
                    temperature: Some(0.5),
                    max_output_tokens: Some(700),
                },
                timeout: asking.timeout,
                idle_timeout: asking.idle_timeout,
                max_tokens: Tokens(asking.max_tokens),
                trace: None,
                stop: &asking.stop,
            },
            &mut |told: Heard<'_>| heard.push(format!("{told:?}")),
        )
        .await;
    Came { decided, heard, body: replay.body() }
}

/// The turn that a supervisor makes of these events, its calls and what was heard.
async fn turn(agent: &str, events: &[(&str, Value)]) -> (Turn, Vec<String>) {
    let came = decide(agent, Asking::default(), Answer::events(events)).await;
    (came.decided.result.unwrap(), came.heard)
}

fn tool() -> Tool {
    let argument = |name, kind, is_required| Argument {
        name,
        kind,
        is_required,
        description: format!("its {name}"),
        items: Vec::new(),
    };
    let arguments = vec![argument("q", "string", true), argument("sure", "number", false)];
    Tool { name: "ask", description: "Asks a department.", arguments }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["q"],
        "properties": {
            "q": { "type": "string", "description": "its q" },
            "sure": { "type": "number", "description": "its sure" },
        },
    })
}

fn user(text: &str) -> Message {
    Message::User(text.to_owned())
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall::new(id.to_owned(), "ask".to_owned(), arguments)
}

/// A conversation that waits for the supervisor to go on: two calls and their results.
fn with_results() -> Vec<Message> {
    let calls = vec![call("t1", r#"{"q":"a","n":[1,-2,0.5,null,true]}"#), call("t2", "oops")];
    let result = |id: &str, text: &str, is_error| ToolResult {
        id: id.to_owned(),
        text: text.to_owned(),
        is_error,
    };
    vec![
        user("Where is my refund?"),
        Message::Assistant(Turn { text: "Let me see.".to_owned(), calls }),
        Message::Results(vec![
            result("t1", r#"{"status":"answered"}"#, false),
            result("t2", "no JSON", true),
        ]),
    ]
}

/// The events of a message of the assistant, in the Converse API.
fn message(blocks: &[Value], stop: &str, used: Option<(u64, u64)>) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for (place, block) in blocks.iter().enumerate() {
        let at = |mut event: Value| {
            event["contentBlockIndex"] = place.into();
            event
        };
        match block {
            Value::String(text) => {
                let (one, two) = text.split_at(text.len() / 2);
                for piece in [one, two] {
                    let delta = json!({ "delta": { "text": piece } });
                    events.push(("contentBlockDelta", at(delta)));
                }
            }
            call => {
                let tool_use = json!({ "toolUseId": call["id"], "name": call["name"] });
                events.push(("contentBlockStart", at(json!({ "start": { "toolUse": tool_use } }))));
                let input = call["input"].as_str().unwrap();
                let (one, two) = input.split_at(input.len() / 2);
                for piece in [one, two] {
                    let delta = json!({ "delta": { "toolUse": { "input": piece } } });
                    events.push(("contentBlockDelta", at(delta)));
                }
            }
        }
        events.push(("contentBlockStop", at(json!({}))));
    }
    events.push(("messageStop", json!({ "stopReason": stop })));
    if let Some((input, output)) = used {
        let usage = json!({ "inputTokens": input, "outputTokens": output });
        events.push(("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 1 } })));
    }
    events
}

fn tool_use(id: &str, input: &str) -> Value {
    json!({ "id": id, "name": "ask", "input": input })
}

fn used(input: u64, output: u64) -> TokenUse {
    TokenUse::new(input, output)
}
