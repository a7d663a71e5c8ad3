//! What is kept of specialists that were to answer and did not.

use std::time::Duration;

use super::{invocations, is_refused};
use crate::ids::SpecialistName;
use crate::incident::{Incident, Owner};
use crate::journal::{Entry, Fact};
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::units::{MicroUsd, Timestamp, Tokens};
use crate::wire::caller::Caller;
use crate::wire::tools::Task;

/// The incidents of a request of `caller` whose tasks are `tasks`. A refused task leaves none.
pub fn of(
    entries: &[Entry],
    request_id: &str,
    caller: &Caller,
    tasks: &[Task],
    policy: &Policy,
) -> Vec<Incident> {
    let of_place =
        |(place, task): (usize, &Task)| at(entries, request_id, caller, place, task, policy);
    tasks.iter().enumerate().flat_map(of_place).collect()
}

/// The incidents of the task that has this place in a request.
pub fn at(
    entries: &[Entry],
    request_id: &str,
    caller: &Caller,
    place: usize,
    task: &Task,
    policy: &Policy,
) -> Vec<Incident> {
    let request = policy.record_requests.then(|| task.prompt.clone());
    let incidents = of_task(entries, &Owner::from(caller), place).into_iter().enumerate();
    let whole = |(number, incident)| Incident {
        id: format!("{request_id}/{place}/{number}"),
        request: request.clone(),
        ..incident
    };
    incidents.map(whole).collect()
}

fn of_task(entries: &[Entry], owner: &Owner, place: usize) -> Vec<Incident> {
    if is_refused(entries, Some(place)) {
        return Vec::new();
    }
    let invocations = invocations(entries);
    let mut invocations = invocations.iter().filter(|invocation| invocation.task == Some(place));
    let mut incidents: Vec<Incident> = Vec::new();
    let (mut asked, mut class, mut ended_at, mut answered_by) = (None, "", Timestamp(0), None);
    for Entry { at, fact, .. } in super::of_task(entries, place) {
        match fact {
            Fact::Asked { specialist, intent_class } => {
                (asked, class) = (specialist.as_ref(), intent_class.as_str());
            }
            Fact::Chosen { detour: Some(reason), .. } => {
                incidents.push(without_call(owner, *reason, asked));
            }
            Fact::CircuitRejected { specialist } => {
                let incident = without_call(owner, Reason::CircuitOpen, Some(specialist));
                if !incidents.contains(&incident) {
                    incidents.push(incident);
                }
            }
            Fact::InvocationEnded { failure } => {
                let invocation = invocations.next();
                // What was stopped since others had answered is no incident, nor what is for a person.
                let is_incident =
                    |reason: &&Reason| !matches!(reason, Reason::Stopped | Reason::Escalated);
                let failure = failure.as_ref().filter(is_incident);
                if let (Some(invocation), Some(reason)) = (invocation, failure) {
                    incidents.push(Incident {
                        attempts: invocation.attempts,
                        latency: invocation.latency(),
                        input: invocation.used.all_input(),
                        output: invocation.used.all_output(),
                        cost: invocation.charge.cost,
                        ..without_call(owner, *reason, Some(invocation.specialist))
                    });
                }
            }
            Fact::TaskEnded { status, specialist, .. } => {
                ended_at = *at;
                answered_by = specialist.clone().filter(|_| status.is_answer());
            }
            _ => {}
        }
    }
    for incident in &mut incidents {
        incident.at = ended_at;
        class.clone_into(&mut incident.intent_class);
        incident.answered_by.clone_from(&answered_by);
    }
    incidents
}

/// An incident in which the specialist was not called. What is known only when the task has ended
/// is still to be filled in.
fn without_call(owner: &Owner, reason: Reason, specialist: Option<&SpecialistName>) -> Incident {
    Incident {
        id: String::new(),
        owner: owner.clone(),
        at: Timestamp(0),
        specialist: specialist.cloned(),
        reason,
        attempts: 0,
        latency: Duration::ZERO,
        input: Tokens(0),
        output: Tokens(0),
        cost: MicroUsd(0),
        intent_class: String::new(),
        answered_by: None,
        request: None,
    }
}
