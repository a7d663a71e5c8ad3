//! What a run pays from.
//!
//! A run has a session of its own in the ledger, with a limit of its own, so that it can neither spend
//! without bound nor use up what customers' sessions may. Where there is no ledger, the run counts itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use router_core::charge::Charge;
use router_core::ids::{HoldId, RootSession, Tenant};
use router_core::ledger::{
    Counted, HOLD_GRACE, HoldRequest, Ledger, Limit, Payer, Purpose, Reservation, ReserveError,
    Settlement,
};
use router_core::policy::{Policy, SessionLimits, Specialist, TenantDay};
use router_core::units::{Clock, Learnt, MicroUsd, Timestamp, Tokens};

/// The tenant that all runs of a gate belong to, whose day is nobody else's.
const TENANT: &str = "routing-gate";

/// A write of the ledger's takes some milliseconds, and has three attempts of a second.
const WITHIN: Duration = Duration::from_secs(4);

/// A run draws so much of its limit from its tenant's day at a time.
const BLOCKS: u64 = 20;

/// Why a round is not paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPaid {
    /// The limit that has no room.
    UsedUp(Limit),
    /// The ledger gave no answer, or none that can be gone by.
    Unavailable,
}

/// Pays for rounds.
pub trait Purse {
    /// Takes a hold before a round.
    ///
    /// # Errors
    ///
    /// [`NotPaid`]; the round is not to be made.
    fn take(&self, id: &HoldId) -> impl Future<Output = Result<(), NotPaid>>;

    /// Replaces the hold by what the round used. Where that fails the hold expires and stays charged.
    fn settle(&self, id: &HoldId, used: Charge) -> impl Future<Output = ()>;
}

/// A session of the ledger.
#[derive(Debug)]
pub struct SessionPurse<'a, L, C> {
    ledger: &'a L,
    clock: &'a C,
    supervisor: &'a Specialist,
    session: &'a RootSession,
    tenant: Tenant,
    limits: SessionLimits,
    day: TenantDay,
    /// When the run must be over.
    deadline: Timestamp,
}

impl<'a, L: Ledger, C: Clock> SessionPurse<'a, L, C> {
    /// The purse of a run in `session`, which may cost `most`.
    pub fn new(
        ledger: &'a L,
        clock: &'a C,
        policy: &Policy,
        supervisor: &'a Specialist,
        session: &'a RootSession,
        most: MicroUsd,
        deadline: Timestamp,
    ) -> Self {
        let block = MicroUsd((most.0 / BLOCKS).max(policy.tenant_day.block.0));
        Self {
            ledger,
            clock,
            supervisor,
            session,
            // A constant that is a tenant's id.
            tenant: Tenant::parse(TENANT).unwrap_or_default(),
            limits: SessionLimits {
                max_cost: most,
                // Money alone is the limit: it is what tokens are worth.
                max_tokens: Tokens(1_000_000_000_000),
                ..policy.session.clone()
            },
            day: TenantDay { block, tenants: Default::default(), ..policy.tenant_day.clone() },
            deadline,
        }
    }

    fn payer(&self) -> Payer<'_> {
        Payer {
            session: self.session,
            limits: &self.limits,
            tenant: &self.tenant,
            user: None,
            tenant_day: &self.day,
            user_day: None,
            gateway_hour: None,
        }
    }
}

impl<L: Ledger, C: Clock> Purse for SessionPurse<'_, L, C> {
    async fn take(&self, id: &HoldId) -> Result<(), NotPaid> {
        let hold = HoldRequest {
            id,
            specialist: &self.supervisor.name,
            fingerprint: None,
            ask: Charge::hold(self.supervisor),
            purpose: Purpose::Round,
        };
        let reservation = Reservation {
            payer: self.payer(),
            holds: &[hold],
            opening: None,
            now: self.clock.now(),
            asked: Learnt::now(self.clock),
            expires: self.deadline.after(HOLD_GRACE),
            only_below: None,
        };
        match self.ledger.reserve(&reservation, WITHIN).await {
            Ok(_) => Ok(()),
            Err(ReserveError::Exhausted(exhausted) | ReserveError::NearlyExhausted(exhausted)) => {
                Err(NotPaid::UsedUp(exhausted.limit))
            }
            Err(_) => Err(NotPaid::Unavailable),
        }
    }

    async fn settle(&self, id: &HoldId, used: Charge) {
        let settlement = Settlement {
            id,
            specialist: &self.supervisor.name,
            held: Charge::hold(self.supervisor),
            used,
            counted: Counted::default(),
            stale: &[],
            told: &[],
            left: None,
        };
        // It expires, and stays charged at the hold.
        let _ = self.ledger.settle(&self.payer(), &[settlement], WITHIN).await;
    }
}

/// A purse without a ledger: the run alone knows what it has spent.
#[derive(Debug)]
pub struct CountingPurse {
    hold: Charge,
    most: MicroUsd,
    /// What is spent or held.
    committed: Mutex<MicroUsd>,
}

impl CountingPurse {
    /// The purse of a run of `supervisor` that may cost `most`.
    pub fn new(supervisor: &Specialist, most: MicroUsd) -> Self {
        Self { hold: Charge::hold(supervisor), most, committed: Mutex::default() }
    }

    /// Changes what is committed, and says whether it could.
    fn change(&self, to: impl FnOnce(MicroUsd) -> Option<MicroUsd>) -> bool {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = to(*committed);
        *committed = changed.unwrap_or(*committed);
        changed.is_some()
    }
}

impl Purse for CountingPurse {
    async fn take(&self, _: &HoldId) -> Result<(), NotPaid> {
        let has_room = self.change(|committed| {
            let all = committed.0.saturating_add(self.hold.cost.0);
            (all <= self.most.0).then_some(MicroUsd(all))
        });
        if has_room { Ok(()) } else { Err(NotPaid::UsedUp(Limit::Cost)) }
    }

    async fn settle(&self, _: &HoldId, used: Charge) {
        self.change(|committed| {
            let others = committed.0.saturating_sub(self.hold.cost.0);
            Some(MicroUsd(others.saturating_add(used.cost.0)))
        });
    }
}
