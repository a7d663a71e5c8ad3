//! What an operator sees of a table that functions have written, and does about it.

use std::path::Path;

use router_core::ledger::ReserveError;
use router_core::outcome::Reason;
use serde_json::{Value, json};
use stand_ins::table::{AttributeValue, key};

use crate::world::{Owned, World};
use crate::{Place, shipped};

pub(crate) async fn place() -> Place {
    Place::after_a_run(&shipped()).await
}

/// What the program says in JSON, which a schema holds.
pub(crate) fn held(place: &Place, schema: &str, arguments: &[&str]) -> Value {
    let (code, said) = place.json(arguments);
    assert_eq!(code, 0, "{said}");
    check(schema, &said);
    said
}

pub(crate) fn check(schema: &str, said: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{schema}.json"));
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(said)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {said}");
}

#[tokio::test]
async fn a_session_is_shown_and_its_limits_are_raised_while_a_hold_is_open() {
    let place = place().await;
    assert_eq!(held(&place, "budgets", &["budget"]), json!({ "sessions": [] }));
    assert!(place.run(&["budget"]).1.contains("No session has a budget."));
    let world = World::of(&place).await;
    let owner = Owned::new("s-1", "acme", Some("u-17"));
    world.spend(&owner, 0, 4_000).await;
    world.hold(&owner, 1).await.unwrap();

    let said = held(&place, "budget", &["budget", "s-1"]);
    let limits = &said["session"]["limits"];
    let cost = json!({
        "settled": 4_000, "held": 10_000, "left": 486_000, "limit": 500_000, "set_by_hand": false,
    });
    assert_eq!(limits["cost_micro_usd"], cost);
    assert_eq!((&limits["steps"]["held"], &limits["steps"]["left"]), (&json!(1), &json!(10)));
    assert_eq!(said["session"]["holds"][0]["specialist"], "billing");
    assert_eq!(said["tenant_days"][0]["tenant"], "acme");
    let (code, text) = place.run(&["budget", "s-1"]);
    assert_eq!(code, 0);
    for part in ["steps", "$0.500000", "1 hold\n", "Tenant: acme; $0.020000 drawn"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }

    let raise = ["budget", "s-1", "--raise", "steps=20,cost_usd=1.0"];
    let said = held(&place, "budget", &raise);
    let raised = json!([
        { "limit": "steps", "before": 12, "after": 20 },
        { "limit": "cost_micro_usd", "before": 500_000, "after": 1_000_000 },
    ]);
    assert_eq!(said["raised"], raised);
    world.settle(&owner, 1, crate::world::charge(10, 10)).await;
    let holds = world.hold(&owner, 2).await.unwrap();
    assert_eq!((holds.account.limits.steps, holds.account.limits.cost.0), (20, 1_000_000));

    let (code, text) = place.run(&raise);
    assert_eq!(code, 1);
    assert!(text.contains("the limit of steps is 20; 20 is not above it"), "{text}");
    let (code, text) = place.run(&["budget", "s-1", "--raise", "steps=many"]);
    assert_eq!(code, 2);
    assert!(text.contains("`steps=many`: it must be a whole number from 1 to 10000"), "{text}");
    let (code, text) = place.run(&["budget", "s-2"]);
    assert_eq!((code, text.contains("the table has no session `s-2`")), (1, true));
    assert_eq!(held(&place, "budgets", &["budget"])["sessions"][0]["session"], "s-1");
    assert!(place.run(&["budget"]).1.contains("s-1"));
}

#[tokio::test]
async fn a_specialist_is_taken_away_and_brought_back() {
    let place = place().await;
    let said = held(&place, "circuits", &["circuits"]);
    assert_eq!((&said["all"], said["circuits"].as_array().unwrap().len()), (&Value::Null, 4));
    let force = ["circuits", "force", "billing", "open", "--for", "600"];
    let said = held(&place, "circuit-forced", &force);
    assert_eq!((&said["before"], &said["after"]["word"]), (&Value::Null, &json!("open")));
    let said = held(&place, "circuits", &["circuits"]);
    assert_eq!(said["circuits"][0]["forced"]["word"], "open");
    assert!(place.run(&["circuits"]).1.contains("  open for another "));
    let said = held(&place, "circuit-forced", &["circuits", "release", "billing"]);
    assert_eq!((&said["before"]["word"], &said["after"]), (&json!("open"), &Value::Null));

    assert_eq!(place.run(&["circuits", "force", "*", "closed"]).0, 0);
    assert_eq!(held(&place, "circuits", &["circuits"])["all"]["word"], "closed");
    let (code, text) = place.run(&["circuits", "force", "astrology", "open"]);
    assert_eq!(code, 1);
    assert!(text.contains("no specialist `astrology`; it has billing, general, orders, support"));
    assert_eq!(place.run(&["circuits", "force", "billing", "ajar"]).0, 2);
}

