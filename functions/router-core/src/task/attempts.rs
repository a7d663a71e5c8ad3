//! The attempts of one invocation: each limited in time, covered by a hold, charged, and weighed
//! for the circuit.

use std::time::Duration;

use futures_util::future::join;
use tracing::{Instrument, Span, error, field, info_span, warn};

use super::callee::{Call, Callee};
use super::context::{TaskContext, owner};
use crate::budget::purse::{Taken, Wanted};
use crate::charge::Charge;
use crate::circuit::{Admission, Verdict};
use crate::deadline;
use crate::error::chain;
use crate::ids::{HoldId, Lane};
use crate::invocation::{InvokeError, Outcome};
use crate::journal::Fact;
use crate::ledger::{Purpose, ReserveError};
use crate::outcome::Reason;
use crate::policy::{OnLedgerFailure, Retry, Specialist};
use crate::ports::Ports;
use crate::retry;
use crate::trace::{SpanId, TraceId, TraceParent};
use crate::units::{Clock, Timestamp, TokenUse};

/// The right to invoke a specialist once.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The identity of the hold, whether there is one or not.
    pub(crate) id: HoldId,
    /// What is held; `None` when the policy lets invocations go uncounted.
    pub(crate) held: Option<Charge>,
    /// When the hold was asked for; `None` when there is none, and so no session that is known to be
    /// the caller's.
    pub(crate) at: Option<Timestamp>,
    pub(crate) lane: Lane,
    /// When the first attempt must have ended; see [`Admission::Pass`].
    pub(crate) probe_deadline: Timestamp,
    /// Whether so much of the budget is used that the cheaper agent is to answer.
    pub(crate) is_degraded: bool,
}

/// An invocation that is under way.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The identity of the hold that pays for the next attempt.
    id: HoldId,
    /// What is held; `None` when the ledger does not count, or had no room for another hold.
    held: Option<Charge>,
    /// What was used of the hold.
    used: Charge,
    lane: Lane,
    is_degraded: bool,
    /// When the time of all attempts is up.
    window_end: Timestamp,
    /// When the next attempt must have ended, since it is a probe.
    probe_deadline: Timestamp,
    /// Attempts made.
    attempts: u64,
    tried: Tried,
    /// Whether all attempts are made in the lane in which the first is.
    keeps_lane: bool,
    /// What all attempts cost, and the tokens that they reported, for the log.
    cost: Charge,
    reported: TokenUse,
}

/// What was tried already, as far as it decides what is tried next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// Attempts that were made again for an error that may pass.
    pub(super) retries: u64,
    /// Whether the invocation has moved to the lane beside its own.
    pub(super) has_switched: bool,
    /// Whether the specialist was told once that its answer does not fit.
    pub(super) is_corrected: bool,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Another attempt in the same lane, after this time.
    Retry { after: Duration },
    /// Another attempt in the lane beside, at once: another invocation runs in this one.
    SwitchLane,
    /// Another attempt, at once, that is told what does not fit.
    Correct,
    /// The next candidate.
    TryNext,
    /// Nothing: no other specialist may be asked either.
    Stop,
}

/// Decides what follows a failure. `chance` spreads the waits of those that failed together.
pub(super) fn after_failure(
    error: &InvokeError,
    tried: Tried,
    rules: &Retry,
    chance: u64,
) -> AfterFailure {
    if !error.allows_fallback() {
        AfterFailure::Stop
    } else if matches!(error, InvokeError::Conflict) && !tried.has_switched {
        AfterFailure::SwitchLane
    } else if matches!(error, InvokeError::OutputInvalid { .. }) && !tried.is_corrected {
        AfterFailure::Correct
    } else if error.is_retryable() && tried.retries + 1 < rules.max_attempts {
        AfterFailure::Retry { after: retry::backoff(rules, tried.retries + 1, chance) }
    } else {
        AfterFailure::TryNext
    }
}

impl Invocation {
    pub(crate) fn begin(granted: Granted, window_end: Timestamp) -> Self {
        let Granted { id, held, lane, probe_deadline, is_degraded, .. } = granted;
        Self {
            id,
            held,
            used: Charge::default(),
            lane,
            is_degraded,
            window_end,
            probe_deadline,
            attempts: 0,
            tried: Tried::default(),
            keeps_lane: false,
            cost: Charge::default(),
            reported: TokenUse::default(),
        }
    }

