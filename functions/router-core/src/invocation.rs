//! Asking one specialist: the port, what an attempt comes to, and what it costs.

use std::future::Future;
use std::time::Duration;

use crate::charge::Usage;
use crate::circuit::Verdict;
use crate::error::Cause;
use crate::ids::RootSession;
use crate::outcome::Reason;
use crate::policy::{AgentRef, ModelSettings};
use crate::stop::Stop;
use crate::trace::{Step, TraceParent};
use crate::units::Tokens;
use crate::wire::caller::Attributes;

/// One attempt to have a specialist answer.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The agent that plays the specialist.
    pub agent: &'a AgentRef,
    /// The specialist's own session, valid for Bedrock and AgentCore.
    pub session_id: &'a str,
    /// The session that the request belongs to, for the traces of the agent's side.
    pub root_session: &'a RootSession,
    /// The session attributes that it gets, where it can.
    pub attributes: &'a Attributes,
    /// What of the scratchpad it is given with the request, by name.
    pub scratchpad: &'a Attributes,
    /// What is asked of its model, where the router calls one itself.
    pub model: &'a ModelSettings,
    /// What it is asked.
    pub request: &'a str,
    /// From the start to the last byte of the answer.
    pub timeout: Duration,
    /// The longest silence between two events of its stream.
    pub idle_timeout: Duration,
    /// Once more tokens than these are reported, no further model invocation is waited for.
    pub max_tokens: Tokens,
    /// The span of this attempt, if the request is traced. What the agent does is a part of it.
    pub trace: Option<TraceParent>,
    /// Ends the attempt before its time.
    pub stop: &'a Stop,
}

impl Attempt<'_> {
    /// What the agent is given of the scratchpad, as a text before the request: for agents that
    /// have no other place for it. `None`: nothing.
    pub fn scratchpad_as_text(&self) -> Option<String> {
        if self.scratchpad.is_empty() {
            return None;
        }
        let lines = self.scratchpad.iter().map(|(name, value)| format!("\n{name}: {value}"));
        Some(format!("Found out before, in this conversation:{}", lines.collect::<String>()))
    }
}

/// What an attempt came to. Usage is told whatever the result: failures cost money too.
///
/// A specialist's answer is a text, a supervisor's a [`Turn`](crate::supervisor::Turn).
#[derive(Debug)]
pub struct Outcome<T = String> {
    /// The answer, or why there is none.
    pub result: Result<T, InvokeError>,
    /// What is known of the tokens it used.
    pub usage: Usage,
    /// What the agent did, where that was wanted and as far as it told.
    pub steps: Vec<Step>,
}

impl<T> Outcome<T> {
    /// The outcome of an attempt of whose steps nothing is known.
    pub fn new(result: Result<T, InvokeError>, usage: Usage) -> Self {
        Self { result, usage, steps: Vec::new() }
    }
}

/// Calls specialists.
pub trait SpecialistInvoker {
    /// Makes one attempt, without retrying: a repeated call is a second agent run, with a
    /// second bill.
    ///
    /// The attempt ends within `attempt.timeout`, and at once when `attempt.stop` is given; text
    /// received before a failure is not an answer and is dropped.
    fn invoke(&self, attempt: &Attempt<'_>) -> impl Future<Output = Outcome> + Send;
}

/// Why an attempt brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Too many requests; the same one may succeed later.
    #[error("the agent throttled the request")]
    Throttled,
    /// A quota is used up. Unlike throttling, it does not pass by itself.
    #[error("a service quota of the agent is used up")]
    QuotaExceeded,
    /// The service failed (5xx), or its model was not ready.
    #[error("the agent's service failed: {0}")]
    ServiceFault(&'static str),
    /// Something that the agent itself calls failed.
    #[error("a dependency of the agent failed")]
    DependencyFailed,
    /// The specialist's session is in use by another invocation.
    #[error("the specialist's session is in use")]
    Conflict,
    /// This function may not invoke the agent.
    #[error("invoking the agent is not allowed")]
    AccessDenied,
    /// There is no such agent or alias.
    #[error("there is no such agent or alias")]
    NotFound,
    /// The service did not accept the request.
    #[error("the agent's service did not accept the request")]
    Invalid,
    /// There was no connection, or no request to send over it: it cannot have been run.
    #[error("the agent's service cannot be reached")]
    Unreachable(#[source] Cause),
    /// The connection was lost before an answer began.
    #[error("the connection to the agent was lost")]
    ConnectionLost(#[source] Cause),
    /// The stream broke off, or could not be read.
    #[error("the agent's stream broke off")]
    StreamBroken(#[source] Cause),
    /// What came is no text, or no JSON where it should be. It would come again.
    #[error("the agent's answer cannot be read")]
    Unreadable,
    /// No answer came in time.
    #[error("the agent took longer than {} ms {}", .limit.as_millis(), .what.words())]
    TimedOut {
        /// What took too long.
        what: Wait,
        /// The limit that it passed.
        limit: Duration,
    },
    /// The task that it was made for was stopped.
    #[error("the attempt was stopped")]
    Stopped,
    /// The agent had used more tokens than it may when it began another model invocation.
    #[error("the agent used more than the {} it may, and went on", .max)]
    TooManyTokens {
        /// What it may use.
        max: Tokens,
    },
    /// The answer is longer than the router keeps.
    #[error("the agent's answer has more than {limit} bytes")]
    TooLong {
        /// What it may have.
        limit: usize,
    },
    /// The answer does not fit the schema that it must fit.
    #[error("the agent's answer does not fit its schema")]
    OutputInvalid {
        /// What does not fit, in words for the model that wrote it.
        mistakes: Vec<String>,
    },
    /// The stream ended in order, without any text.
    #[error("the agent's answer is empty")]
    EmptyAnswer,
    /// The agent gave up (`failureTrace`, a model that reached its limit) or sent what is no
    /// answer; text that came is an apology, or half of one.
    #[error("the agent gave up")]
    GaveUp,
    /// A guardrail blocked the request or the answer.
    #[error("a guardrail intervened")]
    Guardrail,
    /// The agent wants its caller to run a tool, which a router cannot.
    #[error("the agent returned control, which the router cannot take")]
    ReturnedControl,
}

/// What an attempt waited for when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The whole of the answer.
    Answer,
    /// The next event of the stream.
    NextEvent,
}

impl Wait {
    fn words(self) -> &'static str {
        match self {
            Self::Answer => "to answer",
            Self::NextEvent => "between two events",
        }
    }
}

impl InvokeError {
    /// The reason that the supervisor is told.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Throttled | Self::QuotaExceeded => Reason::Throttled,
            Self::TimedOut { .. } => Reason::Timeout,
            Self::StreamBroken(_) | Self::Unreadable => Reason::StreamBroken,
            Self::EmptyAnswer => Reason::EmptyAnswer,
            Self::OutputInvalid { .. } => Reason::OutputInvalid,
            Self::Guardrail => Reason::Guardrail,
            Self::AccessDenied => Reason::AccessDenied,
            Self::Stopped => Reason::Stopped,
            Self::TooManyTokens { .. } => Reason::BudgetTokens,
            Self::ServiceFault(_)
            | Self::DependencyFailed
            | Self::Conflict
            | Self::NotFound
            | Self::Invalid
            | Self::Unreachable(_)
            | Self::ConnectionLost(_)
            | Self::TooLong { .. }
            | Self::GaveUp
            | Self::ReturnedControl => Reason::AgentError,
        }
    }

