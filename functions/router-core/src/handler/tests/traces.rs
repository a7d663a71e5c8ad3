//! What a request leaves in its trace.

use super::*;
use crate::doubles::turns_down;
use crate::ledger::Limit;
use crate::trace::{Span, Trace, TraceParent, key};

async fn trace_of(
    ledger: InMemoryLedger,
    script: impl IntoIterator<Item = crate::doubles::Scripted>,
    event: &Event,
) -> Trace {
    let session = event.caller.as_ref().ok().map(|caller| &caller.root);
    let played = play_request(ledger, script, event, REQUEST).await;
    views::spans::of(&played.entries, session, REQUEST.id)
}

/// Each span with its parent's, in the order in which they began.
fn tree(trace: &Trace) -> Vec<(&str, &str)> {
    let name = |span: &Span| span.parent.map_or("", |parent| &trace.spans[parent].name);
    trace.spans.iter().map(|span| (&*span.name, name(span))).collect()
}

fn fact(span: &Span, key: &str) -> Option<String> {
    let (_, value) = span.attributes.iter().find(|(name, _)| *name == key)?;
    Some(match value {
        crate::trace::Value::Text(text) => text.to_string(),
        crate::trace::Value::Count(count) => count.to_string(),
    })
}

#[tokio::test]
async fn two_attempts_and_a_fallback_are_a_tree() {
    let script = [
        turns_down("ORDERS", InvokeError::Throttled),
        fails("ORDERS", InvokeError::GaveUp),
        answers("GENERAL", "sorry"),
    ];
    let trace = trace_of(InMemoryLedger::default(), script, &ask_orders()).await;
    assert_eq!(
        tree(&trace),
        [
            ("request", ""),
            ("decision", "request"),
            ("invocation orders", "request"),
            ("reserve", "invocation orders"),
            ("invoke_agent orders", "invocation orders"),
            ("invoke_agent orders", "invocation orders"),
            ("settle", "request"),
            ("invocation general", "request"),
            ("reserve", "invocation general"),
            ("invoke_agent general", "invocation general"),
            ("settle", "request"),
            ("metrics", "request"),
        ]
    );
    let failures: Vec<_> = trace.spans.iter().filter_map(|span| span.failure).collect();
    assert_eq!(failures, ["agent_error", "throttled", "agent_error"], "the invocation's is first");
    let request = &trace.spans[0];
    let told = [key::ASKED, key::USED, key::STATUS, key::REASON, key::ATTEMPTS];
    let told = told.map(|name| fact(request, name).unwrap_or_default());
    assert_eq!(told, ["orders", "general", "fell_back", "agent_error", "3"]);
    let attempts: Vec<_> =
        trace.spans[4..6].iter().map(|span| fact(span, key::ATTEMPT).unwrap_or_default()).collect();
    assert_eq!(attempts, ["1", "2"]);
    let conversation = fact(&trace.spans[4], key::CONVERSATION);
    assert_eq!(conversation, Some(trace.id.to_string()), "a digest of the session's id");
}

#[tokio::test]
async fn a_refusal_is_in_the_trace_and_is_no_failure() {
    let account = Account { steps: 12, ..account() };
    let trace = trace_of(InMemoryLedger::with(account), [], &ask_orders()).await;
    let outcomes: Vec<_> = trace.spans.iter().filter_map(|span| fact(span, key::OUTCOME)).collect();
    assert_eq!(outcomes, ["invoke", "budget_steps", Limit::Steps.as_str()]);
    assert_eq!(fact(&trace.spans[0], key::STATUS).as_deref(), Some("refused"));
    assert!(trace.spans.iter().all(|span| span.failure.is_none()));
}

#[tokio::test]
async fn names_that_the_policy_does_not_have_are_not_told() {
    let event = event(json!({"specialist_type": "a secret", "request": "a secret",
        "intent": "a secret", "task_id": "a secret"}));
    let trace = trace_of(InMemoryLedger::default(), [answers("GENERAL", "a secret")], &event).await;
    assert_eq!(fact(&trace.spans[0], key::ASKED).as_deref(), Some("unknown"));
    assert!(!format!("{trace:?}").contains("secret"));
}

#[tokio::test]
async fn an_agent_is_told_the_span_of_the_attempt_that_it_serves_if_there_is_one() {
    let script = || {
        let turned_down = turns_down("ORDERS", InvokeError::Throttled);
        [turned_down, fails("ORDERS", InvokeError::GaveUp), answers("GENERAL", "sorry")]
    };
    let request = LambdaRequest { is_traced: true, ..REQUEST };
    let event = ask_orders();
    let played = play_request(InMemoryLedger::default(), script(), &event, request).await;
    let session = event.caller.as_ref().ok().map(|caller| &caller.root);
    let trace = views::spans::of(&played.entries, session, REQUEST.id);
    let told: Vec<TraceParent> = played.sent.iter().filter_map(|sent| sent.trace).collect();
    let span = |place| TraceParent { trace: trace.id, span: trace.span_id(place) };
    assert_eq!(told, [4, 5, 9].map(span));
    let played = play(InMemoryLedger::default(), script(), &event).await;
    assert!(played.sent.iter().all(|sent| sent.trace.is_none()), "their side decides by itself");
}
