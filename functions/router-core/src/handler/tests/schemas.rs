//! Answers that must fit a schema.

use super::house::{Answered, Does, House};
use super::*;
use crate::charge::Charge;
use crate::doubles::policy_plus;
use crate::units::{MicroUsd, Tokens};

const SCHEMA: &str = r#"output_schema = '{"type": "object", "required": ["order"]}'"#;

/// What an answer of 300 input and 40 output tokens costs at 3 USD in and 15 USD out.
const ANSWER: Charge = Charge { tokens: Tokens(340), cost: MicroUsd(1_500) };

fn house(more: &str) -> House {
    House { policy: policy_plus(&format!("{SCHEMA}\n{more}"), ""), ..House::new() }
}

async fn ask(house: &House, agents: impl IntoIterator<Item = (&'static str, Does)>) -> Answered {
    let arguments = json!({"specialist_type": "orders", "request": "Where is it?"});
    house.call_tool("invoke_specialist_agent", arguments, agents).await
}

#[tokio::test]
async fn an_answer_that_fits_is_given_without_what_a_model_puts_around_it() {
    let house = house("");
    let fenced = "```json\n{\"order\": 4711}\n```";
    let answered = ask(&house, [("ORDERS", Does::Say(fenced, 0))]).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert_eq!(answered.body.whole.answer.as_deref(), Some("{\"order\": 4711}"));
    assert_eq!((answered.body.whole.attempts, answered.count("OutputInvalid")), (1, 0.0));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_once_more_with_what_is_wrong() {
    let house = house("retry = { max_attempts = 1 }");
    let does = Does::Each(&["It is on its way.", "{\"order\": 4711}"]);
    let answered = ask(&house, [("ORDERS", does)]).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert_eq!(answered.body.whole.attempts, 2);
    assert_eq!(answered.sent[0].request, "Where is it?");
    let second = &answered.sent[1].request;
    assert!(second.starts_with("Where is it?\n\nYour last answer to this cannot be used:\n"));
    assert!(second.contains("- it is not JSON\n"), "{second}");
    house.assert_settled();
    let account = house.ledger.account();
    assert_eq!((account.steps, account.spent), (1, ANSWER.plus(ANSWER)), "both are paid for");
    assert_eq!(house.ledger.reservations(), 2, "each under a hold of its own");
    assert_eq!((answered.count("OutputInvalid"), answered.count("SpecialistErrors")), (1.0, 0.0));
}

#[tokio::test]
async fn an_answer_that_never_fits_is_left_to_the_fallback_and_none_of_it_is_given() {
    let house = house("");
    let agents = [("ORDERS", Does::Say("{}", 0)), ("SUPPORT", Does::Say("on its way", 0))];
    let answered = ask(&house, agents).await;
    assert_eq!(answered.whole(), (Status::FellBack, Some(Reason::OutputInvalid)));
    assert_eq!(answered.body.whole.answer.as_deref(), Some("on its way"));
    assert_eq!(answered.sent.len(), 3, "two attempts of orders, one of support");
    assert_eq!((answered.count("OutputInvalid"), answered.count("SpecialistErrors")), (2.0, 1.0));
    assert_eq!(answered.incidents[0].reason, Reason::OutputInvalid);
    house.assert_settled();
}

#[tokio::test]
async fn where_nobody_else_can_answer_the_failure_says_why() {
    let house = house("");
    let down = || Does::Fail(|| InvokeError::GaveUp);
    let agents = [("ORDERS", Does::Say("no", 0)), ("SUPPORT", down()), ("GENERAL", down())];
    let answered = ask(&house, agents).await;
    assert_eq!(answered.whole(), (Status::Failed, Some(Reason::OutputInvalid)));
    house.assert_settled();
}

#[tokio::test]
async fn a_budget_without_room_for_the_second_attempt_leaves_it_to_the_fallback() {
    let mut house = house("");
    // Room for one hold of orders, and after its answer for one of support, which asks for less.
    house.policy.session.max_tokens = Tokens(8_000);
    let general = crate::doubles::policy().find("general").unwrap().max_tokens_per_call;
    assert!(general < Tokens(8_000 - 340));
    let agents = [("ORDERS", Does::Say("no", 0)), ("GENERAL", Does::Say("on its way", 0))];
    let arguments = json!({"specialist_type": "orders", "request": "Where is it?"});
    // Support serves verified users only: general comes next.
    let answered = house.call_as(json!({}), "invoke_specialist_agent", arguments, agents).await;
    assert_eq!(answered.whole(), (Status::FellBack, Some(Reason::OutputInvalid)));
    assert_eq!(answered.body.whole.attempts, 2);
    house.assert_settled();
    assert!(house.ledger.account().spent.tokens <= Tokens(8_000));
}

#[tokio::test]
async fn the_schema_of_the_key_that_an_answer_becomes_counts_too() {
    let key = "[scratchpad.order_facts]\nwriter = \"orders\"\n\
               schema = { type = \"object\", required = [\"total\"] }\n";
    let more = format!("{SCHEMA}\nwrites = \"order_facts\"");
    let house = House { policy: policy_plus(&more, key), ..House::new() };
    let does = Does::Each(&["{\"order\": 1}", "{\"order\": 1, \"total\": 2}"]);
    let answered = ask(&house, [("ORDERS", does)]).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert!(answered.sent[1].request.contains("\"total\" is a required property"));
}

#[tokio::test]
async fn a_hand_off_and_a_call_for_a_person_fit_any_schema() {
    let house = house("");
    let agents = [
        ("ORDERS", Does::Say("{\"out_of_scope\": true, \"suggest\": \"general\"}", 0)),
        ("GENERAL", Does::Say("yes", 0)),
    ];
    let answered = ask(&house, agents).await;
    assert_eq!(answered.whole(), (Status::FellBack, Some(Reason::OutOfScope)));
    assert_eq!(answered.count("OutputInvalid"), 0.0);
}
