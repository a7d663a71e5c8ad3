//! Stand-ins for the ports, and a policy, for this crate's tests.

mod cast;
mod circuits;
mod ledger;
mod supervisor;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use cast::{Cast, Does};
pub(crate) use circuits::{InMemoryCircuits, RecordingLog};
pub(crate) use ledger::InMemoryLedger;
pub(crate) use supervisor::{
    Decides, FIRST_WORD, FrontDoubles, InMemoryTurns, RoundSent, ScriptedSupervisor, ask,
};

use crate::charge::{Charge, Usage};
use crate::circuit::Circuits;
use crate::ids::RootSession;
use crate::invocation::{Attempt, InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{Account, Limits};
use crate::metrics::{Batch, Datum, MetricsSink};
use crate::policy::{AgentAlias, AgentRef, Mistake, Policy};
use crate::ports::Ports;
use crate::stop::Stop;
use crate::trace::TraceParent;
use crate::units::{Clock, Moment, Timestamp, TokenUse};
use crate::wire::caller::{Attributes, Caller};

const POLICY: &str = r#"
[routing]
fallback = "general"

[session]
max_steps = 12
max_tokens = 80_000
max_cost_usd = 0.50
max_handoffs = 2
max_turns_per_specialist = 3

[specialists.billing]
agent = "BILLING/LIVE"
description = "refunds"
intents = ["refund"]
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }

[specialists.orders]
agent = "ORDERS/LIVE"
description = "orders"
circuit = { sessions = 1 }
intents = ["delivery"]
fallback = ["support", "general"]
requires_verified_identity = false
max_tokens_per_call = 8000
unknown_usage_tokens = 6000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }

[specialists.support]
agent = "SUPPORT/LIVE"
degraded_agent = "CHEAP/LIVE"
description = "accounts"
requires_verified_identity = true
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }

[specialists.general]
agent = "GENERAL/LIVE"
description = "everything else"
requires_verified_identity = false
max_tokens_per_call = 4000
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }
"#;

/// Billing and support serve verified users only; orders falls back to support, then general.
pub(crate) fn policy() -> Policy {
    Policy::parse(POLICY, Some(&BTreeMap::new())).unwrap()
}

/// The same policy, where orders may take half a minute.
pub(crate) fn policy_with_slow_orders() -> Policy {
    policy_plus("timeout_ms = 30_000", "")
}

/// The same policy with another line for orders, and more tables.
pub(crate) fn policy_plus(of_orders: &str, more: &str) -> Policy {
    let orders = "[specialists.orders]\n";
    let text = POLICY.replace(orders, &format!("{orders}{of_orders}\n"));
    Policy::parse(&format!("{text}\n{more}"), Some(&BTreeMap::new())).unwrap()
}

/// The same policy with more tables.
pub(crate) fn policy_with(more: &str) -> Result<Policy, Vec<Mistake>> {
    Policy::parse(&format!("{POLICY}\n{more}"), Some(&BTreeMap::new()))
}

/// A caller in session `s` of whom nothing is verified.
pub(crate) fn caller() -> Caller {
    let session_id = || RootSession::parse("sessionId", "s");
    Caller::from_attributes(Attributes::new(), session_id).unwrap()
}

/// The same caller, whose identity the application has verified.
pub(crate) fn verified_caller() -> Caller {
    Caller { identity_verified: true, ..caller() }
}

/// The account of a session that has used nothing.
pub(crate) fn account() -> Account {
    Account { limits: Limits::from(&policy().session), ..Account::default() }
}

/// Makes one call of a port panic, whichever port it is of: the calls are counted together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trap(Arc<AtomicU64>);

impl Trap {
    /// Springs at the `call`th call, from 1.
    pub(crate) fn at(call: u64) -> Self {
        Self(Arc::new(AtomicU64::new(call)))
    }

    /// How many calls there would have been to go.
    pub(crate) fn left(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A call of the port that is named.
    fn pass(&self, port: &str) {
        let left = self.0.load(Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), Ordering::SeqCst);
        assert!(left != 1, "the trap in {port}");
    }
}

/// A clock that moves while a port works, and may be set back.
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    passed: AtomicU64,
    set_back: AtomicU64,
}

impl ManualClock {
    pub(crate) fn advance(&self, duration: Duration) {
        self.passed.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, duration: Duration) {
        self.set_back.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.passed.load(Ordering::SeqCst) - self.set_back.load(Ordering::SeqCst))
    }

    fn moment(&self) -> Moment {
        Moment(Duration::from_millis(self.passed.load(Ordering::SeqCst)))
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// One scripted outcome and the time that it takes.
pub(crate) struct Scripted {
    /// The task is stopped meanwhile.
    stop: Option<Stop>,
    agent: &'static str,
    takes: Duration,
    outcome: Outcome,
}

/// The agent answers, with 300 input and 40 output tokens reported.
pub(crate) fn answers(agent: &'static str, text: &str) -> Scripted {
    let usage = Usage::Reported(TokenUse::new(300, 40));
    scripted(agent, Outcome::new(Ok(text.to_owned()), usage))
}

/// The agent fails, after it may have run.
pub(crate) fn fails(agent: &'static str, error: InvokeError) -> Scripted {
    scripted(agent, Outcome::new(Err(error), Usage::UNKNOWN))
}

/// The agent's service turns the request down before anything runs.
pub(crate) fn turns_down(agent: &'static str, error: InvokeError) -> Scripted {
    scripted(agent, Outcome::new(Err(error), Usage::NotRun))
}

/// The agent does the same after a time.
pub(crate) fn after(takes: Duration, scripted: Scripted) -> Scripted {
    Scripted { takes, ..scripted }
}

fn scripted(agent: &'static str, outcome: Outcome) -> Scripted {
    Scripted { stop: None, agent, takes: Duration::from_millis(100), outcome }
}

/// The task is stopped while the agent does the same.
pub(crate) fn stops(stop: &Stop, scripted: Scripted) -> Scripted {
    Scripted { stop: Some(stop.clone()), ..scripted }
}

/// What a specialist was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) agent: String,
    pub(crate) session_id: String,
    pub(crate) attributes: Attributes,
    pub(crate) scratchpad: Attributes,
    pub(crate) request: String,
    pub(crate) timeout: Duration,
    pub(crate) trace: Option<TraceParent>,
}

