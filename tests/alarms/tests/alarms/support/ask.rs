//! Events of the action group, on the sandbox.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use stand_ins::lambda::Outcome;
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
        let (specialist, request) = what.split_once(": ").unwrap();
        let parameter = |name, value| json!({ "name": name, "type": "string", "value": value });
        let intent = match specialist {
            "billing" => "invoice",
            "orders" => "delivery",
            "support" => "password",
            _ => "feedback",
        };
        let event = json!({
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
        });
        let before = self.sandbox.metrics().batches().len();
        let invocation = self.sandbox.invoke(event.to_string(), None).await;
        assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
        let batches = self.sandbox.metrics().batches();
        let [batch] = &batches[before..] else { panic!("{} batches", batches.len() - before) };
        assert_eq!(self.sandbox.metrics().refusals(), [""; 0]);
        Request::of(batch)
    }

    pub(crate) async fn stop(self) {
        self.sandbox.stop().await;
    }
}

pub(crate) fn new_session() -> String {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    format!("session-{}", SESSIONS.fetch_add(1, Ordering::Relaxed))
}
