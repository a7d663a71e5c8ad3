//! The front door's real function, with a supervisor of each kind, invoked directly and by its URL.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use stand_ins::foreign_function::{Behaviour, FUNCTION_ARN, ForeignFunction};
use stand_ins::lambda::Outcome;
use stand_ins::metrics::Batch;
use stand_ins::supervisors::{FRONT_DOOR, Kind, routing, with_front_door};
use stand_ins::{Options, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::settings::last_words;
use crate::support::{Account, Limits, account, agents_with, policy};

/// A round holds 2,000 tokens and 10,000 micro-dollars.
const SUPERVISOR: &str = "
    [supervisor]
    instruction = \"You route.\"
    max_tokens_per_call = 2000
    retry = { max_attempts = 2, base_delay_ms = 1, max_delay_ms = 1 }
    timeout_ms = 3_000
    idle_timeout_ms = 400
    price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }";

/// What a round of the scripted supervisor uses: 900 and 60 tokens.
const ROUND: (u64, u64) = (960, 1_200);

fn options() -> Options {
    Options {
        policy: Some(format!("{}\n{SUPERVISOR}", policy(Limits::NONE))),
        agents: Some(agents_with([])),
        ..Options::default()
    }
}

async fn door_with(kind: Kind, replies: &str, options: Options) -> Sandbox {
    let options = with_front_door(kind, replies, options).unwrap();
    Sandbox::start(options).await.expect("the sandbox starts")
}

async fn door(kind: Kind) -> Sandbox {
    door_with(kind, &routing(kind), options()).await
}

fn request(input: &str) -> Value {
    let attributes = json!({ "user_id": "u", "identity_verified": "true" });
    json!({ "input": input, "session_id": "s", "attributes": attributes })
}

/// Answers a request by direct invocation.
async fn ask(sandbox: &Sandbox, request: &Value) -> Value {
    let invocation = sandbox.invoke_function(FRONT_DOOR, None, request.to_string(), None).await;
    invocation.json().unwrap_or_else(|| panic!("{:?}", invocation.outcome))
}

