//! What names a question to a person: its ticket, and the task that waits for it.

use std::fmt;

use super::{RootSession, fnv1a, hex_digest};
use crate::units::Timestamp;

/// The digits of the part of a ticket that follows the date.
const ID_DIGITS: usize = 16;
/// The characters of a date, as `2026-11-27`.
const DATE_CHARS: usize = 10;

/// Names one question to a person: `<UTC date>-<16 hexadecimal digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(String);

/// Names a task of a session, of which there is one open ticket at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskMark(String);

impl Ticket {
    /// The ticket that one execution of a request opens `now` for a task of a session.
    pub fn new(session: &RootSession, task: &TaskMark, execution_id: &str, now: Timestamp) -> Self {
        let mut id = hex_digest(&format!("{}/{execution_id}/{}/{session}", task.0, now.0));
        id.truncate(ID_DIGITS);
        Self(format!("{}-{id}", now.date()))
    }

    /// Reads a ticket; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, id) = text.split_at_checked(DATE_CHARS)?;
        let is_date = date.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let id = id.strip_prefix('-')?;
        (is_date && id.len() == ID_DIGITS && id.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// The UTC date on which it was opened.
    pub fn date(&self) -> &str {
        &self.0[..DATE_CHARS]
    }

    /// What tells it from others of the day.
    pub fn id(&self) -> &str {
        &self.0[DATE_CHARS + 1..]
    }

    /// The ticket as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number that is the same whenever it is asked for, and hardly ever that of another ticket.
    pub fn spread(&self) -> u64 {
        fnv1a(&self.0)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TaskMark {
    /// The mark of a task that the supervisor has given an id of its own.
    pub fn of_id(task_id: &str) -> Self {
        Self::digest("id", task_id)
    }

    /// The mark of a task without an id: what is asked of whom.
    pub fn of_request(specialist: &str, request: &str) -> Self {
        Self::digest("request", &format!("{}/{specialist}/{request}", specialist.len()))
    }

    /// The mark of the session as a whole, for a question that belongs to no task.
    pub fn of_session() -> Self {
        Self::digest("session", "")
    }

    /// Reads a mark that was written down; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_mark = text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_mark.then(|| Self(text.to_owned()))
    }

    /// The mark as 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(kind: &str, text: &str) -> Self {
        let mut digest = hex_digest(&format!("{kind}/{text}"));
        digest.truncate(ID_DIGITS);
        Self(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_its_day_and_differs_by_session_task_request_and_time() {
        let session = |id| RootSession::parse("sessionId", id).unwrap();
        let (task, now) = (TaskMark::of_id("t1"), Timestamp(1_795_742_400_000));
        let ticket = Ticket::new(&session("s"), &task, "r", now);
        assert_eq!(ticket.date(), "2026-11-27");
        assert_eq!(Ticket::parse(ticket.as_str()), Some(ticket.clone()));
        assert_eq!(format!("{}-{}", ticket.date(), ticket.id()), ticket.as_str());
        for other in [
            Ticket::new(&session("r"), &task, "r", now),
            Ticket::new(&session("s"), &TaskMark::of_session(), "r", now),
            Ticket::new(&session("s"), &task, "r", Timestamp(now.0 + 1)),
            Ticket::new(&session("s"), &task, "q", now),
        ] {
            assert_ne!(other, ticket);
        }
    }

    #[test]
    fn what_no_router_has_made_is_no_ticket() {
        for text in [
            "",
            "2026-11-27",
            "2026-11-27-",
            "2026-11-27-0123456789abcde",
            "2026-11-27-0123456789ABCDEF",
            "2026/11/27-0123456789abcdef",
            "2026-11-27_0123456789abcdef",
            "2026-11-2é-0123456789abcdef",
            "2026-11-27-0123456789abcdef0",
        ] {
            assert_eq!(Ticket::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tasks_are_told_apart_by_their_ids_or_by_what_they_ask() {
        let marks = [
            TaskMark::of_id("a"),
            TaskMark::of_id("b"),
            TaskMark::of_request("a", "b/c"),
            TaskMark::of_request("a/b", "c"),
            TaskMark::of_session(),
        ];
        for (place, mark) in marks.iter().enumerate() {
            assert!(!marks[..place].contains(mark));
            assert_eq!(TaskMark::parse(mark.as_str()).as_ref(), Some(mark));
        }
        assert_eq!(TaskMark::parse("0123456789abcdeg"), None);
    }
}
