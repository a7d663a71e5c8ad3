//! Stand-ins for the ports, and a policy, for this crate's tests.

mod circuits;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use circuits::{InMemoryCircuits, RecordingLog};

use crate::charge::{Charge, Usage};
use crate::circuit::Circuits;
use crate::ids::{Fingerprint, HoldId, Lane, RootSession, Tenant, UserMark};
use crate::invocation::{Attempt, InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{
    Account, HoldRequest, Holds, Ledger, Limits, Payer, Purpose, Recalled, Repeat, Reservation,
    ReserveError, SettleError, Settlement,
};
use crate::metrics::{Batch, Datum, MetricsSink};
use crate::policy::{AgentAlias, AgentRef, Policy, SessionLimits};
use crate::ports::Ports;
use crate::stop::Stop;
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
    let orders = "[specialists.orders]\n";
    let text = POLICY.replace(orders, &format!("{orders}timeout_ms = 30_000\n"));
    Policy::parse(&text, Some(&BTreeMap::new())).unwrap()
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

/// A ledger in memory that keeps holds as the table does.
#[derive(Debug, Default)]
pub(crate) struct InMemoryLedger {
    is_down: bool,
    /// Whether settlements go unanswered, and so do not happen.
    loses_settlements: bool,
    pub(crate) trap: Trap,
    settlements: AtomicU64,
    sessions: Mutex<HashMap<String, SessionItem>>,
}

#[derive(Debug, Default)]
struct SessionItem {
    account: Account,
    tenant: Option<Tenant>,
    user: Option<UserMark>,
    turns: HashMap<String, u64>,
    /// How often the lane of a specialist was left.
    left: HashMap<String, u64>,
    holds: Vec<(HoldId, String, Lane)>,
    settled: Vec<HoldId>,
    seen: HashMap<Fingerprint, u64>,
    kept: HashMap<(Fingerprint, String), (String, Timestamp)>,
}

impl InMemoryLedger {
    pub(crate) fn with(account: Account) -> Self {
        let item = SessionItem { account, ..SessionItem::default() };
        Self { sessions: Mutex::new(HashMap::from([("s".to_owned(), item)])), ..Self::default() }
    }

    pub(crate) fn that_is_down() -> Self {
        Self { is_down: true, ..Self::default() }
    }

    pub(crate) fn that_loses_settlements() -> Self {
        Self { loses_settlements: true, ..Self::default() }
    }

    pub(crate) fn account(&self) -> Account {
        self.sessions.lock().unwrap().get("s").map_or_else(account, |item| item.account)
    }

    /// How many settlements were asked for that were answered.
    pub(crate) fn settlements(&self) -> u64 {
        self.settlements.load(Ordering::SeqCst)
    }

    pub(crate) fn holds(&self) -> usize {
        self.sessions.lock().unwrap().get("s").map_or(0, |item| item.holds.len())
    }
}

impl SessionItem {
    fn take(&mut self, hold: &HoldRequest<'_>, limits: &SessionLimits) -> Lane {
        let specialist = hold.specialist.as_str().to_owned();
        if let Some(fingerprint) = hold.fingerprint {
            *self.seen.entry(fingerprint.clone()).or_default() += 1;
        }
        self.account.steps += hold.purpose.steps();
        self.account.handoffs += hold.purpose.handoffs();
        self.account.committed = self.account.committed.plus(hold.ask);
        let turns = self.turns.entry(specialist.clone()).or_default();
        *turns += hold.purpose.steps();
        let generation = turns.saturating_sub(1) / limits.max_turns_per_specialist;
        let is_occupied = self.holds.iter().any(|(_, holder, _)| *holder == specialist);
        let is_retry = hold.purpose == Purpose::Retry;
        let unique = if is_retry { 1 << 63 } else { self.account.steps };
        let home = Lane::home(self.left.get(&specialist).copied().unwrap_or_default());
        let lane = Lane { generation, number: Lane::number_of(unique, home, is_occupied) };
        self.holds.push((hold.id.clone(), specialist, lane));
        lane
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        let Some(held) = self.holds.iter().position(|(id, ..)| id == settlement.id) else {
            return;
        };
        let (_, specialist, _) = self.holds.remove(held);
        if let Some(times_left) = settlement.left.and_then(Lane::times_left_now) {
            self.left.insert(specialist, times_left);
        }
        self.settled.push(settlement.id.clone());
        self.account = self.account.settled(settlement.held, settlement.used);
    }
}

impl Ledger for InMemoryLedger {
    async fn reserve(
        &self,
        reservation: &Reservation<'_>,
        _within: Duration,
    ) -> Result<Holds, ReserveError> {
        self.trap.pass("reserve");
        if self.is_down {
            return Err(ReserveError::Unavailable("the table is down".into()));
        }
        let mut sessions = self.sessions.lock().unwrap();
        let Payer { session, limits, tenant, user, .. } = reservation.payer;
        let item = sessions.entry(session.as_str().to_owned()).or_default();
        if item.tenant.as_ref().is_some_and(|owner| owner != tenant) {
            return Err(ReserveError::OtherTenant);
        }
        if item.user.is_some() && item.user.as_ref() != user {
            return Err(ReserveError::OtherUser);
        }
        item.account.limits = Limits::from(limits);
        for (fingerprint, asked) in reservation.fingerprints() {
            let times = item.seen.get(fingerprint).copied().unwrap_or_default();
            if limits.max_repeats.is_some_and(|max| times + asked > max) {
                return Err(ReserveError::Repeated { times });
            }
        }
        let held = |id: &HoldId| item.holds.iter().find(|(held, ..)| held == id);
        let found: Option<Vec<Lane>> =
            reservation.holds.iter().map(|hold| held(hold.id).map(|(.., lane)| *lane)).collect();
        let holds = |account, lanes| Holds { account, lanes, expired_holds: 0, stale: Vec::new() };
        if let Some(lanes) = found {
            return Ok(holds(item.account, lanes));
        }
        if let Some(settled) = reservation.holds.iter().find(|hold| item.settled.contains(hold.id))
        {
            return Err(ReserveError::AlreadySettled(settled.id.clone()));
        }
        if let Some(exhausted) = item.account.exhausted_by(&reservation.demand()) {
            return Err(ReserveError::Exhausted(exhausted));
        }
        item.tenant = Some(tenant.clone());
        item.user = user.cloned();
        let lanes = reservation.holds.iter().map(|hold| item.take(hold, limits)).collect();
        Ok(holds(item.account, lanes))
    }

    async fn recall(&self, repeat: &Repeat<'_>, _within: Duration) -> Option<Recalled> {
        let sessions = self.sessions.lock().unwrap();
        let item = sessions.get(repeat.payer.session.as_str())?;
        let kept = item.kept.get(&(repeat.fingerprint.clone(), repeat.identity.to_owned()))?;
        let (answer, until) = kept;
        let answer = (repeat.now < *until).then(|| answer.clone())?;
        Some(Recalled { answer, account: item.account })
    }

    async fn keep(
        &self,
        repeat: &Repeat<'_>,
        _generation: u64,
        answer: &str,
        window: Duration,
        _within: Duration,
    ) -> Result<(), SettleError> {
        let mut sessions = self.sessions.lock().unwrap();
        let item = sessions.entry(repeat.payer.session.as_str().to_owned()).or_default();
        let key = (repeat.fingerprint.clone(), repeat.identity.to_owned());
        item.kept.insert(key, (answer.to_owned(), repeat.now.after(window)));
        Ok(())
    }

    async fn settle(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        _within: Duration,
    ) -> Result<(), SettleError> {
        self.trap.pass("settle");
        if self.loses_settlements {
            return Err(SettleError("the table is down".into()));
        }
        let mut sessions = self.sessions.lock().unwrap();
        let item = sessions.entry(payer.session.as_str().to_owned()).or_default();
        self.settlements.fetch_add(1, Ordering::SeqCst);
        for settlement in settlements {
            item.settle(settlement);
        }
        Ok(())
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
    pub(crate) request: String,
    pub(crate) timeout: Duration,
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
        self.sent.lock().unwrap().push(Sent {
            agent: agent_id.clone(),
            session_id: attempt.session_id.to_owned(),
            attributes: attempt.attributes.clone(),
            request: attempt.request.to_owned(),
            timeout: attempt.timeout,
        });
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
