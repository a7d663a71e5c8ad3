//! Faults, preconditions and timeouts as the real function meets them.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::agents::{AgentKind, Fault, Rate};
use stand_ins::lambda::{Outcome, build_function};
use stand_ins::table::{Item, key};
use stand_ins::{FUNCTION, FunctionOptions, Options, Sandbox, events};

/// One attempt a specialist, and circuits that never open.
const POLICY: &str = r#"
[routing]
fallback = "general"
[session]
max_steps = 100
max_tokens = 10_000_000
max_cost_usd = 100.0
[specialists.orders]
description = "orders"
requires_verified_identity = false
max_tokens_per_call = 8000
timeout_ms = 600
idle_timeout_ms = 400
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
retry = { max_attempts = 1 }
circuit = { failures = 10_000, slow_call_ms = 600 }
[specialists.general]
description = "general"
requires_verified_identity = false
max_tokens_per_call = 4000
price = { input_usd_per_mtok = 0.8, output_usd_per_mtok = 4.0 }
retry = { max_attempts = 1 }
circuit = { failures = 10_000 }
"#;

const AGENTS: &str = r#"
[orders]
agent = "ORDERS0001/LIVE000001"
replies = [
    { when = "[events]", answer_bytes = 5000, chunks = 1000, usage = [{ input = 9, output = 1 }] },
    { when = "[traces]", answer = "yes", usage = [USAGE] },
    { when = "[huge]", answer_bytes = 1000000, usage = [{ input = 9, output = 1 }] },
    { answer = "orders says yes", usage = [{ input = 500, output = 100 }] },
]
[general]
agent = "GENERAL001/LIVE000001"
replies = [{ answer = "general says yes", usage = [{ input = 200, output = 50 }] }]
"#;

async fn sandbox() -> Sandbox {
    sandbox_with(POLICY.to_owned()).await
}

async fn sandbox_with(policy: String) -> Sandbox {
    let traces = vec!["{ input = 1, output = 1 }"; 500].join(", ");
    let agents = Some(AGENTS.replace("USAGE", &traces));
    let options = Options { policy: Some(policy), agents, ..Options::default() };
    Sandbox::start(options).await.unwrap()
}

fn event(session: &str, request: &str) -> String {
    json!({
        "messageVersion": "1.0",
        "sessionId": session,
        "actionGroup": "specialists",
        "function": "invoke_specialist_agent",
        "parameters": [
            { "name": "specialist_type", "type": "string", "value": "orders" },
            { "name": "request", "type": "string", "value": request },
        ],
    })
    .to_string()
}

fn body(reply: &Value) -> Value {
    let text = &reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// The reply's body for a request to orders, in a session of its own.
async fn ask(sandbox: &Sandbox, session: &str, request: &str) -> Value {
    let invocation = sandbox.invoke(event(session, request), None).await;
    body(&invocation.json().unwrap())
}

/// What the supervisor is told of a fault of orders.
fn told(fault: Fault) -> (&'static str, Option<&'static str>) {
    match fault {
        Fault::UnknownEvent | Fault::Masked => ("answered", None),
        Fault::Guardrail => ("failed", Some("guardrail")),
        Fault::Slow(_) | Fault::Drip(_) | Fault::Hang | Fault::HangInStream => {
            ("fell_back", Some("timeout"))
        }
        Fault::CloseInStream | Fault::BadChecksum => ("fell_back", Some("stream_broken")),
        Fault::Empty => ("fell_back", Some("empty_answer")),
        Fault::Close
        | Fault::Reset
        | Fault::SoftFailure
        | Fault::ReturnControl
        | Fault::Stop(_) => ("fell_back", Some("agent_error")),
        Fault::Before(_) | Fault::InStream(_) => {
            let reason = match fault.to_string().split_once(':').unwrap().1 {
                "throttlingException" | "throttledException" | "serviceQuotaExceededException" => {
                    "throttled"
                }
                "accessDeniedException" => "access_denied",
                _ => "agent_error",
            };
            ("fell_back", Some(reason))
        }
    }
}

#[tokio::test]
async fn every_fault_reaches_the_function_as_what_it_is() {
    let sandbox = sandbox().await;
    for fault in Fault::all_of(AgentKind::Bedrock) {
        sandbox.agents().fail("orders", fault, Rate::ALWAYS).unwrap();
        let body = ask(&sandbox, &fault.to_string().replace(['=', ':'], "-"), "Where is it?").await;
        let found = (body["status"].as_str().unwrap(), body["reason"].as_str());
        assert_eq!(found, told(fault), "{fault}: {body}");
    }
    sandbox.agents().heal("orders").unwrap();
    assert_eq!(ask(&sandbox, "healed", "Where is it?").await["answer"], "orders says yes");
    let struck: Vec<Fault> =
        sandbox.agents().calls().iter().filter_map(|call| call.injected).collect();
    assert!(
        Fault::all_of(AgentKind::Bedrock).iter().all(|fault| struck.contains(fault)),
        "{struck:?}"
    );
}

#[tokio::test]
async fn faults_come_and_go_while_the_function_runs() {
    let sandbox = sandbox().await;
    let statuses = async |session: &'static str| {
        let mut statuses = Vec::new();
        for n in 0..4 {
            let body = ask(&sandbox, session, &format!("Where is it? {n}")).await;
            statuses.push(body["status"].as_str().unwrap().to_owned());
        }
        statuses
    };
    sandbox.agents().fail_as("orders=break:0.5").unwrap();
    assert_eq!(statuses("flapping").await, ["fell_back", "answered", "fell_back", "answered"]);
    sandbox.agents().fail_as("orders=slow=100ms").unwrap();
    assert_eq!(statuses("slow").await, ["answered"; 4]);
    sandbox.agents().heal_all();
    assert_eq!(statuses("well").await, ["answered"; 4]);
}

