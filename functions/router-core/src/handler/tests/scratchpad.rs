//! What specialists write down for each other in a session.

use super::house::{Answered, Does, House};
use super::*;
use crate::doubles::policy_plus;
use crate::ids::RootSession;
use crate::scratchpad::Pad;
use crate::store::{Item, Value as Stored};

const FACTS: &str = "[scratchpad.order_facts]\nwriter = \"orders\"\nreaders = [\"billing\"]\n\
                     max_bytes = 60\n";

/// Orders writes `order_facts`, of 60 bytes at most, which billing may read.
fn house_with(ledger: InMemoryLedger) -> House {
    let policy = policy_plus("writes = \"order_facts\"", FACTS);
    House { policy, ledger, ..House::new() }
}

fn house() -> House {
    house_with(InMemoryLedger::default())
}

async fn ask(house: &House, specialist: &str, agent: &'static str, does: Does) -> Answered {
    let arguments = json!({"specialist_type": specialist, "request": "Where is it?"});
    house.call_tool("invoke_specialist_agent", arguments, [(agent, does)]).await
}

async fn read(house: &House, keys: Value) -> Value {
    let answered = house.call_tool("read_scratchpad", json!({ "keys": keys }), []).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    serde_json::from_str(&answered.body.whole.answer.unwrap()).unwrap()
}

fn pad(house: &House) -> Option<Pad> {
    let session = RootSession::parse("sessionId", "s").unwrap();
    house.ledger.pad(&session, "order_facts", house.clock.now())
}

#[tokio::test]
async fn an_answer_becomes_the_key_of_its_specialist_and_reaches_those_who_may_read_it() {
    let house = house();
    ask(&house, "orders", "ORDERS", Does::Say("{\"order\": 4711}", 0)).await;
    let billing = ask(&house, "billing", "BILLING", Does::Say("paid", 0)).await;
    assert_eq!(billing.sent[0].scratchpad["scratchpad.order_facts"], "{\"order\": 4711}");
    let support = ask(&house, "support", "SUPPORT", Does::Say("done", 0)).await;
    assert!(support.sent[0].scratchpad.is_empty(), "it may not read it");
    let expected = json!({"value": {"order": 4711}, "writer": "orders", "version": 1});
    assert_eq!(read(&house, json!("order_facts")).await["order_facts"], expected);
    house.assert_settled();
}

#[tokio::test]
async fn what_is_not_written_or_not_declared_is_null_and_reading_costs_nothing() {
    let house = house();
    let keys = json!("[\"order_facts\", \"salaries\", \"escalation:2026-11-27-0123456789abcdef\"]");
    let before = house.ledger.account();
    let found = read(&house, keys).await;
    assert_eq!(found["order_facts"], Value::Null);
    assert_eq!(found.as_object().unwrap().len(), 3);
    assert_eq!(house.ledger.account(), before);
    ask(&house, "orders", "ORDERS", Does::Say("there", 0)).await;
    let answered = house.call_tool("read_scratchpad", json!({"keys": "order_facts"}), []).await;
    assert_eq!(answered.body.budget.unwrap().steps_left, 11, "the session is told as it is");
    assert!(answered.sent.is_empty());
}

#[tokio::test]
async fn of_two_writers_at_once_the_later_one_is_told_and_replaces_nothing() {
    let house = house_with(InMemoryLedger::overtaken_by("\"first\""));
    let answered = ask(&house, "orders", "ORDERS", Does::Say("second", 0)).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert_eq!(answered.body.whole.answer.as_deref(), Some("second"));
    let message = answered.body.whole.message.unwrap();
    assert!(message.contains("`order_facts` was written by another request"), "{message}");
    assert_eq!(pad(&house).unwrap().as_text(), "first");
}

#[tokio::test]
async fn two_branches_that_write_one_key_do_not_replace_each_other() {
    let house = house();
    let tasks = [("orders", "Where is it?"), ("orders", "And the other?")];
    let agents = [("ORDERS", Does::Each(&["one", "two"]))];
    let answered = house.call(json!({"mode": "parallel"}), &tasks, agents).await;
    let told = answered.body.results.unwrap();
    let overtaken = told.iter().filter(|result| result.message.is_some()).count();
    assert_eq!(overtaken, 1, "{told:?}");
    assert_eq!(pad(&house).unwrap().version, 1);
}

