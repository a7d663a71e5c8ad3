use serde_json::json;

use super::*;
use crate::ids::SessionError;
use crate::wire::caller::ROOT_SESSION_ID;

fn parse(payload: &Value) -> Event {
    Event::read(payload.to_string().as_bytes(), None, false).unwrap()
}

fn from_gateway(payload: &Value, tool: &str, injects_session: bool) -> Event {
    let context = json!({ "custom": { GATEWAY_TOOL_NAME: tool } }).to_string();
    let payload = payload.to_string();
    Event::read(payload.as_bytes(), Some(context.as_bytes()), injects_session).unwrap()
}

fn function_event() -> Value {
    json!({
        "messageVersion": "1.0",
        "agent": {"name": "supervisor", "id": "SUPERVISOR", "alias": "LIVE", "version": "1"},
        "sessionId": "s-1", "inputText": "hello",
        "sessionAttributes": {"user_id": "u-1"}, "promptSessionAttributes": {"date": "today"},
        "actionGroup": "specialists", "function": "invoke_specialist_agent",
        "parameters": [{"name": "specialist_type", "type": "string", "value": "billing"}]
    })
}

fn arguments(values: Value) -> Result<Arguments, MalformedArguments> {
    Ok(Arguments::from_object(values.as_object().unwrap()))
}

#[test]
fn function_details_are_read() {
    let event = parse(&function_event());
    let form = Form::Function {
        action_group: "specialists".to_owned(),
        function: "invoke_specialist_agent".to_owned(),
    };
    assert_eq!((event.form, event.tool.as_str()), (form, "invoke_specialist_agent"));
    assert_eq!(event.arguments, arguments(json!({"specialist_type": "billing"})));
    assert_eq!(event.caller.unwrap().root.as_str(), "s-1");
    assert_eq!(event.session_attributes["user_id"], "u-1");
    assert_eq!(event.prompt_session_attributes["date"], "today");
}

#[test]
fn an_api_path_goes_before_a_function_and_its_last_segment_is_the_tool() {
    let mut payload = function_event();
    payload["apiPath"] = json!("/v1/specialists/invoke_specialist_agent");
    payload["httpMethod"] = json!("POST");
    let event = parse(&payload);
    assert!(matches!(event.form, Form::OpenApi { .. }));
    assert_eq!(event.tool, "invoke_specialist_agent");
}

#[test]
fn the_request_body_goes_before_the_parameters() {
    let event = parse(&json!({
        "apiPath": "/t", "sessionId": "s",
        "requestBody": {"content": {"application/json": {"properties": [
            {"name": "request", "type": "string", "value": "of the body"}]}}},
        "parameters": [
            {"name": "request", "type": "string", "value": "of the query"},
            {"name": "task_id", "type": "string", "value": "t1"}]
    }));
    assert_eq!(event.arguments, arguments(json!({"request": "of the body", "task_id": "t1"})));
}

#[test]
fn a_body_of_any_json_media_type_or_of_a_form_is_read_and_json_goes_first() {
    let content = |media_type: &str, value: &str| json!({ media_type: {"properties": [{"name": "request", "type": "string", "value": value}]} });
    for media_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"utf-8\"",
        " application/json ",
        "text/json",
        "application/x-json",
        "application/vnd.api+json",
        "application/problem+JSON; profile=x",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "multipart/form-data; boundary=x",
    ] {
        let event = parse(&json!({"apiPath": "/t", "sessionId": "s",
            "requestBody": {"content": content(media_type, "r")}}));
        assert_eq!(event.arguments, arguments(json!({"request": "r"})), "{media_type}");
    }
    for media_type in ["text/plain", "application/xml", "json", "application/jsonish", ""] {
        let event = parse(&json!({"apiPath": "/t", "sessionId": "s",
            "requestBody": {"content": content(media_type, "r")}}));
        assert_eq!(event.arguments, Ok(Arguments::default()), "{media_type}");
    }
    let mut both = content("application/x-www-form-urlencoded", "of the form");
    both["text/json"] = content("text/json", "of the JSON")["text/json"].clone();
    let event = parse(&json!({"apiPath": "/t", "requestBody": {"content": both}}));
    assert_eq!(event.arguments, arguments(json!({"request": "of the JSON"})));
}

