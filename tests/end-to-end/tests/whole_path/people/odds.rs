//! Questions to people, against the odds: many at once, answers that are lost, other owners, and
//! questions and answers of any size.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use stand_ins::table_faults::Fault;

use super::*;

/// As [`world`], with so many processes of each function.
async fn world_of(processes: usize, more: &str) -> World {
    let functions = [FUNCTION, DESK].map(|name| (name.to_owned(), FunctionOptions::default()));
    let policy = Some(format!("{}\n{more}", policy(Limits::NONE)));
    let agents = Some(agents_with([ESCALATES]));
    let options = Options { agents, policy, functions: functions.into(), ..Options::default() };
    World::start(Options { processes, ..options }).await
}

/// A world with `keys` in its `[session]`, where orders writes `order_facts`, which support may read.
async fn world_with_facts(keys: &str, of_reply: &str) -> World {
    let orders = "[specialists.orders]\n";
    let writes = format!("{orders}writes = \"order_facts\"\n");
    let facts = "[scratchpad.order_facts]\nwriter = \"orders\"\nreaders = [\"support\"]\n";
    let policy = policy(Limits::NONE).replace(orders, &writes);
    let policy = policy.replace("[session]", &format!("[session]\n{keys}"));
    let usage = "usage = [{ input = 500, output = 100 }]";
    let reply = format!("answer = 'SECRET-FACTS'\n{usage}\n{of_reply}");
    let (policy, agents) = (format!("{policy}\n{facts}"), agents_with([("[facts]", &*reply)]));
    World::start(Options { agents: Some(agents), policy: Some(policy), ..Options::default() }).await
}

async fn attribute(world: &World, session: &str, name: &str) -> Option<String> {
    let item = world.table().session_budget(session).await.unwrap()?;
    item.get(name).and_then(|value| value.as_n().ok()).cloned()
}

fn read(session: &str, key: &str) -> Ask {
    let ask = Ask::of("", "").without("specialist_type").without("request").session(session);
    ask.tool("read_scratchpad").argument("keys", key)
}

fn found(told: &Told, key: &str) -> Value {
    let found: Value = serde_json::from_str(told.body["answer"].as_str().unwrap()).unwrap();
    found[key].clone()
}

