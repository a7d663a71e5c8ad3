//! What every alarm has, and that what they say of other parts of the template is so.

use std::collections::BTreeSet;

use alarms::judge::{MissingData, State};
use alarms::metric::Statistic;
use toml::Table;

use crate::support::{alarms, root, template};

#[test]
fn every_alarm_notifies_the_topic_and_says_what_to_do() {
    let alarms = alarms();
    let metric =
        alarms.metric.iter().map(|alarm| (&alarm.name, &alarm.description, &alarm.actions));
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
    for alarm in alarms().metric {
        assert_eq!(alarm.rule.missing, MissingData::NotBreaching, "{}", alarm.name);
    }
}

#[test]
fn percentiles_are_judged_from_enough_samples_only() {
    for alarm in alarms().metric {
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
    for alarm in alarms().metric {
        assert!(alarm.watched.inputs().count() <= 10, "{}", alarm.name);
        let minutes = alarm.watched.period_minutes * alarm.rule.evaluation_periods;
        assert!(minutes <= 24 * 60, "{}", alarm.name);
    }
}

#[test]
fn each_specialist_of_the_shipped_policy_has_its_own_alarms() {
    let policy = root().join("functions/supervisor-router/routing.toml");
    let policy: Table = std::fs::read_to_string(policy).unwrap().parse().unwrap();
    let alarms = alarms();
    for specialist in policy["specialists"].as_table().unwrap().keys() {
        let watched = |metric: &str| {
            alarms.metric.iter().any(|alarm| {
                alarm.watched.inputs().any(|input| {
                    input.metric.name == metric
                        && input.metric.dimensions.get("Specialist") == Some(specialist)
                })
            })
        };
        for metric in ["SpecialistErrors", "SpecialistLatency", "Cost"] {
            assert!(watched(metric), "no alarm watches {metric} of {specialist}");
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
const UNHEALTHY: [&str; 11] = [
    "BillingErrorRateAlarm",
    "BudgetRefusalsAlarm",
    "CircuitOpenedAlarm",
    "FunctionErrorsAlarm",
    "FunctionThrottlesAlarm",
    "GeneralErrorRateAlarm",
    "OrdersErrorRateAlarm",
    "RoutingAccuracyAlarm",
    "RoutingAccuracyCollapseAlarm",
    "SupportErrorRateAlarm",
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

/// An alarm's name, with a star where one of its kind stands for each specialist.
fn kind(alarm: &str) -> String {
    let own = ["Billing", "Orders", "Support", "General"]
        .iter()
        .find_map(|specialist| alarm.strip_prefix(specialist));
    own.map_or_else(|| alarm.to_owned(), |kind| format!("*{kind}"))
}

#[test]
fn the_documentation_tells_of_every_alarm_and_of_no_other() {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let told: BTreeSet<String> = page
        .split('`')
        .filter(|word| word.ends_with("Alarm") && !word.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect();
    let defined: BTreeSet<String> = alarms().names().into_iter().map(kind).collect();
    assert_eq!(told, defined);
}