#[test]
fn the_client_context_decides_before_the_event() {
    let event = from_gateway(&function_event(), "router___read_scratchpad", false);
    assert_eq!((event.form, event.tool.as_str()), (Form::Gateway, "read_scratchpad"));
}

#[test]
fn nobody_vouches_for_the_session_of_a_gateway_unless_an_interceptor_does() {
    let payload = json!({
        "session_id": "s-1",
        "session_attributes": {"root_session_id": "r", "identity_verified": "true"}
    });
    let plain = from_gateway(&payload, "t", false).caller.unwrap();
    assert_eq!((plain.root.as_str(), plain.identity_verified), ("gateway/s-1", false));
    assert!(plain.attributes.is_empty());
    let vouched = from_gateway(&payload, "t", true).caller.unwrap();
    assert_eq!((vouched.root.as_str(), vouched.identity_verified), ("r", true));
}

#[test]
fn an_event_in_no_form_is_an_error_that_says_what_was_found() {
    let neither = "an object with neither `apiPath` nor `function`";
    for (payload, event) in [
        ("null", "null"),
        ("[1]", "an array"),
        ("\"x\"", "a string"),
        ("{}", neither),
        ("{\"function\": null, \"x\": \"\\ud800\", \"y\": 1e999}", neither),
        ("{\"function\": \"f\"", "not JSON"),
        ("", "not JSON"),
    ] {
        for (context, client_context) in [
            (None, "none"),
            (Some(""), "none"),
            (Some("{"), "one that is not JSON"),
            (Some("\u{e9}"), "one that is not JSON"),
            (Some("null"), "one without it"),
            (Some("[7]"), "one without it"),
            (Some("{\"custom\": [\"bedrockAgentCoreToolName\"]}"), "one without it"),
            (Some("{\"custom\": {\"bedrockAgentCoreToolName\": {\"a\": 1}}}"), "an object"),
        ] {
            let found = Event::read(payload.as_bytes(), context.map(str::as_bytes), false);
            assert_eq!(found, Err(UnknownEventForm { event, client_context }), "{payload}");
        }
    }
}

