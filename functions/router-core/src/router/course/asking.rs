//! Asking one specialist: under a hold, for a limited time, in a session of its own.

use std::time::Duration;

use tracing::{Span, error, field, info, info_span, warn};

use super::{Course, Next, Progress, Role};
use crate::causes::chain;
use crate::deadline;
use crate::invocation::{Attempt, Charge, InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{
    HOLD_GRACE, Hold, HoldId, Ledger, Limit, Recalled, Repeat, Reservation, ReserveError,
};
use crate::metrics::InvocationMetrics;
use crate::policy::{OnLedgerFailure, Specialist, SpecialistName};
use crate::reply::Reason;
use crate::router::{KeptAnswer, Request, Unsettled, messages};
use crate::session::{Fingerprint, Lane, RootSession, specialist_session_id};
use crate::units::Clock;

/// The right to invoke a specialist once.
pub(super) struct Granted {
    /// The hold that pays; `None` when the policy lets invocations go uncounted.
    hold: Option<TakenHold>,
    lane: Lane,
    /// Whether so much of the budget is used that the cheaper agent is to answer.
    is_degraded: bool,
}

/// A hold, and what its settlement has to know.
struct TakenHold {
    id: HoldId,
    held: Charge,
    stale: Vec<Fingerprint>,
}

impl TakenHold {
    fn unsettled(self, specialist: &SpecialistName, used: Charge) -> Unsettled {
        let Self { id, held, stale } = self;
        Unsettled { id, specialist: specialist.clone(), held, used, forget: stale }
    }
}

impl Granted {
    /// What is to be settled when nobody was invoked after all.
    pub(super) fn unused(self, specialist: &SpecialistName) -> Option<Unsettled> {
        self.hold.map(|hold| hold.unsettled(specialist, Charge::default()))
    }

    pub(super) fn span(&self, session: &RootSession, specialist: &Specialist) -> Span {
        info_span!(
            "invoke_specialist",
            session.id = %session,
            specialist.name = %specialist.name,
            hold_micro_usd = self.hold.as_ref().map(|hold| hold.held.cost.0),
            attempts = field::Empty,
            input_tokens = field::Empty,
            output_tokens = field::Empty,
            cost_micro_usd = field::Empty,
            outcome = field::Empty,
        )
    }
}

impl<'r, L: Ledger, I: SpecialistInvoker, C: Clock> Course<'r, L, I, C> {
    /// Settles the invocation before: its hold would count against the next reservation.
    pub(super) async fn settle_previous(&mut self) {
        if let Some(unsettled) = self.unsettled.take() {
            let settlement = unsettled.of(&self.request.caller.root);
            let within = deadline::wind_up(self.remaining());
            if let Err(error) = self.router.ledger.settle(&settlement, within).await {
                warn!(error = chain(&error), hold = unsettled.id.as_str(), "hold left to expire");
            }
        }
    }

    /// The answer that this very request got a short while ago. It costs nothing.
    pub(super) async fn recall(&mut self, next: &Next<'r>) -> Option<String> {
        self.router.policy.session.repeat_window?;
        let Request { caller, task, .. } = self.request;
        let repeat = Repeat {
            session: &caller.root,
            tenant: &caller.tenant,
            limits: &self.router.policy.session,
            specialist: &next.specialist.name,
            fingerprint: &Fingerprint::of(&next.specialist.name, &task.request),
            identity: &caller.identity(),
            now: self.router.clock.now(),
        };
        let within = deadline::wind_up(self.remaining());
        let Recalled { answer, account } = self.router.ledger.recall(&repeat, within).await?;
        info!(specialist.name = %next.specialist.name, "answered as before");
        self.account = Some(account);
        Some(answer)
    }

    /// Notes an answer down to be kept, where the policy has answers given again.
    fn keep(&mut self, specialist: &Specialist, generation: u64, answer: &str) {
        self.kept = self.router.policy.session.repeat_window.map(|window| KeptAnswer {
            specialist: specialist.name.clone(),
            fingerprint: Fingerprint::of(&specialist.name, &self.request.task.request),
            generation,
            answer: answer.to_owned(),
            window,
        });
    }

    /// Takes a hold, or says how the course goes on without one.
    pub(super) async fn reserve(&mut self, next: &Next<'r>) -> Result<Granted, Progress> {
        let Course { router, request, .. } = *self;
        let id = HoldId::new(request.id, request.place, self.reservations);
        self.reservations += 1;
        let ask = Charge::hold(next.specialist);
        let session = &router.policy.session;
        let fingerprint = Fingerprint::of(&next.specialist.name, &request.task.request);
        let reservation = Reservation {
            id: &id,
            session: &request.caller.root,
            limits: session,
            tenant: &request.caller.tenant,
            tenant_day: &router.policy.tenant_day,
            fingerprint: session.max_repeats.is_some().then_some(&fingerprint),
            specialist: &next.specialist.name,
            ask,
            is_handoff: next.role == Role::Handoff,
            now: router.clock.now(),
            expires: request.deadline.after(HOLD_GRACE),
        };
        let within = deadline::wind_up(self.remaining());
        let error = match router.ledger.reserve(&reservation, within).await {
            Ok(Hold { account, lane, expired_holds, stale }) => {
                self.account = Some(account);
                self.metrics.expired_holds += u64::from(expired_holds);
                let is_degraded = account.before(ask).has_reached(session.degrade_at);
                let hold = TakenHold { id, held: ask, stale };
                return Ok(Granted { hold: Some(hold), lane, is_degraded });
            }
            Err(error) => error,
        };
        match &error {
            ReserveError::Exhausted(exhausted) => {
                warn!(error = chain(&error), limit = %exhausted.limit, "no room in the budget");
                self.account = Some(exhausted.account);
                self.metrics.expired_holds += u64::from(exhausted.expired_holds);
                self.metrics.refused_by.push(exhausted.limit);
                if exhausted.limit == Limit::Handoffs {
                    return Err(Progress::GoOn);
                }
                let message = messages::exhausted(exhausted, &next.specialist.name, ask);
                Err(refused(budget_reason(exhausted.limit), message))
            }
            ReserveError::Unavailable(_) if session.on_ledger_failure == OnLedgerFailure::Allow => {
                error!(error = chain(&error), "the invocation goes uncounted");
                self.metrics.uncounted_invocations += 1;
                Ok(Granted { hold: None, lane: Lane::default(), is_degraded: false })
            }
            ReserveError::OtherTenant => {
                error!(error = chain(&error), "refused");
                Err(refused(Reason::BadRequest, messages::other_tenant()))
            }
            ReserveError::Repeated { .. } => {
                warn!(error = chain(&error), "refused");
                self.metrics.loop_detected = true;
                Err(refused(Reason::LoopDetected, messages::repeated(&next.specialist.name)))
            }
            ReserveError::Unavailable(_) | ReserveError::AlreadySettled(_) => {
                error!(error = chain(&error), "the budget cannot be checked");
                let reason = Reason::LedgerUnavailable;
                Err(refused(reason, messages::ledger_unavailable()))
            }
        }
    }

    /// Invokes the specialist and notes down what it cost, whatever comes of it.
    pub(super) async fn invoke(
        &mut self,
        specialist: &'r Specialist,
        granted: Granted,
        timeout: Duration,
    ) -> Progress {
        let started = self.router.clock.now();
        let Attempted { outcome, used } = self.attempt(specialist, &granted, timeout).await;
        let latency = self.router.clock.now().since(started);
        let (input, output) = outcome.usage.reported();
        let generation = granted.lane.generation;
        if let Some(hold) = granted.hold {
            self.charge(specialist, hold, used);
        }
        let (progress, failure) = self.judge(specialist, outcome);
        if let Progress::Answered(answer) = &progress {
            self.keep(specialist, generation, answer);
        }
        let span = Span::current();
        span.record("attempts", self.attempts);
        span.record("input_tokens", input.0);
        span.record("output_tokens", output.0);
        span.record("cost_micro_usd", used.cost.0);
        span.record("outcome", failure.map_or("answered", Reason::as_str));
        self.metrics.invocations.push(InvocationMetrics {
            specialist: specialist.name.clone(),
            failed: failure.is_some_and(|reason| reason != Reason::OutOfScope),
            throttled_attempts: u64::from(failure == Some(Reason::Throttled)),
            latency,
            input,
            output,
            cost: used.cost,
        });
        progress
    }

    fn charge(&mut self, specialist: &Specialist, hold: TakenHold, used: Charge) {
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
        self.unsettled = Some(hold.unsettled(&specialist.name, used));
    }

    /// Asks the specialist. Somebody else in its session moves the invocation to the lane
    /// beside, once, while there is time for it.
    async fn attempt(
        &mut self,
        specialist: &Specialist,
        granted: &Granted,
        timeout: Duration,
    ) -> Attempted {
        let Request { caller, task, .. } = self.request;
        let cheaper = specialist.degraded_agent.as_ref().filter(|_| granted.is_degraded);
        let attributes = caller.forwarded_attributes();
        let until = self.router.clock.now().after(timeout);
        let mut used = Charge::default();
        let mut lane = granted.lane;
        let mut timeout = timeout;
        let mut may_move = true;
        loop {
            let session_id = specialist_session_id(&caller.root, &specialist.name, lane);
            let attempt = Attempt {
                agent: cheaper.unwrap_or(&specialist.agent),
                session_id: &session_id,
                attributes: &attributes,
                request: &task.request,
                timeout,
                idle_timeout: specialist.idle_timeout,
                max_tokens: specialist.max_tokens_per_call,
            };
            let outcome = self.router.invoker.invoke(&attempt).await;
            self.attempts += 1;
            used = used.plus(Charge::of(specialist, &outcome.usage));
            timeout = until.since(self.router.clock.now());
            let has_time = timeout >= deadline::SHORTEST_ATTEMPT;
            let is_in_use = matches!(outcome.result, Err(InvokeError::Conflict));
            if !(is_in_use && may_move && has_time) {
                return Attempted { outcome, used };
            }
            lane = lane.beside();
            may_move = false;
        }
    }
}

/// What the attempts of one invocation came to.
struct Attempted {
    /// The outcome of the last.
    outcome: Outcome,
    /// What all of them cost.
    used: Charge,
}

fn refused(reason: Reason, message: String) -> Progress {
    Progress::NotReserved { message, reason }
}

fn budget_reason(limit: Limit) -> Reason {
    match limit {
        Limit::Steps => Reason::BudgetSteps,
        Limit::Tokens => Reason::BudgetTokens,
        Limit::Cost => Reason::BudgetCost,
        Limit::Handoffs => Reason::BudgetHandoffs,
        Limit::Tenant => Reason::BudgetTenant,
    }
}
