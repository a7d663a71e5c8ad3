//! What the supervisor gets back.
//!
//! The body is one JSON object with always the same keys; around it goes the envelope of the
//! event's form. Bedrock fails the user's whole turn over a reply of more than 25 KB, over an
//! attribute that is no text, and over `responseState: FAILURE`: none of them leaves here.

mod envelope;

use crate::ids::Ticket;
use crate::outcome::{Reason, Status};
pub use envelope::{MAX_REPLY_BYTES, Reply};
use serde::{Serialize, Serializer};

use crate::units::MicroUsd;

/// Text that a model wrote is echoed up to this many characters.
pub const MAX_ECHO_CHARS: usize = 100;

/// What is left of a session's budget after the request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetLeft {
    /// Invocations.
    pub steps_left: u64,
    /// Input and output tokens.
    pub tokens_left: u64,
    /// Money.
    #[serde(rename = "cost_left_usd", serialize_with = "in_usd")]
    pub cost_left: MicroUsd,
}

fn in_usd<S: Serializer>(amount: &MicroUsd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(amount.to_usd())
}

/// The body of a reply, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// What became of the task; of several, what became of them as a whole.
    #[serde(flatten)]
    pub whole: TaskBody,
    /// What became of each of several tasks, in their order.
    pub results: Option<Vec<TaskBody>>,
    /// What is left of the session's budget, where it was looked at.
    pub budget: Option<BudgetLeft>,
}

/// What is told of one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskBody {
    /// What became of it.
    pub status: Status,
    /// The specialist that answered; where none did, the one that was called last.
    pub specialist: Option<String>,
    /// Who was asked for, as the model wrote it.
    pub asked: Option<String>,
    /// The answer.
    pub answer: Option<String>,
    /// The supervisor's own id of the task.
    pub task_id: Option<String>,
    /// Attempts made, over all specialists.
    pub attempts: u64,
    /// Why it was not simply answered.
    pub reason: Option<Reason>,
    /// What the model is to know or do.
    pub message: Option<String>,
    /// Whether the answer was cut.
    pub truncated: bool,
    /// The escalation that a person has.
    pub ticket: Option<String>,
}

impl Body {
    /// A body that says no more than its status.
    pub fn new(status: Status) -> Self {
        Self::from(TaskBody::new(status))
    }

    /// The body of a request for which no specialist was called.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::from(TaskBody::refused(reason, message))
    }

    /// What is told of the whole, and of each of several tasks.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &TaskBody> {
        std::iter::once(&self.whole).chain(self.results.iter().flatten())
    }

    /// The same, to be changed.
    pub(crate) fn parts_mut(&mut self) -> impl Iterator<Item = &mut TaskBody> {
        std::iter::once(&mut self.whole).chain(self.results.iter_mut().flatten())
    }
}

impl From<TaskBody> for Body {
    fn from(whole: TaskBody) -> Self {
        Self { whole, results: None, budget: None }
    }
}

impl TaskBody {
    /// What says no more than a status.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            specialist: None,
            asked: None,
            answer: None,
            task_id: None,
            attempts: 0,
            reason: None,
            message: None,
            truncated: false,
            ticket: None,
        }
    }

    /// What is told of a task that a person has under this ticket, in words for the supervisor.
    pub fn escalated(ticket: &Ticket, message: impl Into<String>) -> Self {
        Self {
            reason: Some(Reason::Escalated),
            message: Some(message.into()),
            ticket: Some(ticket.to_string()),
            ..Self::new(Status::Escalated)
        }
    }

    /// What is told of a task for which no specialist was called.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        let message = Some(message.into());
        Self { reason: Some(reason), message, ..Self::new(Status::Refused) }
    }
}

/// The beginning of a string that a model wrote, as it may be echoed.
pub fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_always_there_in_its_order() {
        let body = Body::refused(Reason::BadRequest, "no");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"status":"refused","specialist":null,"asked":null,"answer":null,"task_id":null,"attempts":0,"reason":"bad_request","message":"no","truncated":false,"ticket":null,"results":null,"budget":null}"#
        );
    }

    #[test]
    fn a_result_has_neither_results_nor_a_budget() {
        let result =
            TaskBody { answer: Some("there".to_owned()), ..TaskBody::new(Status::Answered) };
        let body = Body { results: Some(vec![result]), ..Body::new(Status::Answered) };
        let body = serde_json::to_value(&body).unwrap();
        let result = body["results"][0].as_object().unwrap();
        assert_eq!(result["answer"], "there");
        assert!(!result.contains_key("results") && !result.contains_key("budget"));
        assert_eq!(result.len(), 10);
    }

    #[test]
    fn money_is_told_in_dollars() {
        let left = BudgetLeft { steps_left: 9, tokens_left: 61_200, cost_left: MicroUsd(310_000) };
        assert_eq!(
            serde_json::to_string(&left).unwrap(),
            r#"{"steps_left":9,"tokens_left":61200,"cost_left_usd":0.31}"#
        );
    }
}
