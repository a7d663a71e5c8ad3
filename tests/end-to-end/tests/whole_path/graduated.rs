//! What happens before a budget is used up, and around it: warnings, cheaper agents, calls that
//! go too far, repetitions, tenants, limits raised by hand.

use stand_ins::Options;
use stand_ins::table::AttributeValue;

use crate::support::{Account, Ask, Limits, World, agents_with, policy, sessions};

/// A world whose session rules and other tables are extended by some lines.
async fn world(limits: Limits, session: &str, more: &str, replies: &[(&str, &str)]) -> World {
    let text = policy(limits).replace("[session]", &format!("[session]\n{session}"));
    let options = Options {
        policy: Some(format!("{text}\n{more}")),
        agents: Some(agents_with(replies.iter().copied())),
        ..Options::default()
    };
    World::start(options).await
}

#[tokio::test]
async fn the_supervisor_is_told_how_little_is_left_from_warn_at_on() {
    let limits = Limits { max_steps: 4, ..Limits::NONE };
    let world = world(limits, "warn_at = 0.75", "", &[]).await;
    let ask = Ask::orders("Where is it?");
    for (message, utilization) in [(false, 25.0), (false, 50.0), (true, 75.0), (true, 100.0)] {
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(told.body["message"].is_string(), message, "{}", told.body);
        assert_eq!(told.metric("BudgetUtilization", ""), Some(utilization));
    }
    assert_eq!(world.ask(&ask).await.outcome(), ("refused", Some("budget_steps")));
}

#[tokio::test]
async fn a_cheaper_agent_answers_from_degrade_at_on() {
    let limits = Limits { max_steps: 2, ..Limits::NONE };
    let text = policy(limits)
        .replace("[session]", "[session]\ndegrade_at = 0.5")
        .replace("[specialists.orders]", "[specialists.orders]\ndegraded_agent = \"CHEAP/LIVE\"");
    let cheap = "[cheap]\nagent = 'CHEAP/LIVE'\nlisted = false\n[[cheap.replies]]\nanswer = 'yes'";
    let agents = format!("{}\n{cheap}", agents_with([]));
    let options = Options { policy: Some(text), agents: Some(agents), ..Options::default() };
    let world = World::start(options).await;
    let ask = Ask::orders("Where is it?");
    assert_eq!(world.ask(&ask).await.called(), ["orders"]);
    let told = world.ask(&ask).await;
    assert_eq!(told.called(), ["cheap"]);
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["specialist"], "orders", "it plays the same part");
}

