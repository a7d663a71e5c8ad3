//! One event in, one reply out.
//!
//! Whatever the event says and whatever happens on the way, there is a reply in the event's
//! own form: Bedrock ends the user's turn over an action group that fails.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join3};
use tracing::{Instrument, Span, error, field, info_span};

use crate::budget::purse::Purse;
use crate::deadline;
use crate::ids::SpecialistName;
use crate::incident::{Incident, IncidentLog};
use crate::journal::{Entry, Fact, Journal};
use crate::metrics::{Batch, ColdStart, MetricsSink};
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::retry::RetryBudget;
use crate::routing;
use crate::stop::Stop;
use crate::task;
use crate::units::{Clock, Timestamp};
use crate::views::{self, messages};
use crate::wire::caller::{Caller, ROOT_SESSION_ID};
use crate::wire::event::Event;
use crate::wire::reply::{Body, Reply};
use crate::wire::tools::{Task, ToolRequest};

/// The longest that publishing metrics and keeping incidents may hold a reply up.
const PUBLISHING: Duration = Duration::from_millis(500);

/// Answers the events of the action group.
#[derive(Debug)]
pub struct Handler<'h, P> {
    /// What is allowed.
    pub policy: &'h Policy,
    /// Everything outside of the core.
    pub ports: &'h P,
    /// What retries are paid from.
    pub retries: &'h RetryBudget,
}

/// What Lambda says of the request that brings an event.
#[derive(Clone, Debug)]
pub struct LambdaRequest<'a> {
    /// Its id. Lambda delivers a request again under the same one.
    pub id: &'a str,
    /// A number that no other execution of the request has, so that each is charged.
    pub execution: u64,
    /// When the reply must be out.
    pub deadline: Timestamp,
    /// Whether it is its environment's first.
    pub cold_start: Option<ColdStart>,
    /// The published version of the function that serves it, if it is one.
    pub function_version: Option<String>,
    /// Whether it is traced, with what agents do while they answer.
    pub is_traced: bool,
}

/// What came of an event.
#[derive(Debug)]
pub struct Handled {
    /// What is sent.
    pub reply: Reply,
    /// What happened.
    pub entries: Vec<Entry>,
}

/// What is to be done for an event.
enum Work<'r> {
    /// A task.
    Task(&'r Caller, Task),
    /// Nothing: the event is answered with this body, and the model asked to mend its arguments
    /// where that helps.
    Reject { body: Body, reprompt: bool },
}

