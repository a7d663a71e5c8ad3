//! A panic at every call of a port: nothing that was recorded is lost.

use super::*;
use crate::circuit::{Circuits, State};
use crate::doubles::{InMemoryCircuits, Trap, turns_down};

/// Plays a retry, a failure and a fallback, while the `call`th call of a port panics. Returns what
/// is left behind, or `None` when there are fewer calls.
async fn play_with_panic(call: u64) -> Option<(Played, State)> {
    let clock = ManualClock::default();
    let script = [
        turns_down("ORDERS", InvokeError::Throttled),
        fails("ORDERS", InvokeError::StreamBroken("cut".into())),
        answers("GENERAL", "sorry"),
    ];
    let trap = Trap::at(call);
    let mut invoker = ScriptedInvoker::new(&clock, script);
    invoker.trap = trap.clone();
    let (mut ledger, mut store) = (InMemoryLedger::default(), InMemoryCircuits::default());
    ledger.trap = trap.clone();
    store.trap = trap.clone();
    // The circuit of orders is to be probed.
    store.set("orders", State::Open { until: Timestamp(0) });
    let circuits = Circuits::new(store);
    let (mut incidents, mut metrics) = (RecordingLog::default(), RecordingSink::default());
    incidents.trap = trap.clone();
    metrics.trap = trap.clone();
    let ports = Doubles {
        ledger: &ledger,
        invoker: &invoker,
        circuits: &circuits,
        incidents: &incidents,
        metrics: &metrics,
        clock: &clock,
    };
    let handler = Handler { policy: &policy(), ports: &ports, retries: &RetryBudget::default() };
    let Handled { reply, entries } = handler.handle(&ask_orders(), REQUEST).await;
    let data = metrics.batches().into_iter().flatten().collect();
    let (incidents, account) = (incidents.incidents(), ledger.account());
    let (holds, sent) = (ledger.holds(), invoker.sent());
    let played = Played { reply, account, holds, data, entries, incidents, sent };
    (trap.left() == 0).then(|| (played, circuits.store().state("orders")))
}

fn began(entries: &[Entry], fact: impl Fn(&Fact) -> bool) -> usize {
    entries.iter().filter(|entry| fact(&entry.fact)).count()
}

#[tokio::test]
async fn a_panic_anywhere_is_answered_and_loses_neither_hold_nor_metric_nor_incident() {
    let mut panicked_in = 0;
    for call in 1.. {
        let Some((played, orders)) = play_with_panic(call).await else { break };
        let Played { reply, account, holds, data, entries, incidents, .. } = played;
        assert!(matches!(reply.body.whole.status, Status::Failed | Status::FellBack), "{call}");
        assert!(!format!("{:?}", reply.body.whole.message).contains("trap"), "{call}");
        assert_eq!(reply.session_attributes["root_session_id"], "s", "{call}");

        // One call can panic, so at most one of these does not happen.
        let lost_settlement = holds > 0;
        let lost_metrics = data.is_empty();
        let invoked =
            began(&entries, |fact| matches!(fact, Fact::InvocationEnded { failure: Some(_) }));
        let lost_incident = invoked > 0 && incidents.is_empty();
        let lost = [lost_settlement, lost_metrics, lost_incident];
        assert!(lost.iter().filter(|lost| **lost).count() <= 1, "{call}: {lost:?}");
        if lost_settlement {
            let tried = began(&entries, |fact| matches!(fact, Fact::Settling { .. }));
            let known = began(&entries, |fact| matches!(fact, Fact::Settled { .. }));
            assert!(tried > known, "{call}: only a settlement that panicked leaves a hold");
        } else {
            assert_eq!(account.committed, account.spent, "{call}");
        }
        let attempts = began(&entries, |fact| matches!(fact, Fact::AttemptStarted { .. }));
        let ended = began(&entries, |fact| matches!(fact, Fact::AttemptEnded { .. }));
        assert_eq!(attempts, ended, "{call}");
        let is_probe_out = matches!(orders, State::HalfOpen { probe: Some(_), .. });
        assert!(!is_probe_out || lost == [false; 3], "{call}: the probe's place is free");
        panicked_in += 1;
    }
    assert!(panicked_in >= 12, "only {panicked_in} calls");
}

#[tokio::test]
async fn an_attempt_that_panicked_is_charged_as_unknown() {
    // The first call reads the circuits; the others probe, reserve, and invoke.
    let (played, _) = play_with_panic(4).await.unwrap();
    assert_eq!(played.account.spent, crate::doubles::unknown_usage_of_orders());
    let body = &played.reply.body;
    assert_eq!(
        (body.whole.reason, body.whole.asked.as_deref()),
        (Some(Reason::AgentError), Some("orders"))
    );
    assert!(
        body.whole.message.as_ref().unwrap().starts_with("Something went wrong. Answer the user")
    );
    assert_eq!(played.metric("SpecialistErrors"), Some(1.0));
    assert_eq!(played.incidents.len(), 1);
}
