//! CloudWatch's embedded metric format: metrics as JSON lines in the log.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::borrow::Cow;
use std::collections::BTreeMap;

use router_core::metrics::{Batch, Unit};
use serde_json::{Map, Value, json};

/// The most metrics that one document may define.
const MAX_METRICS: usize = 100;
/// The most values that one metric of a document may have.
const MAX_VALUES: usize = 100;

type Dimensions<'a> = &'a [(&'static str, Cow<'a, str>)];
type Metrics = BTreeMap<&'static str, (Unit, Vec<f64>)>;

/// The batch as lines, one document for each set of dimension values: in a document, a
/// dimension has one value.
pub(super) fn lines(namespace: &str, batch: &Batch<'_>) -> Vec<String> {
    let mut documents: BTreeMap<Dimensions<'_>, Vec<Metrics>> = BTreeMap::new();
    for datum in &batch.data {
        let parts = documents.entry(&datum.dimensions).or_default();
        let has_room = |part: &Metrics| match part.get(datum.name) {
            Some((_, values)) => values.len() < MAX_VALUES,
            None => part.len() < MAX_METRICS,
        };
        let place = parts.iter().position(has_room).unwrap_or(parts.len());
        if place == parts.len() {
            parts.push(Metrics::new());
        }
        parts[place].entry(datum.name).or_insert((datum.unit, Vec::new())).1.push(datum.value);
    }
    let timestamp = batch.timestamp.0;
    documents
        .iter()
        .flat_map(|(dimensions, parts)| {
            parts.iter().map(|part| document(namespace, timestamp, dimensions, part))
        })
        .collect()
}

fn document(namespace: &str, timestamp: u64, dimensions: Dimensions<'_>, part: &Metrics) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let definitions: Vec<Value> =
        part.iter().map(|(name, (unit, _))| json!({"Name": name, "Unit": unit.as_str()})).collect();
    let mut document = Map::new();
    document.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": timestamp,
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [names],
                "Metrics": definitions,
            }],
        }),
    );
    for (name, value) in dimensions {
        document.insert((*name).to_owned(), json!(value));
    }
    for (name, (_, values)) in part {
        let value = if let [value] = values.as_slice() { json!(value) } else { json!(values) };
        document.insert((*name).to_owned(), value);
    }
    Value::Object(document).to_string()
}

#[cfg(test)]
mod tests {
    use router_core::metrics::Datum;
    use router_core::units::Timestamp;

    use super::*;

    fn datum<'e>(name: &'static str, value: f64, specialist: Option<&'e str>) -> Datum<'e> {
        let dimensions = specialist.map(|name| ("Specialist", Cow::from(name)));
        Datum { name, unit: Unit::Count, value, dimensions: dimensions.into_iter().collect() }
    }

    fn documents(data: Vec<Datum<'_>>) -> Vec<Value> {
        let batch = Batch { timestamp: Timestamp(1_700_000_000_000), data };
        lines("Test", &batch).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_set_of_dimension_values_is_a_document_with_all_its_values() {
        let documents = documents(vec![
            datum("Errors", 1.0, Some("orders")),
            datum("Errors", 1.0, None),
            datum("Errors", 0.0, Some("general")),
            datum("Errors", 0.0, None),
        ]);
        assert_eq!(documents.len(), 3);
        assert_eq!(
            documents[0],
            json!({"_aws": {"Timestamp": 1_700_000_000_000_u64, "CloudWatchMetrics": [{
                "Namespace": "Test", "Dimensions": [[]],
                "Metrics": [{"Name": "Errors", "Unit": "Count"}]}]}, "Errors": [1.0, 0.0]})
        );
        assert_eq!(documents[1]["Specialist"], "general");
        assert_eq!(
            documents[2]["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Specialist"]])
        );
        assert_eq!(documents[2]["Errors"], 1.0);
    }

    #[test]
    fn a_document_stays_within_the_formats_limits() {
        let documents = documents((0..250).map(|_| datum("Errors", 1.0, None)).collect());
        let lengths: Vec<usize> =
            documents.iter().map(|document| document["Errors"].as_array().unwrap().len()).collect();
        assert_eq!(lengths, [100, 100, 50]);
    }
}
