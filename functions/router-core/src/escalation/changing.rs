//! A change of an escalation, one request to the table at a time.
//!
//! An answer is one transaction: the escalation's state, the scratchpad's key that the answer becomes,
//! and the session, which frees its task's ticket and notes that there is something to be read. So a
//! crash leaves all of it or nothing, and a change that is made again finds what it has done. Where the
//! session is over, the answer is kept with the escalation alone.

use super::item::{of_item, set_state};
use super::{
    ANSWERED, Action, Escalation, Refused, State, answer_key, due_attribute, ticket_attribute,
};
use crate::error::Cause;
use crate::ids::{RootSession, Ticket};
use crate::scratchpad;
use crate::store::{
    Answer, Comparison, Item, ItemKey, Next, Put, Request, Update, Value, Version, Write,
};
use crate::units::Timestamp;

/// How often a change is begun again, because another one was made meanwhile.
const ROUNDS: u32 = 12;

/// What is to be done with an escalation.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Which.
    pub ticket: &'a Ticket,
    /// What.
    pub action: &'a Action,
    /// Who makes the change; no other change has the same author.
    pub author: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// A change under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changing {
    step: Step,
    round: u32,
    request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// To see the escalation.
    Read,
    /// To see the session that waits.
    ReadSession(Box<Decided>),
    /// To make the change.
    Write { decided: Box<Decided>, is_delivered: bool },
}

/// A change that was decided on a version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decided {
    escalation: Escalation,
    seen: u64,
    next: State,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The escalation.
    pub escalation: Escalation,
    /// What has become of it.
    pub state: State,
    /// Whether the session waits no longer: it is there, and has the answer, or knows that there is
    /// none.
    pub is_delivered: bool,
    /// Whether the change was made now, and not before.
    pub is_new: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// There is no such escalation.
    #[error("there is no such ticket")]
    Unknown,
    /// Its state stands against it.
    #[error("{0}")]
    Refused(Refused),
    /// The table gave no usable answer. The change may have been made.
    #[error("the table gave no answer")]
    Unavailable(#[source] Cause),
}

type End = Result<Changed, NotChanged>;

impl Changing {
    /// The first request of a change.
    pub fn begin(change: &Change<'_>) -> Self {
        Self::read(change, 0)
    }

    fn read(change: &Change<'_>, round: u32) -> Self {
        let request = Request::Read(ItemKey::escalation(change.ticket));
        Self { step: Step::Read, round, request }
    }

    /// What the table is asked now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// How often the change was begun again.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// What follows an answer to [`Self::request`]; `change` is the one that was begun.
    pub fn on(self, change: &Change<'_>, answer: Answer) -> Next<Self, End> {
        let round = self.round;
        match (self.step, answer) {
            (_, Answer::Unavailable(cause) | Answer::Unusable(cause)) => {
                Next::Done(Err(NotChanged::Unavailable(cause)))
            }
            (Step::Read, Answer::Done(item)) => decide(change, item, round),
            (Step::ReadSession(decided), Answer::Done(session)) => {
                let writes = with_session(change, &decided, &session.unwrap_or_default());
                let is_delivered = writes.is_some();
                let writes = writes.unwrap_or_else(|| vec![of_escalation(change, &decided, false)]);
                let step = Step::Write { decided, is_delivered };
                Next::Send(Self { step, round, request: Request::Transact(writes) })
            }
            (Step::Write { decided, is_delivered }, Answer::Done(_)) => {
                let Decided { escalation, next: state, .. } = *decided;
                Next::Done(Ok(Changed { escalation, state, is_delivered, is_new: true }))
            }
            (_, Answer::Refused { .. } | Answer::Contended) if round + 1 < ROUNDS => {
                Next::Send(Self::read(change, round + 1))
            }
            (_, Answer::Refused { .. } | Answer::Contended) => {
                let cause = "the escalation changed under every attempt".into();
                Next::Done(Err(NotChanged::Unavailable(cause)))
            }
        }
    }
}

