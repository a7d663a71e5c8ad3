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
