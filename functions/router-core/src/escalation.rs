//! Questions to people: what an escalation is, and the states that it goes through.
//!
//! An escalation is open, then claimed by a person, then answered; or it expires when nobody has
//! answered in time. Every change is made on the state that it was decided on, so of two people who
//! claim at once one is told by whom it was claimed. Opening one is the ledger's to decide, since it
//! takes a hand-off. Left out: who may answer, which the account says that runs the desk.

mod changing;
mod item;

use std::future::Future;
use std::time::Duration;

pub use changing::{Change, Changed, Changing, NotChanged};
pub use item::{announced, kept, of_item};

use crate::error::Cause;
use crate::ids::{RootSession, SpecialistName, TaskMark, Tenant, Ticket, UserMark};
use crate::outcome::Reason;
use crate::units::{MicroUsd, Timestamp};

/// The most bytes that a person's answer may have: it becomes a key of the scratchpad.
pub const MAX_ANSWER_BYTES: usize = 100_000;
/// The most characters of a person's name.
pub const MAX_NAME_CHARS: usize = 100;

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Its name.
    pub ticket: Ticket,
    /// The session that waits for the answer.
    pub session: RootSession,
    /// The session's tenant.
    pub tenant: Tenant,
    /// The user, if the request came with one.
    pub user: Option<UserMark>,
    /// The task that waits.
    pub task: TaskMark,
    /// The supervisor's own id of it.
    pub task_id: Option<String>,
    /// Who asks.
    pub source: Source,
    /// Why a person is needed, in the words of a model; after a failure its reason.
    pub reason: String,
    /// What the person is to know: the supervisor's summary, or what the specialist was asked.
    pub summary: String,
    /// The specialists that were tried, and why each did not answer.
    pub tried: Vec<(SpecialistName, Reason)>,
    /// The scratchpad's keys that the policy has.
    pub pad_keys: Vec<String>,
    /// What is left of the session's budget: steps, tokens, money.
    pub left: (u64, u64, MicroUsd),
    /// When it was opened.
    pub opened: Timestamp,
    /// When it expires.
    pub due: Timestamp,
    /// How long a session that is left alone lasts.
    pub idle_ttl: Duration,
}

/// Who asks for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The supervisor, by the tool.
    Supervisor,
    /// A specialist, in the place of an answer.
    Specialist(SpecialistName),
    /// The router, where no specialist could answer.
    Failure,
}

impl Source {
    /// The source's name in an item and in a message.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Specialist(_) => "specialist",
            Self::Failure => "failure",
        }
    }
}

/// What has become of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has taken it.
    Open,
    /// A person has taken it.
    Claimed {
        /// Who, as the person says.
        by: String,
    },
    /// A person has answered.
    Answered {
        /// Who, as the person says.
        by: String,
        /// The answer.
        text: String,
    },
    /// Nobody has answered in time.
    Expired,
}

/// What is done with an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A person takes it.
    Claim {
        /// Who.
        by: String,
    },
    /// A person answers, and takes it with that if nobody has.
    Answer {
        /// Who.
        by: String,
        /// The answer.
        text: String,
    },
    /// Its time is over.
    Expire,
}

/// Why an action is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another person has taken it.
    #[error("`{0}` has claimed it")]
    ClaimedBy(String),
    /// It is answered, by another person or with other words.
    #[error("`{0}` has answered it")]
    AnsweredBy(String),
    /// Its time is over.
    #[error("nobody answered it in time")]
    Expired,
    /// Its time is not over yet.
    #[error("its time is not over yet")]
    NotDue,
}

impl State {
    /// The state after an action at `now`, of an escalation that expires at `due`. The same action
    /// again leaves the state as it is.
    ///
    /// # Errors
    ///
    /// [`Refused`] says what stands against it.
    pub fn after(&self, action: &Action, now: Timestamp, due: Timestamp) -> Result<State, Refused> {
        let is_due = now >= due;
        match (self, action) {
            (Self::Answered { by: first, text: given }, Action::Answer { by, text })
                if first == by && given == text =>
            {
                Ok(self.clone())
            }
            (Self::Answered { by, .. }, _) => Err(Refused::AnsweredBy(by.clone())),
            (Self::Expired, Action::Expire) => Ok(Self::Expired),
            (Self::Expired, _) => Err(Refused::Expired),
            (Self::Open | Self::Claimed { .. }, Action::Expire) if is_due => Ok(Self::Expired),
            (Self::Open | Self::Claimed { .. }, Action::Expire) => Err(Refused::NotDue),
            (Self::Open | Self::Claimed { .. }, _) if is_due => Err(Refused::Expired),
            (Self::Claimed { by: holder }, Action::Claim { by } | Action::Answer { by, .. })
                if holder != by =>
            {
                Err(Refused::ClaimedBy(holder.clone()))
            }
            (_, Action::Claim { by }) => Ok(Self::Claimed { by: by.clone() }),
            (_, Action::Answer { by, text }) => {
                Ok(Self::Answered { by: by.clone(), text: text.clone() })
            }
        }
    }

    /// The state's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Claimed { .. } => "claimed",
            Self::Answered { .. } => "answered",
            Self::Expired => "expired",
        }
    }

    /// The person whose name is in it.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::Claimed { by } | Self::Answered { by, .. } => Some(by),
            Self::Open | Self::Expired => None,
        }
    }
}

/// Whether a text can be a person's answer: not blank, not too long, and without control characters
/// but line breaks and tabs, each of which is up to six bytes of a key of the scratchpad.
pub fn is_answer(text: &str) -> bool {
    let is_odd = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t');
    !text.trim().is_empty() && text.len() <= MAX_ANSWER_BYTES && !text.contains(is_odd)
}

/// The scratchpad's key under which a person's answer is found.
pub fn answer_key(ticket: &Ticket) -> String {
    format!("{ANSWER}{ticket}")
}

/// The ticket whose answer is found under this key of the scratchpad; `None`: it is no such key.
pub fn ticket_of(key: &str) -> Option<Ticket> {
    key.strip_prefix(ANSWER).and_then(Ticket::parse)
}

/// How the keys of all answers begin. No key of a policy has a colon.
const ANSWER: &str = "escalation:";

/// The attribute of a session that holds the open ticket of a task.
pub(crate) fn ticket_attribute(task: &TaskMark) -> String {
    format!("ticket#{}", task.as_str())
}

/// The attribute of a session with the time at which that ticket expires.
pub(crate) fn due_attribute(task: &TaskMark) -> String {
    format!("ticket_due#{}", task.as_str())
}

/// How the attributes of a session begin that tell of answers which the supervisor does not know of.
pub(crate) const ANSWERED: &str = "answered#";

/// An escalation that could not be kept. It may be there, and people may know of it.
#[derive(Debug, thiserror::Error)]
#[error("the escalation could not be kept")]
pub struct NotKept(#[source] pub Cause);

/// Keeps escalations, and tells people of them.
pub trait Escalations {
    /// Keeps an escalation within `within`, unless one of this ticket is kept already, and tells
    /// people of one that is new; whether it is. People who cannot be told now are told by the desk
    /// later.
    ///
    /// # Errors
    ///
    /// [`NotKept`] when the table gave no answer.
    fn open(
        &self,
        escalation: &Escalation,
        within: Duration,
    ) -> impl Future<Output = Result<bool, NotKept>> + Send;
}

#[cfg(test)]
mod tests;
