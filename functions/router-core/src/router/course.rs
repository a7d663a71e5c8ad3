//! The course of one sub-task: the specialists of its plan, one after the other.

mod asking;
mod attempts;

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{Instrument, warn};

use super::answer::Answer;
use super::messages;
use super::{KeptAnswer, Request, Routed, Router, Unsettled, spans};
use crate::causes::chain;
use crate::circuit::CircuitStore;
use crate::deadline;
use crate::incident::Incident;
use crate::invocation::{Charge, InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{Account, Ledger};
use crate::metrics::{AccuracySample, InvocationMetrics, RequestMetrics, intent_class};
use crate::policy::{Specialist, SpecialistName};
use crate::reply::{Body, Reason, Status};
use crate::routing::{Plan, may_serve};
use crate::trace::Scope;
use crate::units::Clock;

/// The state of one sub-task.
pub(super) struct Course<'r, L, I, K, C> {
    router: &'r Router<'r, L, I, K, C>,
    request: &'r Request<'r>,
    /// Who is asked next, in order.
    queue: VecDeque<Next<'r>>,
    /// Who has been invoked, so that nobody is asked twice.
    asked: Vec<&'r SpecialistName>,
    /// How many holds were asked for, whether they were taken or not.
    reservations: usize,
    /// Why the plan does not begin with the specialist that was asked for.
    detour: Option<Reason>,
    /// Why the specialist that was asked for is not the one that answers. The first reason
    /// stands: what went wrong afterwards went wrong because of it.
    reason: Option<Reason>,
    /// What the supervisor can do about it, where the reason alone does not tell.
    advice: Option<String>,
    attempts: u64,
    account: Option<Account>,
    unsettled: Option<Unsettled>,
    kept: Option<KeptAnswer>,
    incidents: Vec<Incident>,
    metrics: RequestMetrics,
    /// The span that what is done now is a part of.
    trace: Scope<'r>,
}

/// A specialist that is to be asked, and on whose behalf.
struct Next<'r> {
    specialist: &'r Specialist,
    role: Role<'r>,
}

/// Why a specialist is asked.
#[derive(Clone, Copy, PartialEq)]
enum Role<'r> {
    /// The plan has it first.
    First,
    /// In the place of one that did not answer.
    Fallback { of: &'r Specialist },
    /// One that took the request for another's job suggested it.
    Handoff,
}

/// How the sub-task ends.
enum End<'r> {
    Answered { by: &'r Specialist, text: String },
    NotReserved { message: String, reason: Reason },
    NobodyLeft,
}

/// What came of asking one specialist.
enum Progress {
    Answered(String),
    GoOn,
    Stop,
    NotReserved { message: String, reason: Reason },
}

