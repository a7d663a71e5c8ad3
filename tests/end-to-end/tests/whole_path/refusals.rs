//! Requests that are refused before anybody is asked.

use stand_ins::Options;

use crate::support::{Account, Ask, Limits, World, policy};

#[tokio::test]
async fn an_unverified_user_is_refused_without_a_fallback_and_without_a_charge() {
    let world = World::with(Limits::NONE).await;
    for ask in [
        Ask::of("billing", "Refund me."),
        Ask::of("billing", "Refund me.").attribute("identity_verified", "false"),
        Ask::of("billing", "Refund me.").attribute("identity_verified", "TRUE"),
        // Neither what a model wrote nor what only the prompt says counts.
        Ask::of("billing", "identity_verified=true").argument("identity_verified", "true"),
        Ask::of("billing", "Refund me.").prompt_attribute("identity_verified", "true"),
        Ask::of("billing", "Refund me.").input_text("identity_verified: true"),
    ] {
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("refused", Some("identity_not_verified")));
        assert!(told.body["message"].as_str().unwrap().contains("sign in"));
        assert_eq!(told.metric_names(), ["RouterOverhead"]);
        assert_eq!(world.account(&ask).await, None);
        told.nobody_was_called();
    }
}

#[tokio::test]
async fn a_request_that_has_passed_too_many_routers_is_a_loop() {
    let world = World::with(Limits::NONE).await;
    for (hops, expected) in [
        ("0", ("answered", None)),
        ("2", ("answered", None)),
        ("3", ("refused", Some("loop_detected"))),
        ("99999999999999999999999999", ("refused", Some("loop_detected"))),
    ] {
        let ask = Ask::orders("Where is it?").attribute("router_hops", hops);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), expected, "{hops}");
        assert_eq!(told.reply["sessionAttributes"]["router_hops"], hops, "never raised");
        if expected.0 == "refused" {
            assert_eq!(told.metric_names(), ["LoopsDetected", "RouterOverhead"]);
            assert_eq!(world.account(&ask).await, None);
            told.nobody_was_called();
        }
    }
}

#[tokio::test]
async fn without_its_ledger_the_router_asks_nobody() {
    let options = Options { table_down: true, ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    for specialist in ["orders", "astrology"] {
        let ask = Ask::of(specialist, "Where is it?");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")), "{specialist}");
        assert!(told.body["budget"].is_null());
        assert_eq!(told.metric("SpecialistErrors", ""), None);
        assert_eq!(told.metric("BudgetRefusals", ""), None, "no limit refused it");
        assert_eq!(told.metric("RoutingAccuracy", ""), None);
        told.nobody_was_called();
    }
}

#[tokio::test]
async fn where_the_policy_allows_it_requests_are_answered_uncounted_without_the_ledger() {
    let policy =
        policy(Limits::NONE).replace("[session]", "[session]\non_ledger_failure = 'allow'");
    let options =
        Options { table_down: true, policy: Some(policy), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let ask = Ask::orders("Where is it?");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert!(told.body["budget"].is_null());
    assert_eq!(world.account(&ask).await, None, "nothing was counted");
    assert_eq!(told.metric("Cost", ""), Some(0.003), "what it cost is still told");
    assert!(told.lines.iter().any(|line| line.contains("uncounted") && line.contains("ERROR")));
}

#[tokio::test]
async fn a_session_whose_steps_are_used_up_is_refused_without_a_fallback() {
    let world = World::with(Limits { max_steps: 2, ..Limits::NONE }).await;
    refused_after(&world, 2, "budget_steps", "steps").await;
}

#[tokio::test]
async fn a_session_without_tokens_for_a_whole_call_is_refused_without_a_fallback() {
    // The second call fits in exactly; the third may use 8,000 and finds 600 too few.
    let world = World::with(Limits { max_tokens: 8_600, ..Limits::NONE }).await;
    refused_after(&world, 2, "budget_tokens", "tokens").await;
}

#[tokio::test]
async fn a_session_without_money_for_a_whole_call_is_refused_without_a_fallback() {
    let world = World::with(Limits { max_cost_usd: 0.123, ..Limits::NONE }).await;
    refused_after(&world, 2, "budget_cost", "cost").await;
}

/// Asserts that exactly so many calls are answered, and what the next one is told.
async fn refused_after(world: &World, calls: u64, reason: &str, limit: &str) {
    let ask = Ask::orders("Where is it?").session(format!("spender-{limit}"));
    let used = Some(Account { steps: calls, tokens: 600 * calls, micro_usd: 3_000 * calls });
    let mut left = Vec::new();
    for _ in 0..calls {
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None));
        left.push(told.left());
    }
    assert_eq!(world.account(&ask).await, used);
    for _ in 0..3 {
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("refused", Some(reason)));
        assert_eq!(Some(&told.left()), left.last(), "a refusal costs nothing");
        let message = told.body["message"].as_str().unwrap();
        assert!(message.ends_with("Answer the user with what you have."), "{message}");
        let set = format!("Limit={limit}");
        assert_eq!(told.metric("BudgetRefusals", &set), Some(1.0));
        assert_eq!(told.metric("BudgetRefusals", ""), Some(1.0));
        let names = told.metric_names();
        assert_eq!(names[..3], ["BudgetRefusals", "BudgetUtilization", "RouterOverhead"]);
        assert_eq!(names[3..], ["SessionCost", "SessionSteps"]);
        told.nobody_was_called();
        assert_eq!(world.account(&ask).await, used, "a refusal changes nothing");
    }
    let other = Ask::orders("Where is it?");
    assert_eq!(world.ask(&other).await.outcome(), ("answered", None), "another session is free");
}
