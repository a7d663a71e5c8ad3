//! The run of one task: its candidates, one after the other.

use std::time::Duration;

use tracing::{Instrument, Span, debug, error, field, info_span, warn};

use super::answer::Answer;
use super::attempts::{Granted, Invocation};
use super::candidates::{Candidate, Candidates, Role};
use super::context::{TaskContext, owner};
use crate::budget::purse::Taken;
use crate::charge::Charge;
use crate::circuit::Admission;
use crate::deadline;
use crate::error::chain;
use crate::ids::{HoldId, Lane};
use crate::journal::Fact;
use crate::ledger::{Limit, Purpose, ReserveError};
use crate::metrics::intent_class;
use crate::outcome::Reason;
use crate::policy::{OnLedgerFailure, Specialist};
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::routing::{Ask, Decision, decide};
use crate::stop::Stop;
use crate::units::Timestamp;
use crate::views::messages;
use crate::wire::tools::Task;

/// Has a task answered, if it may be and can be, unless it is stopped.
pub(crate) async fn run<'r, P: Ports>(
    request: Request<'r, P>,
    place: usize,
    task: &'r Task,
    stop: &'r Stop,
) -> TaskEnd<'r> {
    let Request { policy, caller, .. } = request;
    let context = TaskContext::new(request, place, task, stop);
    let named = policy.find(&task.specialist);
    context.note(Fact::Asked {
        specialist: named.map(|named| named.name.clone()),
        intent_class: intent_class(task.intent.as_deref(), policy),
    });
    let ask = Ask { specialist: &task.specialist, confidence: task.confidence };
    match decide(&ask, caller, policy) {
        Decision::Invoke(plan) => {
            let (first, detour) = (plan.first.name.clone(), plan.detour);
            context.note(Fact::Chosen { first, detour });
            if detour.is_some() {
                let of = named.unwrap_or(plan.first).name.clone();
                context.note(Fact::FellBack { of });
            }
            let candidates = Candidates::new(&plan);
            TaskRun { context, candidates }.finish().await
        }
        Decision::RefuseLoop => {
            let reason = Reason::LoopDetected;
            context.note(Fact::Declined { specialist: None, reason });
            TaskEnd::Refused { reason, message: messages::too_many_routers() }
        }
        Decision::RefuseUnverified(specialist) => {
            let reason = Reason::IdentityNotVerified;
            let name = Some(specialist.name.clone());
            context.note(Fact::Declined { specialist: name, reason });
            TaskEnd::Refused { reason, message: messages::not_verified(&specialist.name) }
        }
    }
}

/// A task that is under way.
struct TaskRun<'r, P> {
    context: TaskContext<'r, P>,
    candidates: Candidates<'r>,
}

/// What came of one candidate.
enum Progress {
    /// It answered; see [`TaskEnd::Answered`].
    Answered { text: String, generation: Option<u64> },
    /// Another one is to be asked.
    TryNext,
    /// None is to be asked any more.
    Stop,
    /// A rule forbids every call that might follow.
    Refused { reason: Reason, message: String },
}

