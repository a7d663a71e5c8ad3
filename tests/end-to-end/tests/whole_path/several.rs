//! Several tasks in one call: in all forms, in one session at once, stopped, killed, and asked for by
//! what means no good.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::Options;
use stand_ins::agents::Ending;
use stand_ins::events::{Form, MOST_REPLY_BYTES};
use stand_ins::lambda::Outcome;
use tokio::task::JoinSet;

use crate::branches::ends;
use crate::faults::ORDERS;
use crate::support::{Account, Ask, Limits, World, account, agents_with, policy, policy_with};

const THREE: [(&str, &str); 3] =
    [("billing", "What was paid?"), ("orders", "Where is it?"), ("support", "Who am I?")];

/// The tests' policy with more keys of its tables.
fn policy_and(limits: Limits, more: &str) -> String {
    format!("{more}\n{}", policy(limits))
}

async fn world(policy: String, agents: String) -> World {
    let agents = Some(agents);
    World::start(Options { policy: Some(policy), agents, ..World::options(Limits::NONE) }).await
}

/// What three answers of specialists cost.
const THREE_ANSWERS: Account = Account { steps: 3, tokens: 1_800, micro_usd: 9_000 };

#[tokio::test]
async fn tasks_at_once_are_two_writes_of_the_ledger_and_answered_in_every_form() {
    let world = World::with(Limits::NONE).await;
    for form in [Form::Function, Form::OpenApi] {
        let ask = Ask::several("parallel", &THREE).form(form);
        let first = world.ask(&ask).await;
        assert_eq!(ends(&first), [("answered", None); 3]);
        let answers: Vec<&Value> =
            first.body["results"].as_array().unwrap().iter().map(|told| &told["answer"]).collect();
        assert_eq!(answers, ["billing says yes", "orders says yes", "support says yes"]);
        assert_eq!(world.account(&ask).await, Some(THREE_ANSWERS));
        world.table().faults().forget_requests();
        let again =
            Ask::several("parallel", &[("orders", "Anything new?"), ("support", "And now?")])
                .session(ask.session_id())
                .form(form);
        world.ask(&again).await;
        assert_eq!(world.table().faults().requests(), [("UpdateItem".to_owned(), 2)].into());
    }
    // Nobody vouches for a gateway's user, so it asks those who serve anyone.
    let ask = Ask::several("parallel", &THREE[1..]).form(Form::Gateway);
    let told = world.ask(&ask).await;
    assert_eq!((told.outcome(), ends(&told)), (("answered", None), vec![("answered", None); 2]));
}

#[tokio::test]
async fn a_pipeline_is_answered_in_every_form_and_leaves_nothing_behind() {
    let world = World::with(Limits::NONE).await;
    for form in [Form::Function, Form::OpenApi, Form::Gateway] {
        let stages = [("orders", "Which order?"), ("support", "Note this: {{previous}}")];
        let ask = Ask::several("pipeline", &stages).form(form);
        let told = world.ask(&ask).await;
        assert_eq!(ends(&told), [("answered", None); 2]);
        assert_eq!(told.calls[1].input_text, "Note this: orders says yes");
        assert_eq!(stages_kept(&world).await, 0);
    }
}

#[tokio::test]
async fn each_stage_is_two_updates_and_all_but_the_last_are_kept() {
    // So much is drawn with the first call that none after it draws.
    let policy = policy_and(Limits::NONE, "[tenant_day]\nblock_usd = 5");
    let world = world(policy, agents_with([])).await;
    let first = Ask::orders("Where is it?").verified();
    world.ask(&first).await;
    world.table().faults().forget_requests();
    let stages = ["a", "b {{previous}}", "c {{previous}}"].map(|request| ("orders", request));
    world.ask(&Ask::several("pipeline", &stages).session(first.session_id())).await;
    let expected = [("DeleteItem", 1), ("GetItem", 2), ("PutItem", 2), ("UpdateItem", 6)];
    let expected = expected.map(|(operation, count)| (operation.to_owned(), count)).into();
    assert_eq!(world.table().faults().requests(), expected);
}