    /// The same in a conversation that the request has a seat in, and stays in where it `has_begun`.
    pub(crate) fn in_conversation(mut self, has_begun: bool) -> Self {
        self.keeps_lane = true;
        self.tried.has_switched = has_begun;
        self
    }

    /// The attempt that is under way, as its circuit knows it.
    fn owner(&self) -> String {
        owner(&self.id, self.attempts)
    }
}

impl Invocation {
    /// Invokes the specialist until it answers or another attempt would not help, and notes what
    /// it used, whatever comes of it.
    pub(crate) async fn run<P: Ports, C: Callee<P>>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        callee: &mut C,
    ) -> Result<C::Answer, InvokeError> {
        let result = self.attempt_until_final(context, specialist, callee).await;
        if let Some(held) = self.held.take() {
            let is_left = result.as_ref().is_err_and(InvokeError::may_still_run);
            let left = is_left.then_some(self.lane);
            context.purse().charge(context.place, &self.id, held, self.used, left);
        }
        let failure = match &result {
            Ok(answer) => C::failure(answer),
            Err(error) => Some(error.reason()),
        };
        if failure.is_none() {
            context.request.retries.succeeded(&specialist.name, self.tried.retries);
        }
        let span = Span::current();
        span.record("attempts", self.attempts);
        record(&span, self.reported, self.cost, failure);
        result
    }

    /// The specialist's session in which it answered.
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Makes attempts until the last one's result is the invocation's.
    async fn attempt_until_final<P: Ports, C: Callee<P>>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        callee: &mut C,
    ) -> Result<C::Answer, InvokeError> {
        loop {
            self.attempts += 1;
            let span = info_span!(
                "attempt",
                specialist.name = %specialist.name,
                attempt = self.attempts,
                timeout_ms = field::Empty,
                input_tokens = field::Empty,
                output_tokens = field::Empty,
                cost_micro_usd = field::Empty,
                outcome = field::Empty,
            );
            let attempting = self.attempt(context, specialist, callee);
            let error = match attempting.instrument(span.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !callee.may_be_repeated() {
                return Err(error);
            }
            let preparing = self.prepare_another(context, specialist, &error);
            if !preparing.instrument(span).await {
                return Err(error);
            }
            callee.learn(&error);
        }
    }

    /// Makes one attempt, and notes what it came to.
    async fn attempt<P: Ports, C: Callee<P>>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        callee: &mut C,
    ) -> Result<C::Answer, InvokeError> {
        let (caller, clock) = (context.request.caller, context.request.ports.clock());
        let cheaper = specialist.degraded_agent.as_ref().filter(|_| self.is_degraded);
        let agent = cheaper.unwrap_or(&specialist.agent);
        let started = clock.now();
        let end = self.window_end.min(self.probe_deadline);
        let timeout = specialist.timeout.min(end.since(started));
        Span::current().record("timeout_ms", timeout.as_millis() as u64);
        context.note(Fact::AttemptStarted {
            number: self.attempts,
            hold: self.id.clone(),
            agent: agent.id().to_owned(),
        });
        let trace = context.request.is_traced.then(|| TraceParent {
            trace: TraceId::of(Some(&caller.root), context.request.id),
            span: SpanId::of_attempt(&self.id, self.attempts),
        });
        let call = Call { specialist, agent, lane: self.lane, timeout, trace };
        let Outcome { result, usage, steps } = callee.call(context, &call).await;
        let took = clock.now().since(started);
        let failure = result.as_ref().err().map(InvokeError::reason);
        let charge = Charge::of(specialist, &usage);
        self.used = charge;
        self.cost = self.cost.plus(charge);
        self.reported = self.reported.plus(usage.reported());
        record(&Span::current(), usage.reported(), charge, failure);
        let too_long = match &result {
            Err(InvokeError::TooLong { limit }) => Some(*limit),
            _ => None,
        };
        let reported_cost = Charge::of_reported(specialist, &usage).cost;
        context.note(Fact::AttemptEnded { usage, charge, reported_cost, failure, too_long, steps });
        let verdict = verdict(specialist, &result, took);
        context.report(specialist, &self.owner(), verdict).await;
        result
    }

    /// Waits and makes sure that another attempt is covered, if one is to follow `error`.
    async fn prepare_another<P: Ports>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        error: &InvokeError,
    ) -> bool {
        let tried = self.tried;
        let chance = retry::chance(&self.id, self.attempts);
        match after_failure(error, tried, &specialist.retry, chance) {
            AfterFailure::TryNext | AfterFailure::Stop => false,
            AfterFailure::SwitchLane => {
                if !self.is_time_for_another(context, Duration::ZERO) {
                    return false;
                }
                self.lane = self.lane.sibling();
                self.tried.has_switched = true;
                let goes = self.make_ready(context, specialist, Duration::ZERO).await;
                if goes {
                    warn!(error = chain(error), "trying again in another lane");
                }
                goes
            }
            AfterFailure::Correct => {
                if !self.is_time_for_another(context, Duration::ZERO) {
                    return false;
                }
                self.tried.is_corrected = true;
                let goes = self.make_ready(context, specialist, Duration::ZERO).await;
                if goes {
                    warn!(error = chain(error), "asking for an answer that fits");
                }
                goes
            }
            AfterFailure::Retry { after } => {
                if !self.is_time_for_another(context, after) {
                    return false;
                }
                if !context.request.retries.take(&specialist.name) {
                    warn!(
                        specialist.name = %specialist.name,
                        "no retry: too many were needed lately"
                    );
                    return false;
                }
                let goes = self.make_ready(context, specialist, after).await;
                if goes {
                    warn!(error = chain(error), "trying again");
                    self.tried.retries += 1;
                } else {
                    context.request.retries.put_back(&specialist.name);
                }
                goes
            }
        }
    }

    /// Waits for `delay` and gets what another attempt needs: the word of its circuit, a whole
    /// hold, and time.
    async fn make_ready<P: Ports>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        delay: Duration,
    ) -> bool {
        let is_covered = self.held.is_none() || self.used == Charge::default();
        let id = if is_covered { self.id.clone() } else { context.next_hold() };
        let next = owner(&id, self.attempts + 1);
        // A circuit that has opened meanwhile, perhaps by this very failure, ends it.
        let Admission::Pass { until } = context.admit(specialist, &next).await else {
            return false;
        };
        self.probe_deadline = until;
        let mut goes = true;
        if is_covered {
            context.wait(delay).await;
        } else {
            goes = self.renew_hold(context, specialist, id, delay).await;
        }
        goes &= self.is_time_for_another(context, Duration::ZERO);
        if !goes {
            context.withdraw(specialist, &next).await;
        }
        goes
    }

    fn is_time_for_another<P: Ports>(&self, context: &TaskContext<'_, P>, delay: Duration) -> bool {
        let end = self.window_end.min(self.probe_deadline);
        let left = end.since(context.request.now()).saturating_sub(delay);
        left >= deadline::SHORTEST_ATTEMPT && !context.stop.is_stopped()
    }

    /// Waits for `delay` while the hold is settled at what was used of it, and takes another one
    /// for the next attempt, so that all attempts together never use more than was reserved. All
    /// that within the invocation's own time: other candidates may have to be asked after it.
    /// Returns whether another attempt may be made.
    async fn renew_hold<P: Ports>(
        &mut self,
        context: &TaskContext<'_, P>,
        specialist: &Specialist,
        id: HoldId,
        delay: Duration,
    ) -> bool {
        let purse = context.purse();
        if let Some(held) = self.held.take() {
            purse.charge(context.place, &self.id, held, self.used, None);
        }
        self.used = Charge::default();
        let clock = context.request.ports.clock();
        let within = self.window_end.since(clock.now());
        join(context.wait(delay), purse.settle(Some(context.place), within)).await;
        let within = self.window_end.since(clock.now());
        let prompt = &context.task.prompt;
        let (task, purpose) = (context.place, Purpose::Retry);
        let wanted = Wanted { task, specialist, prompt, id: &id, purpose };
        match purse.take(wanted, None, within).await {
            Ok(Taken { lane, .. }) => {
                self.id = id;
                // Another invocation may have taken the lane while nothing was held.
                if !self.keeps_lane {
                    self.lane = if self.tried.has_switched { lane.sibling() } else { lane };
                }
                self.held = Some(Charge::hold(specialist));
                true
            }
            Err(error @ ReserveError::Unavailable(_))
                if context.request.policy.session.on_ledger_failure == OnLedgerFailure::Allow =>
            {
                error!(error = chain(&error), "the attempt goes uncounted");
                self.id = id;
                true
            }
            Err(error) => {
                warn!(error = chain(&error), "no retry: nothing would pay for it");
                false
            }
        }
    }
}

