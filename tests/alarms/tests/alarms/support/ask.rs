//! Events of the action group, on the sandbox.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stand_ins::lambda::Outcome;
use stand_ins::metrics::Batch;
use stand_ins::{Options, Sandbox};

use super::Request;

/// A sandbox whose requests are recorded.
pub(crate) struct Recorder {
    sandbox: Sandbox,
}

impl Recorder {
    pub(crate) async fn start(options: Options) -> Self {
        Self { sandbox: Sandbox::start(options).await.expect("the sandbox starts") }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A verified user's request in a session of its own, `specialist: what is asked`.
    pub(crate) async fn ask(&self, what: &str) -> Request {
        self.ask_in(&new_session(), what).await
    }

    /// As [`Recorder::ask`], in a session.
    pub(crate) async fn ask_in(&self, session: &str, what: &str) -> Request {
        let before = self.sandbox.metrics().batches().len();
        self.invoke(&event(session, what)).await;
        let batches = self.sandbox.metrics().batches();
        let [batch] = &batches[before..] else { panic!("{} batches", batches.len() - before) };
        assert_eq!(self.sandbox.metrics().refusals(), [""; 0]);
        Request::of(batch)
    }

    /// A request after which the function looks at its policy, and refuses it.
    pub(crate) async fn ask_before_a_refused_policy(&self, what: &str) -> Request {
        // When the second is answered, all is told that came after the first.
        for _ in 0..2 {
            self.invoke(&event(&new_session(), what)).await;
        }
        let batches = self.sandbox.metrics().batches();
        let of = |name| {
            let has = |batch: &&Batch| batch.data.iter().any(|datum| datum.name == name);
            batches.iter().find(has).unwrap()
        };
        Request::of(of("RouterOverhead")).and(of("PolicyRejected"))
    }

    async fn invoke(&self, event: &Value) {
        let invocation = self.sandbox.invoke(event.to_string(), None).await;
        assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    }

    pub(crate) async fn stop(self) {
        self.sandbox.stop().await;
    }
}

/// An event of the action group, `specialist: what is asked`.
fn event(session: &str, what: &str) -> Value {
    let (specialist, request) = what.split_once(": ").unwrap();
    let parameter = |name, value| json!({ "name": name, "type": "string", "value": value });
    let intent = match specialist {
        "billing" => "invoice",
        "orders" => "delivery",
        "support" => "password",
        _ => "feedback",
    };
    json!({
        "messageVersion": "1.0",
        "agent": { "name": "s", "id": "S", "alias": "A", "version": "1" },
        "inputText": "What the user wrote.",
        "sessionId": session,
        "actionGroup": "specialists",
        "function": "invoke_specialist_agent",
        "parameters": [
            parameter("specialist_type", specialist),
            parameter("request", request),
            parameter("intent", intent),
        ],
        "sessionAttributes": { "identity_verified": "true" },
        "promptSessionAttributes": {},
    })
}

pub(crate) fn new_session() -> String {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    format!("session-{}", SESSIONS.fetch_add(1, Ordering::Relaxed))
}
