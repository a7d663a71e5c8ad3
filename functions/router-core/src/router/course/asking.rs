//! Asking one specialist: whether its circuit lets it be asked, and the hold that pays for it.

use std::time::Duration;

use tracing::{Span, debug, error, field, info_span, warn};

use super::{Course, Next, Progress, Role};
use crate::causes::chain;
use crate::circuit::{Admission, CircuitStore, Verdict};
use crate::deadline;
use crate::incident::Incident;
use crate::invocation::{Charge, SpecialistInvoker};
use crate::ledger::{
    HOLD_GRACE, Hold, HoldId, Ledger, Limit, Purpose, Recalled, Repeat, Reservation, ReserveError,
};
use crate::policy::{OnLedgerFailure, Specialist, SpecialistName};
use crate::reply::Reason;
use crate::router::{KeptAnswer, Request, Router, Unsettled, messages, spans};
use crate::session::{Fingerprint, Lane, RootSession};
use crate::units::{Clock, Learnt, Timestamp};

/// The right to invoke a specialist once.
pub(super) struct Granted {
    /// The identity of the hold, whether there is one or not.
    pub(super) id: HoldId,
    /// The hold that pays; `None` when the policy lets invocations go uncounted.
    pub(super) hold: Option<TakenHold>,
    pub(super) lane: Lane,
    /// When the first attempt must have ended; see [`Admission::Pass`].
    pub(super) until: Timestamp,
    /// Whether so much of the budget is used that the cheaper agent is to answer.
    pub(super) is_degraded: bool,
}

/// A hold, and what its settlement has to know.
pub(super) struct TakenHold {
    pub(super) held: Charge,
    pub(super) stale: Vec<Fingerprint>,
}

impl TakenHold {
    pub(super) fn unsettled(
        self,
        id: HoldId,
        specialist: &SpecialistName,
        used: Charge,
    ) -> Unsettled {
        let Self { held, stale } = self;
        Unsettled { id, specialist: specialist.clone(), held, used, forget: stale }
    }
}