impl<'r, P: Ports> TaskRun<'r, P> {
    async fn finish(mut self) -> TaskEnd<'r> {
        while let Some(candidate) = self.candidates.next() {
            match self.ask(&candidate).await {
                Progress::Answered { text, generation } => {
                    return TaskEnd::Answered { by: candidate.specialist, text, generation };
                }
                Progress::TryNext => {}
                Progress::Stop => break,
                Progress::Refused { reason, message } => {
                    return self.without_answer(reason, message);
                }
            }
        }
        // Only an open circuit keeps a candidate from being called.
        self.without_answer(Reason::CircuitOpen, messages::all_circuits_open())
    }

    /// The end of a task that was not answered. The rule counts only if no specialist was called.
    fn without_answer(&self, reason: Reason, message: String) -> TaskEnd<'r> {
        if self.candidates.has_invoked() {
            TaskEnd::Failed
        } else {
            TaskEnd::Refused { reason, message }
        }
    }

    async fn ask(&mut self, candidate: &Candidate<'r>) -> Progress {
        if self.context.stop.is_stopped() {
            return Progress::Stop;
        }
        if self.time_for(candidate.specialist).is_none() {
            return self.out_of_time();
        }
        // The hold of the invocation before would count against the next one.
        let within = deadline::time_to_finish(self.context.request.remaining());
        self.context.purse().settle(Some(self.context.place), within).await;
        self.context.note(Fact::CandidateTaken { specialist: candidate.specialist.name.clone() });
        let progress = self.recall_or_invoke(candidate).await;
        let refused = match &progress {
            Progress::Refused { reason, .. } => Some(*reason),
            _ => None,
        };
        self.context.note(Fact::CandidateLeft { refused });
        progress
    }

    async fn recall_or_invoke(&mut self, candidate: &Candidate<'r>) -> Progress {
        let Candidate { specialist, .. } = *candidate;
        let within = deadline::time_to_finish(self.context.request.remaining());
        let prompt = &self.context.task.prompt;
        let recalled =
            self.context.purse().recall(self.context.place, &specialist.name, prompt, within).await;
        if let Some(text) = recalled {
            self.note_fallback(candidate);
            return Progress::Answered { text, generation: None };
        }
        let id = self.context.next_hold();
        let first_attempt = owner(&id, 1);
        let probe_deadline = match self.pass_circuit(specialist, &first_attempt).await {
            Ok(probe_deadline) => probe_deadline,
            Err(progress) => return progress,
        };
        let granted = match self.reserve(candidate, id, probe_deadline).await {
            Ok(granted) => granted,
            Err(progress) => {
                self.context.withdraw(specialist, &first_attempt).await;
                return progress;
            }
        };
        // A probe whose hold took this long to get has lost its place.
        let has_time =
            probe_deadline.since(self.context.request.now()) >= deadline::SHORTEST_ATTEMPT;
        let Some(window) = self.time_for(specialist).filter(|_| has_time) else {
            self.context.withdraw(specialist, &first_attempt).await;
            if let Some(held) = granted.held {
                self.context.purse().charge(
                    self.context.place,
                    &granted.id,
                    held,
                    Charge::default(),
                    None,
                );
            }
            return self.out_of_time();
        };
        self.note_fallback(candidate);
        self.candidates.invoke(specialist);
        let span = self.span(specialist, &granted);
        let invocation = Invocation::begin(granted, self.context.request.now().after(window));
        self.invoke(specialist, invocation).instrument(span).await
    }

    /// Invokes the specialist until it answers or another attempt would not help, and notes what
    /// it cost, whatever comes of it.
    async fn invoke(&mut self, specialist: &'r Specialist, mut invocation: Invocation) -> Progress {
        self.context.note(Fact::InvocationStarted { specialist: specialist.name.clone() });
        let result = invocation.run(&self.context, specialist).await;
        let (progress, failure) = match result {
            Ok(Answer::Text(text)) => {
                let generation = Some(invocation.generation());
                (Progress::Answered { text, generation }, None)
            }
            Ok(Answer::OutOfScope { suggest }) => {
                let (policy, caller) = (self.context.request.policy, self.context.request.caller);
                self.candidates.hand_off(suggest.as_deref(), policy, caller);
                (Progress::TryNext, Some(Reason::OutOfScope))
            }
            Err(error) => {
                warn!(error = chain(&error), specialist.name = %specialist.name, "no answer");
                let may_fall_back = error.allows_fallback();
                let progress = if may_fall_back { Progress::TryNext } else { Progress::Stop };
                (progress, Some(error.reason()))
            }
        };
        self.context.note(Fact::InvocationEnded { failure });
        progress
    }

    fn span(&self, specialist: &Specialist, granted: &Granted) -> Span {
        info_span!(
            "invoke_specialist",
            session.id = %self.context.request.caller.root,
            specialist.name = %specialist.name,
            hold_micro_usd = granted.held.map(|held| held.cost.0),
            attempts = field::Empty,
            input_tokens = field::Empty,
            output_tokens = field::Empty,
            cost_micro_usd = field::Empty,
            outcome = field::Empty,
        )
    }

    fn note_fallback(&self, candidate: &Candidate<'r>) {
        if let Role::Fallback { of } = candidate.role {
            self.context.note(Fact::FellBack { of: of.name.clone() });
        }
    }

    /// The time for one invocation and all its attempts, if there is enough left to start it.
    fn time_for(&self, specialist: &Specialist) -> Option<Duration> {
        let now = self.context.request.now();
        let circuits = self.context.request.ports.circuits();
        let followers = self.candidates.followers(specialist, |other| circuits.rejects(other, now));
        deadline::window(self.context.request.remaining(), followers)
    }

    fn out_of_time(&self) -> Progress {
        self.context.note(Fact::OutOfTime);
        Progress::Refused { reason: Reason::Deadline, message: messages::no_time_left() }
    }

    /// Whether the specialist's circuit lets `attempt`, the first of an invocation, go, and until
    /// when.
    async fn pass_circuit(
        &self,
        specialist: &'r Specialist,
        attempt: &str,
    ) -> Result<Timestamp, Progress> {
        match self.context.admit(specialist, attempt).await {
            Admission::Pass { until } => Ok(until),
            Admission::Reject => {
                debug!(specialist.name = %specialist.name, "not called: its circuit is open");
                self.context.note(Fact::CircuitRejected { specialist: specialist.name.clone() });
                Err(Progress::TryNext)
            }
            Admission::RejectAll => {
                warn!("not called: an operator has stopped all calls");
                self.context.note(Fact::AllStopped);
                Err(refused(Reason::CircuitOpen, messages::stopped()))
            }
        }
    }

    /// Takes a hold, or says how the task goes on without one.
    async fn reserve(
        &self,
        candidate: &Candidate<'r>,
        id: HoldId,
        probe_deadline: Timestamp,
    ) -> Result<Granted, Progress> {
        let Candidate { specialist, role } = *candidate;
        let ask = Charge::hold(specialist);
        let is_handoff = role == Role::Handoff;
        let purpose = if is_handoff { Purpose::Handoff } else { Purpose::Invocation };
        let session = &self.context.request.policy.session;
        let within = deadline::before_call(self.context.request.remaining());
        let prompt = &self.context.task.prompt;
        let purse = self.context.purse();
        let taken = purse.take(self.context.place, specialist, prompt, &id, purpose, within).await;
        let error = match taken {
            Ok(Taken { account, lane }) => {
                let is_degraded = account.before(ask).has_reached(session.degrade_at);
                return Ok(Granted { id, held: Some(ask), lane, probe_deadline, is_degraded });
            }
            Err(error) => error,
        };
        match &error {
            ReserveError::Exhausted(exhausted) => {
                warn!(error = chain(&error), limit = %exhausted.limit, "no room in the budget");
                if exhausted.limit == Limit::Handoffs {
                    return Err(Progress::TryNext);
                }
                let message = messages::exhausted(exhausted, &specialist.name, ask);
                Err(refused(budget_reason(exhausted.limit), message))
            }
            ReserveError::Unavailable(_) if session.on_ledger_failure == OnLedgerFailure::Allow => {
                error!(error = chain(&error), "the invocation goes uncounted");
                self.context.note(Fact::Uncounted);
                let lane = Lane::default();
                Ok(Granted { id, held: None, lane, probe_deadline, is_degraded: false })
            }
            ReserveError::OtherTenant | ReserveError::OtherUser => {
                error!(error = chain(&error), "refused");
                let is_tenant = matches!(error, ReserveError::OtherTenant);
                let owner = if is_tenant { "tenant" } else { "user" };
                Err(refused(Reason::BadRequest, messages::not_yours(owner)))
            }
            ReserveError::Repeated { .. } => {
                warn!(error = chain(&error), "refused");
                Err(refused(Reason::LoopDetected, messages::repeated(&specialist.name)))
            }
            ReserveError::Unavailable(_)
            | ReserveError::Unusable(_)
            | ReserveError::AlreadySettled(_) => {
                error!(error = chain(&error), "the budget cannot be checked");
                Err(refused(Reason::LedgerUnavailable, messages::ledger_unavailable()))
            }
        }
    }
}

fn refused(reason: Reason, message: String) -> Progress {
    Progress::Refused { reason, message }
}

fn budget_reason(limit: Limit) -> Reason {
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
