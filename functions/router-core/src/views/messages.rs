//! The sentences that the supervisor reads.
//!
//! They say what happened and what the model can do now, in its own words: specialists,
//! steps, tokens. Tables, ARNs and exceptions do not occur.

use crate::charge::Charge;
use crate::escalation::answer_key;
use crate::ids::{SpecialistName, Ticket};
use crate::journal::NotWritten;
use crate::ledger::{Account, Exhausted, Limit};
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::request::Waiting;
use crate::routing::Plan;
use crate::units::MicroUsd;
use crate::wire::reply::{TaskBody, echo};
use crate::wire::tools::{Task, names};

/// The body with the words of the task that are echoed.
pub(crate) fn with_task(body: TaskBody, task: &Task) -> TaskBody {
    TaskBody {
        asked: Some(echo(&task.specialist)),
        task_id: task.task_id.as_deref().map(echo),
        ..body
    }
}

/// The request goes in circles.
pub(crate) fn too_many_routers() -> String {
    "This request has already passed through too many supervisors. Answer the user with what you \
     have."
        .to_owned()
}

/// The specialist serves verified users only.
pub(crate) fn not_verified(specialist: &SpecialistName) -> String {
    format!(
        "The user's identity is not verified, which `{specialist}` requires. Ask the user to sign \
         in first."
    )
}

/// What is left is unknown.
pub(crate) fn ledger_unavailable() -> String {
    "The session's budget cannot be checked right now, so no specialist was asked. Answer the user with \
     what you have, or try again later."
        .to_owned()
}

/// An operator has stopped all calls.
pub(crate) fn stopped() -> String {
    "All specialists are switched off at the moment. Answer the user with what you have.".to_owned()
}

/// The task had not begun when it was no longer needed, or could not be done.
pub(crate) fn not_reached() -> String {
    "This task was not begun.".to_owned()
}

/// With the answer before in it, the stage's request is too long.
pub(crate) fn stage_too_long(bytes: usize, most: usize) -> String {
    format!(
        "With the answer before in it, `request` has {bytes} bytes; at most {most} are allowed."
    )
}

/// So little is left that several specialists are not asked at once.
pub(crate) fn one_at_a_time() -> String {
    "This session's budget is nearly used up, so no several tasks are taken at once. Ask one \
     specialist for what matters most, or answer the user with what you have."
        .to_owned()
}

/// Every specialist that could be asked fails too often, or is switched off.
pub(crate) fn all_circuits_open() -> String {
    "The specialists that could answer this are not being asked at the moment. Answer the user \
     with what you have, or try again later."
        .to_owned()
}

/// It is too late to ask a specialist.
pub(crate) fn no_time_left() -> String {
    "No time was left to ask a specialist. Answer the user with what you have, or try again."
        .to_owned()
}

/// Why the budget had no room.
pub(crate) fn exhausted(exhausted: &Exhausted, specialist: &SpecialistName, ask: Charge) -> String {
    let left = exhausted.max.saturating_sub(exhausted.settled + exhausted.held);
    let used_up = match exhausted.limit {
        Limit::Steps => {
            format!("All {} specialist calls of this session are used up.", exhausted.max)
        }
        Limit::Tenant | Limit::User => format!(
            "`{specialist}` may cost up to {}, and {} are left for today.",
            ask.cost,
            MicroUsd(left)
        ),
        Limit::GatewaySteps => {
            "All specialist calls through the gateway are used up for this hour.".to_owned()
        }
        Limit::GatewayCost => format!(
            "`{specialist}` may cost up to {}, and {} are left through the gateway for this hour.",
            ask.cost,
            MicroUsd(left)
        ),
        Limit::Handoffs => format!("All {} hand-offs of this session are used up.", exhausted.max),
        Limit::Tokens => format!(
            "`{specialist}` needs up to {}, and {left} are left in this session.",
            ask.tokens
        ),
        Limit::Cost => format!(
            "`{specialist}` may cost up to {}, and {} are left in this session.",
            ask.cost,
            MicroUsd(left)
        ),
    };
    format!("{used_up} Answer the user with what you have.")
}

