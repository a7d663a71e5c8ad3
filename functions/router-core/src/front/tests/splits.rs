//! Sessions that are shared with what was there before the supervisor.

use serde_json::json;

use super::house::House;
use crate::doubles::{Decides, ask};
use crate::outcome::{Reason, Status};
use crate::supervisor::Message;
use crate::units::MicroUsd;

fn house(percent: u64) -> House {
    let mut house = House::of_model("");
    let table = format!("[split]\ncurrent = \"OLD/LIVE\"\npercent = {percent}");
    house.policy.split = crate::doubles::policy_with(&table).unwrap().split;
    house
}

#[tokio::test]
async fn a_session_of_the_predecessors_gets_its_answer_under_no_budget() {
    let mut house = house(0);
    house.before.says = Some("As ever.");
    let request = json!({ "input": "Hi", "session_id": "s", "more": [1, { "of": "ours" }] });
    let came = house.serves(&request, [], []).await;
    assert_eq!((came.end(), came.answer()), ((Status::Answered, None), "As ever."));
    assert_eq!((came.done.rounds, came.done.steps, came.done.budget), (0, 0, None));
    assert_eq!(house.before.asked(), [request.to_string()], "it gets the request as it is");
    assert_eq!(came.told.len(), 2, "{:?}", came.told);
    assert_eq!(came.metric("Requests", Some("Path=current")), [1.0]);
    assert_eq!(came.metric("RequestErrors", Some("Path=current")), [0.0]);
    assert_eq!(came.metric("RequestCost", Some("Path=current")), [0.0007]);
    assert_eq!((house.ledger.reservations(), house.ledger.account().steps), (0, 0));
}

#[tokio::test]
async fn a_predecessor_that_fails_is_an_error_of_its_path_and_nobody_stands_in_for_it() {
    let house = house(0);
    let came = house.says("Hi", [], []).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::AgentError)));
    assert_eq!(came.metric("RequestErrors", Some("Path=current")), [1.0]);
}

#[tokio::test]
async fn a_session_of_the_supervisors_is_compared_with_what_it_costs() {
    let house = house(100);
    let came = house.says("Hi", [Decides::Say("Hello.")], []).await;
    assert_eq!((came.answer(), house.before.asked().len()), ("Hello.", 0));
    assert_eq!(came.metric("Requests", Some("Path=supervisor")), [1.0]);
    assert_eq!(came.metric("RequestCost", Some("Path=supervisor")), [0.0008]);
}

#[tokio::test]
async fn without_a_split_no_path_is_told() {
    let house = House::of_model("");
    let came = house.says("Hi", [Decides::Say("Hello.")], []).await;
    assert!(came.metric("Requests", Some("Path=supervisor")).is_empty());
}

#[tokio::test]
async fn a_rehearsal_is_the_supervisors_and_asks_neither_a_specialist_nor_what_was_there_before() {
    let house = house(0);
    let attributes = json!({ "identity_verified": "true", "dry_run": "true" });
    let request = json!({ "input": "Refund", "session_id": "s", "attributes": attributes });
    let call = Decides::Call("", vec![ask("billing", "Refund order 7")]);
    let came = house.serves(&request, [call, Decides::Say("It would be billing.")], []).await;
    assert_eq!((came.end(), came.answer()), ((Status::Answered, None), "It would be billing."));
    assert!(came.sent.is_empty() && house.before.asked().is_empty());
    let Message::Results(results) = &came.rounds[1].messages[2] else { panic!("no results") };
    assert!(results[0].text.contains("`billing` would have been asked"), "{results:?}");
    let account = house.ledger.account();
    assert_eq!((account.steps, account.spent.cost), (0, MicroUsd(1_600)), "two rounds");
    assert!(came.metric("RoutingAccuracy", None).is_empty());
    house.assert_settled();
}
