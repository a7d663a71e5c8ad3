//! A policy in the table, which changes while the function runs.
//!
//! The function looks after each reply here. What is compiled into it allows 12 steps; the policies
//! of these tests tell each other apart by that number.

use std::collections::BTreeMap;

use stand_ins::Options;
use stand_ins::table::{AttributeValue, Item, key};
use stand_ins::table_faults::Fault;

use crate::support::{Ask, Limits, World, agents_with, policy};

/// What the compiled-in policy allows.
const COMPILED_IN: u64 = 12;

fn with_steps(max_steps: u64) -> String {
    policy(Limits { max_steps, ..Limits::NONE })
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A function that looks for its policy in the table, which has none yet.
async fn world() -> World {
    let slow = "answer = 'yes'\nusage = [{ input = 500, output = 100 }]\ndelay_ms = 300";
    let agents = Some(agents_with([("[slow]", slow)]));
    let env = [("ROUTING_POLICY", "table"), ("POLICY_REFRESH_SECONDS", "0")];
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    World::start(Options { policy: None, agents, env, ..World::options(Limits::NONE) }).await
}

impl World {
    async fn put_policy(&self, attributes: impl IntoIterator<Item = (&str, AttributeValue)>) {
        let mut item = key("POLICY", "CURRENT");
        item.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self.table().put_item(item).await.unwrap();
    }

    /// The steps that the policy of the next request allows.
    async fn steps(&self) -> u64 {
        let told = self.ask(&Ask::of("general", "Are you there?")).await;
        assert_eq!(told.outcome(), ("answered", None));
        told.left().0 + 1
    }

    /// Asks, has `change` done while an agent works on its answer, and tells the steps that this
    /// request's policy allows. A change after a reply might come before the look or after it.
    async fn steps_during(&self, change: impl Future<Output = ()>) -> u64 {
        let ask = Ask::orders("[slow]");
        let calls = self.agents().calls().len();
        let (told, ()) = tokio::join!(self.ask(&ask), async {
            self.agents().wait_for_calls(calls + 1).await;
            change.await;
        });
        assert_eq!(told.outcome(), ("answered", None));
        told.left().0 + 1
    }

    fn rejections(&self) -> f64 {
        let data = self.metrics().batches().into_iter().flat_map(|batch| batch.data);
        let rejected = data.filter(|datum| datum.name == "PolicyRejected");
        rejected.map(|datum| (assert_eq!(datum.dimension_set(), ""), datum.sum()).1).sum()
    }
}

#[tokio::test]
async fn a_changed_policy_counts_from_the_request_after_the_look_at_it() {
    let world = world().await;
    assert_eq!(world.steps().await, COMPILED_IN, "the table has none");
    let put = |steps| {
        let world = &world;
        async move { world.put_policy([("toml", text(&with_steps(steps)))]).await }
    };
    assert_eq!(world.steps_during(put(20)).await, COMPILED_IN, "one request, one policy");
    assert_eq!(world.steps().await, 20);
    assert_eq!(world.steps_during(put(30)).await, 20);
    assert_eq!(world.steps().await, 30);
    let taken_away = async {
        world.table().delete_item(&key("POLICY", "CURRENT")).await.unwrap();
    };
    assert_eq!(world.steps_during(taken_away).await, 30);
    assert_eq!(world.steps().await, COMPILED_IN);
    assert_eq!((world.cold_starts(), world.rejections()), (1, 0.0));
    world.put_policy([("toml", text(&with_steps(40)))]).await;
    world.renew_processes().await.unwrap();
    assert_eq!(world.steps().await, 40, "a cold start reads it first");
}

#[tokio::test]
async fn a_bad_policy_is_refused_whole_logged_without_its_content_and_counted_once() {
    let world = world().await;
    world.put_policy([("toml", text(&with_steps(20)))]).await;
    world.renew_processes().await.unwrap();
    let newer = format!("{}\n[secret-table]\nkey = \"SECRET\"", with_steps(30));
    let wrong = with_steps(30).replace("fallback = \"general\"", "fallback = \"SECRET\"");
    let too_large = format!("{}\n# {}", with_steps(30), "x".repeat(200_000));
    let without_agent = format!(
        "{}\n[specialists.logistics]\ndescription = \"SECRET\"\nmax_tokens_per_call = 1\n\
         price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}",
        with_steps(30)
    );
    let fewer = with_steps(30).replace("specialists.billing", "specialists.invoices");
    let bad = [&newer, &wrong, &too_large, &without_agent, &fewer, "[SECRET", ""].map(text);
    let bad = [AttributeValue::N("7".to_owned())].into_iter().chain(bad);
    for (number, bad) in bad.enumerate() {
        world.put_policy([("toml", bad)]).await;
        for _ in 0..3 {
            assert_eq!(world.steps().await, 20, "the one before stays, {number}");
        }
        let counted = world.rejections();
        assert_eq!(counted, (number + 1) as f64, "policy {number}");
    }
    let logs = world.logs().concat();
    assert!(!logs.contains("SECRET"), "{logs}");
    for setting in ["secret-table", "routing.fallback", "specialists.logistics.agent"] {
        assert!(logs.contains(&format!("\"setting\":\"{setting}\"")), "{setting} is not in {logs}");
    }
    world.put_policy([("toml", text(&with_steps(50)))]).await;
    world.steps().await;
    assert_eq!(world.steps().await, 50);
}

#[tokio::test]
async fn an_older_version_that_does_not_know_a_newer_key_keeps_its_own_policy() {
    let world = world().await;
    let newer = format!("{}\n[later]\nkey = true", with_steps(30));
    // A canary's version pushed it. An environment of the older one that runs:
    world.put_policy([("toml", text(&newer))]).await;
    assert_eq!((world.steps().await, world.steps().await), (COMPILED_IN, COMPILED_IN));
    // One that starts, with and without a policy before it.
    world.renew_processes().await.unwrap();
    assert_eq!((world.steps().await, world.steps().await), (COMPILED_IN, COMPILED_IN));
    world.put_policy([("toml", text(&newer)), ("previous", text(&with_steps(20)))]).await;
    world.renew_processes().await.unwrap();
    assert_eq!((world.steps().await, world.steps().await), (20, 20));
    assert_eq!(world.rejections(), 3.0);
}

#[tokio::test]
async fn a_silent_table_changes_no_policy_and_is_asked_again() {
    let world = world().await;
    world.put_policy([("toml", text(&with_steps(20)))]).await;
    let silent = || world.table().faults().script(Fault::ServerError.on("GetItem").times(3));
    silent();
    world.renew_processes().await.unwrap();
    assert_eq!(world.steps().await, COMPILED_IN, "it is not known at the cold start");
    assert_eq!(world.steps().await, 20);
    let change = async {
        world.put_policy([("toml", text(&with_steps(30)))]).await;
        silent();
    };
    assert_eq!(world.steps_during(change).await, 20);
    assert_eq!(world.steps().await, 20);
    assert_eq!(world.steps().await, 30);
    assert_eq!((world.table().faults().left(), world.rejections()), (0, 0.0));
}

#[tokio::test]
async fn circuits_budgets_and_sentences_follow_a_new_roster() {
    let world = world().await;
    let used_up = Ask::of("general", "Are you there?");
    let few = with_steps(1);
    let more = with_steps(5).replace("fallback = \"general\"", "fallback = \"logistics\"")
        + "\n[specialists.logistics]\ndescription = \"parcels\"\nagent = \"ORDERS0001/LIVE000001\"\n\
         requires_verified_identity = false\nmax_tokens_per_call = 1000\n\
         price = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 }";
    world.put_policy([("toml", text(&few))]).await;
    world.steps().await;
    assert_eq!(world.ask(&used_up).await.outcome(), ("answered", None));
    assert_eq!(world.ask(&used_up).await.outcome(), ("refused", Some("budget_steps")));
    let forced = ("forced".to_owned(), text("open"));
    let item: Item = key("CIRCUIT#logistics", "STATE").into_iter().chain([forced]).collect();
    world.table().put_item(item).await.unwrap();
    world.steps_during(world.put_policy([("toml", text(&more))])).await;
    assert_eq!(world.ask(&used_up).await.outcome(), ("answered", None), "no refusal is remembered");
    let told = world.ask(&Ask::of("logistics", "Where is it?")).await;
    assert_eq!(told.outcome().1, Some("circuit_open"), "its circuit was never read before");
    let told = world.ask(&Ask::of("<none>", "Where is it?")).await;
    assert!(told.body["message"].as_str().unwrap().contains("logistics"), "{}", told.body);
}
