//! What a session is charged, and what is left for those that are asked next.

use stand_ins::Options;
use stand_ins::table::Item;

use crate::support::{Account, Ask, Limits, World, agents_with, policy, sessions};

/// One attempt, after which nobody knows what it used.
const BROKEN: [(&str, &str); 1] = [("[broken]", "fault = 'in-stream:dependencyFailedException'")];

async fn world(limits: Limits) -> World {
    let agents = Some(agents_with(BROKEN));
    World::start(Options { agents, policy: Some(policy(limits)), ..Options::default() }).await
}

#[tokio::test]
async fn a_fallback_for_which_nothing_is_left_leaves_the_first_reason() {
    for (limits, limit) in [
        (Limits { max_steps: 1, ..Limits::NONE }, "steps"),
        (Limits { max_tokens: 11_999, ..Limits::NONE }, "tokens"),
        (Limits { max_cost_usd: 0.135999, ..Limits::NONE }, "cost"),
    ] {
        let world = world(limits).await;
        let ask = Ask::orders("[broken]");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("failed", Some("agent_error")), "{limit}");
        assert_eq!(told.called(), ["orders"], "{limit}");
        let used = Account { steps: 1, tokens: 8_000, micro_usd: 120_000 };
        assert_eq!(world.account(&ask).await, Some(used), "{limit}");
        let set = format!("Limit={limit}");
        assert_eq!(told.metric("BudgetRefusals", &set), Some(1.0), "{limit}");
        assert_eq!(told.metric("Fallbacks", ""), None, "nobody took its place");
    }
}

#[tokio::test]
async fn a_hold_is_given_back_before_the_next_specialist_is_asked() {
    // Both holds do not fit in at once; what orders did not use makes room for general.
    let world = World::start(Options {
        agents: Some(agents_with([("[throttled]", "fault = 'before:throttlingException'")])),
        ..World::options(Limits { max_tokens: 8_000, max_cost_usd: 0.12, ..Limits::NONE })
    })
    .await;
    let ask = Ask::orders("[throttled]");
    assert_eq!(world.ask(&ask).await.outcome(), ("fell_back", Some("throttled")));
    let used = Account { steps: 2, tokens: 250, micro_usd: 360 };
    assert_eq!(world.account(&ask).await, Some(used));
}

#[tokio::test]
async fn supervisors_under_one_root_session_share_one_budget() {
    let world = world(Limits { max_steps: 3, ..Limits::NONE }).await;
    let root = Ask::orders("Where is it?").session("root");
    let nested = |id: &str| {
        let ask = Ask::orders("Where is it?").session(id).attribute("root_session_id", "root");
        ask.attribute("router_hops", "1")
    };
    for ask in [root.clone(), nested("collaborator-1"), nested("collaborator-2")] {
        assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
    }
    for ask in [&root, &nested("collaborator-1"), &nested("collaborator-3")] {
        assert_eq!(world.ask(ask).await.outcome(), ("refused", Some("budget_steps")));
    }
    let used = Account { steps: 3, tokens: 1_800, micro_usd: 9_000 };
    assert_eq!(world.account(&root).await, Some(used));
    assert_eq!(sessions(&world).await.len(), 1, "no other session is charged");
}

#[tokio::test]
async fn two_equal_requests_are_two_charges() {
    let world = world(Limits::NONE).await;
    let ask = Ask::orders("Where is it?").argument("task_id", "t-1");
    for calls in 1..=20 {
        assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
        let used = Account { steps: calls, tokens: 600 * calls, micro_usd: 3_000 * calls };
        assert_eq!(world.account(&ask).await, Some(used));
    }
}

#[tokio::test]
async fn the_item_does_not_grow_with_the_session() {
    let world = world(Limits::NONE).await;
    let ask = Ask::orders("Where is it?");
    let mut sizes = Vec::new();
    for _ in 0..60 {
        world.ask(&ask).await;
        let item: Item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
        let (recent, others): (Vec<&String>, Vec<&String>) =
            item.keys().partition(|name| name.starts_with("recent_"));
        assert!(recent.len() <= 16, "{recent:?}");
        sizes.push(others.len());
    }
    // The first settlement adds what was spent with the specialist.
    assert!(sizes[2..].iter().all(|size| *size == sizes[2]), "{sizes:?}");
}

#[tokio::test]
async fn a_session_expires_some_time_after_its_last_call() {
    let policy = policy(Limits::NONE).replace("[session]", "[session]\nidle_ttl_seconds = 3600");
    let world =
        World::start(Options { policy: Some(policy), ..World::options(Limits::NONE) }).await;
    let ask = Ask::orders("Where is it?");
    let told = world.ask(&ask).await;
    let item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    let expires_at: f64 = item["expires_at"].as_n().unwrap().parse().unwrap();
    let answered_at = told.batches[0].data[0].timestamp.unwrap();
    let idle = expires_at - answered_at;
    assert!((3_500.0..=3_601.0).contains(&idle), "{idle} s after the call");
}

#[tokio::test]
async fn an_outage_costs_what_the_policy_says_an_unknown_attempt_costs() {
    let policy = policy(Limits::NONE).replace(
        "intents = [\"delivery\"]",
        "intents = [\"delivery\"]\nunknown_usage_tokens = 1000",
    );
    let agents = agents_with([
        ("[broken]", "fault = 'in-stream:dependencyFailedException'"),
        // What ended in order is charged as reported.
        ("[reported]", "fault = 'soft-failure'\nusage = [{ input = 2000, output = 0 }]"),
        ("[unreported]", "answer = 'yes'"),
    ]);
    let options =
        Options { agents: Some(agents), policy: Some(policy), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    for (request, steps, tokens, micro_usd) in [
        ("[broken]", 2, 1_250, 15_360),
        ("[reported]", 2, 2_250, 6_360),
        ("[unreported]", 1, 1_000, 15_000),
    ] {
        let ask = Ask::orders(request);
        world.ask(&ask).await;
        let used = Account { steps, tokens, micro_usd };
        assert_eq!(world.account(&ask).await, Some(used), "{request}");
    }
}
