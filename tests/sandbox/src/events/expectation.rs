//! What an event's file in `events/expected/` says should happen.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::table::Item;

/// An expectation. What it does not mention is not compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The case in one sentence.
    pub about: String,
    /// What is there before the event.
    #[serde(default)]
    pub given: Given,
    /// The reply's `responseState`; absent: the reply must have none.
    #[serde(default)]
    pub response_state: Option<String>,
    /// The reply's `httpStatusCode`, in the OpenAPI form.
    #[serde(default = "ok")]
    pub http_status: u16,
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

/// What is there before an event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Items of the table. A JSON string is an `S`, an integer an `N`, a bool a `BOOL`, an
    /// object an `M`.
    #[serde(default)]
    pub items: Vec<Map<String, Value>>,
}

fn ok() -> u16 {
    200
}

impl Given {
    /// The items as the SDK wants them; the error is the value that has no counterpart.
    pub(super) fn to_items(&self) -> Result<Vec<Item>, Value> {
        self.items.iter().map(attributes).collect()
    }
}

fn attributes(object: &Map<String, Value>) -> Result<Item, Value> {
    object.iter().map(|(name, value)| Ok((name.clone(), attribute(value)?))).collect()
}

fn attribute(value: &Value) -> Result<AttributeValue, Value> {
    match value {
        Value::String(text) => Ok(AttributeValue::S(text.clone())),
        Value::Number(number) if !number.is_f64() => Ok(AttributeValue::N(number.to_string())),
        Value::Bool(truth) => Ok(AttributeValue::Bool(*truth)),
        Value::Object(object) => Ok(AttributeValue::M(attributes(object)?)),
        Value::Number(_) | Value::Null | Value::Array(_) => Err(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn given_items_become_attributes_of_their_type() {
        let given: Given = serde_json::from_value(json!({ "items": [
            { "pk": "SESSION#s", "steps": 12, "open": true, "hold#1": { "tokens": 5 } },
        ]}))
        .unwrap();
        let items = given.to_items().unwrap();
        assert_eq!(items[0]["pk"], AttributeValue::S("SESSION#s".into()));
        assert_eq!(items[0]["steps"], AttributeValue::N("12".into()));
        assert_eq!(items[0]["open"], AttributeValue::Bool(true));
        let hold = Item::from([("tokens".to_owned(), AttributeValue::N("5".into()))]);
        assert_eq!(items[0]["hold#1"], AttributeValue::M(hold));
    }

    #[test]
    fn a_fraction_is_no_attribute() {
        let given: Given = serde_json::from_value(json!({ "items": [{ "a": 0.5 }] })).unwrap();
        assert_eq!(given.to_items(), Err(json!(0.5)));
    }
}
