//! What is kept of specialists that were to answer and did not.

use super::{invocations, is_refused};
use crate::arguments::Task;
use crate::incident::Incident;
use crate::journal::{Entry, Fact};
use crate::policy::{Policy, SpecialistName};
use crate::reply::{Reason, Status};
use crate::units::{MicroUsd, Timestamp, Tokens};

/// The incidents of a request whose tasks are `tasks`. A refused task leaves none.
pub fn of(entries: &[Entry], request_id: &str, tasks: &[Task], policy: &Policy) -> Vec<Incident> {
    let of_task = |(place, task)| of_task(entries, request_id, place, task, policy);
    tasks.iter().enumerate().flat_map(of_task).collect()
}

fn of_task(
    entries: &[Entry],
    request_id: &str,
    place: usize,
    task: &Task,
    policy: &Policy,
) -> Vec<Incident> {
    if is_refused(entries, Some(place)) {
        return Vec::new();
    }
    let mut common = Incident {
        id: String::new(),
        at: Timestamp(0),
        specialist: None,
        reason: Reason::AgentError,
        attempts: 0,
        latency: std::time::Duration::ZERO,
        input: Tokens(0),
        output: Tokens(0),
        cost: MicroUsd(0),
        intent_class: String::new(),
        answered_by: None,
        request: policy.record_requests.then(|| task.request.clone()),
    };
    // Who was not asked, or did not answer, and why.
    let mut found: Vec<(Reason, Option<&SpecialistName>, Option<usize>)> = Vec::new();
    let (mut asked, mut ended) = (None, 0);
    for Entry { at, fact, .. } in super::of_task(entries, place) {
        match fact {
            Fact::Asked { specialist, intent_class } => {
                asked = specialist.as_ref();
                common.intent_class.clone_from(intent_class);
            }
            Fact::Chosen { detour: Some(reason), .. } => found.push((*reason, asked, None)),
            Fact::CircuitRejected { specialist } => {
                let rejected = (Reason::CircuitOpen, Some(specialist), None);
                if !found.contains(&rejected) {
                    found.push(rejected);
                }
            }
            Fact::InvocationEnded { failure } => {
                if let Some(reason) = failure {
                    found.push((*reason, None, Some(ended)));
                }
                ended += 1;
            }
            Fact::TaskEnded { status, specialist, .. } => {
                common.at = *at;
                if matches!(status, Status::Answered | Status::FellBack) {
                    common.answered_by.clone_from(specialist);
                }
            }
            _ => {}
        }
    }
    let invocations = invocations(entries);
    let of_this_task: Vec<_> =
        invocations.iter().filter(|invocation| invocation.task == Some(place)).collect();
    let incident = |(number, (reason, specialist, invocation)): (
        usize,
        (_, Option<&SpecialistName>, Option<usize>),
    )| {
        let incident = Incident {
            id: format!("{request_id}/{place}/{number}"),
            reason,
            specialist: specialist.cloned(),
            ..common.clone()
        };
        match invocation.and_then(|place| of_this_task.get(place)) {
            None => incident,
            Some(invocation) => Incident {
                specialist: Some(invocation.specialist.clone()),
                attempts: invocation.attempts,
                latency: invocation.latency(),
                input: invocation.used.all_input(),
                output: invocation.used.all_output(),
                cost: invocation.charge.cost,
                ..incident
            },
        }
    };
    found.into_iter().enumerate().map(incident).collect()
}