/// How little is left, before nothing is.
pub(crate) fn little_left(account: &Account) -> String {
    let left = account.left();
    format!(
        "This session's budget is nearly used up: {} specialist calls, {} tokens and {} are left.",
        left.steps_left, left.tokens_left, left.cost_left
    )
}

/// The answer has more than `limit` bytes.
pub(crate) fn too_long(specialist: &SpecialistName, limit: usize) -> String {
    format!(
        "The answer of `{specialist}` is longer than {limit} bytes and was not kept. Ask it for \
         less at a time."
    )
}

/// The same was asked of the same specialist too often.
pub(crate) fn repeated(specialist: &SpecialistName) -> String {
    format!(
        "`{specialist}` has been asked this very request in this session as often as it may be. \
         Answer the user with what you have."
    )
}

/// The session is another tenant's or user's.
pub(crate) fn not_yours(owner: &str) -> String {
    format!("The request cannot be served: this session belongs to another {owner}.")
}

/// What a specialist is told whose answer does not fit its schema.
pub(crate) fn does_not_fit(mistakes: &[String]) -> String {
    let mistakes: Vec<String> = mistakes.iter().map(|mistake| format!("- {mistake}\n")).collect();
    format!(
        "Your last answer to this cannot be used:\n{}Answer again with nothing but JSON that fits, \
         without explanations.",
        mistakes.concat()
    )
}

/// A person has the task.
pub(crate) fn escalated(waiting: &Waiting) -> String {
    let ticket = &waiting.ticket;
    if !waiting.is_new {
        return format!(
            "A person was asked for this task before and answers later, under ticket `{ticket}`. What \
             you ask now was not added: for another question, give another `task_id`."
        );
    }
    format!(
        "A person has been asked and answers later, under ticket `{ticket}`. Tell the user so; do not \
         ask again."
    )
}

/// A person has answered.
pub(crate) fn person_answered(ticket: &Ticket) -> String {
    let key = answer_key(ticket);
    format!("A person has answered ticket `{ticket}`: read key `{key}` with `read_scratchpad`.")
}

/// The specialist asks for a person, and none can be asked.
pub(crate) fn no_person() -> String {
    "No person could be asked. Tell the user how to get in touch with one.".to_owned()
}

/// The session may ask no more people.
pub(crate) fn no_more_people() -> String {
    "This session has handed over as often as it may, so no person was asked. Answer the user with \
     what you have."
        .to_owned()
}

/// The scratchpad cannot be read.
pub(crate) fn scratchpad_unavailable() -> String {
    "The scratchpad cannot be read right now. Go on without it, or try again later.".to_owned()
}

/// An answer did not become the key that it was to become.
pub(crate) fn not_written(key: &str, why: NotWritten) -> String {
    match why {
        NotWritten::Overtaken => format!(
            "`{key}` was written by another request meanwhile, and keeps that: this answer did not \
             replace it."
        ),
        NotWritten::TooLong { bytes, most } => format!(
            "The answer was not kept as `{key}`: it has {bytes} bytes, and {most} are allowed."
        ),
        NotWritten::Unavailable => format!("The answer could not be kept as `{key}`."),
    }
}

/// Whom a task would have reached.
pub(crate) fn rehearsed(task: &Task, plan: &Plan<'_>) -> String {
    let first = &plan.first.name;
    match plan.detour {
        None => format!("This is a rehearsal: `{first}` would have been asked. Nobody was."),
        Some(reason) => format!(
            "This is a rehearsal: `{first}` would have been asked in the place of `{}` ({}). Nobody was.",
            quoted(task),
            reason.as_str()
        ),
    }
}

/// Whom several tasks would have reached is told with each of them.
pub(crate) fn rehearsed_all() -> String {
    "This is a rehearsal: `results` says who would have been asked. Nobody was.".to_owned()
}

/// The scratchpad is not read.
pub(crate) fn rehearsed_reading() -> String {
    "This is a rehearsal: nothing was read.".to_owned()
}

