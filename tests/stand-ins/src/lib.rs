//! The whole product on one machine: no AWS account, no container, nothing but cargo.
//!
//! A [`Sandbox`] runs the *real* function binaries, which cannot tell the difference: they talk
//! through the real SDK clients, over HTTP, to stand-ins of what AWS would provide.
//!
//! - [`agents`] plays Bedrock's agent runtime, with agents that follow a script,
//! - [`table`] DynamoDB, by an emulator within this process, which fails as told
//!   ([`table_faults`]),
//! - [`metrics`] CloudWatch,
//! - [`topic`] SNS,
//! - [`foreign_function`] a Lambda function that is not of this project,
//! - [`deployments`] CodeDeploy, for who asks for it,
//! - [`traces`] X-Ray, or a collector, for who asks for it,
//! - [`lambda`] Lambda itself, through the Runtime API.
//!
//! [`events`] plays the repository's event files on it and compares what comes back with what is
//! expected. The package `sandbox` does so for people; the end-to-end tests use the same code.
//!
//! ```no_run
//! # async fn run() -> Result<(), stand_ins::SandboxError> {
//! use stand_ins::{Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options { processes: 2, ..Options::default() }).await?;
//! let invocation = sandbox.invoke(r#"{"function": "…"}"#, None).await;
//! println!("{:?}, {} agent calls", invocation.outcome, sandbox.agents().calls().len());
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod agents;
pub mod clock;
pub mod deployments;
pub mod events;
pub mod foreign_function;
mod function;
mod function_url;
mod functions;
mod http;
mod identity;
pub mod lambda;
pub mod last_run;
pub mod metrics;
pub mod objects;
mod options;
mod presence;
pub mod print;
mod sandbox;
pub mod supervisors;
pub mod table;
pub mod table_faults;
pub mod topic;
pub mod traces;
mod upstream;

pub use crate::function_url::FunctionUrl;
pub use crate::options::{Aws, FUNCTION, FunctionOptions, Options};
pub use crate::sandbox::{Sandbox, SandboxError};
