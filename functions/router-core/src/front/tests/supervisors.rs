//! Supervisors that do not do what they are there for, in each round.

use std::time::Duration;

use serde_json::json;

use super::house::{Came, House};
use crate::charge::Charge;
use crate::doubles::{Decides, Does, InMemoryLedger, ScriptedSupervisor, Trap, ask};
use crate::invocation::{InvokeError, Wait};
use crate::ledger::{Account, Limits};
use crate::outcome::{Reason, Status};
use crate::policy::OnLedgerFailure;
use crate::supervisor::Message;

const HARNESS: &str =
    "arn:aws:bedrock-agentcore:eu-west-1:123456789012:harness/supervisor-a1b2c3d4e5";
const BILLING: (&str, Does) = ("BILLING", Does::Say("It is refunded.", 0));
const GENERAL: (&str, Does) = ("GENERAL", Does::Say("Somebody will call you.", 0));

type Fault = fn() -> Decides;

/// Faults that another attempt may help against, and those that it does not; with the reason.
const FAULTS: [(&str, Fault, Reason); 6] = [
    ("throttled", || Decides::TurnDown(InvokeError::Throttled), Reason::Throttled),
    (
        "hangs",
        || {
            let limit = Duration::from_secs(10);
            Decides::Fail("", InvokeError::TimedOut { what: Wait::NextEvent, limit })
        },
        Reason::Timeout,
    ),
    (
        "breaks off",
        || Decides::Fail("Your re", InvokeError::StreamBroken("cut".into())),
        Reason::StreamBroken,
    ),
    ("answers nothing", || Decides::Fail("", InvokeError::EmptyAnswer), Reason::EmptyAnswer),
    ("is denied", || Decides::TurnDown(InvokeError::AccessDenied), Reason::AccessDenied),
    ("panics", || Decides::Panic, Reason::AgentError),
];

/// The script in which every attempt of round `round` has this fault.
fn faulty_in(round: usize, fault: Fault) -> Vec<Decides> {
    let call = |_| Decides::Call("", vec![ask("billing", "Refund order 7")]);
    let mut script: Vec<Decides> = (1..round).map(call).collect();
    script.extend((0..4).map(|_| fault()));
    script
}

#[tokio::test]
async fn a_supervisor_that_fails_for_good_in_any_round_is_stood_in_for_and_all_is_charged() {
    for (name, fault, reason) in FAULTS {
        for agent in ["model:m", HARNESS] {
            for round in 1..=3 {
                let house = House::of(agent, "");
                let script = faulty_in(round, fault);
                let came = house.says("Refund, please.", script, [BILLING, GENERAL]).await;
                let case = format!("{name} in round {round} of {agent}");
                assert_eq!(came.end(), (Status::FellBack, Some(reason)), "{case}");
                assert_eq!(came.answer(), "Somebody will call you.", "{case}");
                assert_eq!(came.done.steps, round as u64, "{case}");
                house.assert_settled();
                assert!(came.told.last().unwrap().starts_with("done "), "{case}");
            }
        }
    }
}

/// What its action group did would be done, and paid, a second time.
#[tokio::test]
async fn a_bedrock_agent_that_has_acted_is_not_asked_again() {
    for (acts, rounds) in [(true, 1), (false, 2)] {
        let mut house = House::of("SUPER/LIVE", "retry = { max_attempts = 2 }");
        let table = "[split]\ncurrent = \"OLD/LIVE\"\npercent = 100";
        house.policy.split = crate::doubles::policy_with(table).unwrap().split;
        let calls = || if acts { vec![ask("billing", "Refund order 7")] } else { Vec::new() };
        let script =
            (0..2).map(|_| Decides::Carry(calls(), Err(InvokeError::StreamBroken("cut".into()))));
        let came = house.says("Refund, please.", script, [GENERAL]).await;
        assert_eq!(came.end(), (Status::FellBack, Some(Reason::StreamBroken)));
        assert_eq!((came.rounds.len(), came.done.steps), (rounds, 1), "the stand-in's own step");
        assert_eq!(came.metric("RequestCost", Some("Path=supervisor")).len(), 1);
        let spent = house.ledger.account().spent.cost.to_usd();
        let told = came.metric("RequestCost", Some("Path=supervisor"))[0];
        assert!((spent - told).abs() < 1e-9, "{spent} {told}");
        house.assert_settled();
    }
}

