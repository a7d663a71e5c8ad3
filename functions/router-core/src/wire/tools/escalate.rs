//! The arguments of `escalate_to_human`.

use super::{Arguments, BadArguments, bad};

/// What a person is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalate {
    /// Why a person is needed, in the supervisor's words.
    pub reason: String,
    /// What the person is to know.
    pub summary: String,
    /// The supervisor's own id of the task that waits.
    pub task_id: Option<String>,
}

impl Escalate {
    pub(super) fn parse(arguments: &Arguments) -> Result<Self, BadArguments> {
        let Some(reason) = arguments.text("reason")? else {
            return Err(bad("`reason` is missing. Give why a person has to decide.".to_owned()));
        };
        let Some(summary) = arguments.text("summary")? else {
            return Err(
                bad("`summary` is missing. Give what the person needs to know.".to_owned()),
            );
        };
        Ok(Self {
            reason: reason.to_owned(),
            summary: summary.to_owned(),
            task_id: arguments.text("task_id")?.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(arguments: Value) -> Result<Escalate, String> {
        let arguments = Arguments::from_object(arguments.as_object().unwrap());
        Escalate::parse(&arguments).map_err(|bad| bad.message)
    }

    #[test]
    fn a_person_is_told_why_and_of_what() {
        let asked = parse(json!({"reason": "r", "summary": "s", "task_id": ""})).unwrap();
        let expected = Escalate { reason: "r".to_owned(), summary: "s".to_owned(), task_id: None };
        assert_eq!(asked, expected);
        for (arguments, expected) in [
            (json!({"summary": "s"}), "`reason` is missing. Give why a person has to decide."),
            (json!({"reason": "r", "summary": " "}), "`summary` is missing. Give what the person"),
            (json!({"reason": 7, "summary": "s"}), "`reason` is a number; it must be a string."),
        ] {
            assert!(parse(arguments).unwrap_err().starts_with(expected));
        }
    }
}
