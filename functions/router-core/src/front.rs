//! The front door: an application's request, answered by a supervisor that runs here.
//!
//! What the supervisor asks for is carried out as the action group's calls are, in the same process
//! and under the same budget. Each of its rounds is reserved and settled as an invocation is, without
//! a step. The request has one journal; what a tool does is taken over into it.

mod before;
mod calls;
mod memory;
mod prompt;
mod question;
mod round;
mod rounds;
mod told;
mod words;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join;
pub use memory::{Memory, NewTurn, written};
pub use prompt::prompt_of;
pub use question::{BadQuestion, Question};
use rounds::{Ending, Talk};
pub use told::{Done, Told};
use tracing::{Instrument, Span, field, info_span, warn};

use crate::budget::purse::Purse;
use crate::deadline;
use crate::error::chain;
use crate::guard::guarded;
use crate::handler::LambdaRequest;
use crate::handler::finish::Ending as Finish;
use crate::ids::{HoldId, SpecialistName};
use crate::incident::Incident;
use crate::journal::{Entry, Fact, Journal};
use crate::outcome::{Reason, Status};
use crate::policy::{Policy, SUPERVISOR, Split, SupervisorRules};
use crate::ports::Ports;
use crate::request::Request;
use crate::retry::RetryBudget;
use crate::split::{self, Predecessor};
use crate::supervisor::{Message, Supervisor, Turn};
use crate::task;
use crate::units::{Clock, Timestamp};
use crate::views;
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::Task;

/// Everything outside of the core that the front door needs.
pub trait FrontPorts: Ports<Clock: Sync> {
    /// Calls the supervisor.
    type Supervisor: Supervisor;
    /// Keeps what a plain model is given again.
    type Memory: Memory;
    /// Asks what was there before the supervisor.
    type Predecessor: Predecessor;

    /// How the supervisor is called.
    fn supervisor(&self) -> &Self::Supervisor;
    /// What sessions were about.
    fn memory(&self) -> &Self::Memory;
    /// How what was there before the supervisor is asked.
    fn predecessor(&self) -> &Self::Predecessor;
}

/// Answers an application's requests.
#[derive(Debug)]
pub struct FrontDoor<'f, F> {
    /// What is allowed.
    pub policy: &'f Policy,
    /// Everything outside of the core.
    pub ports: &'f F,
    /// What retries are paid from.
    pub retries: &'f RetryBudget,
}

/// What came of a request.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub done: Done,
    /// What happened.
    pub entries: Vec<Entry>,
}

/// What the parts of a request share.
struct Shared<'s, P> {
    request: Request<'s, P>,
    told: &'s (dyn Fn(Told<'_>) + Sync),
    next_place: AtomicUsize,
}

impl<P> Shared<'_, P> {
    /// The first of so many places among the tasks of the request.
    fn places(&self, tasks: usize) -> usize {
        self.next_place.fetch_add(tasks.max(1), Ordering::Relaxed)
    }
}

/// How a request ends, as its application is told.
struct End {
    status: Status,
    answer: Option<String>,
    reason: Option<Reason>,
    message: Option<String>,
    is_partial: bool,
}

