//! A session under limits of its own, that reserves and settles in the tests.

use std::collections::BTreeMap;
use std::time::Duration;

use router_aws::DynamoLedger;
use router_core::charge::Charge;
use router_core::ids::{Fingerprint, HoldId, RootSession, SpecialistName, Tenant, UserMark};
use router_core::ledger::{
    self, Counted, HoldRequest, Holds, Ledger, Limit, Purpose, Reservation, ReserveError,
    SettleError, Settlement,
};
use router_core::policy::{GatewayHour, Policy, SessionLimits, TenantDay, UserDay};
use router_core::units::{Learnt, MicroUsd, Moment, Timestamp, Tokens};

/// Limits that no test reaches unless it sets others.
const POLICY: &str = r#"
[routing]
fallback = "orders"
[session]
max_steps = 10_000
max_tokens = 1_000_000
max_cost_usd = 1.0
max_handoffs = 100
[tenant_day]
max_cost_usd = 10.0
block_usd = 0.001
[specialists.orders]
agent = "ORDERS0001/LIVE000001"
description = "orders"
max_tokens_per_call = 1000
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }
"#;

/// What the ledger may take for anything in a test that is not about time.
pub(crate) const PLENTY: Duration = Duration::from_secs(30);

/// 21 November 2026, 00:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_795_219_200_000);
/// Its date.
pub(crate) const TODAY: &str = "2026-11-21";

/// A hold expires so long after it was taken, unless a test wants it otherwise.
pub(crate) const HOLD_LIFE: Duration = Duration::from_secs(90);

/// `seconds` after the start.
pub(crate) fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

/// The id of the `number`th hold of a test.
pub(crate) fn id(number: usize) -> HoldId {
    HoldId::new("request", number, 0)
}

/// One session, under its own limits and those of its tenant.
#[derive(Clone, Debug)]
pub(crate) struct Payer {
    pub(crate) session: RootSession,
    pub(crate) tenant: Tenant,
    pub(crate) user: Option<UserMark>,
    pub(crate) limits: SessionLimits,
    pub(crate) day: TenantDay,
    pub(crate) user_day: Option<UserDay>,
    pub(crate) gateway_hour: Option<GatewayHour>,
    /// When the holds were taken that it settles.
    pub(crate) took_at: Timestamp,
    pub(crate) specialist: SpecialistName,
    pub(crate) hold_life: Duration,
}

impl Payer {
    /// Session `s` of tenant `acme`, which asks `orders`. A block is 1,000 micro-dollars.
    pub(crate) fn new() -> Self {
        let policy = Policy::parse(POLICY, Some(&BTreeMap::new())).unwrap();
        Self {
            session: RootSession::parse("session", "s").unwrap(),
            tenant: Tenant::parse("acme").unwrap(),
            user: None,
            limits: policy.session,
            day: policy.tenant_day,
            user_day: None,
            gateway_hour: None,
            took_at: START,
            specialist: specialist("orders"),
            hold_life: HOLD_LIFE,
        }
    }

    pub(crate) fn in_session(self, session: &str) -> Self {
        Self { session: RootSession::parse("session", session).unwrap(), ..self }
    }

    pub(crate) fn of_tenant(self, tenant: &str) -> Self {
        Self { tenant: Tenant::parse(tenant).unwrap(), ..self }
    }

    pub(crate) fn of_user(self, user: &str) -> Self {
        let user = Some(UserMark::of(&self.tenant, user));
        Self { user, ..self }
    }

    /// Its user may use so many micro-dollars a day.
    pub(crate) fn with_user_day(self, max_cost: u64) -> Self {
        Self { user_day: Some(UserDay { max_cost: MicroUsd(max_cost) }), ..self }
    }

    /// A gateway's session; all of them may use so many steps and micro-dollars an hour.
    pub(crate) fn through_gateway(self, session: &str, max_steps: u64, max_cost: u64) -> Self {
        let max_cost = MicroUsd(max_cost);
        let gateway_hour = Some(GatewayHour { max_steps, max_cost });
        Self { gateway_hour, ..self.in_session(session) }
    }

    pub(crate) fn asking(self, name: &str) -> Self {
        Self { specialist: specialist(name), ..self }
    }

