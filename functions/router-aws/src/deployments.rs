//! Hooks of CodeDeploy's deployments, which wait to be told whether they may go on.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::config::Builder;
use aws_sdk_codedeploy::config::retry::RetryConfig;
use aws_sdk_codedeploy::config::timeout::TimeoutConfig;
use aws_sdk_codedeploy::types::LifecycleEventStatus;
use router_core::error::Cause;

use crate::failure;
use crate::xray_header::XrayHeader;

/// One attempt takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// A deployment that hears nothing waits for an hour.
const ATTEMPTS: u32 = 3;

/// A hook that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The deployment.
    pub deployment: String,
    /// The execution of the hook in it.
    pub execution: String,
}

/// Tells deployments whether they may go on.
#[derive(Clone, Debug)]
pub struct DeploymentHooks(Client);

impl DeploymentHooks {
    /// Hooks in the region of `config`, with its credentials and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = Builder::from(config)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            .interceptor(XrayHeader)
            .build();
        Self(Client::from_conf(config))
    }

    /// Tells a deployment whether it may go on.
    ///
    /// # Errors
    ///
    /// The cause, where CodeDeploy did not take it: the hook may have been told before, or too late.
    pub async fn tell(&self, hook: &Hook, may_go_on: bool) -> Result<(), Cause> {
        let status =
            if may_go_on { LifecycleEventStatus::Succeeded } else { LifecycleEventStatus::Failed };
        let telling = self
            .0
            .put_lifecycle_event_hook_execution_status()
            .deployment_id(&hook.deployment)
            .lifecycle_event_hook_execution_id(&hook.execution)
            .status(status);
        telling.send().await.map_err(|error| failure::cause("CodeDeploy", error))?;
        Ok(())
    }
}
