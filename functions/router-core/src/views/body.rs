//! What the supervisor is told of a task: the numbers and the reason.

use super::{account, invocations, messages, of_task};
use crate::journal::{Entry, Fact};
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::request::TaskEnd;
use crate::wire::reply::Body;
use crate::wire::tools::Task;

/// The body of a task that ended as `end`.
pub(crate) fn of(
    entries: &[Entry],
    place: usize,
    end: TaskEnd<'_>,
    task: &Task,
    policy: &Policy,
) -> Body {
    let body = match end {
        TaskEnd::Refused { reason, message } => Body::refused(reason, message),
        TaskEnd::Answered { by, text, .. } => {
            let was_asked_for = by.name.as_str() == task.specialist;
            let reason = reason(entries, place).filter(|_| !was_asked_for);
            let message = reason.map(|reason| messages::fell_back(reason, task, &by.name, policy));
            Body {
                specialist: Some(by.name.to_string()),
                answer: Some(text),
                reason,
                message,
                ..Body::new(if was_asked_for { Status::Answered } else { Status::FellBack })
            }
        }
        TaskEnd::Failed => {
            let reason = reason(entries, place).unwrap_or(Reason::AgentError);
            let last = invocations(entries)
                .into_iter()
                .rfind(|invocation| invocation.task == Some(place))
                .map(|invocation| invocation.specialist.to_string());
            Body {
                specialist: last,
                reason: Some(reason),
                message: Some(messages::failed(reason)),
                ..Body::new(Status::Failed)
            }
        }
    };
    let account = account(entries);
    let is_low = account.filter(|account| {
        body.status != Status::Refused && account.has_reached(policy.session.warn_at)
    });
    let warning = is_low.map(|account| messages::little_left(&account));
    let advice = advice(entries, place);
    let sentences: Vec<String> =
        body.message.iter().cloned().chain(advice).chain(warning).collect();
    let body = Body {
        attempts: attempts(entries, place),
        budget: account.map(|account| account.left()),
        message: (!sentences.is_empty()).then(|| sentences.join(" ")),
        ..body
    };
    messages::with_task(body, task)
}

/// The attempts of a task.
fn attempts(entries: &[Entry], place: usize) -> u64 {
    let is_start = |entry: &&Entry| matches!(entry.fact, Fact::AttemptStarted { .. });
    of_task(entries, place).filter(is_start).count() as u64
}

/// What the supervisor can do about a failure, where the reason alone does not tell.
fn advice(entries: &[Entry], place: usize) -> Option<String> {
    let mut specialist = None;
    of_task(entries, place).fold(None, |advice, entry| match &entry.fact {
        Fact::InvocationStarted { specialist: invoked } => {
            specialist = Some(invoked);
            advice
        }
        Fact::AttemptEnded { too_long: Some(limit), .. } => {
            specialist.map(|specialist| messages::too_long(specialist, *limit))
        }
        _ => advice,
    })
}

/// Why the specialist that was asked for is not the one that answers. The first reason stands,
/// since what went wrong afterwards went wrong because of it; but a guardrail's block and a stop
/// are the reason also where another specialist had failed before.
fn reason(entries: &[Entry], place: usize) -> Option<Reason> {
    let reason = |entry: &Entry| match &entry.fact {
        Fact::Chosen { detour, .. } => *detour,
        Fact::CircuitRejected { .. } => Some(Reason::CircuitOpen),
        Fact::InvocationEnded { failure } => *failure,
        _ => None,
    };
    let reasons: Vec<Reason> = of_task(entries, place).filter_map(reason).collect();
    let is_final = |reason: &&Reason| matches!(reason, Reason::Guardrail | Reason::Stopped);
    reasons.iter().find(is_final).or(reasons.first()).copied()
}
