//! Limits that several sessions share: the gateways' hour, and a user's day.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use stand_ins::Options;
use stand_ins::events::Form;
use stand_ins::table::Item;
use stand_ins::table_faults::Fault;

use crate::support::{Ask, Limits, Told, World, policy, sessions};

/// What a hold of orders holds, and what an answer of it costs, in micro-dollars.
const HELD: u64 = 120_000;
const USED: u64 = 3_000;

/// A world whose policy ends with these tables.
async fn world(tables: &str) -> World {
    let policy = Some(format!("{}\n{tables}", policy(Limits::NONE)));
    World::start(Options { policy, ..World::options(Limits::NONE) }).await
}

fn by_gateway(session: &str) -> Ask {
    Ask::orders("Where is it?").session(session).form(Form::Gateway)
}

fn by_user(session: &str, user: &str) -> Ask {
    Ask::orders("Where is it?").session(session).attribute("user_id", user)
}

/// The numbers of the items whose partition key begins so, added up.
async fn sums(world: &World, pk: &str) -> BTreeMap<String, u64> {
    let mut items = world.table().scan().await.unwrap();
    items.retain(|item| item["pk"].as_s().is_ok_and(|found| found.starts_with(pk)));
    let mut sums = BTreeMap::new();
    for (name, value) in items.iter().flat_map(Item::iter) {
        if let Ok(number) = value.as_n() {
            *sums.entry(name.clone()).or_insert(0) += number.parse::<u64>().unwrap_or(0);
        }
    }
    sums
}

fn was_refused(told: &Told, reason: &str) {
    assert_eq!(told.outcome(), ("refused", Some(reason)));
    told.nobody_was_called();
    let limit = format!("Limit={}", reason.trim_start_matches("budget_"));
    assert_eq!(told.metric("BudgetRefusals", &limit), Some(1.0));
    assert_eq!(told.metric("BudgetRefusals", ""), Some(1.0));
}

#[tokio::test]
async fn inventing_session_ids_at_a_gateway_buys_nothing() {
    let world = world("[gateway_hour]\nmax_steps = 3").await;
    for session in ["a", "b", "c"] {
        assert_eq!(world.ask(&by_gateway(session)).await.outcome(), ("answered", None));
    }
    was_refused(&world.ask(&by_gateway("d")).await, "budget_gateway");
    was_refused(&world.ask(&by_gateway("a")).await, "budget_gateway");
    let hour = sums(&world, "GATEWAY").await;
    assert_eq!((hour["steps"], hour["committed_micro_usd"]), (3, 3 * USED));
    assert_eq!(hour["spent_micro_usd"], 3 * USED);
    assert_eq!(sessions(&world).await.len(), 3, "the fourth is not begun");
    // An application's own sessions have nothing to do with it.
    assert_eq!(world.ask(&Ask::orders("Where?")).await.outcome(), ("answered", None));
    assert_eq!(sums(&world, "GATEWAY").await["steps"], 3);
}

#[tokio::test]
async fn where_an_interceptor_vouches_for_the_session_the_hour_does_not_count() {
    let env = BTreeMap::from([("GATEWAY_INJECTS_SESSION".to_owned(), "true".to_owned())]);
    let policy = Some(format!("{}\n[gateway_hour]\nmax_steps = 1", policy(Limits::NONE)));
    let world = World::start(Options { env, policy, ..World::options(Limits::NONE) }).await;
    for session in ["a", "b"] {
        assert_eq!(world.ask(&by_gateway(session)).await.outcome(), ("answered", None));
    }
    assert!(sums(&world, "GATEWAY").await.is_empty());
}

#[tokio::test]
async fn the_hours_money_is_what_was_used_and_not_what_was_held() {
    // Two holds do not fit, a hold beside what was used does.
    let max = (HELD + USED) as f64 / 1e6;
    let world = world(&format!("[gateway_hour]\nmax_cost_usd = {max}")).await;
    assert_eq!(world.ask(&by_gateway("a")).await.outcome(), ("answered", None));
    assert_eq!(world.ask(&by_gateway("b")).await.outcome(), ("answered", None));
    was_refused(&world.ask(&by_gateway("c")).await, "budget_gateway");
}

