//! Many requests while specialists fall ill and get well again.

use std::collections::BTreeMap;
use std::sync::Arc;

use stand_ins::Options;
use stand_ins::events::Form;
use tokio::task::JoinSet;

use crate::support::{Ask, Limits, World, nothing_held, policy_with, sessions};

const REQUESTS: usize = 500;
/// After so many requests the weather changes.
const SPELL: usize = 50;
/// Of two specialists one or both are ill, and then well again.
const WEATHER: [&str; 5] = [
    "orders=error",
    "orders=close-in-stream,support=in-stream:throttlingException:0.5",
    "",
    "support=close",
    "orders=throttle:0.5,support=bad-checksum:0.5",
];
const SPECIALISTS: [&str; 4] = ["orders", "billing", "support", "general"];

/// Circuits that open soon and not for long.
const CIRCUIT: &str = "circuit = { failures = 3, open_seconds = 1, probes = 2 }
    retry = { base_delay_ms = 1, max_delay_ms = 20 }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_everyone_has_a_reply_nothing_is_left_held_and_circuits_recover() {
    // Support may take its time here.
    let policy = policy_with(Limits::NONE, CIRCUIT).replace("timeout_ms = 600", "");
    let options = Options { policy: Some(policy), processes: 4, ..World::options(Limits::NONE) };
    let world = Arc::new(World::start(options).await);
    let mut outcomes: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    for spell in 0..REQUESTS / SPELL {
        world.agents().heal_all();
        let weather = WEATHER[spell % WEATHER.len()];
        if !weather.is_empty() {
            world.agents().fail_as(weather).unwrap();
        }
        let mut asking = JoinSet::new();
        for n in 0..SPELL {
            let world = Arc::clone(&world);
            asking.spawn(async move {
                let session = format!("storm-{}", n % 10);
                let ask = Ask::of(SPECIALISTS[n % 4], "Help!").session(session).verified();
                let invocation = world.invoke(ask.event().to_string(), None).await;
                let reply = invocation.json().expect("a reply in time");
                let body = Form::Function.body(&reply).expect("a body");
                let text = |key: &str| body[key].as_str().map(str::to_owned);
                (text("status").unwrap(), text("reason"))
            });
        }
        for outcome in asking.join_all().await {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    assert_eq!(outcomes.values().sum::<usize>(), REQUESTS);
    assert_eq!(outcomes.keys().filter(|(status, _)| status == "failed").count(), 0, "{outcomes:?}");
    let count = |status: &str| -> usize {
        let of = |((found, _), count): (&(String, _), &usize)| (found == status).then_some(*count);
        outcomes.iter().filter_map(of).sum()
    };
    assert!(count("answered") > REQUESTS / 2 && count("fell_back") > 0, "{outcomes:?}");
    let skipped = outcomes.get(&("fell_back".to_owned(), Some("circuit_open".to_owned())));
    assert!(skipped.is_some_and(|count| *count > 0), "circuits opened: {outcomes:?}");
    let items = sessions(&world).await;
    assert_eq!(items.len(), 10);
    items.iter().for_each(nothing_held);
    assert_eq!(world.errors(), [""; 0]);

    world.agents().heal_all();
    for specialist in ["orders", "support"] {
        // A second or two until the last circuit lets a probe out.
        for attempt in 0.. {
            let told = world.ask(&Ask::of(specialist, "Are you well?")).await;
            if told.outcome() == ("answered", None) {
                break;
            }
            assert_eq!(told.outcome(), ("fell_back", Some("circuit_open")));
            assert!(attempt < 2_000, "{specialist} stays out");
        }
    }
}
