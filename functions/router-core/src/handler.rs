//! One event in, one reply out.
//!
//! Whatever the event says and whatever happens on the way, there is a reply in the event's
//! own form: Bedrock ends the user's turn over an action group that fails.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join3};
use tracing::{Instrument, Span, error, field, info, info_span, warn};

use crate::arguments::ToolRequest;
use crate::causes::chain;
use crate::circuit::{CircuitStore, Circuits};
use crate::deadline;
use crate::event::Event;
use crate::incident::{Incident, IncidentLog};
use crate::invocation::SpecialistInvoker;
use crate::ledger::{Ledger, Repeat};
use crate::metrics::{Batch, ColdStart, InvocationMetrics, MetricsSink, RequestMetrics};
use crate::policy::Policy;
use crate::reply::{Body, Reason, Reply, Status};
use crate::retry::RetryBudget;
use crate::router::{KeptAnswer, Request, Routed, Router, Unsettled, spans, too_many_routers};
use crate::routing;
use crate::session::{Caller, ROOT_SESSION_ID};
use crate::trace::{Kind, Scope, key};
use crate::units::{Clock, Timestamp};

/// The longest that publishing metrics and keeping incidents may hold a reply up.
const PUBLISHING: Duration = Duration::from_millis(500);

/// Answers the events of the action group.
#[derive(Debug)]
pub struct Handler<'h, L, I, K, J, M, C> {
    /// What is allowed.
    pub policy: &'h Policy,
    /// Where budgets are kept.
    pub ledger: &'h L,
    /// How specialists are called.
    pub invoker: &'h I,
    /// Which specialists are not to be called for a while.
    pub circuits: &'h Circuits<K>,
    /// What retries are paid from.
    pub retries: &'h RetryBudget,
    /// Where incidents go.
    pub incidents: &'h J,
    /// Where metrics go.
    pub metrics: &'h M,
    /// Where the time comes from.
    pub clock: &'h C,
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
    /// Where its course is recorded.
    pub trace: Scope<'a>,
}

/// A reply's body with what is still to be done before it is sent.
struct Answer {
    body: Body,
    reprompt: bool,
    metrics: RequestMetrics,
    unsettled: Option<Unsettled>,
    kept: Option<KeptAnswer>,
    incidents: Vec<Incident>,
}

impl Answer {
    /// A body that leaves nothing to be done.
    fn of(body: Body) -> Self {
        Self {
            body,
            reprompt: false,
            metrics: RequestMetrics::default(),
            unsettled: None,
            kept: None,
            incidents: Vec::new(),
        }
    }
}

