//! A place where calls are answered one after the other, and what they leave behind.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::doubles::Cast;
pub(super) use crate::doubles::Does;

/// What is left behind between calls.
pub(super) struct House {
    pub(super) policy: Policy,
    pub(super) ledger: InMemoryLedger,
    pub(super) circuits: Circuits<InMemoryCircuits>,
    pub(super) clock: ManualClock,
    pub(super) calls: AtomicU64,
}

/// What came of a call.
pub(super) struct Answered {
    pub(super) body: Body,
    pub(super) sent: Vec<Sent>,
    pub(super) most_at_once: usize,
    pub(super) data: Vec<Published>,
    pub(super) incidents: Vec<Incident>,
}

impl House {
    pub(super) fn new() -> Self {
        Self {
            policy: policy(),
            ledger: InMemoryLedger::default(),
            circuits: Circuits::default(),
            clock: ManualClock::default(),
            calls: AtomicU64::new(0),
        }
    }

    pub(super) fn with(account: Account) -> Self {
        Self { ledger: InMemoryLedger::with(account), ..Self::new() }
    }

    /// Answers a call for `tasks` of (specialist, request) in a session of a verified user.
    pub(super) async fn call(
        &self,
        mode: Value,
        tasks: &[(&str, &str)],
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Answered {
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|(specialist, request)| {
                json!({"specialist_type": specialist, "request": request, "task_id": specialist})
            })
            .collect();
        let mut arguments = mode;
        arguments["tasks"] = Value::String(Value::from(tasks).to_string());
        self.call_tool("invoke_specialists", arguments, agents).await
    }

    /// Answers a call of a tool in a session of a verified user.
    pub(super) async fn call_tool(
        &self,
        tool: &str,
        arguments: Value,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Answered {
        self.call_as(json!({"identity_verified": "true"}), tool, arguments, agents).await
    }

    /// Answers a call of a tool under session attributes.
    pub(super) async fn call_as(
        &self,
        attributes: Value,
        tool: &str,
        arguments: Value,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Answered {
        let parameters: Vec<Value> = arguments
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| json!({"name": name, "type": "string", "value": value}))
            .collect();
        let payload = json!({"actionGroup": "g", "function": tool, "sessionId": "s",
            "sessionAttributes": attributes, "parameters": parameters});
        let event = Event::read(payload.to_string().as_bytes(), None, false).unwrap();
        let invoker = Cast::new(&self.clock, agents);
        let (metrics, incidents) = (RecordingSink::default(), RecordingLog::default());
        let ports = Doubles {
            ledger: &self.ledger,
            invoker: &invoker,
            circuits: &self.circuits,
            incidents: &incidents,
            metrics: &metrics,
            clock: &self.clock,
        };
        let retries = RetryBudget::default();
        let handler = Handler { policy: &self.policy, ports: &ports, retries: &retries };
        let execution = self.calls.fetch_add(1, Ordering::SeqCst);
        let deadline = self.clock.now().after(Duration::from_secs(60));
        let request = LambdaRequest { execution, deadline, ..REQUEST };
        let Handled { reply, .. } = handler.handle(&event, request).await;
        Answered {
            body: reply.body,
            sent: invoker.sent(),
            most_at_once: invoker.most_at_once(),
            data: metrics.batches().into_iter().flatten().collect(),
            incidents: incidents.incidents(),
        }
    }

    /// The rule of the ledger after any call: nothing is held, and what is committed is spent.
    pub(super) fn assert_settled(&self) {
        let account = self.ledger.account();
        assert_eq!((self.ledger.holds(), account.committed), (0, account.spent));
    }
}

impl Answered {
    /// Each task's status and reason.
    pub(super) fn ends(&self) -> Vec<(Status, Option<Reason>)> {
        let results = self.body.results.as_ref().unwrap();
        results.iter().map(|result| (result.status, result.reason)).collect()
    }

    pub(super) fn whole(&self) -> (Status, Option<Reason>) {
        (self.body.whole.status, self.body.whole.reason)
    }

    pub(super) fn count(&self, name: &str) -> f64 {
        let is_it = |datum: &&Published| datum.name == name && datum.dimensions.is_empty();
        self.data.iter().filter(is_it).map(|datum| datum.value).sum()
    }
}
