//! The DynamoDB table that everything is kept in, as all of its users see it.

mod expression;

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
pub(crate) use expression::Expression;
use router_core::error::Cause;
use router_core::units::Timestamp;

use crate::failure;
use crate::xray_header::XrayHeader;

/// One attempt of a request takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Every write may be repeated: its condition recognises what it has done before.
const ATTEMPTS: u32 = 3;
/// The first backoff at most. The SDK's own, a second, is longer than most requests.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Any backoff at most.
const LONGEST_BACKOFF: Duration = Duration::from_millis(200);
/// What belongs to a day is kept this long after it, in seconds: 90 days.
const DAY_KEPT_SECONDS: u64 = 90 * 86_400;

/// The attributes of any item.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// A table and a way to it. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    /// The table `name`, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = Builder::from(config)
            .retry_config(retries)
            .timeout_config(timeouts)
            .interceptor(XrayHeader)
            .build();
        Self { client: Client::from_conf(config), name: name.into() }
    }
}

/// What the log may say of an error of the table.
pub(crate) fn cause<E>(error: SdkError<E, HttpResponse>) -> Cause
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    failure::cause("DynamoDB", error)
}

/// A key of the table.
pub(crate) fn key(pk: String, sk: String) -> Attributes {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn read_number(value: Option<&AttributeValue>) -> u64 {
    value.and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) fn read_text(value: Option<&AttributeValue>) -> Option<&str> {
    value.and_then(|value| value.as_s().ok()).map(String::as_str)
}

/// When an item that belongs to a day expires, in epoch seconds.
pub(crate) fn day_expiry(now: Timestamp) -> u64 {
    now.epoch_seconds() + DAY_KEPT_SECONDS
}

/// The UTC date, as `2026-11-21`.
pub(crate) fn date(now: Timestamp) -> String {
    let seconds = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
    let time = aws_smithy_types::DateTime::from_secs(seconds);
    let text = time.fmt(aws_smithy_types::date_time::Format::DateTime).unwrap_or_default();
    text.chars().take(10).collect()
}
