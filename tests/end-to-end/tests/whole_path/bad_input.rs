//! Events that nobody should send: each is answered in its own form, costs nothing, and leaves
//! the function as it was.

use serde_json::{Value, json};
use stand_ins::events::Form;
use stand_ins::lambda::Outcome;

use crate::support::{Account, Ask, Limits, World, account};

/// Text as an attacker would write it.
fn hostile() -> Vec<String> {
    let long = "x".repeat(10_000);
    let texts = [
        "\"",
        "'; DROP TABLE budgets; --",
        "\n\r\n{\"level\":\"ERROR\"}",
        "../../etc/passwd",
        "\u{0}",
        "\u{1b}[31m\u{7}",
        "\u{202e}drowssap",
        "${jndi:ldap://x}",
        "<script>alert(1)</script>",
        "%s%n",
        "a\\u0000b",
        "🙂",
        "hold#1",
        "SESSION#x",
        &long,
    ];
    texts.map(str::to_owned).into()
}

/// Asserts that the event is refused as a bad request, and that nothing comes of it.
async fn is_refused(world: &World, event: Value, client_context: Option<Value>) {
    let shown = format!("{:.200}", event.to_string());
    let told = world.send(event, client_context).await;
    assert_eq!(told.outcome(), ("refused", Some("bad_request")), "{shown}");
    assert_eq!(told.metric_names(), ["RouterOverhead"], "{shown}");
    told.nobody_was_called();
}

async fn nothing_was_charged(world: &World) {
    assert_eq!(world.table().scan().await.unwrap(), []);
    world.is_still_alive().await;
}

