//! The dashboards of a template: what their widgets show.
//!
//! Of the many forms of CloudWatch's "Dashboard body structure and syntax", metrics in full,
//! expressions, searches and lists of alarms are known. Shorthands for repeated fields are not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::math::Expression;
use crate::metric::{MetricId, Statistic};
use crate::template::{Template, TemplateError};

/// One widget.
#[derive(Clone, Debug, PartialEq)]
pub struct Widget {
    /// Its title.
    pub title: String,
    /// What it draws.
    pub shows: Vec<Shown>,
    /// The alarms whose states it shows, by the names that they have in the account.
    pub alarms: Vec<String>,
}

/// What a widget draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One metric.
    Metric(MetricId),
    /// All metrics of this name with exactly these dimensions, whatever their values.
    Search {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The names of the dimensions.
        dimensions: BTreeSet<String>,
    },
}

impl Shown {
    /// Whether this metric is drawn.
    pub fn covers(&self, metric: &MetricId) -> bool {
        match self {
            Self::Metric(shown) => shown == metric,
            Self::Search { namespace, name, dimensions } => {
                *namespace == metric.namespace
                    && *name == metric.name
                    && dimensions.iter().eq(metric.dimensions.keys())
            }
        }
    }
}

impl Widget {
    /// The widgets of all dashboards of a template.
    ///
    /// # Errors
    ///
    /// The first dashboard that cannot be resolved, or is none as far as that is known here.
    pub fn all(template: &Template) -> Result<Vec<Self>, TemplateError> {
        let mut widgets = Vec::new();
        for (name, resource) in template.of_type("AWS::CloudWatch::Dashboard") {
            let problem =
                |problem| TemplateError::Properties { resource: name.to_owned(), problem };
            let body = template.property(resource, "DashboardBody")?;
            let body: Value = serde_json::from_str(body.as_str().unwrap_or_default())
                .map_err(|error| problem(error.to_string()))?;
            let Some(bodies) = body["widgets"].as_array() else {
                return Err(problem("there are no widgets".to_owned()));
            };
            for body in bodies {
                widgets.push(Self::parse(body).map_err(problem)?);
            }
        }
        Ok(widgets)
    }

    fn parse(body: &Value) -> Result<Self, String> {
        let properties = &body["properties"];
        let title = properties["title"].as_str().unwrap_or_default().to_owned();
        let told = |problem| format!("widget `{title}`: {problem}");
        let (shows, alarms) = match body["type"].as_str() {
            Some("metric") => (shown(&properties["metrics"]).map_err(told)?, Vec::new()),
            Some("alarm") => (Vec::new(), alarms(&properties["alarms"]).map_err(told)?),
            _ => return Err(told(format!("the type {} is not known", body["type"]))),
        };
        Ok(Self { title, shows, alarms })
    }
}

/// ARNs of alarms, which end in their names.
fn alarms(listed: &Value) -> Result<Vec<String>, String> {
    let arn = |arn: &Value| {
        let (start, name) = arn.as_str()?.split_once(":alarm:")?;
        start.starts_with("arn:aws:cloudwatch:").then(|| name.to_owned())
    };
    let alarms = listed.as_array().and_then(|listed| listed.iter().map(arn).collect());
    alarms.ok_or_else(|| format!("{listed} are no ARNs of alarms"))
}

fn shown(listed: &Value) -> Result<Vec<Shown>, String> {
    let mut shows = Vec::new();
    let mut defined = BTreeSet::new();
    let mut used = BTreeSet::new();
    for line in listed.as_array().ok_or("there are no metrics")? {
        let line = line.as_array().ok_or_else(|| format!("{line} is no metric"))?;
        let (options, names) = match line.split_last() {
            Some((options @ Value::Object(_), names)) => (options, names),
            _ => (&Value::Null, line.as_slice()),
        };
        if let Some(stat) = options["stat"].as_str()
            && Statistic::parse(stat).is_none()
        {
            return Err(format!("the statistic `{stat}` is not known"));
        }
        match options["expression"].as_str() {
            Some(text) if text.starts_with("SEARCH(") => shows.push(search(text)?),
            Some(text) => {
                let expression = Expression::parse(text).map_err(|error| error.to_string())?;
                used.extend(expression.ids().into_iter().map(str::to_owned));
            }
            None => shows.push(Shown::Metric(metric(names)?)),
        }
        defined.extend(options["id"].as_str().map(str::to_owned));
    }
    let unknown: Vec<&String> = used.difference(&defined).collect();
    if unknown.is_empty() { Ok(shows) } else { Err(format!("no metric has the ids {unknown:?}")) }
}

