//! A call of a tool, as a script has an agent make it.

use serde_json::Value;

use super::kind::AgentKind;
use crate::identity;

/// The call; in a script it has no id yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// As the model writes them: JSON, or what it takes for it.
    pub(super) arguments: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section with `name` and `arguments`")]
pub(super) struct RawToolCall {
    name: String,
    arguments: Option<toml::Value>,
}

impl ToolCall {
    /// Reads a call that an agent of this kind makes.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(raw: RawToolCall, kind: AgentKind) -> Result<Self, &'static str> {
        let arguments = match raw.arguments {
            None => "{}".to_owned(),
            Some(toml::Value::Table(table)) => {
                let object = serde_json::to_string(&table);
                object.map_err(|_| "`arguments` must be what JSON can hold")?
            }
            // What a model writes is read by Bedrock before an action group gets it.
            Some(toml::Value::String(text)) if kind != AgentKind::Bedrock => text,
            Some(_) if kind == AgentKind::Bedrock => return Err("`arguments` must be a table"),
            Some(_) => return Err("`arguments` must be a table, or a text that is sent as it is"),
        };
        Ok(Self { id: String::new(), name: raw.name, arguments })
    }

    /// The same call, under an id that no other has.
    pub(super) fn made_now(&self) -> Self {
        Self { id: format!("tooluse_{}", identity::uuid()), ..self.clone() }
    }

    /// The arguments as an action group gets them: each a string, with its type beside it.
    pub(super) fn parameters(&self) -> Vec<Value> {
        let arguments: Value = serde_json::from_str(&self.arguments).unwrap_or_default();
        let kind = |value: &Value| match value {
            Value::Array(_) => "array",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            _ => "string",
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let members = arguments.as_object().into_iter().flatten();
        members
            .map(|(name, value)| {
                serde_json::json!({ "name": name, "type": kind(value), "value": text(value) })
            })
            .collect()
    }
}
