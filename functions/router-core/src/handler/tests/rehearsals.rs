//! Requests whose application wants to hear whom they would reach.

use super::house::{Answered, House};
use super::*;

/// A call of a tool in a rehearsal, by a verified user or not. Whoever is asked in earnest panics:
/// there are no agents.
async fn rehearse(house: &House, verified: bool, tool: &str, arguments: Value) -> Answered {
    let attributes = json!({"dry_run": "true", "identity_verified": verified.to_string()});
    let call = house.call_as(attributes, tool, arguments, []).await;
    assert!(call.sent.is_empty() && call.incidents.is_empty());
    assert!(call.data.is_empty(), "no metric: {:?}", call.data);
    assert_eq!((house.ledger.reservations(), house.ledger.settlements()), (0, 0));
    assert!(house.ledger.escalations().is_empty());
    assert_eq!((call.body.budget, call.body.whole.attempts), (None, 0));
    call
}

async fn of_task(verified: bool, arguments: Value) -> TaskBody {
    let house = House::new();
    rehearse(&house, verified, "invoke_specialist_agent", arguments).await.body.whole
}

async fn of_tasks(verified: bool, mode: &str, tasks: &[&str]) -> Answered {
    let tasks = tasks.iter().map(|name| json!({"specialist_type": name, "request": "Do it."}));
    let tasks = Value::from(tasks.collect::<Vec<_>>()).to_string();
    let arguments = json!({"mode": mode, "tasks": tasks});
    rehearse(&House::new(), verified, "invoke_specialists", arguments).await
}

#[tokio::test]
async fn the_specialist_that_would_have_been_asked_is_named_and_nobody_is_asked() {
    let asked = json!({"specialist_type": "billing", "request": "Refund it.", "task_id": "t"});
    let told = of_task(true, asked).await;
    assert_eq!((told.status, told.reason), (Status::Answered, None));
    assert_eq!((told.specialist.as_deref(), told.answer), (Some("billing"), None));
    assert_eq!((told.asked.as_deref(), told.task_id.as_deref()), (Some("billing"), Some("t")));
    assert_eq!(
        told.message.as_deref(),
        Some("This is a rehearsal: `billing` would have been asked. Nobody was.")
    );
}

#[tokio::test]
async fn a_detour_names_whom_it_leads_to_and_why() {
    for (asked, reason) in [
        (json!({"specialist_type": "astrology", "request": "Why?"}), "unknown_specialist"),
        (
            json!({"specialist_type": "orders", "request": "Why?", "confidence": "0.1"}),
            "low_confidence",
        ),
    ] {
        let told = of_task(true, asked).await;
        assert_eq!((told.status, told.specialist.as_deref()), (Status::Answered, Some("general")));
        assert!(told.message.as_ref().unwrap().contains(reason), "{told:?}");
    }
}

#[tokio::test]
async fn a_rule_that_forbids_the_call_is_told_as_in_earnest() {
    let asked = json!({"specialist_type": "billing", "request": "Refund it."});
    let told = of_task(false, asked.clone()).await;
    assert_eq!((told.status, told.reason), (Status::Refused, Some(Reason::IdentityNotVerified)));
    let attributes = json!({"dry_run": "true", "router_hops": "3"});
    let house = House::new();
    let call = house.call_as(attributes, "invoke_specialist_agent", asked, []).await;
    assert_eq!(call.whole(), (Status::Refused, Some(Reason::LoopDetected)));
    assert!(call.data.is_empty());
    let bad = rehearse(&house, true, "invoke_specialist_agent", json!({"request": "?"})).await;
    assert_eq!(bad.whole(), (Status::Refused, Some(Reason::BadRequest)));
}

#[tokio::test]
async fn several_tasks_are_told_one_by_one() {
    let call = of_tasks(true, "parallel", &["orders", "billing", "astrology"]).await;
    assert_eq!(call.whole(), (Status::Answered, None));
    let results = call.body.results.as_ref().unwrap();
    let named: Vec<_> = results.iter().filter_map(|told| told.specialist.as_deref()).collect();
    assert_eq!(named, ["orders", "billing", "general"]);
    assert!(results.iter().all(|told| told.answer.is_none()));
    assert!(call.body.whole.message.unwrap().starts_with("This is a rehearsal"));
    let some = of_tasks(false, "parallel", &["orders", "billing"]).await;
    assert_eq!(some.whole(), (Status::Partial, Some(Reason::IdentityNotVerified)));
}

#[tokio::test]
async fn a_pipeline_ends_at_the_stage_that_would_be_refused() {
    let call = of_tasks(false, "pipeline", &["orders", "billing", "general"]).await;
    let refused = |reason| (Status::Refused, Some(reason));
    let expected = [
        (Status::Answered, None),
        refused(Reason::IdentityNotVerified),
        refused(Reason::NotReached),
    ];
    assert_eq!(call.ends(), expected);
}

#[tokio::test]
async fn nothing_is_read_and_no_person_is_asked() {
    for (tool, arguments) in [
        ("read_scratchpad", json!({"keys": "[\"plan\"]"})),
        ("escalate_to_human", json!({"reason": "above the limit", "summary": "900 EUR"})),
    ] {
        let whole = rehearse(&House::new(), true, tool, arguments).await.body.whole;
        assert_eq!((whole.status, whole.specialist, whole.answer), (Status::Answered, None, None));
        assert!(whole.message.unwrap().starts_with("This is a rehearsal"), "{tool}");
    }
}

#[tokio::test]
async fn a_model_cannot_ask_for_a_rehearsal() {
    let house = House::new();
    let asked = json!({"specialist_type": "orders", "request": "dry_run", "dry_run": "true"});
    let answers = [("ORDERS", crate::doubles::Does::Say("there", 0))];
    let call = house.call_tool("invoke_specialist_agent", asked, answers).await;
    assert_eq!(call.body.whole.answer.as_deref(), Some("there"));
    house.assert_settled();
}
