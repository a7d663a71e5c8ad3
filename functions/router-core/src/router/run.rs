//! One sub-task under way: the specialists of its plan, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{Instrument, Span, error, field, info_span, warn};

use super::answer::Answer;
use super::messages;
use super::{Request, Routed, Router, Unsettled};
use crate::deadline;
use crate::invocation::{Attempt, Charge, InvokeError, Outcome, SpecialistInvoker, Usage};
use crate::ledger::{Account, HOLD_GRACE, Hold, HoldId, Ledger, Limit, Reservation, ReserveError};
use crate::metrics::{AccuracySample, InvocationMetrics, RequestMetrics, intent_class};
use crate::policy::{OnLedgerFailure, Specialist};
use crate::reply::{Body, Reason, Status};
use crate::routing::{Plan, may_serve};
use crate::session::{Strand, specialist_session_id};
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

/// The right to invoke a specialist once.
struct Admission {
    /// The hold that pays; `None` when the policy lets invocations go uncounted.
    hold: Option<(HoldId, Charge)>,
    strand: Strand,
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
        let remaining = self.request.deadline.since(self.router.clock.now());
        let timeout = next.specialist.timeout;
        let Some(timeout) = deadline::attempt_timeout(remaining, timeout, self.queue.len()) else {
            self.reason.get_or_insert(Reason::Deadline);
            let message = messages::refusal(Reason::Deadline, self.request.task);
            return Step::NotReserved { message, reason: Reason::Deadline };
        };
        self.settle_previous(remaining).await;
        let admission = match self.reserve(next).await {
            Ok(admission) => admission,
            Err(step) => return step,
        };
        if let Role::Fallback { of } = next.role {
            self.metrics.fallbacks.push(of.name.clone());
        }
        let span = info_span!(
            "invoke_specialist",
            session.id = %self.request.caller.root,
            specialist.name = %next.specialist.name,
            hold_micro_usd = admission.hold.as_ref().map(|(_, held)| held.cost.0),
            attempts = field::Empty,
            input_tokens = field::Empty,
            output_tokens = field::Empty,
            cost_micro_usd = field::Empty,
            outcome = field::Empty,
        );
        self.invoke(next.specialist, admission, timeout, &span).instrument(span.clone()).await
    }

    /// A hold that is still open would count against the next reservation.
    async fn settle_previous(&mut self, remaining: Duration) {
        if let Some(unsettled) = self.unsettled.take() {
            let settlement = unsettled.of(&self.request.caller.root);
            let within = deadline::wind_up(remaining);
            if let Err(error) = self.router.ledger.settle(&settlement, within).await {
                warn!(error = chain(&error), "hold left to expire");
            }
        }
    }

    async fn reserve(&mut self, next: &Next<'r>) -> Result<Admission, Step> {
        let Run { router, request, .. } = self;
        let id = HoldId::new(request.id, request.place, self.asked.len());
        let ask = Charge::hold(next.specialist);
        let reservation = Reservation {
            id: &id,
            session: &request.caller.root,
            limits: &router.policy.session,
            specialist: &next.specialist.name,
            ask,
            is_handoff: next.role == Role::Handoff,
            now: router.clock.now(),
            expires: request.deadline.after(HOLD_GRACE),
        };
        match router.ledger.reserve(&reservation).await {
            Ok(Hold { account, strand }) => {
                self.account = Some(account);
                Ok(Admission { hold: Some((id, ask)), strand })
            }
            Err(ReserveError::Exhausted(exhausted)) => {
                let error = ReserveError::Exhausted(exhausted.clone());
                warn!(error = chain(&error), limit = %exhausted.limit, "no room in the budget");
                self.account = Some(exhausted.account);
                self.metrics.refused_by.push(exhausted.limit);
                if exhausted.limit == Limit::Handoffs {
                    return Err(Step::GoOn);
                }
                let message = messages::exhausted(&exhausted, &next.specialist.name, ask);
                Err(Step::NotReserved { message, reason: budget_reason(exhausted.limit) })
            }
            Err(error @ ReserveError::Unavailable(_))
                if router.policy.session.on_ledger_failure == OnLedgerFailure::Allow =>
            {
                error!(error = chain(&error), "invocation goes uncounted");
                Ok(Admission { hold: None, strand: Strand::default() })
            }
            Err(error @ (ReserveError::Unavailable(_) | ReserveError::AlreadySettled(_))) => {
                error!(error = chain(&error), "the budget cannot be checked");
                let reason = Reason::LedgerUnavailable;
                let message = messages::refusal(reason, request.task);
                Err(Step::NotReserved { message, reason })
            }
        }
    }

    async fn invoke(
        &mut self,
        specialist: &'r Specialist,
        admission: Admission,
        timeout: Duration,
        span: &Span,
    ) -> Step {
        let started = self.router.clock.now();
        let outcome = self.attempt(specialist, admission.strand, timeout).await;
        let latency = self.router.clock.now().since(started);
        let used = Charge::of(specialist, &outcome.usage);
        let (input, output) = outcome.usage.reported();
        span.record("attempts", self.attempts);
        span.record("input_tokens", input.0);
        span.record("output_tokens", output.0);
        span.record("cost_micro_usd", used.cost.0);
        if let Some((id, held)) = admission.hold {
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
            self.unsettled = Some(Unsettled { id, held, used });
        }
        let (step, failure) = self.judge(specialist, outcome);
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
        step
    }

    /// Asks the specialist. Somebody else in its session moves the invocation to the next
    /// lane, once: nothing ran, so nothing is asked twice.
    async fn attempt(
        &mut self,
        specialist: &Specialist,
        strand: Strand,
        timeout: Duration,
    ) -> Outcome {
        let started = self.router.clock.now();
        let attributes = self.request.caller.forwarded_attributes();
        let mut strand = strand;
        let mut moved = false;
        loop {
            let session_id =
                specialist_session_id(&self.request.caller.root, &specialist.name, strand);
            let spent = self.router.clock.now().since(started);
            let attempt = Attempt {
                agent: &specialist.agent,
                session_id: &session_id,
                attributes: &attributes,
                request: &self.request.task.request,
                timeout: timeout.saturating_sub(spent),
                idle_timeout: specialist.idle_timeout,
            };
            let outcome = self.router.invoker.invoke(&attempt).await;
            self.attempts += 1;
            let in_use = matches!(outcome.result, Err(InvokeError::Conflict));
            if !in_use || outcome.usage != Usage::NotRun || moved {
                return outcome;
            }
            strand = strand.beside();
            moved = true;
        }
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

fn budget_reason(limit: Limit) -> Reason {
    match limit {
        Limit::Steps => Reason::BudgetSteps,
        Limit::Tokens => Reason::BudgetTokens,
        Limit::Cost => Reason::BudgetCost,
        Limit::Handoffs => Reason::BudgetHandoffs,
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
