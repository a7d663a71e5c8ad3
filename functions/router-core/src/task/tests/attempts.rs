//! Retries: what is tried again, what that costs, and when it ends.

use super::*;
use crate::charge::Usage;
use crate::circuit::State;
use crate::doubles::after;
use crate::ids::HoldId;
use crate::invocation::Wait;
use crate::retry;

/// A way to fail, and what it means.
struct Fault {
    error: fn() -> InvokeError,
    reason: Reason,
    /// Attempts of a specialist that fails in this way each time.
    attempts: usize,
    /// Whether it counts against the specialist.
    is_illness: bool,
}

const fn fault(
    error: fn() -> InvokeError,
    reason: Reason,
    attempts: usize,
    is_illness: bool,
) -> Fault {
    Fault { error, reason, attempts, is_illness }
}

const TIME_OUT: Duration = Duration::from_secs(20);

const FAULTS: [Fault; 15] = [
    fault(|| InvokeError::Throttled, Reason::Throttled, 3, false),
    fault(|| InvokeError::ServiceFault("bad gateway"), Reason::AgentError, 3, true),
    fault(|| InvokeError::Unreachable("refused".into()), Reason::AgentError, 3, true),
    fault(|| InvokeError::ConnectionLost("reset".into()), Reason::AgentError, 3, true),
    fault(|| InvokeError::StreamBroken("cut".into()), Reason::StreamBroken, 3, true),
    // Its session is in use: one more attempt in another one, which is no retry.
    fault(|| InvokeError::Conflict, Reason::AgentError, 2, false),
    fault(|| InvokeError::QuotaExceeded, Reason::Throttled, 1, false),
    fault(|| InvokeError::DependencyFailed, Reason::AgentError, 1, true),
    fault(|| InvokeError::AccessDenied, Reason::AccessDenied, 1, false),
    fault(|| InvokeError::NotFound, Reason::AgentError, 1, false),
    fault(|| InvokeError::Invalid, Reason::AgentError, 1, false),
    fault(
        || InvokeError::TimedOut { what: Wait::Answer, limit: TIME_OUT },
        Reason::Timeout,
        1,
        true,
    ),
    fault(|| InvokeError::EmptyAnswer, Reason::EmptyAnswer, 1, true),
    fault(|| InvokeError::GaveUp, Reason::AgentError, 1, true),
    fault(|| InvokeError::ReturnedControl, Reason::AgentError, 1, false),
];

impl Fault {
    /// An attempt that fails in this way after the agent may have run.
    fn of(&self, agent: &'static str) -> Scripted {
        fails(agent, (self.error)())
    }
}

/// A stage on which nothing that goes wrong opens a circuit or uses a budget up.
fn spacious() -> Stage {
    let mut stage = Stage::new();
    stage.policy.session.max_tokens = Tokens(10_000_000);
    stage.policy.session.max_cost = MicroUsd(100_000_000);
    stage
}

fn failures(state: &State) -> u64 {
    let State::Closed { failures, .. } = state else { panic!("{state:?}") };
    *failures
}

fn unknown_usage(attempts: usize) -> Charge {
    (0..attempts).fold(Charge::default(), |sum, _| sum.plus(unknown_usage_of_orders()))
}

/// What the fallback's answer costs.
const GENERAL: Charge = Charge { tokens: Tokens(340), cost: MicroUsd(500) };

#[tokio::test]
async fn a_specialist_that_keeps_failing_is_charged_for_every_attempt_and_replaced() {
    for fault in &FAULTS {
        let stage = spacious();
        let script =
            (0..fault.attempts).map(|_| fault.of("ORDERS")).chain([answers("GENERAL", "hello")]);
        let (routed, called) = stage.play("orders", script).await;
        let (body, name) = (routed.body.clone(), (fault.error)());
        assert_eq!(called.len(), fault.attempts + 1, "{name}");
        assert_eq!((body.status, body.reason), (Status::FellBack, Some(fault.reason)), "{name}");
        assert_eq!(body.attempts, fault.attempts as u64 + 1, "{name}");
        let account = stage.ledger.account();
        assert_eq!(account.spent, unknown_usage(fault.attempts).plus(GENERAL), "{name}");
        assert_eq!((account.steps, account.committed), (2, account.spent), "{name}");
        assert_eq!(stage.ledger.holds(), 0, "{name}");
        let counted = if fault.is_illness { fault.attempts as u64 } else { 0 };
        assert_eq!(failures(&stage.circuits.store().state("orders")), counted, "{name}");
        assert!(stage.clock.now() < Timestamp(60_000), "{name}: the reply is in time");

        let incident = &routed.incidents[0];
        assert_eq!(incident.attempts, fault.attempts as u64, "{name}");
        assert_eq!(incident.answered_by.as_ref().unwrap().as_str(), "general", "{name}");
        assert_eq!((incident.reason, &incident.request), (fault.reason, &None), "{name}");
    }
}

