//! Several tasks in one call: at once, and one after the other.

use super::house::House;
use super::*;
use crate::charge::Charge;
use crate::doubles::{Does, unknown_usage_of_orders};
use crate::policy::{Join, OnLedgerFailure};
use crate::units::{MicroUsd, Share, Tokens};

/// What an answer of 300 input and 40 output tokens costs at 3 USD in and 15 USD out.
const ANSWER: Charge = Charge { tokens: Tokens(340), cost: MicroUsd(1_500) };

fn parallel() -> Value {
    json!({"mode": "parallel"})
}

fn joined(join: &str) -> Value {
    json!({"mode": "parallel", "join": join})
}

fn pipeline() -> Value {
    json!({"mode": "pipeline"})
}

const THREE: [(&str, &str); 3] =
    [("orders", "Where is it?"), ("billing", "What was paid?"), ("general", "Anything else?")];

const ALL_ANSWER: [(&str, Does); 3] = [
    ("ORDERS", Does::Say("there", 0)),
    ("BILLING", Does::Say("9 USD", 0)),
    ("GENERAL", Does::Say("no", 0)),
];

#[tokio::test]
async fn tasks_run_at_once_with_one_write_before_and_one_after() {
    let house = House::new();
    let call = house.call(parallel(), &THREE, ALL_ANSWER).await;
    assert_eq!(call.whole(), (Status::Answered, None));
    let results = call.body.results.as_ref().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| (result.task_id.as_deref(), result.answer.as_deref()))
        .collect();
    let expected = [("orders", "there"), ("billing", "9 USD"), ("general", "no")]
        .map(|(id, answer)| (Some(id), Some(answer)));
    assert_eq!(told, expected);
    assert_eq!((call.body.whole.answer, call.body.whole.attempts), (None, 3));
    assert_eq!(call.most_at_once, 3);
    assert_eq!((house.ledger.reservations(), house.ledger.settlements()), (1, 1));
    assert_eq!(call.body.budget.unwrap().steps_left, 9);
    house.assert_settled();
}

