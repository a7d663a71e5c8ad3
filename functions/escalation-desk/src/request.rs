//! What the desk is asked: by a caller, by a topic, or by the schedule.

use router_core::escalation::{Action, MAX_NAME_CHARS, is_answer};
use router_core::ids::Ticket;
use router_core::json::{self, kind};
use serde_json::Value;

/// What brings an invocation.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// It is time to look for what is over time.
    Schedule,
    /// A caller, who gets a reply.
    Direct(Result<Asked, Mistake>),
    /// Messages of a topic.
    Topic(Vec<Result<Asked, Mistake>>),
}

/// What a person does with an escalation.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) ticket: Ticket,
    pub(crate) action: Action,
}

/// What is wrong with what was asked: what was found, and what is allowed. It quotes nothing that a
/// person wrote.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mistake {
    /// It is no JSON object.
    #[error("It is {0}; it must be a JSON object with ticket, action and by.")]
    NoObject(&'static str),
    /// A part is missing or of another kind.
    #[error("`{name}` is {found}; it must be {rule}.")]
    Part {
        /// Which.
        name: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        rule: &'static str,
    },
}

impl Event {
    /// Reads an event, whatever it is.
    pub(crate) fn read(payload: &[u8]) -> Self {
        let Ok(event) = json::read(payload) else {
            return Self::Direct(Err(Mistake::NoObject("not JSON")));
        };
        if event["source"] == "aws.events" && event["detail-type"] == "Scheduled Event" {
            return Self::Schedule;
        }
        let messages = event["Records"].as_array().filter(|records| {
            let is_of_topic = |record: &Value| record["EventSource"] == "aws:sns";
            !records.is_empty() && records.iter().all(is_of_topic)
        });
        match messages {
            None => Self::Direct(Asked::read(&event)),
            Some(records) => {
                let message = |record: &Value| match record["Sns"]["Message"].as_str() {
                    None => Err(Mistake::NoObject("no message")),
                    Some(text) => match json::read(text.as_bytes()) {
                        Ok(message) => Asked::read(&message),
                        Err(_) => Err(Mistake::NoObject("not JSON")),
                    },
                };
                Self::Topic(records.iter().map(message).collect())
            }
        }
    }
}

impl Asked {
    fn read(asked: &Value) -> Result<Self, Mistake> {
        let Value::Object(_) = asked else { return Err(Mistake::NoObject(kind(asked))) };
        let rule = "a ticket, as 2026-11-27-0123456789abcdef";
        let ticket = text(asked, "ticket", rule)?;
        let ticket = Ticket::parse(ticket).ok_or_else(|| other("ticket", "no ticket", rule))?;
        let rule = "the name of who acts, of 1 to 100 characters in one line";
        let by = text(asked, "by", rule)?.trim();
        let chars = by.chars().count();
        if !(1..=MAX_NAME_CHARS).contains(&chars) || by.chars().any(char::is_control) {
            return Err(other("by", &format!("a text of {chars} characters"), rule));
        }
        let by = by.to_owned();
        let rule = "\"claim\" or \"answer\"";
        let action = match text(asked, "action", rule)? {
            "claim" => Action::Claim { by },
            "answer" => {
                let rule = "the answer, of 1 to 100000 bytes, without control characters but line \
                            breaks and tabs";
                let text = text(asked, "text", rule)?;
                if !is_answer(text) {
                    return Err(other("text", &format!("a text of {} bytes", text.len()), rule));
                }
                Action::Answer { by, text: text.to_owned() }
            }
            _ => return Err(other("action", "another word", rule)),
        };
        Ok(Self { ticket, action })
    }
}

fn text<'v>(asked: &'v Value, name: &'static str, rule: &'static str) -> Result<&'v str, Mistake> {
    match asked.get(name) {
        None | Some(Value::Null) => Err(other(name, "missing", rule)),
        Some(Value::String(text)) => Ok(text),
        Some(found) => Err(other(name, kind(found), rule)),
    }
}

fn other(name: &'static str, found: &str, rule: &'static str) -> Mistake {
    Mistake::Part { name, found: found.to_owned(), rule }
}

#[cfg(test)]
mod tests {
    use router_core::escalation::MAX_ANSWER_BYTES;
    use serde_json::json;

    use super::*;

    const TICKET: &str = "2026-11-27-0123456789abcdef";

    fn claim() -> Value {
        json!({"ticket": TICKET, "action": "claim", "by": "ann"})
    }

    fn read(event: &Value) -> Event {
        Event::read(event.to_string().as_bytes())
    }

    fn asked(action: Action) -> Asked {
        Asked { ticket: Ticket::parse(TICKET).unwrap(), action }
    }

    #[test]
    fn a_claim_and_an_answer_come_directly_or_from_a_topic() {
        let by = || "ann".to_owned();
        assert_eq!(read(&claim()), Event::Direct(Ok(asked(Action::Claim { by: by() }))));
        let answer = json!({"ticket": TICKET, "action": "answer", "by": " ann ", "text": "Yes."});
        let record =
            |message: String| json!({"EventSource": "aws:sns", "Sns": {"Message": message}});
        let event = json!({"Records": [record(answer.to_string()), record("no JSON".to_owned())]});
        let answered = asked(Action::Answer { by: by(), text: "Yes.".to_owned() });
        let expected = vec![Ok(answered), Err(Mistake::NoObject("not JSON"))];
        assert_eq!(read(&event), Event::Topic(expected));
    }

    #[test]
    fn the_schedule_is_known_by_what_eventbridge_sends() {
        let event = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
        assert_eq!(read(&event), Event::Schedule);
    }

    #[test]
    fn a_mistake_says_what_was_found_and_what_is_allowed_and_quotes_nobody() {
        let long = "x".repeat(MAX_ANSWER_BYTES + 1);
        for (name, value, expected) in [
            ("ticket", json!(null), "`ticket` is missing; it must be a ticket"),
            ("ticket", json!("SECRET"), "`ticket` is no ticket; it must be a ticket"),
            ("action", json!("SECRET"), "`action` is another word; it must be \"claim\" or"),
            ("action", json!(7), "`action` is a number;"),
            ("by", json!(" "), "`by` is a text of 0 characters;"),
            ("by", json!("SECRET\n2"), "`by` is a text of 8 characters;"),
            ("by", json!("é".repeat(101)), "`by` is a text of 101 characters;"),
            ("text", json!(""), "`text` is a text of 0 bytes;"),
            ("text", json!(long), "`text` is a text of 100001 bytes;"),
            ("text", json!("SECRET\u{1b}[0m"), "`text` is a text of 10 bytes;"),
            ("text", json!({}), "`text` is an object;"),
        ] {
            let mut event = claim();
            event["action"] = json!("answer");
            event["text"] = json!("Yes.");
            event[name] = value;
            let Event::Direct(Err(mistake)) = read(&event) else { panic!("{event} is taken") };
            let mistake = mistake.to_string();
            assert!(mistake.starts_with(expected), "{mistake}");
            assert!(!mistake.contains("SECRET"), "{mistake}");
        }
        for (event, found) in [("[]", "an array"), ("7", "a number"), ("", "not JSON")] {
            let mistake = Event::read(event.as_bytes());
            assert_eq!(mistake, Event::Direct(Err(Mistake::NoObject(found))));
        }
    }
}