#[tokio::test]
async fn a_failure_that_passes_leaves_the_answer_to_the_specialist() {
    for fault in FAULTS.iter().filter(|fault| fault.attempts > 1) {
        let stage = spacious();
        let script = [fault.of("ORDERS"), answers("ORDERS", "there")];
        let (routed, _) = stage.play("orders", script).await;
        let (body, name) = (routed.body.clone(), (fault.error)());
        assert_eq!((body.status, body.reason), (Status::Answered, None), "{name}");
        assert_eq!(body.attempts, 2, "{name}");
        let account = stage.ledger.account();
        assert_eq!(account.spent, unknown_usage(1).plus(ANSWER), "{name}");
        assert_eq!((account.steps, stage.ledger.holds()), (1, 0), "{name}");
        assert_eq!(failures(&stage.circuits.store().state("orders")), 0, "the run is over: {name}");
        assert!(routed.incidents.is_empty(), "{name}");
        assert!(!routed.invocations()[0].has_failed(), "{name}");
    }
}

#[tokio::test]
async fn when_the_fallback_fails_in_the_same_way_nobody_answers_and_all_is_charged() {
    for fault in &FAULTS {
        let stage = spacious();
        let of = |agent| (0..fault.attempts).map(move |_| fault.of(agent));
        let (routed, _) = stage.play("orders", of("ORDERS").chain(of("GENERAL"))).await;
        let (body, name) = (routed.body.clone(), (fault.error)());
        assert_eq!((body.status, body.reason), (Status::Failed, Some(fault.reason)), "{name}");
        assert_eq!(body.attempts, 2 * fault.attempts as u64, "{name}");
        assert_eq!(stage.ledger.account().steps, 2, "{name}");
        assert_eq!(stage.ledger.holds(), 0, "{name}");
        assert_eq!(routed.incidents.len(), 2, "{name}");
        assert!(routed.incidents.iter().all(|left| left.answered_by.is_none()), "{name}");
    }
}

#[tokio::test]
async fn an_attempt_that_was_turned_down_leaves_its_hold_to_the_next() {
    // There is room for one hold and nothing else.
    let committed = Charge { tokens: Tokens(72_000), cost: MicroUsd(0) };
    let stage = Stage::with(Account { committed, ..account() });
    let script = [turns_down("ORDERS", InvokeError::Throttled), answers("ORDERS", "there")];
    let (routed, _) = stage.play("orders", script).await;
    assert_eq!((routed.body.status, routed.body.attempts), (Status::Answered, 2));
    assert_eq!(stage.ledger.account().spent, ANSWER);
    assert_eq!(routed.invocations()[0].throttled_attempts, 1);
}

#[tokio::test]
async fn a_retry_waits_for_its_backoff() {
    let stage = Stage::new();
    let throttled = turns_down("ORDERS", InvokeError::Throttled);
    stage.play("orders", [throttled, answers("ORDERS", "there")]).await;
    let chance = retry::chance(&HoldId::new("r-1", 0, 0), 1);
    let waited = retry::backoff(&stage.policy.find("orders").unwrap().retry, 1, chance);
    assert!(waited >= Duration::from_millis(1));
    assert_eq!(u128::from(stage.clock.now().0), 200 + waited.as_millis(), "two attempts, a wait");
}

