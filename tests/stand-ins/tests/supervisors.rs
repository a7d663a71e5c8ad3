//! Scripted supervisors, asked by the adapters that ask real ones. The stand-ins refuse what the
//! services would, so that a conversation that is played to its end was in order.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use router_aws::{AwsSupervisor, emulator_configuration};
use router_core::charge::Usage;
use router_core::ids::RootSession;
use router_core::invocation::InvokeError;
use router_core::policy::{AgentRef, ModelSettings};
use router_core::stop::Stop;
use router_core::supervisor::{Decided, Heard, Message, Round, Supervisor, ToolResult, Turn};
use router_core::units::{TokenUse, Tokens};
use router_core::wire::caller::Attributes;
use router_core::wire::tools::catalog::{Argument, Tool};
use serde_json::{Value, json};
use stand_ins::agents::{Agents, Script};

const HARNESS: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/s-AbCdEf1234";
const MODEL: &str = "model:amazon.nova-lite-v1:0";
const AGENT: &str = "SUPER00001/LIVE000001";

/// A supervisor that plays this script, and the conversation with it.
struct Conversation {
    agents: Agents,
    supervisor: AwsSupervisor,
    agent: AgentRef,
    messages: Vec<Message>,
    heard: Vec<String>,
}

impl Conversation {
    async fn with(agent: &str, replies: &str) -> Self {
        let script = format!("supervisor = {{ agent = \"{agent}\", replies = [{replies}] }}");
        let agents = Agents::start(Script::parse(&script).unwrap()).await.unwrap();
        let supervisor = AwsSupervisor::new(&emulator_configuration(&agents.url()).await);
        let agent = AgentRef::parse(agent).unwrap();
        Self { agents, supervisor, agent, messages: Vec::new(), heard: Vec::new() }
    }

    /// One round, with or without a tool.
    async fn round(&mut self, offers_tool: bool) -> Decided {
        let session_id = "supervisor-0123456789-0123456789-0123456789";
        self.round_in(session_id, offers_tool).await
    }