async fn stages_kept(world: &World) -> usize {
    let items = world.table().scan().await.unwrap();
    items.iter().filter(|item| item["sk"].as_s().unwrap().starts_with("STAGE#")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_of_ten_tasks_in_one_session_never_pass_a_limit() {
    for limits in [
        Limits { max_steps: 205, ..Limits::NONE },
        Limits { max_tokens: 500_000, ..Limits::NONE },
        Limits { max_cost_usd: 3.0, ..Limits::NONE },
    ] {
        let slow = agents_with([]).replace("says yes\"", "says yes\", delay_ms = 10");
        let slow = slow.replace("\", delay_ms = 10\nusage", "\"\ndelay_ms = 10\nusage");
        let policy = policy_and(limits, "[several]\nwidth = 10").replace("timeout_ms = 600", "");
        let options = Options { agents: Some(slow), policy: Some(policy), ..Options::default() };
        let options = Options { processes: 4, lambda_timeout: Duration::from_secs(60), ..options };
        let world = Arc::new(World::start(options).await);
        let tasks: Vec<(&str, &str)> = ["orders", "billing", "support", "general", "orders"]
            .repeat(2)
            .into_iter()
            .map(|name| (name, "Please help."))
            .collect();
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let event = Ask::several("parallel", &tasks).session("rush").event().to_string();
            let world = Arc::clone(&world);
            calls.spawn(async move {
                let invocation = world.invoke(event, None).await;
                Form::Function.body(&invocation.json().expect("a reply")).unwrap()
            });
        }
        let mut answered = 0;
        while let Some(body) = calls.join_next().await {
            let body = body.unwrap();
            match body["status"].as_str().unwrap() {
                "answered" => answered += 1,
                "refused" => assert!(body["reason"].as_str().unwrap().starts_with("budget_")),
                other => panic!("{other}"),
            }
        }
        let used = account(&world, "rush").await.unwrap();
        assert_eq!(used.steps, 10 * answered, "all or none");
        assert!((1..50).contains(&answered), "{answered}");
        assert!(used.steps <= limits.max_steps && used.tokens <= limits.max_tokens, "{used:?}");
        assert!(used.micro_usd as f64 <= limits.max_cost_usd * 1e6, "{used:?}");
        assert_eq!(world.agents().calls().len() as u64, used.steps);
    }
}

#[tokio::test]
async fn the_first_answer_stops_the_others_whose_calls_are_left_and_charged() {
    let agents = agents_with([("[hang]", "fault = \"hang\"")]);
    let world = world(policy(Limits::NONE), agents).await;
    let tasks = [("orders", "[hang]"), ("billing", "What was paid?"), ("orders", "[hang] too")];
    let ask = Ask::several("parallel", &tasks).argument("join", "first");
    let told = world.ask(&ask).await;
    let stopped = ("failed", Some("stopped"));
    assert_eq!(ends(&told), [stopped, ("answered", None), stopped]);
    assert_eq!(told.outcome(), ("answered", None));
    let left = told.calls.iter().filter(|call| call.ending == Ending::CallerLeft).count();
    assert_eq!(left, 2);
    let charged = Account { steps: 3, tokens: 600 + 2 * 8_000, micro_usd: 3_000 + 2 * 120_000 };
    assert_eq!(world.account(&ask).await, Some(charged));
    assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0));
    // The next one does not meet the one that may still be at work.
    let again = Ask::orders("Where is it?").session(ask.session_id()).verified();
    let before: Vec<String> =
        world.agents().calls().into_iter().map(|call| call.session_id).collect();
    let told = world.ask(&again).await;
    assert!(!before.contains(&told.calls[0].session_id));
}

#[tokio::test]
async fn one_that_takes_too_long_leaves_what_is_there_inside_the_deadline() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::several("parallel", &[("billing", "a"), ("support", "[hang]"), ("orders", "b")]);
    world.agents().fail_as("general=hang").unwrap();
    let invocation =
        world.invoke_within(Duration::from_secs(4), ask.event().to_string(), None).await;
    let body = Form::Function.body(&invocation.json().expect("a reply in time")).unwrap();
    assert_eq!((&body["status"], &body["reason"]), (&json!("partial"), &json!("timeout")));
    assert!(body["message"].as_str().unwrap().contains("`support` (timeout)"), "{body}");
}