#[tokio::test]
async fn a_retry_whose_hold_the_ledger_does_not_answer_goes_only_where_the_policy_allows_it() {
    let throttled = || fails("ORDERS", InvokeError::Throttled);
    let mut stage = Stage { ledger: InMemoryLedger::that_goes_down_after(1), ..Stage::new() };
    let (routed, called) = stage.play("orders", [throttled()]).await;
    assert_eq!(called, ["ORDERS"]);
    assert_eq!((routed.body.status, routed.body.reason), (Status::Failed, Some(Reason::Throttled)));

    stage.ledger = InMemoryLedger::that_goes_down_after(1);
    stage.policy.session.on_ledger_failure = crate::policy::OnLedgerFailure::Allow;
    let (routed, called) = stage.play("orders", [throttled(), answers("ORDERS", "there")]).await;
    assert_eq!((routed.body.status, called.len()), (Status::Answered, 2));
    assert_eq!(stage.ledger.account().spent, unknown_usage(1), "the first attempt is counted");
    assert_eq!(stage.ledger.holds(), 0);

    // What has no room is not uncounted, whatever the policy says.
    let committed = Charge { tokens: Tokens(72_000), cost: MicroUsd(0) };
    stage.ledger = InMemoryLedger::with(Account { committed, ..account() });
    let (_, called) = stage.play("orders", [throttled()]).await;
    assert_eq!(called, ["ORDERS"]);
}

#[tokio::test]
async fn attempts_together_never_use_more_than_was_reserved() {
    // A broken attempt costs 6,000 tokens, a hold is 8,000, and 80,000 is the limit.
    for (tokens, attempts) in [(66_000, 2), (66_001, 1)] {
        let committed = Charge { tokens: Tokens(tokens), cost: MicroUsd(0) };
        let stage = Stage::with(Account { committed, ..account() });
        let broken = || fails("ORDERS", InvokeError::StreamBroken("cut".into()));
        let last = if attempts == 2 { answers("ORDERS", "x") } else { answers("GENERAL", "x") };
        let (routed, called) = stage.play("orders", [broken(), last]).await;
        let orders = called.iter().filter(|agent| *agent == "ORDERS").count();
        assert_eq!(orders, attempts, "{tokens}");
        assert_eq!(routed.metric("BudgetRefusals", &[]), [0.0; 0], "the request was not refused");
        assert_eq!(stage.ledger.holds(), 0);
    }
}

#[tokio::test]
async fn all_tokens_and_all_throttled_attempts_of_an_invocation_are_told() {
    let throttled = || turns_down("ORDERS", InvokeError::Throttled);
    let script = [throttled(), throttled(), answers("ORDERS", "there")];
    let (routed, _) = Stage::new().play("orders", script).await;
    let invocation = &routed.invocations()[0];
    assert_eq!((invocation.attempts, invocation.throttled_attempts), (3, 2));
    assert_eq!((invocation.used.input, invocation.used.output), (Tokens(300), Tokens(40)));
    assert!(invocation.latency() >= Duration::from_millis(300), "three attempts of 100 ms each");
}

#[tokio::test]
async fn nobody_waits_for_a_retry_that_would_not_fit_into_the_time() {
    // 3 s less the margin, shared with the fallback: 750 ms for orders, 700 of which are gone.
    let stage = Stage::new();
    let broken = fails("ORDERS", InvokeError::StreamBroken("cut".into()));
    let script = [after(Duration::from_millis(700), broken), answers("GENERAL", "hello")];
    let invoker = ScriptedInvoker::new(&stage.clock, script);
    let time = Duration::from_secs(3);
    let routed = stage.route_task(&task("orders"), &invoker, "r", time).await;
    assert_eq!(routed.body.reason, Some(Reason::StreamBroken));
    let timeouts: Vec<u128> = invoker.sent().iter().map(|sent| sent.timeout.as_millis()).collect();
    assert_eq!(timeouts, [750, 800], "what orders left is general's");
}

#[tokio::test]
async fn an_outage_uses_up_the_retries_of_a_process() {
    let stage = spacious();
    let name = stage.policy.find("orders").unwrap().name.clone();
    while stage.retries.take(&name) {}
    let script = [fails("ORDERS", InvokeError::Throttled), answers("GENERAL", "hello")];
    let (routed, _) = stage.play("orders", script).await;
    assert_eq!((routed.body.status, routed.body.attempts), (Status::FellBack, 2));
}

#[tokio::test]
async fn fallbacks_of_fallbacks_are_asked_and_nobody_twice() {
    let mut stage = Stage { caller: verified_caller(), ..spacious() };
    stage.policy = chain_policy();
    let script = ["A", "B", "C"].map(|agent| fails(agent, InvokeError::GaveUp));
    let (routed, called) = stage.play("a", script).await;
    assert_eq!(called, ["A", "B", "C"], "a falls back to b, b to a and c, c to a");
    assert_eq!(routed.body.status, Status::Failed);
}

