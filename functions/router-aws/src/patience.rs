//! How often and how long the clients of services ask that no user waits for.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

/// One attempt takes at most `timeout` until its answer begins; there are at most `attempts`.
pub(crate) fn with(config: &SdkConfig, attempts: u32, timeout: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout).build();
    let retries = RetryConfig::standard().with_max_attempts(attempts);
    config.to_builder().retry_config(retries).timeout_config(timeouts).build()
}
