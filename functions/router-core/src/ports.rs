//! The ports through which the router acts, as one bundle.
//!
//! Each port is a small contract that holds whatever is behind it. `router-aws` implements them
//! over AWS, this crate's tests in memory. The code that acts takes one type parameter, [`Ports`].

use crate::circuit::{CircuitStore, Circuits};
use crate::escalation::Escalations;
use crate::incident::IncidentLog;
use crate::invocation::SpecialistInvoker;
use crate::ledger::Ledger;
use crate::metrics::MetricsSink;
use crate::scratchpad::Scratchpad;
use crate::units::Clock;

/// Everything outside of the core that a request needs.
pub trait Ports {
    /// Keeps the budgets.
    type Ledger: Ledger;
    /// Calls specialists.
    type Invoker: SpecialistInvoker;
    /// Keeps the circuits of all environments.
    type Circuits: CircuitStore;
    /// Keeps what specialists and people have written down.
    type Scratchpad: Scratchpad;
    /// Keeps what people are asked.
    type Escalations: Escalations;
    /// Keeps incidents.
    type Incidents: IncidentLog;
    /// Publishes metrics.
    type Metrics: MetricsSink;
    /// Tells the time, and waits.
    type Clock: Clock;

    /// Where budgets are kept.
    fn ledger(&self) -> &Self::Ledger;
    /// How specialists are called.
    fn invoker(&self) -> &Self::Invoker;
    /// The circuits as this process sees them.
    fn circuits(&self) -> &Circuits<Self::Circuits>;
    /// What specialists and people have written down.
    fn scratchpad(&self) -> &Self::Scratchpad;
    /// What people are asked.
    fn escalations(&self) -> &Self::Escalations;
    /// Where incidents go.
    fn incidents(&self) -> &Self::Incidents;
    /// Where metrics go.
    fn metrics(&self) -> &Self::Metrics;
    /// Where the time comes from.
    fn clock(&self) -> &Self::Clock;
}