    async fn round_in(&mut self, session_id: &str, offers_tool: bool) -> Decided {
        let limit = Duration::from_secs(60);
        let (heard, tools) = (&mut self.heard, if offers_tool { vec![tool()] } else { vec![] });
        let round = Round {
            agent: &self.agent,
            session_id,
            root_session: &RootSession::parse("session_id", "s-1").unwrap(),
            attributes: &Attributes::new(),
            prompt: "You route.",
            messages: &self.messages,
            tools: &tools,
            model: &ModelSettings::default(),
            timeout: limit,
            idle_timeout: limit,
            max_tokens: Tokens(100_000),
            trace: None,
            stop: &Stop::default(),
        };
        self.supervisor.decide(&round, &mut |told: Heard<'_>| heard.push(format!("{told:?}"))).await
    }

    fn says(&mut self, text: &str) {
        self.messages.push(Message::User(text.to_owned()));
    }

    /// Keeps a turn, and answers its calls.
    fn answers(&mut self, turn: &Turn) {
        self.messages.push(Message::Assistant(turn.clone()));
        let result =
            |id: &String, is_error| ToolResult { id: id.clone(), text: "{}".to_owned(), is_error };
        let results = turn.calls.iter().map(|call| result(&call.id, call.arguments.is_err()));
        self.messages.push(Message::Results(results.collect()));
    }

    /// Asks, and answers calls, until there is a text alone. The last of so many rounds has no tool.
    async fn ask(&mut self, text: &str, rounds: usize) -> (Vec<Vec<String>>, String) {
        self.says(text);
        let mut calls = Vec::new();
        for number in 1..=rounds {
            let turn = self.round(number < rounds).await.result.unwrap();
            if turn.calls.is_empty() {
                self.messages.push(Message::Assistant(turn.clone()));
                return (calls, turn.text);
            }
            self.answers(&turn);
            calls.push(turn.calls.into_iter().map(|call| call.name).collect());
        }
        panic!("it goes on and on: {calls:?}")
    }
}

fn tool() -> Tool {
    let argument = Argument {
        name: "q",
        kind: "string",
        is_required: true,
        description: "what".to_owned(),
        items: Vec::new(),
    };
    Tool { name: "ask", description: "Asks.", arguments: vec![argument] }
}

const TWO_ROUNDS: &str = r#"
    { results = false, answer = "I ask.", usage = [{ input = 300, output = 20 }], calls = [
        { name = "ask", arguments = { q = "é" } },
        { name = "ask", arguments = '{"q": ' },
        { name = "no such tool" },
    ] },
    { answer = "It is on its way.", usage = [{ input = 400, output = 30 }] },
"#;

#[tokio::test]
async fn a_model_makes_all_its_calls_at_once_and_answers_when_it_has_the_results() {
    let mut conversation = Conversation::with(MODEL, TWO_ROUNDS).await;
    for request in ["Where is it?", "And now?"] {
        let (calls, text) = conversation.ask(request, 6).await;
        assert_eq!(calls, [["ask", "ask", "no such tool"]]);
        assert_eq!(text, "It is on its way.");
    }
    assert_eq!(conversation.agents.calls().len(), 4);
    assert_eq!(conversation.agents.calls()[3].input_text, "And now?");
    let heard = &conversation.heard[..4];
    let tools = [r#"Tool("ask")"#, r#"Tool("ask")"#, r#"Tool("no such tool")"#];
    assert_eq!(heard, [&[r#"Text("I ask.")"#][..], &tools].concat());
}

#[tokio::test]
async fn a_harness_hands_its_calls_over_one_by_one() {
    let mut conversation = Conversation::with(HARNESS, TWO_ROUNDS).await;
    for request in ["Where is it?", "And now?"] {
        let (calls, text) = conversation.ask(request, 6).await;
        assert_eq!(calls, [["ask"], ["ask"], ["no such tool"]]);
        assert_eq!(text, "It is on its way.");
    }
    assert_eq!(conversation.agents.calls().len(), 8);
}

#[tokio::test]
async fn every_model_call_is_told_and_a_call_that_is_only_handed_over_has_none() {
    for (agent, handed_over) in [(MODEL, 0), (HARNESS, 2)] {
        let mut conversation = Conversation::with(agent, TWO_ROUNDS).await;
        conversation.says("Where is it?");
        let mut usages = Vec::new();
        for _ in 0..2 + handed_over {
            let decided = conversation.round(true).await;
            conversation.answers(&decided.result.unwrap());
            usages.push(decided.usage);
        }
        let reported = |input, output| Usage::Reported(TokenUse::new(input, output));
        let silent = vec![Usage::UNKNOWN; handed_over];
        let expected = [vec![reported(300, 20)], silent, vec![reported(400, 30)]].concat();
        assert_eq!(usages, expected, "{agent}");
    }
}

#[tokio::test]
async fn a_bedrock_agent_streams_its_answer() {
    let reply =
        r#"{ answer = "It is on its way.", chunks = 3, usage = [{ input = 3, output = 4 }] }"#;
    let mut conversation = Conversation::with(AGENT, reply).await;
    conversation.says("Where is it?");
    let decided = conversation.round(true).await;
    let expected = Turn { text: "It is on its way.".to_owned(), calls: Vec::new() };
    assert_eq!(decided.result.unwrap(), expected);
    assert_eq!(decided.usage, Usage::Reported(TokenUse::new(3, 4)));
    assert_eq!(conversation.heard.len(), 3);
    assert_eq!(conversation.agents.calls()[0].session_attributes["root_session_id"], "s-1");
}

#[tokio::test]
async fn a_bedrock_agent_calls_its_action_group_by_itself() {
    let reply = r#"{ answer = "Done.", usage = [{ input = 3, output = 4 }, { input = 5, output = 6 }],
        calls = [{ name = "ask", arguments = { q = "é", sure = 0.5, tasks = [{ a = 1 }] } }] }"#;
    let text = r#"{"response":{"functionResponse":{"responseBody":{"TEXT":{"body":"{}"}}}}}"#;
    let mut conversation = Conversation::with(AGENT, reply).await;
    conversation.says("Where is it?");
    let failed = conversation.round(true).await.result;
    assert!(matches!(failed, Err(InvokeError::DependencyFailed)), "there is no function");
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    conversation.agents.call_with(move |event| {
        seen.lock().unwrap().push(serde_json::from_slice::<Value>(&event).unwrap());
        ready(Some(text.into()))
    });
    conversation.heard.clear();
    let decided = conversation.round(true).await;
    assert_eq!(decided.result.unwrap().text, "Done.");
    assert_eq!(decided.usage, Usage::Reported(TokenUse::new(8, 10)));
    let carried = "Carried(ToolCall { id: \"\", name: \"ask\", arguments: Ok({\"q\": String(\"é\"), \
                   \"sure\": String(\"0.5\"), \"tasks\": String(\"[{\\\"a\\\":1}]\")}) })";
    assert_eq!(conversation.heard, [r#"Tool("ask")"#, carried, r#"Text("Done.")"#]);
    let event = events.lock().unwrap().remove(0);
    assert_eq!(event["function"], "ask");
    assert_eq!(event["sessionAttributes"]["root_session_id"], "s-1");
    let parameters = json!([
        { "name": "q", "type": "string", "value": "é" },
        { "name": "sure", "type": "number", "value": "0.5" },
        { "name": "tasks", "type": "array", "value": r#"[{"a":1}]"# },
    ]);
    assert_eq!(event["parameters"], parameters);
    conversation.agents.call_with(|_| ready(None));
    let failed = conversation.round(true).await.result;
    assert!(matches!(failed, Err(InvokeError::DependencyFailed)), "the function failed");
}

#[tokio::test]
async fn a_reply_may_depend_on_the_turn_of_its_session() {
    let replies = r#"
        { turn = 1, answer = "one" }, { turn = 3, answer = "three" }, { answer = "another" }
    "#;
    for agent in [HARNESS, MODEL, AGENT] {
        let mut conversation = Conversation::with(agent, replies).await;
        for expected in ["one", "another", "three", "another"] {
            assert_eq!(conversation.ask("Hi", 2).await.1, expected, "{agent}");
        }
        conversation.messages.clear();
        conversation.says("Hi");
        let elsewhere = conversation.round_in(&"x".repeat(40), true).await.result.unwrap();
        assert_eq!(elsewhere.text, "one", "{agent}");
    }
}

#[tokio::test]
async fn one_that_calls_for_ever_can_be_told_that_the_last_round_has_no_tools() {
    let calls = r#"{ CONDITION, calls = [{ name = "ask", arguments = { q = "again" } }] }"#;
    for (agent, condition) in
        [(MODEL, "tools = true"), (HARNESS, "turn = 1"), (HARNESS, "turn = 2")]
    {
        let replies =
            format!("{}, {{ answer = \"So be it.\" }}", calls.replace("CONDITION", condition));
        let mut conversation = Conversation::with(agent, &replies).await;
        if condition == "turn = 2" {
            assert_eq!(conversation.ask("Hi", 2).await.1, "So be it.");
        }
        let rounds = if agent == MODEL { 4 } else { 2 };
        let (calls, text) = conversation.ask("Hi", rounds).await;
        assert_eq!((calls.len(), &*text), (rounds - 1, "So be it."), "{agent}");
    }
    let replies = r#"{ answer = "x", calls = [{ name = "ask" }] }"#;
    for agent in [MODEL, HARNESS] {
        let mut conversation = Conversation::with(agent, replies).await;
        conversation.says("Hi");
        for offers_tool in [true, true, false] {
            let turn = conversation.round(offers_tool).await.result.unwrap();
            assert_eq!(turn.calls.len(), 1, "{agent}: the loop has to stop it");
            conversation.answers(&turn);
        }
    }
}

#[tokio::test]
async fn a_round_that_failed_can_be_made_again() {
    for agent in [HARNESS, MODEL] {
        let mut conversation = Conversation::with(agent, TWO_ROUNDS).await;
        conversation.says("Where is it?");
        for _ in 0..2 {
            conversation.agents.fail_as("supervisor=close-in-stream").unwrap();
            let broken = conversation.round(true).await.result;
            assert!(matches!(broken, Err(InvokeError::StreamBroken(_))), "{agent}");
            conversation.agents.heal_all();
            let turn = conversation.round(true).await.result.unwrap();
            assert_eq!(turn.text, "I ask.".repeat(usize::from(conversation.messages.len() == 1)));
            if agent == MODEL {
                break;
            }
            conversation.answers(&turn);
        }
    }
}

#[tokio::test]
async fn a_harness_that_waits_takes_the_result_of_its_call_alone() {
    let mut conversation = Conversation::with(HARNESS, TWO_ROUNDS).await;
    conversation.says("Where is it?");
    let turn = conversation.round(true).await.result.unwrap();
    let refused = |decided: Decided| {
        matches!(decided.result, Err(InvokeError::Invalid)) && decided.usage == Usage::NotRun
    };
    conversation.says("Hello?");
    assert!(refused(conversation.round(true).await), "it waits");
    conversation.messages.truncate(1);
    let mut stale = turn.clone();
    stale.calls[0].id = "tooluse_stale".to_owned();
    conversation.answers(&stale);
    assert!(refused(conversation.round(true).await), "nobody waits for that one");
    conversation.messages.truncate(1);
    conversation.answers(&turn);
    assert!(refused(conversation.round_in(&"x".repeat(40), true).await), "it is another session");
    conversation.round(true).await.result.unwrap();
    assert!(refused(conversation.round(true).await), "it has the result");
}
