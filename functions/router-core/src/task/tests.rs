mod attempts;
mod circuits;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::budget::purse::Purse;
use crate::charge::Charge;
use crate::circuit::Circuits;
use crate::doubles::{
    Doubles, InMemoryCircuits, InMemoryLedger, ManualClock, Published, RecordingLog, RecordingSink,
    Scripted, ScriptedInvoker, account, answers, caller, fails, policy, stops, turns_down,
    unknown_usage_of_orders, verified_caller,
};
use crate::incident::Incident;
use crate::invocation::InvokeError;
use crate::journal::{Entry, Fact, Journal};
use crate::ledger::Account;
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::request::Request;
use crate::retry::RetryBudget;
use crate::stop::Stop;
use crate::units::{Clock, MicroUsd, Timestamp, TokenUse, Tokens};
use crate::views;
use crate::wire::caller::Caller;
use crate::wire::reply::{Body, BudgetLeft, TaskBody};
use crate::wire::tools::Task;

/// A place where things can be played, and what is left behind there.
struct Stage {
    policy: Policy,
    clock: ManualClock,
    ledger: InMemoryLedger,
    circuits: Circuits<InMemoryCircuits>,
    retries: RetryBudget,
    caller: Caller,
    stop: Stop,
    /// How many requests were played.
    played: AtomicU64,
}

/// What came of a task.
struct Routed {
    body: TaskBody,
    budget: Option<BudgetLeft>,
    entries: Vec<Entry>,
    incidents: Vec<Incident>,
    data: Vec<Published>,
}

impl Routed {
    /// The values of a metric in one dimension set, such as `["Specialist=orders"]`.
    fn metric(&self, name: &str, dimensions: &[&str]) -> Vec<f64> {
        let is_it = |datum: &&Published| datum.name == name && datum.dimensions == dimensions;
        self.data.iter().filter(is_it).map(|datum| datum.value).collect()
    }

    fn invocations(&self) -> Vec<views::Invocation<'_>> {
        views::invocations(&self.entries)
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            policy: policy(),
            clock: ManualClock::default(),
            ledger: InMemoryLedger::default(),
            circuits: Circuits::default(),
            retries: RetryBudget::default(),
            caller: caller(),
            stop: Stop::default(),
            played: AtomicU64::new(0),
        }
    }

    fn with(account: Account) -> Self {
        Self { ledger: InMemoryLedger::with(account), ..Self::new() }
    }

    /// Routes one request for `specialist` while the agents do as `script` says, and settles.
    async fn play(
        &self,
        specialist: &str,
        script: impl IntoIterator<Item = Scripted>,
    ) -> (Routed, Vec<String>) {
        let invoker = ScriptedInvoker::new(&self.clock, script);
        let id = format!("r-{}", self.played.fetch_add(1, Ordering::SeqCst) + 1);
        let routed = self.route(specialist, &invoker, &id).await;
        (routed, invoker.called())
    }

    async fn route(&self, specialist: &str, invoker: &ScriptedInvoker<'_>, id: &str) -> Routed {
        self.route_task(&task(specialist), invoker, id, Duration::from_secs(60)).await
    }

    async fn route_task(
        &self,
        task: &Task,
        invoker: &ScriptedInvoker<'_>,
        id: &str,
        time: Duration,
    ) -> Routed {
        let journal = Journal::default();
        let (incidents, metrics) = (RecordingLog::default(), RecordingSink::default());
        let ports = Doubles {
            ledger: &self.ledger,
            invoker,
            circuits: &self.circuits,
            incidents: &incidents,
            metrics: &metrics,
            clock: &self.clock,
        };
        let request = Request {
            policy: &self.policy,
            ports: &ports,
            retries: &self.retries,
            journal: &journal,
            caller: &self.caller,
            id,
            deadline: self.clock.now().after(time),
            is_traced: false,
            tells_answers: true,
        };
        let end = run(TaskContext::new(request, 0, task, &self.stop, 0)).await;
        let Body { whole: body, budget, .. } =
            journal.read(|entries| views::body::of_one(entries, end, task, &self.policy));
        let specialist = body.specialist.as_deref().and_then(|name| self.policy.find(name));
        let specialist = specialist.map(|specialist| specialist.name.clone());
        let (status, reason) = (body.status, body.reason);
        request.note(0, Fact::TaskEnded { status, reason, specialist });
        Purse(request).settle(None, Duration::MAX).await;
        let entries = journal.into_entries();
        let tasks = std::slice::from_ref(task);
        let incidents = views::incidents::of(&entries, id, &self.caller, tasks, &self.policy);
        let data = views::metrics::of(&entries, &self.policy, self.clock.now());
        let data = data.iter().map(Published::from).collect();
        Routed { body, budget, entries, incidents, data }
    }
}

