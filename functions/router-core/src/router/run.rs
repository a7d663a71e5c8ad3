//! One sub-task under way: the specialists of its plan, one after the other.

mod asking;

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{Instrument, warn};

use super::answer::Answer;
use super::messages;
use super::{Request, Routed, Router, Unsettled};
use crate::deadline;
use crate::invocation::{InvokeError, Outcome, SpecialistInvoker};
use crate::ledger::{Account, Ledger};
use crate::metrics::{AccuracySample, RequestMetrics, intent_class};
use crate::policy::Specialist;
use crate::reply::{Body, Reason, Status};
use crate::routing::{Plan, may_serve};
use crate::units::Clock;

/// The state of one sub-task.
pub(super) struct Run<'r, L, I, C> {
    router: &'r Router<'r, L, I, C>,
    request: &'r Request<'r>,
    /// Who is asked next, in order.
    queue: VecDeque<Next<'r>>,
    /// Who has been asked, so that nobody is asked twice.
    asked: Vec<&'r Specialist>,
    /// Why the specialist that was asked for is not the one that answers. The first reason
    /// stands: what went wrong afterwards went wrong because of it.
    reason: Option<Reason>,
    attempts: u64,
    account: Option<Account>,
    unsettled: Option<Unsettled>,
    metrics: RequestMetrics,
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
enum Step {
    Answered(String),
    GoOn,
    Stop,
    NotReserved { message: String, reason: Reason },
}

impl<'r, L: Ledger, I: SpecialistInvoker, C: Clock> Run<'r, L, I, C> {
    pub(super) fn new(
        router: &'r Router<'r, L, I, C>,
        request: &'r Request<'r>,
        plan: &Plan<'r>,
    ) -> Self {
        let first = Next { specialist: plan.first, role: Role::First };
        let fallbacks = plan
            .fallbacks
            .iter()
            .map(|&specialist| Next { specialist, role: Role::Fallback { of: plan.first } });
        let mut metrics = RequestMetrics::default();
        if let Some(reason) = plan.detour {
            let named = router.policy.find(&request.task.specialist);
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
            reason: plan.detour,
            attempts: 0,
            account: None,
            unsettled: None,
            metrics,
        }
    }

    /// Asks one after the other until one answers.
    pub(super) async fn finish(mut self) -> Routed {
        while let Some(next) = self.queue.pop_front() {
            let step = self.step(&next).await;
            self.asked.push(next.specialist);
            match step {
                Step::Answered(text) => {
                    return self.end(End::Answered { by: next.specialist, text });
                }
                Step::GoOn => {}
                Step::Stop => break,
                Step::NotReserved { message, reason } => {
                    return self.end(End::NotReserved { message, reason });
                }
            }
        }
        self.end(End::NobodyLeft)
    }

    async fn step(&mut self, next: &Next<'r>) -> Step {
        if self.time_for(next.specialist).is_none() {
            return self.out_of_time();
        }
        self.settle_previous().await;
        let admission = match self.reserve(next).await {
            Ok(admission) => admission,
            Err(step) => return step,
        };
        let Some(timeout) = self.time_for(next.specialist) else {
            self.unsettled = admission.unused();
            return self.out_of_time();
        };
        if let Role::Fallback { of } = next.role {
            self.metrics.fallbacks.push(of.name.clone());
        }
        let span = admission.span(&self.request.caller.root, next.specialist);
        self.invoke(next.specialist, admission, timeout).instrument(span).await
    }

    /// The time for one invocation, if there is enough left to start it.
    fn time_for(&self, specialist: &Specialist) -> Option<Duration> {
        deadline::attempt_timeout(self.remaining(), specialist.timeout, self.queue.len())
    }

    fn remaining(&self) -> Duration {
        self.request.deadline.since(self.router.clock.now())
    }

    fn out_of_time(&mut self) -> Step {
        self.reason.get_or_insert(Reason::Deadline);
        let message = messages::refusal(Reason::Deadline, self.request.task);
        Step::NotReserved { message, reason: Reason::Deadline }
    }

    /// What an outcome means for the rest of the run, and why it is no answer, if it is none.
    fn judge(&mut self, specialist: &'r Specialist, outcome: Outcome) -> (Step, Option<Reason>) {
        let failure = match outcome.result.map(Answer::read) {
            Ok(Answer::Text(text)) => {
                if self.was_asked_for(specialist) {
                    let sample = Self::sample(self.router, self.request, specialist, true);
                    self.metrics.accuracy.get_or_insert(sample);
                }
                return (Step::Answered(text), None);
            }
            Ok(Answer::OutOfScope { suggest }) => {
                if self.was_asked_for(specialist) {
                    let sample = Self::sample(self.router, self.request, specialist, false);
                    self.metrics.accuracy.get_or_insert(sample);
                }
                self.reason.get_or_insert(Reason::OutOfScope);
                self.hand_off_to(suggest.as_deref(), specialist);
                return (Step::GoOn, Some(Reason::OutOfScope));
            }
            Ok(Answer::Empty) => InvokeError::EmptyAnswer,
            Err(error) => error,
        };
        warn!(error = chain(&failure), specialist.name = %specialist.name, "no answer");
        let reason = failure.reason();
        if failure.allows_fallback() {
            self.reason.get_or_insert(reason);
            (Step::GoOn, Some(reason))
        } else {
            // The block is the reason, also where another specialist had failed before.
            self.reason = Some(reason);
            (Step::Stop, Some(reason))
        }
    }

    /// Puts the specialist that was suggested before the fallbacks, if it may be asked.
    fn hand_off_to(&mut self, suggestion: Option<&str>, by: &Specialist) {
        let suggested = suggestion.and_then(|name| self.router.policy.find(name));
        if let Some(specialist) = suggested
            && specialist.name != by.name
            && !self.asked.iter().any(|asked| asked.name == specialist.name)
            && may_serve(specialist, self.request.caller)
        {
            self.queue.retain(|next| next.specialist.name != specialist.name);
            self.queue.push_front(Next { specialist, role: Role::Handoff });
        }
    }

    fn was_asked_for(&self, specialist: &Specialist) -> bool {
        specialist.name.as_str() == self.request.task.specialist
    }

    fn sample(
        router: &Router<'_, L, I, C>,
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
            End::NotReserved { .. } | End::NobodyLeft => self.failed(),
        };
        if nobody_was_called {
            self.metrics.accuracy = None;
            self.metrics.fallbacks.clear();
        }
        let limits = &self.router.policy.session;
        self.metrics.budget_utilization_percent =
            self.account.map(|account| account.utilization_percent(limits));
        let body = Body {
            attempts: self.attempts,
            budget: self.account.map(|account| account.left(limits)),
            ..messages::with_task(body, self.request.task)
        };
        Routed { body, metrics: self.metrics, unsettled: self.unsettled }
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

/// An error with its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
