//! The tools of the action group and their arguments, which a model wrote.
//!
//! Every argument is checked before anything is done with it, and a mistake is told in a
//! sentence that the model can act on: which argument, what was found, what is allowed.

pub mod catalog;
mod escalate;
mod read;
mod several;

pub use escalate::Escalate;
pub use read::ReadScratchpad;
use serde_json::{Map, Value};
pub use several::{Mode, PREVIOUS, Several};

use crate::json::{self, kind};
use crate::policy::Policy;
use crate::wire::reply::echo;

/// The longest argument that is taken, the request for a specialist included. Far more than
/// `max_tokens_per_call` of any sensible policy lets the specialist read.
pub const MAX_ARGUMENT_BYTES: usize = 100_000;

/// A specialist's name, as a model may write it, has at most this many characters.
const MAX_NAME_CHARS: usize = 100;

/// The tools that are there, for a sentence.
const TOOLS: &str = "`invoke_specialist_agent`, `invoke_specialists`, `read_scratchpad` or \
                     `escalate_to_human`";

/// What a tool is asked to do, with its arguments checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolRequest {
    /// One sub-task to one specialist.
    InvokeSpecialistAgent(Task),
    /// Several sub-tasks.
    InvokeSpecialists(Several),
    /// What specialists and people have written in the session.
    ReadScratchpad(ReadScratchpad),
    /// A person.
    EscalateToHuman(Escalate),
}

/// One sub-task for one specialist.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The specialist that the supervisor names; the policy may have none of that name.
    pub specialist: String,
    /// What the specialist is asked.
    pub prompt: String,
    /// The class that the supervisor puts the request in.
    pub intent: Option<String>,
    /// How sure the supervisor is of its choice, 0 to 1.
    pub confidence: Option<f64>,
    /// The supervisor's own id of the task.
    pub task_id: Option<String>,
}

/// Arguments as they came, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(Map<String, Value>);

/// A call that cannot be carried out, as the model is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadArguments {
    /// What was found and what is allowed.
    pub message: String,
}

impl Arguments {
    /// Arguments from a JSON object.
    pub fn from_object(object: &Map<String, Value>) -> Self {
        Self(object.clone())
    }

    /// These arguments, and those of `others` that are not among them.
    pub fn or(mut self, others: Self) -> Self {
        for (name, value) in others.0 {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// The beginning of an argument that is a string, for echoing.
    pub fn echo(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(echo)
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, BadArguments> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() > MAX_ARGUMENT_BYTES => Err(bad(format!(
                "`{name}` has {} bytes; at most {MAX_ARGUMENT_BYTES} are allowed.",
                text.len()
            ))),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(bad(format!("`{name}` is {}; it must be a string.", kind(other)))),
        }
    }

    /// An argument that is an array, or a string that holds one: Bedrock sends every value as a
    /// string.
    fn array(&self, name: &'static str) -> Result<Option<Vec<Value>>, BadArguments> {
        let rule = "it must be a JSON array";
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values.clone())),
            Some(Value::String(text)) => match json::read(text.as_bytes()) {
                Ok(Value::Array(values)) => Ok(Some(values)),
                Ok(other) => Err(bad(format!("`{name}` is {}; {rule}.", kind(&other)))),
                Err(_) => Err(bad(format!("`{name}` is not JSON; {rule}."))),
            },
            Some(other) => Err(bad(format!("`{name}` is {}; {rule}.", kind(other)))),
        }
    }

    fn confidence(&self) -> Result<Option<f64>, BadArguments> {
        let rule = "it must be a number from 0 to 1";
        let number = match self.0.get("confidence") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_f64(),
            Some(other) => return Err(bad(format!("`confidence` is {}; {rule}.", kind(other)))),
        };
        match number {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
            _ => Err(bad(format!(
                "`confidence` is `{}`; {rule}.",
                self.0.get("confidence").map(shown).unwrap_or_default()
            ))),
        }
    }
}

impl ToolRequest {
    /// The tasks, in their order.
    pub fn tasks(&self) -> &[Task] {
        match self {
            Self::InvokeSpecialistAgent(task) => std::slice::from_ref(task),
            Self::InvokeSpecialists(several) => &several.tasks,
            Self::ReadScratchpad(_) | Self::EscalateToHuman(_) => &[],
        }
    }

    /// Checks a call of `tool`.
    ///
    /// # Errors
    ///
    /// [`BadArguments`] with the sentence for the model.
    pub fn parse(tool: &str, arguments: &Arguments, policy: &Policy) -> Result<Self, BadArguments> {
        match tool {
            "invoke_specialist_agent" => {
                Ok(Self::InvokeSpecialistAgent(Task::parse(arguments, policy)?))
            }
            "invoke_specialists" => Ok(Self::InvokeSpecialists(Several::parse(arguments, policy)?)),
            "read_scratchpad" => Ok(Self::ReadScratchpad(ReadScratchpad::parse(arguments)?)),
            "escalate_to_human" => Ok(Self::EscalateToHuman(Escalate::parse(arguments)?)),
            unknown => Err(bad(format!(
                "There is no tool `{}`. Use {TOOLS}.",
                echo(unknown).escape_debug()
            ))),
        }
    }
}

