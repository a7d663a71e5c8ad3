//! Whose a session is, and what others are told of it.

use stand_ins::events::Form;

use crate::support::{Account, Ask, Limits, Told, World, account};

const ONE_ANSWER: Account = Account { steps: 1, tokens: 600, micro_usd: 3_000 };

fn ask() -> Ask {
    Ask::orders("Where is it?").session("shared")
}

/// Asserts that the request was refused without a number of the session's.
fn is_told_nothing(told: &Told) {
    assert_eq!(told.outcome(), ("refused", Some("bad_request")));
    assert!(told.body["budget"].is_null(), "{}", told.body);
    let message = told.body["message"].as_str().unwrap();
    assert!(!message.contains(|character: char| character.is_ascii_digit()), "{message}");
    told.nobody_was_called();
}

#[tokio::test]
async fn another_tenant_or_user_is_told_nothing_of_a_session_that_is_used_up() {
    let world = World::with(Limits { max_steps: 1, ..Limits::NONE }).await;
    let of =
        |tenant: &str, user: &str| ask().attribute("tenant_id", tenant).attribute("user_id", user);
    assert_eq!(world.ask(&of("acme", "u-1")).await.outcome(), ("answered", None));
    let told = world.ask(&of("acme", "u-1")).await;
    assert_eq!(told.outcome(), ("refused", Some("budget_steps")));
    for other in [of("other", "u-1"), of("acme", "u-2"), ask().attribute("tenant_id", "acme")] {
        is_told_nothing(&world.ask(&other).await);
    }
    assert_eq!(account(&world, "shared").await, Some(ONE_ANSWER));
}

#[tokio::test]
async fn a_session_may_begin_without_a_user_and_then_is_the_first_ones() {
    let world = World::with(Limits::NONE).await;
    let of = |user: &str| ask().attribute("user_id", user);
    for mine in [ask(), of(""), of("u-1"), of("u-1")] {
        assert_eq!(world.ask(&mine).await.outcome(), ("answered", None));
    }
    for other in [ask(), of(""), of("u-2"), of("U-1")] {
        is_told_nothing(&world.ask(&other).await);
    }
    assert_eq!(account(&world, "shared").await.unwrap().steps, 4);
}

#[tokio::test]
async fn a_gateways_session_and_a_root_session_named_like_it_have_nothing_in_common() {
    let world = World::with(Limits::NONE).await;
    let by_gateway = ask().session("x").form(Form::Gateway);
    let mut sessions = Vec::new();
    for ask in [
        by_gateway,
        ask().session("gateway/x"),
        ask().session("root/gateway/x"),
        ask().session("y").attribute("root_session_id", "root/root/gateway/x"),
    ] {
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(told.calls.len(), 1);
        sessions.push(told.calls[0].clone());
        if ask.client_context().is_none() {
            let returned = &told.reply["sessionAttributes"]["root_session_id"];
            assert_eq!(*returned, ask.payer(), "the session is called what it was called");
        }
    }
    for name in ["gateway/x", "root/gateway/x", "root/root/gateway/x", "root/root/root/gateway/x"] {
        assert_eq!(account(&world, name).await, Some(ONE_ANSWER), "{name}");
    }
    for (index, call) in sessions.iter().enumerate() {
        let of_others = sessions[..index].iter();
        assert!(of_others.clone().all(|other| other.session_id != call.session_id));
        // A router further down finds the session by what is passed on to it.
        let attributes = &call.session_attributes;
        let nested = ask()
            .session("nested")
            .attribute("root_session_id", attributes["root_session_id"].clone())
            .attribute("router_hops", attributes["router_hops"].clone());
        assert_eq!(world.ask(&nested).await.outcome(), ("answered", None));
    }
    for name in ["gateway/x", "root/gateway/x", "root/root/gateway/x", "root/root/root/gateway/x"] {
        assert_eq!(account(&world, name).await.unwrap().steps, 2, "{name}");
    }
}

#[tokio::test]
async fn a_limit_that_an_operator_misspelt_lets_nothing_go_uncounted() {
    let policy = crate::support::policy(Limits::NONE)
        .replace("[session]", "[session]\non_ledger_failure = \"allow\"");
    let options = stand_ins::Options { policy: Some(policy), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    world.ask(&ask()).await;
    let mut item = world.table().session_budget("shared").await.unwrap().unwrap();
    // A text where a number belongs.
    item.insert("limit_steps".to_owned(), item["tenant"].clone());
    world.table().put_item(item).await.unwrap();
    let told = world.ask(&ask()).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    told.nobody_was_called();
}
