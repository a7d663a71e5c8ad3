//! People who are asked, and what their answers come to in the next request.

use serde_json::json;

use super::house::House;
use crate::doubles::Decides;
use crate::escalation::Action;
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
