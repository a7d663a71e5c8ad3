//! What became of a request, and why: two closed sets, spelled the same wherever they are told.

use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The specialist that was asked for answered.
    Answered,
    /// Another specialist answered.
    FellBack,
    /// No specialist was called.
    Refused,
    /// Specialists were called, and none could answer.
    Failed,
    /// Some of several tasks were answered.
    Partial,
    /// A person has it.
    Escalated,
}

impl Status {
    /// Whether a specialist answered.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Answered | Self::FellBack)
    }

    /// The status as the body spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::FellBack => "fell_back",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Escalated => "escalated",
        }
    }
}

/// Why a request was not simply answered by the specialist that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The specialist's answer does not fit its schema, also when it was asked again.
    OutputInvalid,
    /// A guardrail intervened.
    Guardrail,
    /// The specialist said that the request is not its job.
    OutOfScope,
    /// The specialist serves verified users only.
    IdentityNotVerified,
    /// No time is left to ask a specialist.
    Deadline,
    /// The task was stopped before its specialist answered.
    Stopped,
    /// The task had not begun when the others were done, or when one before it ended them.
    NotReached,
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
    /// The user's money of the day is used up.
    BudgetUser,
    /// What all gateway sessions together may use in the hour is used up.
    BudgetGateway,
    /// The budget could not be checked.
    LedgerUnavailable,
    /// A person is asked in the specialist's place.
    Escalated,
    /// The supervisor still wanted a tool when it had to answer.
    MaxRounds,
    /// The function may not invoke the specialist.
    AccessDenied,
    /// The request was malformed.
    BadRequest,
}

impl Reason {
    /// Reads a reason that was written down; `None` when it is none that this version knows.
    pub fn parse(text: &str) -> Option<Self> {
        let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
        Self::deserialize(deserializer).ok()
    }

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
            Self::OutputInvalid => "output_invalid",
            Self::Guardrail => "guardrail",
            Self::OutOfScope => "out_of_scope",
            Self::IdentityNotVerified => "identity_not_verified",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
            Self::NotReached => "not_reached",
            Self::LoopDetected => "loop_detected",
            Self::BudgetSteps => "budget_steps",
            Self::BudgetTokens => "budget_tokens",
            Self::BudgetCost => "budget_cost",
            Self::BudgetHandoffs => "budget_handoffs",
            Self::BudgetTenant => "budget_tenant",
            Self::BudgetUser => "budget_user",
            Self::BudgetGateway => "budget_gateway",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::Escalated => "escalated",
            Self::MaxRounds => "max_rounds",
            Self::AccessDenied => "access_denied",
            Self::BadRequest => "bad_request",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_another_version_is_none_that_is_known() {
        assert_eq!(Reason::parse("bored"), None);
    }

    #[test]
    fn names_in_the_log_are_those_in_the_body() {
        for reason in [Reason::UnknownSpecialist, Reason::OutputInvalid, Reason::Escalated] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        for status in [Status::Answered, Status::FellBack, Status::Partial, Status::Escalated] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
