//! Events through the real function on the sandbox.
//!
//! Each test states a rule of the product, injects what threatens it, and looks at all that a
//! customer would: the answer, the money in the session's item, what CloudWatch was told, and
//! what stands in the log. One binary, because linking the emulators takes longer than any test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of tests fail as tests do"
)]

mod agentcore;
mod agentcore_cases;
mod bad_input;
mod branches;
mod budgets;
mod circuits;
mod concurrency;
mod contract;
mod deadlines;
mod event_files;
mod failures;
mod faults;
mod front_door;
mod front_door_events;
mod gate;
mod gateway;
mod graduated;
mod harnesses;
mod layering;
mod levels;
mod links;
mod logs;
mod lost_writes;
mod metrics;
mod models;
mod mutations;
mod odd_events;
mod owners;
mod people;
mod policy_table;
mod redelivery;
mod refusals;
mod routing;
mod runtime;
mod scratchpad;
mod sessions;
mod settings;
mod several;
mod shared_limits;
mod storm;
mod support;
mod template;
mod traces;
