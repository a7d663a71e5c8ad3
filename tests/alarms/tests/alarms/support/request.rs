//! What one request left in CloudWatch.

use std::collections::BTreeMap;

use alarms::metric::MetricId;
use stand_ins::metrics::Batch;

/// The logical id of the function, which stands for its name.
const FUNCTION: &str = "SupervisorRouterFunction";

/// What healthy calls take here, in milliseconds. What was measured tells how busy this machine
/// was, and nothing of agents or tables on AWS; so it is replaced.
const LATENCY: f64 = 2_000.0;
const OVERHEAD: f64 = 40.0;

/// The policy's `slow_call_ms`.
const SLOW_CALL: f64 = 8_000.0;

/// What the function published of one request, and what Lambda published of the function.
///
/// The sandbox has no Lambda that publishes. Its part is made up here, as the AWS Lambda
/// Developer Guide describes it in "Types of metrics for Lambda functions".
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) metrics: Vec<Told>,
}

/// The values of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) metric: MetricId,
    pub(crate) unit: String,
    pub(crate) values: Vec<f64>,
}

impl Request {
    /// A request that published this, and that Lambda had no trouble with.
    pub(crate) fn of(batch: &Batch) -> Self {
        Self::of_function(FUNCTION, batch)
    }

    /// The same of a function with this logical id.
    pub(crate) fn of_function(function: &str, batch: &Batch) -> Self {
        let own = [("Invocations", "Count", 1.0), ("Errors", "Count", 0.0)];
        let more = [("Throttles", "Count", 0.0), ("Duration", "Milliseconds", 0.0)];
        let lambda = own.into_iter().chain(more).map(|(name, unit, value)| Told {
            metric: MetricId {
                namespace: "AWS/Lambda".to_owned(),
                name: name.to_owned(),
                dimensions: [("FunctionName".to_owned(), function.to_owned())].into(),
            },
            unit: unit.to_owned(),
            values: vec![value],
        });
        let request = Self { metrics: Self::told(batch).chain(lambda).collect() };
        let called = request.metrics.iter().any(|told| told.metric.name == "SpecialistLatency");
        let request = if called { request.with_latency(LATENCY) } else { request };
        request.with_overhead(OVERHEAD)
    }

    /// The same request, had it published this as well.
    pub(crate) fn and(&self, batch: &Batch) -> Self {
        let metrics = self.metrics.iter().cloned().chain(Self::told(batch)).collect();
        Self { metrics }
    }

    fn told(batch: &Batch) -> impl Iterator<Item = Told> {
        batch.data.iter().map(|datum| Told {
            metric: MetricId {
                namespace: batch.namespace.clone(),
                name: datum.name.clone(),
                dimensions: datum.dimensions.clone(),
            },
            unit: datum.unit.clone(),
            values: datum.values.clone(),
        })
    }

    /// The same request of a specialist of another name.
    pub(crate) fn renamed(&self, from: &str, to: &str) -> Self {
        let mut renamed = self.clone();
        for told in &mut renamed.metrics {
            for name in ["Specialist", "SpecialistRouted"] {
                if let Some(value) = told.metric.dimensions.get_mut(name)
                    && value == from
                {
                    to.clone_into(value);
                }
            }
        }
        renamed
    }

    /// The sum of a metric in one dimension set.
    pub(crate) fn sum(&self, name: &str, dimensions: &[(&str, &str)]) -> f64 {
        let dimensions: BTreeMap<String, String> = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let meant = |told: &&Told| told.metric.name == name && told.metric.dimensions == dimensions;
        self.metrics.iter().filter(meant).flat_map(|told| &told.values).sum()
    }

    /// The same request, had each of its invocations taken this long.
    pub(crate) fn with_latency(&self, milliseconds: f64) -> Self {
        let slow = if milliseconds > SLOW_CALL { 1.0 } else { 0.0 };
        self.with("SpecialistLatency", milliseconds).with("SlowCalls", slow).with_duration()
    }

    /// The same request, had the router itself taken this long.
    pub(crate) fn with_overhead(&self, milliseconds: f64) -> Self {
        self.with("RouterOverhead", milliseconds).with_duration()
    }

    /// The same request with another value of a metric, in all its dimension sets.
    pub(crate) fn with(&self, name: &str, value: f64) -> Self {
        let mut changed = self.clone();
        let meant = changed.metrics.iter_mut().filter(|told| told.metric.name == name);
        let count = meant.map(|told| told.values.fill(value)).count();
        assert!(count > 0, "the request told nothing of {name}");
        changed
    }

    fn with_duration(self) -> Self {
        let total = self.sum("SpecialistLatency", &[]) + self.sum("RouterOverhead", &[]);
        self.with("Duration", total)
    }
}
