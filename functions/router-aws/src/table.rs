//! The DynamoDB table that everything is kept in, as all of its users see it.

mod list;
mod render;
mod send;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
pub use list::KeyPart;
pub(crate) use render::{item_of, key_attributes};
use router_core::error::Cause;
pub(crate) use send::answer_to_update;

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