/// Namespace, name, and names and values of the dimensions in turn.
fn metric(names: &[Value]) -> Result<MetricId, String> {
    let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
    match names.as_deref() {
        Some([namespace, name, dimensions @ ..]) if dimensions.len().is_multiple_of(2) => {
            let pairs = dimensions.chunks_exact(2);
            let dimensions: BTreeMap<String, String> =
                pairs.map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
            Ok(MetricId {
                namespace: (*namespace).to_owned(),
                name: (*name).to_owned(),
                dimensions,
            })
        }
        _ => Err(format!("{names:?} is no metric in full")),
    }
}

/// `SEARCH('{"Namespace",Dimension,…} MetricName="Name"', 'Statistic', seconds)`.
fn search(text: &str) -> Result<Shown, String> {
    let parts = || {
        let rest = text.strip_prefix("SEARCH('{\"")?;
        let (namespace, rest) = rest.split_once("\",")?;
        let (dimensions, rest) = rest.split_once("} MetricName=\"")?;
        let (name, rest) = rest.split_once("\"', '")?;
        let (statistic, rest) = rest.split_once("', ")?;
        Statistic::parse(statistic)?;
        rest.strip_suffix(')')?.parse::<u32>().ok()?;
        Some(Shown::Search {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.split(',').map(str::to_owned).collect(),
        })
    };
    parts().ok_or_else(|| format!("`{text}` is no search in the form known here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widget(metrics: &str) -> Result<Widget, String> {
        let metrics: Value = serde_json::from_str(metrics).unwrap();
        Widget::parse(&serde_json::json!({
            "type": "metric",
            "properties": { "title": "T", "metrics": metrics },
        }))
    }

    fn id(name: &str, dimensions: &[(&str, &str)]) -> MetricId {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        MetricId {
            namespace: "N".to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_metric_is_shown_in_exactly_its_dimensions() {
        let widget = widget(r#"[["N", "M", "A", "x", { "stat": "p90" }]]"#).unwrap();
        let covers = |metric| widget.shows[0].covers(&metric);
        assert!(covers(id("M", &[("A", "x")])));
        assert!(!covers(id("M", &[("A", "y")])));
        assert!(!covers(id("M", &[])));
    }

    #[test]
    fn an_alarm_is_shown_by_its_arn() {
        let of = |arn: &str| alarms(&serde_json::json!([arn]));
        assert_eq!(of("arn:aws:cloudwatch:r:1:alarm:router-A"), Ok(vec!["router-A".to_owned()]));
        assert!(of("arn:aws:sns:r:1:alarm:router-A").is_err());
        assert!(of("router-A").is_err());
    }

    #[test]
    fn a_search_covers_all_values_of_exactly_its_dimensions() {
        let text = r#"[[{ "expression": "SEARCH('{\"N\",A,B} MetricName=\"M\"', 'Sum', 300)" }]]"#;
        let widget = widget(text).unwrap();
        let covers = |metric| widget.shows[0].covers(&metric);
        assert!(covers(id("M", &[("A", "x"), ("B", "y")])));
        assert!(!covers(id("M", &[("A", "x")])));
        assert!(!covers(id("O", &[("A", "x"), ("B", "y")])));
    }

    #[test]
    fn an_expression_needs_the_metrics_that_it_names() {
        let text = r#"[[{ "expression": "a / b" }], ["N", "M", { "id": "a" }]]"#;
        assert_eq!(widget(text).unwrap_err(), r#"widget `T`: no metric has the ids ["b"]"#);
    }

    #[test]
    fn what_would_show_nothing_is_refused() {
        for metrics in [
            r#"[["N", "M", "A"]]"#,
            r#"[["N"]]"#,
            r#"[["N", "M", { "stat": "p100" }]]"#,
            r#"[[{ "expression": "SEARCH('M', 'Sum')" }]]"#,
        ] {
            assert!(widget(metrics).is_err(), "{metrics}");
        }
    }
}