#[tokio::test]
async fn many_gateway_calls_at_once_do_not_pass_the_hour_and_leave_nothing_held() {
    let policy = Some(format!("{}\n[gateway_hour]\nmax_steps = 20", policy(Limits::NONE)));
    let options = Options { processes: 4, policy, ..World::options(Limits::NONE) };
    let options = Options { lambda_timeout: Duration::from_secs(60), ..options };
    let world = World::start(options).await;
    let ask = async |number: usize| {
        let ask = by_gateway(&format!("s{}", number % 16));
        let context = ask.client_context();
        let invocation = world.invoke(ask.event().to_string(), context).await;
        let body = Form::Gateway.body(&invocation.json().expect("a reply")).unwrap();
        body["reason"].as_str().unwrap_or("answered").to_owned()
    };
    let outcomes = join_all((0..32).map(ask)).await;
    let count = |reason: &str| outcomes.iter().filter(|outcome| *outcome == reason).count();
    assert_eq!((count("answered"), count("budget_gateway")), (20, 12), "{outcomes:?}");
    let hour = sums(&world, "GATEWAY").await;
    assert_eq!((hour["steps"], hour["committed_micro_usd"]), (20, 20 * USED));
    let sessions = sums(&world, "SESSION#gateway/").await;
    assert_eq!((sessions["steps"], sessions["committed_micro_usd"]), (20, 20 * USED));
}

#[tokio::test]
async fn a_settlement_of_a_gateway_session_whose_answer_is_lost_is_made_once() {
    let world = world("").await;
    // The first transaction takes the hold, the second one settles it.
    world.table().faults().script(Fault::CloseAfterApplying.on("TransactWriteItems").times(2));
    assert_eq!(world.ask(&by_gateway("a")).await.outcome(), ("answered", None));
    let hour = sums(&world, "GATEWAY").await;
    let found = ["steps", "committed_micro_usd", "spent_micro_usd"].map(|name| hour[name]);
    assert_eq!(found, [1, USED, USED]);
}

#[tokio::test]
async fn without_its_table_a_gateway_session_is_refused_and_nothing_is_held() {
    let world = world("").await;
    world.table().faults().script(Fault::ServerError.on("TransactWriteItems").times(50));
    let told = world.ask(&by_gateway("a")).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    told.nobody_was_called();
    assert!(sums(&world, "GATEWAY").await.is_empty());
}

#[tokio::test]
async fn a_users_sessions_share_the_users_day_and_another_user_has_one_of_its_own() {
    let day = "[tenant_day]\nmax_cost_usd = 25\nblock_usd = 0.12\n[user_day]\nmax_cost_usd = 0.25";
    let world = world(day).await;
    assert_eq!(world.ask(&by_user("a", "u-1")).await.outcome(), ("answered", None));
    assert_eq!(world.ask(&by_user("b", "u-1")).await.outcome(), ("answered", None));
    let told = world.ask(&by_user("c", "u-1")).await;
    was_refused(&told, "budget_user");
    assert_eq!(world.ask(&by_user("d", "u-2")).await.outcome(), ("answered", None));
    // One without a user has no such limit, and is the user's who comes first.
    let without = Ask::orders("Where is it?").session("e");
    assert_eq!(world.ask(&without).await.outcome(), ("answered", None));
    was_refused(&world.ask(&by_user("e", "u-1")).await, "budget_user");
    assert_eq!(sums(&world, "USER#").await["drawn_micro_usd"], 3 * HELD);
}

#[tokio::test]
async fn nothing_in_the_table_tells_who_the_user_is() {
    let world = world("[user_day]\nmax_cost_usd = 2").await;
    world.ask(&by_user("a", "someone@example.com")).await;
    let items = format!("{:?}", world.table().scan().await.unwrap());
    assert!(items.contains("USER#") && !items.contains("someone"), "{items}");
}
