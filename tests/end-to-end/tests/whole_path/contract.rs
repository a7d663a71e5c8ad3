//! The action group's contract with Bedrock: arguments, envelopes, attributes.

use serde_json::{Value, json};
use stand_ins::events::{Form, MOST_REPLY_BYTES};
use stand_ins::lambda::Outcome;

use crate::support::{Account, Ask, Limits, World, reply_mistakes};

const FORMS: [Form; 3] = [Form::Function, Form::OpenApi, Form::Gateway];

/// Whether the reply asks the model to call again.
fn asks_again(form: Form, reply: &Value) -> bool {
    match form {
        Form::Function => reply["response"]["functionResponse"]["responseState"] == "REPROMPT",
        Form::OpenApi => reply["response"]["httpStatusCode"] == 400,
        Form::Gateway => reply["reason"] == "bad_request",
    }
}

#[tokio::test]
async fn a_bad_argument_is_told_in_a_sentence_and_costs_nothing_in_each_form() {
    let world = World::with(Limits::NONE).await;
    let good = || Ask::orders("Where is it?").argument("task_id", "t-1");
    let long = "x".repeat(100_001);
    let cases: [(Ask, &str); 14] = [
        (good().without("specialist_type"), "`specialist_type` is missing. Give one of: billing"),
        (good().argument("specialist_type", " "), "`specialist_type` is missing"),
        (good().argument("specialist_type", "../orders"), "`specialist_type` is `../orders`"),
        (good().argument("specialist_type", json!(["orders"])), "`specialist_type` is an array"),
        (good().without("request"), "`request` is missing. Give the text"),
        (good().argument("request", ""), "`request` is missing"),
        (good().argument("request", json!({ "a": 1 })), "`request` is an object"),
        (good().argument("request", long), "`request` has 100001 bytes; at most 100000"),
        (good().argument("confidence", "high"), "`confidence` is `high`; it must be a number"),
        (good().argument("confidence", "1.01"), "`confidence` is `1.01`; it must be a number"),
        (good().argument("confidence", "NaN"), "`confidence` is `NaN`; it must be a number"),
        (good().argument("intent", 7), "`intent` is a number; it must be a string"),
        (good().tool("invoke_everybody"), "There is no tool `invoke_everybody`"),
        (good().tool("escalate_to_human"), "`reason` is missing. Give why a person has to"),
    ];
    for (ask, sentence) in cases {
        for form in FORMS {
            let ask = ask.clone().form(form);
            let told = world.ask(&ask).await;
            assert_eq!(told.outcome(), ("refused", Some("bad_request")), "{sentence}");
            let message = told.body["message"].as_str().unwrap();
            assert!(message.starts_with(sentence), "{message}");
            assert!(asks_again(form, &told.reply), "{sentence}");
            assert_eq!(told.body["task_id"], "t-1", "{sentence}");
            assert!(told.body["budget"].is_null(), "{sentence}");
            assert_eq!(told.metric_names(), ["RouterOverhead"], "{sentence}");
            told.nobody_was_called();
        }
    }
    assert_eq!(world.table().scan().await.unwrap(), [], "nothing is charged");
    world.is_still_alive().await;
}

#[tokio::test]
async fn only_bad_arguments_ask_the_model_again() {
    let world = World::with(Limits { max_steps: 1, ..Limits::NONE }).await;
    for form in [Form::Function, Form::OpenApi] {
        let spent = Ask::orders("Where is it?");
        world.ask(&spent).await;
        for (ask, reason) in [
            (Ask::orders("Where is it?"), None),
            (Ask::of("billing", "Refund me."), Some("identity_not_verified")),
            (Ask::of("astrology", "Which star?"), Some("unknown_specialist")),
            (Ask::orders("Where?").argument("confidence", "0.1"), Some("low_confidence")),
            (Ask::orders("Where?").attribute("router_hops", "3"), Some("loop_detected")),
            (spent.clone(), Some("budget_steps")),
            (Ask::orders("[out of scope]"), Some("out_of_scope")),
            // No other argument would help.
            (Ask::orders("Where?").session(""), Some("bad_request")),
        ] {
            let told = world.ask(&ask.form(form)).await;
            assert_eq!(told.body["reason"].as_str(), reason);
            assert!(!asks_again(form, &told.reply), "{reason:?}");
        }
    }
}

#[tokio::test]
async fn all_three_forms_say_the_same_in_their_own_envelopes() {
    let world = World::with(Limits::NONE).await;
    let mut bodies = Vec::new();
    for form in FORMS {
        let ask = Ask::orders("Where is it?").argument("task_id", "t-1").form(form);
        let told = world.ask(&ask).await;
        let payer = match form {
            Form::Gateway => format!("gateway/{}", ask.session_id()),
            Form::Function | Form::OpenApi => ask.session_id().to_owned(),
        };
        let used = Account { steps: 1, tokens: 600, micro_usd: 3_000 };
        assert_eq!(crate::support::account(&world, &payer).await, Some(used), "{form:?}");
        assert_eq!(told.calls[0].input_text, "Where is it?");
        bodies.push(told.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[1], bodies[2]);
    assert_eq!(bodies[0]["status"], "answered");
}

#[tokio::test]
async fn names_of_the_envelope_are_echoed_as_they_came() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::orders("Where is it?").form(Form::OpenApi);
    let mut event = ask.event();
    event["actionGroup"] = "Spëcial \"ists\"".into();
    event["apiPath"] = "/v1/agents/{id}/invoke_specialist_agent".into();
    event["httpMethod"] = "PUT".into();
    // The harness compares the echoes with what was sent.
    assert_eq!(world.send(event, None).await.outcome(), ("answered", None));
}

