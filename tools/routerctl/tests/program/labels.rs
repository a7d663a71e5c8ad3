//! Incidents that functions have kept, as labelled cases.

use router_core::ids::SpecialistName;
use router_core::outcome::Reason;
use serde_json::{Value, json};

use crate::operator::{check, held};
use crate::world::{Owned, World};
use crate::{Place, shipped};

/// A place with incidents, each with its request and who answered.
async fn place(incidents: &[(&str, Reason, Option<&str>, &str)]) -> Place {
    let place = Place::after_a_run(&shipped()).await;
    let world = World::of(&place).await;
    for (id, reason, request, answered_by) in incidents {
        let mut incident = World::incident_of(&Owned::new("s-1", "acme", None), id, *reason);
        incident.request = request.map(str::to_owned);
        incident.answered_by = SpecialistName::parse(answered_by);
        world.keep(incident).await;
    }
    place
}

fn case(text: &str, specialist: &str, source: &str) -> Value {
    json!({ "text": text, "specialist": specialist, "source": source })
}

#[tokio::test]
async fn incidents_become_cases_and_what_is_left_out_is_told() {
    let place = place(&[
        ("r1/0/0", Reason::OutOfScope, Some("Where is\n#4711? Call +49 30 1234567"), "orders"),
        ("r2/0/0", Reason::Timeout, Some("My invoice is wrong"), "general"),
        ("r3/0/0", Reason::Timeout, Some("Nobody knows"), ""),
        ("r4/0/0", Reason::Timeout, None, "general"),
    ])
    .await;
    let located = case("Where is\n#4711? Call <phone>", "orders", "incident:r1/0/0");
    let (lines, summary) = place.outputs(&["labels"]);
    let cases: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    cases.iter().for_each(|case| check("label", case));
    assert_eq!(cases, [located.clone(), case("My invoice is wrong", "general", "incident:r2/0/0")]);
    let expected = "2 cases of 4 incidents\n  \
                    1 left out: what was asked was not kept (record_requests) (r4/0/0)\n  \
                    1 left out: no specialist answered, and no correction names one (r3/0/0)\n";
    assert_eq!(summary, expected);

    let corrections = place.write(
        "corrections.jsonl",
        "{\"id\": \"r2/0/0\", \"specialist\": \"billing\"}\n{\"id\": \"r9/0/0\", \"specialist\": \"orders\"}\n",
    );
    let said = held(&place, "labels", &["labels", "--corrections", &corrections]);
    let billing = case("My invoice is wrong", "billing", "correction:r2/0/0");
    assert_eq!(said["cases"], json!([located.clone(), billing]));
    let left_out = json!([
        { "reason": "request_not_recorded", "count": 1, "incidents": ["r4/0/0"] },
        { "reason": "nobody_answered", "count": 1, "incidents": ["r3/0/0"] },
        { "reason": "correction_of_no_incident", "count": 1, "incidents": ["r9/0/0"] },
    ]);
    assert_eq!(said["left_out"], left_out);
    let said = held(&place, "labels", &["labels", "--reason", "out_of_scope"]);
    assert_eq!(said["cases"], json!([located]));
    let said =
        held(&place, "labels", &["labels", "--since", "2020-01-01", "--until", "2020-02-01"]);
    assert_eq!(said, json!({ "cases": [], "left_out": [] }));
}

#[tokio::test]
async fn what_is_wrong_with_the_arguments_is_told() {
    let place = place(&[]).await;
    let corrections =
        place.write("c.jsonl", "{\"id\": \"r1/0/0\", \"specialist\": \"biling\"}\nx\n");
    let (code, said) = place.run(&["labels", "--corrections", &corrections]);
    assert_eq!(code, 2);
    let expected =
        "line 1: `specialist` is `biling`: it must be one of billing, general, orders, support";
    assert!(said.contains(expected) && said.contains("line 2: is no JSON"), "{said}");
    assert_eq!(place.run(&["labels", "--corrections", "nowhere.jsonl"]).0, 2);
    let (code, said) = place.run(&["labels", "--since", "2026-03-02", "--until", "2026-03-01"]);
    assert_eq!((code, said.contains("it must not be later")), (2, true));
    assert_eq!(place.run(&["labels", "--reason", "weather"]).0, 2);
    assert_eq!(place.outputs(&["labels"]), (String::new(), "0 cases of 0 incidents\n".to_owned()));
}