#[tokio::test]
async fn a_stage_reads_what_the_one_before_it_has_written() {
    let house = house();
    let tasks = [("orders", "Where is it?"), ("billing", "Refund {{previous}}")];
    let agents = [("ORDERS", Does::Say("4711", 0)), ("BILLING", Does::Say("done", 0))];
    let answered = house.call(json!({"mode": "pipeline"}), &tasks, agents).await;
    assert_eq!(answered.sent[1].scratchpad["scratchpad.order_facts"], "4711");
    assert_eq!(answered.sent[1].request, "Refund 4711");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_an_answer_and_no_key() {
    let house = house();
    let long = "sixty bytes are not enough for an answer that goes on and on.";
    let answered = ask(&house, "orders", "ORDERS", Does::Say(long, 0)).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    let message = answered.body.whole.message.unwrap();
    assert!(message.contains("it has 63 bytes, and 60 are allowed"), "{message}");
    assert_eq!(pad(&house), None);
}

#[tokio::test]
async fn without_the_table_a_specialist_is_asked_without_and_its_answer_is_told_to_be_lost() {
    let house = house_with(InMemoryLedger::that_is_mute());
    let answered = ask(&house, "orders", "ORDERS", Does::Say("there", 0)).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert!(answered.body.whole.message.unwrap().contains("could not be kept as `order_facts`"));
    let read = house.call_tool("read_scratchpad", json!({"keys": "order_facts"}), []).await;
    assert_eq!(read.whole(), (Status::Refused, Some(Reason::LedgerUnavailable)));
    house.assert_settled();
}

#[tokio::test]
async fn an_answer_that_falls_back_is_the_key_of_nobody() {
    let house = house();
    let arguments = json!({"specialist_type": "orders", "request": "Where is it?"});
    let agents =
        [("ORDERS", Does::Fail(|| InvokeError::GaveUp)), ("SUPPORT", Does::Say("there", 0))];
    let answered = house.call_tool("invoke_specialist_agent", arguments, agents).await;
    assert_eq!(answered.body.whole.status, Status::FellBack);
    assert_eq!(pad(&house), None);
}

#[tokio::test]
async fn a_scratchpad_is_seen_by_its_own_tenant_and_user_only_and_ends_with_its_session() {
    let house = house();
    let owner = json!({"identity_verified": "true", "tenant_id": "t", "user_id": "u"});
    let asked = json!({"specialist_type": "orders", "request": "Where is it?"});
    let agents = [("ORDERS", Does::Say("there", 0))];
    house.call_as(owner.clone(), "invoke_specialist_agent", asked, agents).await;
    let keys = json!({"keys": "order_facts"});
    for other in [json!({"user_id": "u"}), json!({"tenant_id": "t", "user_id": "v"}), json!({})] {
        let refused = house.call_as(other, "read_scratchpad", keys.clone(), []).await;
        assert_eq!(refused.whole(), (Status::Refused, Some(Reason::BadRequest)));
        assert_eq!(refused.body.whole.answer, None);
    }
    house.clock.advance(house.policy.session.idle_ttl);
    let over = house.call_as(owner, "read_scratchpad", keys, []).await;
    assert_eq!(over.body.whole.answer.as_deref(), Some("{\"order_facts\":null}"));
}

#[tokio::test]
async fn a_key_that_is_read_lasts_as_long_as_its_session() {
    let house = house();
    ask(&house, "orders", "ORDERS", Does::Say("there", 0)).await;
    let day = house.policy.session.idle_ttl;
    for _ in 0..3 {
        house.clock.advance(day * 3 / 4);
        let billing = ask(&house, "billing", "BILLING", Does::Say("paid", 0)).await;
        assert_eq!(billing.sent[0].scratchpad["scratchpad.order_facts"], "there");
    }
    house.clock.advance(day + Duration::from_secs(1));
    let billing = ask(&house, "billing", "BILLING", Does::Say("paid", 0)).await;
    assert!(billing.sent[0].scratchpad.is_empty(), "the session begins anew");
}

#[tokio::test]
async fn what_another_router_has_given_is_not_passed_on() {
    let house = house();
    let attributes = json!({"identity_verified": "true", "scratchpad.secret": "x", "a": "b"});
    let asked = json!({"specialist_type": "orders", "request": "Where is it?"});
    let agents = [("ORDERS", Does::Say("there", 0))];
    let answered = house.call_as(attributes, "invoke_specialist_agent", asked, agents).await;
    assert!(answered.sent[0].attributes.contains_key("a"));
    assert!(!answered.sent[0].attributes.contains_key("scratchpad.secret"));
}

#[test]
fn an_item_that_an_operator_has_spoilt_is_read_as_text_or_as_nothing() {
    let item = Item::from([("value", Stored::text("{no json")), ("expires_at", Stored::number(9))]);
    let seen = crate::scratchpad::Seen::of(&item, Timestamp(0));
    assert_eq!(seen.pad.unwrap().as_text(), "{no json");
    let item = Item::from([("value", Stored::number(7)), ("expires_at", Stored::number(9))]);
    assert_eq!(crate::scratchpad::Seen::of(&item, Timestamp(0)).pad, None);
}

#[tokio::test]
async fn a_key_ends_with_the_session_that_it_was_written_in() {
    let house = house();
    let before_the_second = 1_995 - house.clock.now().0 % 1_000;
    house.clock.advance(Duration::from_millis(before_the_second));
    let asked = house.clock.now();
    ask(&house, "orders", "ORDERS", Does::Say("there", 0)).await;
    assert!(house.clock.now().epoch_seconds() > asked.epoch_seconds(), "it takes its time");
    let end = asked.after(house.policy.session.idle_ttl).epoch_seconds();
    assert_eq!(pad(&house).unwrap().expires_at, end);
}