fn task(specialist: &str) -> Task {
    Task {
        specialist: specialist.to_owned(),
        prompt: "Where is it?".to_owned(),
        intent: None,
        confidence: None,
        task_id: Some("t1".to_owned()),
    }
}

/// What [`answers`] costs with a specialist at 3 USD in and 15 USD out.
const ANSWER: Charge = Charge { tokens: Tokens(340), cost: MicroUsd(1_500) };

#[tokio::test]
async fn the_specialist_that_is_asked_for_answers() {
    let stage = Stage::new();
    let (routed, called) = stage.play("orders", [answers("ORDERS", "there")]).await;
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason, body.message), (Status::Answered, None, None));
    assert_eq!(
        (body.specialist.as_deref(), body.asked.as_deref()),
        (Some("orders"), Some("orders"))
    );
    assert_eq!((body.answer.as_deref(), body.task_id.as_deref()), (Some("there"), Some("t1")));
    assert_eq!(called, ["ORDERS"]);
    let left = routed.budget.unwrap();
    assert_eq!((left.steps_left, left.tokens_left), (11, 80_000 - 340));
    assert_eq!(left.cost_left, MicroUsd(500_000 - 1_500));
    assert_eq!(stage.ledger.account().spent, ANSWER);
}

#[tokio::test]
async fn a_failed_specialist_is_charged_and_the_fallback_answers() {
    let stage = Stage::new();
    let script = [fails("ORDERS", InvokeError::GaveUp), answers("GENERAL", "hello")];
    let (routed, _) = stage.play("orders", script).await;
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::FellBack, Some(Reason::AgentError)));
    assert_eq!((body.specialist.as_deref(), body.attempts), (Some("general"), 2));
    let general = Charge { tokens: Tokens(340), cost: MicroUsd(500) };
    assert_eq!(stage.ledger.account().spent, unknown_usage_of_orders().plus(general));
    assert_eq!((stage.ledger.account().steps, stage.ledger.holds()), (2, 0));
}

#[tokio::test]
async fn fallbacks_are_asked_in_order_and_nobody_twice() {
    let stage = Stage { caller: verified_caller(), ..Stage::new() };
    let script = [
        fails("ORDERS", InvokeError::GaveUp),
        fails("SUPPORT", InvokeError::EmptyAnswer),
        fails("GENERAL", InvokeError::AccessDenied),
    ];
    let (routed, called) = stage.play("orders", script).await;
    assert_eq!(called, ["ORDERS", "SUPPORT", "GENERAL"]);
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Failed, Some(Reason::AgentError)));
    assert_eq!((body.answer, body.attempts), (None, 3));
}

#[tokio::test]
async fn an_attempt_that_was_turned_down_costs_a_step_and_nothing_else() {
    let stage = Stage::new();
    let script = [turns_down("ORDERS", InvokeError::AccessDenied), answers("GENERAL", "hello")];
    let (routed, _) = stage.play("orders", script).await;
    assert_eq!(routed.body.reason, Some(Reason::AccessDenied));
    assert_eq!(stage.ledger.account().steps, 2);
    assert_eq!(stage.ledger.account().spent.tokens, Tokens(340));
}

#[tokio::test]
async fn a_guardrail_ends_the_request_and_nobody_else_is_asked() {
    let stage = Stage::new();
    let (routed, called) = stage.play("orders", [fails("ORDERS", InvokeError::Guardrail)]).await;
    assert_eq!(called, ["ORDERS"]);
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Failed, Some(Reason::Guardrail)));
    assert!(routed.invocations()[0].has_failed());
}

#[tokio::test]
async fn an_unknown_specialist_is_a_wrong_route_answered_by_the_fallback() {
    let (routed, _) = Stage::new().play("astrology", [answers("GENERAL", "hello")]).await;
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::FellBack, Some(Reason::UnknownSpecialist)));
    assert!(body.message.unwrap().contains("billing, general, orders, support"));
    let general = ["IntentClass=none", "SpecialistRouted=general"];
    assert_eq!(routed.metric("RoutingAccuracy", &general), [0.0]);
    assert_eq!(routed.metric("Fallbacks", &["Specialist=general"]), [1.0]);
}

