mod house;
mod panics;
mod people;
mod rehearsals;
mod schemas;
mod scratchpad;
mod several;
mod traces;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::circuit::Circuits;
use crate::doubles::{
    Doubles, InMemoryCircuits, InMemoryLedger, ManualClock, Published, RecordingLog, RecordingSink,
    ScriptedInvoker, Sent, account, answers, fails, policy,
};
use crate::ids::UserMark;
use crate::incident::Incident;
use crate::invocation::InvokeError;
use crate::ledger::Account;
use crate::views;

const REQUEST: LambdaRequest<'_> = LambdaRequest {
    id: "r-1",
    execution: 7,
    deadline: Timestamp(60_000),
    cold_start: None,
    function_version: None,
    is_traced: false,
};

fn event(arguments: Value) -> Event {
    let parameters: Vec<Value> = arguments
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| json!({"name": name, "type": "string", "value": value}))
        .collect();
    let payload = json!({"actionGroup": "g", "function": "invoke_specialist_agent",
        "sessionId": "s", "sessionAttributes": {"user_id": "u", "router_hops": "1"},
        "promptSessionAttributes": {"p": "q"}, "parameters": parameters});
    Event::read(payload.to_string().as_bytes(), None, false).unwrap()
}

fn ask_orders() -> Event {
    event(json!({"specialist_type": "orders", "request": "Where is it?", "intent": "delivery"}))
}

struct Played {
    reply: Reply,
    account: Account,
    holds: usize,
    data: Vec<Published>,
    entries: Vec<Entry>,
    incidents: Vec<Incident>,
    sent: Vec<Sent>,
}

impl Played {
    /// The value of a metric without dimensions.
    fn metric(&self, name: &str) -> Option<f64> {
        let datum = self.data.iter().find(|d| d.name == name && d.dimensions.is_empty());
        datum.map(|datum| datum.value)
    }
}

async fn play(
    ledger: InMemoryLedger,
    script: impl IntoIterator<Item = crate::doubles::Scripted>,
    event: &Event,
) -> Played {
    play_request(ledger, script, event, REQUEST).await
}

async fn play_request(
    ledger: InMemoryLedger,
    script: impl IntoIterator<Item = crate::doubles::Scripted>,
    event: &Event,
    request: LambdaRequest<'_>,
) -> Played {
    let clock = ManualClock::default();
    let invoker = ScriptedInvoker::new(&clock, script);
    let (metrics, incidents) = (RecordingSink::default(), RecordingLog::default());
    let ports = Doubles {
        ledger: &ledger,
        invoker: &invoker,
        circuits: &Circuits::<InMemoryCircuits>::default(),
        incidents: &incidents,
        metrics: &metrics,
        clock: &clock,
    };
    let handler = Handler { policy: &policy(), ports: &ports, retries: &RetryBudget::default() };
    let Handled { reply, entries } = handler.handle(event, request).await;
    let batches = metrics.batches();
    assert!(batches.len() <= 1, "one batch a request");
    let data = batches.into_iter().flatten().collect();
    let incidents = incidents.incidents();
    let (account, holds, sent) = (ledger.account(), ledger.holds(), invoker.sent());
    Played { reply, account, holds, data, entries, incidents, sent }
}

#[tokio::test]
async fn the_hold_is_settled_and_the_metrics_are_out_when_the_reply_is() {
    let played = play(InMemoryLedger::default(), [answers("ORDERS", "there")], &ask_orders()).await;
    assert_eq!(played.holds, 0);
    assert_eq!(played.account.committed, played.account.spent);
    assert_eq!(played.metric("SpecialistInvocations"), Some(1.0));
    assert_eq!(played.metric("RoutingAccuracy"), Some(1.0));
    assert_eq!(played.metric("SpecialistLatency"), Some(100.0));
    assert_eq!(played.metric("RouterOverhead"), Some(0.0), "it only waited");
}

#[tokio::test]
async fn a_request_that_is_delivered_again_is_charged_again() {
    let ledger = InMemoryLedger::that_loses_settlements();
    let clock = ManualClock::default();
    let script = [answers("ORDERS", "there"), answers("ORDERS", "here")];
    let invoker = ScriptedInvoker::new(&clock, script);
    let ports = Doubles {
        ledger: &ledger,
        invoker: &invoker,
        circuits: &Circuits::<InMemoryCircuits>::default(),
        incidents: &RecordingLog::default(),
        metrics: &RecordingSink::default(),
        clock: &clock,
    };
    let handler = Handler { policy: &policy(), ports: &ports, retries: &RetryBudget::default() };
    for (execution, answer) in [(1, "there"), (2, "here")] {
        let request = LambdaRequest { execution, ..REQUEST };
        let body = handler.handle(&ask_orders(), request).await.reply.body;
        assert_eq!(body.whole.answer.as_deref(), Some(answer));
    }
    // The first left its hold behind, and the second has one of its own.
    assert_eq!((ledger.holds(), ledger.account().steps), (2, 2));
}

#[tokio::test]
async fn attributes_come_back_with_the_root_session_and_hops_as_received() {
    let played = play(InMemoryLedger::default(), [answers("ORDERS", "there")], &ask_orders()).await;
    let attributes = played.reply.session_attributes;
    assert_eq!(attributes["root_session_id"], "s");
    assert_eq!(attributes["router_hops"], "1");
    assert_eq!(attributes["user_id"], "u");
    assert_eq!(played.reply.prompt_session_attributes["p"], "q");
}