#[tokio::test]
async fn a_harness_that_did_not_run_keeps_its_conversation() {
    let turned_down = || (0..4).map(|_| Decides::TurnDown(InvokeError::Throttled));
    let broken = || (0..4).map(|_| Decides::Fail("", InvokeError::StreamBroken("cut".into())));
    let scripts: [(Vec<Decides>, bool); 2] =
        [(turned_down().collect(), true), (broken().collect(), false)];
    for (script, stays) in scripts {
        let house = House::of(HARNESS, "");
        let before = house.says("Hi", [Decides::Say("Hello.")], []).await;
        house.says("Refund, please.", script, [GENERAL]).await;
        house.clock.advance(Duration::from_secs(60));
        let after = house.says("Well?", [Decides::Say("It is done.")], []).await;
        let is_same = before.rounds[0].session_id == after.rounds[0].session_id;
        assert_eq!(is_same, stays);
    }
}

#[tokio::test]
async fn a_supervisor_that_failed_is_a_fallback_and_an_incident_and_no_sample_of_accuracy() {
    let house = House::of_model("");
    let came = house.says("Refund, please.", faulty_in(1, FAULTS[0].1), [GENERAL]).await;
    assert_eq!(came.metric("Fallbacks", Some("Specialist=supervisor")), [1.0]);
    assert!(came.metric("RoutingAccuracy", None).is_empty());
    let [incident] = &came.incidents[..] else { panic!("{:?}", came.incidents) };
    let of = incident.specialist.as_ref().map(|name| name.as_str());
    assert_eq!((of, incident.reason), (Some("supervisor"), Reason::Throttled));
    assert!(incident.at > Default::default());
}

#[tokio::test]
async fn what_may_pass_is_tried_again_in_the_same_conversation() {
    for agent in ["model:m", HARNESS] {
        let house = House::of(agent, "");
        let script = [
            Decides::TurnDown(InvokeError::Throttled),
            Decides::Call("", vec![ask("billing", "Refund order 7")]),
            Decides::Fail("Your", InvokeError::StreamBroken("cut".into())),
            Decides::Say("Your refund is on its way."),
        ];
        let came = house.says("Refund, please.", script, [BILLING]).await;
        assert_eq!(came.answer(), "Your refund is on its way.");
        let sessions: Vec<&str> = came.rounds.iter().map(|it| it.session_id.as_str()).collect();
        assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
        assert_eq!(came.done.rounds, 2);
        house.assert_settled();
    }
}

#[tokio::test]
async fn a_guardrail_of_the_supervisors_is_the_last_word() {
    let house = House::of_model("");
    let script = [Decides::Fail("", InvokeError::Guardrail)];
    let came = house.says("Something bad.", script, []).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::Guardrail)));
    house.assert_settled();
}

#[tokio::test]
async fn the_circuit_of_a_supervisor_that_keeps_failing_opens() {
    let house = House::of_model("retry = { max_attempts = 1 }");
    for _ in 0..5 {
        let script = [Decides::Fail("", InvokeError::StreamBroken("cut".into()))];
        house.says("Refund, please.", script, [GENERAL]).await;
    }
    let came = house.says("Refund, please.", [], [GENERAL]).await;
    assert_eq!(came.end(), (Status::FellBack, Some(Reason::CircuitOpen)));
    assert_eq!((came.rounds.len(), came.done.rounds), (0, 0));
    house.assert_settled();
}

