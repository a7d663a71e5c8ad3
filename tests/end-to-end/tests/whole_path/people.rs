//! Questions to people, the desk at which they answer, and what the supervisor hears of it.

mod odds;

use serde_json::{Value, json};
use stand_ins::events::Form;
use stand_ins::lambda::Outcome;
use stand_ins::metrics::Health;
use stand_ins::table::{AttributeValue, key};
use stand_ins::{FUNCTION, FunctionOptions, Options};

use crate::support::{Ask, Limits, Told, World, agents_with, policy};

const DESK: &str = "escalation-desk";

const ESCALATES: (&str, &str) = (
    "[person]",
    "answer = '{\"escalate\": \"SECRET-REASON\"}'\nusage = [{ input = 500, output = 100 }]",
);

/// The router and the desk, on one table. What is not named in the policy's tables is as ever.
async fn world(more: &str) -> World {
    let functions = [FUNCTION, DESK].map(|name| (name.to_owned(), FunctionOptions::default()));
    let policy = Some(format!("{}\n{more}", policy(Limits::NONE)));
    let agents = Some(agents_with([ESCALATES]));
    World::start(Options { agents, policy, functions: functions.into(), ..Options::default() })
        .await
}

fn escalate(session: &str) -> Ask {
    let ask = Ask::of("", "").without("specialist_type").without("request").session(session);
    let ask = ask.tool("escalate_to_human").argument("reason", "above the limit");
    ask.argument("summary", "SECRET-SUMMARY").argument("task_id", "t1")
}

fn ticket(told: &Told) -> String {
    assert_eq!(told.outcome(), ("escalated", Some("escalated")));
    told.body["ticket"].as_str().unwrap().to_owned()
}

/// What the desk says.
async fn desk(world: &World, event: Value) -> Value {
    let invocation = world.invoke_function(DESK, None, event.to_string(), None).await;
    assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    invocation.json().unwrap()
}

fn claim(ticket: &str, by: &str) -> Value {
    json!({ "ticket": ticket, "action": "claim", "by": by })
}

fn answer(ticket: &str, by: &str) -> Value {
    json!({ "ticket": ticket, "action": "answer", "by": by, "text": "SECRET-ANSWER" })
}

