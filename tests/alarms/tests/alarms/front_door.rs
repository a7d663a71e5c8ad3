//! What the front door's stack watches, and what the router's alarms make of its traffic.

use std::collections::BTreeSet;

use crate::support::{Request, Timeline, Traffic, alarms, alarms_of_front_door, recordings};

/// The names of all alarms that are raised, the router's and the front door's, by traffic of an hour
/// that the front door answers, and of two in which every fortieth request is this.
fn raised(well: &[Request], sick: Option<Request>) -> BTreeSet<String> {
    let well = Traffic::of(well.to_vec(), 20);
    let sick = sick.map_or_else(|| well.clone(), |request| well.with_every(40, &[request]));
    let timeline = Timeline::default().then(60, &well).then(120, &sick);
    let all = [alarms(), alarms_of_front_door()].map(|alarms| {
        let history = alarms.over(&timeline.published, timeline.minutes).judge(2);
        history.raised().into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    });
    all.into_iter().flatten().collect()
}

#[tokio::test]
async fn healthy_traffic_through_the_front_door_raises_no_alarm() {
    assert_eq!(raised(&recordings().await.front_door, None), [].into());
}

#[tokio::test]
async fn what_ails_the_front_door_raises_its_own_alarm() {
    let well = &recordings().await.front_door;
    let of = |alarm: &str| BTreeSet::from([format!("{alarm}Alarm")]);
    let slow = well[0].with("DecisionLatency", 9_000.0);
    assert_eq!(raised(well, Some(slow)), of("DecisionLatency"));
    let failed = well[0].with("Errors", 1.0);
    assert_eq!(raised(well, Some(failed)), of("FrontDoorErrors"));
    let expensive = well[0].with("SessionCost", 0.45);
    assert_eq!(raised(well, Some(expensive)), of("SessionCost"), "the router's alarm watches both");
}
