//! One event in, one reply out.
//!
//! Whatever the event says and whatever happens on the way, there is a reply in the event's
//! own form: Bedrock ends the user's turn over an action group that fails.

mod people;
mod scratchpad;
mod work;

use std::future::Future;
use std::time::Duration;

use futures_util::future::{join, join_all, join3};
use tracing::{Instrument, Span, field, info_span};
use work::{Kept, Worked};

use crate::budget::purse::Purse;
use crate::deadline;
use crate::guard::guarded;
use crate::ids::SpecialistName;
use crate::incident::{Incident, IncidentLog};
use crate::journal::{Entry, Fact, Journal};
use crate::metrics::{Batch, ColdStart, MetricsSink};
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::Request;
use crate::retry::RetryBudget;
use crate::routing;
use crate::task;
use crate::units::{Clock, Timestamp};
use crate::views::{self, messages};
use crate::wire::caller::{Caller, ROOT_SESSION_ID};
use crate::wire::event::Event;
use crate::wire::reply::{Body, Reply, TaskBody};
use crate::wire::tools::ToolRequest;

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
    /// What a tool is asked for.
    Call(&'r Caller, ToolRequest),
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
        let (caller, call) = match self.read(event, journal) {
            Work::Call(caller, call) => (caller, call),
            Work::Reject { body, reprompt } => {
                let settled = std::future::ready(());
                self.finish(&body, journal, deadline, Vec::new, settled).await;
                return (body, reprompt);
            }
        };
        let (policy, ports, retries) = (self.policy, self.ports, self.retries);
        let request = Request { policy, ports, retries, journal, caller, id, deadline, is_traced };
        let Worked { body, tasks, kept } =
            match guarded("the tasks", work::carry_out(request, &call)).await {
                Some(worked) => worked,
                None => {
                    guarded("the recovery", task::recover(request, None)).await;
                    let (tasks, kept) = (call.tasks().to_vec(), Vec::new());
                    Worked { body: panicked(event), tasks, kept }
                }
            };
        for place in 0..tasks.len() {
            let told = body.results.as_ref().and_then(|results| results.get(place));
            let told = told.unwrap_or(&body.whole);
            let (status, reason, specialist) = (told.status, told.reason, self.specialist_of(told));
            request.note(place, Fact::TaskEnded { status, reason, specialist });
        }
        let incidents = || {
            let view = |entries: &[Entry]| {
                views::incidents::of(entries, id, request.caller, &tasks, policy)
            };
            journal.read(view)
        };
        let within = deadline::time_to_finish(request.remaining());
        let purse = Purse(request);
        let settling = guarded("the settlement", purse.settle(None, within));
        let keeping = guarded("keeping answers", async {
            let keep = async |Kept { place, specialist, generation, answer }: &Kept| {
                let prompt = &tasks[*place].prompt;
                purse.keep(specialist, prompt, *generation, answer, within).await;
            };
            join_all(kept.iter().map(keep)).await;
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
        let TaskBody { status, reason, .. } = body.whole;
        let specialist = self.specialist_of(&body.whole);
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
        let call = match ToolRequest::parse(&event.tool, arguments, self.policy) {
            Ok(call) => call,
            Err(bad) => return reject(event, bad.message, true),
        };
        if let ToolRequest::InvokeSpecialistAgent(task) = &call {
            let named = self.policy.find(&task.specialist);
            let named = named.map_or("unknown", |specialist| specialist.name.as_str());
            Span::current().record("specialist.asked", named);
        }
        Work::Call(caller, call)
    }

    /// The specialist that is named to the supervisor.
    fn specialist_of(&self, told: &TaskBody) -> Option<SpecialistName> {
        let named = told.specialist.as_deref().and_then(|name| self.policy.find(name));
        named.map(|specialist| specialist.name.clone())
    }
}

/// A request that is refused for what it says.
fn reject<'e>(event: &Event, message: String, reprompt: bool) -> Work<'e> {
    let body = with_echoes(Body::refused(Reason::BadRequest, message), event);
    Work::Reject { body, reprompt }
}

fn panicked(event: &Event) -> Body {
    let whole = TaskBody {
        reason: Some(Reason::AgentError),
        message: Some("Something went wrong. Answer the user with what you have.".to_owned()),
        ..TaskBody::new(Status::Failed)
    };
    with_echoes(Body::from(whole), event)
}

/// The body with what is echoed of the arguments, as far as they could be read.
fn with_echoes(body: Body, event: &Event) -> Body {
    let echoed = |name| event.arguments.as_ref().ok().and_then(|arguments| arguments.echo(name));
    let (asked, task_id) = (echoed("specialist_type"), echoed("task_id"));
    Body { whole: TaskBody { asked, task_id, ..body.whole }, ..body }
}

#[cfg(test)]
mod tests;
