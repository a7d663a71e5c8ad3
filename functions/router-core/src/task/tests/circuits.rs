//! Circuits: when a specialist is not called, who tries it again, and what that costs.

use super::*;
use crate::circuit::{Admission, Forced, Probe, State, Word};
use crate::doubles::after;
use crate::ids::RootSession;

// The circuit of orders opens after 5 failures, of one session or more, for 30 s, and closes after
// 3 probes. That of general takes the failures of two sessions.

fn ill(agent: &'static str) -> Scripted {
    fails(agent, InvokeError::GaveUp)
}

fn hello() -> Scripted {
    answers("GENERAL", "hello")
}

/// A stage with room for many calls, where orders has failed `times` times in a row.
async fn after_failures(times: usize) -> Stage {
    let mut stage = Stage::new();
    let session = &mut stage.policy.session;
    (session.max_steps, session.max_tokens) = (1_000, Tokens(10_000_000));
    session.max_cost = MicroUsd(100_000_000);
    for _ in 0..times {
        stage.play("orders", [ill("ORDERS"), hello()]).await;
    }
    stage
}

impl Stage {
    fn orders(&self) -> State {
        self.circuits.store().state("orders")
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Asks orders, whose circuit keeps it from being called.
    async fn finds_orders_open(&self) -> Routed {
        let steps = self.ledger.account().steps;
        let (routed, called) = self.play("orders", [hello()]).await;
        assert_eq!(called, ["GENERAL"]);
        let body = &routed.body;
        assert_eq!((body.status, body.reason), (Status::FellBack, Some(Reason::CircuitOpen)));
        assert_eq!(self.ledger.account().steps, steps + 1, "a call that is not made costs no step");
        routed
    }
}

#[tokio::test]
async fn a_specialist_that_keeps_failing_is_not_called_any_more() {
    let stage = after_failures(4).await;
    let (routed, _) = stage.play("orders", [ill("ORDERS"), hello()]).await;
    assert_eq!(routed.metric("CircuitOpened", &["Specialist=orders"]), [1.0]);
    assert!(matches!(stage.orders(), State::Open { .. }));
    let routed = stage.finds_orders_open().await;
    let message = routed.body.message.clone().unwrap();
    let told = "`orders` is not being asked at the moment; `general` answered";
    assert!(message.contains(told), "{message}");
    assert_eq!(routed.metric("Fallbacks", &[]), [1.0]);
    let accuracy = routed.metric("RoutingAccuracy", &[]);
    assert_eq!(accuracy, [0.0; 0], "it may have been the right one to ask");
    assert_eq!(
        (routed.incidents[0].reason, routed.incidents[0].attempts),
        (Reason::CircuitOpen, 0)
    );
}

#[tokio::test]
async fn one_session_whose_requests_all_fail_takes_the_specialist_from_nobody() {
    let mut stage = after_failures(0).await;
    let general = |stage: &Stage| stage.circuits.store().state("general");
    for _ in 0..9 {
        stage.play("general", [fails("GENERAL", InvokeError::GaveUp)]).await;
    }
    let of_one = general(&stage);
    assert!(matches!(&of_one, State::Closed { failures: 9, sessions, .. } if sessions.len() == 1));
    stage.caller.root = RootSession::parse("sessionId", "another").unwrap();
    let (routed, _) = stage.play("general", [fails("GENERAL", InvokeError::GaveUp)]).await;
    assert_eq!(routed.metric("CircuitOpened", &["Specialist=general"]), [1.0]);
    assert!(matches!(general(&stage), State::Open { .. }));
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_what_was_read() {
    let stage = after_failures(0).await;
    stage.wait(3_600);
    stage.play("orders", [answers("ORDERS", "there")]).await;
    stage.circuits.store().force("orders", Forced::Open);
    stage.clock.set_back(Duration::from_secs(1_800));
    stage.play("orders", [answers("ORDERS", "there")]).await;
    stage.wait(5);
    stage.finds_orders_open().await;
}

#[tokio::test]
async fn a_circuit_that_opens_between_two_attempts_ends_the_invocation() {
    let stage = after_failures(4).await;
    let broken = fails("ORDERS", InvokeError::StreamBroken("cut".into()));
    let (routed, called) = stage.play("orders", [broken, hello()]).await;
    assert_eq!(called, ["ORDERS", "GENERAL"], "no second attempt");
    assert_eq!(routed.body.reason, Some(Reason::StreamBroken));
    assert_eq!(stage.ledger.holds(), 0);
}

#[tokio::test]
async fn answers_that_come_too_late_open_it_as_failures_do() {
    let stage = after_failures(0).await;
    let late = |millis| after(Duration::from_millis(millis), answers("ORDERS", "there"));
    for _ in 0..5 {
        let (routed, _) = stage.play("orders", [late(8_001)]).await;
        assert_eq!(routed.body.status, Status::Answered, "late as it is, it is an answer");
        assert_eq!(routed.metric("SlowCalls", &[]), [1.0]);
    }
    assert!(matches!(stage.orders(), State::Open { .. }));
    let stage = after_failures(4).await;
    let (routed, _) = stage.play("orders", [late(8_000)]).await;
    assert_eq!(routed.metric("SlowCalls", &[]), [0.0]);
    let since = stage.clock.now();
    assert_eq!(stage.orders(), State::Closed { failures: 0, sessions: Vec::new(), since });
}

#[tokio::test]
async fn after_a_while_one_probe_goes_and_enough_of_them_close_it() {
    let stage = after_failures(5).await;
    stage.wait(30);
    for probes in 1..=3 {
        let (routed, _) = stage.play("orders", [answers("ORDERS", "there")]).await;
        assert_eq!(routed.body.status, Status::Answered, "probe {probes}");
    }
    assert!(matches!(stage.orders(), State::Closed { failures: 0, .. }));
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_again() {
    let stage = after_failures(5).await;
    stage.wait(30);
    let (routed, _) = stage.play("orders", [ill("ORDERS"), hello()]).await;
    assert_eq!(routed.metric("CircuitOpened", &[]), [1.0]);
    stage.finds_orders_open().await;
}

#[tokio::test]
async fn while_another_process_has_the_probe_nobody_else_goes() {
    let stage = after_failures(5).await;
    stage.wait(30);
    let probe =
        Probe { owner: "another".to_owned(), until: Timestamp(stage.clock.now().0 + 1_000) };
    let probed = State::HalfOpen { successes: 0, probe: Some(probe) };
    stage.circuits.store().set("orders", probed);
    stage.finds_orders_open().await;
    stage.wait(5);
    let (routed, _) = stage.play("orders", [answers("ORDERS", "there")]).await;
    assert_eq!(routed.body.status, Status::Answered, "the other one has vanished");
}

#[tokio::test]
async fn a_probe_that_says_nothing_leaves_its_place_to_the_next() {
    let stage = after_failures(5).await;
    stage.wait(30);
    let denied = turns_down("ORDERS", InvokeError::AccessDenied);
    stage.play("orders", [denied, hello()]).await;
    assert_eq!(stage.orders(), State::HalfOpen { successes: 0, probe: None });
    // One that nothing would pay for never goes.
    let mut stage = stage;
    stage.policy.session.max_tokens = Tokens(8_000);
    let (routed, _) = stage.play("orders", []).await;
    assert_eq!(routed.body.reason, Some(Reason::BudgetTokens));
    assert_eq!(stage.orders(), State::HalfOpen { successes: 0, probe: None });
}

#[tokio::test]
async fn a_probe_whose_retry_nothing_would_pay_for_leaves_its_place_to_the_next() {
    let mut stage = after_failures(5).await;
    stage.wait(30);
    // There is room for the first hold, and for no other after 6,000 tokens of it were used.
    let Tokens(committed) = stage.ledger.account().committed.tokens;
    stage.policy.session.max_tokens = Tokens(committed + 8_000);
    let throttled = fails("ORDERS", InvokeError::Throttled);
    let (routed, called) = stage.play("orders", [throttled]).await;
    assert_eq!((called.len(), routed.body.reason), (1, Some(Reason::Throttled)));
    assert_eq!(stage.orders(), State::HalfOpen { successes: 0, probe: None });
}

#[tokio::test]
async fn a_probe_that_succeeds_with_its_retry_counts() {
    let stage = after_failures(5).await;
    stage.wait(30);
    let throttled = turns_down("ORDERS", InvokeError::Throttled);
    stage.play("orders", [throttled, answers("ORDERS", "there")]).await;
    assert_eq!(stage.orders(), State::HalfOpen { successes: 1, probe: None });
}

#[tokio::test]
async fn healthy_traffic_reads_once_in_five_seconds_and_writes_nothing() {
    let stage = after_failures(0).await;
    for _ in 0..100 {
        let answer = after(Duration::from_millis(49), answers("ORDERS", "there"));
        stage.play("orders", [answer]).await;
    }
    let store = stage.circuits.store();
    assert_eq!((store.reads(), store.changes()), (1, 0));
    stage.wait(1);
    stage.play("general", [hello()]).await;
    assert_eq!((store.reads(), store.changes()), (2, 0), "one read is for all specialists");
}

#[tokio::test]
async fn other_processes_are_heard_within_five_seconds() {
    let stage = after_failures(0).await;
    stage.play("orders", [answers("ORDERS", "there")]).await;
    let open = State::Open { until: Timestamp(30_000) };
    stage.circuits.store().set("orders", open);
    stage.play("orders", [answers("ORDERS", "there")]).await;
    stage.wait(5);
    stage.finds_orders_open().await;
}

#[tokio::test]
async fn a_failure_counts_from_what_the_table_says_and_not_from_memory() {
    let stage = after_failures(0).await;
    stage.play("orders", [answers("ORDERS", "there")]).await;
    let since = stage.clock.now();
    let four = State::Closed { failures: 4, sessions: Vec::new(), since };
    stage.circuits.store().set("orders", four);
    let (routed, _) = stage.play("orders", [ill("ORDERS"), hello()]).await;
    assert_eq!(routed.metric("CircuitOpened", &[]), [1.0]);
}

#[tokio::test]
async fn an_operator_switches_one_specialist_off_or_all_of_them() {
    let stage = after_failures(0).await;
    stage.circuits.store().force("orders", Forced::Open);
    stage.finds_orders_open().await;
    stage.wait(5);
    stage.circuits.store().force_all(Forced::Open);
    for specialist in ["orders", "general", "astrology"] {
        let (routed, called) = stage.play(specialist, []).await;
        assert!(called.is_empty());
        let body = routed.body.clone();
        assert_eq!((body.status, body.reason), (Status::Refused, Some(Reason::CircuitOpen)));
        assert!(routed.incidents.is_empty() && routed.metric("Fallbacks", &[]).is_empty());
    }
}

#[tokio::test]
async fn an_operators_word_ends_by_its_time() {
    let stage = after_failures(0).await;
    let until = Some(stage.clock.now().after(Duration::from_secs(60)));
    stage.circuits.store().force("orders", Word { forced: Forced::Open, until });
    stage.finds_orders_open().await;
    stage.wait(59);
    stage.finds_orders_open().await;
    stage.wait(1);
    let (_, called) = stage.play("orders", [answers("ORDERS", "there")]).await;
    assert_eq!(called, ["ORDERS"]);
}

#[tokio::test]
async fn an_operator_keeps_a_circuit_closed_whatever_happens() {
    let stage = after_failures(5).await;
    stage.circuits.store().force("orders", Forced::Closed);
    stage.wait(5);
    let open = stage.orders();
    for _ in 0..10 {
        let (_, called) = stage.play("orders", [ill("ORDERS"), hello()]).await;
        assert_eq!(called, ["ORDERS", "GENERAL"]);
    }
    assert_eq!(stage.orders(), open, "what it would be is left alone");
}

#[tokio::test]
async fn when_every_circuit_is_open_nobody_is_called_and_nothing_is_charged() {
    let stage = after_failures(0).await;
    for specialist in ["orders", "general"] {
        stage.circuits.store().force(specialist, Forced::Open);
    }
    let (routed, called) = stage.play("orders", []).await;
    assert!(called.is_empty());
    let body = routed.body.clone();
    assert_eq!((body.status, body.reason), (Status::Refused, Some(Reason::CircuitOpen)));
    assert_eq!(stage.ledger.account().steps, 0);
}

#[tokio::test]
async fn a_table_without_circuits_lets_everybody_pass() {
    let stage = after_failures(0).await;
    stage.circuits.store().go_down();
    for _ in 0..2 {
        let (routed, _) = stage.play("orders", [ill("ORDERS"), hello()]).await;
        assert_eq!(routed.body.reason, Some(Reason::AgentError));
    }
    assert_eq!(stage.circuits.store().reads(), 1, "not asked again at once");
}

#[tokio::test]
async fn a_table_that_falls_silent_lifts_no_switch_and_closes_no_circuit() {
    let stage = after_failures(5).await;
    stage.circuits.store().force("general", Forced::Open);
    stage.wait(5);
    stage.play("orders", []).await;
    stage.circuits.store().go_down();
    stage.wait(5);
    let (routed, called) = stage.play("orders", []).await;
    assert!(called.is_empty());
    assert_eq!(routed.body.reason, Some(Reason::CircuitOpen));
    stage.wait(30);
    let (_, called) = stage.play("orders", [answers("ORDERS", "there")]).await;
    assert_eq!(called, ["ORDERS"], "its time is up, and the table cannot say who has the probe");
}

#[tokio::test]
async fn the_place_of_a_probe_is_taken_for_as_long_as_it_may_be_out_and_not_for_ever() {
    let stage = after_failures(5).await;
    stage.wait(30);
    // Orders may take 20 s, and 5 s until it is asked; the clocks of others may differ by 1 s.
    let now = stage.clock.now();
    let orders = stage.policy.find("orders").unwrap();
    for (deadline, until) in [(60_000, 25_000), (10_000, 10_000)] {
        let deadline = Timestamp(now.0 + deadline);
        let circuits = Circuits::new(InMemoryCircuits::default());
        circuits.store().set("orders", State::Open { until: now });
        circuits.refresh([&orders.name].into_iter(), &stage.clock, Duration::MAX).await;
        let admission = circuits.admit(orders, "me", deadline, &stage.clock, Duration::MAX).await;
        assert_eq!(admission, Admission::Pass { until: Timestamp(now.0 + until) });
        let probe = Probe { owner: "me".to_owned(), until: Timestamp(now.0 + until + 1_000) };
        let probed = State::HalfOpen { successes: 0, probe: Some(probe) };
        assert_eq!(circuits.store().state("orders"), probed);
    }
}