#[tokio::test]
async fn requests_that_ask_for_one_task_at_once_open_one_ticket_and_tell_people_once() {
    let world = world_of(4, "").await;
    let event = escalate("s").event().to_string();
    let asked = join_all((0..4).map(|_| world.invoke(event.clone(), None))).await;
    let tickets: BTreeSet<String> = asked
        .iter()
        .map(|invocation| {
            let body = Form::Function.body(&invocation.json().unwrap()).unwrap();
            body["ticket"].as_str().expect("all of them wait").to_owned()
        })
        .collect();
    assert_eq!((tickets.len(), world.topic().messages().len()), (1, 1));
    assert_eq!(attribute(&world, "s", "handoffs").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn branches_that_all_ask_for_a_person_share_the_hand_offs_that_there_are() {
    for form in [Form::Function, Form::Gateway] {
        let world = world_of(1, "").await;
        let tasks: Value = (0..8)
            .map(|place| json!({ "specialist_type": "orders", "request": format!("[person] {place}"), "task_id": format!("t{place}") }))
            .collect();
        let ask = Ask::several("parallel", &[]).argument("tasks", tasks.to_string()).form(form);
        let told = world.ask(&ask.session("s")).await;
        let ends: Vec<&str> = told.body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["status"].as_str().unwrap())
            .collect();
        let count = |status: &str| ends.iter().filter(|end| **end == status).count();
        assert_eq!((count("escalated"), count("fell_back")), (6, 2), "{form:?}: {ends:?}");
        assert_eq!(world.topic().messages().len(), 6, "{form:?}");
    }
}

#[tokio::test]
async fn a_transaction_of_another_request_keeps_no_question_from_people() {
    let world = world("").await;
    world.ask(&Ask::orders("Where is it?").session("s")).await;
    world.table().faults().script(Fault::TransactionConflict.on("UpdateItem").times(3));
    ticket(&world.ask(&escalate("s")).await);
    assert_eq!(attribute(&world, "s", "handoffs").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_ticket_whose_escalation_was_not_kept_is_completed_by_whoever_asks_again() {
    let world = world("").await;
    world.ask(&Ask::orders("Where is it?").session("s")).await;
    let lost = Fault::ServerError.on("TransactWriteItems").containing("ESCALATION#").times(9);
    world.table().faults().script(lost);
    let told = world.ask(&escalate("s")).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    assert_eq!((told.metric("Escalations", ""), world.topic().messages().len()), (None, 0));
    world.table().faults().clear();
    let again = world.ask(&escalate("s")).await;
    let ticket = ticket(&again);
    assert_eq!(world.topic().messages().len(), 1, "people hear of it now");
    assert_eq!(again.metric("Escalations", ""), Some(1.0), "and it is counted now");
    assert_eq!(attribute(&world, "s", "handoffs").await.as_deref(), Some("1"));
    assert_eq!(desk(&world, answer(&ticket, "ann")).await["done"], true);
}

#[tokio::test]
async fn what_a_write_has_done_unheard_is_not_done_twice() {
    let world = world("").await;
    world.ask(&Ask::orders("Where is it?").session("s")).await;
    for operation in ["UpdateItem", "TransactWriteItems"] {
        world.table().faults().script(Fault::CloseAfterApplying.on(operation));
    }
    let ticket = ticket(&world.ask(&escalate("s")).await);
    assert_eq!(attribute(&world, "s", "handoffs").await.as_deref(), Some("1"));
    world.table().faults().script(Fault::CloseAfterApplying.on("TransactWriteItems"));
    let said = desk(&world, answer(&ticket, "ann")).await;
    assert_eq!(
        (&said["done"], &said["message"]),
        (&json!(true), &json!("The session's supervisor is told."))
    );
    let told = world.ask(&read("s", &format!("escalation:{ticket}"))).await;
    assert_eq!(found(&told, &format!("escalation:{ticket}"))["version"], 1);
}

#[tokio::test]
async fn of_people_who_answer_at_once_one_is_heard_and_all_others_are_told_whose_answer_it_is() {
    let world = world_of(4, "").await;
    let ticket = ticket(&world.ask(&escalate("s")).await);
    let answer_of = |by: &str| {
        let text = format!("The answer of {by}.");
        desk(&world, json!({ "ticket": ticket, "action": "answer", "by": by, "text": text }))
    };
    let people = ["ann", "bob", "carol", "dave"];
    let said = join_all(people.iter().map(|by| answer_of(by))).await;
    let winners: Vec<&Value> = said.iter().filter(|said| said["done"] == true).collect();
    assert_eq!(winners.len(), 1, "{said:?}");
    let by = &winners[0]["by"];
    assert!(said.iter().all(|said| said["by"] == *by && said["state"] == "answered"), "{said:?}");
    let key = format!("escalation:{ticket}");
    let read = found(&world.ask(&read("s", &key)).await, &key);
    assert_eq!(read["value"], format!("The answer of {}.", by.as_str().unwrap()));
    assert_eq!(read["version"], 1);
}

#[tokio::test]
async fn an_answer_that_comes_while_its_session_is_busy_is_told_and_takes_nothing() {
    let world = world_of(4, "").await;
    let ticket = ticket(&world.ask(&escalate("s")).await);
    let event = |number: usize| Ask::orders(&format!("Question {number}")).session("s").event();
    let busy = join_all((0..12).map(|number| world.invoke(event(number).to_string(), None)));
    let (asked, said) = tokio::join!(busy, desk(&world, answer(&ticket, "ann")));
    assert_eq!(said["done"], true);
    assert!(asked.iter().all(|invocation| matches!(invocation.outcome, Outcome::Response(_))));
    let told = asked.iter().any(|invocation| {
        let body = Form::Function.body(&invocation.json().unwrap()).unwrap();
        body["message"].as_str().is_some_and(|message| message.contains(&ticket))
    });
    let next = world.ask(&Ask::orders("And now?").session("s")).await;
    assert!(told || says_answered(&next, &ticket));
    let after = world.ask(&Ask::orders("And then?").session("s")).await;
    assert!(!says_answered(&after, &ticket));
    assert_eq!(attribute(&world, "s", "steps").await.as_deref(), Some("14"));
    assert_eq!(
        attribute(&world, "s", "committed_tokens").await,
        attribute(&world, "s", "spent_tokens").await
    );
}

#[tokio::test]
async fn another_tenant_neither_asks_nor_hears_nor_reads_in_a_session() {
    let world = world("").await;
    let acme = |ask: Ask| ask.attribute("tenant_id", "acme").attribute("user_id", "u-1");
    let ticket = ticket(&world.ask(&acme(escalate("s"))).await);
    desk(&world, answer(&ticket, "ann")).await;
    let key = format!("escalation:{ticket}");
    let others = [("other", Some("u-1")), ("acme", Some("u-2")), ("acme", None)];
    for (tenant, user) in others {
        for ask in [escalate("s"), read("s", &key), Ask::orders("And now?").session("s")] {
            let ask = ask.attribute("tenant_id", tenant);
            let ask = match user {
                Some(user) => ask.attribute("user_id", user),
                None => ask,
            };
            let told = world.ask(&ask).await;
            assert_eq!(told.outcome(), ("refused", Some("bad_request")));
            assert!(!told.body.to_string().contains(&ticket), "{}", told.body);
            assert!(!told.body.to_string().contains("SECRET"), "{}", told.body);
            told.nobody_was_called();
        }
    }
    assert_eq!(world.topic().messages().len(), 1);
    let mine = world.ask(&acme(read("s", &key))).await;
    assert!(says_answered(&mine, &ticket));
    assert_eq!(found(&mine, &key)["value"], "SECRET-ANSWER");
}

#[tokio::test]
async fn tasks_that_share_a_name_share_a_ticket_and_the_later_question_is_not_lost_silently() {
    let world = world("").await;
    let first = world.ask(&escalate("s")).await;
    let other = escalate("s").argument("summary", "Another question altogether.");
    let second = world.ask(&other).await;
    assert_eq!(ticket(&first), ticket(&second));
    let message = |told: &Told| told.body["message"].as_str().unwrap().to_owned();
    assert!(message(&first).contains("A person has been asked"));
    assert!(message(&second).contains("was not added"), "{}", message(&second));
    let tasks = [("orders", "[person] Refund A"), ("orders", "[person] Refund B")];
    let told = world.ask(&Ask::several("parallel", &tasks).session("t")).await;
    let results = told.body["results"].as_array().unwrap();
    let silent = |result: &&Value| !result["message"].as_str().unwrap().contains("was not added");
    assert_eq!(results.iter().filter(silent).count(), 1, "{results:?}");
}

#[tokio::test]
async fn the_longest_question_can_be_answered_with_the_longest_answer() {
    let world = world("").await;
    let long = "x".repeat(100_000);
    let ask = escalate("s").argument("reason", &*long).argument("summary", &*long);
    let ticket = ticket(&world.ask(&ask.argument("task_id", &*long)).await);
    let said =
        desk(&world, json!({ "ticket": ticket, "action": "answer", "by": "ann", "text": long }))
            .await;
    assert_eq!((&said["done"], &said["state"]), (&json!(true), &json!("answered")));
}

#[tokio::test]
async fn an_answer_that_no_key_could_hold_is_told_so_and_any_other_is_kept() {
    let world = world("").await;
    for (text, is_kept) in [("\u{1}", false), ("\u{1b}", false), ("\"", true), ("\n", true)] {
        let text = format!(".{}", text.repeat(99_999));
        let ticket = ticket(&world.ask(&escalate("s")).await);
        let event = json!({ "ticket": ticket, "action": "answer", "by": "ann", "text": text });
        let said = desk(&world, event).await;
        assert_eq!(said["done"], is_kept, "{said}");
        let message = said["message"].as_str().unwrap();
        assert_eq!(message.starts_with("`text` is a text of 100000 bytes"), !is_kept, "{message}");
    }
}

#[tokio::test]
async fn what_a_specialist_has_written_does_not_outlive_its_session() {
    let world = world_with_facts("", "delay_ms = 1200").await;
    world.ask(&Ask::orders("[facts]").session("s").attribute("tenant_id", "acme")).await;
    let ends = async |sk: &str| -> u64 {
        let item = world.table().item(&key("SESSION#s", sk)).await.unwrap().unwrap();
        item["expires_at"].as_n().unwrap().parse().unwrap()
    };
    let (pad, session) = (ends("PAD#order_facts").await, ends("BUDGET").await);
    assert!(pad <= session, "whoever begins the session anew finds it: {pad} > {session}");
}

#[tokio::test]
async fn where_the_ledger_cannot_say_whose_the_session_is_nothing_of_it_is_given_away() {
    let world = world_with_facts("on_ledger_failure = \"allow\"", "").await;
    world.ask(&Ask::orders("[facts]").session("s").attribute("tenant_id", "acme")).await;
    let given =
        |told: &Told| told.calls.iter().any(|call| call.body.to_string().contains("SECRET"));
    let of = |tenant: &str| Ask::of("support", "Help.").session("s").attribute("tenant_id", tenant);
    assert!(given(&world.ask(&of("acme")).await));
    world.table().faults().script(Fault::ServerError.on("UpdateItem").times(9));
    let told = world.ask(&of("other")).await;
    assert_eq!(told.outcome(), ("answered", None), "uncounted");
    assert!(!given(&told), "another tenant's specialist got it");
}
