//! What a specialist's text means.

use serde_json::Value;

/// What a specialist says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer.
    Text(String),
    /// That the request is not its job, and whose it may be.
    OutOfScope { suggest: Option<String> },
}

impl Answer {
    /// Reads an answer; `None` when it is nothing but white space. The out-of-scope answer is a
    /// JSON object `{"out_of_scope": true}`, with `suggest` where the specialist knows better.
    /// Models like to fence JSON, so a fence is looked through.
    pub(super) fn read(text: String) -> Option<Self> {
        let inner = unfenced(text.trim());
        if inner.is_empty() {
            return None;
        }
        if inner.starts_with('{')
            && let Ok(Value::Object(object)) = serde_json::from_str(inner)
            && object.get("out_of_scope") == Some(&Value::Bool(true))
        {
            let suggest = object.get("suggest").and_then(Value::as_str).map(str::to_owned);
            return Some(Self::OutOfScope { suggest });
        }
        Some(Self::Text(text))
    }
}

fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    match inner.and_then(|inner| inner.strip_suffix("```")) {
        Some(inner) => inner.trim(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Answer> {
        Answer::read(text.to_owned())
    }

    #[test]
    fn a_specialist_says_that_something_is_not_its_job_with_a_json_object() {
        let out_of_scope = |suggest| Some(Answer::OutOfScope { suggest });
        let suggested = out_of_scope(Some("orders".to_owned()));
        assert_eq!(read(r#"{"out_of_scope": true, "suggest": "orders"}"#), suggested);
        assert_eq!(
            read("```json\n{\"out_of_scope\": true, \"suggest\": \"orders\"}\n```"),
            suggested
        );
        assert_eq!(read(r#" {"out_of_scope":true} "#), out_of_scope(None));
        assert_eq!(read(r#"{"out_of_scope": true, "suggest": 7}"#), out_of_scope(None));
    }

    #[test]
    fn anything_else_is_an_answer() {
        for text in [
            r#"{"out_of_scope": false}"#,
            r#"{"out_of_scope": "true"}"#,
            r#"It said {"out_of_scope": true}."#,
            r#"{"out_of_scope": true"#,
            "```\ncode\n```",
        ] {
            assert_eq!(read(text), Some(Answer::Text(text.to_owned())));
        }
    }

    #[test]
    fn white_space_is_no_answer() {
        for text in ["", " \n\t", "```json\n```"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
