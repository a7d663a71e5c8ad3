//! Tasks that wait for a person.

use super::house::{Answered, Does, House};
use super::*;
use crate::doubles::policy_plus;
use crate::escalation::{Action, Source, State};
use crate::ids::Ticket;

const ASKS: Does = Does::Say("{\"escalate\": \"above my limit\"}", 0);

async fn ask(
    house: &House,
    request: &str,
    agents: impl IntoIterator<Item = (&'static str, Does)>,
) -> Answered {
    let arguments = json!({"specialist_type": "orders", "request": request, "task_id": request});
    house.call_tool("invoke_specialist_agent", arguments, agents).await
}

async fn escalate(house: &House, task_id: &str) -> Answered {
    let arguments = json!({"reason": "above the limit", "summary": "900 EUR", "task_id": task_id});
    house.call_tool("escalate_to_human", arguments, []).await
}

fn ticket(answered: &Answered) -> Ticket {
    Ticket::parse(answered.body.whole.ticket.as_deref().unwrap()).unwrap()
}

fn answer(text: &str) -> Action {
    Action::Answer { by: "ann".to_owned(), text: text.to_owned() }
}

const ESCALATED: (Status, Option<Reason>) = (Status::Escalated, Some(Reason::Escalated));

#[tokio::test]
async fn the_supervisor_gets_a_ticket_and_the_person_what_there_is_to_know() {
    let house = House::new();
    let answered = escalate(&house, "t1").await;
    assert_eq!(answered.whole(), ESCALATED);
    assert_eq!(answered.body.whole.task_id.as_deref(), Some("t1"));
    assert!(answered.body.whole.message.as_ref().unwrap().contains("A person has been asked"));
    let [(escalation, state)] = &house.ledger.escalations()[..] else { panic!("not one") };
    assert_eq!((escalation.ticket.clone(), state), (ticket(&answered), &State::Open));
    assert_eq!(
        (escalation.reason.as_str(), escalation.summary.as_str()),
        ("above the limit", "900 EUR")
    );
    assert_eq!((escalation.source.clone(), escalation.left.0), (Source::Supervisor, 12));
    assert_eq!(answered.count("Escalations"), 1.0);
    let account = house.ledger.account();
    assert_eq!((account.handoffs, account.steps), (1, 0), "a hand-off, and nothing else");
    house.assert_settled();
}

#[tokio::test]
async fn a_task_has_one_open_ticket_however_often_it_is_asked_for() {
    let house = House::new();
    let first = ticket(&escalate(&house, "t1").await);
    let again = escalate(&house, "t1").await;
    assert_eq!(
        (again.whole(), ticket(&again), again.count("Escalations")),
        (ESCALATED, first, 0.0)
    );
    assert_ne!(ticket(&escalate(&house, "t2").await), ticket(&again));
    assert_eq!((house.ledger.account().handoffs, house.ledger.escalations().len()), (2, 2));
}

#[tokio::test]
async fn a_loop_cannot_flood_people() {
    let house = House::new();
    for task in ["a", "b"] {
        assert_eq!(escalate(&house, task).await.whole(), ESCALATED);
    }
    let refused = escalate(&house, "c").await;
    assert_eq!(refused.whole(), (Status::Refused, Some(Reason::BudgetHandoffs)));
    assert_eq!((refused.count("BudgetRefusals"), refused.count("Escalations")), (1.0, 0.0));
    assert_eq!(house.ledger.escalations().len(), 2);
    let waiting = escalate(&house, "a").await;
    assert_eq!(waiting.whole(), ESCALATED, "what waits already takes none");
}

#[tokio::test]
async fn a_specialist_asks_for_a_person_in_the_place_of_an_answer() {
    let house = House::new();
    let answered = ask(&house, "Refund 900 EUR", [("ORDERS", ASKS)]).await;
    assert_eq!(answered.whole(), ESCALATED);
    assert_eq!(answered.body.whole.specialist.as_deref(), Some("orders"));
    let [(escalation, _)] = &house.ledger.escalations()[..] else { panic!("not one") };
    assert_eq!(escalation.reason, "above my limit");
    assert_eq!(escalation.summary, "Refund 900 EUR");
    let tried: Vec<_> = escalation.tried.iter().map(|(name, why)| (name.as_str(), *why)).collect();
    assert_eq!(tried, [("orders", Reason::Escalated)]);
    assert_eq!((answered.count("SpecialistErrors"), answered.incidents.len()), (0.0, 0));
    assert_eq!(answered.count("RoutingAccuracy"), 1.0, "it was the right one to ask");
    house.assert_settled();
}

#[tokio::test]
async fn a_specialist_whose_person_cannot_be_asked_is_stood_in_for() {
    let house = House::with(Account { handoffs: 2, ..account() });
    let agents = [("ORDERS", ASKS), ("CHEAP", Does::Say("call us", 0))];
    let answered = ask(&house, "Refund", agents).await;
    assert_eq!(answered.whole(), (Status::FellBack, Some(Reason::Escalated)));
    let message = answered.body.whole.message.unwrap();
    assert!(message.contains("asked for a person, and none could be asked"), "{message}");
    let mute = House { ledger: InMemoryLedger::that_is_mute(), ..House::new() };
    let refused = escalate(&mute, "t").await;
    assert_eq!(refused.whole(), (Status::Refused, Some(Reason::LedgerUnavailable)));
}

#[tokio::test]
async fn a_request_that_no_specialist_could_answer_goes_to_a_person_where_the_policy_says_so() {
    let down = || Does::Fail(|| InvokeError::GaveUp);
    let all = || [("ORDERS", down()), ("SUPPORT", down()), ("GENERAL", down())];
    let without = House::new();
    let failed = ask(&without, "Where?", all()).await;
    assert_eq!(failed.whole(), (Status::Failed, Some(Reason::AgentError)));
    let policy = policy_plus("", "[escalation]\nafter_failure = true\n");
    let house = House { policy, ..House::new() };
    let answered = ask(&house, "Where?", all()).await;
    assert_eq!(answered.whole(), ESCALATED);
    assert_eq!(answered.body.whole.specialist.as_deref(), Some("general"));
    let [(escalation, _)] = &house.ledger.escalations()[..] else { panic!("not one") };
    assert_eq!(
        (escalation.source.clone(), escalation.reason.as_str()),
        (Source::Failure, "agent_error")
    );
    assert_eq!(escalation.tried.len(), 3);
    let blocked = ask(&house, "Bad?", [("ORDERS", Does::Fail(|| InvokeError::Guardrail))]).await;
    assert_eq!(blocked.whole(), (Status::Failed, Some(Reason::Guardrail)), "nobody is to see it");
    house.assert_settled();
}

#[tokio::test]
async fn a_branch_that_waits_for_a_person_leaves_the_others_whole() {
    let house = House::new();
    let tasks = [("orders", "Refund"), ("general", "Hours?")];
    let agents = [("ORDERS", ASKS), ("GENERAL", Does::Say("9 to 5", 0))];
    let answered = house.call(json!({"mode": "parallel"}), &tasks, agents).await;
    assert_eq!(answered.whole(), (Status::Partial, Some(Reason::Escalated)));
    assert_eq!(answered.ends(), [ESCALATED, (Status::Answered, None)]);
    assert!(answered.body.results.unwrap()[0].ticket.is_some());
    let both = [("orders", "One"), ("orders", "Two")];
    let alone = House::new();
    let all = alone.call(json!({"mode": "parallel"}), &both, [("ORDERS", ASKS)]).await;
    assert_eq!(all.whole(), ESCALATED, "all of them wait");
    alone.assert_settled();
}

#[tokio::test]
async fn a_stage_that_waits_for_a_person_ends_its_pipeline_which_goes_on_there_later() {
    let house = House::new();
    let tasks = [("general", "What?"), ("orders", "Refund {{previous}}"), ("general", "Tell")];
    let agents = || [("ORDERS", ASKS), ("GENERAL", Does::Say("900 EUR", 0))];
    let answered = house.call(json!({"mode": "pipeline"}), &tasks, agents()).await;
    let waiting =
        [(Status::Answered, None), ESCALATED, (Status::Refused, Some(Reason::NotReached))];
    assert_eq!(answered.ends(), waiting);
    let again = [("ORDERS", Does::Say("done", 0)), ("GENERAL", Does::Say("told", 0))];
    let answered = house.call(json!({"mode": "pipeline"}), &tasks, again).await;
    assert_eq!(answered.whole(), (Status::Answered, None));
    assert_eq!(answered.sent.len(), 2, "the first stage is not asked again");
}

#[tokio::test]
async fn a_persons_answer_is_told_once_and_found_under_its_ticket() {
    let house = House::new();
    let ticket = ticket(&escalate(&house, "t1").await);
    house.ledger.act(&ticket, &answer("Yes, pay it."), house.clock.now()).unwrap();
    let key = format!("escalation:{ticket}");
    let told = |answered: &Answered| {
        let message = answered.body.whole.message.as_deref().unwrap_or_default();
        message.contains(&format!("A person has answered ticket `{ticket}`: read key `{key}`"))
    };
    let looked = house.call_tool("read_scratchpad", json!({ "keys": "x" }), []).await;
    assert!(told(&looked));
    let general = || [("ORDERS", Does::Say("there", 0))];
    assert!(told(&ask(&house, "Where?", general()).await));
    assert!(!told(&ask(&house, "When?", general()).await), "it knows");
    let read = house.call_tool("read_scratchpad", json!({ "keys": key }), []).await;
    let found: Value = serde_json::from_str(&read.body.whole.answer.unwrap()).unwrap();
    let expected = json!({"value": "Yes, pay it.", "writer": "ann", "version": 1});
    assert_eq!(found[&key], expected);
    assert_eq!(ask(&house, "t1", [("ORDERS", ASKS)]).await.whole(), ESCALATED, "a new question");
    assert_eq!(house.ledger.escalations().len(), 2);
}

#[tokio::test]
async fn a_session_that_may_do_nothing_more_is_told_of_its_answer_all_the_same() {
    let house = House::with(Account { steps: 12, ..account() });
    let ticket = ticket(&escalate(&house, "t1").await);
    house.ledger.act(&ticket, &answer("Yes."), house.clock.now()).unwrap();
    let refused = ask(&house, "Where?", []).await;
    assert_eq!(refused.whole(), (Status::Refused, Some(Reason::BudgetSteps)));
    assert!(refused.body.whole.message.unwrap().contains("A person has answered"));
}

#[tokio::test]
async fn a_ticket_whose_time_is_over_does_not_keep_its_task() {
    let house = House::new();
    let first = ticket(&escalate(&house, "t1").await);
    house.clock.advance(house.policy.escalation.answer_within);
    let second = ticket(&escalate(&house, "t1").await);
    assert_ne!(first, second, "also where no desk is there to expire it");
    let expired = house.ledger.act(&first, &Action::Expire, house.clock.now()).unwrap();
    assert!(!expired.is_delivered, "the session waits for the second");
    house.ledger.act(&second, &answer("Yes."), house.clock.now()).unwrap();
}

#[tokio::test]
async fn a_ticket_that_an_earlier_request_left_behind_is_kept_with_the_time_that_it_was_given() {
    let mut house = House { ledger: InMemoryLedger::that_is_mute(), ..House::new() };
    let due = house.clock.now().after(house.policy.escalation.answer_within);
    assert_eq!(escalate(&house, "t1").await.whole().1, Some(Reason::LedgerUnavailable));
    house.clock.advance(house.policy.escalation.answer_within / 2);
    house.ledger.is_mute = false;
    let completed = escalate(&house, "t1").await;
    assert_eq!((completed.whole(), completed.count("Escalations")), (ESCALATED, 1.0));
    assert!(completed.body.whole.message.as_ref().unwrap().contains("A person has been asked"));
    let [(escalation, _)] = &house.ledger.escalations()[..] else { panic!("not one") };
    assert_eq!(escalation.due, due, "the session's item says the same");
    assert_eq!(house.ledger.account().handoffs, 1);
}

#[tokio::test]
async fn a_question_that_people_do_not_get_is_told_so() {
    let house = House::new();
    escalate(&house, "t1").await;
    let again = escalate(&house, "t1").await;
    assert!(again.body.whole.message.unwrap().contains("What you ask now was not added"));
    house
        .ledger
        .act(&ticket(&escalate(&house, "t2").await), &answer("Yes."), house.clock.now())
        .unwrap();
    let told = escalate(&house, "t1").await.body.whole.message.unwrap();
    assert!(told.contains("A person has answered"), "the other one: {told}");
}