impl Granted {
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

/// The attempt as its circuit knows it.
pub(super) fn owner(hold: &HoldId, attempt: u64) -> String {
    format!("{}/{attempt}", hold.as_str())
}

impl<'r, L, I, K, C> Course<'r, L, I, K, C>
where
    L: Ledger,
    I: SpecialistInvoker,
    K: CircuitStore,
    C: Clock,
{
    /// Settles the invocation before: its hold would count against the next reservation.
    pub(super) async fn settle_previous(&mut self) {
        if let Some(unsettled) = self.unsettled.take() {
            let within = deadline::wind_up(self.remaining());
            let Router { ledger, clock, .. } = *self.router;
            let session = &self.request.caller.root;
            unsettled.settle(ledger, session, within, self.trace, clock).await;
        }
    }

    /// The answer that this very request got a short while ago. It costs nothing.
    pub(super) async fn recall(&mut self, next: &Next<'r>) -> Option<String> {
        self.router.policy.session.repeat_window?;
        let Request { caller, task, .. } = self.request;
        let repeat = Repeat {
            session: &caller.root,
            tenant: &caller.tenant,
            user: caller.user.as_ref(),
            limits: &self.router.policy.session,
            specialist: &next.specialist.name,
            fingerprint: &Fingerprint::of(&next.specialist.name, &task.request),
            identity: &caller.identity(),
            now: self.router.clock.now(),
        };
        let within = deadline::wind_up(self.remaining());
        let Recalled { answer, account } = self.router.ledger.recall(&repeat, within).await?;
        debug!(specialist.name = %next.specialist.name, "answered as before");
        self.account = Some(account);
        Some(answer)
    }

    /// Notes an answer down to be kept, where the policy has answers given again.
    pub(super) fn keep(&mut self, specialist: &Specialist, generation: u64, answer: &str) {
        self.kept = self.router.policy.session.repeat_window.map(|window| KeptAnswer {
            specialist: specialist.name.clone(),
            fingerprint: Fingerprint::of(&specialist.name, &self.request.task.request),
            generation,
            answer: answer.to_owned(),
            window,
        });
    }

    /// The identity of the next hold.
    pub(super) fn next_hold(&mut self) -> HoldId {
        let id = HoldId::new(self.request.id, self.request.place, self.reservations);
        self.reservations += 1;
        id
    }

    /// Whether the specialist's circuit lets `attempt`, the first of an invocation, go, and until
    /// when.
    pub(super) async fn pass_circuit(
        &mut self,
        specialist: &'r Specialist,
        attempt: &str,
    ) -> Result<Timestamp, Progress> {
        match self.admit(specialist, attempt).await {
            Admission::Pass { until } => Ok(until),
            Admission::Reject => {
                debug!(specialist.name = %specialist.name, "not called: its circuit is open");
                let reason = Reason::CircuitOpen;
                spans::outcome(self.trace, reason.as_str());
                self.reason.get_or_insert(reason);
                let incident = Incident::without_call(reason, Some(specialist.name.clone()));
                if !self.incidents.contains(&incident) {
                    self.incidents.push(incident);
                }
                Err(Progress::GoOn)
            }
            Admission::RejectAll => {
                warn!("not called: an operator has stopped all calls");
                Err(refused(Reason::CircuitOpen, messages::stopped()))
            }
        }
    }

    /// Whether `attempt` may go.
    pub(super) async fn admit(&self, specialist: &Specialist, attempt: &str) -> Admission {
        let Router { circuits, clock, policy, .. } = self.router;
        let within = deadline::before_call(self.remaining());
        let names = policy.specialists().map(|specialist| &specialist.name);
        circuits.refresh(names, *clock, within).await;
        let within = deadline::before_call(self.remaining());
        circuits.admit(specialist, attempt, self.request.deadline, *clock, within).await
    }

    /// Tells the circuit what `attempt` came to.
    pub(super) async fn report(
        &mut self,
        specialist: &Specialist,
        attempt: &str,
        verdict: Verdict,
    ) {
        let Router { circuits, clock, .. } = self.router;
        let within = deadline::after_call(self.remaining());
        let session = self.request.caller.root.mark();
        if circuits.report(specialist, attempt, session, verdict, *clock, within).await {
            self.metrics.circuits_opened.push(specialist.name.clone());
        }
    }

    /// Frees the place of a probe that is not made after all.
    pub(super) async fn withdraw(&mut self, specialist: &Specialist, attempt: &str) {
        self.report(specialist, attempt, Verdict::Unknown).await;
    }

    /// Takes a hold, or says how the course goes on without one.
    pub(super) async fn reserve(
        &mut self,
        next: &Next<'r>,
        id: HoldId,
        until: Timestamp,
    ) -> Result<Granted, Progress> {
        let ask = Charge::hold(next.specialist);
        let is_handoff = next.role == Role::Handoff;
        let purpose = if is_handoff { Purpose::Handoff } else { Purpose::Invocation };
        let session = &self.router.policy.session;
        let within = deadline::before_call(self.remaining());
        let error = match self.take_hold(next.specialist, &id, purpose, within).await {
            Ok(Hold { account, lane, stale, .. }) => {
                let is_degraded = account.before(ask).has_reached(session.degrade_at);
                let hold = Some(TakenHold { held: ask, stale });
                return Ok(Granted { id, hold, lane, until, is_degraded });
            }
            Err(error) => error,
        };
        match &error {
            ReserveError::Exhausted(exhausted) => {
                warn!(error = chain(&error), limit = %exhausted.limit, "no room in the budget");
                if exhausted.limit == Limit::Handoffs {
                    return Err(Progress::GoOn);
                }
                let message = messages::exhausted(exhausted, &next.specialist.name, ask);
                Err(refused(budget_reason(exhausted.limit), message))
            }
            ReserveError::Unavailable(_) if session.on_ledger_failure == OnLedgerFailure::Allow => {
                error!(error = chain(&error), "the invocation goes uncounted");
                self.metrics.uncounted_invocations += 1;
                let lane = Lane::default();
                Ok(Granted { id, hold: None, lane, until, is_degraded: false })
            }
            ReserveError::OtherTenant | ReserveError::OtherUser => {
                error!(error = chain(&error), "refused");
                let is_tenant = matches!(error, ReserveError::OtherTenant);
                let owner = if is_tenant { "tenant" } else { "user" };
                Err(refused(Reason::BadRequest, messages::not_yours(owner)))
            }
            ReserveError::Repeated { .. } => {
                warn!(error = chain(&error), "refused");
                self.metrics.loop_detected = true;
                Err(refused(Reason::LoopDetected, messages::repeated(&next.specialist.name)))
            }
            ReserveError::Unavailable(_)
            | ReserveError::Unusable(_)
            | ReserveError::AlreadySettled(_) => {
                error!(error = chain(&error), "the budget cannot be checked");
                let reason = Reason::LedgerUnavailable;
                Err(refused(reason, messages::ledger_unavailable()))
            }
        }
    }

    /// Takes a hold for one call of `specialist` within `within`, and notes down what its answer says of the
    /// session.
    pub(super) async fn take_hold(
        &mut self,
        specialist: &Specialist,
        id: &HoldId,
        purpose: Purpose,
        within: Duration,
    ) -> Result<Hold, ReserveError> {
        let Course { router, request, .. } = *self;
        let session = &router.policy.session;
        let fingerprint = Fingerprint::of(&specialist.name, &request.task.request);
        let counts_repeats = session.max_repeats.is_some() && purpose != Purpose::Retry;
        let reservation = Reservation {
            id,
            session: &request.caller.root,
            limits: session,
            tenant: &request.caller.tenant,
            user: request.caller.user.as_ref(),
            tenant_day: &router.policy.tenant_day,
            fingerprint: counts_repeats.then_some(&fingerprint),
            specialist: &specialist.name,
            ask: Charge::hold(specialist),
            purpose,
            now: router.clock.now(),
            asked: Learnt::now(router.clock),
            expires: request.deadline.after(HOLD_GRACE),
        };
        let span = spans::reservation(self.trace, reservation.ask, reservation.now);
        let reserved = router.ledger.reserve(&reservation, within).await;
        spans::reserved(span, reserved.as_ref().err(), router.clock.now());
        match &reserved {
            Ok(hold) => {
                self.account = Some(hold.account);
                self.metrics.expired_holds += u64::from(hold.expired_holds);
            }
            Err(ReserveError::Exhausted(exhausted)) => {
                self.account = Some(exhausted.account);
                self.metrics.expired_holds += u64::from(exhausted.expired_holds);
                // A retry without room is not refused to anybody: the course goes on.
                if purpose != Purpose::Retry {
                    self.metrics.refused_by.push(exhausted.limit);
                }
            }
            Err(_) => {}
        }
        reserved
    }
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
