//! What a specialist's text means.

use serde_json::Value;

use crate::json;
use crate::policy::Schema;

/// What a specialist says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer.
    Text(String),
    /// That the request is not its job, and whose it may be.
    OutOfScope { suggest: Option<String> },
    /// That a person has to decide, and why.
    Escalate { reason: String },
}

impl Answer {
    /// Reads an answer; `None` when it is nothing but white space. The out-of-scope answer is a
    /// JSON object `{"out_of_scope": true}`, with `suggest` where the specialist knows better, and
    /// `{"escalate": "<why>"}` asks for a person. Models like to fence JSON, so a fence is looked
    /// through.
    pub(super) fn read(text: String) -> Option<Self> {
        let inner = unfenced(text.trim());
        if inner.is_empty() {
            return None;
        }
        if inner.starts_with('{')
            && let Ok(Value::Object(object)) = serde_json::from_str(inner)
        {
            if object.get("out_of_scope") == Some(&Value::Bool(true)) {
                let suggest = object.get("suggest").and_then(Value::as_str).map(str::to_owned);
                return Some(Self::OutOfScope { suggest });
            }
            let reason = object.get("escalate").and_then(Value::as_str).map(str::trim);
            if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
                return Some(Self::Escalate { reason: reason.to_owned() });
            }
        }
        Some(Self::Text(text))
    }

    /// The answer, where it is a text, as the JSON that fits these schemas.
    ///
    /// # Errors
    ///
    /// What does not fit, in words for the model that wrote it.
    pub(super) fn fit<'s>(
        self,
        schemas: impl Iterator<Item = &'s Schema>,
    ) -> Result<Self, Vec<String>> {
        let Self::Text(text) = self else { return Ok(self) };
        let schemas: Vec<&Schema> = schemas.collect();
        if schemas.is_empty() {
            return Ok(Self::Text(text));
        }
        let inner = unfenced(text.trim());
        let Ok(value) = json::read(inner.as_bytes()) else {
            return Err(vec!["it is not JSON".to_owned()]);
        };
        let mistakes: Vec<String> =
            schemas.iter().flat_map(|schema| schema.mistakes_in(&value)).collect();
        if mistakes.is_empty() { Ok(Self::Text(inner.to_owned())) } else { Err(mistakes) }
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
    fn a_specialist_asks_for_a_person_with_a_json_object() {
        let expected = Some(Answer::Escalate { reason: "above my limit".to_owned() });
        for text in [
            r#"{"escalate": "above my limit"}"#,
            "```json\n{\"escalate\": \" above my limit \"}\n```",
        ] {
            assert_eq!(read(text), expected);
        }
    }

    #[test]
    fn an_answer_that_must_fit_a_schema_is_the_json_in_it_or_the_mistakes() {
        let schema = Schema::parse(r#"{"type": "object", "required": ["order"]}"#).unwrap();
        let fit = |text: &str| read(text).unwrap().fit([&schema].into_iter());
        let fitting = Ok(Answer::Text("{\"order\": 1}".to_owned()));
        assert_eq!(fit("```json\n{\"order\": 1}\n```"), fitting);
        assert_eq!(fit("It is on its way."), Err(vec!["it is not JSON".to_owned()]));
        assert_eq!(fit("{}").unwrap_err().len(), 1);
        assert!(matches!(fit(r#"{"out_of_scope": true}"#), Ok(Answer::OutOfScope { .. })));
        let any = read("It is on its way.").unwrap();
        assert_eq!(any.clone().fit(std::iter::empty()), Ok(any));
    }

    #[test]
    fn anything_else_is_an_answer() {
        for text in [
            r#"{"escalate": true}"#,
            r#"{"escalate": " "}"#,
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
