//! One sub-task: decided, reserved, asked, settled, and put into words.
//!
//! The router asks the specialists of a plan one after the other until one answers. Each
//! invocation takes a hold before it and is settled after it, whatever comes of it. The last
//! settlement is handed to the caller of [`Router::route`], who makes it together with
//! whatever else has to be done before the reply goes out, as are the incidents that it left.

mod answer;
mod course;
mod messages;
pub(crate) mod spans;

use std::time::Duration;

use course::Course;
pub(crate) use messages::too_many_routers;

use tracing::warn;

use crate::arguments::Task;
use crate::causes::chain;
use crate::circuit::{CircuitStore, Circuits};
use crate::incident::Incident;
use crate::invocation::{Charge, SpecialistInvoker};
use crate::ledger::{HoldId, Ledger, Settlement};
use crate::metrics::RequestMetrics;
use crate::policy::{Policy, SpecialistName};
use crate::reply::{Body, Reason};
use crate::retry::RetryBudget;
use crate::routing::{Ask, Decision, decide};
use crate::session::{Caller, Fingerprint, RootSession};
use crate::trace::{Kind, Scope};
use crate::units::{Clock, Timestamp};

/// Routes sub-tasks to specialists.
#[derive(Debug)]
pub struct Router<'r, L, I, K, C> {
    /// What is allowed.
    pub policy: &'r Policy,
    /// Where budgets are kept.
    pub ledger: &'r L,
    /// How specialists are called.
    pub invoker: &'r I,
    /// Which specialists are not to be called for a while.
    pub circuits: &'r Circuits<K>,
    /// What retries are paid from.
    pub retries: &'r RetryBudget,
    /// Where the time comes from.
    pub clock: &'r C,
}

/// One sub-task of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The execution of a request of Lambda's: the request's id, and what tells this execution
    /// of it from another. The ids of holds are made from it.
    pub id: &'a str,
    /// The place of the sub-task among those of the request.
    pub place: usize,
    /// When the reply must be out.
    pub deadline: Timestamp,
    /// Who is calling.
    pub caller: &'a Caller,
    /// What is asked.
    pub task: &'a Task,
    /// Where its course is recorded.
    pub trace: Scope<'a>,
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
    /// The answer that is still to be kept, for the same request to get it again.
    pub kept: Option<KeptAnswer>,
    /// What is to be kept of those who did not answer.
    pub incidents: Vec<Incident>,
}

/// An answer that is to be given again to the same request.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    /// Who gave it.
    pub specialist: SpecialistName,
    /// What was asked.
    pub fingerprint: Fingerprint,
    /// The generation of the specialist's session in which it was given.
    pub generation: u64,
    /// The answer.
    pub answer: String,
    /// For how long it holds.
    pub window: Duration,
}

/// A settlement that is still to be made.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The hold.
    pub id: HoldId,
    /// Who was invoked.
    pub specialist: SpecialistName,
    /// What was held.
    pub held: Charge,
    /// What was used.
    pub used: Charge,
    /// Repetitions that are not counted any more.
    pub forget: Vec<Fingerprint>,
}

impl Unsettled {
    /// Settles, for the session that pays. Where the table gives no answer, the hold expires.
    pub(crate) async fn settle<L: Ledger, C: Clock>(
        &self,
        ledger: &L,
        session: &RootSession,
        within: Duration,
        trace: Scope<'_>,
        clock: &C,
    ) {
        let span = spans::settlement(trace, self, clock.now());
        let settled = ledger.settle(&self.of(session), within).await;
        spans::settled(span, &settled, clock.now());
        if let Err(error) = settled {
            warn!(error = chain(&error), hold = self.id.as_str(), "hold left to expire");
        }
    }

    /// The settlement, for the session that pays.
    pub fn of<'a>(&'a self, session: &'a RootSession) -> Settlement<'a> {
        let Self { id, specialist, held, used, forget } = self;
        Settlement { id, session, specialist, held: *held, used: *used, forget }
    }
}

impl<L, I, K, C> Router<'_, L, I, K, C>
where
    L: Ledger,
    I: SpecialistInvoker,
    K: CircuitStore,
    C: Clock,
{
    /// Has a sub-task answered, if it may be and can be.
    pub async fn route(&self, request: &Request<'_>) -> Routed {
        let ask = Ask { specialist: &request.task.specialist, confidence: request.task.confidence };
        let span = request.trace.begin(Kind::Internal, format_args!("decision"), self.clock.now());
        let decision = decide(&ask, request.caller, self.policy);
        spans::decided(span, &decision, self.clock.now());
        match decision {
            Decision::Invoke(plan) => Course::new(self, request, &plan).run_through().await,
            Decision::RefuseLoop => {
                let metrics = RequestMetrics { loop_detected: true, ..RequestMetrics::default() };
                let message = messages::too_many_routers();
                refused(Reason::LoopDetected, message, request.task, metrics)
            }
            Decision::RefuseUnverified(specialist) => {
                let message = messages::not_verified(&specialist.name);
                let reason = Reason::IdentityNotVerified;
                refused(reason, message, request.task, RequestMetrics::default())
            }
        }
    }
}

/// A refusal that needs no look at the budget.
fn refused(reason: Reason, message: String, task: &Task, metrics: RequestMetrics) -> Routed {
    let body = messages::with_task(Body::refused(reason, message), task);
    Routed { body, metrics, unsettled: None, kept: None, incidents: Vec::new() }
}

#[cfg(test)]
mod tests;