impl<P: Ports> Handler<'_, P> {
    /// Answers an event. What was held is settled and the metrics are published when it returns:
    /// Lambda freezes the function as soon as the reply is posted.
    pub async fn handle(&self, event: &Event, request: LambdaRequest<'_>) -> Handled {
        let span = info_span!(
            "request",
            session.id = field::Empty,
            specialist.asked = field::Empty,
            specialist.used = field::Empty,
            status = field::Empty,
            reason = field::Empty,
        );
        let journal = Journal::default();
        let answering = Box::pin(self.answer(event, request, &journal));
        let (body, reprompt) = answering.instrument(span).await;
        let mut session_attributes = event.session_attributes.clone();
        if let Ok(caller) = &event.caller {
            let id = || caller.root.id().to_owned();
            session_attributes.entry(ROOT_SESSION_ID.to_owned()).or_insert_with(id);
        }
        let prompt_session_attributes = event.prompt_session_attributes.clone();
        let reply = Reply { body, reprompt, session_attributes, prompt_session_attributes };
        Handled { reply, entries: journal.into_entries() }
    }

    async fn answer(
        &self,
        event: &Event,
        request: LambdaRequest<'_>,
        journal: &Journal,
    ) -> (Body, bool) {
        let clock = self.ports.clock();
        let LambdaRequest { id, execution, deadline, cold_start, function_version, is_traced } =
            request;
        let id = &format!("{id}-{execution:x}");
        journal.add(clock.now(), Fact::Received { cold_start, function_version });
        let (caller, task) = match self.read(event, journal) {
            Work::Task(caller, task) => (caller, task),
            Work::Reject { body, reprompt } => {
                let settled = std::future::ready(());
                self.finish(&body, journal, deadline, Vec::new, settled).await;
                return (body, reprompt);
            }
        };
        let (policy, ports, retries) = (self.policy, self.ports, self.retries);
        let request = Request { policy, ports, retries, journal, caller, id, deadline, is_traced };
        let stop = Stop::default();
        let working = guarded("the task", async {
            let end = task::run(request, 0, &task, &stop).await;
            let kept = Kept::of(&end);
            let body = journal.read(|entries| views::body::of(entries, 0, end, &task, policy));
            (body, kept)
        });
        let (body, kept) = match working.await {
            Some(worked) => worked,
            None => {
                guarded("the recovery", task::recover(request)).await;
                (panicked(event), None)
            }
        };
        let (status, reason, specialist) = (body.status, body.reason, self.specialist_of(&body));
        request.note(0, Fact::TaskEnded { status, reason, specialist });
        let incidents = || {
            let tasks = std::slice::from_ref(&task);
            journal.read(|entries| views::incidents::of(entries, id, request.caller, tasks, policy))
        };
        let within = deadline::time_to_finish(request.remaining());
        let purse = Purse(request);
        let settling = guarded("the settlement", purse.settle(None, within));
        let keeping = guarded("keeping an answer", async {
            if let Some(Kept { specialist, generation }) = kept {
                let answer = body.answer.as_deref().unwrap_or_default();
                let prompt = &task.prompt;
                purse.keep(&specialist, prompt, generation, answer, within).await;
            }
        });
        let settling = async {
            join(settling, keeping).await;
        };
        self.finish(&body, journal, deadline, incidents, settling).await;
        (body, false)
    }

    /// Does what is left to be done before the reply is sent, all at once.
    async fn finish(
        &self,
        body: &Body,
        journal: &Journal,
        deadline: Timestamp,
        incidents: impl FnOnce() -> Vec<Incident>,
        settling: impl Future<Output = ()>,
    ) {
        let clock = self.ports.clock();
        let now = clock.now();
        let (status, reason) = (body.status, body.reason);
        let specialist = self.specialist_of(body);
        journal.add(now, Fact::Replied { status, reason, specialist });
        let entries = journal.read(<[Entry]>::to_vec);
        views::log::write(&entries, body, now);
        let within = deadline::time_to_finish(deadline.since(now)).min(PUBLISHING);
        let recording = guarded("the incidents", async {
            self.ports.incidents().record(&incidents(), within).await;
        });
        let publishing = guarded("the metrics", async {
            let batch =
                Batch { timestamp: now, data: views::metrics::of(&entries, self.policy, now) };
            journal.add(clock.now(), Fact::Publishing { data: batch.data.len() });
            self.ports.metrics().publish(&batch, within).await;
            journal.add(clock.now(), Fact::Published);
        });
        join3(settling, recording, publishing).await;
        journal.add(clock.now(), Fact::Finished);
    }

    /// Reads what is asked.
    fn read<'e>(&self, event: &'e Event, journal: &Journal) -> Work<'e> {
        let caller = match &event.caller {
            Ok(caller) => caller,
            Err(error) => {
                return reject(event, format!("The request cannot be served: {error}."), false);
            }
        };
        Span::current().record("session.id", caller.root.as_str());
        // A loop is told so whatever it asks: asking it for better arguments would keep it going.
        if routing::is_loop(caller, self.policy) {
            let reason = Reason::LoopDetected;
            journal.add(self.ports.clock().now(), Fact::Declined { specialist: None, reason });
            let body = Body::refused(reason, messages::too_many_routers());
            return Work::Reject { body: with_echoes(body, event), reprompt: false };
        }
        let arguments = match &event.arguments {
            Ok(arguments) => arguments,
            Err(error) => {
                return reject(event, format!("The arguments cannot be read: {error}."), true);
            }
        };
        let task = match ToolRequest::parse(&event.tool, arguments, self.policy) {
            Ok(ToolRequest::InvokeSpecialistAgent(task)) => task,
            Err(bad) => return reject(event, bad.message, true),
        };
        let named = self.policy.find(&task.specialist).map(|specialist| specialist.name.as_str());
        Span::current().record("specialist.asked", named.unwrap_or("unknown"));
        Work::Task(caller, task)
    }

    /// The specialist that a body names.
    fn specialist_of(&self, body: &Body) -> Option<SpecialistName> {
        let named = body.specialist.as_deref().and_then(|name| self.policy.find(name));
        named.map(|specialist| specialist.name.clone())
    }
}

/// An answer that may be given again.
struct Kept {
    specialist: SpecialistName,
    generation: u64,
}

impl Kept {
    /// What of a task's end may be given again: not an answer that was given again itself.
    fn of(end: &TaskEnd<'_>) -> Option<Self> {
        match end {
            TaskEnd::Answered { by, generation: Some(generation), .. } => {
                Some(Self { specialist: by.name.clone(), generation: *generation })
            }
            _ => None,
        }
    }
}

/// Runs a part of a request. A panic in it is logged by the panic hook, and takes nothing else of
/// the request with it.
async fn guarded<T>(part: &'static str, work: impl Future<Output = T>) -> Option<T> {
    // Boxed, since futures around calls of an SDK are many kilobytes, moved at each layer.
    let worked = AssertUnwindSafe(Box::pin(work)).catch_unwind().await;
    if worked.is_err() {
        error!(part, "a part of the request panicked");
    }
    worked.ok()
}

/// A request that is refused for what it says.
fn reject<'e>(event: &Event, message: String, reprompt: bool) -> Work<'e> {
    let body = with_echoes(Body::refused(Reason::BadRequest, message), event);
    Work::Reject { body, reprompt }
}

fn panicked(event: &Event) -> Body {
    let body = Body {
        reason: Some(Reason::AgentError),
        message: Some("Something went wrong. Answer the user with what you have.".to_owned()),
        ..Body::new(Status::Failed)
    };
    with_echoes(body, event)
}

/// The body with what is echoed of the arguments, as far as they could be read.
fn with_echoes(body: Body, event: &Event) -> Body {
    let echoed = |name| event.arguments.as_ref().ok().and_then(|arguments| arguments.echo(name));
    Body { asked: echoed("specialist_type"), task_id: echoed("task_id"), ..body }
}

#[cfg(test)]
mod tests;
