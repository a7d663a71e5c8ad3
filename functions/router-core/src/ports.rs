//! The ports through which the router acts, as one bundle.
//!
//! Each port is a small contract that holds whatever is behind it. `router-aws` implements them
//! over AWS, this crate's tests in memory. The code that acts takes one type parameter, [`Ports`].

use crate::circuit::{CircuitStore, Circuits};
use crate::incident::IncidentLog;
use crate::invocation::SpecialistInvoker;
use crate::ledger::Ledger;
use crate::metrics::MetricsSink;
use crate::units::Clock;

/// Everything outside of the core that a request needs.
pub trait Ports {
    /// Keeps the budgets.
    type Ledger: Ledger;
    /// Calls specialists.
    type Invoker: SpecialistInvoker;
    /// Keeps the circuits of all environments.
    type Circuits: CircuitStore;
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
    /// Where incidents go.
    fn incidents(&self) -> &Self::Incidents;
    /// Where metrics go.
    fn metrics(&self) -> &Self::Metrics;
    /// Where the time comes from.
    fn clock(&self) -> &Self::Clock;
}
