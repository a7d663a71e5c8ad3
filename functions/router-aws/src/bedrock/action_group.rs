//! What an agent asks of its action group, as its trace tells it.

use router_core::supervisor::ToolCall;
use serde_json::{Map, Value};

/// The call in an `ActionGroupInvocationInput`; one of an OpenAPI schema has the end of its path for a
/// name. All values are texts there, as in the event that the action group gets.
pub(super) fn call(input: &Value) -> Option<ToolCall> {
    let path = || input["apiPath"].as_str().and_then(|path| path.rsplit('/').next());
    let name = input["function"].as_str().or_else(path)?.to_owned();
    // Given with a returned control alone.
    let id = input["invocationId"].as_str().unwrap_or_default().to_owned();
    let bodies = input["requestBody"]["content"].as_object().into_iter().flatten();
    let of_bodies = bodies.flat_map(|(_, parameters)| parameters.as_array());
    let parameters = input["parameters"].as_array().into_iter().chain(of_bodies).flatten();
    let named = |parameter: &Value| {
        let name = parameter["name"].as_str()?.to_owned();
        Some((name, parameter["value"].clone()))
    };
    let arguments: Map<String, Value> = parameters.filter_map(named).collect();
    Some(ToolCall { id, name, arguments: Ok(arguments) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(name: &str, value: &str) -> Value {
        json!({ "name": name, "type": "string", "value": value })
    }

    #[test]
    fn a_function_has_its_parameters_and_a_path_its_body_as_arguments() {
        let parameters =
            [parameter("specialist_type", "orders"), parameter("request", "Where is it?")];
        let content = json!({ "application/json": parameters });
        for (name, input) in [
            ("f", json!({ "actionGroupName": "g", "function": "f", "parameters": parameters })),
            (
                "h",
                json!({ "apiPath": "/v1/h", "verb": "post", "requestBody": { "content": content } }),
            ),
        ] {
            let call = call(&input).unwrap();
            assert_eq!(call.name, name);
            let arguments = json!({ "specialist_type": "orders", "request": "Where is it?" });
            assert_eq!(call.arguments.map(Value::Object), Ok(arguments), "{input}");
        }
    }

    #[test]
    fn what_names_no_function_is_no_call() {
        for input in [json!(null), json!({}), json!({ "parameters": [] }), json!([1])] {
            assert_eq!(call(&input), None, "{input}");
        }
        for odd in [json!(null), json!("text"), json!([null, 1, {}, { "name": 7 }])] {
            let call = call(&json!({ "function": "f", "parameters": odd })).unwrap();
            assert_eq!(call.arguments, Ok(Map::new()), "{odd}");
        }
    }
}