impl Task {
    fn parse(arguments: &Arguments, policy: &Policy) -> Result<Self, BadArguments> {
        let Some(specialist) = arguments.text("specialist_type")? else {
            return Err(bad(format!(
                "`specialist_type` is missing. Give one of: {}.",
                names(policy)
            )));
        };
        if !is_plausible_name(specialist) {
            return Err(bad(format!(
                "`specialist_type` is `{}`; it must be one of: {}.",
                echo(specialist).escape_debug(),
                names(policy)
            )));
        }
        let Some(request) = arguments.text("request")? else {
            return Err(bad(
                "`request` is missing. Give the text that the specialist is to work on.".to_owned(),
            ));
        };
        Ok(Self {
            specialist: specialist.to_owned(),
            prompt: request.to_owned(),
            intent: arguments.text("intent")?.map(str::to_owned),
            confidence: arguments.confidence()?,
            task_id: arguments.text("task_id")?.map(str::to_owned),
        })
    }
}

/// The specialists of the policy, for a sentence.
pub(crate) fn names(policy: &Policy) -> String {
    let names: Vec<&str> = policy.listed().map(|listed| listed.name.as_str()).collect();
    names.join(", ")
}

/// Whether a model may mean a specialist by this. A name that the policy does not have
/// goes to the fallback, which costs money; text that is no name at all does not.
fn is_plausible_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || " -_&/.,:()+".contains(c);
    text.chars().count() <= MAX_NAME_CHARS && text.chars().all(is_plain) && !text.contains("..")
}

/// A value as the model is shown it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => echo(text).escape_debug().to_string(),
        other => echo(&other.to_string()),
    }
}

fn bad(message: String) -> BadArguments {
    BadArguments { message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doubles::policy;

    fn parse(tool: &str, arguments: Value) -> Result<Task, String> {
        let arguments = Arguments::from_object(arguments.as_object().unwrap());
        match ToolRequest::parse(tool, &arguments, &policy()) {
            Ok(ToolRequest::InvokeSpecialistAgent(task)) => Ok(task),
            Ok(other) => panic!("{other:?}"),
            Err(bad) => Err(bad.message),
        }
    }

    fn invoke(arguments: Value) -> Result<Task, String> {
        parse("invoke_specialist_agent", arguments)
    }

    #[test]
    fn a_whole_call_is_read_whether_numbers_come_as_numbers_or_as_strings() {
        for confidence in [json!("0.9"), json!(0.9)] {
            let task = invoke(json!({"specialist_type": "orders", "request": "Where is it?",
                "intent": "delivery", "confidence": confidence, "task_id": "t1"}));
            let expected = Task {
                specialist: "orders".to_owned(),
                prompt: "Where is it?".to_owned(),
                intent: Some("delivery".to_owned()),
                confidence: Some(0.9),
                task_id: Some("t1".to_owned()),
            };
            assert_eq!(task, Ok(expected));
        }
    }

    #[test]
    fn what_is_optional_may_be_absent_null_or_blank() {
        let task = invoke(json!({"specialist_type": "orders", "request": "r",
            "intent": "", "confidence": " ", "task_id": null}))
        .unwrap();
        assert_eq!((task.intent, task.confidence, task.task_id), (None, None, None));
    }

    #[test]
    fn a_bad_argument_is_named_with_what_was_found_and_what_is_allowed() {
        let good = json!({"specialist_type": "orders", "request": "r"});
        let cases = [
            (
                "specialist_type",
                json!(null),
                "`specialist_type` is missing. Give one of: billing, ",
            ),
            ("specialist_type", json!(7), "`specialist_type` is a number; it must be a string."),
            (
                "specialist_type",
                json!("../\"\n"),
                "`specialist_type` is `../\\\"\\n`; it must be one of",
            ),
            ("request", json!("  "), "`request` is missing."),
            ("request", json!(["r"]), "`request` is an array; it must be a string."),
            (
                "confidence",
                json!("high"),
                "`confidence` is `high`; it must be a number from 0 to 1.",
            ),
            ("confidence", json!(1.1), "`confidence` is `1.1`;"),
            ("confidence", json!("NaN"), "`confidence` is `NaN`;"),
            ("confidence", json!(true), "`confidence` is a boolean;"),
            ("intent", json!({}), "`intent` is an object; it must be a string."),
            ("task_id", json!(1), "`task_id` is a number; it must be a string."),
        ];
        for (name, value, expected) in cases {
            let mut arguments = good.clone();
            arguments[name] = value;
            let message = invoke(arguments).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_name_that_nobody_could_mean_is_no_name() {
        for name in ["../b", "..", "billing\u{0}", "b'--", "<b>", &"x".repeat(101)] {
            assert!(invoke(json!({"specialist_type": name, "request": "r"})).is_err(), "{name}");
        }
        for name in ["astrology", "Rückgabe-Team 2", "billing & payments", "legal/HR (EU)"] {
            assert!(invoke(json!({"specialist_type": name, "request": "r"})).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_a_model_wrote_is_echoed_only_in_its_beginning() {
        let message = invoke(json!({"specialist_type": "\"".repeat(10_000), "request": "r"}));
        assert!(message.unwrap_err().len() < 400);
        let message = parse(&"t".repeat(10_000), json!({})).unwrap_err();
        assert!(message.len() < 250);
    }

    #[test]
    fn a_request_is_limited() {
        let of_size = |size| json!({"specialist_type": "orders", "request": "x".repeat(size)});
        assert!(invoke(of_size(MAX_ARGUMENT_BYTES)).is_ok());
        assert!(invoke(of_size(MAX_ARGUMENT_BYTES + 1)).unwrap_err().contains("100001 bytes"));
    }

    #[test]
    fn a_tool_that_is_not_there_is_told_with_those_that_are() {
        let message = parse("delete_everything", json!({})).unwrap_err();
        let expected = "There is no tool `delete_everything`. Use `invoke_specialist_agent`, \
                        `invoke_specialists`, `read_scratchpad` or `escalate_to_human`.";
        assert_eq!(message, expected);
    }
}
