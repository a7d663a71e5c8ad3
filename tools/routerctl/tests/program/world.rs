//! What functions leave in the table, written by what they write it with.

use std::time::Duration;

use router_aws::{
    DynamoEscalations, DynamoIncidents, DynamoLedger, DynamoScratchpad, SystemClock, Table,
    emulator_configuration,
};
use router_core::charge::Charge;
use router_core::ids::{HoldId, RootSession, SpecialistName, TaskMark, Tenant, Ticket, UserMark};
use router_core::incident::{Incident, IncidentLog, Owner};
use router_core::ledger::{
    Counted, HoldRequest, Holds, Ledger, Opening, Payer, Purpose, Reservation, ReserveError,
    Settlement,
};
use router_core::outcome::Reason;
use router_core::policy::Policy;
use router_core::units::{Clock, Learnt, MicroUsd, Timestamp, Tokens};
use stand_ins::table;

use crate::{Place, shipped};

pub(crate) const PLENTY: Duration = Duration::from_secs(10);

/// The functions' view of the table that a run left.
pub(crate) struct World {
    policy: Policy,
    ledger: DynamoLedger,
    incidents: DynamoIncidents,
    pub(crate) escalations: DynamoEscalations,
    pub(crate) scratchpad: DynamoScratchpad,
    pub(crate) table: table::Table,
}

/// Whose request it is.
#[derive(Clone)]
pub(crate) struct Owned {
    pub(crate) session: RootSession,
    pub(crate) tenant: Tenant,
    pub(crate) user: Option<UserMark>,
}

impl Owned {
    pub(crate) fn new(session: &str, tenant: &str, user: Option<&str>) -> Self {
        let session = RootSession::parse("session", session).unwrap();
        let tenant = Tenant::parse(tenant).unwrap();
        let user = user.map(|user| UserMark::of(&tenant, user));
        Self { session, tenant, user }
    }
}

impl World {
    pub(crate) async fn of(place: &Place) -> Self {
        let table = place.table().await;
        let there = Table::new(&emulator_configuration(&table.url()).await, table.name());
        Self {
            policy: Policy::parse(&shipped(), None).unwrap(),
            ledger: DynamoLedger::new(there.clone()),
            incidents: DynamoIncidents::new(there.clone()),
            escalations: DynamoEscalations::without_topic(there.clone()),
            scratchpad: DynamoScratchpad::new(there),
            table,
        }
    }

    pub(crate) fn now() -> Timestamp {
        SystemClock.now()
    }

    /// Takes the `number`th hold of the owner's session for billing, of 1,000 tokens and $0.01.
    pub(crate) async fn hold(&self, owner: &Owned, number: usize) -> Result<Holds, ReserveError> {
        let (id, specialist) = (HoldId::new("request", number, 0), billing());
        let ask = charge(1_000, 10_000);
        let holds = [HoldRequest {
            id: &id,
            specialist: &specialist,
            fingerprint: None,
            ask,
            purpose: Purpose::Invocation,
        }];
        let (now, asked) = (Self::now(), Learnt::now(&SystemClock));
        let expires = now.after(Duration::from_secs(90));
        let payer = self.payer(owner);
        self.ledger
            .reserve(
                &Reservation {
                    payer,
                    holds: &holds,
                    now,
                    asked,
                    expires,
                    opening: None,
                    only_below: None,
                },
                PLENTY,
            )
            .await
    }

    /// Opens a ticket for a task of the owner's session.
    pub(crate) async fn ticket(&self, owner: &Owned, task: &TaskMark) -> Ticket {
        let (now, asked) = (Self::now(), Learnt::now(&SystemClock));
        let ticket = Ticket::new(&owner.session, task, "request", now);
        let due = now.after(Duration::from_secs(14_400));
        let reservation = Reservation {
            payer: self.payer(owner),
            holds: &[],
            opening: Some(Opening { task, ticket: &ticket, due }),
            now,
            asked,
            expires: now.after(Duration::from_secs(90)),
            only_below: None,
        };
        self.ledger.reserve(&reservation, PLENTY).await.unwrap();
        ticket
    }

    pub(crate) async fn settle(&self, owner: &Owned, number: usize, used: Charge) {
        let (id, specialist) = (HoldId::new("request", number, 0), billing());
        let settlement = Settlement {
            id: &id,
            specialist: &specialist,
            held: charge(1_000, 10_000),
            used,
            counted: Counted::default(),
            stale: &[],
            told: &[],
            left: None,
        };
        self.ledger.settle(&self.payer(owner), &[settlement], PLENTY).await.unwrap();
    }

    /// A request that used so much.
    pub(crate) async fn spend(&self, owner: &Owned, number: usize, micro_usd: u64) {
        self.hold(owner, number).await.unwrap();
        self.settle(owner, number, charge(500, micro_usd)).await;
    }

    /// Billing did not answer a request of the owner's.
    pub(crate) async fn incident(&self, owner: &Owned, id: &str, reason: Reason) {
        self.keep(Self::incident_of(owner, id, reason)).await;
    }

    pub(crate) async fn keep(&self, incident: Incident) {
        self.incidents.record(&[incident], PLENTY).await;
    }

    pub(crate) fn incident_of(owner: &Owned, id: &str, reason: Reason) -> Incident {
        let Owned { session, tenant, user } = owner.clone();
        Incident {
            id: id.to_owned(),
            owner: Owner { session, tenant, user },
            at: Self::now(),
            specialist: Some(billing()),
            reason,
            attempts: 3,
            latency: Duration::from_millis(1_240),
            input: Tokens(1_000),
            output: Tokens(120),
            cost: MicroUsd(4_800),
            intent_class: "refund".to_owned(),
            answered_by: SpecialistName::parse("general"),
            request: Some("Where is\nmy money?".to_owned()),
        }
    }

    fn payer<'a>(&'a self, owner: &'a Owned) -> Payer<'a> {
        Payer {
            session: &owner.session,
            limits: &self.policy.session,
            tenant: &owner.tenant,
            user: owner.user.as_ref(),
            tenant_day: &self.policy.tenant_day,
            user_day: None,
            gateway_hour: None,
        }
    }
}

pub(crate) fn charge(tokens: u64, micro_usd: u64) -> Charge {
    Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
}

fn billing() -> SpecialistName {
    SpecialistName::parse("billing").unwrap()
}
