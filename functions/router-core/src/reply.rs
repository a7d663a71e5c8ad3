//! What the supervisor gets back.
//!
//! The body is one JSON object with always the same keys; around it goes the envelope of the
//! event's form. Bedrock fails the user's whole turn over a reply of more than 25 KB, over an
//! attribute that is no text, and over `responseState: FAILURE`: none of them leaves here.

mod envelope;

pub use envelope::{MAX_REPLY_BYTES, Reply};
use serde::{Serialize, Serializer};

use crate::units::MicroUsd;

/// Text that a model wrote is echoed up to this many characters.
pub const MAX_ECHO_CHARS: usize = 100;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The specialist that was asked for answered.
    Answered,
    /// Another specialist answered.
    FellBack,
    /// Nobody was called.
    Refused,
    /// Specialists were called, and nobody could answer.
    Failed,
}

impl Status {
    /// The status as the body spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::FellBack => "fell_back",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a request was not simply answered by the specialist that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The policy has no such specialist.
    UnknownSpecialist,
    /// The supervisor was not sure enough.
    LowConfidence,
    /// The specialist has failed so often that it is not called for a while.
    CircuitOpen,
    /// The specialist, or the model behind it, gets too many requests.
    Throttled,
    /// The specialist took too long.
    Timeout,
    /// The specialist failed.
    AgentError,
    /// The specialist's answer broke off.
    StreamBroken,
    /// The specialist answered nothing.
    EmptyAnswer,
    /// A guardrail intervened.
    Guardrail,
    /// The specialist said that the request is not its job.
    OutOfScope,
    /// The specialist serves verified users only.
    IdentityNotVerified,
    /// No time is left to ask anybody.
    Deadline,
    /// The task was stopped before its specialist answered.
    Stopped,
    /// The request passed too many routers.
    LoopDetected,
    /// The session's steps are used up.
    BudgetSteps,
    /// The session's tokens are used up.
    BudgetTokens,
    /// The session's money is used up.
    BudgetCost,
    /// The session's hand-offs are used up.
    BudgetHandoffs,
    /// The tenant's money of the day is used up.
    BudgetTenant,
    /// The budget could not be checked.
    LedgerUnavailable,
    /// The function may not invoke the specialist.
    AccessDenied,
    /// The request was malformed.
    BadRequest,
}

impl Reason {
    /// The reason as the body spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSpecialist => "unknown_specialist",
            Self::LowConfidence => "low_confidence",
            Self::CircuitOpen => "circuit_open",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::AgentError => "agent_error",
            Self::StreamBroken => "stream_broken",
            Self::EmptyAnswer => "empty_answer",
            Self::Guardrail => "guardrail",
            Self::OutOfScope => "out_of_scope",
            Self::IdentityNotVerified => "identity_not_verified",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
            Self::LoopDetected => "loop_detected",
            Self::BudgetSteps => "budget_steps",
            Self::BudgetTokens => "budget_tokens",
            Self::BudgetCost => "budget_cost",
            Self::BudgetHandoffs => "budget_handoffs",
            Self::BudgetTenant => "budget_tenant",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::AccessDenied => "access_denied",
            Self::BadRequest => "bad_request",
        }
    }
}

/// What is left of a session's budget after the request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetLeft {
    /// Invocations.
    pub steps_left: u64,
    /// Input and output tokens.
    pub tokens_left: u64,
    /// Money.
    #[serde(rename = "cost_left_usd", serialize_with = "in_usd")]
    pub cost_left: MicroUsd,
}

fn in_usd<S: Serializer>(amount: &MicroUsd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(amount.to_usd())
}

/// The body of a reply, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// What became of the request.
    pub status: Status,
    /// Who answered; where nobody did, who was called last.
    pub specialist: Option<String>,
    /// Who was asked for, as the model wrote it.
    pub asked: Option<String>,
    /// The answer.
    pub answer: Option<String>,
    /// The supervisor's own id of the task.
    pub task_id: Option<String>,
    /// Attempts made, over all specialists.
    pub attempts: u64,
    /// Why it was not simply answered.
    pub reason: Option<Reason>,
    /// What the model is to know or do.
    pub message: Option<String>,
    /// Whether the answer was cut.
    pub truncated: bool,
    /// What is left of the session's budget, where it was looked at.
    pub budget: Option<BudgetLeft>,
}

impl Body {
    /// A body that says no more than its status.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            specialist: None,
            asked: None,
            answer: None,
            task_id: None,
            attempts: 0,
            reason: None,
            message: None,
            truncated: false,
            budget: None,
        }
    }

    /// The body of a request for which nobody was called.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        let message = Some(message.into());
        Self { reason: Some(reason), message, ..Self::new(Status::Refused) }
    }
}

/// The beginning of a text that a model wrote, as it may be echoed.
pub fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_always_there_in_its_order() {
        let body = Body::refused(Reason::BadRequest, "no");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"status":"refused","specialist":null,"asked":null,"answer":null,"task_id":null,"attempts":0,"reason":"bad_request","message":"no","truncated":false,"budget":null}"#
        );
    }

    #[test]
    fn names_in_the_log_are_those_in_the_body() {
        for reason in [Reason::UnknownSpecialist, Reason::BudgetHandoffs, Reason::EmptyAnswer] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        for status in [Status::Answered, Status::FellBack, Status::Refused, Status::Failed] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    #[test]
    fn money_is_told_in_dollars() {
        let left = BudgetLeft { steps_left: 9, tokens_left: 61_200, cost_left: MicroUsd(310_000) };
        assert_eq!(
            serde_json::to_string(&left).unwrap(),
            r#"{"steps_left":9,"tokens_left":61200,"cost_left_usd":0.31}"#
        );
    }
}
