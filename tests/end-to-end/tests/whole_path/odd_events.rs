//! Events as careless programs write them: what is needed is read, and what is told is true.

use serde_json::{Value, json};
use stand_ins::events::Form;
use stand_ins::lambda::Outcome;

use crate::support::{Account, Ask, Limits, World, account, reply_mistakes};

/// What a strict reader of JSON refuses.
fn odd_values() -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let deeper = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    [
        &b"\"half an emoji \\ud83d\""[..],
        b"\"\\udc00\\ud800\"",
        b"\"\xff\xc3\"",
        b"\"a\nb\x01\"",
        b"\"\\x41\"",
        b"1e999",
        b"-1e999",
        b"NaN",
        b"Infinity",
        b"[1e999, {\"a\": \"\\ud83d\"}]",
        deep.as_bytes(),
        deeper.as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// The event's bytes with `odd` in place of the text `ODD`.
fn with(event: &Value, odd: &[u8]) -> Vec<u8> {
    let text = event.to_string();
    let (before, after) = text.split_once("\"ODD\"").unwrap();
    [before.as_bytes(), odd, after.as_bytes()].concat()
}

#[tokio::test]
async fn an_odd_value_in_a_field_that_is_not_needed_hides_nothing() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    for odd in odd_values() {
        let shown = String::from_utf8_lossy(&odd).chars().take(40).collect::<String>();
        for form in [Form::Function, Form::OpenApi, Form::Gateway] {
            let ask = Ask::orders("Where is it?").form(form);
            for field in ["inputText", "agent", "unknown"] {
                let mut event = ask.event();
                event[field] = json!("ODD");
                let invocation = world.invoke(with(&event, &odd), ask.client_context()).await;
                let Outcome::Response(bytes) = &invocation.outcome else {
                    panic!("{shown} in {field}: {:?}", invocation.outcome)
                };
                let mistakes = reply_mistakes(form, &event, bytes);
                assert!(mistakes.is_empty(), "{mistakes:?}");
                let body = form.body(&invocation.json().unwrap()).unwrap();
                assert_eq!(body["status"], "answered", "{shown} in {field}");
            }
        }
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn half_an_emoji_in_a_request_reaches_the_specialist_spelled_out() {
    let world = World::with(Limits::NONE).await;
    for (odd, expected) in [
        (&b"\"Where \\ud83d?\""[..], r"Where \ud83d?"),
        (b"\"Where \\ud83e\\udd80?\"", "Where 🦀?"),
        (b"\"Where \xff?\"", r"Where \xff?"),
    ] {
        for form in [Form::Function, Form::OpenApi, Form::Gateway] {
            let ask = Ask::orders("ODD").form(form);
            let before = world.agents().calls().len();
            world.invoke(with(&ask.event(), odd), ask.client_context()).await;
            let calls = world.agents().calls().split_off(before);
            assert_eq!(calls[0].input_text, expected);
        }
    }
}

#[tokio::test]
async fn an_odd_value_in_a_field_that_is_needed_is_told_for_what_it_is() {
    let world = World::with(Limits::NONE).await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let ask = |argument: &str| Ask::orders("Where is it?").argument(argument, "ODD");
    for (ask, odd, expected) in [
        (ask("request"), &b"1e999"[..], "`request` is a number"),
        (ask("request"), deep.as_bytes(), "`request` is an array"),
        (ask("specialist_type"), b"{\"a\": NaN}", "`specialist_type` is an object"),
        (ask("task_id"), b"-1e999", "`task_id` is a number"),
        (Ask::orders("r").attribute("a", "ODD"), b"1e999", "an object with a number"),
        (Ask::orders("r").session("ODD"), deep.as_bytes(), "`sessionId` is an array"),
    ] {
        let invocation = world.invoke(with(&ask.event(), odd), None).await;
        let body = Form::Function.body(&invocation.json().unwrap()).unwrap();
        assert_eq!((&body["status"], &body["reason"]), (&json!("refused"), &json!("bad_request")));
        assert!(body["message"].as_str().unwrap().contains(expected), "{body}");
    }
    assert_eq!(world.table().scan().await.unwrap(), []);
}

#[tokio::test]
async fn session_ids_that_are_no_unicode_pay_each_for_themselves() {
    let world = World::with(Limits::NONE).await;
    for (odd, id) in [(&b"\"s\\ud800\""[..], r"s\ud800"), (b"\"s\\ud801\"", r"s\ud801")] {
        world.invoke(with(&Ask::orders("r").session("ODD").event(), odd), None).await;
        let used = Account { steps: 1, tokens: 600, micro_usd: 3_000 };
        assert_eq!(account(&world, id).await, Some(used));
    }
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_told_so() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    for (payload, expected) in [
        (&b"{\"function\": \"invoke_specialist_agent\""[..], "the event is not JSON"),
        (b"", "the event is not JSON"),
        (b"{} {}", "the event is not JSON"),
        (b"[{\"function\": \"\\ud800\"}]", "the event is an array"),
        (b"1e999", "the event is a number"),
        (b"{\"Function\": \"\\ud800\"}", "neither `apiPath` nor `function`"),
    ] {
        let Outcome::FunctionError(error) = world.invoke(payload, None).await.outcome else {
            panic!("{}", String::from_utf8_lossy(payload))
        };
        assert_eq!(error.error_type, "UnknownEventForm");
        assert!(error.error_message.contains(expected), "{error}");
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn a_body_of_any_json_media_type_or_of_a_form_is_read() {
    let world = World::with(Limits::NONE).await;
    for media_type in [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        "text/json;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
    ] {
        let mut event = Ask::orders("Where is it?").form(Form::OpenApi).event();
        let body = event["requestBody"]["content"]["application/json"].take();
        event["requestBody"]["content"] = json!({ media_type: body });
        let told = world.send(event, None).await;
        assert_eq!(told.outcome(), ("answered", None), "{media_type}");
        assert_eq!(told.calls[0].input_text, "Where is it?");
    }
}
