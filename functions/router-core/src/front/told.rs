//! What the application is told while a request is served, and at its end.

use serde::Serialize;
use serde_json::json;

use crate::outcome::{Reason, Status};
use crate::wire::reply::BudgetLeft;

/// Something that the application is told as it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told<'a> {
    /// The supervisor asks for something.
    Route {
        /// In which of its rounds, from 1.
        round: u64,
        /// The tool that it calls.
        tool: &'a str,
        /// The specialist that it asks, where the tool takes one.
        specialist: Option<&'a str>,
        /// Its own id of the task.
        task_id: Option<&'a str>,
    },
    /// What that came to.
    Result {
        /// The specialist that answered, or was called last.
        specialist: Option<&'a str>,
        /// What became of it.
        status: Status,
        /// Why it was not simply answered.
        reason: Option<Reason>,
    },
    /// The next piece of what the supervisor says. What is said beside a call is no part of the
    /// answer, and an attempt that broke off is said again: the answer is that of the end.
    Text(&'a str),
    /// The end.
    Done(&'a Done),
}

/// The answer to a request, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// The session, for the next request of it.
    pub session_id: Option<String>,
    /// What became of the request: answered, fell back, refused or failed.
    pub status: Status,
    /// The answer, or what there is of one.
    pub answer: Option<String>,
    /// Why it was not simply answered.
    pub reason: Option<Reason>,
    /// The same in words for the application.
    pub message: Option<String>,
    /// The supervisor's rounds.
    pub rounds: u64,
    /// Invocations of specialists.
    pub steps: u64,
    /// Whether the answer is only what had been found out when no more could be asked.
    pub truncated: bool,
    /// What is left of the session's budget, where it was looked at.
    pub budget: Option<BudgetLeft>,
}

impl Done {
    /// The answer to what is no request.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            session_id: None,
            status: Status::Refused,
            answer: None,
            reason: Some(reason),
            message: Some(message.into()),
            rounds: 0,
            steps: 0,
            truncated: false,
            budget: None,
        }
    }
}

impl Told<'_> {
    /// The event as the stream has it: its name, and its data as JSON on one line.
    pub fn event(&self) -> (&'static str, String) {
        match self {
            Self::Route { round, tool, specialist, task_id } => {
                let data =
                    Route { round: *round, tool, specialist: *specialist, task_id: *task_id };
                ("route", line(&data))
            }
            Self::Result { specialist, status, reason } => {
                let data =
                    RouteResult { specialist: *specialist, status: *status, reason: *reason };
                ("result", line(&data))
            }
            Self::Text(text) => ("text", json!({ "text": text }).to_string()),
            Self::Done(done) => ("done", line(done)),
        }
    }
}

#[derive(Serialize)]
struct Route<'a> {
    round: u64,
    tool: &'a str,
    specialist: Option<&'a str>,
    task_id: Option<&'a str>,
}

#[derive(Serialize)]
struct RouteResult<'a> {
    specialist: Option<&'a str>,
    status: Status,
    reason: Option<Reason>,
}

fn line(data: &impl Serialize) -> String {
    // Strings, numbers and names of enums: there is nothing that cannot be written.
    serde_json::to_string(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_the_keys_of_the_contract_in_their_order() {
        let (tool, specialist) = ("invoke_specialist_agent", Some("billing"));
        let done = Done {
            session_id: Some("s".to_owned()),
            status: Status::Answered,
            answer: Some("a\n\"b\"".to_owned()),
            reason: None,
            message: None,
            rounds: 2,
            steps: 1,
            truncated: false,
            budget: None,
        };
        for (told, name, data) in [
            (
                Told::Route { round: 1, tool, specialist, task_id: None },
                "route",
                r#"{"round":1,"tool":"invoke_specialist_agent","specialist":"billing","task_id":null}"#,
            ),
            (
                Told::Result { specialist, status: Status::Answered, reason: None },
                "result",
                r#"{"specialist":"billing","status":"answered","reason":null}"#,
            ),
            (Told::Text("Your\nrefund "), "text", r#"{"text":"Your\nrefund "}"#),
            (
                Told::Done(&done),
                "done",
                r#"{"session_id":"s","status":"answered","answer":"a\n\"b\"","reason":null,"message":null,"rounds":2,"steps":1,"truncated":false,"budget":null}"#,
            ),
        ] {
            assert_eq!(told.event(), (name, data.to_owned()));
        }
    }
}
