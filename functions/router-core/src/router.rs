//! One sub-task: decided, reserved, asked, settled, and put into words.
//!
//! The router asks the specialists of a plan one after the other until one answers. Each
//! invocation takes a hold before it and is settled after it, whatever comes of it. The last
//! settlement is handed to the caller of [`Router::route`], who makes it together with
//! whatever else has to be done before the reply goes out.

mod answer;
mod messages;
mod run;

use run::Run;
pub(crate) use run::chain;

use crate::arguments::Task;
use crate::invocation::SpecialistInvoker;
use crate::ledger::{HoldId, Ledger, Settlement};
use crate::metrics::RequestMetrics;
use crate::policy::Policy;
use crate::reply::{Body, Reason};
use crate::routing::{Ask, Decision, decide};
use crate::session::{Caller, RootSession};
use crate::units::{Clock, Timestamp};

/// Routes sub-tasks to specialists.
#[derive(Debug)]
pub struct Router<'r, L, I, C> {
    /// What is allowed.
    pub policy: &'r Policy,
    /// Where budgets are kept.
    pub ledger: &'r L,
    /// How specialists are called.
    pub invoker: &'r I,
    /// Where the time comes from.
    pub clock: &'r C,
}

/// One sub-task of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Lambda's id of the request, from which the ids of holds are made.
    pub id: &'a str,
    /// The place of the sub-task among those of the request.
    pub place: usize,
    /// When the reply must be out.
    pub deadline: Timestamp,
    /// Who is calling.
    pub caller: &'a Caller,
    /// What is asked.
    pub task: &'a Task,
}

/// What came of a sub-task.
#[derive(Debug)]
pub struct Routed {
    /// What the supervisor is told.
    pub body: Body,
    /// What CloudWatch is told.
    pub metrics: RequestMetrics,
    /// The settlement that is still to be made.
    pub unsettled: Option<Unsettled>,
}

/// A settlement that is still to be made.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The hold.
    pub id: HoldId,
    /// What was held.
    pub held: crate::invocation::Charge,
    /// What was used.
    pub used: crate::invocation::Charge,
}

impl Unsettled {
    /// The settlement, for the session that pays.
    pub fn of<'a>(&'a self, session: &'a RootSession) -> Settlement<'a> {
        Settlement { id: &self.id, session, held: self.held, used: self.used }
    }
}

impl<L: Ledger, I: SpecialistInvoker, C: Clock> Router<'_, L, I, C> {
    /// Has a sub-task answered, if it may be and can be.
    pub async fn route(&self, request: &Request<'_>) -> Routed {
        let ask = Ask { specialist: &request.task.specialist, confidence: request.task.confidence };
        match decide(&ask, request.caller, self.policy) {
            Decision::Invoke(plan) => Run::new(self, request, &plan).finish().await,
            Decision::Refuse(reason) => refused(reason, request.task),
        }
    }
}

/// A refusal that needs no look at the budget.
fn refused(reason: Reason, task: &Task) -> Routed {
    let loop_detected = reason == Reason::LoopDetected;
    let body = messages::with_task(Body::refused(reason, messages::refusal(reason, task)), task);
    let metrics = RequestMetrics { loop_detected, ..RequestMetrics::default() };
    Routed { body, metrics, unsettled: None }
}

#[cfg(test)]
mod tests;
