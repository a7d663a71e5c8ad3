//! A sandbox that tells what came of each event.

use std::ops::Deref;

use serde_json::Value;
use stand_ins::agents::Call;
use stand_ins::lambda::{Invocation, Outcome};
use stand_ins::metrics::Batch;
use stand_ins::{Options, Sandbox};

use super::policy::{Limits, agents_with, policy};
use super::{Account, Ask, account, form_of, reply_mistakes};

/// A running sandbox.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
}

impl Deref for World {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

/// What came of one event.
pub(crate) struct Told {
    /// The reply as it came.
    pub(crate) reply: Value,
    /// Its body.
    pub(crate) body: Value,
    /// The agent calls.
    pub(crate) calls: Vec<Call>,
    /// The metrics.
    pub(crate) batches: Vec<Batch>,
    /// The lines on standard output.
    pub(crate) lines: Vec<String>,
}

impl World {
    /// Starts a sandbox with what is not the default.
    pub(crate) async fn start(options: Options) -> Self {
        Self { sandbox: Sandbox::start(options).await.expect("the sandbox starts") }
    }

    /// Options with the tests' own policy and agents.
    pub(crate) fn options(limits: Limits) -> Options {
        let agents = Some(agents_with([]));
        Options { policy: Some(policy(limits)), agents, ..Options::default() }
    }

    /// A sandbox with the tests' own policy and agents, all well.
    pub(crate) async fn with(limits: Limits) -> Self {
        Self::start(Self::options(limits)).await
    }

    /// Asks, and checks that the reply is one that Bedrock takes. What came of the event is told
    /// by when it arrived, so only one event may be under way.
    pub(crate) async fn ask(&self, ask: &Ask) -> Told {
        self.send(ask.event(), ask.client_context()).await
    }

    /// As [`World::ask`], for an event as it is.
    pub(crate) async fn send(&self, event: Value, client_context: Option<Value>) -> Told {
        let calls = self.agents().calls().len();
        let batches = self.metrics().batches().len();
        let lines = self.logs().len();
        let form = form_of(&event, client_context.as_ref()).expect("the event has a form");
        let invocation = self.invoke(event.to_string(), client_context).await;
        let bytes = response(&invocation);
        let mistakes = reply_mistakes(form, &event, bytes);
        assert!(mistakes.is_empty(), "{mistakes:?} in {}", String::from_utf8_lossy(bytes));
        assert_eq!(self.metrics().refusals(), [""; 0]);
        let reply = invocation.json().unwrap();
        Told {
            body: form.body(&reply).unwrap(),
            reply,
            calls: self.agents().calls().split_off(calls),
            batches: self.metrics().batches().split_off(batches),
            lines: self.logs().split_off(lines),
        }
    }

    /// What the session that pays for this has used; `None` when it has no item.
    pub(crate) async fn account(&self, ask: &Ask) -> Option<Account> {
        account(self, &ask.payer()).await
    }

    /// How many function processes have answered so far: each has one cold start.
    pub(crate) fn cold_starts(&self) -> usize {
        let answered = |line: &&String| {
            line.contains("\"request answered\"") && line.contains("\"cold_start\":true")
        };
        self.logs().iter().filter(answered).count()
    }

    /// Asserts that the process is the one that has answered before, and answers a good event.
    pub(crate) async fn is_still_alive(&self) {
        let before = self.cold_starts();
        let told = self.ask(&Ask::of("general", "Are you there?")).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(self.cold_starts(), before.max(1), "the process has been replaced");
    }
}

/// The bytes of a reply; anything else is a failed test.
fn response(invocation: &Invocation) -> &[u8] {
    match &invocation.outcome {
        Outcome::Response(bytes) => bytes,
        Outcome::FunctionError(error) => panic!("a Lambda error: {error}"),
        Outcome::TimedOut => panic!("no reply came in time"),
    }
}

impl Told {
    /// Status and reason.
    pub(crate) fn outcome(&self) -> (&str, Option<&str>) {
        (self.body["status"].as_str().unwrap(), self.body["reason"].as_str())
    }

    /// The specialists called, in order.
    pub(crate) fn called(&self) -> Vec<&str> {
        self.calls.iter().map(|call| &*call.specialist).collect()
    }

    /// The sum of a metric in one dimension set (`A=x,B=y`); `None` when nothing was published.
    pub(crate) fn metric(&self, name: &str, set: &str) -> Option<f64> {
        let data = self.batches.iter().flat_map(|batch| &batch.data);
        let sums: Vec<f64> = data
            .filter(|datum| datum.name == name && datum.dimension_set() == set)
            .map(|datum| datum.sum())
            .collect();
        (!sums.is_empty()).then(|| sums.iter().sum())
    }

    /// The names of all metrics, sorted, without that of a new process.
    pub(crate) fn metric_names(&self) -> Vec<&str> {
        let data = self.batches.iter().flat_map(|batch| &batch.data);
        let mut names: std::collections::BTreeSet<&str> = data.map(|datum| &*datum.name).collect();
        names.remove("ColdStart");
        names.into_iter().collect()
    }

    /// What is left of the budget: steps, tokens, dollars.
    pub(crate) fn left(&self) -> (u64, u64, f64) {
        let budget = &self.body["budget"];
        let whole = |name: &str| budget[name].as_u64().unwrap();
        (whole("steps_left"), whole("tokens_left"), budget["cost_left_usd"].as_f64().unwrap())
    }

    /// Asserts that nobody was called.
    pub(crate) fn nobody_was_called(&self) {
        assert_eq!(self.called(), [""; 0]);
        assert_eq!(self.metric("SpecialistInvocations", ""), None);
    }
}