fn chain_policy() -> Policy {
    let specialist = |name: &str, fallback: &str| {
        format!(
            "[specialists.{name}]\nagent = \"{}/LIVE\"\ndescription = \"x\"\nfallback = {fallback}\n\
             max_tokens_per_call = 100\nprice = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }}\n",
            name.to_uppercase()
        )
    };
    let text = format!(
        "[routing]\nfallback = \"c\"\n[session]\nmax_steps = 9\nmax_tokens = 9000\n\
         max_cost_usd = 1.0\n{}{}{}",
        specialist("a", "[\"b\"]"),
        specialist("b", "[\"a\", \"c\"]"),
        specialist("c", "[\"a\"]"),
    );
    Policy::parse(&text, Some(&std::collections::BTreeMap::new())).unwrap()
}

#[tokio::test]
async fn what_was_asked_is_kept_only_where_the_policy_says_so() {
    for (record_requests, kept) in [(false, None), (true, Some("Where is it?".to_owned()))] {
        let mut stage = Stage::new();
        stage.policy.record_requests = record_requests;
        let script = [fails("ORDERS", InvokeError::GaveUp), answers("GENERAL", "hello")];
        let (routed, _) = stage.play("orders", script).await;
        assert_eq!(routed.incidents[0].request, kept);
        assert_eq!(routed.incidents[0].id, "r-1/0/0");
    }
}

#[tokio::test]
async fn a_route_that_was_wrong_or_unsure_is_an_incident_too() {
    let (routed, _) = Stage::new().play("astrology", [answers("GENERAL", "hello")]).await;
    let incident = &routed.incidents[0];
    assert_eq!((incident.reason, &incident.specialist), (Reason::UnknownSpecialist, &None));
    let elsewhere = answers("ORDERS", r#"{"out_of_scope": true}"#);
    let (routed, _) = Stage::new().play("orders", [elsewhere, answers("GENERAL", "x")]).await;
    assert_eq!(routed.incidents[0].reason, Reason::OutOfScope);
    assert_eq!(Usage::UNKNOWN.reported(), TokenUse::default());
}

#[tokio::test]
async fn after_an_attempt_that_was_left_the_next_call_goes_to_another_session_and_stays_there() {
    type Error = fn() -> InvokeError;
    let left: [Error; 3] = [
        || InvokeError::TimedOut { what: Wait::NextEvent, limit: TIME_OUT },
        || InvokeError::TooManyTokens { max: Tokens(8_000) },
        || InvokeError::TooLong { limit: 10 },
    ];
    let ended: [Error; 2] = [|| InvokeError::EmptyAnswer, || InvokeError::GaveUp];
    let cases =
        left.map(|error| (error, true)).into_iter().chain(ended.map(|error| (error, false)));
    for (error, moves) in cases {
        let stage = spacious();
        let script = [
            fails("ORDERS", error()),
            answers("GENERAL", "hello"),
            answers("ORDERS", "there"),
            answers("ORDERS", "still there"),
        ];
        let invoker = ScriptedInvoker::new(&stage.clock, script);
        for turn in 0..3 {
            stage.route("orders", &invoker, &format!("r-{turn}")).await;
        }
        let sent = invoker.sent();
        let [first, _, second, third] = [0, 1, 2, 3].map(|call: usize| &sent[call].session_id);
        assert_eq!(first != second, moves, "{}", error());
        assert_eq!(second, third, "{}", error());
    }
}

#[tokio::test]
async fn what_is_charged_beyond_reported_usage_is_told_apart_from_its_cost() {
    let stage = spacious();
    let script = [fails("ORDERS", InvokeError::Throttled), answers("ORDERS", "there")];
    let (routed, _) = stage.play("orders", script).await;
    let [invocation] = &routed.invocations()[..] else { panic!("one invocation") };
    assert_eq!(invocation.reported_cost, ANSWER.cost);
    assert_eq!(invocation.charge.cost, unknown_usage(1).plus(ANSWER).cost);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_told_so_whoever_answers_instead() {
    for (next, status) in [
        (answers("GENERAL", "hello"), Status::FellBack),
        (turns_down("GENERAL", InvokeError::NotFound), Status::Failed),
    ] {
        let stage = spacious();
        let script = [fails("ORDERS", InvokeError::TooLong { limit: 10 }), next];
        let (routed, _) = stage.play("orders", script).await;
        assert_eq!(routed.body.status, status);
        let message = routed.body.message.unwrap();
        assert!(message.contains("`orders` is longer than 10 bytes"), "{message}");
    }
}
