//! JSON as the SDK takes it.

use aws_smithy_types::{Document, Number};
use serde_json::Value;

/// The same value.
pub(super) fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), document(value));
            Document::Object(members.iter().map(member).collect())
        }
    }
}
