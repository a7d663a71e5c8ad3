//! The hold of a candidate: asked for, and how the task goes on without one.

use std::time::Duration;

use tracing::{error, warn};

use super::attempts::Granted;
use super::candidates::{Candidate, Role};
use super::run::{Progress, Ready, TaskRun, refused};
use crate::budget::purse::{Taken, Wanted};
use crate::charge::Charge;
use crate::deadline;
use crate::error::chain;
use crate::ids::Lane;
use crate::journal::Fact;
use crate::ledger::{Limit, Purpose, ReserveError};
use crate::outcome::Reason;
use crate::policy::{OnLedgerFailure, Specialist};
use crate::ports::Ports;
use crate::views::messages;

impl<'t, P: Ports> TaskRun<'t, P> {
    /// Takes a hold, or says how the task goes on without one.
    pub(super) async fn take(&self, ready: &Ready<'t>) -> Result<Granted, Progress> {
        let within = deadline::before_call(self.context.request.remaining());
        let purse = self.context.purse();
        let mut taken = self.take_within(ready, within).await;
        if matches!(taken, Err(ReserveError::Exhausted(_))) && purse.has_settleable() {
            // What other tasks of the request have not used is room for this one.
            let within = deadline::before_call(self.context.request.remaining());
            purse.settle(None, within).await;
            taken = self.take_within(ready, within).await;
        }
        match taken {
            Ok(taken) => {
                let ask = Charge::hold(ready.candidate.specialist);
                let degrade_at = self.context.request.policy.session.degrade_at;
                let is_degraded = taken.account.before(ask).has_reached(degrade_at);
                Ok(self.granted(ready, &taken, is_degraded))
            }
            Err(error) => self.without_hold(ready, &error),
        }
    }

    async fn take_within(
        &self,
        ready: &Ready<'t>,
        within: Duration,
    ) -> Result<Taken, ReserveError> {
        let is_first = !self.candidates.has_invoked();
        let only_below = self.context.only_below.filter(|_| is_first);
        self.context.purse().take(self.wanted(ready), only_below, within).await
    }

    /// The hold that a candidate needs.
    pub(super) fn wanted<'a>(&'a self, ready: &'a Ready<'t>) -> Wanted<'a> {
        let Candidate { specialist, role } = ready.candidate;
        let is_handoff = role == Role::Handoff;
        let purpose = if is_handoff { Purpose::Handoff } else { Purpose::Invocation };
        let (task, prompt) = (self.context.place, self.context.task.prompt.as_str());
        Wanted { task, specialist, prompt, id: &ready.id, purpose }
    }

    /// What a hold that was taken allows.
    pub(super) fn granted(&self, ready: &Ready<'t>, taken: &Taken, is_degraded: bool) -> Granted {
        Granted {
            id: ready.id.clone(),
            held: Some(Charge::hold(ready.candidate.specialist)),
            at: Some(taken.at),
            lane: taken.lane,
            probe_deadline: ready.probe_deadline,
            is_degraded,
        }
    }

    /// How the task goes on without a hold.
    pub(super) fn without_hold(
        &self,
        ready: &Ready<'t>,
        error: &ReserveError,
    ) -> Result<Granted, Progress> {
        let session = &self.context.request.policy.session;
        match error {
            ReserveError::Exhausted(exhausted) if exhausted.limit == Limit::Handoffs => {
                warn!(error = chain(error), limit = %exhausted.limit, "no room in the budget");
                Err(Progress::TryNext)
            }
            ReserveError::Unavailable(_) if session.on_ledger_failure == OnLedgerFailure::Allow => {
                error!(error = chain(error), "the invocation goes uncounted");
                self.context.note(Fact::Uncounted);
                Ok(Granted {
                    id: ready.id.clone(),
                    held: None,
                    at: None,
                    // Tasks that run at once must not share a session of one specialist's.
                    lane: Lane { number: self.context.place as u64, ..Lane::default() },
                    probe_deadline: ready.probe_deadline,
                    is_degraded: false,
                })
            }
            _ => {
                let (reason, message) = refusal(error, ready.candidate.specialist);
                Err(refused(reason, message))
            }
        }
    }
}

/// Why nothing is called without a hold, in words for the model too.
pub(crate) fn refusal(error: &ReserveError, specialist: &Specialist) -> (Reason, String) {
    match error {
        ReserveError::Exhausted(exhausted) => {
            warn!(error = chain(error), limit = %exhausted.limit, "no room in the budget");
            let ask = Charge::hold(specialist);
            let message = messages::exhausted(exhausted, &specialist.name, ask);
            (budget_reason(exhausted.limit), message)
        }
        ReserveError::NearlyExhausted(exhausted) => {
            warn!(error = chain(error), limit = %exhausted.limit, "several tasks refused");
            (budget_reason(exhausted.limit), messages::one_at_a_time())
        }
        ReserveError::OtherTenant | ReserveError::OtherUser => {
            error!(error = chain(error), "refused");
            let is_tenant = matches!(error, ReserveError::OtherTenant);
            let owner = if is_tenant { "tenant" } else { "user" };
            (Reason::BadRequest, messages::not_yours(owner))
        }
        ReserveError::Repeated { .. } => {
            warn!(error = chain(error), "refused");
            (Reason::LoopDetected, messages::repeated(&specialist.name))
        }
        ReserveError::Unavailable(_)
        | ReserveError::Unusable(_)
        | ReserveError::Waiting { .. }
        | ReserveError::AlreadySettled(_) => {
            error!(error = chain(error), "the budget cannot be checked");
            (Reason::LedgerUnavailable, messages::ledger_unavailable())
        }
    }
}

pub(super) fn budget_reason(limit: Limit) -> Reason {
    match limit {
        Limit::Steps => Reason::BudgetSteps,
        Limit::Tokens => Reason::BudgetTokens,
        Limit::Cost => Reason::BudgetCost,
        Limit::Handoffs => Reason::BudgetHandoffs,
        Limit::Tenant => Reason::BudgetTenant,
        Limit::User => Reason::BudgetUser,
        Limit::GatewaySteps | Limit::GatewayCost => Reason::BudgetGateway,
    }
}