async fn connect(address: &str, headers: &str, body: &str) -> TcpStream {
    let address: SocketAddr = address.strip_prefix("http://").unwrap().parse().unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// The answer to a `POST`, with its head.
async fn post(address: &str, headers: &str, body: &str) -> String {
    let mut answer = String::new();
    connect(address, headers, body).await.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The events of an answer, each with its data.
fn events(answer: &str) -> Vec<(String, Value)> {
    let after = |line: &str, name: &str| line.trim_end().strip_prefix(name).map(str::to_owned);
    let mut names = answer.lines().filter_map(|line| after(line, "event: "));
    let data = answer.lines().filter_map(|line| after(line, "data: "));
    data.map(|data| (names.next().unwrap(), serde_json::from_str(&data).unwrap())).collect()
}

/// The sum of a metric in one dimension set.
fn metric(batches: &[Batch], name: &str, set: &str) -> f64 {
    let data = batches.iter().flat_map(|batch| &batch.data);
    let data = data.filter(|datum| datum.name == name && datum.dimension_set() == set);
    data.map(stand_ins::metrics::Datum::sum).sum()
}

const EVENTS: &str = "accept: text/event-stream\r\n";
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn a_supervisor_of_each_kind_routes_answers_and_is_charged_with_its_specialists() {
    for kind in Kind::ALL {
        let sandbox = door(kind).await;
        let done = ask(&sandbox, &request("I want a refund.")).await;
        assert_eq!((&done["status"], &done["session_id"]), (&json!("answered"), &json!("s")));
        let rounds = if kind == Kind::Agent { 1 } else { 2 };
        assert_eq!(done["rounds"], rounds, "{kind:?}");
        let called: Vec<String> =
            sandbox.agents().calls().into_iter().map(|call| call.specialist).collect();
        assert!(called.contains(&"billing".to_owned()), "{kind:?}: {called:?}");
        let used = account(&sandbox, "s").await.unwrap();
        let billing = metric(&sandbox.metrics().batches(), "Cost", "Specialist=billing");
        assert_eq!(used.steps, 1, "{kind:?}: a round is no step");
        let supervisor = (ROUND.1 * rounds) as f64 / 1e6;
        assert!((used.micro_usd as f64 / 1e6 - billing - supervisor).abs() < 1e-9, "{kind:?}");
        let left = done["budget"]["steps_left"].as_u64().unwrap();
        let limit = Limits::NONE.max_steps;
        assert_eq!(left + used.steps, limit, "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_told_of_a_request_is_told_in_order_over_its_url() {
    for kind in Kind::ALL {
        let sandbox = door(kind).await;
        let url = sandbox.url_of(FRONT_DOOR, LOOPBACK).await.unwrap();
        let body = request("I want a refund.").to_string();
        let answer = post(&url.url(), EVENTS, &body).await;
        assert!(answer.contains("content-type: text/event-stream"), "{answer}");
        let events = events(&answer);
        let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        // What an action group answers, only the agent hears.
        let result = names.contains(&"result");
        assert_eq!(result, kind != Kind::Agent, "{names:?}");
        names.retain(|name| *name != "result");
        assert_eq!(names, ["route", "text", "done"], "{kind:?}");
        assert_eq!(
            (&events[0].1["specialist"], &events[0].1["round"]),
            (&json!("billing"), &json!(1))
        );
        let pieces: String = events.iter().filter_map(|(_, data)| data["text"].as_str()).collect();
        let done = &events.last().unwrap().1;
        assert_eq!(done["answer"].as_str(), Some(&*pieces), "{kind:?}");
        assert!(done["budget"]["steps_left"].is_u64());
        assert_eq!(done["steps"], 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_url_answers_with_one_object_and_turns_down_what_is_no_request() {
    let sandbox = door(Kind::Model).await;
    let door = sandbox.url_of(FRONT_DOOR, LOOPBACK).await.unwrap();
    let url = door.url();
    let answer = post(&url, "", &request("I want a refund.").to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"status\":\"answered\""), "{answer}");
    let answer = post(&url, "", r#"{"input": 7}"#).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("`input` is a number; it must be a string."), "{answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing_about_what_is_done_and_charged() {
    let sandbox = door(Kind::Model).await;
    let url = sandbox.url_of(FRONT_DOOR, LOOPBACK).await.unwrap();
    let body = request("I want a refund.").to_string();
    let mut connection = connect(&url.url(), EVENTS, &body).await;
    let mut first = [0; 64];
    connection.read_exact(&mut first).await.unwrap();
    drop(connection);
    // The function has one process: the next request begins when this one has ended.
    let done = ask(&sandbox, &request("I want a refund, again.")).await;
    assert_eq!(done["status"], "answered");
    let batches = sandbox.metrics().batches();
    assert_eq!(metric(&batches, "SpecialistInvocations", "Specialist=billing"), 2.0);
    assert_eq!(metric(&batches, "SpecialistInvocations", "Specialist=supervisor"), 4.0);
    assert_eq!(account(&sandbox, "s").await.unwrap().steps, 2);
}

#[tokio::test]
async fn a_supervisor_that_fails_is_stood_in_for_whatever_it_is_and_however_it_fails() {
    let faults = [
        ("throttle", "throttled", 2, false),
        ("in-stream:internalServerException", "agent_error", 2, true),
        ("hang-in-stream", "timeout", 1, true),
        ("break", "stream_broken", 2, true),
        ("empty", "empty_answer", 1, true),
        ("before:accessDeniedException", "access_denied", 1, false),
    ];
    for kind in Kind::ALL {
        for (fault, reason, attempts, acts_before) in faults {
            let sandbox = door(kind).await;
            sandbox.agents().fail_as(&format!("supervisor={fault}")).unwrap();
            let done = ask(&sandbox, &request("I want a refund.")).await;
            let case = format!("{fault} of {kind:?}: {done}");
            assert_eq!(
                (&done["status"], &done["reason"]),
                (&json!("fell_back"), &json!(reason)),
                "{case}"
            );
            assert!(done["answer"].is_string(), "{case}");
            let calls = sandbox.agents().calls();
            let of = |name: &str| calls.iter().filter(|call| call.specialist == name).count();
            // An agent may have called its action group by then, and is not asked again.
            let has_acted = kind == Kind::Agent && acts_before;
            let attempts = if has_acted { 1 } else { attempts };
            let by_itself = usize::from(has_acted);
            assert_eq!(
                (of("supervisor"), of("general"), of("billing")),
                (attempts, 1, by_itself),
                "{case}"
            );
            let batches = sandbox.metrics().batches();
            assert_eq!(
                metric(&batches, "SpecialistErrors", "Specialist=supervisor"),
                1.0,
                "{case}"
            );
            let steps = account(&sandbox, "s").await.unwrap().steps;
            assert_eq!(steps, 1 + by_itself as u64, "{case}");
        }
    }
}

#[tokio::test]
async fn a_model_is_given_the_session_again_from_the_table_and_forgets_nothing_of_it() {
    let sandbox = door(Kind::Model).await;
    ask(&sandbox, &request("I want a refund.")).await;
    sandbox.renew_processes().await.unwrap();
    ask(&sandbox, &request("I have lost my password.")).await;
    let calls = sandbox.agents().calls();
    let of_supervisor: Vec<_> =
        calls.iter().filter(|call| call.specialist == "supervisor").collect();
    let count = |place: usize| of_supervisor[place].body["messages"].as_array().unwrap().len();
    assert_eq!([count(0), count(1), count(2), count(3)], [1, 3, 5, 7]);
}

#[tokio::test]
async fn two_requests_of_one_session_at_once_share_its_budget_and_no_conversation() {
    let options = Options { processes: 2, ..options() };
    let sandbox = door_with(Kind::Harness, &routing(Kind::Harness), options).await;
    let (refund, password) = (request("I want a refund."), request("I have lost my password."));
    let (one, other) = tokio::join!(ask(&sandbox, &refund), ask(&sandbox, &password));
    assert_eq!((&one["status"], &other["status"]), (&json!("answered"), &json!("answered")));
    let Account { steps, .. } = account(&sandbox, "s").await.unwrap();
    assert_eq!(steps, 2);
    let calls = sandbox.agents().calls();
    let of_supervisor = calls.iter().filter(|call| call.specialist == "supervisor");
    let mut by_session = std::collections::BTreeMap::<&str, usize>::new();
    of_supervisor.for_each(|call| *by_session.entry(&call.session_id).or_default() += 1);
    assert!(by_session.values().all(|rounds| *rounds == 2), "{by_session:?}");
}

#[tokio::test]
async fn nothing_that_is_said_or_answered_gets_into_the_log_or_the_metrics() {
    for kind in Kind::ALL {
        let sandbox = door(kind).await;
        ask(&sandbox, &request("SECRET: I want a refund.")).await;
        sandbox.agents().fail_as("supervisor=in-stream:internalServerException").unwrap();
        ask(&sandbox, &request("SECRET: I want a refund.")).await;
        let lines = sandbox.logs_of(FRONT_DOOR).join("\n");
        assert!(lines.contains("request answered"), "{lines}");
        for word in ["SECRET", "taken care of", "on its way", "general says"] {
            assert!(!lines.contains(word), "{kind:?}: {lines}");
            assert!(!format!("{:?}", sandbox.metrics().batches()).contains(word), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn sessions_that_stay_with_what_was_there_before_get_its_answer_under_no_budget() {
    let answer = json!({ "answer": "As ever.", "cost_usd": 0.002 }).to_string();
    let before = ForeignFunction::start(Behaviour::Answers(answer.into())).await.unwrap();
    let split = format!("[split]\ncurrent = \"lambda:{FUNCTION_ARN}\"\npercent = 0");
    let mut options = options();
    options.policy = options.policy.map(|policy| format!("{policy}\n{split}"));
    options.env.insert("AWS_ENDPOINT_URL_LAMBDA".to_owned(), before.url());
    let sandbox = door_with(Kind::Model, &routing(Kind::Model), options).await;
    let request = request("I want a refund.");
    let done = ask(&sandbox, &request).await;
    assert_eq!((&done["status"], &done["answer"]), (&json!("answered"), &json!("As ever.")));
    assert_eq!(before.payloads(), [request.to_string().as_bytes()], "as it is");
    assert_eq!(sandbox.agents().calls().len(), 0);
    assert_eq!(account(&sandbox, "s").await, None);
    let batches = sandbox.metrics().batches();
    assert_eq!(metric(&batches, "Requests", "Path=current"), 1.0);
    assert_eq!(metric(&batches, "RequestCost", "Path=current"), 0.002);
}

#[tokio::test]
async fn a_front_door_without_a_supervisor_does_not_open() {
    let options = Options { policy: Some(policy(Limits::NONE)), ..options() };
    let functions = [(FRONT_DOOR.to_owned(), stand_ins::FunctionOptions::default())].into();
    let words = last_words(Options { functions, ..options }).await;
    assert!(words.contains("the front door needs a table [supervisor]"), "{words}");
}

#[tokio::test]
async fn a_function_that_is_out_of_time_says_so_and_leaves_nothing_held() {
    let sandbox = door(Kind::Model).await;
    sandbox.agents().fail_as("supervisor=hang").unwrap();
    let limit = std::time::Duration::from_millis(2_500);
    let payload = request("I want a refund.").to_string();
    let invocation = sandbox.invoke_function(FRONT_DOOR, Some(limit), payload, None).await;
    assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    account(&sandbox, "s").await.unwrap();
}

/// Kills the function while it serves a request, when so many calls have reached the agents.
async fn killed(sandbox: &Sandbox, calls: usize) {
    let payload = request("I want a refund.").to_string();
    let serving = sandbox.invoke_function(FRONT_DOOR, None, payload, None);
    let killing = async {
        sandbox.agents().wait_for_calls(calls).await;
        for process in sandbox.processes() {
            let kill = format!("kill -9 {}", process.id);
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
    };
    let (invocation, ()) = tokio::join!(serving, killing);
    assert!(matches!(invocation.outcome, Outcome::FunctionError(_)), "{:?}", invocation.outcome);
}

#[tokio::test]
async fn a_function_killed_in_any_round_leaves_its_holds_and_the_session_goes_on() {
    for kind in [Kind::Harness, Kind::Model] {
        for (round, of_results, calls, spent) in [(1, false, 1, 0), (2, true, 3, ROUND.0 + 600)] {
            let hangs = format!(
                "[[supervisor.replies]]\nresults = {of_results}\nfault = \"hang\"\ntimes = 1\n"
            );
            let sandbox = door_with(kind, &(hangs + &routing(kind)), options()).await;
            killed(&sandbox, calls).await;
            let item = sandbox.table().session_budget("s").await.unwrap().unwrap();
            let case = format!("round {round} of {kind:?}: {item:?}");
            let number = |name: &str| item[name].as_n().unwrap().parse::<u64>().unwrap();
            let held = item.keys().filter(|name| name.starts_with("hold#")).count();
            assert_eq!(held, 2, "the round's, and its seat: {case}");
            assert_eq!(number("committed_tokens"), spent + 2_000, "{case}");
            assert_eq!(number("steps"), round - 1, "{case}");
            let done = ask(&sandbox, &request("I want a refund.")).await;
            assert_eq!(done["status"], "answered", "{case}");
            let calls = sandbox.agents().calls();
            let of_supervisor: Vec<_> =
                calls.iter().filter(|call| call.specialist == "supervisor").collect();
            let (dead, next) = (of_supervisor[0], of_supervisor[of_supervisor.len() - 1]);
            let has_moved = dead.session_id != next.session_id;
            assert_eq!(has_moved, kind == Kind::Harness, "a model has no session: {case}");
        }
    }
}
