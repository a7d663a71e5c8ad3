//! Specialists that are AgentCore harnesses.

use stand_ins::Options;

use crate::faults::{GENERAL, ORDERS};
use crate::support::{Ask, Cast, Limits, World, agents_with, policy, policy_with};

/// A world of harnesses, where orders has these replies and each specialist these keys.
async fn world(replies: &[(&str, &str)], keys: &str) -> World {
    let agents = Some(Cast::Harness.of(&agents_with(replies.iter().copied())));
    let policy = Some(policy_with(Limits::NONE, keys));
    World::start(Options { agents, policy, ..Options::default() }).await
}

#[tokio::test]
async fn a_harness_is_told_what_is_asked_and_how_long_it_is_waited_for_and_nothing_else() {
    let world = world(&[], "timeout_ms = 7_500\nmax_output_tokens = 900").await;
    let ask = Ask::orders("Where is \"it\"?\n🙂").attribute("user_id", "u-1");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    let call = &told.calls[0];
    assert_eq!(call.agent, Cast::Harness.agent("orders"));
    let content = serde_json::json!([{ "text": "Where is \"it\"?\n🙂" }]);
    let expected = serde_json::json!({
        "messages": [{ "role": "user", "content": content }],
        "timeoutSeconds": 8,
        "maxTokens": 900,
    });
    assert_eq!(call.body, expected, "session attributes have no channel");
    world.was_charged(&ask, 1, &[ORDERS], "an answer").await;
}

#[tokio::test]
async fn a_harness_has_a_session_of_its_own_that_its_service_accepts() {
    let world = world(&[], "").await;
    // The stand-in turns down what the service would.
    let session_of = async |ask: Ask| world.ask(&ask).await.calls[0].session_id.clone();
    let first = session_of(Ask::orders("Where?").session("ü")).await;
    assert_eq!(session_of(Ask::orders("And now?").session("ü")).await, first);
    assert_ne!(session_of(Ask::orders("Where?").session("t")).await, first);
}

#[tokio::test]
async fn the_answer_is_the_last_message_and_all_model_calls_are_charged() {
    let usage =
        "usage = [{ input = 300, output = 50, cache_read = 1000 }, { input = 100, output = 50 }]";
    let world = world(&[("[tool]", &format!("answer = 'At the depot.'\n{usage}"))], "").await;
    let ask = Ask::orders("[tool]");
    let told = world.ask(&ask).await;
    assert_eq!(told.body["answer"], "At the depot.");
    // 1,400 at 3 USD, 100 at 15.
    world.was_charged(&ask, 1, &[(1_500, 4_200 + 1_500)], "two model calls").await;
}

#[tokio::test]
async fn a_model_call_that_reports_nothing_costs_the_unknown_usage() {
    let usage = "usage = [{ silent = true }, { input = 100, output = 50 }]";
    let world = world(&[("[tool]", &format!("answer = 'yes'\n{usage}"))], "").await;
    let ask = Ask::orders("[tool]");
    assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
    world.was_charged(&ask, 1, &[(8_000, 120_000)], "one of two").await;
}

#[tokio::test]
async fn a_harness_that_used_too_much_is_left_when_it_goes_on() {
    let more = "usage = [{ input = 8001, output = 0 }, { input = 1, output = 0 }]";
    let last = "usage = [{ input = 1, output = 0 }, { input = 8001, output = 0 }]";
    let replies = [
        ("[more]", &*format!("answer = 'yes'\n{more}")),
        ("[last]", &*format!("answer = 'yes'\n{last}")),
    ];
    let world = world(&replies, "").await;
    let ask = Ask::orders("[more]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("budget_tokens")));
    world.was_charged(&ask, 2, &[(8_001, 120_000), GENERAL], "cut").await;
    let ask = Ask::orders("[last]");
    assert_eq!(world.ask(&ask).await.outcome(), ("answered", None), "the answer is kept");
    world.was_charged(&ask, 1, &[(8_002, 24_006)], "in full").await;
}

#[tokio::test]
async fn an_endpoint_and_a_degraded_harness_are_called_in_the_region_of_their_arns() {
    // The stand-in turns down what is not signed for the region of the ARN.
    let orders = Cast::Harness.agent("orders").replace("us-east-1", "eu-west-1");
    let endpoint = format!("{orders}/harness-endpoint/live");
    let cheap = format!("{orders}/harness-endpoint/cheap");
    let agents = agents_with([]).replace("ORDERS0001/LIVE000001", &endpoint);
    let of_cheap = format!("agent = '{cheap}'\nlisted = false\nreplies = [{{ answer = 'cheap' }}]");
    let policy = policy(Limits { max_steps: 2, ..Limits::NONE })
        .replace("[session]", "[session]\ndegrade_at = 0.5")
        .replace(
            "[specialists.orders]",
            &format!("[specialists.orders]\ndegraded_agent = \"{cheap}\""),
        );
    let agents = Some(format!("{agents}\n[cheap]\n{of_cheap}"));
    let world = World::start(Options { agents, policy: Some(policy), ..Options::default() }).await;
    let ask = Ask::orders("Where is it?");
    assert_eq!(world.ask(&ask).await.calls[0].agent, endpoint);
    let told = world.ask(&ask).await;
    assert_eq!((&*told.calls[0].agent, &told.body["answer"]), (&*cheap, &"cheap".into()));
}

#[tokio::test]
async fn agents_of_all_kinds_stand_in_for_each_other() {
    for orders in Cast::ALL {
        for general in Cast::ALL {
            let agents = agents_with([])
                .replace("ORDERS0001/LIVE000001", &orders.agent("orders"))
                .replace("GENERAL001/LIVE000001", &general.agent("general"));
            let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
            let world = World::start(options).await;
            world.agents().fail_as("orders=before:accessDeniedException").unwrap();
            let (ask, told) = world.asks_orders().await;
            assert_eq!(told.outcome(), ("fell_back", Some("access_denied")));
            assert_eq!(told.body["answer"], "general says yes");
            let called: Vec<&str> = told.calls.iter().map(|call| &*call.agent).collect();
            assert_eq!(called, [orders.agent("orders"), general.agent("general")]);
            world.was_charged(&ask, 2, &[GENERAL], "mixed").await;
        }
    }
}
