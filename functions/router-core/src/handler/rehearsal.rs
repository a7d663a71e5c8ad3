//! A rehearsal: whom a call would reach, told instead of done.
//!
//! It is decided from the request and the policy alone. Budgets, circuits and what the session was
//! about are not looked at, so that the same request is always told the same.

use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::routing::{Ask, Decision, decide};
use crate::views::{body, messages};
use crate::wire::caller::Caller;
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::{Mode, Several, Task, ToolRequest};

/// What the supervisor is told of a call that nobody carries out.
pub(super) fn rehearse(call: &ToolRequest, caller: &Caller, policy: &Policy) -> Body {
    match call {
        ToolRequest::InvokeSpecialistAgent(task) => Body::from(of_task(task, caller, policy)),
        ToolRequest::InvokeSpecialists(several) => of_several(several, caller, policy),
        ToolRequest::ReadScratchpad(_) => of_tool(messages::rehearsed_reading()),
        ToolRequest::EscalateToHuman(_) => of_tool(messages::rehearsed_escalation()),
    }
}

fn of_task(task: &Task, caller: &Caller, policy: &Policy) -> TaskBody {
    let Task { specialist, intent, confidence, .. } = task;
    let ask = Ask { specialist, intent: intent.as_deref(), confidence: *confidence };
    let body = match decide(&ask, caller, policy) {
        Decision::Invoke(plan) => TaskBody {
            specialist: Some(plan.first.name.to_string()),
            message: Some(messages::rehearsed(task, &plan)),
            ..TaskBody::new(Status::Answered)
        },
        Decision::RefuseLoop => {
            TaskBody::refused(Reason::LoopDetected, messages::too_many_routers())
        }
        Decision::RefuseUnverified(specialist) => {
            let message = messages::not_verified(&specialist.name);
            TaskBody::refused(Reason::IdentityNotVerified, message)
        }
    };
    messages::with_task(body, task)
}

fn of_several(several: &Several, caller: &Caller, policy: &Policy) -> Body {
    let Several { tasks, mode } = several;
    let mut has_ended = false;
    let results = tasks.iter().map(|task| {
        if has_ended {
            let never = TaskBody::refused(Reason::NotReached, messages::not_reached());
            return messages::with_task(never, task);
        }
        let told = of_task(task, caller, policy);
        has_ended = *mode == Mode::Pipeline && !told.status.is_answer();
        told
    });
    let results = results.collect();
    let mut body = body::of_several(&[], results, mode.answers_wanted(tasks.len()), policy);
    if body.whole.status == Status::Answered {
        body.whole.message = Some(messages::rehearsed_all());
    }
    body
}

fn of_tool(message: String) -> Body {
    Body::from(TaskBody { message: Some(message), ..TaskBody::new(Status::Answered) })
}
