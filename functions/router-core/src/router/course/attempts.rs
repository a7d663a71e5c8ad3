//! The attempts of one invocation: each limited in time, covered by a hold, charged, and
//! weighed for the circuit.

use std::time::Duration;

use futures_util::future::join;
use tracing::{Instrument, Span, error, field, info_span, warn};

use super::asking::{Granted, TakenHold, owner};
use super::{Course, Progress};
use crate::causes::chain;
use crate::circuit::{Admission, CircuitStore, Verdict};
use crate::deadline;
use crate::invocation::{Attempt, Charge, InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{HoldId, Ledger, Purpose, ReserveError};
use crate::metrics::InvocationMetrics;
use crate::policy::{OnLedgerFailure, Specialist};
use crate::reply::Reason;
use crate::retry;
use crate::router::answer::Answer;
use crate::router::{Request, Router, spans};
use crate::session::{Lane, specialist_session_id};
use crate::trace::{Scope, key};
use crate::units::{Clock, MicroUsd, Timestamp, TokenUse};

/// An invocation that is under way.
struct Running {
    /// The identity of the hold that pays for the next attempt.
    id: HoldId,
    /// That hold; `None` when nobody counts, or when there was no room for another one.
    hold: Option<TakenHold>,
    /// What was used of that hold.
    used_of_hold: Charge,
    lane: Lane,
    is_degraded: bool,
    /// Whether it may still move to the lane beside.
    may_move: bool,
    /// When its time is up.
    until: Timestamp,
    /// When the next attempt must have ended, since it is a probe.
    probe_until: Timestamp,
    /// When the last attempt ended.
    ended: Timestamp,
    /// Attempts made.
    attempts: u64,
    /// How many of them were tried again for an error that may pass.
    retries: u64,
    throttled: u64,
    /// What all attempts reported together, and what that part of them costs.
    reported: TokenUse,
    reported_cost: MicroUsd,
    used: Charge,
}

impl Running {
    fn begin(granted: Granted, until: Timestamp) -> Self {
        let Granted { id, hold, lane, until: probe_until, is_degraded } = granted;
        Self {
            id,
            hold,
            probe_until,
            ended: Timestamp(0),
            used_of_hold: Charge::default(),
            lane,
            is_degraded,
            may_move: true,
            until,
            attempts: 0,
            retries: 0,
            throttled: 0,
            reported: TokenUse::default(),
            reported_cost: MicroUsd(0),
            used: Charge::default(),
        }
    }

    /// Adds an attempt up.
    fn take(&mut self, specialist: &Specialist, outcome: &Outcome) {
        let is_throttled =
            matches!(&outcome.result, Err(error) if error.reason() == Reason::Throttled);
        self.used_of_hold = Charge::of(specialist, &outcome.usage);
        self.used = self.used.plus(self.used_of_hold);
        self.reported = self.reported.plus(outcome.usage.reported());
        let cost = Charge::of_reported(specialist, &outcome.usage).cost;
        self.reported_cost = MicroUsd(self.reported_cost.0.saturating_add(cost.0));
        self.throttled += u64::from(is_throttled);
    }

    /// The attempt that is under way or comes next, as its circuit knows it.
    fn owner(&self) -> String {
        owner(&self.id, self.attempts)
    }
}

impl<'r, L, I, K, C> Course<'r, L, I, K, C>
where
    L: Ledger,
    I: SpecialistInvoker,
    K: CircuitStore,
    C: Clock,
{
    /// Invokes the specialist, within `window`, until it answers or another attempt would not
    /// help, and notes down what it cost, whatever comes of it.
    pub(super) async fn invoke(
        &mut self,
        specialist: &'r Specialist,
        granted: Granted,
        window: Duration,
    ) -> Progress {
        let started = self.router.clock.now();
        let mut running = Running::begin(granted, started.after(window));
        let outcome = self.attempt_until_final(specialist, &mut running).await;
        let latency = running.ended.since(started);
        let generation = running.lane.generation;
        if let Some(hold) = running.hold.take() {
            self.charge(specialist, running.id.clone(), hold, running.used_of_hold);
            let is_left = outcome.result.as_ref().is_err_and(InvokeError::may_still_run);
            if let Some(unsettled) = self.unsettled.as_mut().filter(|_| is_left) {
                unsettled.left = Some(running.lane);
            }
        }
        let (progress, failure) = self.judge(specialist, outcome);
        if let Progress::Answered(answer) = &progress {
            self.router.retries.succeeded(&specialist.name, running.retries);
            self.keep(specialist, generation, answer);
        }
        let span = Span::current();
        span.record("attempts", running.attempts);
        span.record("input_tokens", running.reported.all_input().0);
        span.record("output_tokens", running.reported.all_output().0);
        span.record("cost_micro_usd", running.used.cost.0);
        span.record("outcome", failure.map_or("answered", Reason::as_str));
        let invocation = InvocationMetrics {
            specialist: specialist.name.clone(),
            failed: failure.is_some_and(|reason| reason != Reason::OutOfScope),
            attempts: running.attempts,
            throttled_attempts: running.throttled,
            is_slow: latency > specialist.circuit.slow_call,
            started,
            latency,
            used: running.reported,
            reported_cost: running.reported_cost,
            cost: running.used.cost,
        };
        spans::invoked(self.trace, &invocation, failure);
        if let Some(reason) = failure {
            self.note_incident(reason, &invocation);
        }
        self.metrics.invocations.push(invocation);
        progress
    }

    /// Makes attempts until the last one's outcome is the invocation's.
    async fn attempt_until_final(
        &mut self,
        specialist: &'r Specialist,
        running: &mut Running,
    ) -> Outcome {
        loop {
            let started = self.router.clock.now();
            let timeout = specialist.timeout.min(running.until.since(started));
            let timeout = timeout.min(running.probe_until.since(started));
            running.attempts += 1;
            self.attempts += 1;
            let span = info_span!(
                "attempt",
                specialist.name = %specialist.name,
                attempt = running.attempts,
                timeout_ms = timeout.as_millis() as u64,
                input_tokens = field::Empty,
                output_tokens = field::Empty,
                cost_micro_usd = field::Empty,
                outcome = field::Empty,
            );
            let trace = spans::attempt(self.trace, specialist, running.attempts, started);
            let attempting = self.attempt(specialist, running, timeout, trace);
            let mut outcome = attempting.instrument(span.clone()).await;
            running.ended = self.router.clock.now();
            running.take(specialist, &outcome);
            record(&span, &outcome, running.used_of_hold);
            spans::attempted(trace, &mut outcome, running.used_of_hold, running.ended);
            let verdict = verdict(specialist, &outcome, running.ended.since(started));
            self.report(specialist, &running.owner(), verdict).await;
            let is_final = match &outcome.result {
                Ok(_) => true,
                Err(error) => {
                    let again = self.prepare_another(specialist, running, error);
                    !again.instrument(span).await
                }
            };
            if is_final {
                return outcome;
            }
        }
    }

    async fn attempt(
        &self,
        specialist: &Specialist,
        running: &Running,
        timeout: Duration,
        trace: Scope<'_>,
    ) -> Outcome {
        let Request { caller, task, .. } = self.request;
        let cheaper = specialist.degraded_agent.as_ref().filter(|_| running.is_degraded);
        let agent = cheaper.unwrap_or(&specialist.agent);
        trace.note(|| [(key::AGENT_ID, agent.id().to_owned().into())]);
        let attempt = Attempt {
            agent,
            session_id: &specialist_session_id(&caller.root, &specialist.name, running.lane),
            attributes: &caller.forwarded_attributes(),
            request: &task.request,
            timeout,
            idle_timeout: specialist.idle_timeout,
            max_tokens: specialist.max_tokens_per_call,
            wants_steps: trace.is_on(),
        };
        self.router.invoker.invoke(&attempt).await
    }

    /// Waits and makes sure that another attempt is covered, if there is to be one after
    /// `error`. Somebody else in the specialist's session moves the invocation to the lane
    /// beside, once; that is no retry.
    async fn prepare_another(
        &mut self,
        specialist: &'r Specialist,
        running: &mut Running,
        error: &InvokeError,
    ) -> bool {
        let moves = matches!(error, InvokeError::Conflict) && running.may_move;
        let retries = error.may_pass() && running.retries + 1 < specialist.retry.max_attempts;
        let delay = if retries {
            let retry = running.retries + 1;
            retry::backoff(&specialist.retry, retry, retry::chance(&running.id, retry))
        } else {
            Duration::ZERO
        };
        if !(moves || retries) || !self.is_time_for_another(running, delay) {
            return false;
        }
        if retries && !self.router.retries.take(&specialist.name) {
            warn!(specialist.name = %specialist.name, "no retry: too many were needed lately");
            return false;
        }
        if moves {
            running.lane = running.lane.beside();
            running.may_move = false;
        }
        let goes = self.make_ready(specialist, running, delay).await;
        if goes {
            warn!(error = chain(error), "trying again");
            running.retries += u64::from(retries);
        } else if retries {
            self.router.retries.put_back(&specialist.name);
        }
        goes
    }

    /// Waits for `delay` and gets what another attempt needs: the word of its circuit, a whole
    /// hold, and time.
    async fn make_ready(
        &mut self,
        specialist: &'r Specialist,
        running: &mut Running,
        delay: Duration,
    ) -> bool {
        let is_covered = running.hold.is_none() || running.used_of_hold == Charge::default();
        let id = if is_covered { running.id.clone() } else { self.next_hold() };
        let next = owner(&id, running.attempts + 1);
        // A circuit that has opened meanwhile, perhaps by this very failure, ends it.
        let Admission::Pass { until } = self.admit(specialist, &next).await else { return false };
        running.probe_until = until;
        let mut goes = true;
        if is_covered {
            self.router.clock.sleep(delay).await;
        } else {
            goes = self.renew_hold(specialist, running, id, delay).await;
        }
        goes &= self.is_time_for_another(running, Duration::ZERO);
        if !goes {
            self.withdraw(specialist, &next).await;
        }
        goes
    }

    fn is_time_for_another(&self, running: &Running, delay: Duration) -> bool {
        let until = running.until.min(running.probe_until);
        let left = until.since(self.router.clock.now()).saturating_sub(delay);
        left >= deadline::SHORTEST_ATTEMPT
    }

    /// Waits for `delay` while the hold is settled at what was used of it, and takes another one
    /// for the next attempt, so that all attempts together never use more than was reserved. All
    /// that within the invocation's own time: others may have to be asked after it. Returns
    /// whether another attempt may be made.
    async fn renew_hold(
        &mut self,
        specialist: &'r Specialist,
        running: &mut Running,
        id: HoldId,
        delay: Duration,
    ) -> bool {
        if let Some(hold) = running.hold.take() {
            self.charge(specialist, running.id.clone(), hold, running.used_of_hold);
        }
        running.used_of_hold = Charge::default();
        let Router { ledger, clock, .. } = *self.router;
        let unsettled = self.unsettled.take();
        let within = running.until.since(clock.now());
        let settling = async {
            if let Some(unsettled) = &unsettled {
                let session = &self.request.caller.root;
                unsettled.settle(ledger, session, within, self.trace, clock).await;
            }
        };
        join(clock.sleep(delay), settling).await;
        let within = running.until.since(clock.now());
        match self.take_hold(specialist, &id, Purpose::Retry, within).await {
            Ok(hold) => {
                running.id = id;
                // Somebody else may have taken the lane while nothing was held.
                let has_moved = !running.may_move;
                running.lane = if has_moved { hold.lane.beside() } else { hold.lane };
                running.hold =
                    Some(TakenHold { held: Charge::hold(specialist), stale: hold.stale });
                true
            }
            Err(error @ ReserveError::Unavailable(_))
                if self.router.policy.session.on_ledger_failure == OnLedgerFailure::Allow =>
            {
                error!(error = chain(&error), "the attempt goes uncounted");
                running.id = id;
                true
            }
            Err(error) => {
                warn!(error = chain(&error), "no retry: nothing would pay for it");
                false
            }
        }
    }

    /// Notes down what is to be settled, and says so where it is more than was held.
    pub(super) fn charge(
        &mut self,
        specialist: &Specialist,
        id: HoldId,
        hold: TakenHold,
        used: Charge,
    ) {
        let held = hold.held;
        self.account = self.account.map(|account| account.settled(held, used));
        if used.tokens > held.tokens || used.cost > held.cost {
            warn!(
                held_tokens = held.tokens.0,
                used_tokens = used.tokens.0,
                held_micro_usd = held.cost.0,
                used_micro_usd = used.cost.0,
                "the invocation used more than its hold"
            );
        }
        self.unsettled = Some(hold.unsettled(id, &specialist.name, used));
    }
}

/// What an attempt that took `took` says of the specialist's health. An answer that came too
/// late is one all the same, and yet a sign of trouble.
fn verdict(specialist: &Specialist, outcome: &Outcome, took: Duration) -> Verdict {
    let slow_call = specialist.circuit.slow_call;
    match &outcome.result {
        Ok(text) if Answer::is_empty(text) => Verdict::Failing,
        Ok(_) if took > slow_call => Verdict::Failing,
        Ok(_) => Verdict::Healthy,
        Err(error) => error.verdict(slow_call),
    }
}

fn record(span: &Span, outcome: &Outcome, charge: Charge) {
    let used = outcome.usage.reported();
    span.record("input_tokens", used.all_input().0);
    span.record("output_tokens", used.all_output().0);
    span.record("cost_micro_usd", charge.cost.0);
    let reason = match &outcome.result {
        Ok(text) if Answer::is_empty(text) => Some(Reason::EmptyAnswer),
        Ok(_) => None,
        Err(error) => Some(error.reason()),
    };
    span.record("outcome", reason.map_or("answered", Reason::as_str));
}
