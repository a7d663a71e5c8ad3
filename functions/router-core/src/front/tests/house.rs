//! A front door where requests are answered one after the other, and what they leave behind.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::circuit::Circuits;
use crate::doubles::{
    Before, Cast, Decides, Does, Doubles, FrontDoubles, InMemoryCircuits, InMemoryLedger,
    InMemoryTurns, ManualClock, Published, RecordingLog, RecordingSink, RoundSent,
    ScriptedSupervisor, Sent, policy_with,
};
use crate::front::{Answered, Done, FrontDoor, Question, Told};
use crate::handler::LambdaRequest;
use crate::incident::Incident;
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::retry::RetryBudget;
use crate::units::Clock;

/// What is left behind between requests.
pub(super) struct House {
    pub(super) policy: Policy,
    pub(super) ledger: InMemoryLedger,
    pub(super) circuits: Circuits<InMemoryCircuits>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) memory: InMemoryTurns,
    pub(super) before: Before,
    requests: AtomicU64,
}

/// What came of a request.
pub(super) struct Came {
    pub(super) done: Done,
    /// The events, each as its name and data.
    pub(super) told: Vec<String>,
    /// The holds that there were when the end was told.
    pub(super) held_at_end: usize,
    pub(super) rounds: Vec<RoundSent>,
    pub(super) sent: Vec<Sent>,
    pub(super) data: Vec<Published>,
    pub(super) incidents: Vec<Incident>,
}

impl House {
    /// A front door whose supervisor is a plain model, with more lines for it.
    pub(super) fn of_model(more: &str) -> Self {
        Self::of("model:anthropic.claude", more)
    }

    pub(super) fn of(agent: &str, more: &str) -> Self {
        let policy = policy_with(&format!(
            "[supervisor]\nagent = \"{agent}\"\nmax_tokens_per_call = 4000\n\
             circuit = {{ sessions = 1 }}\n{more}\n\
             price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }}"
        ));
        Self {
            policy: policy.unwrap(),
            ledger: InMemoryLedger::default(),
            circuits: Circuits::default(),
            clock: Arc::default(),
            memory: InMemoryTurns::default(),
            before: Before::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Answers what a verified user says in session `s`.
    pub(super) async fn says(
        &self,
        input: &str,
        script: impl IntoIterator<Item = Decides>,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Came {
        let attributes = json!({ "identity_verified": "true" });
        let request = json!({ "input": input, "session_id": "s", "attributes": attributes });
        self.serves(&request, script, agents).await
    }

    pub(super) async fn serves(
        &self,
        request: &Value,
        script: impl IntoIterator<Item = Decides>,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Came {
        let supervisor = ScriptedSupervisor::new(&self.clock, script);
        self.serves_by(&supervisor, request, agents).await
    }

    pub(super) async fn serves_by(
        &self,
        supervisor: &ScriptedSupervisor<'_>,
        request: &Value,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Came {
        let invoker = Cast::new(&self.clock, agents);
        let (metrics, incidents) = (RecordingSink::default(), RecordingLog::default());
        let ports = FrontDoubles {
            ports: Doubles {
                ledger: &self.ledger,
                invoker: &invoker,
                circuits: &self.circuits,
                incidents: &incidents,
                metrics: &metrics,
                clock: &self.clock,
            },
            supervisor,
            memory: &self.memory,
            before: &self.before,
        };
        let retries = RetryBudget::default();
        let door = FrontDoor { policy: &self.policy, ports: &ports, retries: &retries };
        let request_of_lambda = LambdaRequest {
            id: "r-1",
            execution: self.requests.fetch_add(1, Ordering::SeqCst),
            deadline: self.clock.now().after(Duration::from_secs(120)),
            cold_start: None,
            function_version: None,
            is_traced: false,
        };
        let (events, held_at_end) = (Mutex::new(Vec::new()), AtomicUsize::new(usize::MAX));
        let question = Question::read(request.to_string().as_bytes());
        let tell = |told: Told<'_>| {
            if let Told::Done(_) = told {
                held_at_end.store(self.ledger.holds(), Ordering::SeqCst);
            }
            let (name, data) = told.event();
            events.lock().unwrap().push(format!("{name} {data}"));
        };
        let answering = door.answer(&question, request_of_lambda, &tell);
        let Answered { done, .. } = answering.await;
        for words_for_a_model in ["specialist", "the user", "`"] {
            let message = done.message.as_deref().unwrap_or_default();
            let is_of_the_request = message.starts_with("`input`");
            assert!(is_of_the_request || !message.contains(words_for_a_model), "{message}");
        }
        Came {
            done,
            told: events.into_inner().unwrap(),
            held_at_end: held_at_end.into_inner(),
            rounds: supervisor.sent(),
            sent: invoker.sent(),
            data: metrics.batches().into_iter().flatten().collect(),
            incidents: incidents.incidents(),
        }
    }

    /// The rule of the ledger after any request: nothing is held, and what is committed is spent.
    pub(super) fn assert_settled(&self) {
        let account = self.ledger.account();
        assert_eq!((self.ledger.holds(), account.committed), (0, account.spent));
    }
}

impl Came {
    pub(super) fn end(&self) -> (Status, Option<Reason>) {
        (self.done.status, self.done.reason)
    }

    pub(super) fn answer(&self) -> &str {
        self.done.answer.as_deref().unwrap_or_default()
    }

    /// The sum of a metric, where it is watched by this dimension or else by none.
    pub(super) fn metric(&self, name: &str, dimension: Option<&str>) -> Vec<f64> {
        let dimensions: Vec<String> = dimension.into_iter().map(str::to_owned).collect();
        let is_it = |datum: &&Published| datum.name == name && datum.dimensions == dimensions;
        self.data.iter().filter(is_it).map(|datum| datum.value).collect()
    }
}
