//! All ports over AWS.

use aws_config::SdkConfig;
use router_core::Ports;
use router_core::circuit::Circuits;

use crate::{
    AgentInvoker, CloudWatchMetrics, DynamoCircuits, DynamoIncidents, DynamoLedger, SystemClock,
    Table,
};

/// The ports of a function: budgets, circuits and incidents in one table, agents, CloudWatch.
#[derive(Debug)]
pub struct AwsPorts {
    ledger: DynamoLedger,
    invoker: AgentInvoker,
    circuits: Circuits<DynamoCircuits>,
    incidents: DynamoIncidents,
    metrics: CloudWatchMetrics,
}

impl AwsPorts {
    /// The ports over `table`, with the region, credentials and endpoints of `config`; metrics go
    /// to `namespace`.
    pub fn new(config: &SdkConfig, table: Table, namespace: &str) -> Self {
        Self {
            ledger: DynamoLedger::new(table.clone()),
            invoker: AgentInvoker::new(config),
            circuits: Circuits::new(DynamoCircuits::new(table.clone())),
            incidents: DynamoIncidents::new(table),
            metrics: CloudWatchMetrics::new(config, namespace),
        }
    }
}

impl Ports for AwsPorts {
    type Ledger = DynamoLedger;
    type Invoker = AgentInvoker;
    type Circuits = DynamoCircuits;
    type Incidents = DynamoIncidents;
    type Metrics = CloudWatchMetrics;
    type Clock = SystemClock;

    fn ledger(&self) -> &DynamoLedger {
        &self.ledger
    }

    fn invoker(&self) -> &AgentInvoker {
        &self.invoker
    }

    fn circuits(&self) -> &Circuits<DynamoCircuits> {
        &self.circuits
    }

    fn incidents(&self) -> &DynamoIncidents {
        &self.incidents
    }

    fn metrics(&self) -> &CloudWatchMetrics {
        &self.metrics
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
}