#[tokio::test]
async fn a_bad_argument_is_given_back_to_the_model_and_charges_nothing() {
    let bad = event(json!({"specialist_type": "orders", "task_id": "t"}));
    let played = play(InMemoryLedger::default(), [], &bad).await;
    let Reply { body, reprompt, .. } = played.reply;
    assert!(reprompt);
    assert_eq!((body.whole.status, body.whole.reason), (Status::Refused, Some(Reason::BadRequest)));
    assert_eq!(
        (body.whole.asked.as_deref(), body.whole.task_id.as_deref()),
        (Some("orders"), Some("t"))
    );
    assert_eq!(played.account, account());
    assert_eq!(played.data.len(), 1, "RouterOverhead alone");
}

#[tokio::test]
async fn a_loop_is_told_so_whatever_it_asks() {
    let payload = json!({"function": "no_such_tool", "sessionId": "s",
        "sessionAttributes": {"router_hops": "3"}});
    let event = Event::read(payload.to_string().as_bytes(), None, false).unwrap();
    let played = play(InMemoryLedger::default(), [], &event).await;
    assert!(!played.reply.reprompt);
    assert_eq!(played.reply.body.whole.reason, Some(Reason::LoopDetected));
    assert_eq!(played.metric("LoopsDetected"), Some(1.0));
}

#[tokio::test]
async fn a_session_that_nobody_can_tell_is_refused_and_not_asked_for_again() {
    let payload = json!({"function": "invoke_specialist_agent", "sessionId": 7});
    let event = Event::read(payload.to_string().as_bytes(), None, false).unwrap();
    let played = play(InMemoryLedger::default(), [], &event).await;
    assert!(!played.reply.reprompt, "the model has no say in it");
    assert_eq!(played.reply.body.whole.reason, Some(Reason::BadRequest));
    assert_eq!(played.reply.session_attributes.get("root_session_id"), None);
}

#[tokio::test]
async fn a_settlement_that_is_lost_never_takes_the_answer_with_it() {
    let ledger = InMemoryLedger::that_loses_settlements();
    let played = play(ledger, [answers("ORDERS", "there")], &ask_orders()).await;
    assert_eq!(played.reply.body.whole.answer.as_deref(), Some("there"));
    assert_eq!(played.holds, 1, "it expires, and stays charged until then");
}

#[tokio::test]
async fn a_budget_refusal_is_a_normal_body_and_a_metric() {
    let account = Account { steps: 12, ..account() };
    let played = play(InMemoryLedger::with(account), [], &ask_orders()).await;
    assert!(!played.reply.reprompt);
    assert_eq!(played.reply.body.whole.reason, Some(Reason::BudgetSteps));
    assert_eq!(played.metric("BudgetRefusals"), Some(1.0));
    assert_eq!(played.metric("BudgetUtilization"), Some(100.0));
    assert_eq!(played.metric("RoutingAccuracy"), None);
}

#[tokio::test]
async fn an_outage_is_an_error_of_the_specialist_and_no_word_on_the_routing() {
    let script = [fails("ORDERS", InvokeError::GaveUp), answers("GENERAL", "sorry")];
    let played = play(InMemoryLedger::default(), script, &ask_orders()).await;
    assert_eq!(played.metric("RoutingAccuracy"), None);
    assert_eq!(played.metric("Fallbacks"), Some(1.0));
    let errors =
        played.data.iter().filter(|d| d.name == "SpecialistErrors" && d.dimensions.is_empty());
    assert_eq!(errors.map(|datum| datum.value).collect::<Vec<_>>(), [1.0, 0.0]);
    assert_eq!(played.incidents[0].intent_class, "delivery", "it is left behind");
}

#[tokio::test]
async fn within_the_window_the_same_request_gets_the_same_answer_at_no_cost() {
    let mut policy = policy();
    policy.session.repeat_window = Some(Duration::from_secs(60));
    policy.session.max_turns_per_specialist = 2;
    let clock = ManualClock::default();
    let invoker =
        ScriptedInvoker::new(&clock, ["there", "here", "soon"].map(|text| answers("ORDERS", text)));
    let (ledger, metrics) = (InMemoryLedger::default(), RecordingSink::default());
    let ports = Doubles {
        ledger: &ledger,
        invoker: &invoker,
        circuits: &Circuits::<InMemoryCircuits>::default(),
        incidents: &RecordingLog::default(),
        metrics: &metrics,
        clock: &clock,
    };
    let handler = Handler { policy: &policy, ports: &ports, retries: &RetryBudget::default() };
    let ask = async |event: &Event, id| {
        let deadline = clock.now().after(Duration::from_secs(60));
        handler.handle(event, LambdaRequest { id, deadline, ..REQUEST }).await.reply.body
    };
    let first = ask(&ask_orders(), "r-1").await;
    let again = ask(&ask_orders(), "r-2").await;
    assert_eq!((again.whole.status, again.whole.answer), (Status::Answered, first.whole.answer));
    assert_eq!((again.whole.attempts, again.budget), (0, first.budget));
    let mut of_verified = ask_orders();
    of_verified.caller.as_mut().unwrap().identity_verified = true;
    assert_eq!(ask(&of_verified, "r-3").await.whole.answer.as_deref(), Some("here"));
    let mut of_another = ask_orders();
    let caller = of_another.caller.as_mut().unwrap();
    caller.user = Some(UserMark::of(&caller.tenant, "another"));
    let refused = ask(&of_another, "r-4").await;
    assert_eq!((refused.whole.reason, refused.whole.answer), (Some(Reason::BadRequest), None));
    assert_eq!(refused.budget, None, "it is not told what the session has left");
    assert_eq!(ledger.account().steps, 2);
    // After two turns the specialist has a new session, whose answers are kept for it.
    let other = event(json!({"specialist_type": "orders", "request": "When?"}));
    for id in ["r-5", "r-6"] {
        assert_eq!(ask(&other, id).await.whole.answer.as_deref(), Some("soon"));
    }
    assert_eq!(ledger.account().steps, 3);
}
