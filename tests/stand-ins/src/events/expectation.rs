//! What an event's file in `events/expected/` says should happen.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::form::Form;

/// An expectation. What it does not mention is not compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The case in one sentence.
    pub about: String,
    /// The function that the event goes to, where it is not [`FUNCTION`](crate::FUNCTION).
    #[serde(default)]
    pub function: Option<String>,
    /// The function's timeout for this event, where it is not the usual one.
    #[serde(default)]
    pub lambda_timeout_ms: Option<u64>,
    /// The reply's `responseState`; absent: the reply must have none.
    #[serde(default)]
    pub response_state: Option<String>,
    /// The reply's `httpStatusCode`, in the OpenAPI form; absent: 200.
    #[serde(default)]
    pub http_status: Option<u16>,
    /// Each key given must equal the body's; so on inside objects and arrays.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The specialists whose agents were invoked, in order.
    #[serde(default)]
    pub calls: Option<Vec<String>>,
    /// Metric → dimension set (`A=x,B=y`, sorted; empty for none) → sum of its values. `null`:
    /// nothing was published.
    #[serde(default)]
    pub metrics: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// The type of the Lambda error that the invocation ends with, instead of a reply.
    #[serde(default)]
    pub error: Option<String>,
}

impl Expectation {
    /// What it asks for that an event of this form is never compared with, so that the event would
    /// pass whatever came of it.
    pub(super) fn mistakes(&self, form: Option<Form>) -> Vec<String> {
        let mut mistakes = Vec::new();
        let of_a_reply = [
            ("body", !self.body.is_empty()),
            ("response_state", self.response_state.is_some()),
            ("http_status", self.http_status.is_some()),
        ];
        let compared = [self.error.is_some(), self.calls.is_some(), !self.metrics.is_empty()];
        if !compared.contains(&true) && !of_a_reply.iter().any(|(_, is_there)| *is_there) {
            let rule = "it needs `body`, `calls`, `metrics` or `error`";
            mistakes.push(format!("nothing is expected: {rule}"));
        }
        for key in of_a_reply.into_iter().filter_map(|(key, is_there)| is_there.then_some(key)) {
            let only = match key {
                "response_state" => Some((Form::Function, "with function details")),
                "http_status" => Some((Form::OpenApi, "with an OpenAPI schema")),
                _ => None,
            };
            if self.error.is_some() {
                mistakes
                    .push(format!("`{key}` is of a reply, and `error` of an event without one"));
            } else if let Some((_, events)) = only.filter(|(only, _)| form != Some(*only)) {
                mistakes.push(format!("`{key}` is only for events of action groups {events}"));
            }
        }
        for (name, sets) in &self.metrics {
            for set in sets.keys().filter(|set| !is_dimension_set(set)) {
                let found = format!("`metrics.{name}` has the dimension set `{set}`");
                mistakes.push(format!("{found}; {DIMENSIONS}"));
            }
        }
        if self.lambda_timeout_ms.is_some_and(|millis| !(1..=900_000).contains(&millis)) {
            mistakes.push("`lambda_timeout_ms` must be from 1 to 900000".to_owned());
        }
        mistakes
    }
}

const DIMENSIONS: &str = "allowed is `A=x,B=y` in the order of the names, empty for none";

/// Whether metrics are ever summed under this name of their dimensions.
fn is_dimension_set(set: &str) -> bool {
    let names: Option<Vec<&str>> =
        set.split(',').map(|pair| pair.split_once('=').map(|(name, _)| name)).collect();
    set.is_empty() || names.is_some_and(|names| names.is_sorted())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(expectation: Value, form: Form) -> Vec<String> {
        let expectation: Expectation = serde_json::from_value(expectation).unwrap();
        expectation.mistakes(Some(form))
    }

    #[test]
    fn an_expectation_asks_only_for_what_is_compared() {
        for (expectation, form, mistake) in [
            (json!({ "about": "a" }), Form::Function, "nothing is expected"),
            (json!({ "about": "a", "lambda_timeout_ms": 5 }), Form::Gateway, "nothing is expected"),
            (json!({ "about": "a", "error": "E", "body": { "a": 1 } }), Form::Function, "`body`"),
            (json!({ "about": "a", "response_state": "R" }), Form::OpenApi, "`response_state`"),
            (json!({ "about": "a", "http_status": 200 }), Form::Gateway, "`http_status`"),
            (
                json!({ "about": "a", "metrics": { "Cost": { "B=x,A=y": null } } }),
                Form::Function,
                "`metrics.Cost` has the dimension set `B=x,A=y`",
            ),
            (
                json!({ "about": "a", "calls": [], "lambda_timeout_ms": 0 }),
                Form::Function,
                "`lambda_timeout_ms`",
            ),
        ] {
            let found = mistakes(expectation, form);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(mistake), "{found:?}");
        }
    }

    #[test]
    fn what_each_form_is_compared_with_may_be_asked_for() {
        let metrics = json!({ "Cost": { "": 1, "A=x,B=y": null } });
        for (expectation, form) in [
            (json!({ "about": "a", "http_status": 200, "metrics": metrics }), Form::OpenApi),
            (json!({ "about": "a", "response_state": "REPROMPT" }), Form::Function),
            (json!({ "about": "a", "error": "E", "calls": [] }), Form::Gateway),
        ] {
            assert_eq!(mistakes(expectation, form), [""; 0]);
        }
    }
}
