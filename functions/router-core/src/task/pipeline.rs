//! Tasks one after the other, each of which may ask for what the one before it answered.
//!
//! A stage that is not answered ends the pipeline. Those before it are kept for a while, so that the
//! same pipeline goes on where this one ended, also where the function was killed in it.

use futures_util::future::join;

use super::context::TaskContext;
use super::recovery::recovered;
use super::run::{not_reached, run};
use crate::budget::purse::Purse;
use crate::deadline;
use crate::guard::guarded;
use crate::ids::Fingerprint;
use crate::journal::Fact;
use crate::ledger::Stage;
use crate::outcome::Reason;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::stop::Stop;
use crate::views::{body, messages};
use crate::wire::tools::{MAX_ARGUMENT_BYTES, PREVIOUS, Task};

/// Has the tasks answered in order, up to the first that cannot be. The ends are in that order, each
/// with the task as it was asked.
pub(crate) async fn pipeline<P: Ports>(
    request: Request<'_, P>,
    tasks: &[Task],
) -> Vec<(Task, TaskEnd)> {
    let stages = tasks.iter().map(|task| (task.specialist.as_str(), task.prompt.as_str()));
    let fingerprint = Fingerprint::of_pipeline(stages);
    let purse = Purse(request);
    let within = || deadline::time_to_finish(request.remaining());
    let mut answered = purse.resume(&fingerprint, within()).await;
    // A pipeline whose last stage was answered is finished.
    answered.truncate(tasks.len() - 1);
    let begins_at = answered.len();
    let mut ends: Vec<(Task, TaskEnd)> = Vec::with_capacity(tasks.len());
    for (place, (task, Stage { by, reason, answer })) in tasks.iter().zip(&answered).enumerate() {
        request.note(place, Fact::Resumed { reason: *reason });
        let (by, text) = (by.clone(), answer.clone());
        ends.push((task.clone(), TaskEnd::Answered { by, text, generation: None }));
    }
    for (place, task) in tasks.iter().enumerate().skip(begins_at) {
        let task = match filled(task, answered.last()) {
            Ok(task) => task,
            Err(end) => {
                ends.push((task.clone(), end));
                break;
            }
        };
        let (stop, to_come) = (Stop::default(), tasks.len() - 1 - place);
        let mut context = TaskContext::new(request, place, &task, &stop, to_come);
        if place == begins_at {
            context = context.only_below(request.policy.session.degrade_at);
        }
        let end = match guarded("a stage", run(context)).await {
            Some(end) => end,
            None => recovered(request, place).await,
        };
        let TaskEnd::Answered { by, text, .. } = &end else {
            ends.push((task, end));
            break;
        };
        let reason = request.journal.read(|entries| body::reason(entries, place, by));
        answered.push(Stage { by: by.clone(), reason, answer: text.clone() });
        ends.push((task, end));
        if to_come > 0 {
            let keeping = purse.keep_stages(&fingerprint, &answered, within());
            join(purse.settle(Some(place), within()), keeping).await;
        }
    }
    if answered.len() == tasks.len() && tasks.len() > 1 {
        purse.forget_stages(&fingerprint, within()).await;
    }
    let reached = ends.len();
    ends.extend(tasks.iter().skip(reached).map(|task| (task.clone(), not_reached())));
    ends
}

/// The task with the answer before in the places that stand for it; the refusal of one that becomes
/// too long by it.
fn filled(task: &Task, before: Option<&Stage>) -> Result<Task, TaskEnd> {
    let Some(Stage { answer, .. }) = before else { return Ok(task.clone()) };
    let places = task.prompt.matches(PREVIOUS).count();
    let grows = places.saturating_mul(answer.len());
    let bytes = task.prompt.len().saturating_add(grows) - places * PREVIOUS.len();
    if bytes > MAX_ARGUMENT_BYTES && places > 0 {
        let (reason, most) = (Reason::BadRequest, MAX_ARGUMENT_BYTES);
        return Err(TaskEnd::Refused { reason, message: messages::stage_too_long(bytes, most) });
    }
    Ok(Task { prompt: task.prompt.replace(PREVIOUS, answer), ..task.clone() })
}