/// Decides on the escalation as it is.
fn decide(change: &Change<'_>, item: Option<Item>, round: u32) -> Next<Changing, End> {
    let found = item.and_then(|item| Some((of_item(change.ticket.clone(), &item)?, item)));
    let Some(((escalation, state), item)) = found else {
        return Next::Done(Err(NotChanged::Unknown));
    };
    let next = match state.after(change.action, change.now, escalation.due) {
        Ok(next) => next,
        Err(refused) => return Next::Done(Err(NotChanged::Refused(refused))),
    };
    if next == state {
        let is_delivered = item.number("delivered") > 0;
        // A repeated write, whose answer was lost, has made the change itself.
        let is_new = item.text("written_by") == Some(change.author);
        return Next::Done(Ok(Changed { escalation, state, is_delivered, is_new }));
    }
    let session = ItemKey::session(&escalation.session);
    let is_claimed = matches!(next, State::Claimed { .. });
    let decided = Box::new(Decided { escalation, seen: Version::of(&item), next });
    let (step, request) = if is_claimed {
        let writes = vec![of_escalation(change, &decided, false)];
        (Step::Write { decided, is_delivered: false }, Request::Transact(writes))
    } else {
        (Step::ReadSession(decided), Request::Read(session))
    };
    Next::Send(Changing { step, round, request })
}

/// The change of the escalation itself.
fn of_escalation(change: &Change<'_>, decided: &Decided, is_delivered: bool) -> Write {
    let version = Version { seen: decided.seen, author: change.author };
    let mut write = version.update(ItemKey::escalation(change.ticket));
    set_state(&mut write, &decided.next, change.now);
    if is_delivered {
        write.set("delivered", Value::number(1));
    }
    Write::Update(write)
}

/// The change of the escalation and of the session that waits for it; `None` where that is over, or
/// waits for another ticket.
fn with_session(change: &Change<'_>, decided: &Decided, session: &Item) -> Option<Vec<Write>> {
    let Escalation { session: id, task, idle_ttl, .. } = &decided.escalation;
    let (ticket, due) = (ticket_attribute(task), due_attribute(task));
    let expires_at = session.number("expires_at");
    let is_over = session.has("expires_at") && expires_at <= change.now.0 / 1_000;
    if session.text(&ticket) != Some(change.ticket.as_str()) || is_over {
        return None;
    }
    let mut write = Update::of(ItemKey::session(id));
    write.compare(&ticket, Comparison::Equal, Value::text(change.ticket.as_str()));
    write.remove(&ticket);
    write.remove(&due);
    let mut writes = vec![of_escalation(change, decided, true)];
    if let State::Answered { by, text } = &decided.next {
        // An answer keeps its session alive, so that there is time to read it.
        let end = change.now.after(*idle_ttl).epoch_seconds().max(expires_at);
        write.compare_if_there("expires_at", Comparison::Equal, Value::number(expires_at));
        if session.has("expires_at") {
            write.set("expires_at", Value::number(end));
        }
        write.set(&format!("{ANSWERED}{}", change.ticket), Value::number(1));
        writes.push(Write::Put(answer_pad(change, id, (by.as_str(), text.as_str()), end)));
    }
    writes.push(Write::Update(write));
    Some(writes)
}

/// The scratchpad's key that an answer becomes.
fn answer_pad(
    change: &Change<'_>,
    session: &RootSession,
    (by, text): (&str, &str),
    expires_at: u64,
) -> Put {
    let value = serde_json::Value::from(text).to_string();
    let mut item = Item::from(scratchpad::written(&value, by, change.now));
    item.set("stamp", Value::number(1));
    item.set("written_by", Value::text(change.author));
    item.set("expires_at", Value::number(expires_at));
    let key = ItemKey::pad(session, &answer_key(change.ticket));
    Put { key, item, conditions: Vec::new() }
}
