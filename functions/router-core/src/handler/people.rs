//! `escalate_to_human`: the supervisor asks for a person.

use crate::escalation::Source;
use crate::ids::TaskMark;
use crate::ports::Ports;
use crate::request::Request;
use crate::task::{NotAsked, Question, ask_person};
use crate::views::{body, messages};
use crate::wire::reply::{Body, TaskBody, echo};
use crate::wire::tools::Escalate;

/// Hands over to a person.
pub(super) async fn escalate<P: Ports>(request: Request<'_, P>, asked: &Escalate) -> Body {
    let Escalate { reason, summary, task_id } = asked;
    let task_id = task_id.as_deref();
    let question = Question {
        task: task_id.map_or_else(TaskMark::of_session, TaskMark::of_id),
        task_id,
        place: None,
        source: Source::Supervisor,
        reason,
        summary,
    };
    let whole = match ask_person(request, question).await {
        Ok(waiting) => TaskBody::escalated(&waiting.ticket, messages::escalated(&waiting)),
        Err(NotAsked { reason, message }) => TaskBody::refused(reason, message),
    };
    let whole = TaskBody { task_id: task_id.map(echo), ..whole };
    request.journal.read(|entries| body::with_session(Body::from(whole), entries, request.policy))
}