#[tokio::test]
async fn an_event_in_no_form_is_a_lambda_error_of_a_fixed_type_and_the_function_lives_on() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let payloads: [&[u8]; 15] = [
        b"",
        b"not JSON",
        b"{",
        b"{\"function\": \"invoke_specialist_agent\"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"\"function\"",
        b"7",
        b"1e999",
        b"{}",
        b"{\"function\": null}",
        b"{\"apiPath\": null, \"sessionId\": \"s\"}",
        b"{\"Function\": \"invoke_specialist_agent\"}",
        deep.as_bytes(),
    ];
    let mut wrong = Vec::new();
    for payload in payloads {
        let found = match world.invoke(payload.to_vec(), None).await.outcome {
            Outcome::FunctionError(error) if error.error_type == "UnknownEventForm" => continue,
            Outcome::FunctionError(error) => error.to_string(),
            Outcome::Response(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Outcome::TimedOut => "a timeout".to_owned(),
        };
        wrong.push(format!("{:.40}: {found}", String::from_utf8_lossy(payload)));
    }
    assert_eq!(world.agents().calls().len(), 1);
    world.is_still_alive().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_gateway_call_that_is_not_json_is_answered_with_a_body() {
    let world = World::with(Limits::NONE).await;
    let client_context = Ask::orders("").form(Form::Gateway).client_context();
    for payload in [&b"not JSON"[..], b"", b"{", b"\xff"] {
        let invocation = world.invoke(payload.to_vec(), client_context.clone()).await;
        let Outcome::Response(bytes) = &invocation.outcome else { panic!("{invocation:?}") };
        let mistakes = crate::support::reply_mistakes(Form::Gateway, &Value::Null, bytes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_refused_in_the_events_own_form() {
    let world = World::with(Limits::NONE).await;
    let kinds = [json!(true), json!(7), json!("text"), json!([]), json!({ "a": 1 })];
    let bad = |field: &str, value: &Value| match field {
        "sessionId" => !value.is_string(),
        "sessionAttributes" | "promptSessionAttributes" => true,
        // The texts that are no tool, and whatever is no list of arguments.
        _ => field == "function" || field == "apiPath" || !value.is_array(),
    };
    for form in [Form::Function, Form::OpenApi] {
        let fields = ["sessionId", "sessionAttributes", "promptSessionAttributes", "parameters"];
        let own = if form == Form::Function { "function" } else { "apiPath" };
        for field in fields.into_iter().chain([own]) {
            for value in kinds.iter().filter(|value| bad(field, value)) {
                let mut event = Ask::orders("Where is it?").form(form).event();
                event[field] = value.clone();
                is_refused(&world, event, None).await;
            }
        }
        for field in ["requestBody", "content", "application/json", "properties"] {
            for value in &kinds {
                let mut event = Ask::orders("Where is it?").form(Form::OpenApi).event();
                let body = match field {
                    "requestBody" => value.clone(),
                    "content" => json!({ "content": value }),
                    "application/json" => json!({ "content": { "application/json": value } }),
                    _ => json!({ "content": { "application/json": { "properties": value } } }),
                };
                event["requestBody"] = body;
                is_refused(&world, event, None).await;
            }
        }
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn arguments_that_are_no_list_of_names_and_values_are_refused() {
    let world = World::with(Limits::NONE).await;
    for parameters in [
        json!([null]),
        json!(["specialist_type"]),
        json!([[]]),
        json!([{}]),
        json!([{ "name": 7, "value": "orders" }]),
        json!([{ "name": null }]),
        json!([{ "name": "specialist_type" }, { "name": "request" }]),
        json!([{ "name": "specialist_type", "value": "orders" }, { "value": "Where is it?" }]),
    ] {
        let mut event = Ask::orders("Where is it?").event();
        event["parameters"] = parameters;
        is_refused(&world, event, None).await;
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn a_session_id_that_is_missing_empty_too_long_or_no_text_is_refused() {
    let world = World::with(Limits::NONE).await;
    let ask = || Ask::orders("Where is it?");
    for form in [Form::Function, Form::OpenApi] {
        for bad in [
            ask().without_session(),
            ask().session(""),
            ask().session("x".repeat(1_025)),
            ask().session("é".repeat(513)),
            ask().session(Value::Null),
            ask().session(4_711),
            ask().session(json!(["s"])),
            ask().attribute("root_session_id", ""),
            ask().attribute("root_session_id", "x".repeat(1_025)),
            ask().attribute("root_session_id", 7),
            ask().attribute("router_hops", "many"),
            ask().attribute("router_hops", "-1"),
            ask().attribute("router_hops", ""),
            ask().attribute("router_hops", 1),
        ] {
            is_refused(&world, bad.form(form).event(), None).await;
        }
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn any_other_session_id_is_accepted_as_it_is_and_pays_for_itself() {
    let world = World::with(Limits::NONE).await;
    let ids = hostile().into_iter().filter(|id| id.len() <= 1_024);
    for id in ids.chain([" ".to_owned(), "x".repeat(1_024), "é".repeat(512)]) {
        let ask = Ask::orders("Where is it?").session(id.clone());
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None), "{id}");
        assert_eq!(told.reply["sessionAttributes"]["root_session_id"], id);
        assert_eq!(told.calls[0].session_attributes["root_session_id"], id);
        let used = Account { steps: 1, tokens: 600, micro_usd: 3_000 };
        assert_eq!(account(&world, &id).await, Some(used), "{id}");
    }
}

#[tokio::test]
async fn attribute_maps_with_anything_but_texts_are_refused_and_come_back_without_it() {
    let world = World::with(Limits::NONE).await;
    for value in [json!(null), json!(7), json!(true), json!([]), json!({ "deep": "text" })] {
        let ask = || Ask::orders("Where is it?").attribute("good", "yes");
        for bad in [ask().attribute("bad", value.clone()), ask().prompt_attribute("bad", value)] {
            let told = world.ask(&bad).await;
            assert_eq!(told.outcome(), ("refused", Some("bad_request")));
            assert_eq!(told.reply["sessionAttributes"]["good"], "yes");
            told.nobody_was_called();
        }
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn hostile_names_are_refused_or_answered_by_the_fallback_and_never_looked_up() {
    let world = World::with(Limits::NONE).await;
    for name in hostile() {
        for form in [Form::Function, Form::OpenApi, Form::Gateway] {
            let tool = Ask::orders("Where is it?").tool(&name).form(form);
            is_refused(&world, tool.event(), tool.client_context()).await;
            let specialist = Ask::of(&name, "Where is it?").form(form);
            if name.chars().all(char::is_alphanumeric) && name.len() <= 100 {
                continue;
            }
            is_refused(&world, specialist.event(), specialist.client_context()).await;
        }
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn hostile_names_in_the_envelope_do_not_hurt_a_good_request() {
    let world = World::with(Limits::NONE).await;
    for name in hostile().into_iter().chain(["\u{1}\"".repeat(20_000)]) {
        let mut event = Ask::orders("Where is it?").event();
        event["actionGroup"] = name.clone().into();
        assert_eq!(world.send(event, None).await.outcome(), ("answered", None), "{name:.40}");
        let mut event = Ask::orders("Where is it?").form(Form::OpenApi).event();
        event["actionGroup"] = name.clone().into();
        event["httpMethod"] = name.clone().into();
        event["apiPath"] = format!("/{name}/invoke_specialist_agent").into();
        assert_eq!(world.send(event, None).await.outcome(), ("answered", None), "{name:.40}");
    }
}

#[tokio::test]
async fn hostile_optional_arguments_do_not_hurt_a_good_request() {
    let world = World::with(Limits::NONE).await;
    for text in hostile() {
        let ask = Ask::orders(&format!("Where is it? {text}"));
        let ask = ask.argument("task_id", text.clone()).argument("intent", text.clone());
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None), "{text:.40}");
        assert_eq!(told.calls[0].input_text, format!("Where is it? {text}"));
        let echoed = told.body["task_id"].as_str().unwrap();
        assert_eq!(echoed, text.chars().take(100).collect::<String>());
        let set = "IntentClass=other,SpecialistRouted=orders";
        assert_eq!(told.metric("RoutingAccuracy", set), Some(1.0), "{text:.40}");
    }
}

#[tokio::test]
async fn ten_megabytes_of_request_are_refused_in_each_form() {
    let world = World::with(Limits::NONE).await;
    let request = "\"".repeat(10_000_000);
    for form in [Form::Function, Form::OpenApi, Form::Gateway] {
        let ask = Ask::orders(&request).form(form);
        is_refused(&world, ask.event(), ask.client_context()).await;
    }
    nothing_was_charged(&world).await;
}

#[tokio::test]
async fn a_client_context_that_names_no_tool_leaves_the_event_its_form() {
    let world = World::with(Limits::NONE).await;
    for client_context in
        [json!({}), json!({ "custom": {} }), json!({ "custom": { "other": "text" } })]
    {
        let event = Ask::orders("Where is it?").event();
        let told = world.send(event, Some(client_context)).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert!(told.reply.get("response").is_some());
    }
}
