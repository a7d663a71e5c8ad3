//! The router's ports on AWS, and what a function needs around them: settings and logs.
//!
//! This is the only library that knows the AWS SDK. [`DynamoLedger`] keeps the budgets,
//! [`DynamoCircuits`] the circuits and [`DynamoIncidents`] the incidents, all in one [`Table`];
//! [`AgentInvoker`] asks the specialists, [`CloudWatchMetrics`] publishes, [`OtlpTraces`] exports,
//! [`SystemClock`] and [`InvocationClock`] tell the time. Endpoints, region and credentials come from the environment as
//! in every AWS SDK.

mod agentcore;
mod agents;
mod bedrock;
pub mod circuits;
mod clock;
mod failure;
pub mod incidents;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod otlp;
pub mod output;
mod ports;
pub mod settings;
pub mod table;
mod timer;
pub mod xray_header;

pub use agents::AgentInvoker;
pub use circuits::DynamoCircuits;
pub use clock::{InvocationClock, SystemClock};
pub use incidents::DynamoIncidents;
pub use ledger::DynamoLedger;
pub use metrics::CloudWatchMetrics;
pub use otlp::OtlpTraces;
pub use ports::{AwsPorts, InvocationPorts};
pub use settings::Settings;
pub use table::Table;

/// What every client shares: region, credentials, endpoints.
pub async fn aws_configuration() -> aws_config::SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await
}