#[tokio::test]
async fn a_supervisor_that_wants_a_tool_in_its_last_round_leaves_what_was_found_out() {
    let house = House::of_model("max_rounds = 2");
    let call = || Decides::Call("", vec![ask("billing", "Refund order 7")]);
    let came = house.says("Refund, please.", [call(), call()], [BILLING]).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::MaxRounds)));
    assert_eq!((came.answer(), came.done.truncated), ("It is refunded.", true));
    assert_eq!(came.done.steps, 1, "the tool of the last round is not carried out");
    house.assert_settled();
}

/// It is the supervisor's to read, and users may be told less.
#[tokio::test]
async fn what_the_scratchpad_has_is_no_answer_that_was_found_out() {
    let house = House::of_model("max_rounds = 2");
    let read = || {
        let arguments = json!({ "keys": ["plan"] }).to_string();
        Decides::Call("", vec![("read_scratchpad", arguments)])
    };
    let came = house.says("What is the plan?", [read(), read()], []).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::MaxRounds)));
    assert_eq!((came.done.answer, came.done.truncated), (None, false));
}

#[tokio::test]
async fn what_was_done_before_another_answered_is_remembered() {
    let house = House::of_model("");
    let came = house.says("Refund, please.", faulty_in(2, FAULTS[2].1), [BILLING, GENERAL]).await;
    assert_eq!(came.answer(), "Somebody will call you.");
    let came = house.says("Well?", [Decides::Say("It is done.")], []).await;
    let [_, Message::Assistant(asks), Message::Results(results), Message::Assistant(says), _] =
        &came.rounds[0].messages[..]
    else {
        panic!("{:?}", came.rounds[0].messages)
    };
    assert_eq!((asks.calls.len(), results.len()), (1, 1));
    assert_eq!((says.text.as_str(), says.calls.len()), ("Somebody will call you.", 0));
}

#[tokio::test]
async fn a_fallback_that_may_not_be_asked_leaves_the_supervisors_own_reason() {
    let mut house = House::of_model("");
    house.policy.session.max_steps = 0;
    let limits = Limits::from(&house.policy.session);
    house.ledger = InMemoryLedger::with(Account { limits, ..Account::default() });
    let came = house.says("Refund, please.", faulty_in(1, FAULTS[0].1), []).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::Throttled)));
}

#[tokio::test]
async fn the_same_call_for_ever_ends_with_the_rounds() {
    let mut house = House::of_model("");
    house.policy.session.max_repeats = Some(2);
    let call = |_| Decides::Call("", vec![ask("billing", "Refund order 7")]);
    let came = house.says("Refund, please.", (0..6).map(call), [BILLING]).await;
    assert_eq!(came.end(), (Status::Failed, Some(Reason::MaxRounds)));
    assert_eq!((came.rounds.len(), came.sent.len()), (6, 2));
    let Some(Message::Results(results)) = came.rounds[5].messages.last() else { panic!() };
    assert!(results[0].text.contains("loop_detected"), "{}", results[0].text);
    house.assert_settled();
}

/// A session of whose tokens so many are left.
fn with_left(tokens: u64) -> House {
    let mut house = House::of_model("");
    let limits = Limits::from(&house.policy.session);
    let mut account = Account { limits, ..Account::default() };
    account.committed.tokens.0 = 80_000 - tokens;
    account.spent = account.committed;
    house.ledger = InMemoryLedger::with(account);
    house
}

async fn long_talk(house: &House) -> Came {
    let call =
        |place: u64| Decides::Call("", vec![ask("billing", &format!("Refund order {place}"))]);
    let script: Vec<Decides> = (0..5).map(call).chain([Decides::Say("All done.")]).collect();
    house.says("Refund all five, please.", script, [BILLING]).await
}

