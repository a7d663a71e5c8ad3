//! What a part of an agent's trace tells, as far as the router wants to know.
//!
//! Shapes: `TracePart` in the model of bedrock-agent-runtime 2023-07-26. The agent's phases
//! (pre-processing, orchestration, …) tell the same kinds of things.

use serde_json::Value;

/// Something that a trace part tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum TraceEvent<'t> {
    /// A model invocation begins.
    ModelBegins(&'t Value),
    /// A model invocation has ended. Its `metadata` has its usage; other parts of a trace may
    /// carry usage too, which would count the same tokens twice.
    ModelEnds(&'t Value),
    /// A tool or another agent is invoked.
    InvocationBegins(&'t Value),
    /// Something was observed: among others, what an invocation came to.
    Observed(&'t Value),
    /// A guardrail has looked at the request or the answer.
    Guardrail(&'t Value),
    /// The agent has given up.
    Failure(&'t Value),
}

impl<'t> TraceEvent<'t> {
    /// What the `trace` of `part` tells, if it is of one of these kinds.
    pub(super) fn by(part: &'t Value) -> Option<Self> {
        let (phase, told) = member(&part["trace"])?;
        match phase {
            "guardrailTrace" => return Some(Self::Guardrail(told)),
            "failureTrace" => return Some(Self::Failure(told)),
            _ => {}
        }
        let (kind, told) = member(told)?;
        Some(match kind {
            "modelInvocationInput" => Self::ModelBegins(told),
            "modelInvocationOutput" => Self::ModelEnds(told),
            "invocationInput" => Self::InvocationBegins(told),
            "observation" => Self::Observed(told),
            _ => return None,
        })
    }
}

/// The one member of a union.
fn member(union: &Value) -> Option<(&str, &Value)> {
    let mut members = union.as_object()?.iter().filter(|(_, value)| !value.is_null());
    members.next().map(|(name, value)| (name.as_str(), value))
}