#[tokio::test]
async fn the_budget_may_run_out_in_the_middle() {
    // Room for three holds and for no fallback's: of orders' or of a stage after it.
    let limits = Limits { max_steps: 3, ..Limits::NONE };
    let world = world(
        policy_and(limits, "").replace("max_steps", "degrade_at = 1.0\nmax_steps"),
        agents_with([]),
    )
    .await;
    world.agents().fail_as("orders=before:accessDeniedException").unwrap();
    let ask = Ask::several("parallel", &THREE);
    let told = world.ask(&ask).await;
    let failed = ("failed", Some("access_denied"));
    assert_eq!(ends(&told), [("answered", None), failed, ("answered", None)]);
    let used = Account { steps: 3, tokens: 1_200, micro_usd: 6_000 };
    assert_eq!(world.account(&ask).await, Some(used));
    world.agents().heal_all();
    let stages: Vec<(&str, &str)> = ["a", "b", "c", "d"].map(|request| ("orders", request)).into();
    let ask = Ask::several("pipeline", &stages);
    let told = world.ask(&ask).await;
    assert_eq!(ends(&told)[2..], [("answered", None), ("refused", Some("budget_steps"))]);
    assert_eq!(told.outcome(), ("partial", Some("budget_steps")));
    assert_eq!(world.account(&ask).await, Some(THREE_ANSWERS));
}

