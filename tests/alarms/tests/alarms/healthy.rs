//! Traffic that nobody has to be woken for.

use alarms::judge::State;

use crate::sick::{healthy, healthy_canary};
use crate::support::{Timeline, Traffic, alarms, recordings};

/// How many data points further back than its evaluation periods CloudWatch looks, where some are
/// missing. It does not say; no result may hang on it.
pub(crate) const FURTHER: [usize; 3] = [0, 2, 5];

#[tokio::test]
async fn healthy_traffic_raises_no_alarm() {
    let traffic = healthy(recordings().await);
    for per_minute in [1, 5, 20, 60] {
        let timeline = Timeline::default().then(300, &traffic.at(per_minute));
        let alarms = alarms();
        let watch = alarms.over(&timeline.published, timeline.minutes);
        for further in FURTHER {
            let history = watch.judge(further);
            assert_eq!(history.raised(), [].into(), "{per_minute} a minute");
        }
    }
}

#[tokio::test]
async fn a_healthy_canary_raises_no_alarm() {
    let timeline = Timeline::default().then(300, &healthy_canary(recordings().await));
    let alarms = alarms();
    let watch = alarms.over(&timeline.published, timeline.minutes);
    for further in FURTHER {
        assert_eq!(watch.judge(further).raised(), [].into());
    }
}

/// Not even one that gets no answer at all: too few samples are no share.
#[tokio::test]
async fn a_canary_with_few_requests_is_not_judged() {
    let recordings = recordings().await;
    let broken = Traffic::of(recordings.newest.broken[..1].to_vec(), 1);
    let timeline = Timeline::default().then(49, &broken).silence(100);
    let alarms = alarms();
    let watch = alarms.over(&timeline.published, timeline.minutes);
    for further in FURTHER {
        let history = watch.judge(further);
        let raised = history.raised();
        assert!(!raised.iter().any(|alarm| alarm.starts_with("Version")), "{raised:?}");
    }
}

#[tokio::test]
async fn a_busy_router_leaves_no_alarm_without_enough_data() {
    let timeline = Timeline::default().then(300, &healthy(recordings().await).at(60));
    let alarms = alarms();
    let history = alarms.over(&timeline.published, timeline.minutes).judge(2);
    assert_eq!(history.in_state(State::Ok, 299), alarms.names());
}

/// Of the alarms without enough data, none is about anything but percentiles.
#[tokio::test]
async fn a_quiet_router_leaves_only_percentiles_without_enough_data() {
    let timeline = Timeline::default().then(300, &healthy(recordings().await).at(1));
    let alarms = alarms();
    let history = alarms.over(&timeline.published, timeline.minutes).judge(2);
    let unknown = history.in_state(State::InsufficientData, 299);
    let percentiles: Vec<&str> = alarms
        .metric
        .iter()
        .filter(|alarm| alarm.least_samples.is_some())
        .map(|alarm| alarm.name.as_str())
        .collect();
    assert!(unknown.iter().all(|name| percentiles.contains(name)), "{unknown:?}");
    assert!(unknown.contains("SpecialistLatencyAlarm"), "{unknown:?}");
}

#[test]
fn no_traffic_raises_no_alarm() {
    let alarms = alarms();
    let silence = Timeline::default().silence(300);
    let watch = alarms.over(&silence.published, silence.minutes);
    for further in FURTHER {
        let history = watch.judge(further);
        assert_eq!(history.in_state(State::Ok, 299), alarms.names());
    }
}

/// What happens now and then, alone, in a quiet night.
#[tokio::test]
async fn one_mistake_in_a_quiet_night_raises_no_alarm() {
    let recordings = recordings().await;
    let quiet = healthy(recordings).at(1);
    let once = [
        ("the wrong specialist", &recordings.mistaken[0]),
        ("no specialist", &recordings.unknown[0]),
        ("no answer", &recordings.broken["orders"]),
        ("a dear answer", &recordings.dear["orders"]),
        ("an expired hold", &recordings.expired[1]),
        ("no table", &recordings.unserved[0]),
        ("no budget", &recordings.past_the_limit[0]),
        ("a slow answer", &recordings.answered["orders"][0].with_latency(19_000.0)),
    ];
    for (mistake, request) in once {
        let timeline = Timeline::default()
            .silence(100)
            .then(1, &Traffic::of(vec![request.clone()], 1))
            .silence(100)
            .then(20, &quiet)
            .silence(100);
        let alarms = alarms();
        let watch = alarms.over(&timeline.published, timeline.minutes);
        for further in FURTHER {
            let history = watch.judge(further);
            assert_eq!(history.raised(), [].into(), "{mistake}");
        }
    }
}

/// Five in five minutes and fifteen in an hour are too few to be a share of anything. A query knows
/// no such minimum: there, three periods in a row must have errors, which five minutes never are.
#[tokio::test]
async fn nothing_but_mistakes_raises_no_alarm_while_they_are_few() {
    let recordings = recordings().await;
    let broken = recordings.broken.iter().map(|(name, request)| (*name, request, 5));
    let others = [
        ("the wrong specialist", &recordings.mistaken[0]),
        ("no specialist", &recordings.unknown[0]),
        ("no table", &recordings.unserved[0]),
        ("no budget", &recordings.past_the_limit[0]),
    ];
    let others = others.map(|(name, request)| (name, request, 15));
    for (mistake, request, minutes) in broken.chain(others) {
        let few = Traffic::of(vec![request.clone()], 1);
        let timeline = Timeline::default().silence(20).then(minutes, &few).silence(100);
        let alarms = alarms();
        let watch = alarms.over(&timeline.published, timeline.minutes);
        for further in FURTHER {
            assert_eq!(watch.judge(further).raised(), [].into(), "{mistake}");
        }
    }
}