#[test]
fn what_else_a_client_context_holds_does_not_hide_the_tool() {
    let tool = r#""bedrockAgentCoreToolName": "router___invoke_specialist_agent""#;
    for context in [
        format!(r#"{{"custom": {{{tool}, "bedrockAgentCorePropagatedHeaders": {{"x": "c-1"}}}}}}"#),
        format!(r#"{{"client": {{}}, "env": {{}}, "custom": {{{tool}, "n": 1e999, "m": null}}}}"#),
        format!(r#"{{"client": 7, "environment": [null], "custom": {{{tool}, "x": "\ud800"}}}}"#),
        format!(r#"{{"deep": {}{}, "custom": {{{tool}}}}}"#, "[".repeat(300), "]".repeat(300)),
    ] {
        let event = Event::read(b"{}", Some(context.as_bytes()), false).unwrap();
        assert_eq!((event.form, &*event.tool), (Form::Gateway, "invoke_specialist_agent"));
    }
}

#[test]
fn an_event_that_a_strict_reader_refuses_is_read_as_far_as_it_is_needed() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for odd in [r#""\ud83d""#, "1e999", "NaN", &deep, "\"a\u{7}b\""] {
        let payload = format!(
            r#"{{"inputText": {odd}, "agent": {{"name": {odd}}}, "function": "f", "sessionId": "s",
                "parameters": [{{"name": "request", "value": "r", "type": {odd}}}]}}"#
        );
        let event = Event::read(payload.as_bytes(), None, false).unwrap();
        assert_eq!(event.arguments, arguments(json!({"request": "r"})), "{odd}");
        assert_eq!(event.caller.unwrap().root.as_str(), "s", "{odd}");
    }
}

#[test]
fn sessions_that_are_no_unicode_stay_apart() {
    let root = |id: &str| {
        let payload = format!(r#"{{"function": "f", "sessionId": "{id}"}}"#);
        Event::read(payload.as_bytes(), None, false).unwrap().caller.unwrap().root
    };
    assert_ne!(root(r"s\ud800"), root(r"s\ud801"));
}

#[test]
fn a_gateways_event_that_is_not_json_is_told_so() {
    let context = json!({ "custom": { GATEWAY_TOOL_NAME: "t" } }).to_string();
    for (payload, found) in
        [("", "not JSON"), ("{", "not JSON"), ("null", "null"), ("[]", "an array")]
    {
        let event = Event::read(payload.as_bytes(), Some(context.as_bytes()), false).unwrap();
        assert_eq!(event.arguments.unwrap_err().found, found, "{payload}");
    }
}

#[test]
fn optional_fields_may_be_absent_or_null() {
    let event = parse(&json!({"function": "f", "sessionId": "s", "parameters": null,
        "sessionAttributes": null, "unknown": {"field": 1}}));
    assert_eq!(event.arguments, Ok(Arguments::default()));
    assert!(event.caller.is_ok() && event.session_attributes.is_empty());
}

#[test]
fn a_session_id_that_is_none_is_told_apart() {
    for (id, expected) in [
        (json!(null), "`sessionId` is missing"),
        (json!(""), "`sessionId` is empty"),
        (json!(7), "`sessionId` is a number"),
        (json!("x".repeat(1_025)), "`sessionId` has 1025 bytes"),
    ] {
        let error = parse(&json!({"function": "f", "sessionId": id})).caller.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn a_root_session_makes_up_for_a_missing_session_id() {
    let event = parse(&json!({"function": "f", "sessionAttributes": {ROOT_SESSION_ID: "r"}}));
    assert_eq!(event.caller.unwrap().root.as_str(), "r");
}

#[test]
fn attributes_that_are_no_texts_refuse_the_request_and_are_not_returned() {
    for bad in [json!({"a": "text", "n": 1}), json!({"a": "text", "n": {"deep": "x"}}), json!([1])]
    {
        for place in ["sessionAttributes", "promptSessionAttributes"] {
            let event = parse(&json!({"function": "f", "sessionId": "s", place: bad}));
            assert!(matches!(event.caller, Err(SessionError::WrongKind { .. })), "{place} {bad}");
            let returned = [event.session_attributes, event.prompt_session_attributes];
            assert!(returned.iter().flatten().all(|(name, _)| name == "a"));
        }
    }
}

#[test]
fn a_list_of_arguments_that_is_none_is_told() {
    for bad in [json!("x"), json!({"name": "a"}), json!([1]), json!([{"value": "v"}])] {
        let event = parse(&json!({"function": "f", "sessionId": "s", "parameters": bad}));
        assert_eq!(event.arguments.unwrap_err().place, "parameters", "{bad}");
    }
}

#[test]
fn fields_of_another_type_do_not_hide_the_form() {
    let event = parse(&json!({"apiPath": 5, "actionGroup": [], "sessionId": "s"}));
    assert!(matches!(event.form, Form::OpenApi { .. }));
    assert_eq!(event.tool, "");
}

#[test]
fn an_attribute_of_another_kind_is_named() {
    for (value, found) in [
        (json!(null), "an object with a null"),
        (json!(true), "an object with a boolean"),
        (json!(1), "an object with a number"),
        (json!([]), "an object with a nested value"),
    ] {
        let mut event = function_event();
        event["sessionAttributes"] = json!({ "user_id": value });
        let error = parse(&event).caller.unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
}
