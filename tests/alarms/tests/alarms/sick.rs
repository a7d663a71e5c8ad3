//! Each sickness raises its own alarms and no other.

use std::collections::BTreeSet;
use std::thread;

use alarms::judge::State;

use crate::healthy::FURTHER;
use crate::support::{Recordings, Request, SPECIALISTS, Timeline, Traffic, alarms, recordings};

/// Minutes: long enough for two bad hours, and for a good one to follow. The first are as many
/// whole rounds of the healthy traffic, which a cut round would give more mistakes than it has.
const WELL: usize = 63;
const SICK: usize = 125;
const WELL_AGAIN: usize = 125;

/// A sickness, the traffic that has it, and all alarms that it raises.
struct Sickness {
    name: String,
    traffic: Traffic,
    /// What comes when it is over, where that is not what came before.
    afterwards: Option<Traffic>,
    raises: BTreeSet<String>,
}

fn sickness(name: &str, traffic: Traffic, raises: &[&str]) -> Sickness {
    let raises = raises.iter().map(|alarm| format!("{alarm}Alarm")).collect();
    Sickness { name: name.to_owned(), traffic, afterwards: None, raises }
}

/// Ordinary traffic, with the mistakes that it has: of 250 requests eight are for the wrong
/// specialist, one in a hundred gets no answer from orders, one is dear, and one session comes to
/// the end of its budget.
pub(crate) fn healthy(recordings: &Recordings) -> Traffic {
    let shares = [("orders", 84), ("support", 60), ("billing", 46), ("general", 40)];
    let mut cycle = Vec::new();
    for at in 0..shares[0].1 {
        for (specialist, share) in shares {
            let requests = &recordings.answered[specialist];
            if at < share {
                cycle.push(requests[at % requests.len()].clone());
            }
        }
    }
    let further = [
        &recordings.long_session[..],
        &[recordings.broken["orders"].clone(), recordings.dear["billing"].clone()],
        &[&recordings.mistaken[..]; 4].concat(),
    ];
    for (at, request) in further.concat().into_iter().enumerate() {
        cycle.insert(at * 11, request);
    }
    Traffic::of(cycle, 20)
}

fn sicknesses(recordings: &Recordings) -> Vec<Sickness> {
    let well = healthy(recordings);
    let busy = well.at(60);
    let every = |nth, others: &[Request]| well.with_every(nth, others);
    let answered = |specialist: &str| recordings.answered[specialist].clone();
    let mut sicknesses = vec![
        sickness(
            "the supervisor confuses its specialists",
            every(2, &[recordings.mistaken.clone(), recordings.unknown.clone()].concat()),
            &["RoutingAccuracy", "RoutingAccuracyCollapse", "RoutingUnhealthy"],
        ),
        sickness(
            "the supervisor is wrong more often than it was",
            every(6, &recordings.mistaken),
            &["RoutingAccuracy", "RoutingUnhealthy"],
        ),
        sickness(
            "a specialist answers nobody any more",
            every(3, &recordings.down),
            &["CircuitOpened", "SpecialistErrorRate", "RoutingUnhealthy"],
        ),
        sickness(
            "a few invocations hang",
            busy.with_every(50, &slow(recordings, "orders", 19_000.0)),
            &["SpecialistLatency"],
        ),
        sickness(
            "the router is slow",
            busy.with_every(20, &overhead(&answered("orders"), 2_500.0)),
            &["RouterOverhead"],
        ),
        sickness(
            "sessions come near the end of their budgets",
            every(2, &recordings.long_session),
            &["BudgetUtilization"],
        ),
        sickness(
            "sessions go on when their budgets are used up",
            every(2, &[&recordings.long_session[..], &recordings.past_the_limit].concat()),
            &["BudgetRefusals", "BudgetUtilization", "RoutingUnhealthy"],
        ),
        sickness(
            "the supervisor repeats itself",
            every(10, &recordings.looping),
            &["LoopsDetected"],
        ),
        sickness(
            "a specialist asks people again and again",
            every(50, std::slice::from_ref(&recordings.escalated)),
            &["Escalations"],
        ),
        sickness(
            "all specialists are dear",
            every(4, &["billing", "orders", "support"].map(|name| recordings.dear[name].clone())),
            &["Cost"],
        ),
        sickness(
            "sessions are charged almost all that they may cost",
            busy.with_every(40, &[answered("orders")[0].with("SessionCost", 0.45)]),
            &["SessionCost"],
        ),
        sickness(
            "the policy in the table is none",
            every(50, std::slice::from_ref(&recordings.rejected)),
            &["PolicyRejected"],
        ),
        sickness("functions die", every(100, &recordings.expired[1..]), &["ExpiredHolds"]),
        sickness(
            "the table is down, and calls pass",
            every(10, &recordings.uncounted),
            &["UncountedInvocations"],
        ),
        sickness(
            "the table is down, and calls are refused",
            Traffic::of(recordings.unserved.clone(), 20),
            &["UnservedRequests", "RoutingUnhealthy"],
        ),
    ];
    for specialist in SPECIALISTS {
        let broken = &recordings.broken[specialist];
        sicknesses.push(sickness(
            &format!("{specialist} fails now and then"),
            every(30, std::slice::from_ref(broken)),
            &["SpecialistErrorRate", "RoutingUnhealthy"],
        ));
        sicknesses.push(sickness(
            &format!("{specialist} is slow"),
            busy.with_every(10, &slow(recordings, specialist, 12_000.0)),
            &["SpecialistSlowCalls"],
        ));
        let dear = std::slice::from_ref(&recordings.dear[specialist]);
        let traffic =
            if specialist == "general" { Traffic::of(dear.to_vec(), 20) } else { every(7, dear) };
        sicknesses.push(sickness(&format!("{specialist} is dear"), traffic, &["SpecialistCost"]));
    }
    sicknesses.extend(of_the_newest_version(recordings, &well));
    let lambda = |name, value| vec![answered("orders")[0].with(name, value)];
    sicknesses.extend([
        sickness(
            "the function fails",
            every(50, &lambda("Errors", 1.0)),
            &["FunctionErrors", "RoutingUnhealthy"],
        ),
        sickness(
            "Lambda turns requests away",
            every(50, &lambda("Throttles", 1.0)),
            &["FunctionThrottles", "RoutingUnhealthy"],
        ),
        sickness(
            "requests take almost as long as they may",
            every(50, &lambda("Duration", 58_000.0)),
            &["FunctionDuration"],
        ),
    ]);
    sicknesses
}