#[tokio::test]
async fn agents_that_are_down_run_nothing_and_cost_nothing() {
    let sandbox = sandbox().await;
    sandbox.agents().go_down().await.unwrap();
    assert_eq!(ask(&sandbox, "down", "Where is it?").await["status"], "failed");
    let item = sandbox.table().session_budget("down").await.unwrap().unwrap();
    assert_eq!(item["committed_tokens"].as_n().unwrap(), "0");
    sandbox.agents().come_back().await.unwrap();
    assert_eq!(ask(&sandbox, "back", "Where is it?").await["status"], "answered");
}

#[tokio::test]
async fn an_answer_may_come_in_a_thousand_events_or_a_megabyte_at_once() {
    // Its length is no matter of time, also on a machine that does much else.
    let patient = ["600", "400"].iter().fold(POLICY.to_owned(), |policy, millis| {
        policy.replace(&format!("timeout_ms = {millis}"), "timeout_ms = 20000")
    });
    let sandbox = sandbox_with(patient).await;
    let many = ask(&sandbox, "events", "[events]").await;
    assert_eq!(many["answer"].as_str().unwrap().len(), 5_000);
    assert_eq!(ask(&sandbox, "traces", "[traces]").await["answer"], "yes");
    let item = sandbox.table().session_budget("traces").await.unwrap().unwrap();
    assert_eq!(item["spent_tokens"].as_n().unwrap(), "1000");
    let huge = ask(&sandbox, "huge", "[huge]").await;
    assert_eq!((&huge["status"], &huge["truncated"]), (&json!("answered"), &json!(true)));
}

#[tokio::test]
async fn an_event_may_have_a_timeout_of_its_own() {
    let sandbox = sandbox().await;
    let limit = Duration::from_millis(1_600);
    let invocation = sandbox.invoke_within(limit, event("short", "Where is it?"), None).await;
    let body = body(&invocation.json().unwrap());
    assert_eq!(body["reason"], "deadline", "{body}");
    assert_eq!(ask(&sandbox, "usual", "Where is it?").await["status"], "answered");
}

#[tokio::test]
async fn what_is_given_is_there_in_new_processes_and_then_gone_with_them() {
    let options = Options { processes: 2, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let load = |name| events::load(&events::folder().join(name)).unwrap();
    let (plain, given) = (load("general.json"), load("budget-used-up.json"));
    let is_cold = |lines: &[String]| lines.iter().any(|line| line.contains("\"cold_start\":true"));
    for (case, cold) in
        [(&plain, [true, true, false]), (&given, [true, true, true]), (&plain, [true, true, false])]
    {
        for cold in cold {
            let played = events::play(&sandbox, case).await.unwrap();
            assert_eq!(is_cold(&played.lines), cold, "{}: {:#?}", case.name, played.lines);
        }
    }
    // What it asked of the table did come true.
    let played = events::play(&sandbox, &given).await.unwrap();
    assert_eq!(events::check(&given, &played), []);
    let budget: Option<Item> =
        sandbox.table().item(&key("SESSION#5f1c0a52-budget-used-up", "BUDGET")).await.unwrap();
    assert_eq!(budget, None);
    assert_eq!(sandbox.errors(), [""; 0]);
}

#[tokio::test]
async fn functions_have_processes_environments_and_lines_of_their_own() {
    let router = build_function(FUNCTION).await.unwrap();
    let mut options = Options { policy: Some(POLICY.to_owned()), ..Options::default() };
    options.env.insert("POWERTOOLS_SERVICE_NAME".to_owned(), "of-both".to_owned());
    let env = [("POWERTOOLS_SERVICE_NAME".to_owned(), "of-the-second".to_owned())].into();
    let second = FunctionOptions { executable: Some(router), env };
    options.functions.insert("second-router".to_owned(), second);
    let sandbox = Sandbox::start(Options { agents: Some(AGENTS.replace("USAGE", "")), ..options });
    let sandbox = sandbox.await.unwrap();

    let mut case = events::load(&events::folder().join("general.json")).unwrap();
    case.event = event("one", "Where is it?").into();
    let mut expectation = case.expectation.take().unwrap();
    assert_eq!(case.function(), FUNCTION, "events go to it that name none");
    events::play(&sandbox, &case).await.unwrap();
    expectation.function = Some("second-router".to_owned());
    case.expectation = Some(expectation);
    case.event = event("two", "Where is it?").into();
    let played = events::play(&sandbox, &case).await.unwrap();
    assert!(played.lines.iter().all(|line| line.contains("second-router")), "{:?}", played.lines);

    let says = |name: &str, texts: [&str; 2]| {
        let lines = sandbox.logs_of(name);
        let says_all = |line: &String| texts.iter().all(|text| line.contains(text));
        !lines.is_empty() && lines.iter().all(says_all)
    };
    assert!(says(FUNCTION, ["\"service\":\"of-both\"", "function:supervisor-router\""]));
    assert!(says("second-router", ["\"service\":\"of-the-second\"", "function:second-router\""]));
    for session in ["one", "two"] {
        assert!(sandbox.table().session_budget(session).await.unwrap().is_some(), "{session}");
    }
    let unknown = sandbox.invoke_function("third-router", None, "{}", None).await.outcome;
    let Outcome::FunctionError(error) = unknown else { panic!("{unknown:?}") };
    assert_eq!(error.error_type, "ResourceNotFoundException");
}
