//! What goes wrong with any kind of supervisor.

use aws_smithy_types::base64;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Wait};

use super::*;

/// Each kind, and an answer that has begun and told its first model call's tokens.
fn begun() -> [(&'static str, Answer); 3] {
    let mut of_converse = message(&[json!("Let me see.")], "tool_use", Some((30, 4)));
    of_converse.push(("messageStart", json!({ "role": "assistant" })));
    let usage = json!({ "usage": { "inputTokens": 30, "outputTokens": 4 } });
    let output = json!({ "modelInvocationOutput": { "metadata": usage } });
    let of_agent = [
        ("trace", json!({ "trace": { "orchestrationTrace": output } })),
        ("chunk", json!({ "bytes": base64::encode("Let me see.") })),
    ];
    [
        (HARNESS, Answer::events(&of_converse)),
        (MODEL, Answer::events(&of_converse)),
        (AGENT, Answer::events(&of_agent)),
    ]
}

async fn came(agent: &str, answer: Answer) -> (InvokeError, Usage) {
    let came = decide(agent, Asking::default(), answer).await;
    (came.decided.result.unwrap_err(), came.decided.usage)
}

const KNOWN: fn() -> Usage = || Usage::AtLeast(used(30, 4));

#[tokio::test]
async fn one_that_is_turned_down_was_not_run() {
    for agent in [HARNESS, MODEL, AGENT] {
        let (error, usage) = came(agent, Answer::error(429, "ThrottlingException")).await;
        assert!(matches!(error, InvokeError::Throttled), "{agent}: {error}");
        assert_eq!(usage, Usage::NotRun, "{agent}");
        let (error, usage) = came(agent, Answer::error(403, "AccessDeniedException")).await;
        assert!(matches!(error, InvokeError::AccessDenied), "{agent}: {error}");
        assert_eq!(usage, Usage::NotRun, "{agent}");
        let (error, usage) = came(agent, Answer::error(500, "InternalServerException")).await;
        assert!(matches!(error, InvokeError::ServiceFault(_)), "{agent}: {error}");
        assert_eq!(usage, Usage::UNKNOWN, "{agent}");
    }
}

#[tokio::test]
async fn one_that_is_throttled_in_its_midst_was_run() {
    for (agent, answer) in begun() {
        let (error, usage) = came(agent, answer.then_exception("throttlingException")).await;
        assert!(matches!(error, InvokeError::Throttled), "{agent}: {error}");
        assert_eq!(usage, KNOWN(), "{agent}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_turn_and_what_was_heard_was_heard() {
    for (agent, answer) in begun() {
        for answer in [answer.clone().then_exception("x").cut_off(), answer.then_lost()] {
            let came = decide(agent, Asking::default(), answer).await;
            let result = came.decided.result;
            assert!(matches!(result, Err(InvokeError::StreamBroken(_))), "{agent}");
            assert_eq!(came.decided.usage, KNOWN(), "{agent}");
            assert!(came.heard.iter().any(|heard| heard.starts_with("Text(")), "{agent}");
        }
    }
}

#[tokio::test]
async fn silence_and_an_answer_that_does_not_begin_are_told_apart() {
    for (agent, answer) in begun() {
        let asking = Asking { idle_timeout: Duration::ZERO, ..Asking::default() };
        let came = decide(agent, asking, answer.clone().then_silence()).await;
        let waited = |result, expected| matches!(result, Err(InvokeError::TimedOut { what, .. }) if what == expected);
        assert!(waited(came.decided.result, Wait::NextEvent), "{agent}");
        assert_eq!(came.decided.usage, KNOWN(), "{agent}");
        let asking = Asking { timeout: Duration::ZERO, ..Asking::default() };
        let came = decide(agent, asking, answer.then_silence()).await;
        assert!(waited(came.decided.result, Wait::Answer), "{agent}");
    }
}

#[tokio::test]
async fn one_that_is_stopped_says_what_it_had_used() {
    for (agent, answer) in begun() {
        let asking = Asking::default();
        asking.stop.stop();
        let came = decide(agent, asking, answer.then_silence()).await;
        assert!(matches!(came.decided.result, Err(InvokeError::Stopped)), "{agent}");
        assert!(matches!(came.decided.usage, Usage::AtLeast(_)), "{agent}");
    }
}

#[tokio::test]
async fn an_answer_of_nothing_is_no_turn() {
    for agent in [HARNESS, MODEL, AGENT] {
        let (error, _) = came(agent, Answer::events(&[])).await;
        assert!(matches!(error, InvokeError::EmptyAnswer), "{agent}: {error}");
    }
}

#[tokio::test]
async fn a_runtime_is_never_asked() {
    let runtime = HARNESS.replace("harness", "runtime");
    let (error, usage) = came(&runtime, Answer::events(&[])).await;
    assert!(matches!((error, usage), (InvokeError::Invalid, Usage::NotRun)));
}
