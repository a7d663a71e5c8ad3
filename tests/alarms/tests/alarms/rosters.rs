//! No roster is told to the alarms: thirty specialists are watched as four are, and one that was
//! never seen before from its first call.

use std::collections::BTreeSet;

use alarms::judge::State;

use crate::sick::healthy;
use crate::support::{Recordings, Request, Timeline, Traffic, alarms, recordings};

/// When the newcomer is called first, in minutes.
const NEW: usize = 240;

fn names() -> impl Iterator<Item = String> {
    (1..=30).map(|number| format!("specialist-{number}"))
}

/// What orders answered, from each of thirty specialists.
fn thirty(recordings: &Recordings) -> Traffic {
    let answered = &recordings.answered["orders"];
    let cycle = names().enumerate();
    let cycle =
        cycle.map(|(at, name)| answered[at % answered.len()].renamed("orders", &name)).collect();
    Traffic::of(cycle, 20)
}

/// What each alarm on specialists looks for: one of them that is so.
fn sick(
    recordings: &Recordings,
    name: &str,
) -> [(&'static str, Request, BTreeSet<&'static str>); 3] {
    let renamed = |request: &Request| request.renamed("orders", name);
    let slow = recordings.answered["orders"][0].with_latency(12_000.0);
    [
        (
            "SpecialistErrorRateAlarm",
            renamed(&recordings.broken["orders"]),
            ["RoutingUnhealthyAlarm", "SpecialistErrorRateAlarm"].into(),
        ),
        ("SpecialistSlowCallsAlarm", renamed(&slow), ["SpecialistSlowCallsAlarm"].into()),
        (
            "SpecialistCostAlarm",
            renamed(&recordings.dear["orders"]),
            ["SpecialistCostAlarm"].into(),
        ),
    ]
}

#[tokio::test]
async fn one_of_thirty_raises_its_alarm_and_is_named() {
    let recordings = recordings().await;
    let well = thirty(recordings);
    let alarms = alarms();
    for (alarm, request, raised) in sick(recordings, "specialist-17") {
        let timeline = Timeline::default()
            .then(60, &well)
            .then(120, &well.with_every(7, &[request]))
            .then(5, &well);
        let watch = alarms.over(&timeline.published, timeline.minutes);
        let history = watch.judge(2);
        assert_eq!(history.raised(), raised);
        assert!(history.first_raised(alarm) >= Some(60), "{alarm} before it began");
        let named = watch.raising(alarm, 179, 2);
        assert_eq!(named, [&vec!["specialist-17".to_owned()]].into(), "{alarm}");
    }
}

#[tokio::test]
async fn thirty_that_are_well_raise_nothing() {
    let timeline = Timeline::default().then(300, &thirty(recordings().await));
    let alarms = alarms();
    let history = alarms.over(&timeline.published, timeline.minutes).judge(2);
    assert_eq!(history.raised(), [].into());
    assert_eq!(history.in_state(State::Ok, 299), alarms.names());
}

#[tokio::test]
async fn a_specialist_never_seen_before_is_watched_from_its_first_call() {
    let recordings = recordings().await;
    let well = healthy(recordings);
    let alarms = alarms();
    for (alarm, request, raised) in sick(recordings, "newcomer") {
        let timeline =
            Timeline::default().then(NEW, &well).then(100, &well.with_every(7, &[request]));
        let watch = alarms.over(&timeline.published, timeline.minutes);
        let history = watch.judge(2);
        assert_eq!(history.raised(), raised);
        let first = history.first_raised(alarm).unwrap();
        // An hour's cost takes its time to come together; a rate does not.
        let most = if alarm == "SpecialistCostAlarm" { 60 } else { 10 };
        assert!((NEW..=NEW + most).contains(&first), "{alarm} in minute {first}");
        assert_eq!(watch.raising(alarm, first, 2), [&vec!["newcomer".to_owned()]].into());
    }
}
