//! Circuits on the whole path: shared by all processes, and set by an operator.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::Options;
use stand_ins::events::{Form, Given};
use stand_ins::table::key;
use tokio::task::JoinSet;

use crate::support::{Ask, Limits, World, policy_with};

/// Opens after 4 failures for 60 s, and closes after 2 probes.
const CIRCUIT: &str = "circuit = { failures = 4, open_seconds = 60, probes = 2 }
    retry = { base_delay_ms = 1, max_delay_ms = 4 }";

async fn world(processes: usize) -> World {
    let policy = Some(policy_with(Limits::NONE, CIRCUIT));
    World::start(Options { policy, processes, ..World::options(Limits::NONE) }).await
}

impl World {
    /// Puts a circuit into the table, as another process or an operator would have.
    async fn has_circuit(&self, specialist: &str, attributes: Value) {
        let mut circuit = json!({"pk": format!("CIRCUIT#{specialist}"), "sk": "STATE"});
        circuit.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        let given = Given::parse(&[circuit.as_object().unwrap().clone()]).unwrap();
        self.table().put_item(given.items()[0].clone()).await.unwrap();
    }

    async fn state_of(&self, specialist: &str) -> Option<String> {
        let key = key(&format!("CIRCUIT#{specialist}"), "STATE");
        let item = self.table().item(&key).await.unwrap()?;
        Some(item["state"].as_s().unwrap().clone())
    }

    fn calls_of(&self, specialist: &str) -> usize {
        self.agents().calls().iter().filter(|call| call.specialist == specialist).count()
    }
}

/// An open circuit whose time is up.
fn due_for_a_probe() -> Value {
    json!({"stamp": 7, "state": "open", "open_until_ms": 1, "changed_at_ms": 0, "written_by": "x"})
}

#[tokio::test]
async fn a_failing_specialist_is_left_alone_by_all_processes() {
    let world = world(2).await;
    world.agents().fail_as("orders=error").unwrap();
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("fell_back", Some("agent_error")));
    assert_eq!(told.metric("CircuitOpened", ""), None, "three failures");
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.called(), ["orders", "general"], "it opens at the fourth");
    assert_eq!(told.metric("CircuitOpened", "Specialist=orders"), Some(1.0));
    assert!(world.logs().iter().any(|line| line.contains("circuit changed")));
    // New processes, which know nothing.
    world.renew_processes().await.unwrap();
    world.agents().heal_all();
    for _ in 0..4 {
        let ask = Ask::orders("Where is it?");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("circuit_open")));
        assert_eq!(told.called(), ["general"]);
        assert_eq!(world.account(&ask).await.unwrap().steps, 1, "only general is paid");
        assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0));
        assert_eq!(told.metric("Fallbacks", "Specialist=orders"), Some(1.0));
        assert_eq!(told.metric("RoutingAccuracy", ""), None);
    }
    assert_eq!(world.state_of("orders").await.unwrap(), "open");
}