impl<'r, L, I, K, C> Course<'r, L, I, K, C>
where
    L: Ledger,
    I: SpecialistInvoker,
    K: CircuitStore,
    C: Clock,
{
    pub(super) fn new(
        router: &'r Router<'r, L, I, K, C>,
        request: &'r Request<'r>,
        plan: &Plan<'r>,
    ) -> Self {
        let first = Next { specialist: plan.first, role: Role::First };
        let fallbacks = plan
            .fallbacks
            .iter()
            .map(|&specialist| Next { specialist, role: Role::Fallback { of: plan.first } });
        let mut metrics = RequestMetrics::default();
        let mut incidents = Vec::new();
        if let Some(reason) = plan.detour {
            let named = router.policy.find(&request.task.specialist);
            incidents.push(Incident::without_call(reason, named.map(|named| named.name.clone())));
            metrics.fallbacks.push(named.unwrap_or(plan.first).name.clone());
            if reason == Reason::UnknownSpecialist {
                metrics.accuracy = Some(Self::sample(router, request, plan.first, false));
            }
        }
        Self {
            router,
            request,
            queue: std::iter::once(first).chain(fallbacks).collect(),
            asked: Vec::new(),
            reservations: 0,
            detour: plan.detour,
            reason: plan.detour,
            advice: None,
            attempts: 0,
            account: None,
            unsettled: None,
            kept: None,
            incidents,
            metrics,
            trace: request.trace,
        }
    }

    /// Asks one after the other until one answers.
    pub(super) async fn run_through(mut self) -> Routed {
        while let Some(next) = self.queue.pop_front() {
            if self.asked.contains(&&next.specialist.name) {
                continue;
            }
            let progress = self.ask(&next).await;
            match progress {
                Progress::Answered(text) => {
                    return self.end(End::Answered { by: next.specialist, text });
                }
                Progress::GoOn => {}
                Progress::Stop => break,
                Progress::NotReserved { message, reason } => {
                    return self.end(End::NotReserved { message, reason });
                }
            }
        }
        self.end(End::NobodyLeft)
    }

    async fn ask(&mut self, next: &Next<'r>) -> Progress {
        if self.time_for(next.specialist).is_none() {
            return self.out_of_time();
        }
        self.settle_previous().await;
        let now = self.router.clock.now();
        self.trace = spans::invocation(self.request.trace, next.specialist, now);
        let progress = self.recall_or_invoke(next).await;
        if let Progress::NotReserved { reason, .. } = &progress {
            spans::outcome(self.trace, reason.as_str());
        }
        self.trace.end(self.router.clock.now());
        self.trace = self.request.trace;
        progress
    }

    async fn recall_or_invoke(&mut self, next: &Next<'r>) -> Progress {
        if let Some(answer) = self.recall(next).await {
            self.note_fallback(next);
            spans::outcome(self.trace, "answered_as_before");
            return Progress::Answered(answer);
        }
        let id = self.next_hold();
        let first_attempt = asking::owner(&id, 1);
        let until = match self.pass_circuit(next.specialist, &first_attempt).await {
            Ok(until) => until,
            Err(progress) => return progress,
        };
        let granted = match self.reserve(next, id, until).await {
            Ok(granted) => granted,
            Err(progress) => {
                self.withdraw(next.specialist, &first_attempt).await;
                return progress;
            }
        };
        // A probe whose hold took this long to get has lost its place.
        let has_time = until.since(self.router.clock.now()) >= deadline::SHORTEST_ATTEMPT;
        let Some(window) = self.time_for(next.specialist).filter(|_| has_time) else {
            self.withdraw(next.specialist, &first_attempt).await;
            if let Some(hold) = granted.hold {
                self.charge(next.specialist, granted.id, hold, Charge::default());
            }
            return self.out_of_time();
        };
        self.note_fallback(next);
        self.asked.push(&next.specialist.name);
        let span = granted.span(&self.request.caller.root, next.specialist);
        self.invoke(next.specialist, granted, window).instrument(span).await
    }

    fn note_fallback(&mut self, next: &Next<'r>) {
        if let Role::Fallback { of } = next.role {
            self.metrics.fallbacks.push(of.name.clone());
        }
    }

    /// The time for one invocation and all its attempts, if there is enough left to start it.
    fn time_for(&self, specialist: &Specialist) -> Option<Duration> {
        deadline::window(self.remaining(), self.followers(specialist))
    }

    /// How many may still be asked after `specialist`, as far as is known now.
    fn followers(&self, specialist: &Specialist) -> usize {
        let now = self.router.clock.now();
        let is_left = |next: &&Next<'r>| {
            next.specialist.name != specialist.name
                && !self.asked.contains(&&next.specialist.name)
                && !self.router.circuits.rejects(next.specialist, now)
        };
        self.queue.iter().filter(is_left).count()
    }

    fn remaining(&self) -> Duration {
        self.request.deadline.since(self.router.clock.now())
    }

    fn out_of_time(&mut self) -> Progress {
        self.reason.get_or_insert(Reason::Deadline);
        Progress::NotReserved { message: messages::no_time_left(), reason: Reason::Deadline }
    }

    /// What an outcome means for the rest of the course, and why it is no answer, if it is none.
    fn judge(
        &mut self,
        specialist: &'r Specialist,
        outcome: Outcome,
    ) -> (Progress, Option<Reason>) {
        let failure = match outcome.result.map(Answer::read) {
            Ok(Answer::Text(text)) => {
                self.note_accuracy(specialist, true);
                return (Progress::Answered(text), None);
            }
            Ok(Answer::OutOfScope { suggest }) => {
                self.note_accuracy(specialist, false);
                self.reason.get_or_insert(Reason::OutOfScope);
                self.hand_off_to(suggest.as_deref());
                return (Progress::GoOn, Some(Reason::OutOfScope));
            }
            Ok(Answer::Empty) => InvokeError::EmptyAnswer,
            Err(error) => error,
        };
        warn!(error = chain(&failure), specialist.name = %specialist.name, "no answer");
        if let InvokeError::TooLong { limit } = failure {
            self.advice = Some(messages::too_long(&specialist.name, limit));
        }
        let reason = failure.reason();
        if failure.allows_fallback() {
            self.reason.get_or_insert(reason);
            (Progress::GoOn, Some(reason))
        } else {
            // The block is the reason, also where another specialist had failed before.
            self.reason = Some(reason);
            (Progress::Stop, Some(reason))
        }
    }

    /// Puts the specialist that was suggested before the fallbacks, if it may be asked. It stays
    /// among them too, for the case that no hand-off is left.
    fn hand_off_to(&mut self, suggestion: Option<&str>) {
        let suggested = suggestion.and_then(|name| self.router.policy.find(name));
        if let Some(specialist) = suggested
            && may_serve(specialist, self.request.caller)
        {
            self.queue.push_front(Next { specialist, role: Role::Handoff });
        }
    }

    /// Whether the specialist that was asked for was the right one. A choice that the
    /// supervisor was not sure of is no sample.
    fn note_accuracy(&mut self, specialist: &Specialist, accurate: bool) {
        if self.was_asked_for(specialist) && self.detour.is_none() {
            let sample = Self::sample(self.router, self.request, specialist, accurate);
            self.metrics.accuracy.get_or_insert(sample);
        }
    }

    fn was_asked_for(&self, specialist: &Specialist) -> bool {
        specialist.name.as_str() == self.request.task.specialist
    }

    fn sample(
        router: &Router<'_, L, I, K, C>,
        request: &Request<'_>,
        specialist: &Specialist,
        accurate: bool,
    ) -> AccuracySample {
        AccuracySample {
            intent_class: intent_class(request.task.intent.as_deref(), router.policy),
            routed_to: specialist.name.clone(),
            accurate,
        }
    }

    fn end(mut self, end: End<'r>) -> Routed {
        let nobody_was_called = self.metrics.invocations.is_empty();
        let body = match end {
            End::Answered { by, text } => self.answered(by, text),
            End::NotReserved { message, reason } if nobody_was_called => {
                Body::refused(reason, message)
            }
            // Only an open circuit keeps somebody who is to be asked from being called.
            End::NobodyLeft if nobody_was_called => {
                Body::refused(Reason::CircuitOpen, messages::all_circuits_open())
            }
            End::NotReserved { .. } | End::NobodyLeft => self.failed(),
        };
        if body.status == Status::Refused {
            self.metrics.accuracy = None;
            self.metrics.fallbacks.clear();
            self.incidents.clear();
        }
        self.complete_incidents(&body);
        self.metrics.account = self.account;
        let body = Body {
            attempts: self.attempts,
            budget: self.account.map(|account| account.left()),
            message: self.with_advice(&body),
            ..messages::with_task(body, self.request.task)
        };
        let Self { metrics, unsettled, kept, incidents, .. } = self;
        Routed { body, metrics, unsettled, kept, incidents }
    }

    /// Notes down that an invocation brought no answer.
    fn note_incident(&mut self, reason: Reason, invocation: &InvocationMetrics) {
        self.incidents.push(Incident {
            attempts: invocation.attempts,
            latency: invocation.latency,
            input: invocation.used.all_input(),
            output: invocation.used.all_output(),
            cost: invocation.cost,
            ..Incident::without_call(reason, Some(invocation.specialist.clone()))
        });
    }

    /// Adds to the incidents what is known only when the request has come to its end.
    fn complete_incidents(&mut self, body: &Body) {
        let Request { id, place, task, .. } = *self.request;
        let policy = self.router.policy;
        let has_answered = matches!(body.status, Status::Answered | Status::FellBack);
        let answered_by = body.specialist.as_deref().filter(|_| has_answered);
        let answered_by = answered_by.and_then(|name| policy.find(name));
        let at = self.router.clock.now();
        for (number, incident) in self.incidents.iter_mut().enumerate() {
            incident.id = format!("{id}/{place}/{number}");
            incident.at = at;
            incident.intent_class = intent_class(task.intent.as_deref(), policy);
            incident.answered_by = answered_by.map(|specialist| specialist.name.clone());
            incident.request = policy.record_requests.then(|| task.request.clone());
        }
    }

    /// What the supervisor is told, and how little is left where that is little.
    fn with_advice(&self, body: &Body) -> Option<String> {
        let warn_at = self.router.policy.session.warn_at;
        let low = self.account.filter(|account| account.has_reached(warn_at));
        if body.status == Status::Refused {
            return body.message.clone();
        }
        let warning = low.map(|account| messages::little_left(&account));
        let sentences = [body.message.clone(), self.advice.clone(), warning];
        let sentences: Vec<String> = sentences.into_iter().flatten().collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    fn answered(&self, by: &Specialist, text: String) -> Body {
        let was_asked_for = self.was_asked_for(by);
        let reason = self.reason.filter(|_| !was_asked_for);
        let message = reason.map(|reason| {
            messages::fell_back(reason, self.request.task, &by.name, self.router.policy)
        });
        Body {
            status: if was_asked_for { Status::Answered } else { Status::FellBack },
            specialist: Some(by.name.to_string()),
            answer: Some(text),
            reason,
            message,
            ..Body::new(Status::Answered)
        }
    }

    fn failed(&self) -> Body {
        let reason = self.reason.unwrap_or(Reason::AgentError);
        Body {
            specialist: self.metrics.invocations.last().map(|last| last.specialist.to_string()),
            reason: Some(reason),
            message: Some(messages::failed(reason)),
            ..Body::new(Status::Failed)
        }
    }
}