#[tokio::test]
async fn incidents_are_listed_by_day_and_filtered() {
    let place = place().await;
    assert!(place.run(&["incidents"]).1.starts_with("No such incident"));
    let world = World::of(&place).await;
    let owner = Owned::new("s-1", "acme", Some("u-17"));
    world.incident(&owner, "r1/0/0", Reason::Throttled).await;
    world.incident(&owner, "r2/0/0", Reason::Timeout).await;
    let said = held(&place, "incidents", &["incidents", "--days", "2"]);
    assert_eq!(said["incidents"].as_array().unwrap().len(), 2);
    let timeouts = ["incidents", "--days", "2", "--specialist", "billing", "--reason", "timeout"];
    let said = held(&place, "incidents", &timeouts);
    assert_eq!(
        (&said["incidents"][0]["id"], &said["incidents"][0]["session"]),
        (&json!("r2/0/0"), &json!("s-1"))
    );
    let of_session = ["incidents", "--days", "2", "--session", "s-1", "--reason", "throttled"];
    assert_eq!(held(&place, "incidents", &of_session)["incidents"][0]["id"], "r1/0/0");
    let none = ["incidents", "--days", "2", "--specialist", "orders"];
    assert_eq!(held(&place, "incidents", &none)["incidents"], json!([]));
    let (code, lines) = place.run(&["incidents", "--days", "2", "--jsonl"]);
    assert_eq!((code, lines.lines().count()), (0, 2));
    lines.lines().for_each(|line| check("incident", &serde_json::from_str(line).unwrap()));
    let text = place.run(&["incidents", "--days", "2"]).1;
    assert!(text.contains("throttled") && text.contains("2 incidents, $0.009600"), "{text}");
    assert_eq!(place.run(&["incidents", "--date", "2026-02-30"]).0, 2);
}

#[tokio::test]
async fn cost_counts_what_no_days_item_has_yet() {
    let place = place().await;
    let world = World::of(&place).await;
    world.spend(&Owned::new("s-1", "acme", None), 0, 4_000).await;
    world.spend(&Owned::new("s-2", "bulk", None), 1, 9_000).await;
    world.spend(&Owned::new("s-3", "bulk", None), 2, 500).await;
    let rows = |by: &str| held(&place, "cost", &["cost", "--days", "2", "--by", by])["rows"].take();
    let expected = json!([
        { "name": "bulk", "spent_micro_usd": 9_500, "drawn_micro_usd": 40_000, "tokens": 0 },
        { "name": "acme", "spent_micro_usd": 4_000, "drawn_micro_usd": 20_000, "tokens": 0 },
    ]);
    assert_eq!(rows("tenant"), expected);
    let billing = json!([
        { "name": "billing", "spent_micro_usd": 13_500, "drawn_micro_usd": 0, "tokens": 1_500 },
    ]);
    assert_eq!(rows("specialist"), billing);
    let days = rows("day");
    let spent = days.as_array().unwrap().iter().map(|row| row["spent_micro_usd"].as_u64().unwrap());
    assert_eq!(spent.sum::<u64>(), 13_500);

    // As soon as the router keeps them, they are shown.
    let today = World::now().date();
    for (pk, sk) in [("USER#00ff", format!("DAY#{today}")), ("GATEWAY", format!("HOUR#{today}T09"))]
    {
        let mut item = key(pk, &sk);
        item.insert("spent_micro_usd".to_owned(), AttributeValue::N("70".to_owned()));
        world.table.put_item(item).await.unwrap();
    }
    assert_eq!(rows("user")[0]["name"], "00ff");
    assert_eq!(rows("gateway")[0]["spent_micro_usd"], 70);
    assert!(place.run(&["cost", "--date", "2020-01-01"]).1.starts_with("Nothing was spent, 2020"));
    let text = place.run(&["cost", "--days", "2"]).1;
    assert!(text.find("bulk").unwrap() < text.find("acme").unwrap(), "{text}");
}

