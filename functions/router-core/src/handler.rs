//! One event in, one reply out.
//!
//! Whatever the event says and whatever happens on the way, there is a reply in the event's
//! own form: Bedrock ends the user's turn over an action group that fails.

pub(crate) mod call;
pub(crate) mod finish;
mod people;
mod rehearsal;
mod scratchpad;
mod work;

use finish::Ending;
use tracing::{Instrument, Span, field, info_span};

use crate::journal::{Entry, Fact, Journal};
use crate::metrics::ColdStart;
use crate::outcome::{Reason, Status};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::Request;
use crate::retry::RetryBudget;
use crate::routing;
use crate::units::{Clock, Timestamp};
use crate::views::messages;
use crate::wire::caller::{Caller, ROOT_SESSION_ID};
use crate::wire::event::Event;
use crate::wire::reply::{Body, Reply, TaskBody};
use crate::wire::tools::ToolRequest;

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

impl LambdaRequest<'_> {
    /// What no other execution has, from which the ids of holds and of new sessions are made.
    pub fn execution_id(&self) -> String {
        format!("{}-{:x}", self.id, self.execution)
    }
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
        let id = &request.execution_id();
        let LambdaRequest { deadline, cold_start, function_version, is_traced, .. } = request;
        journal.add(clock.now(), Fact::Received { cold_start, function_version });
        let (caller, call) = match self.read(event, journal) {
            Work::Call(caller, call) => (caller, call),
            Work::Reject { body, reprompt } => {
                let settled = std::future::ready(());
                self.ending(event, journal, deadline).finish(&body, Vec::new, settled).await;
                return (body, reprompt);
            }
        };
        let (policy, ports, retries) = (self.policy, self.ports, self.retries);
        let request = Request {
            policy,
            ports,
            retries,
            journal,
            caller,
            id,
            deadline,
            is_traced,
            tells_answers: true,
        };
        let served = call::serve(request, &call, || panicked(event)).await;
        let settling = served.settle(request);
        self.ending(event, journal, deadline)
            .finish(&served.body, || served.incidents(request), settling)
            .await;
        (served.body, false)
    }

    fn ending<'r>(
        &'r self,
        event: &Event,
        journal: &'r Journal,
        deadline: Timestamp,
    ) -> Ending<'r, P> {
        let is_rehearsal = event.caller.as_ref().is_ok_and(Caller::is_rehearsal);
        Ending { policy: self.policy, ports: self.ports, journal, deadline, is_rehearsal }
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
