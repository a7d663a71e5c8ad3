//! The metric alarms of a template.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::insights::{MINUTES_BACK, Query};
use crate::judge::{MissingData, Rule};
use crate::math::Expression;
use crate::metric::{MetricId, Statistic};
use crate::template::{Template, TemplateError};

/// An alarm on a metric, or on an expression over metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricAlarm {
    /// Its logical id.
    pub name: String,
    /// The name that it has in the account.
    pub full_name: Option<String>,
    /// What it tells whom it wakes.
    pub description: String,
    /// What its data points are made of.
    pub watched: Watched,
    /// How a data point and the threshold are compared.
    pub comparison: Comparison,
    /// The threshold.
    pub threshold: f64,
    /// How many data points decide.
    pub rule: Rule,
    /// With fewer samples than this, the alarm stays as it is.
    pub least_samples: Option<usize>,
    /// Who is told when it is raised.
    pub actions: Vec<String>,
}

/// What the data points of an alarm are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The length of a period, in minutes.
    pub period_minutes: usize,
    /// Where a data point comes from.
    pub source: Source,
}

/// Where data points come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Metrics that are named.
    Named {
        /// The metrics, by id.
        inputs: BTreeMap<String, Input>,
        /// What is made of them. All its ids are those of inputs.
        expression: Expression,
    },
    /// All metrics that a query finds: each of its groups has a data point.
    Queried(Query),
}

/// A statistic of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The metric.
    pub metric: MetricId,
    /// The statistic.
    pub statistic: Statistic,
    /// The unit that the values must have, if there is one.
    pub unit: Option<String>,
}

/// How a data point is compared with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    GreaterThanThreshold,
    GreaterThanOrEqualToThreshold,
    LessThanThreshold,
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Whether the data point is a bad one.
    pub fn is_breaching(self, point: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanThreshold => point > threshold,
            Self::GreaterThanOrEqualToThreshold => point >= threshold,
            Self::LessThanThreshold => point < threshold,
            Self::LessThanOrEqualToThreshold => point <= threshold,
        }
    }
}

