//! What every alarm has, and that what they say of other parts of the template is so.

use std::collections::BTreeSet;

use alarms::alarm::{MetricAlarm, Source};
use alarms::insights::MINUTES_BACK;
use alarms::judge::{MissingData, State};
use alarms::metric::Statistic;
use alarms::template::Template;

use crate::support::{alarms, alarms_of_front_door, root, template};

/// Those on metrics, the front door's too.
fn all_metric() -> Vec<MetricAlarm> {
    [alarms().metric, alarms_of_front_door().metric].concat()
}

#[test]
fn every_alarm_notifies_the_topic_and_says_what_to_do() {
    let (alarms, metric) = (alarms(), all_metric());
    let metric = metric.iter().map(|alarm| (&alarm.name, &alarm.description, &alarm.actions));
    let composite =
        alarms.composite.iter().map(|alarm| (&alarm.name, &alarm.description, &alarm.actions));
    for (name, description, actions) in metric.chain(composite) {
        assert_eq!(*actions, ["AlarmTopic"], "{name}");
        let sentences = description.matches(". ").count() + usize::from(description.ends_with('.'));
        assert!(sentences >= 2, "{name} says what is wrong or what to do, not both: {description}");
        // CloudWatch cuts no description, it refuses the alarm.
        assert!(description.len() <= 1_024, "{name}");
    }
}

#[test]
fn no_request_is_no_sickness() {
    for alarm in all_metric() {
        assert_eq!(alarm.rule.missing, MissingData::NotBreaching, "{}", alarm.name);
    }
}

#[test]
fn percentiles_are_judged_from_enough_samples_only() {
    for alarm in all_metric() {
        let statistics = alarm.watched.inputs().map(|input| input.statistic);
        let needed = statistics.filter_map(Statistic::significant_samples).max();
        assert_eq!(alarm.least_samples, needed, "{}", alarm.name);
        // With more periods than one, the guide leaves open in which of them the samples count.
        assert!(needed.is_none() || alarm.rule.evaluation_periods == 1, "{}", alarm.name);
    }
}

/// "A math expression used for an alarm can include as many as 10 metrics."; an alarm looks at
/// one day at most.
#[test]
fn alarms_stay_within_cloudwatchs_limits() {
    for alarm in all_metric() {
        assert!(alarm.watched.inputs().count() <= 10, "{}", alarm.name);
        let minutes = alarm.watched.period_minutes * alarm.rule.evaluation_periods;
        assert!(minutes <= 24 * 60, "{}", alarm.name);
    }
}

/// Those that watch each specialist: no roster is told to them.
#[test]
fn errors_slow_calls_and_cost_are_watched_specialist_by_specialist() {
    let watched: BTreeSet<String> = alarms()
        .metric
        .into_iter()
        .filter_map(|alarm| match alarm.watched.source {
            Source::Queried(query) if query.group_by == ["Specialist"] => Some(query.metric),
            _ => None,
        })
        .collect();
    assert_eq!(watched, ["Cost", "SlowCalls", "SpecialistErrors"].map(str::to_owned).into());
}

#[test]
fn no_alarm_names_a_specialist() {
    for alarm in all_metric() {
        for input in alarm.watched.inputs() {
            assert!(!input.metric.dimensions.contains_key("Specialist"), "{}", alarm.name);
        }
    }
}

/// Without a name of its own, an alarm of a nested stack could not be shown by its ARN.
#[test]
fn every_alarm_is_named_after_its_stack() {
    let (alarms, metric) = (alarms(), all_metric());
    let metric = metric.iter().map(|alarm| (&alarm.name, &alarm.full_name));
    let composite = alarms.composite.iter().map(|alarm| (&alarm.name, &alarm.full_name));
    for (name, full_name) in metric.chain(composite) {
        assert_eq!(full_name.as_deref(), Some(&*format!("router-{name}")));
    }
}

/// "A query can go back three hours": two more data points than asked may be looked at.
#[test]
fn no_query_is_judged_by_more_than_it_can_see() {
    for alarm in alarms().metric {
        if matches!(alarm.watched.source, Source::Queried(_)) {
            let periods = alarm.rule.evaluation_periods + 2;
            assert!(periods * alarm.watched.period_minutes <= MINUTES_BACK, "{}", alarm.name);
        }
    }
}

#[test]
fn the_alarm_of_the_duration_stands_at_eighty_percent_of_the_timeout() {
    let template = template();
    let (_, function) = template.of_type("AWS::Serverless::Function").next().unwrap();
    let timeout = template.property(function, "Timeout").unwrap().as_f64().unwrap();
    let alarms = alarms();
    let alarm = alarms.metric.iter().find(|alarm| alarm.name == "FunctionDurationAlarm").unwrap();
    assert_eq!(alarm.threshold, 0.8 * timeout * 1_000.0);
}

/// Those that mean a wrong answer or none. Slow, dear and looping requests are answered.
const UNHEALTHY: [&str; 8] = [
    "BudgetRefusalsAlarm",
    "CircuitOpenedAlarm",
    "FunctionErrorsAlarm",
    "FunctionThrottlesAlarm",
    "RoutingAccuracyAlarm",
    "RoutingAccuracyCollapseAlarm",
    "SpecialistErrorRateAlarm",
    "UnservedRequestsAlarm",
];

#[test]
fn routing_is_unhealthy_when_any_alarm_of_wrong_or_missing_answers_is_raised() {
    let alarms = alarms();
    let [composite] = alarms.composite.as_slice() else { panic!("there is one composite alarm") };
    let raised_alone: Vec<&str> = alarms
        .metric
        .iter()
        .map(|alarm| alarm.name.as_str())
        .filter(|alarm| composite.rule.holds(&[(*alarm, State::Alarm)].into()))
        .collect();
    assert_eq!(raised_alone, UNHEALTHY);
    assert_eq!(composite.rule.alarms().len(), UNHEALTHY.len(), "it looks at nothing else");
}

#[test]
fn the_documentation_tells_of_every_alarm_and_of_no_other() {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let told: BTreeSet<String> = page
        .split('`')
        .filter(|word| word.ends_with("Alarm") && !word.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect();
    let mut defined: BTreeSet<String> = alarms().names().into_iter().map(str::to_owned).collect();
    for stack in ["escalations", "front-door", "routing-gate"] {
        let further = Template::read(&root().join(format!("stacks/{stack}.yaml"))).unwrap();
        defined.extend(further.of_type("AWS::CloudWatch::Alarm").map(|(name, _)| name.to_owned()));
    }
    assert_eq!(told, defined);
}

/// A heading for each, with commands below it.
#[test]
fn the_runbook_says_what_to_do_about_every_alarm_and_about_no_other() {
    let page = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let sections = page.split("\n### `").skip(1);
    let headings: BTreeSet<String> = sections
        .map(|section| {
            let (name, rest) = section.split_once("`\n").unwrap();
            assert!(rest.contains("\nrouterctl "), "{name} has no command");
            name.to_owned()
        })
        .collect();
    let defined: BTreeSet<String> = alarms().names().into_iter().map(str::to_owned).collect();
    assert_eq!(headings, defined);
}
