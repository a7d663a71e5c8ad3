//! What happens when a specialist does not answer: who is asked next, and what it costs.

use stand_ins::Options;

use crate::support::{Account, Ask, Limits, Told, World, agents_with, policy};

/// What an attempt of unknown usage costs at orders, billing and support: the whole hold.
const UNKNOWN: (u64, u64) = (8_000, 120_000);
/// What an answer of general costs.
const GENERAL: (u64, u64) = (250, 360);

/// A sandbox whose orders fails or misbehaves as the request says.
async fn faulty() -> World {
    let agents = Some(agents_with([
        ("[guardrail]", "fault = 'guardrail'\nusage = [{ input = 90, output = 0 }]"),
        ("[masked]", "fault = 'masked'\nanswer = 'Write to {EMAIL}.'\nusage = [{ input = 90 }]"),
        (
            "[cached]",
            "answer = 'yes'\n\
             usage = [{ input = 30, output = 4, cache_read = 1000, cache_write = 5000 }]",
        ),
        ("[silent]", "answer = 'yes'\nusage = [{ input = 500, output = 100 }, { silent = true }]"),
        ("[mute]", "answer = 'yes'\nusage = [{}]"),
        ("[endless]", "answer_bytes = 3_000_000\nchunks = 30"),
        ("[enormous]", "answer_bytes = 3_000_000"),
        ("[unknown event]", "fault = 'unknown-event'\nanswer = 'yes'"),
        ("[no usage]", "answer = 'yes'"),
        ("[empty]", "fault = 'empty'"),
        ("[blank]", "answer = ' '\nusage = [{ input = 400, output = 20 }]"),
        ("[dear]", "answer = 'yes'\nusage = [{ input = 9000, output = 1000 }]"),
    ]));
    World::start(Options { agents, policy: Some(policy(Limits::NONE)), ..Options::default() }).await
}

fn account(steps: u64, charges: &[(u64, u64)]) -> Option<Account> {
    let tokens = charges.iter().map(|(tokens, _)| tokens).sum();
    let micro_usd = charges.iter().map(|(_, micro_usd)| micro_usd).sum();
    Some(Account { steps, tokens, micro_usd })
}

/// Asserts what the supervisor is told of the money.
fn told_what_is_left(told: &Told, account: Option<Account>) {
    let Account { steps, tokens, micro_usd } = account.unwrap();
    let (steps_left, tokens_left, usd_left) = told.left();
    let limits = Limits::NONE;
    assert_eq!((steps_left, tokens_left), (limits.max_steps - steps, limits.max_tokens - tokens));
    assert!((usd_left - (limits.max_cost_usd - micro_usd as f64 / 1e6)).abs() < 1e-9);
}

#[tokio::test]
async fn a_guardrail_ends_the_request_and_is_charged_as_reported() {
    let world = faulty().await;
    let ask = Ask::orders("My card number is [guardrail]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("failed", Some("guardrail")));
    assert_eq!(told.called(), ["orders"]);
    assert_eq!(world.account(&ask).await, account(1, &[(90, 270)]));
    assert_eq!(told.metric("SpecialistErrors", "Specialist=orders"), Some(1.0));
    assert_eq!(told.metric("Fallbacks", ""), None);
    assert_eq!(told.metric("RoutingAccuracy", ""), None);
}

#[tokio::test]
async fn an_answer_that_a_guardrail_masked_is_an_answer() {
    let world = faulty().await;
    let ask = Ask::orders("[masked]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["answer"], "Write to {EMAIL}.");
    assert_eq!(world.account(&ask).await, account(1, &[(90, 270)]));
    assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0));
}

#[tokio::test]
async fn tokens_of_the_prompt_cache_are_charged_each_at_its_price() {
    let world = faulty().await;
    let ask = Ask::orders("[cached]");
    let told = world.ask(&ask).await;
    // 30 and 1,000 at 3 USD, 5,000 at 3.75, 4 at 15.
    let expected = account(1, &[(6_034, 90 + 3_000 + 18_750 + 60)]);
    assert_eq!(world.account(&ask).await, expected);
    told_what_is_left(&told, expected);
    assert_eq!(told.metric("InputTokens", ""), Some(6_030.0));
    assert_eq!(told.metric("Cost", ""), Some(0.021_9));
}

#[tokio::test]
async fn a_model_invocation_that_reports_nothing_makes_the_usage_unknown() {
    let world = faulty().await;
    for request in ["[silent]", "[mute]"] {
        let ask = Ask::orders(request);
        assert_eq!(world.ask(&ask).await.outcome(), ("answered", None), "{request}");
        assert_eq!(world.account(&ask).await, account(1, &[UNKNOWN]), "{request}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_left_and_the_reply_says_so() {
    let world = faulty().await;
    for request in ["[endless]", "[enormous]"] {
        let ask = Ask::orders(request);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("agent_error")), "{request}");
        assert_eq!(told.called(), ["orders", "general"], "it is not tried again");
        let message = told.body["message"].as_str().unwrap();
        assert!(message.contains("`orders` is longer than"), "{message}");
        assert_eq!(world.account(&ask).await, account(2, &[UNKNOWN, GENERAL]), "{request}");
    }
}

#[tokio::test]
async fn events_of_the_stream_that_nobody_knows_do_not_matter() {
    let world = faulty().await;
    let told = world.ask(&Ask::orders("[unknown event]")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["answer"], "yes");
}

#[tokio::test]
async fn an_answer_that_reports_no_usage_costs_its_hold() {
    let world = faulty().await;
    let ask = Ask::orders("[no usage]");
    assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
    assert_eq!(world.account(&ask).await, account(1, &[UNKNOWN]));
}

#[tokio::test]
async fn an_answer_without_a_word_is_none_and_costs_what_is_known() {
    let world = faulty().await;
    for (request, charge) in [("[empty]", UNKNOWN), ("[blank]", (420, 1_500))] {
        let ask = Ask::orders(request);
        assert_eq!(world.ask(&ask).await.outcome(), ("fell_back", Some("empty_answer")));
        assert_eq!(world.account(&ask).await, account(2, &[charge, GENERAL]), "{request}");
    }
}

#[tokio::test]
async fn an_answer_that_used_more_than_its_hold_is_charged_in_full() {
    let world = faulty().await;
    let ask = Ask::orders("[dear]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    let expected = account(1, &[(10_000, 42_000)]);
    assert_eq!(world.account(&ask).await, expected);
    told_what_is_left(&told, expected);
    assert!(told.lines.iter().any(|line| line.contains("used more than its hold")));
}

#[tokio::test]
async fn text_that_came_before_a_failure_is_no_answer() {
    let agents = agents_with([("[cut]", "fault = 'close-in-stream'\nanswer = 'HALF an answer'")]);
    let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let told = world.ask(&Ask::orders("[cut] [nobody]")).await;
    assert_eq!(told.outcome(), ("failed", Some("stream_broken")));
    assert!(!told.reply.to_string().contains("HALF"), "{}", told.reply);
}