#[tokio::test]
async fn a_session_is_closed_once_its_holds_are_settled() {
    let place = place().await;
    let world = World::of(&place).await;
    let owner = Owned::new("s-1", "acme", None);
    world.spend(&owner, 0, 4_000).await;
    world.hold(&owner, 1).await.unwrap();
    let (code, text) = place.run(&["close", "s-1"]);
    assert_eq!(code, 1);
    assert!(
        text.contains("the session has 1 hold open; close it when")
            && text.contains("billing, until")
    );
    world.settle(&owner, 1, crate::world::charge(10, 1_000)).await;
    let said = held(&place, "close", &["close", "s-1"]);
    assert_eq!((&said["returned_micro_usd"], &said["tenant"]), (&json!(15_000), &json!("acme")));
    assert!(held(&place, "close", &["close", "s-1"])["was_closed"].as_bool().unwrap());
    assert!(place.run(&["budget", "s-1"]).1.contains("Closed "));
    let refused = world.hold(&owner, 2).await;
    assert!(matches!(refused, Err(ReserveError::Exhausted(_))), "{refused:?}");

    let (code, text) = place.run(&["budget", "s-1", "--raise", "steps=5"]);
    assert_eq!(code, 0);
    assert!(text.contains("steps raised from 2 to 5") && !text.contains("Closed"), "{text}");
    assert_eq!(place.run(&["close", "s-2"]).0, 1);
}

#[tokio::test]
async fn erasing_removes_words_and_no_counter() {
    let place = place().await;
    let world = World::of(&place).await;
    let (owner, other) = (Owned::new("s-1", "acme", Some("u-17")), Owned::new("s-2", "acme", None));
    for (number, owner) in [&owner, &other].into_iter().enumerate() {
        world.spend(owner, number, 4_000).await;
        world.incident(owner, &format!("r{number}/0/0"), Reason::Timeout).await;
        for sk in ["PAD#facts", "TURN#supervisor#1", "STAGE#00", "REPEAT#00"] {
            let pad = key(&format!("SESSION#{}", owner.session), sk);
            world.table.put_item(pad).await.unwrap();
        }
    }
    let mut ticket = key("ESCALATION#2026-11-21", "t-1");
    ticket.insert("session".to_owned(), AttributeValue::S("s-1".to_owned()));
    world.table.put_item(ticket).await.unwrap();
    world.table.put_item(key("INCIDENT#2026-11-20", "of an older version")).await.unwrap();
    let before = world.table.scan().await.unwrap().len();

    let user = ["erase", "--user", "u-17", "--tenant", "acme"];
    let dry = held(&place, "erase", &[&user[..], &["--dry-run"]].concat());
    assert_eq!(world.table.scan().await.unwrap().len(), before, "nothing was removed");
    let said = held(&place, "erase", &user);
    assert_eq!((&said["erased"], &said["kept"]), (&dry["erased"], &dry["kept"]));
    let kinds: Vec<&str> = said["erased"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["ESCALATION", "INCIDENT", "PAD", "REPEAT", "STAGE", "TURN"]);
    assert_eq!(said["without_owner"], 1);
    assert_eq!(world.table.scan().await.unwrap().len(), before - 6);
    let budget = held(&place, "budget", &["budget", "s-1"]);
    assert_eq!(budget["session"]["limits"]["steps"]["settled"], 1, "its counters stay");

    let (code, text) = place.run(&["erase", "--session", "s-2"]);
    assert_eq!(code, 0);
    assert!(text.starts_with("5 items erased: 1 INCIDENT, 1 PAD, 1 REPEAT"), "{text}");
    assert!(text.contains("1 budget kept until it expires:\n  SESSION#s-2"), "{text}");
    let said = held(&place, "erase", &["erase", "--tenant", "acme"]);
    assert_eq!((&said["erased"], said["kept"].as_array().unwrap().len()), (&json!([]), 2));
    assert_eq!(place.run(&["erase"]).0, 2, "it says whose");
    assert_eq!(place.run(&["erase", "--user", "u", "--session", "s"]).0, 2);
}
