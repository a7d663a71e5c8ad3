//! Asking a person: a hand-off, a ticket, and what the person is to know.
//!
//! The ticket is taken in the session's item, in the write that takes the hand-off; the escalation is
//! kept after it. A function that is killed in between leaves a ticket without an escalation: whoever
//! asks for the same task again completes it.

use tracing::{error, warn};

use super::holds::budget_reason;
use super::run::TaskRun;
use crate::budget::purse::{Opened, Purse, why_not};
use crate::deadline;
use crate::error::chain;
use crate::escalation::{Escalation, Escalations, Source};
use crate::ids::{SpecialistName, TaskMark, Ticket};
use crate::journal::{Entry, Fact, NotHeld};
use crate::ledger::{Account, ReserveError};
use crate::outcome::Reason;
use crate::policy::PadKey;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd, Waiting};
use crate::units::{MicroUsd, Timestamp};
use crate::views::{self, body, messages};
use crate::wire::tools::Task;

/// What a person is asked.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    /// The task that waits.
    pub(crate) task: TaskMark,
    /// The supervisor's own id of it.
    pub(crate) task_id: Option<&'q str>,
    /// Its place among the tasks of the request; `None`: it is none of them.
    pub(crate) place: Option<usize>,
    /// Who asks.
    pub(crate) source: Source,
    /// Why.
    pub(crate) reason: &'q str,
    /// What the person is to know.
    pub(crate) summary: &'q str,
}

/// Why no person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotAsked {
    /// Which rule forbids it, or that it could not be done.
    pub(crate) reason: Reason,
    /// The same in words for the supervisor.
    pub(crate) message: String,
}

/// Asks a person, unless the task waits for one already.
pub(crate) async fn ask_person<P: Ports>(
    request: Request<'_, P>,
    question: Question<'_>,
) -> Result<Waiting, NotAsked> {
    let note = |fact| {
        let (at, task) = (request.now(), question.place);
        request.journal.push(Entry { at, task, fact });
    };
    let within = deadline::before_call(request.remaining());
    let opened = match Purse(request).open_ticket(&question.task, within).await {
        Ok(opened) => opened,
        Err(refused) => {
            let (why, account, expired_holds) = why_not(&refused);
            note(Fact::NotEscalated { why, account, expired_holds });
            return Err(NotAsked::of(&refused));
        }
    };
    let Opened { ticket, due, account, expired_holds } = opened;
    let escalation = escalation(request, &question, &ticket, due, account);
    let within = deadline::before_call(request.remaining());
    match request.ports.escalations().open(&escalation, within).await {
        Ok(is_new) => {
            let known = ticket.clone();
            note(Fact::Escalated { ticket: known, is_new, account, expired_holds });
            Ok(Waiting { ticket, is_new })
        }
        Err(failure) => {
            error!(error = chain(&failure), "no person is asked");
            note(Fact::NotEscalated { why: NotHeld::Unavailable, account, expired_holds });
            let (reason, message) = (Reason::LedgerUnavailable, messages::no_person());
            Err(NotAsked { reason, message })
        }
    }
}

fn escalation<P: Ports>(
    request: Request<'_, P>,
    question: &Question<'_>,
    ticket: &Ticket,
    due: Timestamp,
    account: Option<Account>,
) -> Escalation {
    let Request { policy, caller, journal, .. } = request;
    let now = request.now();
    let account = account.or_else(|| journal.read(views::account));
    let left = account.map(|account| account.left());
    let left = left
        .map_or((0, 0, MicroUsd(0)), |left| (left.steps_left, left.tokens_left, left.cost_left));
    Escalation {
        ticket: ticket.clone(),
        session: caller.root.clone(),
        tenant: caller.tenant.clone(),
        user: caller.user.clone(),
        task: question.task.clone(),
        task_id: question.task_id.map(str::to_owned),
        source: question.source.clone(),
        reason: question.reason.to_owned(),
        summary: question.summary.to_owned(),
        tried: journal.read(|entries| tried(entries, question.place)),
        pad_keys: policy.pad_keys().map(|PadKey { name, .. }| name.clone()).collect(),
        left,
        opened: now,
        due,
        idle_ttl: policy.session.idle_ttl,
    }
}

/// Who was tried in a task, and why each did not answer.
fn tried(entries: &[Entry], place: Option<usize>) -> Vec<(SpecialistName, Reason)> {
    let invocations = views::invocations(entries).into_iter();
    let of_task = invocations.filter(|invocation| invocation.task == place && place.is_some());
    of_task.filter_map(|tried| Some((tried.specialist.clone(), tried.failure?))).collect()
}

impl NotAsked {
    fn of(refused: &ReserveError) -> Self {
        let (reason, message) = match refused {
            ReserveError::Exhausted(exhausted) | ReserveError::NearlyExhausted(exhausted) => {
                warn!(error = chain(refused), limit = %exhausted.limit, "no person is asked");
                (budget_reason(exhausted.limit), messages::no_more_people())
            }
            ReserveError::OtherTenant => (Reason::BadRequest, messages::not_yours("tenant")),
            ReserveError::OtherUser => (Reason::BadRequest, messages::not_yours("user")),
            ReserveError::Repeated { .. }
            | ReserveError::Waiting { .. }
            | ReserveError::AlreadySettled(_)
            | ReserveError::Unusable(_)
            | ReserveError::Unavailable(_) => {
                error!(error = chain(refused), "no person is asked");
                (Reason::LedgerUnavailable, messages::no_person())
            }
        };
        Self { reason, message }
    }
}

impl<P: Ports> TaskRun<'_, P> {
    /// Asks a person in the place of a specialist.
    pub(super) async fn ask_person(
        &self,
        source: Source,
        reason: &str,
    ) -> Result<Waiting, NotAsked> {
        let Task { specialist, prompt, task_id, .. } = self.context.task;
        let task = match task_id {
            Some(task_id) => TaskMark::of_id(task_id),
            None => TaskMark::of_request(specialist, prompt),
        };
        let (task_id, place) = (task_id.as_deref(), Some(self.context.place));
        let question = Question { task, task_id, place, source, reason, summary: prompt };
        ask_person(self.context.request, question).await
    }

    /// The end of a task, which is a person's where no specialist could answer and the policy wants
    /// it so. What a guardrail has blocked, or another has stopped, is no person's.
    pub(super) async fn hand_over(&self, end: TaskEnd) -> TaskEnd {
        let may = self.context.request.policy.escalation.after_failure;
        let place = self.context.place;
        let reason = match &end {
            TaskEnd::Failed => {
                self.context.request.journal.read(|entries| body::first_reason(entries, place))
            }
            TaskEnd::Refused { reason: Reason::CircuitOpen, .. } => Some(Reason::CircuitOpen),
            _ => return end,
        };
        let reason = reason.unwrap_or(Reason::AgentError);
        if !may || matches!(reason, Reason::Guardrail | Reason::Stopped) {
            return end;
        }
        match self.ask_person(Source::Failure, reason.as_str()).await {
            Ok(waiting) => TaskEnd::Escalated { by: self.last_invoked(), waiting },
            Err(_) => end,
        }
    }

    fn last_invoked(&self) -> Option<SpecialistName> {
        let place = self.context.place;
        self.context.request.journal.read(|entries| {
            let mut invocations = views::invocations(entries).into_iter();
            let last = invocations.rfind(|invocation| invocation.task == Some(place));
            last.map(|invocation| invocation.specialist.clone())
        })
    }
}