/// No person is asked.
pub(crate) fn rehearsed_escalation() -> String {
    "This is a rehearsal: a person would have been asked. Nobody was.".to_owned()
}

/// Why another specialist answered.
pub(crate) fn fell_back(
    reason: Reason,
    task: &Task,
    answered: &SpecialistName,
    policy: &Policy,
) -> String {
    let asked = quoted(task);
    match reason {
        Reason::UnknownSpecialist => format!(
            "There is no specialist `{asked}`; `{answered}` answered. The specialists are: {}.",
            names(policy)
        ),
        Reason::LowConfidence => {
            format!("Your confidence in `{asked}` was low; `{answered}` answered.")
        }
        Reason::CircuitOpen => {
            format!("`{asked}` is not being asked at the moment; `{answered}` answered.")
        }
        Reason::Escalated => {
            format!("`{asked}` asked for a person, and none could be asked; `{answered}` answered.")
        }
        Reason::OutOfScope => {
            format!("This is not the job of `{asked}`; `{answered}` answered.")
        }
        other => {
            format!("`{asked}` could not answer ({}); `{answered}` answered.", other.as_str())
        }
    }
}

/// Which of several tasks have no answer, by their ids or places, and why.
pub(crate) fn missing(results: &[TaskBody]) -> String {
    let named = |(place, result): (usize, &TaskBody)| {
        let name = match &result.task_id {
            Some(id) => format!("`{}`", id.escape_debug()),
            None => format!("task {}", place + 1),
        };
        let reason = result.reason.map_or("agent_error", Reason::as_str);
        format!("{name} ({reason})")
    };
    let missing = results.iter().enumerate().filter(|(_, result)| !result.status.is_answer());
    let named: Vec<String> = missing.map(named).collect();
    format!("Without an answer: {}. Answer the user with what you have.", named.join(", "))
}

/// Why no specialist answered.
pub(crate) fn failed(reason: Reason) -> String {
    match reason {
        Reason::Guardrail => "A guardrail blocked this request or its answer. Do not ask for the \
            same in other words."
            .to_owned(),
        Reason::Escalated => no_person(),
        other => format!(
            "No specialist could answer ({}). Tell the user that this is not possible right now.",
            other.as_str()
        ),
    }
}

/// The specialist's name as the model wrote it. [`Task`] has checked its characters.
fn quoted(task: &Task) -> String {
    echo(&task.specialist)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::account;

    #[test]
    fn every_sentence_says_what_happened_and_of_whom() {
        let billing = SpecialistName::parse("billing").unwrap();
        for (sentence, words) in [
            (too_many_routers(), "passed through too many supervisors"),
            (not_verified(&billing), "not verified, which `billing` requires"),
            (ledger_unavailable(), "cannot be checked right now"),
            (stopped(), "switched off at the moment"),
            (all_circuits_open(), "are not being asked at the moment"),
            (no_time_left(), "No time was left"),
            (too_long(&billing, 7), "`billing` is longer than 7 bytes"),
            (repeated(&billing), "`billing` has been asked this very request"),
            (not_yours("tenant"), "belongs to another tenant"),
            (failed(Reason::Guardrail), "A guardrail blocked"),
            (failed(Reason::Timeout), "could answer (timeout)"),
        ] {
            assert!(sentence.contains(words), "{sentence}");
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_left_of_the_limit() {
        let billing = SpecialistName::parse("billing").unwrap();
        let ask = Charge { tokens: crate::units::Tokens(8_000), cost: MicroUsd(120_000) };
        let of = |limit| Exhausted {
            limit,
            settled: 60,
            held: 25,
            asked: 20,
            max: 100,
            account: account(),
            expired_holds: 0,
            answered: Vec::new(),
        };
        for (limit, words) in [
            (Limit::Steps, "All 100 specialist calls"),
            (Limit::Handoffs, "All 100 hand-offs"),
            (Limit::Tokens, "and 15 are left in this session"),
            (Limit::Cost, "and 0.000015 USD are left in this session"),
            (Limit::Tenant, "and 0.000015 USD are left for today"),
        ] {
            let sentence = exhausted(&of(limit), &billing, ask);
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