fn schedule() -> Value {
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

/// Sets attributes of an escalation's item, as if the time were another.
async fn set(world: &World, ticket: &str, numbers: &[(&str, u64)]) {
    let (date, id) = (&ticket[..10], &ticket[11..]);
    let key = key(&format!("ESCALATION#{date}"), id);
    let mut item = world.table().item(&key).await.unwrap().unwrap();
    for (name, number) in numbers {
        item.insert((*name).to_owned(), AttributeValue::N(number.to_string()));
    }
    world.table().put_item(item).await.unwrap();
}

fn says_answered(told: &Told, ticket: &str) -> bool {
    let message = told.body["message"].as_str().unwrap_or_default();
    message.contains(&format!("A person has answered ticket `{ticket}`"))
}

#[tokio::test]
async fn a_person_is_asked_in_each_form_and_told_without_a_word_of_the_prompt() {
    let world = world("").await;
    for form in [Form::Function, Form::OpenApi, Form::Gateway] {
        let told = world.ask(&escalate(&format!("s-{form:?}")).form(form)).await;
        let ticket = ticket(&told);
        assert_eq!(told.body["task_id"], "t1");
        assert_eq!(told.metric("Escalations", ""), Some(1.0));
        told.nobody_was_called();
        let message = world.topic().messages().pop().unwrap();
        let text: Value = serde_json::from_str(&message.text).unwrap();
        assert_eq!((&text["ticket"], &text["reason"]), (&json!(ticket), &json!("above the limit")));
        assert!(!message.text.contains("SECRET"), "{}", message.text);
    }
    assert_eq!((world.topic().messages().len(), world.topic().refusals().len()), (3, 0));
    let again = world.ask(&escalate("s-Function")).await;
    assert_eq!(again.metric("Escalations", ""), None);
    assert_eq!(world.topic().messages().len(), 3, "people are told once");
}

#[tokio::test]
async fn an_escalation_is_played_to_its_end() {
    let world = world("").await;
    let ask = Ask::orders("[person] Refund 900 EUR.").session("s").argument("task_id", "t1");
    let told = world.ask(&ask).await;
    let ticket = ticket(&told);
    assert_eq!(told.called(), ["orders"]);
    let claims = (desk(&world, claim(&ticket, "ann")), desk(&world, claim(&ticket, "bob")));
    let (one, two) = tokio::join!(claims.0, claims.1);
    let (won, lost) = if one["done"] == true { (one, two) } else { (two, one) };
    assert_eq!(
        (&won["done"], &won["state"], &lost["done"]),
        (&json!(true), &json!("claimed"), &json!(false))
    );
    assert_eq!(lost["by"], won["by"], "the other one is told by whom");
    let by = won["by"].as_str().unwrap();
    for _ in 0..2 {
        let said = desk(&world, answer(&ticket, by)).await;
        assert_eq!((&said["done"], &said["state"]), (&json!(true), &json!("answered")));
    }
    let late = desk(&world, answer(&ticket, "carol")).await;
    assert_eq!((&late["done"], &late["by"]), (&json!(false), &json!(by)));
    let next = world.ask(&Ask::orders("And now?").session("s")).await;
    assert!(says_answered(&next, &ticket), "{}", next.body);
    let after = world.ask(&Ask::orders("And then?").session("s")).await;
    assert!(!says_answered(&after, &ticket), "it was told");
    let name = format!("escalation:{ticket}");
    let read = Ask::of("", "").without("specialist_type").without("request").session("s");
    let read = world.ask(&read.tool("read_scratchpad").argument("keys", &*name)).await;
    let found: Value = serde_json::from_str(read.body["answer"].as_str().unwrap()).unwrap();
    assert_eq!(found[&name], json!({ "value": "SECRET-ANSWER", "writer": by, "version": 1 }));
    let lines = [world.logs(), world.errors()].concat();
    assert!(lines.iter().all(|line| !line.contains("SECRET")), "{lines:?}");
}

#[tokio::test]
async fn only_the_task_that_waits_is_not_answered() {
    let world = world("").await;
    let tasks = [("orders", "[person] Refund"), ("general", "Opening hours?")];
    let told = world.ask(&Ask::several("parallel", &tasks)).await;
    assert_eq!(told.outcome(), ("partial", Some("escalated")));
    let ends = |told: &Told| -> Vec<Value> {
        let results = told.body["results"].as_array().unwrap();
        results.iter().map(|result| result["status"].clone()).collect()
    };
    assert_eq!(ends(&told), ["escalated", "answered"]);
    let stages = [("general", "What?"), ("orders", "[person] {{previous}}"), ("general", "Tell")];
    let told = world.ask(&Ask::several("pipeline", &stages)).await;
    assert_eq!(ends(&told), ["answered", "escalated", "refused"]);
    assert!(told.body["results"][1]["ticket"].is_string());
}

#[tokio::test]
async fn a_failure_goes_to_a_person_where_the_policy_says_so() {
    let world = world("[escalation]\nafter_failure = true").await;
    world.agents().fail_as("*=soft-failure").unwrap();
    let told = world.ask(&Ask::orders("Where is it?")).await;
    ticket(&told);
    assert_eq!(told.called(), ["orders", "general"]);
    world.agents().fail_as("*=guardrail").unwrap();
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("failed", Some("guardrail")), "what was blocked is for nobody");
}