impl<F: FrontPorts> FrontDoor<'_, F> {
    /// Answers a request, and tells of it as it goes: of the end as soon as it is known. What was held
    /// is settled and the metrics are published when this returns.
    pub async fn answer(
        &self,
        question: &Result<Question, BadQuestion>,
        request: LambdaRequest<'_>,
        told: &(dyn Fn(Told<'_>) + Sync),
    ) -> Answered {
        let span = info_span!(
            "request",
            session.id = field::Empty,
            specialist.used = field::Empty,
            status = field::Empty,
            reason = field::Empty,
        );
        let journal = Journal::default();
        let answering = Box::pin(self.serve(question, request, &journal, told));
        let done = answering.instrument(span).await;
        Answered { done, entries: journal.into_entries() }
    }

    async fn serve(
        &self,
        question: &Result<Question, BadQuestion>,
        request: LambdaRequest<'_>,
        journal: &Journal,
        told: &(dyn Fn(Told<'_>) + Sync),
    ) -> Done {
        let id = &request.execution_id();
        let LambdaRequest { deadline, cold_start, function_version, is_traced, .. } = request;
        let (policy, ports, retries) = (self.policy, self.ports, self.retries);
        // Also in a rehearsal the supervisor's rounds are paid for.
        let finish = Finish { policy, ports, journal, deadline, is_rehearsal: false };
        journal.add(ports.clock().now(), Fact::Received { cold_start, function_version });
        let question = match question {
            Ok(question) => question,
            Err(bad) => {
                let message = Some(bad.message.clone());
                let end = End { message, ..End::refused(Reason::BadRequest) };
                let done = end.done(None, &Talk::default(), journal);
                told(Told::Done(&done));
                let settled = std::future::ready(());
                finish.finish(&body_of(&done, None), Vec::new, settled).await;
                return done;
            }
        };
        let caller = &question.caller(id);
        Span::current().record("session.id", caller.root.as_str());
        let request = Request {
            policy,
            ports,
            retries,
            journal,
            caller,
            id,
            deadline,
            is_traced,
            // Only a supervisor that has answered has told of them.
            tells_answers: false,
        };
        let next_place = AtomicUsize::new(round::FIRST_TASK);
        let shared = Shared { request, told, next_place };
        let mut talk = Talk::default();
        let (end, by) = match (before_of(request), policy.supervisor()) {
            (Some(split), _) => {
                let asking = guarded("the predecessor", before::ask(&shared, split, question));
                (asking.await.unwrap_or_else(|| End::failed(Reason::AgentError)), None)
            }
            (None, Some(rules)) => self.talk(&shared, rules, &question.input, &mut talk).await,
            (None, None) => (End::failed(Reason::AgentError), None),
        };
        let done = end.done(Some(caller.root.id().to_owned()), &talk, journal);
        rounds::leave(&shared, &talk);
        let incidents = std::mem::take(&mut talk.incidents);
        let settling = guarded("the settlement", rounds::settle(&shared, &talk));
        let remembering = guarded("the memory", remember(request, &talk.messages, &done));
        // Whoever has heard the end may ask again, and is to find the conversation as it was left.
        let settling = async {
            join(settling, remembering).await;
            told(Told::Done(&done));
        };
        let body = body_of(&done, by.as_ref());
        finish.finish(&body, || incidents, settling).await;
        done
    }

    /// Has the supervisor answer, or who stands in for it.
    async fn talk(
        &self,
        shared: &Shared<'_, F>,
        rules: &SupervisorRules,
        input: &str,
        talk: &mut Talk,
    ) -> (End, Option<SpecialistName>) {
        let task = Task {
            specialist: SUPERVISOR.to_owned(),
            prompt: input.to_owned(),
            intent: None,
            confidence: None,
            task_id: None,
        };
        let ending = match guarded("the rounds", rounds::run(shared, rules, &task, talk)).await {
            Some(ending) => ending,
            None => {
                guarded("the recovery", task::recover(shared.request, None)).await;
                Ending::Failed { reason: Reason::AgentError, may_fall_back: true }
            }
        };
        if let Ending::Failed { .. } = ending {
            talk.incidents.extend(of_rounds(shared.request, &task));
        }
        match ending {
            Ending::Answered(text) => (End::answered(text), None),
            Ending::Failed { reason, may_fall_back: true } => {
                let specialist = rules.fallback.to_string();
                let task = Task { specialist, ..task };
                self.fall_back(shared, reason, task, talk).await
            }
            Ending::Failed { reason, .. } => (End::failed(reason).with(talk), None),
            Ending::Refused(reason) if talk.rounds == 0 => (End::refused(reason), None),
            Ending::Refused(reason) => (End::failed(reason).with(talk), None),
            Ending::OutOfRounds => (End::failed(Reason::MaxRounds).with(talk), None),
        }
    }

    /// Asks the specialist that stands in for a supervisor that failed for this reason.
    async fn fall_back(
        &self,
        shared: &Shared<'_, F>,
        reason: Reason,
        task: Task,
        talk: &mut Talk,
    ) -> (End, Option<SpecialistName>) {
        let round = talk.rounds.max(1);
        // What the rounds held is room for it.
        let within = deadline::time_to_finish(shared.request.remaining());
        Purse(shared.request).settle(Some(round::ROUNDS), within).await;
        let (body, incidents) = calls::fall_back(shared, round, task).await;
        talk.incidents.extend(incidents);
        let TaskBody { status, specialist, answer, .. } = body.whole;
        let by = specialist.and_then(|name| SpecialistName::parse(&name));
        match answer.filter(|_| status.is_answer()) {
            Some(answer) => {
                (shared.told)(Told::Text(&answer));
                let turn = Turn { text: answer.clone(), calls: Vec::new() };
                talk.messages = answered_by_another(std::mem::take(&mut talk.messages), turn);
                let status = Status::FellBack;
                (End { status, reason: Some(reason), ..End::answered(answer) }, by)
            }
            None => (End::failed(reason).with(talk), by),
        }
    }
}

impl End {
    fn answered(answer: String) -> Self {
        let (status, answer) = (Status::Answered, Some(answer));
        Self { status, answer, reason: None, message: None, is_partial: false }
    }

    fn refused(reason: Reason) -> Self {
        let message = Some(words::unanswered(reason).to_owned());
        let (status, reason) = (Status::Refused, Some(reason));
        Self { status, answer: None, reason, message, is_partial: false }
    }

    fn failed(reason: Reason) -> Self {
        Self { status: Status::Failed, ..Self::refused(reason) }
    }

    /// The end with what had been found out until then.
    fn with(self, talk: &Talk) -> Self {
        if talk.answers.is_empty() {
            return self;
        }
        Self { answer: Some(talk.answers.join("\n\n")), is_partial: true, ..self }
    }

    fn done(self, session_id: Option<String>, talk: &Talk, journal: &Journal) -> Done {
        let Self { status, answer, reason, message, is_partial } = self;
        let (steps, budget) = journal.read(|entries| {
            let invocations = views::invocations(entries);
            let is_step = |it: &&views::Invocation<'_>| it.specialist.as_str() != SUPERVISOR;
            let steps = invocations.iter().filter(is_step).count() as u64;
            let by_action_group = views::meanwhile(entries).filter(|_| talk.has_action_group);
            let steps = steps + by_action_group.map_or(0, |(steps, _)| steps);
            (steps, views::account(entries).map(|account| account.left()))
        });
        let (rounds, truncated) = (talk.rounds, is_partial);
        Done { session_id, status, answer, reason, message, rounds, steps, truncated, budget }
    }
}

/// The split, where it sends the request's session to what was there before the supervisor.
fn before_of<'r, P: Ports>(request: Request<'r, P>) -> Option<&'r Split> {
    // What was there before would answer in earnest.
    let split = request.policy.split.as_ref().filter(|_| !request.caller.is_rehearsal())?;
    let path = split::path_of(split, &request.caller.root);
    request.journal.add(request.now(), Fact::PathTaken { path });
    (path == split::Path::Current).then_some(split)
}

/// What is kept of rounds that failed.
fn of_rounds<P: Ports>(request: Request<'_, P>, task: &Task) -> Vec<Incident> {
    let Request { id, caller, policy, .. } = request;
    let view =
        |entries: &[Entry]| views::incidents::at(entries, id, caller, round::ROUNDS, task, policy);
    let incidents = request.journal.read(view).into_iter();
    incidents.map(|incident| Incident { at: request.now(), ..incident }).collect()
}

/// The conversation that ends with the turn of another than the supervisor: what it had found out stays,
/// and calls of its that have no results go.
fn answered_by_another(mut messages: Vec<Message>, turn: Turn) -> Vec<Message> {
    if let Some(Message::Assistant(_)) = messages.last() {
        messages.pop();
    }
    messages.push(Message::Assistant(turn));
    messages
}

/// The end as the request's log line, metrics and spans have it.
fn body_of(done: &Done, by: Option<&SpecialistName>) -> Body {
    let specialist = by.map(ToString::to_string);
    let whole = TaskBody { specialist, reason: done.reason, ..TaskBody::new(done.status) };
    Body { budget: done.budget, ..Body::from(whole) }
}

/// When the session is over, unless something is reserved in it again: its last reservation says so, and
/// whoever has the session after it is to be told nothing of it. `None` where nothing is reserved.
fn session_end(entries: &[Entry], policy: &Policy) -> Option<Timestamp> {
    let held = |id: &HoldId| {
        let is_it =
            |entry: &Entry| matches!(&entry.fact, Fact::Held { id: held, .. } if held == id);
        entries.iter().any(is_it)
    };
    let reserved = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Reserving(hold) if held(&hold.id) => Some(entry.at),
        _ => None,
    });
    Some(reserved.max()?.after(policy.session.idle_ttl))
}

/// Keeps the turn for a supervisor that has to be given it again, if there is an answer.
async fn remember<F: FrontPorts>(request: Request<'_, F>, messages: &[Message], done: &Done) {
    let is_kept = request.policy.supervisor().is_some_and(rounds::is_given_the_past);
    // Nothing came of what was said in a rehearsal.
    if !is_kept || request.caller.is_rehearsal() || !done.status.is_answer() {
        return;
    }
    let Some(text) = written(messages) else {
        warn!("the turn is too long to be remembered");
        return;
    };
    let Some(expires) = request.journal.read(|entries| session_end(entries, request.policy)) else {
        return;
    };
    let turn = NewTurn {
        session: &request.caller.root,
        at: request.now(),
        id: request.id,
        text: &text,
        expires,
    };
    let within = deadline::time_to_finish(request.remaining());
    if let Err(error) = request.ports.memory().keep(&turn, within).await {
        warn!(error = chain(&error), "the turn is not remembered");
    }
}

#[cfg(test)]
mod tests;