#[tokio::test]
async fn a_call_that_goes_on_after_too_many_tokens_is_cut_and_charged_its_hold_at_least() {
    let far =
        "answer = 'late'\nusage = [{ input = 7000, output = 1001 }, { input = 1, output = 1 }]";
    let just = "answer = 'in time'\nusage = [{ input = 7000, output = 1001 }]";
    let world = world(Limits::NONE, "", "", &[("[far]", far), ("[just]", just)]).await;
    let ask = Ask::orders("[far]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("budget_tokens")));
    assert_eq!(told.called(), ["orders", "general"]);
    let used = Account { steps: 2, tokens: 8_001 + 250, micro_usd: 120_000 + 360 };
    assert_eq!(world.account(&ask).await, Some(used));
    // An answer that is complete is kept, and its overrun charged.
    let ask = Ask::orders("[just]");
    assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
    let used = Account { steps: 1, tokens: 8_001, micro_usd: 36_015 };
    assert_eq!(world.account(&ask).await, Some(used));
}

#[tokio::test]
async fn the_same_request_again_and_again_is_a_loop() {
    let world = world(Limits::NONE, "max_repeats = 2", "", &[]).await;
    let ask = |request: &str| Ask::orders(request).session("loop");
    assert_eq!(world.ask(&ask("Where is it?")).await.outcome(), ("answered", None));
    assert_eq!(world.ask(&ask(" WHERE is\nit?")).await.outcome(), ("answered", None));
    let told = world.ask(&ask("Where is it?")).await;
    assert_eq!(told.outcome(), ("refused", Some("loop_detected")));
    assert_eq!(told.metric("LoopsDetected", ""), Some(1.0));
    told.nobody_was_called();
    assert_eq!(world.ask(&ask("Where is the other?")).await.outcome(), ("answered", None));
    assert_eq!(world.ask(&Ask::orders("Where is it?")).await.outcome(), ("answered", None));
}

#[tokio::test]
async fn within_the_window_the_same_request_of_the_same_user_is_answered_as_before_at_no_cost() {
    let limits = Limits { max_turns_per_specialist: 2, ..Limits::NONE };
    let world = world(limits, "repeat_window_seconds = 3600", "", &[]).await;
    let ask = |user: &str| Ask::orders("Where is it?").session("s").attribute("user_id", user);
    let first = world.ask(&ask("u-1")).await;
    let spent = world.account(&ask("u-1")).await;
    let again = world.ask(&ask("u-1")).await;
    assert_eq!(again.outcome(), ("answered", None));
    assert_eq!(again.body["answer"], first.body["answer"]);
    assert_eq!(again.body["budget"], first.body["budget"]);
    assert_eq!((again.called(), again.body["attempts"].as_u64()), (Vec::new(), Some(0)));
    assert_eq!(world.account(&ask("u-1")).await, spent);
    // Another user is not told what the first one was told, and neither is one who has proved
    // who they are and may hear more.
    let refused = world.ask(&ask("u-2")).await;
    assert_eq!(refused.outcome(), ("refused", Some("bad_request")));
    assert!(refused.body["answer"].is_null());
    assert_eq!(world.ask(&ask("u-1").verified()).await.called(), ["orders"]);
    // The specialist has had its two turns: the next is in a new session, which knows nothing.
    assert_eq!(world.ask(&ask("u-1")).await.called(), ["orders"]);
}

#[tokio::test]
async fn a_tenants_day_ends_all_of_its_sessions_and_no_others() {
    let day = "[tenant_day]\nmax_cost_usd = 0.13\nblock_usd = 0.12";
    let world = world(Limits::NONE, "", day, &[]).await;
    let ask = |tenant: &str| Ask::orders("Where is it?").attribute("tenant_id", tenant);
    assert_eq!(world.ask(&ask("acme")).await.outcome(), ("answered", None));
    let told = world.ask(&ask("acme")).await;
    assert_eq!(told.outcome(), ("refused", Some("budget_tenant")));
    assert_eq!(told.metric("BudgetRefusals", "Limit=tenant"), Some(1.0));
    told.nobody_was_called();
    assert_eq!(world.ask(&ask("other")).await.outcome(), ("answered", None));
}

#[tokio::test]
async fn a_session_belongs_to_the_tenant_of_its_first_call() {
    let world = world(Limits::NONE, "", "", &[]).await;
    let ask =
        |tenant: &str| Ask::orders("Where is it?").session("s").attribute("tenant_id", tenant);
    assert_eq!(world.ask(&ask("acme")).await.outcome(), ("answered", None));
    let told = world.ask(&ask("other")).await;
    assert_eq!(told.outcome(), ("refused", Some("bad_request")));
    told.nobody_was_called();
    assert_eq!(sessions(&world).await.len(), 1);
}

#[tokio::test]
async fn a_paused_session_goes_on_when_its_limit_is_raised_by_hand() {
    let world = world(Limits { max_handoffs: 0, ..Limits::NONE }, "", "", &[]).await;
    let ask = Ask::of("billing", "[suggest orders]").verified();
    // Hand-offs are not kept in the memory of used-up sessions, so that no time need pass.
    assert_eq!(world.ask(&ask).await.called(), ["billing", "general"]);
    let mut item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    item.insert("limit_handoffs".to_owned(), AttributeValue::N("1".to_owned()));
    world.table().put_item(item).await.unwrap();
    assert_eq!(world.ask(&ask).await.called(), ["billing", "orders"]);
    assert_eq!(world.ask(&ask).await.called(), ["billing", "general"]);
}

#[tokio::test]
async fn calls_that_the_policy_lets_go_uncounted_are_counted_as_such() {
    let text =
        policy(Limits::NONE).replace("[session]", "[session]\non_ledger_failure = \"allow\"");
    let options = Options { policy: Some(text), table_down: true, ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.metric("UncountedInvocations", ""), Some(1.0));
}