#[tokio::test]
async fn the_failures_of_one_session_take_a_specialist_from_nobody() {
    let world = world(1).await;
    world.agents().fail_as("orders=close-in-stream").unwrap();
    let of_one = Ask::orders("Where is it?").session("one");
    for _ in 0..6 {
        let told = world.ask(&of_one).await;
        assert_eq!(told.outcome(), ("fell_back", Some("stream_broken")));
    }
    assert_eq!(world.state_of("orders").await.unwrap(), "closed");
    let told = world.ask(&Ask::orders("Where is it?").session("another")).await;
    assert_eq!(told.metric("CircuitOpened", ""), Some(1.0));
    assert_eq!(world.ask(&of_one).await.outcome(), ("fell_back", Some("circuit_open")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_have_one_probe_out_at_a_time() {
    let world = Arc::new(world(4).await);
    world.has_circuit("support", due_for_a_probe()).await;
    // The probe does not come back, so that all others meet it. Support may take 600 ms.
    world.agents().fail_as("support=hang").unwrap();
    let mut asking = JoinSet::new();
    for _ in 0..40 {
        let world = Arc::clone(&world);
        asking.spawn(async move {
            let event = Ask::of("support", "Help!").event().to_string();
            let invocation = world.invoke(event, None).await;
            let body = Form::Function.body(&invocation.json().expect("a reply")).unwrap();
            body["reason"].as_str().unwrap().to_owned()
        });
    }
    let reasons = asking.join_all().await;
    assert_eq!(world.calls_of("support"), 1, "one probe: {reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "timeout").count(), 1);
    assert_eq!(reasons.iter().filter(|reason| *reason == "circuit_open").count(), 39);
    assert_eq!(world.state_of("support").await.unwrap(), "open", "the probe has failed");
}

#[tokio::test]
async fn a_specialist_that_is_well_again_is_called_again() {
    let world = world(1).await;
    world.has_circuit("orders", due_for_a_probe()).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(world.state_of("orders").await.unwrap(), "half_open", "one probe of two");
    world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(world.state_of("orders").await.unwrap(), "closed");
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_circuit_again() {
    let world = world(1).await;
    world.has_circuit("orders", due_for_a_probe()).await;
    world.agents().fail_as("orders=close-in-stream").unwrap();
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.called(), ["orders", "general"], "no retry");
    assert_eq!(told.metric("CircuitOpened", ""), Some(1.0));
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("fell_back", Some("circuit_open")));
}

#[tokio::test]
async fn the_callers_own_mistakes_and_throttling_never_open_a_circuit() {
    let world = world(1).await;
    for fault in ["before:validationException", "before:accessDeniedException", "throttle"] {
        world.agents().fail_as(&format!("orders={fault}")).unwrap();
        for _ in 0..5 {
            let told = world.ask(&Ask::orders("Where is it?")).await;
            assert_ne!(told.outcome(), ("fell_back", Some("circuit_open")), "{fault}");
        }
    }
    assert_eq!(world.state_of("orders").await, None, "nothing was written");
}

#[tokio::test]
async fn an_operator_switches_a_specialist_off() {
    let world = world(1).await;
    world.has_circuit("orders", json!({"forced": "open"})).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("fell_back", Some("circuit_open")));
    world.has_circuit("general", json!({"forced": "open"})).await;
    world.renew_processes().await.unwrap();
    let ask = Ask::orders("Where is it?");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("refused", Some("circuit_open")));
    assert_eq!(world.account(&ask).await, None, "nothing was charged");
    told.nobody_was_called();
}

#[tokio::test]
async fn an_operator_switches_all_specialists_off() {
    let world = world(1).await;
    world.has_circuit("*", json!({"forced": "open"})).await;
    for specialist in ["orders", "general", "astrology"] {
        let told = world.ask(&Ask::of(specialist, "Where is it?")).await;
        assert_eq!(told.outcome(), ("refused", Some("circuit_open")), "{specialist}");
        assert_eq!(told.metric_names(), ["RouterOverhead"], "{specialist}");
        told.nobody_was_called();
    }
}

#[tokio::test]
async fn an_operator_keeps_a_specialist_on() {
    let world = world(1).await;
    let open = json!({"stamp": 7, "state": "open", "open_until_ms": 9_999_999_999_999_u64});
    world.has_circuit("orders", open).await;
    world.has_circuit("*", json!({"forced": "closed"})).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("answered", None));
}

#[tokio::test]
async fn a_table_that_is_down_leaves_all_circuits_closed() {
    let policy = policy_with(Limits::NONE, CIRCUIT)
        .replace("[session]", "[session]\non_ledger_failure = \"allow\"");
    let options =
        Options { policy: Some(policy), table_down: true, ..World::options(Limits::NONE) };
    let options = Options { lambda_timeout: Duration::from_secs(60), ..options };
    let world = World::start(options).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("answered", None));
    let warnings = |lines: &[String]| {
        lines.iter().filter(|line| line.contains("circuits are not known")).count()
    };
    assert_eq!(warnings(&told.lines), 1);
}
