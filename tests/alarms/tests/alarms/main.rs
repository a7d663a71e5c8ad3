//! The alarms and the dashboard of `template.yaml`, against what the real function publishes.
//!
//! The function runs on the sandbox and what it publishes is recorded, request by request:
//! healthy traffic and each sickness. The records are laid on a timeline of hours, on which
//! every alarm is judged. Nobody waits, and no account is needed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of tests fail as tests do"
)]

mod definitions;
mod front_door;
mod healthy;
mod rosters;
mod sick;
mod support;
mod watched;
