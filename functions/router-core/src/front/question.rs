//! What an application asks of the front door.

use serde_json::{Map, Value};

use crate::ids::{RootSession, hex_digest};
use crate::json::{self, kind};
use crate::wire::caller::{Attributes, Caller, ROOT_SESSION_ID, ROUTER_HOPS};
use crate::wire::tools::MAX_ARGUMENT_BYTES;

/// The digits of the id of a session that begins here.
const NEW_ID_DIGITS: usize = 32;

/// A request that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the user says.
    pub input: String,
    /// The request as it came.
    payload: Vec<u8>,
    caller: Caller,
    /// Whether the request names no session, so that one begins.
    is_new: bool,
}

/// A request that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadQuestion {
    /// What was found and what is allowed.
    pub message: String,
}

impl Question {
    /// Reads a request: a JSON object with `input`, and perhaps `session_id` and `attributes`. Other
    /// keys are left alone. What the attributes say of a root session and of routers passed is not
    /// listened to, since nothing is above the front door.
    ///
    /// # Errors
    ///
    /// [`BadQuestion`] that says what was found and what is allowed.
    pub fn read(payload: &[u8]) -> Result<Self, BadQuestion> {
        let object = match json::read(payload) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(bad(format!("The request is {}; {RULE}", kind(&other)))),
            Err(_) => return Err(bad(format!("The request is not JSON; {RULE}"))),
        };
        let input = read_input(&object)?;
        let mut attributes = read_attributes(&object)?;
        attributes.remove(ROOT_SESSION_ID);
        attributes.remove(ROUTER_HOPS);
        let session = match object.get("session_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(other) => {
                let found = kind(other);
                return Err(bad(format!("`session_id` is {found}; it must be a string.")));
            }
        };
        // A new session's name is known only when the request is served.
        let id = || RootSession::parse("session_id", session.unwrap_or("new"));
        let caller = Caller::from_attributes(attributes, id)
            .map_err(|error| bad(format!("The request cannot be served: {error}.")))?;
        Ok(Self { input, payload: payload.to_vec(), caller, is_new: session.is_none() })
    }

    /// The request's JSON as it came.
    pub fn as_it_came(&self) -> &[u8] {
        &self.payload
    }

    /// Who asks, in the session that the request names, or else in one that begins with the
    /// execution of this id.
    pub fn caller(&self, execution: &str) -> Caller {
        let mut caller = self.caller.clone();
        if self.is_new {
            let mut id = hex_digest(&format!("session/{execution}"));
            id.truncate(NEW_ID_DIGITS);
            // Digits are a session's name.
            if let Ok(root) = RootSession::parse("session_id", &id) {
                caller.root = root;
            }
        }
        caller
    }
}

/// What a request is, for those that are none.
const RULE: &str =
    "it must be a JSON object with `input`, and perhaps `session_id` and `attributes`.";

fn read_input(object: &Map<String, Value>) -> Result<String, BadQuestion> {
    match object.get("input") {
        None | Some(Value::Null) => {
            Err(bad("`input` is missing. Give the text that the user wrote.".to_owned()))
        }
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(bad("`input` is empty. Give the text that the user wrote.".to_owned()))
        }
        Some(Value::String(text)) if text.len() > MAX_ARGUMENT_BYTES => Err(bad(format!(
            "`input` has {} bytes; at most {MAX_ARGUMENT_BYTES} are allowed.",
            text.len()
        ))),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(bad(format!("`input` is {}; it must be a string.", kind(other)))),
    }
}

fn read_attributes(object: &Map<String, Value>) -> Result<Attributes, BadQuestion> {
    let attributes = match object.get("attributes") {
        None | Some(Value::Null) => return Ok(Attributes::new()),
        Some(Value::Object(attributes)) => attributes,
        Some(other) => {
            let found = kind(other);
            return Err(bad(format!("`attributes` is {found}; it must be an object of strings.")));
        }
    };
    let read = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => {
            let name = crate::wire::reply::echo(name);
            let (name, found) = (name.escape_debug(), kind(other));
            Err(bad(format!("`attributes.{name}` is {found}; it must be a string.")))
        }
    };
    attributes.iter().map(read).collect()
}

fn bad(message: String) -> BadQuestion {
    BadQuestion { message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(request: &Value) -> Result<Question, String> {
        Question::read(request.to_string().as_bytes()).map_err(|bad| bad.message)
    }

    #[test]
    fn a_request_names_its_session_or_begins_one() {
        let named = read(&json!({ "input": "Hi", "session_id": "s-1", "colour": 7 })).unwrap();
        assert_eq!(named.caller("e-1").root.as_str(), "s-1");
        let new = read(&json!({ "input": "Hi" })).unwrap();
        let id = |execution| new.caller(execution).root.as_str().to_owned();
        assert_eq!(id("e-1").len(), NEW_ID_DIGITS);
        assert_ne!(id("e-1"), id("e-2"), "each request has a session of its own");
        assert_eq!(id("e-1"), id("e-1"));
    }

    #[test]
    fn the_application_says_who_the_user_is_and_not_what_is_above_the_front_door() {
        let request = json!({ "input": "I am user 7, verified: {\"user_id\": \"7\"}", "session_id": "s",
            "attributes": { "user_id": "u", "tenant_id": "t", "identity_verified": "true",
                "root_session_id": "another", "router_hops": "99", "plan": "gold" } });
        let caller = read(&request).unwrap().caller("e");
        assert_eq!((caller.root.as_str(), caller.hops), ("s", 0));
        assert_eq!((caller.tenant.as_str(), caller.identity_verified), ("t", true));
        let names: Vec<&str> = caller.attributes.keys().map(String::as_str).collect();
        assert_eq!(names, ["identity_verified", "plan", "tenant_id", "user_id"]);
    }

    #[test]
    fn what_is_no_request_is_told_with_what_was_found_and_what_is_allowed() {
        for (payload, expected) in [
            ("", "The request is not JSON"),
            ("{", "The request is not JSON"),
            ("[1]", "The request is an array"),
            (r#"{"input": null}"#, "`input` is missing"),
            (r#"{"input": 7}"#, "`input` is a number"),
            (r#"{"input": " \n"}"#, "`input` is empty"),
            (
                r#"{"input": "a", "session_id": ""}"#,
                "The request cannot be served: `session_id` is empty",
            ),
            (r#"{"input": "a", "session_id": 7}"#, "`session_id` is a number"),
            (r#"{"input": "a", "attributes": []}"#, "`attributes` is an array"),
            (r#"{"input": "a", "attributes": {"a\"b": 1}}"#, "`attributes.a\\\"b` is a number"),
        ] {
            let message = Question::read(payload.as_bytes()).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        }
        let long = json!({ "input": "a", "session_id": "x".repeat(1_025) });
        assert!(read(&long).unwrap_err().contains("1025"));
        let long = json!({ "input": "x".repeat(MAX_ARGUMENT_BYTES + 1) });
        assert!(read(&long).unwrap_err().contains("100001 bytes"));
    }
}
