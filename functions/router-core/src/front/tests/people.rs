//! People who are asked, and what their answers come to in the next request.

use std::time::Duration;

use serde_json::json;

use super::house::House;
use crate::doubles::{Decides, Does};
use crate::escalation::Action;
use crate::invocation::InvokeError;
use crate::outcome::Status;
use crate::supervisor::Message;
use crate::units::Clock;

#[tokio::test]
async fn a_persons_answer_is_told_to_the_supervisor_of_the_next_request() {
    let house = House::of_model("");
    let arguments =
        json!({ "reason": "it is above my limit", "summary": "A refund of 900 dollars" });
    let script = [
        Decides::Call("", vec![("escalate_to_human", arguments.to_string())]),
        Decides::Say("A colleague will look at it."),
    ];
    let came = house.says("I want my 900 dollars back.", script, []).await;
    assert_eq!(came.done.status, Status::Answered);
    let Some(Message::Results(results)) = came.rounds[1].messages.last() else { panic!() };
    assert!(results[0].text.contains("\"status\":\"escalated\""), "{}", results[0].text);
    let (escalation, _) = house.ledger.escalations().remove(0);
    let answer = Action::Answer { by: "kim".to_owned(), text: "Granted.".to_owned() };
    house.ledger.act(&escalation.ticket, &answer, house.clock.now()).unwrap();

    let came = house.says("Well?", [Decides::Say("It is granted.")], []).await;
    let ticket = escalation.ticket.as_str();
    assert!(came.rounds[0].prompt.contains(ticket), "{}", came.rounds[0].prompt);
    let came = house.says("Thanks.", [Decides::Say("Bye.")], []).await;
    assert!(!came.rounds[0].prompt.contains(ticket), "it is told once");
    house.assert_settled();
}

#[tokio::test]
async fn a_persons_answer_that_no_supervisor_could_tell_of_is_told_again() {
    let failing = || (0..4).map(|_| Decides::TurnDown(InvokeError::Throttled));
    let rehearsal = json!({ "identity_verified": "true", "dry_run": "true" });
    for is_rehearsal in [false, true] {
        let house = House::of_model("");
        let arguments = json!({ "reason": "it is above my limit", "summary": "900 dollars" });
        let asks = Decides::Call("", vec![("escalate_to_human", arguments.to_string())]);
        house.says("My 900 dollars.", [asks, Decides::Say("Wait.")], []).await;
        let (escalation, _) = house.ledger.escalations().remove(0);
        let answer = Action::Answer { by: "kim".to_owned(), text: "Granted.".to_owned() };
        house.ledger.act(&escalation.ticket, &answer, house.clock.now()).unwrap();
        if is_rehearsal {
            let request = json!({ "input": "Well?", "session_id": "s", "attributes": rehearsal });
            house.serves(&request, [Decides::Say("I would look.")], []).await;
        } else {
            let general = ("GENERAL", Does::Say("Somebody will call you.", 0));
            let came = house.says("Well?", failing(), [general]).await;
            assert_eq!(came.done.status, Status::FellBack);
            house.clock.advance(Duration::from_secs(60));
        }
        let came = house.says("Well?", [Decides::Say("It is granted.")], []).await;
        let ticket = escalation.ticket.as_str();
        assert!(came.rounds[0].prompt.contains(ticket), "{}", came.rounds[0].prompt);
        house.assert_settled();
    }
}
