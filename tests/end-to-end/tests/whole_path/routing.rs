//! Who answers, and what that says about the supervisor's choice.

use crate::support::{Account, Ask, Limits, World};

/// The charge of so many answers of specialists and of general.
fn answers(specialists: u64, general: u64) -> Option<Account> {
    Some(Account {
        steps: specialists + general,
        tokens: 600 * specialists + 250 * general,
        micro_usd: 3_000 * specialists + 360 * general,
    })
}

#[tokio::test]
async fn the_specialist_that_was_asked_for_answers_and_counts_as_the_right_one() {
    let world = World::with(Limits::NONE).await;
    for (specialist, intent, class) in [
        ("billing", Some("refund"), "refund"),
        ("orders", Some("delivery"), "delivery"),
        // An intent of somebody else's is still one that the policy knows.
        ("support", Some("refund"), "refund"),
        ("orders", Some("astrology"), "other"),
        ("orders", None, "none"),
    ] {
        let mut ask = Ask::of(specialist, "Please help.").verified().argument("task_id", "t-1");
        if let Some(intent) = intent {
            ask = ask.argument("intent", intent);
        }
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(told.body["answer"], format!("{specialist} says yes"));
        assert_eq!(told.body["asked"], specialist);
        assert_eq!(told.body["task_id"], "t-1");
        assert_eq!(told.body["message"], serde_json::Value::Null);
        assert_eq!(told.called(), [specialist]);
        assert_eq!(world.account(&ask).await, answers(1, 0));
        let set = format!("IntentClass={class},SpecialistRouted={specialist}");
        assert_eq!(told.metric("RoutingAccuracy", &set), Some(1.0), "{set}");
        assert_eq!(told.metric("RoutingAccuracy", ""), Some(1.0));
        assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0));
        assert_eq!(told.metric("SpecialistThrottles", ""), Some(0.0));
        assert_eq!(told.metric("Cost", ""), Some(0.003));
    }
}

#[tokio::test]
async fn an_unknown_specialist_goes_to_the_fallback_and_counts_as_a_wrong_route() {
    let world = World::with(Limits::NONE).await;
    for name in ["astrology", "Orders", "orders ", "order", "Rückgabe-Team 2"] {
        let ask = Ask::of(name, "Please help.");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("unknown_specialist")), "{name}");
        assert_eq!(told.body["asked"], name);
        assert_eq!(told.called(), ["general"], "{name}");
        let message = told.body["message"].as_str().unwrap();
        assert!(message.contains("billing, general, orders, support"), "{message}");
        assert_eq!(world.account(&ask).await, answers(0, 1));
        let set = "IntentClass=none,SpecialistRouted=general";
        assert_eq!(told.metric("RoutingAccuracy", set), Some(0.0), "{name}");
        assert_eq!(told.metric("Fallbacks", "Specialist=general"), Some(1.0), "{name}");
        assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0), "{name}");
    }
}

#[tokio::test]
async fn low_confidence_goes_to_the_fallback_and_says_nothing_about_the_route() {
    let world = World::with(Limits::NONE).await;
    for confidence in ["0.49", "0", " 0.1 "] {
        let ask = Ask::orders("Please help.").argument("confidence", confidence);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("low_confidence")), "{confidence}");
        assert_eq!(told.called(), ["general"]);
        assert_eq!(world.account(&ask).await, answers(0, 1));
        assert_eq!(told.metric("RoutingAccuracy", ""), None);
        assert_eq!(told.metric("Fallbacks", "Specialist=orders"), Some(1.0));
    }
    for (specialist, confidence) in [("orders", "0.5"), ("orders", "1"), ("general", "0.1")] {
        let ask = Ask::of(specialist, "Please help.").argument("confidence", confidence);
        assert_eq!(world.ask(&ask).await.outcome(), ("answered", None), "{confidence}");
    }
}

#[tokio::test]
async fn a_request_out_of_scope_is_handed_to_the_specialist_that_was_suggested() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::of("billing", "[suggest orders]").verified();
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("out_of_scope")));
    assert_eq!(told.body["specialist"], "orders");
    assert_eq!(told.called(), ["billing", "orders"]);
    assert_eq!(world.account(&ask).await, answers(2, 0));
    let set = "IntentClass=none,SpecialistRouted=billing";
    assert_eq!(told.metric("RoutingAccuracy", set), Some(0.0));
    assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0), "no error");
    assert_eq!(told.metric("Fallbacks", ""), None, "a hand-off is no fallback");
}

#[tokio::test]
async fn a_request_out_of_scope_falls_back_where_nobody_else_may_be_asked() {
    let world = World::with(Limits::NONE).await;
    // No suggestion; one whose identity rule the user does not meet.
    for request in ["[out of scope]", "[suggest billing]"] {
        let ask = Ask::orders(request);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("out_of_scope")), "{request}");
        assert_eq!(told.called(), ["orders", "general"], "{request}");
        assert_eq!(world.account(&ask).await, answers(1, 1), "{request}");
        assert_eq!(told.metric("RoutingAccuracy", ""), Some(0.0), "{request}");
        assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0), "{request}");
        assert_eq!(told.metric("Fallbacks", "Specialist=orders"), Some(1.0), "{request}");
    }
}

#[tokio::test]
async fn two_specialists_that_suggest_each_other_do_not_go_on_for_ever() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::of("billing", "[suggest orders] [suggest billing]").verified();
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("out_of_scope")));
    assert_eq!(told.called(), ["billing", "orders", "general"]);
    assert_eq!(world.account(&ask).await, answers(2, 1));
}

#[tokio::test]
async fn without_hand_offs_left_a_request_out_of_scope_falls_back() {
    let world = World::with(Limits { max_handoffs: 0, ..Limits::NONE }).await;
    // Also where the fallback is the very specialist that was suggested.
    for request in ["[suggest orders]", "[suggest general]"] {
        let ask = Ask::of("billing", request).verified();
        let told = world.ask(&ask).await;
        assert_eq!(told.called(), ["billing", "general"], "{request}: {}", told.body);
        assert_eq!(told.outcome(), ("fell_back", Some("out_of_scope")), "{request}");
        assert_eq!(world.account(&ask).await, answers(1, 1), "{request}");
        assert_eq!(told.metric("BudgetRefusals", "Limit=handoffs"), Some(1.0), "{request}");
        assert_eq!(told.metric("Fallbacks", "Specialist=billing"), Some(1.0), "{request}");
    }
}

#[tokio::test]
async fn hand_offs_are_counted_over_the_whole_session() {
    let world = World::with(Limits { max_handoffs: 1, ..Limits::NONE }).await;
    let ask = Ask::of("billing", "[suggest orders]").verified();
    assert_eq!(world.ask(&ask).await.called(), ["billing", "orders"]);
    assert_eq!(world.ask(&ask).await.called(), ["billing", "general"]);
    assert_eq!(world.account(&ask).await, answers(3, 1));
}