#[tokio::test]
async fn one_specialist_asked_for_several_tasks_has_a_session_for_each() {
    let house = House::new();
    let tasks = [("orders", "Where is A?"), ("orders", "Where is B?"), ("orders", "Where is C?")];
    let call = house.call(parallel(), &tasks, ALL_ANSWER).await;
    let mut sessions: Vec<&str> = call.sent.iter().map(|sent| sent.session_id.as_str()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!((sessions.len(), house.ledger.account().steps), (3, 3));
}

#[tokio::test]
async fn no_more_run_at_once_than_the_width_and_those_that_wait_get_their_turn() {
    let mut house = House::new();
    house.policy.several.width = 2;
    let tasks: Vec<(&str, &str)> = vec![
        ("general", "a"),
        ("general", "b"),
        ("general", "c"),
        ("general", "d"),
        ("general", "e"),
    ];
    let call = house.call(parallel(), &tasks, ALL_ANSWER).await;
    assert_eq!(call.ends(), [(Status::Answered, None); 5]);
    assert_eq!((call.most_at_once, house.ledger.account().steps), (2, 5));
    assert_eq!(house.ledger.reservations(), 4, "two together, three alone");
    house.assert_settled();
}

#[tokio::test]
async fn a_branch_that_fails_falls_back_and_leaves_the_others_whole() {
    let house = House::new();
    let agents = [
        ("ORDERS", Does::Fail(|| InvokeError::GaveUp)),
        ("SUPPORT", Does::Say("support knows", 0)),
        ("BILLING", Does::Say("9 USD", 0)),
        ("GENERAL", Does::Say("no", 0)),
    ];
    let call = house.call(parallel(), &THREE, agents).await;
    let fell_back = (Status::FellBack, Some(Reason::AgentError));
    assert_eq!(call.ends(), [fell_back, (Status::Answered, None), (Status::Answered, None)]);
    assert_eq!(call.whole(), (Status::Answered, None));
    assert_eq!((call.count("SpecialistErrors"), call.incidents.len()), (1.0, 1));
    house.assert_settled();
}

#[tokio::test]
async fn what_is_missing_is_named_and_makes_the_whole_partial() {
    let house = House::new();
    let agents = [
        ("ORDERS", Does::Say("there", 0)),
        ("BILLING", Does::Fail(|| InvokeError::Guardrail)),
        ("GENERAL", Does::Panic),
    ];
    let call = house.call(parallel(), &THREE, agents).await;
    let failed = |reason| (Status::Failed, Some(reason));
    let expected =
        [(Status::Answered, None), failed(Reason::Guardrail), failed(Reason::AgentError)];
    assert_eq!(call.ends(), expected);
    assert_eq!(call.whole(), (Status::Partial, Some(Reason::Guardrail)));
    let message = call.body.whole.message.unwrap();
    assert!(
        message.starts_with("Without an answer: `billing` (guardrail), `general` (agent_error)")
    );
    house.assert_settled();
}

#[tokio::test]
async fn enough_answers_stop_the_rest_which_are_charged_and_are_no_errors() {
    for (join, answers) in [("first", 1), ("quorum", 2)] {
        let house = House::new();
        let agents = [
            ("ORDERS", Does::Work),
            ("BILLING", Does::Say("9 USD", 0)),
            ("GENERAL", if answers == 2 { Does::Say("no", 1) } else { Does::Work }),
        ];
        let call = house.call(joined(join), &THREE, agents).await;
        assert_eq!(call.whole(), (Status::Answered, None), "{join}");
        let ends = call.ends();
        assert_eq!(ends[0], (Status::Failed, Some(Reason::Stopped)));
        let stopped = ends.iter().filter(|end| end.1 == Some(Reason::Stopped)).count();
        assert_eq!(stopped, 3 - answers);
        assert_eq!((call.count("SpecialistErrors"), call.incidents.len()), (0.0, 0));
        let account = house.ledger.account();
        let least = ANSWER.plus(unknown_usage_of_orders());
        assert!(account.spent.tokens >= least.tokens, "{account:?}");
        assert_eq!(account.steps, 3);
        house.assert_settled();
    }
}

#[tokio::test]
async fn tasks_that_had_not_begun_when_there_was_enough_are_not_reached() {
    let mut house = House::new();
    house.policy.several.width = 2;
    let call = house.call(joined("first"), &THREE, ALL_ANSWER).await;
    assert_eq!(call.ends()[2], (Status::Refused, Some(Reason::NotReached)));
    assert_eq!(call.whole(), (Status::Answered, None));
    house.assert_settled();
}

#[tokio::test]
async fn without_room_for_those_that_can_run_now_no_task_is_called() {
    let steps = policy().session.max_steps - 2;
    // The share of steps that is used would refuse several tasks at any price.
    let mut house = House::with(Account { steps, ..account() });
    house.policy.session.degrade_at = Share(1_000_000);
    let call = house.call(parallel(), &THREE, ALL_ANSWER).await;
    assert_eq!(call.whole(), (Status::Refused, Some(Reason::BudgetSteps)));
    assert_eq!(call.ends(), [(Status::Refused, Some(Reason::BudgetSteps)); 3]);
    assert!(call.sent.is_empty());
    assert_eq!(house.ledger.account().steps, steps);
    house.policy.several.width = 2;
    let call = house.call(parallel(), &THREE, ALL_ANSWER).await;
    let alone = (Status::Refused, Some(Reason::BudgetSteps));
    assert_eq!(call.ends(), [(Status::Answered, None), (Status::Answered, None), alone]);
    assert_eq!(call.whole(), (Status::Partial, Some(Reason::BudgetSteps)));
    house.assert_settled();
}

#[tokio::test]
async fn several_tasks_are_refused_from_degrade_at_on_by_the_nearest_limit() {
    for (steps, tokens, reason) in [
        (11, 0, Reason::BudgetSteps),
        (11, 79_000, Reason::BudgetTokens),
        (0, 72_000, Reason::BudgetTokens),
    ] {
        let spent = Charge { tokens: Tokens(tokens), cost: MicroUsd(0) };
        let house = House::with(Account { steps, committed: spent, spent, ..account() });
        for mode in [parallel(), pipeline()] {
            let call = house.call(mode, &THREE[2..], ALL_ANSWER).await;
            assert_eq!(call.whole(), (Status::Refused, Some(reason)), "{steps} {tokens}");
            assert!(call.sent.is_empty());
        }
        assert_eq!(house.ledger.account().steps, steps, "a refusal costs no step");
    }
    let just_below = Charge { tokens: Tokens(71_999), cost: MicroUsd(0) };
    let account = Account { steps: 10, committed: just_below, spent: just_below, ..account() };
    let call = House::with(account).call(parallel(), &THREE[2..], ALL_ANSWER).await;
    assert_eq!(call.whole(), (Status::Answered, None));
}

#[tokio::test]
async fn the_holds_of_the_others_make_no_branch_a_degraded_one() {
    let spent = Charge { tokens: Tokens(40_000), cost: MicroUsd(0) };
    let house = House::with(Account { committed: spent, spent, ..account() });
    // With 40,000 of 80,000 tokens used, four holds of 8,000 reach the share of 0.9.
    let tasks = [("support", "a"), ("support", "b"), ("support", "c"), ("support", "d")];
    let agents = [("SUPPORT", Does::Say("yes", 0)), ("CHEAP", Does::Say("hm", 0))];
    let call = house.call(parallel(), &tasks, agents).await;
    assert_eq!(call.ends(), [(Status::Answered, None); 4]);
    assert!(call.sent.iter().all(|sent| sent.agent == "SUPPORT"));
}

#[tokio::test]
async fn a_task_that_was_asked_too_often_is_refused_alone() {
    let mut house = House::new();
    house.policy.session.max_repeats = Some(1);
    let tasks = [("orders", "Where is it?"), ("general", "Hello?"), ("orders", "where  IS it?")];
    let call = house.call(parallel(), &tasks, ALL_ANSWER).await;
    let looped = (Status::Refused, Some(Reason::LoopDetected));
    assert_eq!(call.ends(), [looped, (Status::Answered, None), looped]);
    assert_eq!(call.count("LoopsDetected"), 2.0);
    house.assert_settled();
}

#[tokio::test]
async fn an_answer_that_is_given_again_needs_no_hold_and_may_be_enough() {
    let mut house = House::new();
    house.policy.session.repeat_window = Some(Duration::from_secs(60));
    house.call(parallel(), &THREE[..1], ALL_ANSWER).await;
    let reservations = house.ledger.reservations();
    let call = house.call(joined("first"), &THREE, ALL_ANSWER).await;
    let not_reached = (Status::Refused, Some(Reason::NotReached));
    assert_eq!(call.ends(), [(Status::Answered, None), not_reached, not_reached]);
    assert!(call.sent.is_empty());
    assert_eq!(house.ledger.reservations(), reservations);
}

#[tokio::test]
async fn the_ledger_down_refuses_all_or_lets_all_go_uncounted_in_sessions_of_their_own() {
    let mut house = House { ledger: InMemoryLedger::that_is_down(), ..House::new() };
    let call = house.call(parallel(), &THREE, ALL_ANSWER).await;
    assert_eq!(call.whole(), (Status::Refused, Some(Reason::LedgerUnavailable)));
    assert!(call.sent.is_empty());
    house.policy.session.on_ledger_failure = OnLedgerFailure::Allow;
    let tasks = [("orders", "Where is A?"), ("orders", "Where is B?")];
    let call = house.call(parallel(), &tasks, ALL_ANSWER).await;
    assert_eq!(call.whole(), (Status::Answered, None));
    assert_ne!(call.sent[0].session_id, call.sent[1].session_id);
}

#[tokio::test]
async fn a_panic_in_one_branch_frees_its_probe_and_charges_it_alone() {
    let house = House::new();
    let agents = [("ORDERS", Does::Panic), ("BILLING", Does::Say("9 USD", 3))];
    let call = house.call(parallel(), &THREE[..2], agents).await;
    assert_eq!(call.ends()[1], (Status::Answered, None));
    assert_eq!(house.ledger.account().spent, ANSWER.plus(unknown_usage_of_orders()));
    house.assert_settled();
}

#[tokio::test]
async fn a_stage_gets_the_answer_before_it_and_no_expansion_of_what_that_says() {
    let house = House::new();
    let agents =
        [("ORDERS", Does::Say("A-1, {{previous}}", 0)), ("BILLING", Does::Say("9 USD", 0))];
    let tasks = [("orders", "Which order?"), ("billing", "Refund {{previous}}; {{previous}}!")];
    let call = house.call(pipeline(), &tasks, agents).await;
    assert_eq!(call.ends(), [(Status::Answered, None); 2]);
    assert_eq!(call.sent[1].request, "Refund A-1, {{previous}}; A-1, {{previous}}!");
    assert_eq!((call.most_at_once, house.ledger.account().steps), (1, 2));
    assert_eq!(house.ledger.kept(), 0, "a pipeline that finished leaves nothing to resume");
    house.assert_settled();
}

#[tokio::test]
async fn a_pipeline_ends_at_a_stage_without_an_answer_and_goes_on_there_at_no_cost() {
    let house = House::new();
    let tasks =
        [("orders", "Which?"), ("billing", "Refund {{previous}}"), ("general", "{{previous}}?")];
    let mut agents = ALL_ANSWER;
    agents[1].1 = Does::Fail(|| InvokeError::Guardrail);
    let call = house.call(pipeline(), &tasks, agents).await;
    let failed = (Status::Failed, Some(Reason::Guardrail));
    let not_reached = (Status::Refused, Some(Reason::NotReached));
    assert_eq!(call.ends(), [(Status::Answered, None), failed, not_reached]);
    assert_eq!(call.whole(), (Status::Partial, Some(Reason::Guardrail)));
    let before = house.ledger.account();
    let call = house.call(pipeline(), &tasks, ALL_ANSWER).await;
    assert_eq!(call.ends(), [(Status::Answered, None); 3]);
    let asked: Vec<&str> = call.sent.iter().map(|sent| sent.request.as_str()).collect();
    assert_eq!(asked, ["Refund there", "9 USD?"]);
    let results = call.body.results.unwrap();
    assert_eq!((results[0].attempts, results[0].answer.as_deref()), (0, Some("there")));
    assert_eq!(house.ledger.account().steps, before.steps + 2);
    assert_eq!(house.ledger.kept(), 0);
    house.assert_settled();
}

#[tokio::test]
async fn another_pipeline_another_user_or_a_later_time_begins_anew() {
    let house = House::new();
    let tasks = [("orders", "Which?"), ("billing", "Refund {{previous}}")];
    let mut agents = ALL_ANSWER;
    agents[1].1 = Does::Fail(|| InvokeError::Guardrail);
    house.call(pipeline(), &tasks, agents.clone()).await;
    let other = [("orders", "Which one?"), tasks[1]];
    assert_eq!(house.call(pipeline(), &other, agents.clone()).await.sent.len(), 2);
    assert_eq!(house.call(pipeline(), &tasks, agents).await.sent.len(), 1, "it is resumed");
}

#[tokio::test]
async fn an_answer_that_makes_the_next_request_too_long_ends_the_pipeline() {
    let house = House::new();
    let long: &'static str = "x".repeat(20_000).leak();
    let agents = [("ORDERS", Does::Say(long, 0)), ("BILLING", Does::Say("9 USD", 0))];
    let tasks = [("orders", "Which?"), ("billing", &"{{previous}}".repeat(6))];
    let call = house.call(pipeline(), &tasks, agents).await;
    assert_eq!(call.ends()[1], (Status::Refused, Some(Reason::BadRequest)));
    assert_eq!(call.sent.len(), 1);
    house.assert_settled();
}

#[test]
fn more_than_half_is_a_quorum() {
    let wanted = [1, 2, 3, 4, 10].map(|tasks| Join::Quorum.answers_wanted(tasks));
    assert_eq!(wanted, [1, 2, 2, 3, 6]);
}