impl From<&Attempt<'_>> for Sent {
    fn from(attempt: &Attempt<'_>) -> Self {
        let agent = match attempt.agent {
            AgentRef::Bedrock(AgentAlias { agent_id, .. }) => agent_id.clone(),
            other => other.id().to_owned(),
        };
        Self {
            agent,
            session_id: attempt.session_id.to_owned(),
            attributes: attempt.attributes.clone(),
            scratchpad: attempt.scratchpad.clone(),
            request: attempt.request.to_owned(),
            timeout: attempt.timeout,
            trace: attempt.trace,
        }
    }
}

/// Agents that do as they are told, in order.
pub(crate) struct ScriptedInvoker<'c> {
    clock: &'c ManualClock,
    pub(crate) trap: Trap,
    script: Mutex<VecDeque<Scripted>>,
    sent: Mutex<Vec<Sent>>,
}

impl<'c> ScriptedInvoker<'c> {
    pub(crate) fn new(clock: &'c ManualClock, script: impl IntoIterator<Item = Scripted>) -> Self {
        let script = Mutex::new(script.into_iter().collect());
        Self { clock, trap: Trap::default(), script, sent: Mutex::default() }
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Whose agents were called, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.agent).collect()
    }
}

impl SpecialistInvoker for ScriptedInvoker<'_> {
    async fn invoke(&self, attempt: &Attempt<'_>) -> Outcome {
        self.trap.pass("invoke");
        let AgentRef::Bedrock(AgentAlias { agent_id, .. }) = attempt.agent else {
            panic!("the doubles' policy has Bedrock agents only")
        };
        self.sent.lock().unwrap().push(Sent::from(attempt));
        let next = self.script.lock().unwrap().pop_front().expect("a call that is in the script");
        assert_eq!(next.agent, *agent_id);
        self.clock.advance(next.takes);
        next.stop.iter().for_each(Stop::stop);
        next.outcome
    }
}

/// Keeps what is published.
#[derive(Debug, Default)]
pub(crate) struct RecordingSink {
    pub(crate) trap: Trap,
    batches: Mutex<Vec<Vec<Published>>>,
}

/// A datum that was published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    /// Each as `name=value`.
    pub(crate) dimensions: Vec<String>,
}

impl From<&Datum<'_>> for Published {
    fn from(datum: &Datum<'_>) -> Self {
        let shown = |(name, value): &(&str, _)| format!("{name}={value}");
        let dimensions = datum.dimensions.iter().map(shown).collect();
        Self { name: datum.name, value: datum.value, dimensions }
    }
}

impl RecordingSink {
    pub(crate) fn batches(&self) -> Vec<Vec<Published>> {
        self.batches.lock().unwrap().clone()
    }
}

impl MetricsSink for RecordingSink {
    async fn publish(&self, batch: &Batch<'_>, _within: Duration) {
        self.trap.pass("publish");
        self.batches.lock().unwrap().push(batch.data.iter().map(Published::from).collect());
    }
}

/// All ports, as a test has them.
pub(crate) struct Doubles<'d, I> {
    pub(crate) ledger: &'d InMemoryLedger,
    pub(crate) invoker: &'d I,
    pub(crate) circuits: &'d Circuits<InMemoryCircuits>,
    pub(crate) incidents: &'d RecordingLog,
    pub(crate) metrics: &'d RecordingSink,
    pub(crate) clock: &'d ManualClock,
}

impl<I: SpecialistInvoker> Ports for Doubles<'_, I> {
    type Ledger = InMemoryLedger;
    type Invoker = I;
    type Circuits = InMemoryCircuits;
    type Scratchpad = InMemoryLedger;
    type Escalations = InMemoryLedger;
    type Incidents = RecordingLog;
    type Metrics = RecordingSink;
    type Clock = ManualClock;

    fn ledger(&self) -> &InMemoryLedger {
        self.ledger
    }

    fn invoker(&self) -> &I {
        self.invoker
    }

    fn circuits(&self) -> &Circuits<InMemoryCircuits> {
        self.circuits
    }

    fn scratchpad(&self) -> &InMemoryLedger {
        self.ledger
    }

    fn escalations(&self) -> &InMemoryLedger {
        self.ledger
    }

    fn incidents(&self) -> &RecordingLog {
        self.incidents
    }

    fn metrics(&self) -> &RecordingSink {
        self.metrics
    }

    fn clock(&self) -> &ManualClock {
        self.clock
    }
}

/// What a failed invocation of orders is charged: its `unknown_usage_tokens`.
pub(crate) fn unknown_usage_of_orders() -> Charge {
    Charge::of(policy().find("orders").unwrap(), &Usage::UNKNOWN)
}