    /// What the ledger knows of it.
    pub(crate) fn payer(&self) -> ledger::Payer<'_> {
        ledger::Payer {
            session: &self.session,
            limits: &self.limits,
            tenant: &self.tenant,
            user: self.user.as_ref(),
            tenant_day: &self.day,
            user_day: self.user_day.as_ref(),
            gateway_hour: self.gateway_hour.as_ref(),
        }
    }

    /// What its holds count against.
    pub(crate) fn counted(&self) -> Counted {
        Counted::by(&self.payer(), self.took_at)
    }

    /// An invocation of its specialist.
    pub(crate) fn invocation<'a>(&'a self, id: &'a HoldId, ask: Charge) -> HoldRequest<'a> {
        let (specialist, purpose) = (&self.specialist, Purpose::Invocation);
        HoldRequest { id, specialist, fingerprint: None, ask, purpose }
    }

    pub(crate) fn reservation<'a>(
        &'a self,
        holds: &'a [HoldRequest<'a>],
        now: Timestamp,
    ) -> Reservation<'a> {
        let asked = Learnt::at(now, Moment(now.since(START)));
        Reservation {
            payer: self.payer(),
            holds,
            now,
            asked,
            expires: now.after(self.hold_life),
            opening: None,
            only_below: None,
        }
    }

    /// Takes holds, all or none.
    pub(crate) async fn reserve_all(
        &self,
        ledger: &DynamoLedger,
        holds: &[HoldRequest<'_>],
        now: Timestamp,
    ) -> Result<Holds, ReserveError> {
        ledger.reserve(&self.reservation(holds, now), PLENTY).await
    }

    /// Takes a hold.
    pub(crate) async fn reserve(
        &self,
        ledger: &DynamoLedger,
        id: &HoldId,
        ask: Charge,
        now: Timestamp,
    ) -> Result<Holds, ReserveError> {
        self.reserve_all(ledger, &[self.invocation(id, ask)], now).await
    }

    /// Takes a hold for a request with this fingerprint.
    pub(crate) async fn reserve_for(
        &self,
        ledger: &DynamoLedger,
        id: &HoldId,
        ask: Charge,
        fingerprint: &Fingerprint,
    ) -> Result<Holds, ReserveError> {
        let hold = HoldRequest { fingerprint: Some(fingerprint), ..self.invocation(id, ask) };
        self.reserve_all(ledger, &[hold], START).await
    }

    /// Takes a hold for this purpose.
    pub(crate) async fn reserve_as(
        &self,
        purpose: Purpose,
        ledger: &DynamoLedger,
        id: &HoldId,
        ask: Charge,
        now: Timestamp,
    ) -> Result<Holds, ReserveError> {
        let hold = HoldRequest { purpose, ..self.invocation(id, ask) };
        self.reserve_all(ledger, &[hold], now).await
    }

    /// Replaces a hold of `held` by what was `used`.
    pub(crate) async fn settle(
        &self,
        ledger: &DynamoLedger,
        id: &HoldId,
        held: Charge,
        used: Charge,
    ) -> Result<(), SettleError> {
        self.settle_and_forget(ledger, id, held, used, &[]).await
    }

    /// The same, with repetitions that are not counted any more.
    pub(crate) async fn settle_and_forget(
        &self,
        ledger: &DynamoLedger,
        id: &HoldId,
        held: Charge,
        used: Charge,
        stale: &[Fingerprint],
    ) -> Result<(), SettleError> {
        let (specialist, counted) = (&self.specialist, self.counted());
        let settlement =
            Settlement { id, specialist, held, used, counted, stale, told: &[], left: None };
        ledger.settle(&self.payer(), &[settlement], PLENTY).await
    }

    /// A whole step: a hold, and its use.
    pub(crate) async fn step(
        &self,
        ledger: &DynamoLedger,
        id: &HoldId,
        ask: Charge,
        used: Charge,
        now: Timestamp,
    ) -> Holds {
        let hold = self.reserve(ledger, id, ask, now).await.unwrap();
        self.settle(ledger, id, ask, used).await.unwrap();
        hold
    }

    pub(crate) fn with_limits(mut self, steps: u64, tokens: u64, micro_usd: u64) -> Self {
        self.limits.max_steps = steps;
        self.limits.max_tokens = Tokens(tokens);
        self.limits.max_cost = MicroUsd(micro_usd);
        self
    }

    pub(crate) fn with_day(mut self, micro_usd: u64, block: u64) -> Self {
        self.day.max_cost = MicroUsd(micro_usd);
        self.day.block = MicroUsd(block);
        self
    }
}

fn specialist(name: &str) -> SpecialistName {
    SpecialistName::parse(name).unwrap()
}

/// The limit that a reservation was refused by.
pub(crate) fn refused_by<T: std::fmt::Debug>(result: Result<T, ReserveError>) -> Limit {
    match result {
        Err(ReserveError::Exhausted(exhausted)) => exhausted.limit,
        other => panic!("not refused by a limit: {other:?}"),
    }
}