/// What an attempt that took `took` says of the specialist's health. An answer that came too
/// late is one all the same, and yet a sign of trouble.
fn verdict<T>(specialist: &Specialist, result: &Result<T, InvokeError>, took: Duration) -> Verdict {
    let slow_call = specialist.circuit.slow_call;
    match result {
        Ok(_) if took > slow_call => Verdict::Failing,
        Ok(_) => Verdict::Healthy,
        Err(error) => error.verdict(slow_call),
    }
}

fn record(span: &Span, reported: TokenUse, charge: Charge, failure: Option<Reason>) {
    span.record("input_tokens", reported.all_input().0);
    span.record("output_tokens", reported.all_output().0);
    span.record("cost_micro_usd", charge.cost.0);
    span.record("outcome", failure.map_or("answered", Reason::as_str));
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Retry = Retry {
        max_attempts: 3,
        base_delay: Duration::from_millis(100),
        max_delay: Duration::from_millis(150),
    };

    fn tried(retries: u64, has_switched: bool) -> Tried {
        Tried { retries, has_switched, is_corrected: false }
    }

    fn follows(error: &InvokeError, tried: Tried) -> AfterFailure {
        after_failure(error, tried, &RULES, u64::MAX)
    }

    #[test]
    fn what_may_pass_is_tried_again_until_all_attempts_are_made_and_waits_longer_each_time() {
        let waits = |retries, chance| {
            after_failure(&InvokeError::Throttled, tried(retries, true), &RULES, chance)
        };
        assert_eq!(waits(0, 100_000), AfterFailure::Retry { after: Duration::from_millis(100) });
        assert_eq!(waits(1, 150_000), AfterFailure::Retry { after: Duration::from_millis(150) });
        assert_eq!(waits(2, 0), AfterFailure::TryNext);
    }

    #[test]
    fn a_conflict_switches_the_lane_once_and_is_no_retry() {
        let conflict = InvokeError::Conflict;
        assert_eq!(follows(&conflict, tried(2, false)), AfterFailure::SwitchLane);
        assert_eq!(follows(&conflict, tried(0, true)), AfterFailure::TryNext);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_told_so_once_however_many_retries_there_may_be() {
        let invalid = InvokeError::OutputInvalid { mistakes: Vec::new() };
        assert_eq!(follows(&invalid, tried(9, true)), AfterFailure::Correct);
        let corrected = Tried { is_corrected: true, ..Tried::default() };
        assert_eq!(follows(&invalid, corrected), AfterFailure::TryNext);
    }

    #[test]
    fn what_does_not_pass_leaves_the_request_to_the_next_and_a_guardrail_to_none() {
        assert_eq!(follows(&InvokeError::GaveUp, Tried::default()), AfterFailure::TryNext);
        assert_eq!(follows(&InvokeError::Guardrail, Tried::default()), AfterFailure::Stop);
    }

    #[test]
    fn an_answer_above_the_slow_call_speaks_against_the_specialist_and_one_at_it_does_not() {
        let policy = crate::doubles::policy();
        let orders = policy.find("orders").unwrap();
        let answer = || Ok("there");
        let slow = orders.circuit.slow_call;
        assert_eq!(verdict(orders, &answer(), slow), Verdict::Healthy);
        assert_eq!(verdict(orders, &answer(), slow + Duration::from_millis(1)), Verdict::Failing);
        assert_eq!(
            verdict(orders, &Err::<(), _>(InvokeError::Guardrail), slow * 2),
            Verdict::Healthy
        );
    }
}