impl<L, I, K, J, M, C> Handler<'_, L, I, K, J, M, C>
where
    L: Ledger,
    I: SpecialistInvoker,
    K: CircuitStore,
    J: IncidentLog,
    M: MetricsSink,
    C: Clock,
{
    /// Answers an event. The hold is settled and the metrics are published when it returns:
    /// Lambda freezes the function as soon as the reply is posted.
    pub async fn handle(&self, event: &Event, request: LambdaRequest<'_>) -> Reply {
        let span = info_span!(
            "request",
            session.id = field::Empty,
            specialist.asked = field::Empty,
            specialist.used = field::Empty,
            status = field::Empty,
            reason = field::Empty,
        );
        let (body, reprompt) = self.answer(event, request).instrument(span).await;
        let mut session_attributes = event.session_attributes.clone();
        if let Ok(caller) = &event.caller {
            let id = || caller.root.id().to_owned();
            session_attributes.entry(ROOT_SESSION_ID.to_owned()).or_insert_with(id);
        }
        let prompt_session_attributes = event.prompt_session_attributes.clone();
        Reply { body, reprompt, session_attributes, prompt_session_attributes }
    }

    async fn answer(&self, event: &Event, request: LambdaRequest<'_>) -> (Body, bool) {
        let started = self.clock.now();
        let trace = request.trace.begin(Kind::Server, format_args!("request"), started);
        let request = LambdaRequest { trace, ..request };
        let working = AssertUnwindSafe(self.work(event, &request)).catch_unwind();
        let Answer { body, reprompt, mut metrics, unsettled, kept, incidents } =
            working.await.unwrap_or_else(|_| {
                // What had been held stays charged and expires; the panic hook has logged why.
                error!("the request panicked");
                panicked(event)
            });
        let now = self.clock.now();
        metrics.cold_start = request.cold_start;
        metrics.function_version = request.function_version;
        metrics.overhead = now.since(started).saturating_sub(metrics.waited());
        self.log(&body, &metrics, now.since(started));
        spans::answered(trace, &body, &metrics);
        let batch = Batch { timestamp: now, data: metrics.data() };
        let within = deadline::wind_up(request.deadline.since(now));
        let caller = event.caller.as_ref().ok();
        let settling = self.settle(caller, unsettled, within, trace);
        let keeping = self.keep(caller, kept, now, within);
        let leaving = self.incidents.leave(&incidents, within.min(PUBLISHING));
        let publishing = self.publish(&batch, within.min(PUBLISHING), trace);
        join(join3(settling, keeping, leaving), publishing).await;
        trace.end(self.clock.now());
        (body, reprompt)
    }

    async fn work(&self, event: &Event, request: &LambdaRequest<'_>) -> Answer {
        let caller = match &event.caller {
            Ok(caller) => caller,
            Err(error) => {
                return refused(event, format!("The request cannot be served: {error}."), false);
            }
        };
        Span::current().record("session.id", caller.root.as_str());
        // A loop is told so whatever it asks: asking it for better arguments would keep it going.
        if routing::is_loop(caller, self.policy) {
            return looped(event);
        }
        let arguments = match &event.arguments {
            Ok(arguments) => arguments,
            Err(error) => {
                return refused(event, format!("The arguments cannot be read: {error}."), true);
            }
        };
        let task = match ToolRequest::parse(&event.tool, arguments, self.policy) {
            Ok(ToolRequest::InvokeSpecialistAgent(task)) => task,
            Err(bad) => return refused(event, bad.message, true),
        };
        let named = self.policy.find(&task.specialist).map(|specialist| specialist.name.as_str());
        Span::current().record("specialist.asked", named.unwrap_or("unknown"));
        request.trace.note(|| [(key::ASKED, named.unwrap_or("unknown").to_owned().into())]);
        let router = Router {
            policy: self.policy,
            ledger: self.ledger,
            invoker: self.invoker,
            circuits: self.circuits,
            retries: self.retries,
            clock: self.clock,
        };
        let LambdaRequest { id, execution, deadline, trace, .. } = *request;
        let id = &format!("{id}-{execution:x}");
        let request = Request { id, place: 0, deadline, caller, task: &task, trace };
        let Routed { body, metrics, unsettled, kept, incidents } = router.route(&request).await;
        Answer { body, reprompt: false, metrics, unsettled, kept, incidents }
    }

    async fn settle(
        &self,
        caller: Option<&Caller>,
        unsettled: Option<Unsettled>,
        within: Duration,
        trace: Scope<'_>,
    ) {
        if let (Some(caller), Some(unsettled)) = (caller, unsettled) {
            unsettled.settle(self.ledger, &caller.root, within, trace, self.clock).await;
        }
    }

    async fn publish(&self, batch: &Batch, within: Duration, trace: Scope<'_>) {
        let span = trace.begin(Kind::Internal, format_args!("metrics"), self.clock.now());
        span.note(|| [(key::DATA, (batch.data.len() as u64).into())]);
        self.metrics.publish(batch, within).await;
        span.end(self.clock.now());
    }

    async fn keep(
        &self,
        caller: Option<&Caller>,
        kept: Option<KeptAnswer>,
        now: Timestamp,
        within: Duration,
    ) {
        let (Some(caller), Some(kept)) = (caller, kept) else { return };
        let KeptAnswer { specialist, fingerprint, generation, answer, window } = &kept;
        let repeat = Repeat {
            session: &caller.root,
            tenant: &caller.tenant,
            user: caller.user.as_ref(),
            limits: &self.policy.session,
            specialist,
            fingerprint,
            identity: &caller.identity(),
            now,
        };
        let keeping = self.ledger.keep(&repeat, *generation, answer, *window, within);
        if let Err(error) = keeping.await {
            warn!(error = chain(&error), "the answer is not kept");
        }
    }

    /// One line that tells the whole story, without a word of what was asked or answered.
    fn log(&self, body: &Body, metrics: &RequestMetrics, took: Duration) {
        let span = Span::current();
        span.record("specialist.used", body.specialist.as_deref());
        span.record("status", body.status.as_str());
        span.record("reason", body.reason.map(Reason::as_str));
        let sum =
            |of: fn(&InvocationMetrics) -> u64| -> u64 { metrics.invocations.iter().map(of).sum() };
        info!(
            attempts = body.attempts,
            input_tokens = sum(|invocation| invocation.used.all_input().0),
            output_tokens = sum(|invocation| invocation.used.all_output().0),
            cost_micro_usd = sum(|invocation| invocation.cost.0),
            latency_ms = took.as_millis() as u64,
            overhead_ms = metrics.overhead.as_millis() as u64,
            steps_left = body.budget.map(|budget| budget.steps_left),
            tokens_left = body.budget.map(|budget| budget.tokens_left),
            cost_left_micro_usd = body.budget.map(|budget| budget.cost_left.0),
            "request answered"
        );
    }
}

/// A request that is refused for what it says.
fn refused(event: &Event, message: String, reprompt: bool) -> Answer {
    let body = with_echoes(Body::refused(Reason::BadRequest, message), event);
    Answer { reprompt, ..Answer::of(body) }
}

/// A request that has passed too many routers.
fn looped(event: &Event) -> Answer {
    let message = too_many_routers();
    let body = with_echoes(Body::refused(Reason::LoopDetected, message), event);
    let metrics = RequestMetrics { loop_detected: true, ..RequestMetrics::default() };
    Answer { metrics, ..Answer::of(body) }
}

fn panicked(event: &Event) -> Answer {
    let body = Body {
        reason: Some(Reason::AgentError),
        message: Some("Something went wrong. Answer the user with what you have.".to_owned()),
        ..Body::new(Status::Failed)
    };
    Answer::of(with_echoes(body, event))
}

/// The body with what is echoed of the arguments, as far as they could be read.
fn with_echoes(body: Body, event: &Event) -> Body {
    let echoed = |name| event.arguments.as_ref().ok().and_then(|arguments| arguments.echo(name));
    Body { asked: echoed("specialist_type"), task_id: echoed("task_id"), ..body }
}

#[cfg(test)]
mod tests;
