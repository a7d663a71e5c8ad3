//! The router's ports on AWS, and what a function needs around them: settings and logs.
//!
//! This is the only library that knows the AWS SDK. [`DynamoLedger`] keeps the budgets,
//! [`DynamoCircuits`] the circuits, [`DynamoScratchpad`] what specialists write for each other,
//! [`DynamoEscalations`] what people are asked, [`DynamoIncidents`] the incidents and [`policy`] the
//! routing policy, all in one [`Table`];
//! [`AgentInvoker`] asks the specialists, [`AwsSupervisor`] the supervisor, [`AwsPredecessor`] what
//! was there before it, [`CloudWatchMetrics`] publishes, [`DeploymentHooks`] tells deployments whether
//! they may go on, [`Objects`] reads files, [`OtlpTraces`] exports, [`SystemClock`] and
//! [`InvocationClock`] tell the time. Endpoints, region and credentials come from the environment as in
//! every AWS SDK.

mod agentcore;
mod agents;
mod bedrock;
pub mod circuits;
mod clock;
mod converse;
pub mod deployments;
pub mod escalations;
mod failure;
mod frames;
mod harness;
pub mod incidents;
pub mod ledger;
pub mod logging;
pub mod metrics;
mod model;
pub mod objects;
pub mod otlp;
pub mod output;
mod patience;
pub mod policy;
mod ports;
mod predecessor;
pub mod scratchpad;
pub mod settings;
mod supervisor;
pub mod table;
mod timer;
pub mod topic;
mod turns;
mod usage;
pub mod xray_header;

pub use agents::AgentInvoker;
/// Region, credentials and endpoints, as all clients share them.
pub use aws_config::SdkConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::Credentials;
pub use circuits::DynamoCircuits;
pub use clock::{InvocationClock, SystemClock};
pub use deployments::DeploymentHooks;
pub use escalations::DynamoEscalations;
pub use incidents::DynamoIncidents;
pub use ledger::DynamoLedger;
pub use metrics::CloudWatchMetrics;
pub use objects::Objects;
pub use otlp::OtlpTraces;
pub use ports::{AwsPorts, FrontPorts, InvocationPorts};
pub use predecessor::AwsPredecessor;
pub use scratchpad::DynamoScratchpad;
pub use supervisor::AwsSupervisor;
pub use table::Table;
pub use turns::DynamoTurns;

/// What every client shares: region, credentials, endpoints.
///
/// The SDK would look after each body whether it stalls, and end a stream that is silent for some
/// seconds. Here every call has a limit of its own, and how long an agent may be silent is the
/// policy's to say.
pub async fn aws_configuration() -> SdkConfig {
    configuration().load().await
}

/// As [`aws_configuration`], in `region` where the environment is not to say which.
pub async fn aws_configuration_in(region: String) -> SdkConfig {
    configuration().region(Region::new(region)).load().await
}

/// What a client of an emulator at `url` needs, which asks for no credentials that open anything.
pub async fn emulator_configuration(url: &str) -> SdkConfig {
    let credentials = Credentials::new("emulator", "emulator", None, None, "emulator");
    configuration()
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .load()
        .await
}

fn configuration() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}
