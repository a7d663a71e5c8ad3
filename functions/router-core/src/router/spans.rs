//! What the spans of a request say.
//!
//! Each begins with whose work it is and ends with what came of it. Being refused is no failure
//! of a span, since a limit that holds does what it is there for.

use crate::invocation::{Charge, InvokeError, Outcome};
use crate::ledger::{ReserveError, SettleError};
use crate::metrics::{InvocationMetrics, RequestMetrics};
use crate::policy::Specialist;
use crate::reply::{Body, Reason, Status};
use crate::router::Unsettled;
use crate::routing::Decision;
use crate::trace::{Fact, Kind, Scope, Step, key};
use crate::units::Timestamp;

/// Ends the span of a decision.
pub(super) fn decided(span: Scope<'_>, decision: &Decision<'_>, now: Timestamp) {
    let (outcome, specialist, reason) = match decision {
        Decision::Invoke(plan) => ("invoke", Some(plan.first), plan.detour),
        Decision::RefuseLoop => ("refuse", None, Some(Reason::LoopDetected)),
        Decision::RefuseUnverified(specialist) => {
            ("refuse", Some(*specialist), Some(Reason::IdentityNotVerified))
        }
    };
    span.note(|| {
        let specialist = specialist.map(|specialist| (key::SPECIALIST, name_of(specialist)));
        let reason = reason.map(|reason| (key::REASON, reason.as_str().into()));
        [Some((key::OUTCOME, outcome.into())), specialist, reason].into_iter().flatten()
    });
    span.end(now);
}

/// Begins the span of one specialist's invocation, and all that belongs to it.
pub(super) fn invocation<'r>(
    request: Scope<'r>,
    specialist: &Specialist,
    now: Timestamp,
) -> Scope<'r> {
    let span = request.begin(Kind::Internal, format_args!("invocation {}", specialist.name), now);
    span.note(|| [(key::SPECIALIST, name_of(specialist))]);
    span
}

/// Says what came of a part of the request.
pub(super) fn outcome(span: Scope<'_>, outcome: &'static str) {
    span.note(|| [(key::OUTCOME, outcome.into())]);
}

/// Says what came of an invocation, and what it cost.
pub(super) fn invoked(span: Scope<'_>, invocation: &InvocationMetrics, failure: Option<Reason>) {
    outcome(span, failure.map_or("answered", Reason::as_str));
    span.note(|| {
        [
            (key::ATTEMPTS, invocation.attempts.into()),
            (key::ALL_INPUT_TOKENS, invocation.used.all_input().0.into()),
            (key::ALL_OUTPUT_TOKENS, invocation.used.all_output().0.into()),
            (key::COST, invocation.cost.0.into()),
        ]
    });
    if let Some(reason) = failure.filter(|_| invocation.failed) {
        span.fail(reason.as_str());
    }
}

/// Begins the span of a reservation.
pub(super) fn reservation(parent: Scope<'_>, ask: Charge, now: Timestamp) -> Scope<'_> {
    let span = parent.begin(Kind::Internal, format_args!("reserve"), now);
    span.note(|| charge(ask));
    span
}

/// Ends the span of a reservation.
pub(super) fn reserved(span: Scope<'_>, error: Option<&ReserveError>, now: Timestamp) {
    let said = match error {
        None => "held",
        Some(ReserveError::Exhausted(exhausted)) => exhausted.limit.as_str(),
        Some(ReserveError::OtherTenant) => "other_tenant",
        Some(ReserveError::OtherUser) => "other_user",
        Some(ReserveError::Unusable(_)) => "unusable",
        Some(ReserveError::Repeated { .. }) => "repeated",
        Some(ReserveError::Unavailable(_)) => "unavailable",
        Some(ReserveError::AlreadySettled(_)) => "already_settled",
    };
    outcome(span, said);
    let is_ours = matches!(
        error,
        Some(
            ReserveError::Unavailable(_)
                | ReserveError::Unusable(_)
                | ReserveError::AlreadySettled(_)
        )
    );
    if is_ours {
        span.fail(said);
    }
    span.end(now);
}

/// Begins the span of an attempt: the one in which an agent is invoked.
pub(super) fn attempt<'r>(
    invocation: Scope<'r>,
    specialist: &Specialist,
    number: u64,
    now: Timestamp,
) -> Scope<'r> {
    let name = format_args!("{} {}", key::INVOKE_AGENT, specialist.name);
    let span = invocation.begin(Kind::Client, name, now);
    span.note(|| {
        let conversation = span.trace_id().map(|id| (key::CONVERSATION, id.to_string().into()));
        let facts = [
            (key::OPERATION, key::INVOKE_AGENT.into()),
            (key::PROVIDER, key::BEDROCK.into()),
            (key::AGENT_NAME, name_of(specialist)),
            (key::ATTEMPT, number.into()),
        ];
        facts.into_iter().chain(conversation)
    });
    span
}