    /// Whether the same attempt may succeed a moment later although nothing was changed.
    ///
    /// An attempt that has used its time up is not made again: the caller has waited long
    /// enough for this specialist.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled
            | Self::ServiceFault(_)
            | Self::Unreachable(_)
            | Self::ConnectionLost(_)
            | Self::StreamBroken(_) => true,
            Self::QuotaExceeded
            | Self::DependencyFailed
            | Self::Conflict
            | Self::AccessDenied
            | Self::NotFound
            | Self::Invalid
            | Self::Unreadable
            | Self::TimedOut { .. }
            | Self::Stopped
            | Self::TooManyTokens { .. }
            | Self::TooLong { .. }
            | Self::EmptyAnswer
            | Self::OutputInvalid { .. }
            | Self::GaveUp
            | Self::Guardrail
            | Self::ReturnedControl => false,
        }
    }

    /// What the error says of the specialist's health. Throttling is no failure of it, nor is a request
    /// that it may not or cannot serve; a guardrail that intervened works.
    ///
    /// An attempt that our own deadline left little time, less than half of what the answer of
    /// a healthy specialist may take (`slow_call`), says nothing when that runs out.
    pub fn verdict(&self, slow_call: Duration) -> Verdict {
        match self {
            Self::ServiceFault(_)
            | Self::DependencyFailed
            | Self::Unreachable(_)
            | Self::ConnectionLost(_)
            | Self::StreamBroken(_)
            | Self::Unreadable
            | Self::TooLong { .. }
            | Self::EmptyAnswer
            | Self::OutputInvalid { .. }
            | Self::GaveUp => Verdict::Failing,
            Self::TimedOut { what: Wait::Answer, limit } if *limit < slow_call / 2 => {
                Verdict::Unknown
            }
            Self::TimedOut { .. } => Verdict::Failing,
            Self::Guardrail => Verdict::Healthy,
            Self::Throttled
            | Self::QuotaExceeded
            | Self::Conflict
            | Self::AccessDenied
            | Self::NotFound
            | Self::Invalid
            | Self::Stopped
            | Self::TooManyTokens { .. }
            | Self::ReturnedControl => Verdict::Unknown,
        }
    }

    /// Whether the agent may still be at work, since the router hung up and it did not end. Its
    /// session is better left alone then.
    pub fn may_still_run(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Stopped
                | Self::TooManyTokens { .. }
                | Self::TooLong { .. }
        )
    }

    /// Whether another specialist may be asked. A blocked request must not try its luck at a
    /// weaker guardrail, and a task that was stopped is over.
    pub fn allows_fallback(&self) -> bool {
        !matches!(self, Self::Guardrail | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_that_our_own_deadline_made_short_says_nothing_of_the_specialist() {
        let slow_call = Duration::from_secs(8);
        let verdict = |what, millis| {
            let limit = Duration::from_millis(millis);
            InvokeError::TimedOut { what, limit }.verdict(slow_call)
        };
        assert_eq!(verdict(Wait::Answer, 3_999), Verdict::Unknown);
        assert_eq!(verdict(Wait::Answer, 4_000), Verdict::Failing);
        assert_eq!(verdict(Wait::NextEvent, 1_000), Verdict::Failing);
    }

    #[test]
    fn a_time_out_says_what_was_waited_for() {
        for (what, words) in [(Wait::Answer, "to answer"), (Wait::NextEvent, "between two events")]
        {
            let error = InvokeError::TimedOut { what, limit: Duration::from_secs(1) };
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