#[tokio::test]
async fn arguments_of_the_openapi_body_go_before_those_of_the_path() {
    let world = World::with(Limits::NONE).await;
    let mut event = Ask::orders("Where is it?").form(Form::OpenApi).event();
    event["parameters"] = json!([
        { "name": "specialist_type", "type": "string", "value": "support" },
        { "name": "task_id", "type": "string", "value": "from the path" },
    ]);
    let told = world.send(event, None).await;
    assert_eq!(told.called(), ["orders"]);
    assert_eq!(told.body["task_id"], "from the path");
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_optional_ones_may_be_missing_or_null() {
    let world = World::with(Limits::NONE).await;
    let event = |changes: fn(&mut serde_json::Map<String, Value>)| {
        let mut event = Ask::orders("Where is it?").event();
        changes(event.as_object_mut().unwrap());
        event
    };
    for event in [
        event(|event| {
            event.insert("surprise".into(), json!({ "deep": [1, null, { "er": true }] }));
        }),
        event(|event| {
            for field in ["messageVersion", "agent", "actionGroup", "inputText"] {
                event.remove(field);
            }
        }),
        event(|event| {
            event.remove("sessionAttributes");
            event.remove("promptSessionAttributes");
        }),
        event(|event| {
            event["sessionAttributes"] = Value::Null;
            event["promptSessionAttributes"] = Value::Null;
            event.insert("apiPath".into(), Value::Null);
        }),
    ] {
        assert_eq!(world.send(event, None).await.outcome(), ("answered", None));
    }
}

#[tokio::test]
async fn attributes_come_back_as_received_with_the_root_session() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::orders("Where is it?")
        .attribute("user_id", "ü-1")
        .attribute("empty", "")
        .attribute("router_hops", "1")
        .prompt_attribute("mood", "\"good\"\n");
    let refused = ask.clone().without("request");
    for ask in [&ask, &refused] {
        let told = world.ask(ask).await;
        let id = ask.session_id();
        assert_eq!(
            told.reply["sessionAttributes"],
            json!({ "user_id": "ü-1", "empty": "", "router_hops": "1", "root_session_id": id })
        );
        assert_eq!(told.reply["promptSessionAttributes"], json!({ "mood": "\"good\"\n" }));
    }
}

#[tokio::test]
async fn a_specialist_gets_the_session_attributes_with_the_root_session_and_one_hop_more() {
    let world = World::with(Limits::NONE).await;
    for (received, forwarded) in [(None, "1"), (Some("0"), "1"), (Some("2"), "3")] {
        let mut ask = Ask::orders("Where is it?").attribute("tenant_id", "acme");
        ask = ask.attribute("root_session_id", "root").prompt_attribute("secret", "no");
        if let Some(hops) = received {
            ask = ask.attribute("router_hops", hops);
        }
        let told = world.ask(&ask).await;
        let call = &told.calls[0];
        let attributes: Vec<(&str, &str)> =
            call.session_attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            attributes,
            [("root_session_id", "root"), ("router_hops", forwarded), ("tenant_id", "acme")]
        );
        assert_eq!(call.input_text, "Where is it?", "word for word");
        assert!(call.enable_trace, "usage is told in traces alone");
        let returned = told.reply["sessionAttributes"].get("router_hops");
        assert_eq!(returned.and_then(Value::as_str), received, "never raised");
    }
}

#[tokio::test]
async fn a_large_answer_is_cut_so_that_the_reply_fits_in_each_form() {
    let agents = crate::support::agents_with([("[long]", "answer_bytes = 60000")]);
    let options = stand_ins::Options { agents: Some(agents), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    for form in FORMS {
        let told = world.ask(&Ask::orders("[long]").form(form)).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(told.body["truncated"], true);
        let bytes = told.reply.to_string().len();
        assert!(bytes > MOST_REPLY_BYTES - 100, "{bytes} bytes: no more is cut than must be");
    }
}

#[tokio::test]
async fn attributes_that_leave_no_room_are_not_returned_except_ours() {
    let world = World::with(Limits::NONE).await;
    let huge = "n".repeat(24_500);
    for ask in [
        Ask::orders("Where is it?").attribute("notes", huge.clone()),
        Ask::orders("Where is it?").prompt_attribute("notes", huge.clone()),
        Ask::orders("Where is it?").attribute("a", "\"".repeat(20_000)),
    ] {
        let told = world.ask(&ask.attribute("router_hops", "1").session("s")).await;
        assert_eq!(told.outcome(), ("answered", None));
        let ours = json!({ "root_session_id": "s", "router_hops": "1" });
        assert_eq!(told.reply["sessionAttributes"], ours);
        assert_eq!(told.reply["promptSessionAttributes"], json!({}));
    }
}

/// `router_hops` and `root_session_id` are always returned, so their size is ours to bound.
#[tokio::test]
async fn even_our_own_attributes_leave_a_reply_that_fits() {
    let world = World::with(Limits::NONE).await;
    let mut wrong = Vec::new();
    for (name, value) in [
        ("router_hops", "x".repeat(30_000)),
        ("router_hops", "0".repeat(30_000)),
        ("router_hops", "9".repeat(30_000)),
        ("root_session_id", "r".repeat(30_000)),
    ] {
        let event = Ask::orders("Where is it?").attribute(name, value).event();
        let invocation = world.invoke(event.to_string(), None).await;
        let Outcome::Response(bytes) = invocation.outcome else { panic!("{name}") };
        wrong.extend(reply_mistakes(Form::Function, &event, &bytes));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
