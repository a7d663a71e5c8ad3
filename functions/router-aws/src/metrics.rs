//! Metrics to CloudWatch, by a call or through the log.

mod emf;

use std::borrow::Cow;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_smithy_types::DateTime;
use router_core::error::Cause;
use router_core::metrics::{Batch, Datum, MetricsSink};
use tokio::time::timeout;
use tracing::warn;

use crate::failure::{self, NO_ANSWER};
use crate::output;
use crate::settings::{Delivery, MetricsSettings};
use crate::xray_header::XrayHeader;

/// Publishes to CloudWatch: with one `PutMetricData` a batch, or in the embedded metric format on
/// standard output, from which CloudWatch takes it.
///
/// There is one attempt of a call, since the reply waits for it. Where it fails, the same data go
/// to standard output. A call that timed out may have arrived all the same; its data then count
/// twice.
#[derive(Clone, Debug)]
pub struct CloudWatchMetrics {
    /// `None`: all goes to standard output.
    client: Option<Client>,
    namespace: String,
}

impl CloudWatchMetrics {
    /// Publishes as `settings` say, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, settings: MetricsSettings) -> Self {
        let MetricsSettings { namespace, delivery } = settings;
        let client = || {
            let config = Builder::from(config)
                .retry_config(RetryConfig::disabled())
                .interceptor(XrayHeader)
                .build();
            Client::from_conf(config)
        };
        Self { client: (delivery == Delivery::Api).then(client), namespace }
    }

    /// Publishes with a call.
    async fn put(&self, client: &Client, batch: &Batch<'_>, within: Duration) -> Result<(), Cause> {
        let data = batch.data.iter().map(|datum| metric_datum(batch, datum)).collect();
        let sending =
            client.put_metric_data().namespace(&self.namespace).set_metric_data(Some(data));
        match timeout(within, sending.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure::cause("CloudWatch", error)),
            Err(_) => Err(NO_ANSWER.into()),
        }
    }
}

impl MetricsSink for CloudWatchMetrics {
    async fn publish(&self, batch: &Batch<'_>, within: Duration) {
        if batch.data.is_empty() {
            return;
        }
        if let Some(client) = &self.client {
            let Err(failure) = self.put(client, batch, within).await else { return };
            warn!(error = %failure, "metrics go to the log");
        }
        for line in emf::lines(&self.namespace, batch) {
            output::line(|_| (line, false));
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
