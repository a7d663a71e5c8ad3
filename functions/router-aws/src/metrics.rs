//! Metrics to CloudWatch, or to the log where CloudWatch cannot be reached.

mod emf;

use std::borrow::Cow;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_smithy_types::DateTime;
use router_core::metrics::{Batch, Datum, MetricsSink};
use tokio::time::timeout;
use tracing::warn;

use crate::failure::{self, NO_ANSWER};
use crate::output;
use crate::xray_header::XrayHeader;

/// Publishes to CloudWatch with one `PutMetricData` a batch.
///
/// There is one attempt, since the reply waits for it. Where it fails, the same data goes to
/// standard output in the embedded metric format, from which CloudWatch takes it. A call
/// that timed out may have arrived all the same; its data then count twice.
#[derive(Clone, Debug)]
pub struct CloudWatchMetrics {
    client: Client,
    namespace: String,
}

impl CloudWatchMetrics {
    /// Publishes in `namespace`, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, namespace: impl Into<String>) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .interceptor(XrayHeader)
            .build();
        Self { client: Client::from_conf(config), namespace: namespace.into() }
    }
}

impl MetricsSink for CloudWatchMetrics {
    async fn publish(&self, batch: &Batch<'_>, within: Duration) {
        if batch.data.is_empty() {
            return;
        }
        let data = batch.data.iter().map(|datum| metric_datum(batch, datum)).collect();
        let sending =
            self.client.put_metric_data().namespace(&self.namespace).set_metric_data(Some(data));
        let failure = match timeout(within, sending.send()).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => failure::cause("CloudWatch", error),
            Err(_) => NO_ANSWER.into(),
        };
        warn!(error = %failure, "metrics go to the log");
        for line in emf::lines(&self.namespace, batch) {
            output::line(|_| (line.to_string(), false));
        }
    }
}

fn metric_datum(batch: &Batch<'_>, datum: &Datum<'_>) -> MetricDatum {
    let dimension = |(name, value): &(&'static str, Cow<'_, str>)| {
        Dimension::builder().name(*name).value(&**value).build()
    };
    MetricDatum::builder()
        .metric_name(datum.name)
        .unit(StandardUnit::from(datum.unit.as_str()))
        .value(datum.value)
        .timestamp(DateTime::from_millis(i64::try_from(batch.timestamp.0).unwrap_or(i64::MAX)))
        .set_dimensions(Some(datum.dimensions.iter().map(dimension).collect()))
        .build()
}
