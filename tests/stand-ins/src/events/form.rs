//! The three forms of an event, and what a reply in each must look like.

use serde_json::{Map, Value, json};

use super::compare::{Mismatch, same, subset};
use super::expectation::Expectation;

/// The form of an event, by which its reply's form is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Bedrock action group with function details.
    Function,
    /// A Bedrock action group with an OpenAPI schema.
    OpenApi,
    /// A Lambda target of an AgentCore gateway.
    Gateway,
}

impl Form {
    /// The form of an event, or `None` if it has none of the three. The client context decides
    /// first, whatever the event holds.
    pub fn of(event: &Value, client_context: Option<&Value>) -> Option<Self> {
        let tool = client_context.and_then(|context| context["custom"].get(GATEWAY_TOOL));
        match (tool, event.get("apiPath"), event.get("function")) {
            (Some(_), _, _) => Some(Self::Gateway),
            (None, Some(_), _) => Some(Self::OpenApi),
            (None, None, Some(_)) => Some(Self::Function),
            (None, None, None) => None,
        }
    }

    /// The body that a reply of this form holds, if it does.
    pub fn body(self, reply: &Value) -> Option<Value> {
        let text = match self {
            Self::Gateway => return reply.is_object().then(|| reply.clone()),
            Self::Function => {
                &reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"]
            }
            Self::OpenApi => &reply["response"]["responseBody"]["application/json"]["body"],
        };
        serde_json::from_str(text.as_str()?).ok()
    }

    /// Whether the reply is one that Bedrock or the gateway takes, and answers this event.
    pub(super) fn check(
        self,
        event: &Value,
        reply: &Value,
        expectation: Option<&Expectation>,
        mismatches: &mut Vec<Mismatch>,
    ) {
        let echoed: &[&str] = match self {
            Self::Function => &["actionGroup", "function"],
            Self::OpenApi => &["actionGroup", "apiPath", "httpMethod"],
            Self::Gateway => return,
        };
        let response = &reply["response"];
        same("messageVersion", &json!("1.0"), &reply["messageVersion"], mismatches);
        for &field in echoed {
            if let Some(sent) = event.get(field) {
                same(&format!("response.{field}"), sent, &response[field], mismatches);
            }
        }
        for map in ["sessionAttributes", "promptSessionAttributes"] {
            string_map(map, reply.get(map), mismatches);
        }
        let state = expectation.and_then(|expectation| expectation.response_state.as_deref());
        match self {
            Self::Function => {
                let at = &response["functionResponse"];
                let only_text = at["responseBody"].as_object().is_some_and(|body| body.len() == 1);
                if !only_text {
                    let (path, found) =
                        ("response.functionResponse.responseBody", &at["responseBody"]);
                    mismatches.push(Mismatch::new(path, "only `TEXT`", found));
                }
                if expectation.is_some() {
                    let path = "response.functionResponse.responseState";
                    same(path, &json!(state), &at["responseState"], mismatches);
                } else if at["responseState"] == "FAILURE" {
                    let path = "response.functionResponse.responseState";
                    mismatches.push(Mismatch::new(path, "never `FAILURE`", &at["responseState"]));
                }
            }
            Self::OpenApi => {
                let only_json =
                    response["responseBody"].as_object().is_some_and(|body| body.len() == 1);
                if !only_json {
                    let (path, found) = ("response.responseBody", &response["responseBody"]);
                    mismatches.push(Mismatch::new(path, "only `application/json`", found));
                }
                if let Some(expectation) = expectation {
                    let (path, found) = ("response.httpStatusCode", &response["httpStatusCode"]);
                    same(path, &json!(expectation.http_status.unwrap_or(200)), found, mismatches);
                }
            }
            Self::Gateway => {}
        }
    }

    /// Whether the body is complete and as expected.
    pub(super) fn check_body(
        self,
        reply: &Value,
        expectation: Option<&Expectation>,
        mismatches: &mut Vec<Mismatch>,
    ) {
        let body = self.body(reply);
        let Some(Value::Object(body)) = body else {
            mismatches.push(Mismatch::new("body", "a JSON object", body.as_ref().unwrap_or(reply)));
            return;
        };
        let missing: Vec<&str> =
            BODY_KEYS.into_iter().filter(|key| !body.contains_key(*key)).collect();
        if !missing.is_empty() {
            let expected = format!("all its keys; missing: {}", missing.join(", "));
            mismatches.push(Mismatch::new("body", &expected, &Value::Object(body.clone())));
        }
        if let Some(expectation) = expectation {
            subset("body", &Value::Object(expectation.body.clone()), &body.into(), mismatches);
        }
    }
}

/// Where a gateway puts the name of the tool, within `custom`.
const GATEWAY_TOOL: &str = "bedrockAgentCoreToolName";

/// The keys that every body has; `null` where nothing applies.
const BODY_KEYS: [&str; 12] = [
    "status",
    "specialist",
    "asked",
    "answer",
    "task_id",
    "attempts",
    "reason",
    "message",
    "truncated",
    "ticket",
    "results",
    "budget",
];

/// Bedrock takes only maps from string to string; anything else fails the user's turn.
fn string_map(path: &str, map: Option<&Value>, mismatches: &mut Vec<Mismatch>) {
    let empty = Map::new();
    let map = match map {
        None => &empty,
        Some(Value::Object(map)) => map,
        Some(other) => {
            mismatches.push(Mismatch::new(path, "a map from string to string", other));
            return;
        }
    };
    for (key, value) in map.iter().filter(|(_, value)| !value.is_string()) {
        mismatches.push(Mismatch::new(&format!("{path}.{key}"), "a string", value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_context_decides_before_the_event() {
        let event = json!({ "apiPath": "/x", "function": "f" });
        let gateway = json!({ "custom": { "bedrockAgentCoreToolName": "t___f" } });
        assert_eq!(Form::of(&event, Some(&gateway)), Some(Form::Gateway));
        assert_eq!(Form::of(&event, Some(&json!({ "custom": {} }))), Some(Form::OpenApi));
        assert_eq!(Form::of(&json!({ "function": "f" }), None), Some(Form::Function));
        assert_eq!(Form::of(&json!({}), None), None);
    }

    #[test]
    fn an_attribute_that_is_no_string_is_a_mismatch() {
        let mut mismatches = Vec::new();
        string_map("sessionAttributes", Some(&json!({ "a": "1", "b": 2 })), &mut mismatches);
        assert_eq!(mismatches.len(), 1);
        assert_eq!(mismatches[0].path, "sessionAttributes.b");
    }
}
