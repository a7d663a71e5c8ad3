//! What the supervisor router decides, and the ports through which it acts.
//!
//! The router stands between a supervisor agent and its specialists. This crate holds everything
//! about that which needs neither AWS nor a clock nor any other I/O: the event forms and replies of
//! the action group, the routing policy, the decision which specialist is asked, the arithmetic of
//! the budget, and [`Handler`], which puts them together over the [`Ports`]. `router-aws` implements
//! the ports. `docs/architecture.md` shows which room stands on which.
//!
//! Nothing that a model wrote is trusted here: arguments are parsed into checked types, and
//! who the caller is comes from session attributes only, which the application sets.

pub mod budget;
pub mod charge;
pub mod circuit;
pub mod deadline;
pub mod error;
pub mod escalation;
pub mod front;
mod guard;
pub mod handler;
pub mod ids;
pub mod incident;
pub mod invocation;
pub mod journal;
pub mod json;
pub mod ledger;
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod ports;
mod request;
pub mod retry;
pub mod routing;
pub mod scratchpad;
pub mod stop;
pub mod store;
pub mod supervisor;
mod task;
pub mod trace;
pub mod units;
pub mod views;
pub mod wire;

#[cfg(test)]
mod doubles;

pub use handler::Handler;
pub use ports::Ports;
