//! What people are asked and what is written down, as an operator sees it.

use std::time::Duration;

use router_core::escalation::{Escalation, Escalations, Source};
use router_core::ids::{TaskMark, Ticket};
use router_core::outcome::Reason;
use router_core::scratchpad::{NewPad, Scratchpad};
use router_core::store::Version;
use router_core::units::MicroUsd;
use serde_json::json;

use crate::operator::{held, place};
use crate::world::{Owned, PLENTY, World};

fn escalation(owner: &Owned, task: &TaskMark, ticket: &Ticket) -> Escalation {
    let (now, within) = (World::now(), Duration::from_secs(14_400));
    Escalation {
        ticket: ticket.clone(),
        session: owner.session.clone(),
        tenant: owner.tenant.clone(),
        user: owner.user.clone(),
        task: task.clone(),
        task_id: Some("t1".to_owned()),
        source: Source::Specialist(router_core::ids::SpecialistName::parse("billing").unwrap()),
        reason: "above my limit".to_owned(),
        summary: "Refund\n900 EUR".to_owned(),
        tried: vec![(
            router_core::ids::SpecialistName::parse("billing").unwrap(),
            Reason::Escalated,
        )],
        pad_keys: vec!["order_facts".to_owned()],
        left: (9, 61_200, MicroUsd(310_000)),
        opened: now,
        due: now.after(within),
        idle_ttl: Duration::from_secs(86_400),
    }
}

#[tokio::test]
async fn what_people_are_asked_is_claimed_and_answered_once() {
    let place = place().await;
    let world = World::of(&place).await;
    let owner = Owned::new("s-1", "acme", Some("u-17"));
    world.spend(&owner, 0, 4_000).await;
    let task = TaskMark::of_id("t1");
    let ticket = world.ticket(&owner, &task).await;
    world.escalations.open(&escalation(&owner, &task, &ticket), PLENTY).await.unwrap();

    let said = held(&place, "escalations", &["escalations", "--open"]);
    let shown = &said["escalations"][0];
    assert_eq!((&shown["ticket"], &shown["state"]), (&json!(ticket.as_str()), &json!("open")));
    let (code, text) = place.run(&["escalations", "--session", "s-1"]);
    assert_eq!(code, 0);
    for part in ["above my limit", "to know: Refund\n    900 EUR", "billing (escalated)", "9 steps"]
    {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }

    let ticket = ticket.as_str();
    let claim = ["escalations", "--claim", ticket, "--by", "ann"];
    let said = held(&place, "escalation", &claim);
    assert_eq!((&said["escalation"]["by"], &said["delivered"]), (&json!("ann"), &json!(false)));
    let (code, text) = place.run(&["escalations", "--claim", ticket, "--by", "bob"]);
    assert_eq!((code, text.contains("`ann` has claimed it")), (1, true), "{text}");
    let answer = ["escalations", "--answer", ticket, "--by", "ann", "--text", "Yes."];
    let said = held(&place, "escalation", &answer);
    assert_eq!((&said["escalation"]["answer"], &said["delivered"]), (&json!("Yes."), &json!(true)));
    assert_eq!(place.run(&answer).0, 0, "the same again changes nothing");
    let again = ["escalations", "--answer", ticket, "--by", "ann", "--text", "No."];
    assert!(place.run(&again).1.contains("`ann` has answered it"));
    assert_eq!(held(&place, "escalations", &["escalations", "--open"])["escalations"], json!([]));

    let said = held(&place, "scratchpad", &["scratchpad", "s-1"]);
    let key = &said["keys"][0];
    assert_eq!(key["key"], format!("escalation:{ticket}"));
    assert_eq!((&key["value"], &key["writer"]), (&json!("Yes."), &json!("ann")));
}

#[tokio::test]
async fn a_scratchpad_is_shown_with_who_wrote_what() {
    let place = place().await;
    let world = World::of(&place).await;
    assert!(place.run(&["scratchpad", "s-1"]).1.contains("Nothing is written down"));
    let owner = Owned::new("s-1", "acme", None);
    let pad = NewPad {
        session: &owner.session,
        key: "order_facts",
        value: "{\"order\": 4711}",
        writer: "orders",
        version: Version { seen: 0, author: "r" },
        now: World::now(),
        idle_ttl: Duration::from_secs(86_400),
    };
    world.scratchpad.write(&pad, PLENTY).await.unwrap();
    let said = held(&place, "scratchpad", &["scratchpad", "s-1"]);
    assert_eq!(said["keys"][0]["value"], json!({ "order": 4711 }));
    let (_, text) = place.run(&["scratchpad", "s-1"]);
    assert!(text.contains("order_facts") && text.contains("orders") && text.contains("1 key"));
}

#[tokio::test]
async fn what_cannot_be_a_ticket_a_name_or_an_answer_is_told_with_what_is_allowed() {
    let place = place().await;
    let ticket = "2026-11-27-0123456789abcdef";
    for (arguments, code, expected) in [
        (&["--claim", "7", "--by", "ann"][..], 2, "allowed is a ticket"),
        (&["--claim", ticket], 2, "--by"),
        (&["--claim", ticket, "--by", " "], 2, "allowed are 1 to 100 characters"),
        (&["--answer", ticket, "--by", "ann"], 2, "--text"),
        (&["--answer", ticket, "--by", "ann", "--text", "x"], 1, "there is no ticket"),
    ] {
        let (found, text) = place.run(&[&["escalations"], arguments].concat());
        assert_eq!((found, text.contains(expected)), (code, true), "{arguments:?}: {text}");
    }
}
