//! Who takes part, by the names that the ledger has for them.

use std::collections::BTreeSet;
use std::time::Duration;

use router_core::charge::Charge;
use router_core::ids::{HoldId, RootSession, SpecialistName, Tenant, UserMark};
use router_core::ledger::{Counted, HoldRequest, Payer, Purpose, Reservation, Settlement};
use router_core::policy::{GatewayHour, OnLedgerFailure, SessionLimits, TenantDay, UserDay};
use router_core::units::{Learnt, MicroUsd, Moment, Share, Timestamp, Tokens};

use crate::Setup;

/// The first tick, in the middle of a day.
const START: Timestamp = Timestamp(1_780_000_000_000);

/// The session, its tenant, the specialist and the holds.
#[derive(Clone, Debug)]
pub struct Cast {
    session: RootSession,
    tenant: Tenant,
    limits: SessionLimits,
    tenant_day: TenantDay,
    user: Option<UserMark>,
    user_day: Option<UserDay>,
    gateway_hour: Option<GatewayHour>,
    specialist: SpecialistName,
    holds: Vec<HoldId>,
    /// Which of the holds are of rounds of a supervisor.
    rounds: Vec<bool>,
}

/// What a reservation asks for: a hold for each of a request's branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// The first hold's id; the others follow.
    pub id: u8,
    /// How many holds there are.
    pub branches: u8,
    /// What each is to hold.
    pub amount: u8,
    /// The time of the reservation.
    pub now: u8,
    /// When the holds expire.
    pub expires: u8,
}

impl Ask {
    /// The ids of its holds.
    pub fn ids(&self) -> impl Iterator<Item = u8> + use<> {
        self.id..self.id + self.branches
    }
}

#[expect(clippy::expect_used, reason = "the names are valid ones")]
impl Cast {
    /// The cast of a world.
    pub fn new(setup: &Setup) -> Self {
        let limits = SessionLimits {
            max_steps: setup.max_steps.into(),
            max_tokens: Tokens(0),
            max_cost: MicroUsd(setup.limit.into()),
            max_handoffs: 0,
            max_turns_per_specialist: 1,
            warn_at: Share(1_000_000),
            degrade_at: Share(1_000_000),
            idle_ttl: Duration::from_secs(setup.idle_ttl.into()),
            on_ledger_failure: OnLedgerFailure::Refuse,
            max_repeats: None,
            repeat_window: None,
        };
        let tenant_day = TenantDay {
            max_cost: MicroUsd(setup.day_limit.into()),
            block: MicroUsd(setup.block.into()),
            tenants: BTreeSet::new(),
        };
        Self {
            session: RootSession::parse("session", "s").expect("a session's id"),
            tenant: Tenant::default(),
            limits,
            tenant_day,
            user: setup.user_limit.map(|_| UserMark::of(&Tenant::default(), "u")),
            user_day: setup.user_limit.map(|most| UserDay { max_cost: MicroUsd(most.into()) }),
            gateway_hour: setup.gateway_limits.map(|(steps, cost)| GatewayHour {
                max_steps: steps.into(),
                max_cost: MicroUsd(cost.into()),
            }),
            specialist: SpecialistName::parse("billing").expect("a specialist's name"),
            holds: (0..setup.hold_ids()).map(|id| hold_id(id, setup)).collect(),
            rounds: (0..setup.hold_ids()).map(|id| setup.is_round(id)).collect(),
        }
    }

    /// The id of a hold.
    pub fn hold(&self, id: u8) -> &HoldId {
        &self.holds[usize::from(id)]
    }

    /// The hold of this id.
    pub fn number_of(&self, id: &str) -> Option<u8> {
        let place = self.holds.iter().position(|hold| hold.as_str() == id)?;
        u8::try_from(place).ok()
    }

    /// The session, which pays.
    pub fn payer(&self) -> Payer<'_> {
        let Self { session, limits, tenant, user, tenant_day, user_day, gateway_hour, .. } = self;
        Payer {
            session,
            limits,
            tenant,
            user: user.as_ref(),
            tenant_day,
            user_day: user_day.as_ref(),
            gateway_hour: gateway_hour.as_ref(),
        }
    }

    /// Does something with the reservation.
    pub fn reserving<T>(&self, ask: &Ask, work: impl FnOnce(&Reservation<'_>) -> T) -> T {
        let purpose = |id: u8| match self.rounds[usize::from(id)] {
            true => Purpose::Round,
            false => Purpose::Invocation,
        };
        let request = |id| HoldRequest {
            id: self.hold(id),
            specialist: &self.specialist,
            fingerprint: None,
            ask: charge(ask.amount),
            purpose: purpose(id),
        };
        let holds: Vec<HoldRequest<'_>> = ask.ids().map(request).collect();
        work(&Reservation {
            payer: self.payer(),
            holds: &holds,
            now: time(ask.now),
            asked: Learnt::at(time(ask.now), Moment::default()),
            expires: time(ask.expires),
            opening: None,
            only_below: None,
        })
    }

    /// Does something with the settlements of the reservation's holds, which used so much.
    pub fn settling<T>(
        &self,
        ask: &Ask,
        used: &[u8],
        work: impl FnOnce(&[Settlement<'_>]) -> T,
    ) -> T {
        let settlements: Vec<Settlement<'_>> = ask
            .ids()
            .zip(used)
            .map(|(id, used)| Settlement {
                id: self.hold(id),
                specialist: &self.specialist,
                held: charge(ask.amount),
                used: charge(*used),
                counted: Counted::by(&self.payer(), time(ask.now)),
                stale: &[],
                told: &[],
                left: None,
            })
            .collect();
        work(&settlements)
    }
}

/// An id that is remembered in the place where the world wants it to be.
#[expect(clippy::expect_used, reason = "there is an id for every place")]
fn hold_id(id: u8, setup: &Setup) -> HoldId {
    let ids = (0..).map(|other| HoldId::new(&format!("{id}.{other}"), 0, 0));
    let place = u64::from(id % setup.recent_slots);
    ids.take(10_000).find(|hold| hold.place() == place).expect("an id for the place")
}

fn time(tick: u8) -> Timestamp {
    START.after(Duration::from_secs(tick.into()))
}

/// The tick of a time in seconds since the epoch.
pub(crate) fn tick_of(epoch_seconds: u64) -> u8 {
    u8::try_from(epoch_seconds.saturating_sub(START.epoch_seconds())).unwrap_or(u8::MAX)
}

/// An amount as a charge: of money alone.
fn charge(amount: u8) -> Charge {
    Charge { tokens: Tokens(0), cost: MicroUsd(amount.into()) }
}
