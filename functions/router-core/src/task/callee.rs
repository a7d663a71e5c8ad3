//! What an invocation calls: a specialist, or the supervisor for a round.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::Answer;
use super::context::TaskContext;
use crate::ids::{Lane, specialist_session_id};
use crate::invocation::{Attempt, InvokeError, Outcome, SpecialistInvoker};
use crate::outcome::Reason;
use crate::policy::{AgentRef, Specialist};
use crate::ports::Ports;
use crate::trace::TraceParent;
use crate::views::messages;
use crate::wire::caller::Attributes;

/// Whom an attempt calls, and for how long.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// As the policy has it.
    pub(crate) specialist: &'a Specialist,
    /// The agent that plays it this time.
    pub(crate) agent: &'a AgentRef,
    /// The session of its own in which it is called.
    pub(crate) lane: Lane,
    /// From the start to the last byte of the answer.
    pub(crate) timeout: Duration,
    /// The span of the attempt, if the request is traced.
    pub(crate) trace: Option<TraceParent>,
}

/// Makes the attempts of an invocation.
pub(crate) trait Callee<P: Ports> {
    /// What is answered.
    type Answer;

    /// Makes one attempt.
    async fn call(
        &mut self,
        context: &TaskContext<'_, P>,
        call: &Call<'_>,
    ) -> Outcome<Self::Answer>;

    /// Why this is no answer to what was asked, if it is none.
    fn failure(answer: &Self::Answer) -> Option<Reason>;

    /// Whether an attempt that failed may be made again: not where it has done what would be done twice.
    fn may_be_repeated(&self) -> bool {
        true
    }

    /// Takes to heart why an attempt failed that is made again.
    fn learn(&mut self, error: &InvokeError);
}

/// A specialist that is asked what a task asks.
#[derive(Debug)]
pub(super) struct AskSpecialist {
    /// What it is given of the scratchpad.
    scratchpad: Attributes,
    /// What it is told of an answer that does not fit.
    correction: Option<String>,
}

impl AskSpecialist {
    pub(super) fn new(scratchpad: Attributes) -> Self {
        Self { scratchpad, correction: None }
    }

    /// What it is asked in the next attempt.
    fn request<'r>(&self, prompt: &'r str) -> Cow<'r, str> {
        match &self.correction {
            None => Cow::Borrowed(prompt),
            Some(correction) => Cow::Owned(format!("{prompt}\n\n{correction}")),
        }
    }
}

impl<P: Ports> Callee<P> for AskSpecialist {
    type Answer = Answer;

    async fn call(&mut self, context: &TaskContext<'_, P>, call: &Call<'_>) -> Outcome<Answer> {
        let Call { specialist, agent, lane, timeout, trace } = call;
        let caller = context.request.caller;
        let attempt = Attempt {
            agent,
            session_id: &specialist_session_id(&caller.root, &specialist.name, *lane),
            root_session: &caller.root,
            attributes: &caller.forwarded_attributes(),
            scratchpad: &self.scratchpad,
            model: &specialist.model,
            request: &self.request(&context.task.prompt),
            timeout: *timeout,
            idle_timeout: specialist.idle_timeout,
            max_tokens: specialist.max_tokens_per_call,
            trace: *trace,
            stop: context.stop,
        };
        let Outcome { result, usage, steps } =
            context.request.ports.invoker().invoke(&attempt).await;
        let schemas = context.request.policy.schemas_of(specialist);
        let result = result.and_then(|text| {
            let answer = Answer::read(text).ok_or(InvokeError::EmptyAnswer)?;
            answer.fit(schemas).map_err(|mistakes| InvokeError::OutputInvalid { mistakes })
        });
        Outcome { result, usage, steps }
    }

    fn failure(answer: &Answer) -> Option<Reason> {
        match answer {
            Answer::Text(_) => None,
            Answer::OutOfScope { .. } => Some(Reason::OutOfScope),
            Answer::Escalate { .. } => Some(Reason::Escalated),
        }
    }

    fn learn(&mut self, error: &InvokeError) {
        if let InvokeError::OutputInvalid { mistakes } = error {
            self.correction = Some(messages::does_not_fit(mistakes));
        }
    }
}
