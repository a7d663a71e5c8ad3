//! The policy's item under writers who do not know of each other, and over a bad line.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use router_aws::policy::{PolicyStore, Pushed, StoredPolicy};
use router_aws::{Table, emulator_configuration};
use router_core::units::Timestamp;
use stand_ins::table::{self, AttributeValue, key};
use stand_ins::table_faults::Fault;

const NOW: Timestamp = Timestamp(1_000);

async fn store() -> (PolicyStore, table::Table) {
    let there = table::Table::start().await.unwrap();
    let config = emulator_configuration(&there.url()).await;
    (PolicyStore::new(Table::new(&config, there.name())), there)
}

fn policy(toml: &str, previous: Option<&str>) -> StoredPolicy {
    StoredPolicy { toml: Some(toml.to_owned()), previous: previous.map(str::to_owned) }
}

#[tokio::test]
async fn a_policy_takes_the_place_of_the_one_that_was_read_or_of_none() {
    let (store, there) = store().await;
    let none = store.read().await.unwrap();
    assert_eq!(none, StoredPolicy::default());
    assert_eq!(store.push("a = 1", &none, NOW).await, Ok(Pushed::Stored));
    assert_eq!(store.push("b = 2", &none, NOW).await, Ok(Pushed::Lost));
    let first = store.read().await.unwrap();
    assert_eq!(first, policy("a = 1", None));
    assert_eq!(store.push("b = 2", &first, NOW).await, Ok(Pushed::Stored));
    assert_eq!(store.push("c = 3", &first, NOW).await, Ok(Pushed::Lost));
    assert_eq!(store.read().await.unwrap(), policy("b = 2", Some("a = 1")));
    // A person writes the item in the console, with an attribute of a later version.
    let mut item = key("POLICY", "CURRENT");
    let text = |value: &str| AttributeValue::S(value.to_owned());
    item.extend(
        [("toml", "d = 4"), ("later", "x")].map(|(name, value)| (name.to_owned(), text(value))),
    );
    there.put_item(item).await.unwrap();
    assert_eq!(store.push("c = 3", &policy("b = 2", None), NOW).await, Ok(Pushed::Lost));
    assert_eq!(store.push("c = 3", &policy("d = 4", None), NOW).await, Ok(Pushed::Stored));
    let item = there.item(&key("POLICY", "CURRENT")).await.unwrap().unwrap();
    assert_eq!(item["later"], text("x"), "unknown attributes are kept");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised() {
    let (store, there) = store().await;
    for fault in [Fault::CloseAfterApplying, Fault::ServerErrorAfterApplying] {
        let read = store.read().await.unwrap();
        there.faults().script(fault.on("UpdateItem"));
        let toml = format!("fault = '{fault:?}'");
        assert_eq!(store.push(&toml, &read, NOW).await, Ok(Pushed::Stored));
        assert_eq!(store.read().await.unwrap().toml, Some(toml));
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_twice_gives_way() {
    let (store, there) = store().await;
    let mut item = key("POLICY", "CURRENT");
    let huge = "#".repeat(380_000);
    item.insert("toml".to_owned(), AttributeValue::S(huge.clone()));
    there.put_item(item).await.unwrap();
    assert_eq!(store.push("a = 1", &policy(&huge, None), NOW).await, Ok(Pushed::Stored));
    assert_eq!(store.read().await.unwrap(), policy("a = 1", None));
}
