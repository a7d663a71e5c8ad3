//! What the supervisor is told: of each task the numbers and the reason, and of several the whole.

use super::{account, invocations, messages};
use crate::ids::SpecialistName;
use crate::journal::{Entry, Fact};
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::request::TaskEnd;
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::Task;

/// The body of the one task of a request, which ended as `end`.
pub(crate) fn of_one(entries: &[Entry], end: TaskEnd, task: &Task, policy: &Policy) -> Body {
    let whole = of_task(entries, 0, end, task, policy);
    with_session(Body::from(whole), entries, policy)
}

/// The body of several tasks, of which so many answers were wanted, with what is told of each.
pub(crate) fn of_several(
    entries: &[Entry],
    results: Vec<TaskBody>,
    wanted: usize,
    policy: &Policy,
) -> Body {
    let missing = results.iter().filter(|result| !result.status.is_answer());
    let missing: Vec<&TaskBody> = missing.collect();
    let answered = results.len() - missing.len();
    let is_called = |result: &TaskBody| result.status != Status::Refused;
    let are_all = |status| results.iter().all(|result| result.status == status);
    let status = if answered >= wanted {
        Status::Answered
    } else if answered > 0 {
        Status::Partial
    } else if are_all(Status::Escalated) {
        Status::Escalated
    } else if results.iter().any(is_called) {
        Status::Failed
    } else {
        Status::Refused
    };
    let first = missing.first().filter(|_| status != Status::Answered);
    let message = match status {
        Status::Answered => None,
        Status::Partial => Some(messages::missing(&results)),
        Status::Refused | Status::Escalated => first.and_then(|first| first.message.clone()),
        _ => first.and_then(|first| first.reason).map(messages::failed),
    };
    let whole = TaskBody {
        attempts: results.iter().map(|result| result.attempts).sum(),
        reason: first.and_then(|first| first.reason),
        message,
        ..TaskBody::new(status)
    };
    with_session(Body { results: Some(results), ..Body::from(whole) }, entries, policy)
}

/// What is told of the task at `place`, which ended as `end`.
pub(crate) fn of_task(
    entries: &[Entry],
    place: usize,
    end: TaskEnd,
    task: &Task,
    policy: &Policy,
) -> TaskBody {
    let body = match end {
        TaskEnd::Refused { reason, message } => TaskBody::refused(reason, message),
        TaskEnd::Answered { by, text, .. } => {
            let reason = reason(entries, place, &by);
            let message = reason.map(|reason| messages::fell_back(reason, task, &by, policy));
            TaskBody {
                specialist: Some(by.to_string()),
                answer: Some(text),
                reason,
                message,
                ..TaskBody::new(if reason.is_none() { Status::Answered } else { Status::FellBack })
            }
        }
        TaskEnd::Escalated { by, waiting } => TaskBody {
            specialist: by.map(|by| by.to_string()),
            ..TaskBody::escalated(&waiting.ticket, messages::escalated(&waiting))
        },
        TaskEnd::Failed => {
            let reason = first_reason(entries, place).unwrap_or(Reason::AgentError);
            let last = invocations(entries)
                .into_iter()
                .rfind(|invocation| invocation.task == Some(place))
                .map(|invocation| invocation.specialist.to_string());
            TaskBody {
                specialist: last,
                reason: Some(reason),
                message: Some(messages::failed(reason)),
                ..TaskBody::new(Status::Failed)
            }
        }
    };
    let not_written = super::of_task(entries, place).filter_map(|entry| match &entry.fact {
        Fact::PadNotWritten { key, why } => Some(messages::not_written(key, *why)),
        _ => None,
    });
    let advice = advice(entries, place).into_iter().chain(not_written);
    let sentences: Vec<String> = body.message.iter().cloned().chain(advice).collect();
    let body = TaskBody {
        attempts: attempts(entries, place),
        message: (!sentences.is_empty()).then(|| sentences.join(" ")),
        ..body
    };
    messages::with_task(body, task)
}

/// The body with what is left of the session's budget, a warning when that is little, and word of
/// people who have answered.
pub(crate) fn with_session(mut body: Body, entries: &[Entry], policy: &Policy) -> Body {
    let account = account(entries);
    let is_low = account.filter(|account| {
        body.whole.status != Status::Refused && account.has_reached(policy.session.warn_at)
    });
    let little_left = is_low.map(|account| messages::little_left(&account));
    let answered = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::PersonAnswered { ticket } => Some(messages::person_answered(ticket)),
        _ => None,
    });
    let sentences = body.whole.message.into_iter().chain(little_left).chain(answered);
    let sentences: Vec<String> = sentences.collect();
    body.whole.message = (!sentences.is_empty()).then(|| sentences.join(" "));
    Body { budget: account.map(|account| account.left()), ..body }
}

/// Why the specialist that answered is not the one that was asked for; `None` if it is.
pub(crate) fn reason(entries: &[Entry], place: usize, by: &SpecialistName) -> Option<Reason> {
    let is_of_it = |entry: &&Entry| match &entry.fact {
        Fact::Asked { specialist, .. } => specialist.as_ref() == Some(by),
        _ => false,
    };
    let was_asked_for = super::of_task(entries, place).any(|entry| is_of_it(&entry));
    first_reason(entries, place).filter(|_| !was_asked_for)
}

/// The attempts of a task.
fn attempts(entries: &[Entry], place: usize) -> u64 {
    let is_start = |entry: &&Entry| matches!(entry.fact, Fact::AttemptStarted { .. });
    super::of_task(entries, place).filter(is_start).count() as u64
}

/// What the supervisor can do about a failure, where the reason alone does not tell.
fn advice(entries: &[Entry], place: usize) -> Option<String> {
    let mut specialist = None;
    super::of_task(entries, place).fold(None, |advice, entry| match &entry.fact {
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
pub(crate) fn first_reason(entries: &[Entry], place: usize) -> Option<Reason> {
    let reason = |entry: &Entry| match &entry.fact {
        Fact::Chosen { detour, .. } => *detour,
        Fact::Resumed { reason } => *reason,
        Fact::Stopped => Some(Reason::Stopped),
        Fact::CircuitRejected { .. } => Some(Reason::CircuitOpen),
        Fact::InvocationEnded { failure } => *failure,
        _ => None,
    };
    let reasons: Vec<Reason> = super::of_task(entries, place).filter_map(reason).collect();
    let is_final = |reason: &&Reason| matches!(reason, Reason::Guardrail | Reason::Stopped);
    reasons.iter().find(is_final).or(reasons.first()).copied()
}
