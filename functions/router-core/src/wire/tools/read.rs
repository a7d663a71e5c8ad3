//! The arguments of `read_scratchpad`.

use serde_json::Value;

use super::{Arguments, BadArguments, MAX_NAME_CHARS, bad};
use crate::json::kind;

/// The most keys that one call may ask for.
const MAX_KEYS: usize = 50;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadScratchpad {
    /// The keys, as the model names them: one at least, each once.
    pub keys: Vec<String>,
}

impl ReadScratchpad {
    pub(super) fn parse(arguments: &Arguments) -> Result<Self, BadArguments> {
        let Some(found) = arguments.names("keys")? else {
            return Err(bad("`keys` is missing. Give a JSON array of names.".to_owned()));
        };
        if found.is_empty() || found.len() > MAX_KEYS {
            let found = found.len();
            return Err(bad(format!("`keys` has {found} names; it must have 1 to {MAX_KEYS}.")));
        }
        let mut keys = Vec::with_capacity(found.len());
        for (place, name) in found.iter().enumerate() {
            let Value::String(name) = name else {
                let rule = "it must be a string";
                return Err(bad(format!(
                    "Name {} of `keys` is {}; {rule}.",
                    place + 1,
                    kind(name)
                )));
            };
            let chars = name.chars().count();
            if chars > MAX_NAME_CHARS {
                let rule = format!("at most {MAX_NAME_CHARS} are allowed");
                return Err(bad(format!(
                    "Name {} of `keys` has {chars} characters; {rule}.",
                    place + 1
                )));
            }
            if !keys.contains(name) {
                keys.push(name.clone());
            }
        }
        Ok(Self { keys })
    }
}

impl Arguments {
    /// An argument that is an array, or one name that stands alone.
    fn names(&self, name: &'static str) -> Result<Option<Vec<Value>>, BadArguments> {
        match self.text(name) {
            Ok(Some(text)) if !text.trim_start().starts_with('[') => {
                Ok(Some(vec![Value::from(text.trim())]))
            }
            _ => self.array(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(keys: Value) -> Result<Vec<String>, String> {
        let arguments = json!({"keys": keys});
        let arguments = Arguments::from_object(arguments.as_object().unwrap());
        ReadScratchpad::parse(&arguments).map(|read| read.keys).map_err(|bad| bad.message)
    }

    #[test]
    fn keys_come_as_an_array_as_a_string_of_one_and_as_one_name() {
        for keys in [json!(["a", "b", "a"]), json!("[\"a\", \"b\"]"), json!(" [\"a\",\"b\"] ")] {
            assert_eq!(parse(keys).unwrap(), ["a", "b"]);
        }
        assert_eq!(
            parse(json!(" escalation:2026-11-27-0a ")).unwrap(),
            ["escalation:2026-11-27-0a"]
        );
    }

    #[test]
    fn a_mistake_is_told_with_what_was_found_and_what_is_allowed() {
        for (keys, expected) in [
            (json!(null), "`keys` is missing. Give a JSON array of names."),
            (json!("  "), "`keys` is missing. Give a JSON array of names."),
            (json!([]), "`keys` has 0 names; it must have 1 to 50."),
            (json!(vec!["a"; 51]), "`keys` has 51 names; it must have 1 to 50."),
            (json!({"a": 1}), "`keys` is an object; it must be a JSON array."),
            (json!("[\"a\""), "`keys` is not JSON; it must be a JSON array."),
            (json!(["a", 7]), "Name 2 of `keys` is a number; it must be a string."),
            (
                json!(["x".repeat(101)]),
                "Name 1 of `keys` has 101 characters; at most 100 are allowed.",
            ),
        ] {
            assert_eq!(parse(keys).unwrap_err(), expected);
        }
    }
}