/// Kills the function while it serves `ask`, when so many calls have reached the agents.
async fn killed(world: &World, ask: &Ask, calls: usize) {
    let serving = world.invoke(ask.event().to_string(), None);
    let killing = async {
        world.agents().wait_for_calls(calls).await;
        let process = world.processes()[0].id;
        let kill = format!("kill -9 {process}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    let (invocation, ()) = tokio::join!(serving, killing);
    assert!(matches!(invocation.outcome, Outcome::FunctionError(_)), "{:?}", invocation.outcome);
}

#[tokio::test]
async fn a_function_killed_between_two_stages_goes_on_there_at_no_cost() {
    let agents = agents_with([("[hang]", "fault = \"hang\"\ntimes = 1")]);
    let world = world(policy(Limits::NONE), agents).await;
    let stages = [("billing", "What was paid?"), ("orders", "[hang] {{previous}}")];
    let ask = Ask::several("pipeline", &stages);
    killed(&world, &ask, 2).await;
    assert_eq!(stages_kept(&world).await, 1);
    let told = world.ask(&ask).await;
    assert_eq!(ends(&told), [("answered", None); 2]);
    assert_eq!(told.called(), ["orders"], "billing has answered");
    assert_eq!(told.calls[0].input_text, "[hang] billing says yes");
    let item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    let number = |name: &str| item[name].as_n().unwrap().parse::<u64>().unwrap();
    assert_eq!((number("steps"), number("spent_tokens")), (3, 2 * ORDERS.0));
    assert_eq!(number("committed_tokens"), 2 * ORDERS.0 + 8_000, "the hold of the dead one");
    assert_eq!(stages_kept(&world).await, 0);
}

#[tokio::test]
async fn a_function_killed_in_the_midst_of_branches_leaves_holds_that_stay_charged() {
    let agents = agents_with([("[hang]", "fault = \"hang\"")]);
    let world = world(policy(Limits::NONE), agents).await;
    let ask = Ask::several("parallel", &[("orders", "[hang]"), ("billing", "a"), ("support", "b")]);
    killed(&world, &ask, 3).await;
    let item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    let held = item.keys().filter(|name| name.starts_with("hold#")).count();
    assert_eq!((held, item["committed_tokens"].as_n().unwrap().as_str()), (3, "24000"));
    assert_eq!(item["steps"].as_n().unwrap(), "3");
}

#[tokio::test]
async fn hostile_arguments_are_refused_with_a_sentence_and_cost_nothing() {
    let world = World::with(Limits::NONE).await;
    let task = json!({"specialist_type": "orders", "request": "r"});
    let nested = "[".repeat(50_000) + &"]".repeat(50_000);
    for tasks in [
        Value::from(vec![task.clone(); 1_000]).to_string(),
        nested,
        format!("{{\"tasks\": {task}}}"),
        "[[[{}]]]".to_owned(),
        json!([task, {"specialist_type": "orders", "request": "x".repeat(100_001)}]).to_string(),
        json!([{"specialist_type": "orders", "request": "{{previous}}"}, task]).to_string(),
    ] {
        let ask = Ask::several("pipeline", &[]).argument("tasks", tasks);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("refused", Some("bad_request")));
        assert!(told.body["message"].as_str().unwrap().contains("tasks"), "{}", told.body);
        told.nobody_was_called();
        assert_eq!(world.account(&ask).await, None);
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn ten_requests_of_100_kb_with_long_answers_give_a_reply_that_fits() {
    let agents = agents_with([("[long]", "answer_bytes = 20000")]);
    let world = world(policy(Limits::NONE), agents).await;
    let long = format!("[long] {}", "y".repeat(99_990));
    let mut tasks = vec![("orders", long.as_str()); 9];
    tasks.push(("billing", "short"));
    for form in [Form::Function, Form::OpenApi, Form::Gateway] {
        let ask = Ask::several("parallel", &tasks).form(form);
        let told = world.ask(&ask).await;
        let results = told.body["results"].as_array().unwrap();
        let lengths: Vec<usize> =
            results[..9].iter().map(|told| told["answer"].as_str().unwrap().len()).collect();
        assert!(lengths.iter().all(|length| (1_000..20_000).contains(length)), "{lengths:?}");
        assert!(lengths.iter().all(|length| *length == lengths[0]), "cut to a common length");
        assert!(results[..9].iter().all(|told| told["truncated"] == true));
        assert!(told.reply.to_string().len() > MOST_REPLY_BYTES * 9 / 10);
        if form != Form::Gateway {
            assert_eq!(
                (&results[9]["answer"], &results[9]["truncated"]),
                (&json!("billing says yes"), &json!(false))
            );
        }
    }
}

#[tokio::test]
async fn what_an_agent_answers_is_no_placeholder_of_the_next_stage() {
    let agents = agents_with([("[echo]", "answer = \"{{previous}} {{previous}}\"")]);
    let world = world(policy(Limits::NONE), agents).await;
    let stages =
        [("orders", "[echo]"), ("support", "Note: {{previous}}"), ("billing", "{{previous}}")];
    let told = world.ask(&Ask::several("pipeline", &stages)).await;
    let inputs: Vec<&str> = told.calls.iter().map(|call| &*call.input_text).collect();
    assert_eq!(inputs, ["[echo]", "Note: {{previous}} {{previous}}", "support says yes"]);
}

#[tokio::test]
async fn a_hand_off_in_a_branch_never_goes_back_and_has_a_bound() {
    let world = World::with(Limits { max_handoffs: 1, ..Limits::NONE }).await;
    let tasks = [("orders", "[suggest billing] [suggest orders]"), ("support", "Who am I?")];
    let ask = Ask::several("parallel", &tasks);
    let told = world.ask(&ask).await;
    assert_eq!(ends(&told), [("fell_back", Some("out_of_scope")), ("answered", None)]);
    let mut called = told.called();
    called.sort_unstable();
    assert_eq!(called, ["billing", "general", "orders", "support"], "each of them once");
}

#[tokio::test]
async fn an_open_circuit_in_one_branch_is_its_own_affair() {
    let keys = "circuit = { failures = 1, sessions = 1 }\nretry = { max_attempts = 1 }";
    let world = world(policy_with(Limits::NONE, keys), agents_with([])).await;
    world.agents().fail_as("orders=close").unwrap();
    world.ask(&Ask::orders("Where is it?")).await;
    let told = world.ask(&Ask::several("parallel", &THREE)).await;
    let fell_back = ("fell_back", Some("circuit_open"));
    assert_eq!(ends(&told), [("answered", None), fell_back, ("answered", None)]);
    assert!(!told.called().contains(&"orders"));
}
