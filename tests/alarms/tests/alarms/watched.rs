//! An alarm that watches what nobody publishes stays quiet for ever, and a graph of it empty.

use std::collections::BTreeSet;

use alarms::alarm::Source;
use alarms::dashboard::Shown;
use alarms::data::Published;
use alarms::metric::MetricId;
use router_core::journal::{Entry, Fact};
use router_core::metrics::Datum;
use router_core::outcome::Status;
use router_core::policy::Policy;
use router_core::split::Path;
use router_core::units::{MicroUsd, Timestamp};
use router_core::views::metrics;

use crate::support::{SPECIALISTS, Timeline, Traffic, alarms, recordings, root, template, widgets};

/// What Lambda publishes of a function by itself, in the dimension `FunctionName`: the AWS Lambda
/// Developer Guide, "Types of metrics for Lambda functions".
const LAMBDA: [&str; 6] =
    ["Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions", "DeadLetterErrors"];

/// All that the function was seen to publish, what the front door publishes where it shares the
/// sessions with what was there before, and all that Lambda publishes of it.
async fn published() -> Published {
    let requests: Vec<_> = recordings().await.all().cloned().collect();
    let count = requests.len();
    let namespace = requests[0].metrics[0].metric.namespace.clone();
    let mut published = Timeline::default().then(1, &Traffic::of(requests, count)).published;
    for (metric, unit) in side_by_side(&namespace) {
        published.series(&metric, unit);
    }
    published
}

/// What the core makes of a request on each of the two paths.
fn side_by_side(namespace: &str) -> Vec<(MetricId, &'static str)> {
    let toml = std::fs::read_to_string(root().join("functions/supervisor-router/routing.toml"));
    let agents = SPECIALISTS.map(|name| (name.to_owned(), "AGENT/LIVE".to_owned()));
    let policy = Policy::parse(&toml.unwrap(), Some(&agents.into())).unwrap();
    let status = Status::Answered;
    let replied = Fact::Replied { status, reason: None, specialist: None };
    let answered = Fact::PredecessorAnswered { cost: Some(MicroUsd(1)), failure: None };
    let ends = [(Path::Supervisor, replied), (Path::Current, answered)];
    let metrics = ends.into_iter().flat_map(|(path, end)| {
        let facts = [Fact::PathTaken { path }, end];
        let entries = facts.map(|fact| Entry { at: Timestamp(0), task: None, fact });
        let data = metrics::of(&entries, &policy, Timestamp(1));
        let id = |datum: &Datum<'_>| {
            let dimensions = datum.dimensions.iter();
            let owned =
                |(name, value): &(&str, _)| ((*name).to_owned(), ToString::to_string(value));
            let (namespace, name) = (namespace.to_owned(), datum.name.to_owned());
            let dimensions = dimensions.map(owned).collect();
            (MetricId { namespace, name, dimensions }, datum.unit.as_str())
        };
        data.iter().map(id).collect::<Vec<_>>()
    });
    metrics.collect()
}

fn is_of_lambda(metric: &MetricId) -> bool {
    let template = template();
    let mut functions = template.of_type("AWS::Serverless::Function").map(|(name, _)| name);
    let of_function = metric.dimensions.len() == 1
        && metric.dimensions.get("FunctionName").is_some_and(|name| functions.any(|f| f == name));
    metric.namespace == "AWS/Lambda" && LAMBDA.contains(&metric.name.as_str()) && of_function
}

#[tokio::test]
async fn every_alarm_watches_what_is_published() {
    let published = published().await;
    let mut blind = Vec::new();
    for alarm in alarms().metric {
        if let Source::Queried(query) = &alarm.watched.source {
            let found = query.groups(&published).len();
            if found == 0 {
                blind.push(format!("{} finds no {}", alarm.name, query.metric));
            }
        }
        for input in alarm.watched.inputs() {
            if is_of_lambda(&input.metric) {
                continue;
            }
            let units = published.units(&input.metric);
            let has_unit = input.unit.as_deref().is_none_or(|unit| units.contains(unit));
            if units.is_empty() || !has_unit {
                blind.push(format!("{} watches {}", alarm.name, input.metric));
            }
        }
    }
    assert!(blind.is_empty(), "nothing publishes what is watched:\n{}", blind.join("\n"));
}

#[tokio::test]
async fn every_graph_shows_what_is_published() {
    let published = published().await;
    let mut empty = Vec::new();
    for widget in widgets() {
        for shown in &widget.shows {
            let of_lambda = matches!(shown, Shown::Metric(metric) if is_of_lambda(metric));
            if !of_lambda && !published.metrics().any(|metric| shown.covers(metric)) {
                empty.push(format!("`{}` shows {shown:?}", widget.title));
            }
        }
    }
    assert!(empty.is_empty(), "nothing publishes what is shown:\n{}", empty.join("\n"));
}

/// Values of one metric in several units are several metrics to CloudWatch.
#[tokio::test]
async fn every_metric_has_one_unit() {
    let published = published().await;
    for metric in published.metrics() {
        assert_eq!(published.units(metric).len(), 1, "{metric}");
    }
}

#[test]
fn the_dashboard_shows_the_state_of_every_alarm() {
    let widgets = widgets();
    let shown: BTreeSet<&str> =
        widgets.iter().flat_map(|widget| &widget.alarms).map(String::as_str).collect();
    let alarms = alarms();
    let metric = alarms.metric.iter().map(|alarm| &alarm.full_name);
    let composite = alarms.composite.iter().map(|alarm| &alarm.full_name);
    assert_eq!(shown, metric.chain(composite).flatten().map(String::as_str).collect());
}

/// What the dashboard is for: no metric of the function is left for a search by hand.
#[tokio::test]
async fn every_metric_of_the_function_is_on_the_dashboard() {
    let widgets = widgets();
    let shown: BTreeSet<String> = widgets
        .iter()
        .flat_map(|widget| &widget.shows)
        .map(|shown| match shown {
            Shown::Metric(metric) => metric.name.clone(),
            Shown::Search { name, .. } => name.clone(),
        })
        .collect();
    for metric in published().await.metrics() {
        assert!(shown.contains(&metric.name), "no graph shows {metric}");
    }
}