#[tokio::test]
async fn wherever_the_budget_runs_out_the_user_gets_what_there_is_and_no_limit_is_passed() {
    let mut ends = Vec::new();
    for tokens in (0..14_000).step_by(250) {
        let house = with_left(tokens);
        let came = long_talk(&house).await;
        let account = house.ledger.account();
        assert!(account.spent.tokens.0 <= 80_000, "{tokens}: {account:?}");
        house.assert_settled();
        match came.end() {
            (Status::Refused, Some(Reason::BudgetTokens)) => {
                assert_eq!((came.done.rounds, came.done.answer), (0, None), "{tokens}");
                let message = came.done.message.as_deref();
                assert_eq!(message, Some("What this session may use is used up."));
            }
            (Status::Failed, Some(Reason::BudgetTokens)) => {
                assert!(came.done.rounds > 0, "{tokens}");
                let is_partial = came.done.answer.is_some();
                assert_eq!(came.done.truncated, is_partial, "{tokens}");
            }
            (Status::Answered, None) => assert_eq!(came.answer(), "All done.", "{tokens}"),
            other => panic!("{tokens}: {other:?}"),
        }
        ends.push(came.done.status);
    }
    ends.dedup();
    assert_eq!(ends, [Status::Refused, Status::Failed, Status::Answered]);
}

/// A request has two minutes, and what comes after a call needs a second and a half of them.
#[tokio::test]
async fn a_round_that_has_no_time_left_once_it_is_paid_costs_nothing() {
    for (takes, called) in [(118_000, 1), (118_400, 0), (119_900, 0)] {
        let mut house = House::of_model("");
        house.memory.slow = Some((house.clock.clone(), Duration::from_millis(takes)));
        let came = house.says("Refund, please.", [Decides::Say("Done.")], []).await;
        assert_eq!(came.rounds.len(), called, "{takes}");
        if called == 0 {
            assert_eq!(came.end(), (Status::Refused, Some(Reason::Deadline)));
            assert_eq!(house.ledger.account().spent, Charge::default(), "{takes}");
        }
        house.assert_settled();
    }
}

#[tokio::test]
async fn a_harness_that_waits_for_results_is_not_met_again() {
    let house = House::of(HARNESS, "max_rounds = 2");
    let call = || Decides::Call("", vec![ask("billing", "Refund order 7")]);
    let stuck = house.says("Refund, please.", [call(), call()], [BILLING]).await;
    let next = house.says("And now?", [Decides::Say("Done.")], []).await;
    assert_ne!(next.rounds[0].session_id, stuck.rounds[0].session_id);
    let after = house.says("Thanks.", [Decides::Say("Bye.")], []).await;
    assert_eq!(after.rounds[0].session_id, next.rounds[0].session_id, "it goes on there");
}

#[tokio::test]
async fn a_ledger_that_is_down_refuses_unless_the_policy_allows_uncounted_rounds() {
    let mut house = House::of_model("");
    house.ledger = InMemoryLedger::that_is_down();
    let came = house.says("Refund, please.", [], []).await;
    assert_eq!(came.end(), (Status::Refused, Some(Reason::LedgerUnavailable)));
    house.policy.session.on_ledger_failure = OnLedgerFailure::Allow;
    let came = house.says("Refund, please.", [Decides::Say("Done.")], []).await;
    assert_eq!((came.answer(), came.metric("UncountedInvocations", None)), ("Done.", vec![1.0]));
}

#[tokio::test]
async fn wherever_the_request_panics_it_is_answered_and_what_is_held_is_settled() {
    for call in 1.. {
        let trap = Trap::at(call);
        let mut house = House::of_model("");
        house.ledger.trap = trap.clone();
        let script = [
            Decides::Call("", vec![ask("billing", "Refund order 7")]),
            Decides::Say("Your refund is on its way."),
        ];
        let mut supervisor = ScriptedSupervisor::new(&house.clock, script);
        supervisor.trap = trap.clone();
        let request = json!({ "input": "Refund, please.", "session_id": "s",
            "attributes": { "identity_verified": "true" } });
        let came = house.serves_by(&supervisor, &request, [BILLING, GENERAL]).await;
        if trap.left() > 0 {
            assert!(call > 6, "it was sprung {call} times");
            break;
        }
        assert!(came.told.last().unwrap().starts_with("done "), "{call}");
        let account = house.ledger.account();
        assert!(account.committed.tokens.0 >= account.spent.tokens.0, "{call}");
        assert!(house.ledger.holds() <= 2, "{call}: what a settlement that panics leaves expires");
    }
}