#[tokio::test]
async fn whoever_is_out_of_scope_hands_over_to_whom_it_suggests() {
    let stage = Stage { caller: verified_caller(), ..Stage::new() };
    let elsewhere = answers("ORDERS", r#"{"out_of_scope": true, "suggest": "billing"}"#);
    let (routed, called) = stage.play("orders", [elsewhere, answers("BILLING", "paid")]).await;
    assert_eq!(called, ["ORDERS", "BILLING"]);
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::FellBack, Some(Reason::OutOfScope)));
    assert_eq!(stage.ledger.account().handoffs, 1);
    assert_eq!(routed.metric("RoutingAccuracy", &[]), [0.0]);
    assert_eq!(routed.metric("SpecialistErrors", &["Specialist=orders"]), [0.0], "it did its job");
    assert_eq!(routed.metric("Fallbacks", &[]), [0.0; 0]);
    let incident = &routed.incidents[0];
    assert_eq!((incident.input, incident.output), (Tokens(300), Tokens(40)));
    assert_eq!((incident.cost, incident.latency), (ANSWER.cost, Duration::from_millis(100)));
}

#[tokio::test]
async fn a_suggestion_that_must_not_be_followed_leaves_the_fallback() {
    // Billing serves verified users only, and orders has just been asked.
    for suggest in ["billing", "orders", "astrology"] {
        let text = format!(r#"{{"out_of_scope": true, "suggest": "{suggest}"}}"#);
        let script = [answers("ORDERS", &text), answers("GENERAL", "hello")];
        let (routed, _) = Stage::new().play("orders", script).await;
        assert_eq!(routed.body.reason, Some(Reason::OutOfScope), "{suggest}");
        assert_eq!(routed.body.specialist.as_deref(), Some("general"), "{suggest}");
    }
}

#[tokio::test]
async fn without_hand_offs_left_the_fallback_is_asked() {
    // All hand-offs are used up, so it is the cheaper agent of support that answers.
    let account = Account { handoffs: 2, ..account() };
    let stage = Stage { caller: verified_caller(), ..Stage::with(account) };
    let elsewhere = answers("CHEAP", r#"{"out_of_scope": true, "suggest": "billing"}"#);
    let (routed, called) = stage.play("support", [elsewhere, answers("GENERAL", "hello")]).await;
    assert_eq!(called, ["CHEAP", "GENERAL"]);
    assert_eq!(routed.body.reason, Some(Reason::OutOfScope));
    assert_eq!(routed.metric("BudgetRefusals", &["Limit=handoffs"]), [1.0]);
}

#[tokio::test]
async fn a_suggested_specialist_without_a_hand_off_left_is_still_a_fallback() {
    let stage = Stage::with(Account { handoffs: 2, ..account() });
    let elsewhere = answers("ORDERS", r#"{"out_of_scope": true, "suggest": "general"}"#);
    let (routed, called) = stage.play("orders", [elsewhere, answers("GENERAL", "hello")]).await;
    assert_eq!(called, ["ORDERS", "GENERAL"]);
    assert_eq!(routed.body.status, Status::FellBack);
}

#[tokio::test]
async fn a_choice_that_the_supervisor_was_not_sure_of_is_no_sample() {
    let stage = Stage::new();
    let script = [
        answers("GENERAL", r#"{"out_of_scope": true, "suggest": "orders"}"#),
        answers("ORDERS", "there"),
    ];
    let invoker = ScriptedInvoker::new(&stage.clock, script);
    let task = Task { confidence: Some(0.1), ..task("orders") };
    let routed = stage.route_task(&task, &invoker, "r-1", Duration::from_secs(60)).await;
    assert_eq!((routed.body.status, routed.body.reason), (Status::Answered, None));
    assert_eq!(routed.metric("RoutingAccuracy", &[]), [0.0; 0]);
}

#[tokio::test]
async fn a_used_up_budget_refuses_without_a_fallback_and_says_what_is_left() {
    let spent = Charge { tokens: Tokens(75_000), cost: MicroUsd(0) };
    let account = Account { committed: spent, spent, ..account() };
    let (routed, called) = Stage::with(account).play("orders", []).await;
    assert!(called.is_empty());
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Refused, Some(Reason::BudgetTokens)));
    assert!(body.message.unwrap().contains("needs up to 8000 tokens, and 5000 are left"));
    assert_eq!(routed.budget.unwrap().tokens_left, 5_000);
}

#[tokio::test]
async fn without_a_step_for_the_fallback_the_first_reason_stands() {
    let account = Account { steps: 11, ..account() };
    let stage = Stage::with(account);
    let (routed, called) = stage.play("orders", [fails("ORDERS", InvokeError::EmptyAnswer)]).await;
    assert_eq!(called, ["ORDERS"]);
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Failed, Some(Reason::EmptyAnswer)));
    assert_eq!(body.specialist.as_deref(), Some("orders"));
    let message = body.message.unwrap();
    assert!(message.starts_with("No specialist could answer (empty_answer)."), "{message}");
    assert_eq!(stage.ledger.holds(), 0);
}