/// Ends the span of an attempt, with what the agent did in it. The steps are taken out.
pub(super) fn attempted(span: Scope<'_>, outcome: &mut Outcome, used: Charge, now: Timestamp) {
    Step::record_all(std::mem::take(&mut outcome.steps), span, now);
    let reported = outcome.usage.reported();
    span.note(|| {
        [
            (key::INPUT_TOKENS, reported.all_input().0.into()),
            (key::OUTPUT_TOKENS, reported.all_output().0.into()),
        ]
        .into_iter()
        .chain(charge(used))
    });
    if let Some(reason) = outcome.result.as_ref().err().map(InvokeError::reason) {
        span.fail(reason.as_str());
    }
    span.end(now);
}

/// Begins the span of a settlement.
pub(crate) fn settlement<'r>(
    parent: Scope<'r>,
    unsettled: &Unsettled,
    now: Timestamp,
) -> Scope<'r> {
    let span = parent.begin(Kind::Internal, format_args!("settle"), now);
    span.note(|| {
        let specialist = unsettled.specialist.to_string();
        charge(unsettled.used).into_iter().chain([(key::SPECIALIST, specialist.into())])
    });
    span
}

/// Ends the span of a settlement.
pub(crate) fn settled(span: Scope<'_>, settled: &Result<(), SettleError>, now: Timestamp) {
    if settled.is_err() {
        span.fail("unavailable");
    }
    span.end(now);
}

/// Says what became of the request. What was asked for is said where the policy is looked at.
pub(crate) fn answered(request: Scope<'_>, body: &Body, metrics: &RequestMetrics) {
    request.note(|| {
        let sum =
            |of: fn(&InvocationMetrics) -> u64| -> u64 { metrics.invocations.iter().map(of).sum() };
        // The router writes this name: it is one of the policy's.
        let used = body.specialist.clone().map(|name| (key::USED, name.into()));
        let reason = body.reason.map(|reason| (key::REASON, reason.as_str().into()));
        let conversation = request.trace_id().map(|id| (key::CONVERSATION, id.to_string().into()));
        let facts = [
            (key::STATUS, body.status.as_str().into()),
            (key::ATTEMPTS, body.attempts.into()),
            (key::ALL_INPUT_TOKENS, sum(|invocation| invocation.used.all_input().0).into()),
            (key::ALL_OUTPUT_TOKENS, sum(|invocation| invocation.used.all_output().0).into()),
            (key::COST, sum(|invocation| invocation.cost.0).into()),
        ];
        facts.into_iter().chain([used, reason, conversation].into_iter().flatten())
    });
    if body.status == Status::Failed {
        request.fail(body.reason.unwrap_or(Reason::AgentError).as_str());
    }
}

fn charge(charge: Charge) -> [Fact; 2] {
    [(key::TOKENS, charge.tokens.0.into()), (key::COST, charge.cost.0.into())]
}

fn name_of(specialist: &Specialist) -> crate::trace::Value {
    specialist.name.to_string().into()
}
