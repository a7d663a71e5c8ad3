//! The sentences that an application reads where there is no answer, and may show its user.
//!
//! Those of the tools speak to a model, which has others to ask and an answer to write.

use crate::outcome::Reason;

/// Why there is no answer.
pub(super) fn unanswered(reason: Reason) -> &'static str {
    match reason {
        Reason::BadRequest => "This session belongs to another tenant or user.",
        Reason::BudgetSteps | Reason::BudgetTokens | Reason::BudgetCost => {
            "What this session may use is used up."
        }
        Reason::BudgetHandoffs => "This session has handed over as often as it may.",
        Reason::BudgetTenant | Reason::BudgetUser => "What may be used today is used up.",
        Reason::BudgetGateway => "What may be used in this hour is used up.",
        Reason::LedgerUnavailable => {
            "What this session may use cannot be checked right now. Try again later."
        }
        Reason::LoopDetected => "This was asked in this session as often as it may be.",
        Reason::CircuitOpen => "Nobody is being asked at the moment. Try again later.",
        Reason::Deadline => "No time was left to go on. Try again.",
        Reason::MaxRounds => "There was no answer within the rounds that a request may take.",
        Reason::Guardrail => "A guardrail blocked this request or its answer.",
        Reason::Escalated => "A person would have to answer this, and none could be asked.",
        Reason::IdentityNotVerified => "This needs a user who has signed in.",
        Reason::UnknownSpecialist
        | Reason::LowConfidence
        | Reason::Throttled
        | Reason::Timeout
        | Reason::AgentError
        | Reason::StreamBroken
        | Reason::EmptyAnswer
        | Reason::OutputInvalid
        | Reason::OutOfScope
        | Reason::Stopped
        | Reason::NotReached
        | Reason::AccessDenied => "This cannot be answered right now. Try again later.",
    }
}