#[tokio::test]
async fn a_ledger_that_is_down_refuses_unless_the_policy_allows_uncounted_calls() {
    let mut stage = Stage { ledger: InMemoryLedger::that_is_down(), ..Stage::new() };
    let (routed, called) = stage.play("orders", []).await;
    assert!(called.is_empty());
    assert_eq!(routed.body.reason, Some(Reason::LedgerUnavailable));
    assert_eq!(routed.budget, None);

    stage.policy.session.on_ledger_failure = crate::policy::OnLedgerFailure::Allow;
    let (routed, _) = stage.play("orders", [answers("ORDERS", "there")]).await;
    assert_eq!(routed.body.status, Status::Answered);
    assert_eq!(stage.ledger.holds(), 0);
}

#[tokio::test]
async fn a_specialist_whose_session_is_in_use_is_asked_in_another_one() {
    let stage = Stage::new();
    let script = [turns_down("ORDERS", InvokeError::Conflict), answers("ORDERS", "there")];
    let invoker = ScriptedInvoker::new(&stage.clock, script);
    let routed = stage.route("orders", &invoker, "r-1").await;
    assert_eq!((routed.body.status, routed.body.attempts), (Status::Answered, 2));
    let sent = invoker.sent();
    assert_ne!(sent[0].session_id, sent[1].session_id);
    assert_eq!(stage.ledger.account().steps, 1);
    assert_eq!(stage.ledger.account().spent, ANSWER);
}

#[tokio::test]
async fn a_conflict_inside_the_stream_is_charged_and_tried_in_another_session_too() {
    let stage = Stage::new();
    let script = [fails("ORDERS", InvokeError::Conflict), answers("ORDERS", "there")];
    let invoker = ScriptedInvoker::new(&stage.clock, script);
    let routed = stage.route("orders", &invoker, "r-1").await;
    assert_eq!((routed.body.status, routed.body.attempts), (Status::Answered, 2));
    let sent = invoker.sent();
    assert_ne!(sent[0].session_id, sent[1].session_id, "also under its new hold");
    assert_eq!(stage.ledger.account().spent, unknown_usage_of_orders().plus(ANSWER));
}

#[tokio::test]
async fn a_specialist_remembers_its_session_for_max_turns() {
    let stage = Stage::new();
    let invoker = ScriptedInvoker::new(&stage.clock, (0..4).map(|_| answers("ORDERS", "there")));
    for turn in 0..4 {
        stage.route("orders", &invoker, &format!("r-{turn}")).await;
    }
    let ids: Vec<String> = invoker.sent().into_iter().map(|sent| sent.session_id).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    assert_ne!(ids[2], ids[3]);
}

#[tokio::test]
async fn a_specialist_gets_the_attributes_with_one_hop_more_and_a_share_of_the_time() {
    let stage = Stage::new();
    let invoker = ScriptedInvoker::new(&stage.clock, [answers("ORDERS", "there")]);
    stage.route("orders", &invoker, "r-1").await;
    let sent = &invoker.sent()[0];
    assert_eq!(
        (sent.attributes["root_session_id"].as_str(), sent.request.as_str()),
        ("s", "Where is it?")
    );
    assert_eq!(sent.attributes["router_hops"], "1");
    assert_eq!(sent.timeout, Duration::from_secs(20));
}

