//! All ports over AWS.

use aws_config::SdkConfig;
use router_core::Ports;
use router_core::circuit::Circuits;
use router_core::front;

use crate::policy::PolicyStore;
use crate::settings::{EscalationSettings, MetricsSettings, TableSettings};
use crate::{
    AgentInvoker, AwsSupervisor, CloudWatchMetrics, DynamoCircuits, DynamoEscalations,
    DynamoIncidents, DynamoLedger, DynamoScratchpad, DynamoTurns, InvocationClock, Table,
};

/// What a function keeps of its ports from one invocation to the next: budgets, circuits,
/// incidents and a policy in one table, agents, CloudWatch.
#[derive(Debug)]
pub struct AwsPorts {
    ledger: DynamoLedger,
    invoker: AgentInvoker,
    circuits: Circuits<DynamoCircuits>,
    scratchpad: DynamoScratchpad,
    escalations: DynamoEscalations,
    incidents: DynamoIncidents,
    pub(crate) metrics: CloudWatchMetrics,
    pub(crate) policy: PolicyStore,
}

impl AwsPorts {
    /// The ports over a table, with the region, credentials and endpoints of `config`.
    pub fn new(
        config: &SdkConfig,
        table: &TableSettings,
        metrics: MetricsSettings,
        escalations: EscalationSettings,
    ) -> Self {
        let table = Table::new(config, &table.name);
        Self {
            ledger: DynamoLedger::new(table.clone()),
            invoker: AgentInvoker::new(config),
            circuits: Circuits::new(DynamoCircuits::new(table.clone())),
            scratchpad: DynamoScratchpad::new(table.clone()),
            escalations: DynamoEscalations::new(config, table.clone(), escalations),
            incidents: DynamoIncidents::new(table.clone()),
            metrics: CloudWatchMetrics::new(config, metrics),
            policy: PolicyStore::new(table),
        }
    }

    /// Forgets what was remembered under a policy that is no longer the function's.
    pub(crate) fn forget(&self) {
        self.ledger.forget();
        self.circuits.forget();
    }

    /// The ports of an invocation that begins now.
    pub fn of_invocation(&self) -> InvocationPorts<'_> {
        self.of_invocation_with(&())
    }

    /// The ports of an invocation that begins now, with those that only its function has.
    pub fn of_invocation_with<'a, M>(&'a self, more: &'a M) -> InvocationPorts<'a, M> {
        InvocationPorts { kept: self, more, clock: InvocationClock::start() }
    }
}

/// What the front door keeps beside them: its supervisor, and what sessions were about.
#[derive(Debug)]
pub struct FrontPorts {
    supervisor: AwsSupervisor,
    memory: DynamoTurns,
}

impl FrontPorts {
    /// The ports over a table, with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig, table: &TableSettings) -> Self {
        let memory = DynamoTurns::new(Table::new(config, &table.name));
        Self { supervisor: AwsSupervisor::new(config), memory }
    }
}

/// The ports of one invocation, which has a clock of its own.
#[derive(Debug)]
pub struct InvocationPorts<'a, M = ()> {
    kept: &'a AwsPorts,
    more: &'a M,
    clock: InvocationClock,
}

impl front::FrontPorts for InvocationPorts<'_, FrontPorts> {
    type Supervisor = AwsSupervisor;
    type Memory = DynamoTurns;

    fn supervisor(&self) -> &AwsSupervisor {
        &self.more.supervisor
    }

    fn memory(&self) -> &DynamoTurns {
        &self.more.memory
    }
}

impl<M> Ports for InvocationPorts<'_, M> {
    type Ledger = DynamoLedger;
    type Invoker = AgentInvoker;
    type Circuits = DynamoCircuits;
    type Scratchpad = DynamoScratchpad;
    type Escalations = DynamoEscalations;
    type Incidents = DynamoIncidents;
    type Metrics = CloudWatchMetrics;
    type Clock = InvocationClock;

    fn ledger(&self) -> &DynamoLedger {
        &self.kept.ledger
    }

    fn invoker(&self) -> &AgentInvoker {
        &self.kept.invoker
    }

    fn circuits(&self) -> &Circuits<DynamoCircuits> {
        &self.kept.circuits
    }

    fn scratchpad(&self) -> &DynamoScratchpad {
        &self.kept.scratchpad
    }

    fn escalations(&self) -> &DynamoEscalations {
        &self.kept.escalations
    }

    fn incidents(&self) -> &DynamoIncidents {
        &self.kept.incidents
    }

    fn metrics(&self) -> &CloudWatchMetrics {
        &self.kept.metrics
    }

    fn clock(&self) -> &InvocationClock {
        &self.clock
    }
}