/// A canary that is sick: most requests go to the version before, which is well, so that nobody
/// but the alarms of the newest version notices. Then it is well: on a version that nobody calls any
/// more, an alarm might stay raised for hours, but then the stack has gone back and it watches the
/// version before.
fn of_the_newest_version(recordings: &Recordings, well: &Traffic) -> Vec<Sickness> {
    let newest = &recordings.newest;
    let with_every = |nth: usize, other: &Request| -> Vec<Request> {
        (1..nth).map(|at| &newest.answered[at % 4]).chain([other]).cloned().collect()
    };
    let broken: Vec<Request> =
        newest.broken.iter().flat_map(|request| with_every(10, request)).collect();
    let late = newest.answered[0].with_latency(19_000.0);
    let busy = well.at(60);
    let sickness = |name, well: &Traffic, nth, requests: &[Request], raises| Sickness {
        afterwards: Some(well.with_every(nth, &newest.answered)),
        ..sickness(name, well.with_every(nth, requests), &[raises])
    };
    let confused = with_every(2, &newest.mistaken);
    vec![
        sickness("the newest version is confused", &busy, 20, &confused, "VersionAccuracy"),
        sickness("the newest version gets no answers", &busy, 20, &broken, "VersionErrorRate"),
        sickness("the newest version is slow", &busy, 3, &with_every(50, &late), "VersionLatency"),
        sickness("the newest version is dear", well, 10, &newest.dear, "VersionCost"),
    ]
}

/// A canary that is well, but for the mistakes that ordinary traffic has.
pub(crate) fn healthy_canary(recordings: &Recordings) -> Traffic {
    let newest = &recordings.newest;
    let mut requests: Vec<Request> = newest.answered.iter().cycle().take(116).cloned().collect();
    for at in [10, 50, 90] {
        requests.insert(at, newest.mistaken.clone());
    }
    requests.push(newest.broken[0].clone());
    healthy(recordings).at(60).with_every(20, &requests)
}

fn slow(recordings: &Recordings, specialist: &str, milliseconds: f64) -> Vec<Request> {
    recordings.answered[specialist].iter().map(|one| one.with_latency(milliseconds)).collect()
}

fn overhead(requests: &[Request], milliseconds: f64) -> Vec<Request> {
    requests.iter().map(|one| one.with_overhead(milliseconds)).collect()
}

/// What is wrong with the alarms that a sickness raises.
fn mistakes(sickness: &Sickness, well: &Traffic) -> BTreeSet<String> {
    let well = &well.at(sickness.traffic.per_minute());
    let afterwards = sickness.afterwards.as_ref().unwrap_or(well);
    let timeline = Timeline::default()
        .then(WELL, well)
        .then(SICK, &sickness.traffic)
        .then(WELL_AGAIN, afterwards);
    let alarms = alarms();
    let mut mistakes = BTreeSet::new();
    let watch = alarms.over(&timeline.published, timeline.minutes);
    for further in FURTHER {
        let history = watch.judge(further);
        let raised: BTreeSet<_> = history.raised().into_iter().map(str::to_owned).collect();
        if raised != sickness.raises {
            let missing: Vec<_> = sickness.raises.difference(&raised).collect();
            let others: Vec<_> = raised.difference(&sickness.raises).collect();
            mistakes.insert(format!("{}: quiet {missing:?}, too many {others:?}", sickness.name));
        }
        let early =
            history.raised().into_iter().find(|alarm| history.first_raised(alarm) < Some(WELL));
        if let Some(alarm) = early {
            mistakes.insert(format!("{}: {alarm} before it began", sickness.name));
        }
        let still = history.in_state(State::Alarm, timeline.minutes - 1);
        if !still.is_empty() {
            mistakes.insert(format!("{}: {still:?} long after it was over", sickness.name));
        }
    }
    mistakes
}

#[tokio::test]
async fn each_sickness_raises_its_own_alarms_and_no_other() {
    let recordings = recordings().await;
    let (sicknesses, well) = (sicknesses(recordings), healthy(recordings));
    let mistakes: Vec<String> = thread::scope(|scope| {
        let judge = |sickness| {
            let well = &well;
            scope.spawn(move || mistakes(sickness, well))
        };
        let running: Vec<_> = sicknesses.iter().map(judge).collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[tokio::test]
async fn every_alarm_is_raised_by_some_sickness() {
    let raised: BTreeSet<String> =
        sicknesses(recordings().await).into_iter().flat_map(|sickness| sickness.raises).collect();
    let all: BTreeSet<String> = alarms().names().into_iter().map(str::to_owned).collect();
    assert_eq!(raised, all);
}