/// The properties of an alarm. What CloudWatch would assume where nothing is said about missing
/// data is not assumed here: an alarm has to say it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    alarm_name: Option<String>,
    alarm_description: String,
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    unit: Option<String>,
    period: Option<usize>,
    #[serde(default)]
    metrics: Vec<DataQuery>,
    comparison_operator: Comparison,
    threshold: f64,
    evaluation_periods: usize,
    datapoints_to_alarm: Option<usize>,
    treat_missing_data: MissingData,
    evaluate_low_sample_count_percentile: Option<LowSamples>,
    alarm_actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DataQuery {
    id: String,
    #[serde(rename = "Label")]
    _label: Option<String>,
    expression: Option<String>,
    period: Option<usize>,
    metric_stat: Option<MetricStat>,
    #[serde(default = "yes")]
    return_data: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricStat {
    metric: Metric,
    period: usize,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LowSamples {
    Evaluate,
    Ignore,
}

fn yes() -> bool {
    true
}

impl MetricAlarm {
    /// All metric alarms of a template.
    ///
    /// # Errors
    ///
    /// The first alarm that cannot be resolved, or is no alarm as far as that is known here.
    pub fn all(template: &Template) -> Result<Vec<Self>, TemplateError> {
        let alarms = template.of_type("AWS::CloudWatch::Alarm");
        alarms
            .map(|(name, resource)| {
                let properties = template.properties(resource)?;
                let problem =
                    |problem| TemplateError::Properties { resource: name.to_owned(), problem };
                let properties = serde_json::from_value(properties)
                    .map_err(|error| problem(error.to_string()))?;
                Self::from_properties(name, properties).map_err(problem)
            })
            .collect()
    }

    fn from_properties(name: &str, properties: Properties) -> Result<Self, String> {
        let datapoints_to_alarm =
            properties.datapoints_to_alarm.unwrap_or(properties.evaluation_periods);
        if !(1..=properties.evaluation_periods).contains(&datapoints_to_alarm) {
            return Err(format!(
                "{datapoints_to_alarm} of {} data points can never be",
                properties.evaluation_periods
            ));
        }
        let low_samples = properties.evaluate_low_sample_count_percentile;
        let watched = Watched::from_properties(
            properties.metrics,
            properties.period,
            Self::single_input(
                properties.namespace,
                properties.metric_name,
                properties.dimensions,
                properties.statistic.or(properties.extended_statistic),
                properties.unit,
            )?,
        )?;
        let range = watched.period_minutes * properties.evaluation_periods;
        if matches!(watched.source, Source::Queried(_)) && range > MINUTES_BACK {
            return Err(format!("a query goes back {MINUTES_BACK} minutes, not {range}"));
        }
        let significant = watched.significant_samples();
        let least_samples = match (significant, low_samples) {
            (None, None) | (Some(_), Some(LowSamples::Evaluate)) => None,
            (Some(samples), Some(LowSamples::Ignore)) => Some(samples),
            (Some(_), None) => return Err("a percentile must say what few samples mean".to_owned()),
            (None, Some(_)) => return Err("few samples matter to percentiles only".to_owned()),
        };
        Ok(Self {
            name: name.to_owned(),
            full_name: properties.alarm_name,
            description: properties.alarm_description,
            watched,
            comparison: properties.comparison_operator,
            threshold: properties.threshold,
            rule: Rule {
                evaluation_periods: properties.evaluation_periods,
                datapoints_to_alarm,
                missing: properties.treat_missing_data,
            },
            least_samples,
            actions: properties.alarm_actions,
        })
    }

    fn single_input(
        namespace: Option<String>,
        name: Option<String>,
        dimensions: Vec<Dimension>,
        statistic: Option<String>,
        unit: Option<String>,
    ) -> Result<Option<Input>, String> {
        match (namespace, name, statistic) {
            (None, None, None) => Ok(None),
            (Some(namespace), Some(metric_name), Some(statistic)) => {
                let metric = Metric { namespace, metric_name, dimensions };
                Input::new(metric, &statistic, unit).map(Some)
            }
            _ => Err("a metric needs a namespace, a name and a statistic".to_owned()),
        }
    }
}

impl Watched {
    fn from_properties(
        queries: Vec<DataQuery>,
        period: Option<usize>,
        single: Option<Input>,
    ) -> Result<Self, String> {
        match (single, period, queries.is_empty()) {
            (Some(input), Some(period), true) => Ok(Self {
                period_minutes: minutes(period)?,
                source: Source::Named {
                    inputs: [("metric".to_owned(), input)].into(),
                    expression: Expression::Id("metric".to_owned()),
                },
            }),
            (None, None, false) => match Self::insights(&queries)? {
                Some(watched) => Ok(watched),
                None => Self::from_queries(queries),
            },
            _ => Err("either one metric with its period or `Metrics` is asked".to_owned()),
        }
    }

    /// A Metrics Insights query stands alone: what metric math would make of its many series is not
    /// known here.
    fn insights(queries: &[DataQuery]) -> Result<Option<Self>, String> {
        let text = |query: &DataQuery| query.expression.clone().filter(|it| Query::is_meant(it));
        let Some(text) = queries.iter().find_map(text) else { return Ok(None) };
        let [DataQuery { period: Some(period), metric_stat: None, return_data: true, .. }] =
            queries
        else {
            return Err("a query stands alone, with its period, and returns its data".to_owned());
        };
        let source = Source::Queried(Query::parse(&text)?);
        Ok(Some(Self { period_minutes: minutes(*period)?, source }))
    }

    /// One query returns data and is an expression, all others are metrics of the same period.
    fn from_queries(queries: Vec<DataQuery>) -> Result<Self, String> {
        let mut inputs = BTreeMap::new();
        let mut periods = Vec::new();
        let mut returned = Vec::new();
        for query in queries {
            match (query.expression, query.metric_stat, query.period, query.return_data) {
                (Some(expression), None, None, true) => returned.push(expression),
                (None, Some(stat), None, false) => {
                    periods.push(stat.period);
                    let input = Input::new(stat.metric, &stat.stat, stat.unit)?;
                    inputs.insert(query.id, input);
                }
                _ => return Err(format!("query `{}` is not known in this form", query.id)),
            }
        }
        periods.dedup();
        let ([period], [expression]) = (periods.as_slice(), returned.as_slice()) else {
            return Err(format!("{returned:?} return data, with the periods {periods:?}"));
        };
        let expression = Expression::parse(expression).map_err(|error| error.to_string())?;
        let known = inputs.keys().map(String::as_str).collect();
        if expression.ids() != known {
            return Err(format!("{:?} are used, {known:?} are there", expression.ids()));
        }
        let source = Source::Named { inputs, expression };
        Ok(Self { period_minutes: minutes(*period)?, source })
    }

    /// The metrics that are named.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        let named = match &self.source {
            Source::Named { inputs, .. } => Some(inputs.values()),
            Source::Queried(_) => None,
        };
        named.into_iter().flatten()
    }

    /// What the percentile needs where a single one is watched as it is.
    fn significant_samples(&self) -> Option<usize> {
        match &self.source {
            Source::Named { inputs, expression: Expression::Id(id) } => {
                inputs.get(id)?.statistic.significant_samples()
            }
            _ => None,
        }
    }
}

impl Input {
    fn new(metric: Metric, statistic: &str, unit: Option<String>) -> Result<Self, String> {
        let statistic = Statistic::parse(statistic)
            .ok_or_else(|| format!("the statistic `{statistic}` is not known"))?;
        let dimensions = metric.dimensions.into_iter().map(|one| (one.name, one.value)).collect();
        let metric = MetricId { namespace: metric.namespace, name: metric.metric_name, dimensions };
        Ok(Self { metric, statistic, unit })
    }
}

