//! Calls by an AgentCore gateway, where a model wrote every argument.

use std::collections::BTreeMap;

use serde_json::json;
use stand_ins::Options;
use stand_ins::events::Form;

use crate::support::{Account, Ask, Limits, World, account, sessions};

const ONE_ANSWER: Account = Account { steps: 1, tokens: 600, micro_usd: 3_000 };

fn ask(specialist: &str) -> Ask {
    Ask::of(specialist, "Please help.").form(Form::Gateway)
}

async fn trusting() -> World {
    let env = BTreeMap::from([("GATEWAY_INJECTS_SESSION".to_owned(), "true".to_owned())]);
    World::start(Options { env, ..World::options(Limits::NONE) }).await
}

#[tokio::test]
async fn without_an_interceptor_session_attributes_count_for_nothing() {
    let world = World::with(Limits::NONE).await;
    let forged = |ask: Ask| {
        let ask = ask.session("s").verified().attribute("root_session_id", "victim");
        ask.attribute("router_hops", "3")
    };
    let told = world.ask(&forged(ask("billing"))).await;
    assert_eq!(told.outcome(), ("refused", Some("identity_not_verified")));
    told.nobody_was_called();
    let told = world.ask(&forged(ask("orders"))).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(account(&world, "gateway/s").await, Some(ONE_ANSWER));
    assert_eq!(sessions(&world).await.len(), 1, "nobody else is charged");
    let attributes = &told.calls[0].session_attributes;
    assert_eq!(attributes.get("identity_verified"), None);
    assert_eq!(attributes["root_session_id"], "gateway/s");
    assert_eq!(attributes["router_hops"], "1");
}

#[tokio::test]
async fn with_an_interceptor_the_session_is_the_one_that_it_injects() {
    let world = trusting().await;
    let told = world.ask(&ask("billing").session("s").verified()).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(account(&world, "s").await, Some(ONE_ANSWER));
    let nested = ask("orders").session("t").attribute("root_session_id", "root");
    let told = world.ask(&nested.attribute("router_hops", "2")).await;
    assert_eq!(account(&world, "root").await, Some(ONE_ANSWER));
    assert_eq!(told.calls[0].session_attributes["router_hops"], "3");
    let told = world.ask(&ask("orders").attribute("router_hops", "3")).await;
    assert_eq!(told.outcome(), ("refused", Some("loop_detected")));
}

#[tokio::test]
async fn a_bad_session_is_refused_with_and_without_an_interceptor() {
    for world in [World::with(Limits::NONE).await, trusting().await] {
        for bad in [
            ask("orders").without_session(),
            ask("orders").session(""),
            ask("orders").session(7),
            ask("orders").session(json!(null)),
            ask("orders").session("x".repeat(1_025)),
        ] {
            let told = world.ask(&bad).await;
            assert_eq!(told.outcome(), ("refused", Some("bad_request")));
            told.nobody_was_called();
        }
        assert_eq!(world.table().scan().await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_client_context_decides_before_the_event() {
    let world = World::with(Limits::NONE).await;
    let mut event = ask("orders").session("s").event();
    event["function"] = "read_scratchpad".into();
    event["apiPath"] = "/read_scratchpad".into();
    let told = world.send(event, ask("orders").client_context()).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert!(told.reply.get("response").is_none(), "{}", told.reply);
}

#[tokio::test]
async fn a_tool_is_named_with_or_without_its_target() {
    let world = World::with(Limits::NONE).await;
    let named = |name: &str| Some(json!({ "custom": { "bedrockAgentCoreToolName": name } }));
    for (name, known) in [
        ("invoke_specialist_agent", true),
        ("router___invoke_specialist_agent", true),
        ("a___b___invoke_specialist_agent", true),
        ("router___", false),
        ("", false),
        ("invoke_specialist_agent___router", false),
        ("router___escalate_to_human", false),
    ] {
        let told = world.send(ask("orders").event(), named(name)).await;
        let expected = if known { ("answered", None) } else { ("refused", Some("bad_request")) };
        assert_eq!(told.outcome(), expected, "{name}");
    }
}

#[tokio::test]
async fn arguments_that_are_no_object_are_answered_with_a_body() {
    let world = World::with(Limits::NONE).await;
    for event in [json!(null), json!([]), json!("orders"), json!(7), json!(true)] {
        let told = world.send(event.clone(), ask("orders").client_context()).await;
        assert_eq!(told.outcome(), ("refused", Some("bad_request")), "{event}");
        told.nobody_was_called();
    }
    world.is_still_alive().await;
}