#[tokio::test]
async fn what_nobody_answers_expires_and_frees_its_task() {
    let world = world("").await;
    let ticket = ticket(&world.ask(&escalate("s")).await);
    assert_eq!(desk(&world, schedule()).await, json!({ "expired": 0, "told": 0 }));
    set(&world, &ticket, &[("due_ms", 1)]).await;
    let said = desk(&world, answer(&ticket, "ann")).await;
    assert_eq!((&said["done"], &said["state"]), (&json!(false), &json!("expired")));
    assert_eq!(desk(&world, schedule()).await, json!({ "expired": 1, "told": 0 }));
    let data: Vec<_> = world.metrics().batches().into_iter().flat_map(|batch| batch.data).collect();
    let expired = data.iter().filter(|datum| datum.name == "EscalationsExpired");
    assert_eq!(expired.map(|datum| datum.sum()).sum::<f64>(), 1.0);
    assert_eq!(desk(&world, schedule()).await, json!({ "expired": 0, "told": 0 }));
    let next = world.ask(&escalate("s")).await;
    assert_ne!(self::ticket(&next), ticket, "the task may be asked for again");
}

#[tokio::test]
async fn people_who_could_not_be_told_are_told_by_the_desk() {
    let world = world("").await;
    world.topic().set_health(Health::Failing);
    let ticket = ticket(&world.ask(&escalate("s")).await);
    world.topic().set_health(Health::Good);
    assert_eq!(desk(&world, schedule()).await["told"], 0, "whoever opened it may still do so");
    set(&world, &ticket, &[("opened_ms", 1)]).await;
    assert_eq!(desk(&world, schedule()).await["told"], 1);
    assert_eq!(world.topic().messages().len(), 1);
    assert_eq!(desk(&world, schedule()).await["told"], 0);
}

#[tokio::test]
async fn an_answer_for_a_session_that_is_over_is_kept_and_said_to_reach_nobody() {
    let world = world("").await;
    let ticket = ticket(&world.ask(&escalate("s")).await);
    world.table().delete_item(&key("SESSION#s", "BUDGET")).await.unwrap();
    let said = desk(&world, answer(&ticket, "ann")).await;
    assert_eq!(said["done"], true);
    assert!(said["message"].as_str().unwrap().contains("the session that waited for it is over"));
    let pads = world.table().scan().await.unwrap();
    assert!(pads.iter().all(|item| !item["sk"].as_s().unwrap().starts_with("PAD#")));
}

#[tokio::test]
async fn the_desk_answers_what_it_cannot_read_and_takes_the_sample_events() {
    let world = world("").await;
    for (event, found) in [
        (json!({}), "`ticket` is missing"),
        (json!({ "ticket": "SECRET" }), "`ticket` is no ticket"),
        (json!([]), "It is an array"),
        (claim("2026-11-27-0123456789abcdef", "ann"), "There is no such ticket"),
    ] {
        let said = desk(&world, event).await;
        assert_eq!(said["done"], false);
        assert!(said["message"].as_str().unwrap().starts_with(found), "{said}");
    }
    for name in ["claim", "answer", "answer-from-topic", "schedule"] {
        let path = format!("../../events/{DESK}/{name}.json");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        desk(&world, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).await;
    }
    let ticket = ticket(&world.ask(&escalate("s")).await);
    let message = answer(&ticket, "ann").to_string();
    let record = json!({ "EventSource": "aws:sns", "Sns": { "Message": message } });
    desk(&world, json!({ "Records": [record] })).await;
    let next = world.ask(&Ask::orders("And now?").session("s")).await;
    assert!(says_answered(&next, &ticket), "an answer from the topic arrives too");
}

#[tokio::test]
async fn a_table_that_is_down_keeps_nobody_waiting_in_vain() {
    let world = world("").await;
    world.table().faults().go_down().await.unwrap();
    let told = world.ask(&escalate("s")).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    assert!(told.body["message"].as_str().unwrap().contains("No person could be asked"));
    let invocation = world.invoke_function(DESK, None, schedule().to_string(), None).await;
    let Outcome::FunctionError(error) = invocation.outcome else { panic!("a reply") };
    assert_eq!(error.error_type, "TableUnavailable");
}