#[tokio::test]
async fn a_request_delivered_twice_is_not_charged_again() {
    let stage = Stage::new();
    let invoker = ScriptedInvoker::new(&stage.clock, [answers("ORDERS", "there")]);
    stage.route("orders", &invoker, "r-1").await;
    let routed = stage.route("orders", &invoker, "r-1").await;
    assert_eq!(invoker.called(), ["ORDERS"]);
    assert_eq!(routed.body.reason, Some(Reason::LedgerUnavailable));
    assert_eq!(stage.ledger.account().spent, ANSWER);
}

#[tokio::test]
async fn the_supervisor_is_warned_before_the_budget_is_used_up() {
    let of = |steps| Stage::with(Account { steps, ..account() });
    let (routed, _) = of(8).play("orders", [answers("ORDERS", "there")]).await;
    assert_eq!(routed.body.message, None, "9 of 12 are 75 percent");
    let (routed, _) = of(9).play("orders", [answers("ORDERS", "there")]).await;
    let message = routed.body.message.unwrap();
    assert!(message.contains("nearly used up: 2 specialist calls, 79660 tokens"), "{message}");
}

#[tokio::test]
async fn a_nearly_used_up_budget_is_answered_by_the_cheaper_agent() {
    let caller = verified_caller;
    let of = |steps| Stage { caller: caller(), ..Stage::with(Account { steps, ..account() }) };
    let (_, called) = of(10).play("support", [answers("SUPPORT", "done")]).await;
    assert_eq!(called, ["SUPPORT"], "10 of 12 are 83 percent");
    let (routed, called) = of(11).play("support", [answers("CHEAP", "done")]).await;
    assert_eq!(called, ["CHEAP"], "11 of 12 are 92 percent");
    assert_eq!(routed.body.status, Status::Answered);
    assert_eq!(routed.body.specialist.as_deref(), Some("support"));
}

#[tokio::test]
async fn a_request_that_is_repeated_too_often_is_a_loop() {
    let mut stage = Stage::new();
    stage.policy.session.max_repeats = Some(2);
    let script = [answers("ORDERS", "there"), answers("ORDERS", "there")];
    let invoker = ScriptedInvoker::new(&stage.clock, script);
    stage.route("orders", &invoker, "r-1").await;
    stage.route("orders", &invoker, "r-2").await;
    let routed = stage.route("orders", &invoker, "r-3").await;
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Refused, Some(Reason::LoopDetected)));
    assert_eq!(routed.metric("LoopsDetected", &[]), [1.0]);
    assert_eq!(stage.ledger.account().steps, 2);
}

#[tokio::test]
async fn a_call_that_used_too_many_tokens_falls_back_and_is_charged_its_hold() {
    let stage = Stage::new();
    let max = Tokens(8_000);
    let script = [fails("ORDERS", InvokeError::TooManyTokens { max }), answers("GENERAL", "hello")];
    let (routed, _) = stage.play("orders", script).await;
    assert_eq!(
        (routed.body.status, routed.body.reason),
        (Status::FellBack, Some(Reason::BudgetTokens))
    );
}

#[tokio::test]
async fn a_task_that_is_stopped_says_so_and_is_charged_what_its_attempt_had_used() {
    let stage = Stage::new();
    let script = [stops(&stage.stop, fails("ORDERS", InvokeError::Stopped))];
    let (routed, called) = stage.play("orders", script).await;
    assert_eq!(called, ["ORDERS"], "no other specialist is asked");
    assert_eq!((routed.body.status, routed.body.reason), (Status::Failed, Some(Reason::Stopped)));
    assert_eq!(stage.ledger.account().spent, unknown_usage_of_orders());
    assert_eq!(stage.ledger.holds(), 0);
    assert_eq!(routed.metric("SpecialistErrors", &[]), [0.0]);
}

#[tokio::test]
async fn a_task_that_is_stopped_before_a_retry_makes_none() {
    let stage = Stage::new();
    let script = [stops(&stage.stop, turns_down("ORDERS", InvokeError::Throttled))];
    let (routed, called) = stage.play("orders", script).await;
    assert_eq!((called.len(), routed.body.status), (1, Status::Failed));
    assert_eq!(stage.ledger.account().spent, Charge::default());
    assert_eq!(stage.ledger.holds(), 0);
}
