//! The tools that the supervisor calls, carried out as the action group's are.

use futures_util::StreamExt;
use futures_util::stream;

use super::Shared;
use super::told::Told;
use crate::handler::call;
use crate::incident::Incident;
use crate::journal::{Fact, Journal};
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::Request;
use crate::supervisor::{ToolCall, ToolResult};
use crate::wire::caller::Attributes;
use crate::wire::event::Form;
use crate::wire::reply::{Body, Reply, TaskBody, echo};
use crate::wire::tools::{Arguments, Task, ToolRequest};

/// What came of a round's calls.
#[derive(Default)]
pub(super) struct Carried {
    /// A result for each call, in their order.
    pub(super) results: Vec<ToolResult>,
    /// What specialists answered, in the same order.
    pub(super) answers: Vec<String>,
    /// What is kept of what did not go well.
    pub(super) incidents: Vec<Incident>,
}

/// What one call came to.
struct Done {
    body: Body,
    incidents: Vec<Incident>,
}

/// Carries out the calls of a round, several at once as far as the policy lets tasks run so.
pub(super) async fn carry_out<P: Ports>(
    shared: &Shared<'_, P>,
    round: u64,
    calls: &[ToolCall],
) -> Carried {
    let policy = shared.request.policy;
    let most = policy.several.max_tasks;
    let (mut asked, mut largest) = (0, 1);
    let read = calls.iter().map(|call| {
        let mut read = read(call, policy);
        let tasks = read.as_ref().map_or(1, |request| request.tasks().len().max(1));
        asked += tasks;
        if asked > most {
            read = Err(too_many(asked, most));
        } else {
            largest = largest.max(tasks);
        }
        if let Ok(request) = &read {
            tell_routes(shared.told, policy, round, &call.name, request);
        }
        let first = shared.places(read.as_ref().map_or(0, |request| request.tasks().len()));
        async move {
            match read {
                Ok(request) => shared.carry_out(first, &request).await,
                Err(body) => Done { body: *body, incidents: Vec::new() },
            }
        }
    });
    let read: Vec<_> = read.collect();
    // The tasks of a call run at once, too.
    let at_once = (policy.several.width / largest).max(1);
    let done: Vec<Done> = stream::iter(read).buffered(at_once).collect().await;
    let mut carried = Carried::default();
    for (call, Done { body, incidents }) in calls.iter().zip(done) {
        // What the scratchpad has is the supervisor's to read, and no specialist's answer.
        let asked = told_of(&body).iter().filter(|told| told.specialist.is_some());
        carried.answers.extend(asked.filter_map(|told| told.answer.clone()));
        carried.incidents.extend(incidents);
        let is_error = matches!(body.whole.status, Status::Refused | Status::Failed);
        let text = in_words(body);
        carried.results.push(ToolResult { id: call.id.clone(), text, is_error });
    }
    carried
}

/// Asks the specialist that stands in for a supervisor that failed.
pub(super) async fn fall_back<P: Ports>(
    shared: &Shared<'_, P>,
    round: u64,
    task: Task,
) -> (Body, Vec<Incident>) {
    let request = ToolRequest::InvokeSpecialistAgent(task);
    let policy = shared.request.policy;
    tell_routes(shared.told, policy, round, "invoke_specialist_agent", &request);
    let place = shared.places(1);
    if let Some(rules) = policy.supervisor() {
        let of = rules.callee.name.clone();
        shared.request.note(place, Fact::FellBack { of });
    }
    let Done { body, incidents } = shared.carry_out(place, &request).await;
    (body, incidents)
}

impl<P: Ports> Shared<'_, P> {
    /// Carries out a call whose first task has this place in the request, and settles what it held.
    async fn carry_out(&self, first: usize, call: &ToolRequest) -> Done {
        let journal = Journal::default();
        let id = format!("{}.{first}", self.request.id);
        let request = Request { journal: &journal, id: &id, ..self.request };
        let served = call::serve(request, call, panicked).await;
        served.settle(request).await;
        let incidents = served.incidents(request);
        let body = served.body;
        // Tasks that were refused or lost together have ended, each as the call has.
        let each = call.tasks().len().checked_div(told_of(&body).len()).unwrap_or(1).max(1);
        for TaskBody { specialist, status, reason, .. } in told_of(&body) {
            let (specialist, status, reason) = (specialist.as_deref(), *status, *reason);
            for _ in 0..each {
                (self.told)(Told::Result { specialist, status, reason });
            }
        }
        self.request.journal.take_over(journal, first);
        Done { body, incidents }
    }
}

/// Reads a call; the body of the answer to one that cannot be carried out.
pub(super) fn read(call: &ToolCall, policy: &Policy) -> Result<ToolRequest, Box<Body>> {
    let arguments = call.arguments.as_ref().map_err(|found| {
        let found = found.escape_debug();
        refused(format!("The arguments are `{found}`; they must be one JSON object."))
    })?;
    let arguments = Arguments::from_object(arguments);
    ToolRequest::parse(&call.name, &arguments, policy).map_err(|bad| {
        let mut body = refused(bad.message);
        body.whole.asked = arguments.echo("specialist_type");
        body.whole.task_id = arguments.echo("task_id");
        body
    })
}

/// Tells of each task of a call whom it asks, by the policy's name of it.
pub(super) fn tell_routes(
    told: &(dyn Fn(Told<'_>) + Sync),
    policy: &Policy,
    round: u64,
    tool: &str,
    request: &ToolRequest,
) {
    let tasks = request.tasks();
    if tasks.is_empty() {
        told(Told::Route { round, tool, specialist: None, task_id: None });
    }
    for Task { specialist, intent, task_id, .. } in tasks {
        let asked = policy.resolve(specialist, intent.as_deref());
        let specialist = asked.map(|asked| asked.name.as_str());
        let task_id = task_id.as_deref().map(echo);
        told(Told::Route { round, tool, specialist, task_id: task_id.as_deref() });
    }
}

/// What is told of each task of a call, or of the call.
fn told_of(body: &Body) -> &[TaskBody] {
    body.results.as_ref().map_or(std::slice::from_ref(&body.whole), Vec::as_slice)
}

/// The body as a gateway's caller gets it, cut to the same length.
fn in_words(body: Body) -> String {
    let (session_attributes, prompt_session_attributes) = (Attributes::new(), Attributes::new());
    let reprompt = false;
    let reply = Reply { body, reprompt, session_attributes, prompt_session_attributes };
    reply.render(&Form::Gateway)
}

fn too_many(found: usize, most: usize) -> Box<Body> {
    refused(format!(
        "With this call there are {found} tasks at once; at most {most} may be. Call it again."
    ))
}

fn refused(message: String) -> Box<Body> {
    Box::new(Body::refused(Reason::BadRequest, message))
}

fn panicked() -> Body {
    Body::from(TaskBody {
        reason: Some(Reason::AgentError),
        message: Some("Something went wrong. Answer the user with what you have.".to_owned()),
        ..TaskBody::new(Status::Failed)
    })
}
