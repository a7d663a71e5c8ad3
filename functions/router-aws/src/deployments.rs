//! Hooks of CodeDeploy's deployments, which wait to be told whether they may go on.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::config::Builder;
use aws_sdk_codedeploy::types::LifecycleEventStatus;
use router_core::error::Cause;

use crate::failure;
use crate::patience;
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
        let config = patience::with(config, ATTEMPTS, ATTEMPT_TIMEOUT);
        Self(Client::from_conf(Builder::from(&config).interceptor(XrayHeader).build()))
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