fn minutes(seconds: usize) -> Result<usize, String> {
    let whole = seconds > 0 && seconds.is_multiple_of(60);
    whole.then_some(seconds / 60).ok_or_else(|| format!("a period of {seconds} s is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The alarm with these properties beside those that all have here.
    fn alarm(properties: &str) -> Result<MetricAlarm, TemplateError> {
        let properties = properties.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = format!(
            "Resources:
              Watch:
                Type: AWS::CloudWatch::Alarm
                Properties: {{ AlarmDescription: D, ComparisonOperator: LessThanThreshold,
                  Threshold: 1, TreatMissingData: notBreaching, AlarmActions: [], {properties} }}"
        );
        MetricAlarm::all(&Template::parse(&text)?).map(|mut alarms| alarms.remove(0))
    }

    fn problem(properties: &str) -> String {
        alarm(properties).unwrap_err().to_string()
    }

    #[test]
    fn an_alarm_on_one_metric_is_an_expression_of_it() {
        let alarm = alarm(
            "Namespace: N, MetricName: M, Statistic: Sum, Period: 300, EvaluationPeriods: 3,
             DatapointsToAlarm: 2, Dimensions: [{ Name: A, Value: x }]",
        );
        let alarm = alarm.unwrap();
        assert_eq!(alarm.watched.period_minutes, 5);
        let inputs: Vec<String> =
            alarm.watched.inputs().map(|input| input.metric.to_string()).collect();
        assert_eq!(inputs, ["N M [A=x]"]);
        assert_eq!((alarm.rule.datapoints_to_alarm, alarm.rule.evaluation_periods), (2, 3));
        assert_eq!(alarm.least_samples, None);
    }

    #[test]
    fn a_percentile_that_ignores_few_samples_needs_as_many_as_the_guide_says() {
        let p99 = "Namespace: N, MetricName: M, ExtendedStatistic: p99, Period: 60,
                   EvaluationPeriods: 1";
        let ignoring = format!("{p99}, EvaluateLowSampleCountPercentile: ignore");
        assert_eq!(alarm(&ignoring).unwrap().least_samples, Some(1_000));
        let evaluating = format!("{p99}, EvaluateLowSampleCountPercentile: evaluate");
        assert_eq!(alarm(&evaluating).unwrap().least_samples, None);
        assert_eq!(problem(p99), "`Watch`: a percentile must say what few samples mean");
    }

    /// Its query, its period, and how many of them are looked at.
    fn insights(query: &str, more: &str, periods: usize) -> String {
        format!(
            "EvaluationPeriods: {periods}, Metrics: [{{ Id: q, Period: 3600, Expression: '{query}' }}
             {more}]"
        )
    }

    const COST: &str = "SELECT SUM(Cost) FROM SCHEMA(\"N\", Who) GROUP BY Who ORDER BY SUM() DESC";

    #[test]
    fn an_alarm_on_a_query_names_no_metric() {
        let alarm = alarm(&insights(COST, "", 3)).unwrap();
        assert_eq!(alarm.watched.period_minutes, 60);
        assert_eq!(alarm.watched.inputs().count(), 0);
        let Source::Queried(query) = alarm.watched.source else { panic!("it is a query") };
        assert_eq!((query.metric.as_str(), query.group_by), ("Cost", vec!["Who".to_owned()]));
    }

    #[test]
    fn an_alarm_that_could_not_be_judged_is_refused() {
        let metric = "Namespace: N, MetricName: M, Statistic: Sum";
        let ungrouped = COST.replace("GROUP BY Who ", "");
        for (properties, expected) in [
            (
                format!("{metric}, Period: 300, EvaluationPeriods: 1, DatapointsToAlarm: 2"),
                "2 of 1 data points",
            ),
            (format!("{metric}, Period: 30, EvaluationPeriods: 1"), "a period of 30 s"),
            (format!("{metric}, EvaluationPeriods: 1"), "either one metric"),
            (
                format!("{metric}, Period: 60, EvaluationPeriods: 1, ThresholdMetricId: b"),
                "unknown field `ThresholdMetricId`",
            ),
            (
                "EvaluationPeriods: 1, Metrics: [{ Id: e, Expression: a + b },
                 { Id: a, ReturnData: false, MetricStat: { Period: 60, Stat: Sum,
                   Metric: { Namespace: N, MetricName: M } } }]"
                    .to_owned(),
                r#"{"a", "b"} are used, {"a"} are there"#,
            ),
            (insights(COST, "", 4), "a query goes back 180 minutes, not 240"),
            (insights(COST, ", { Id: e, Expression: 100 * q }", 1), "a query stands alone"),
            (insights(&ungrouped, "", 1), "`GROUP` is asked"),
        ] {
            let problem = problem(&properties);
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
