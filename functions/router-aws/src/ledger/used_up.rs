//! A short memory of sessions that have used their budget up.
//!
//! A supervisor in a loop asks again at once, and each refusal would cost a write. What is
//! settled never grows less, so the same refusal can be given again without asking the table;
//! for a few seconds only, since an operator may raise the limit, and only to the tenant and
//! user who were refused: whether another may hear of the session is for the table to say.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use router_core::ids::{RootSession, Tenant, UserMark};
use router_core::ledger::{Exhausted, Limit, Payer, Reservation};
use router_core::units::Learnt;

/// How long a refusal is remembered.
const MEMORY: Duration = Duration::from_secs(5);
/// How many refusals are remembered at once; beyond that the memory starts anew.
const MAX_REFUSALS: usize = 1_000;

/// Refusals of sessions that have used a limit up for good.
#[derive(Debug, Default)]
pub(super) struct UsedUp(Mutex<HashMap<Asker, (Learnt, Exhausted)>>);

/// Who was refused.
type Asker = (RootSession, Tenant, Option<UserMark>);

impl UsedUp {
    /// The refusal that the reservation would meet again.
    pub(super) fn recall(&self, reservation: &Reservation<'_>) -> Option<Exhausted> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (learnt, exhausted) = memory.get(&asker(reservation))?;
        let asked = asked_of(exhausted.limit, reservation)?;
        let again = Exhausted { asked, ..exhausted.clone() };
        (is_fresh(learnt, reservation) && again.is_for_good()).then_some(again)
    }

    /// Forgets all refusals.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Remembers a refusal, if it holds whatever becomes of invocations under way.
    pub(super) fn remember(&self, reservation: &Reservation<'_>, exhausted: &Exhausted) {
        if !exhausted.is_for_good() || asked_of(exhausted.limit, reservation).is_none() {
            return;
        }
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A refusal out of this memory must not prolong itself.
        let asker = asker(reservation);
        if memory.get(&asker).is_some_and(|(learnt, _)| is_fresh(learnt, reservation)) {
            return;
        }
        if memory.len() >= MAX_REFUSALS {
            memory.clear();
        }
        memory.insert(asker, (reservation.asked, exhausted.clone()));
    }
}

fn asker(reservation: &Reservation<'_>) -> Asker {
    let Payer { session, tenant, user, .. } = reservation.payer;
    (session.clone(), tenant.clone(), user.cloned())
}

fn is_fresh(learnt: &Learnt, reservation: &Reservation<'_>) -> bool {
    reservation.asked.since(learnt) < MEMORY
}

/// What the reservation asks of a limit. Hand-offs are asked of some invocations only, and a
/// tenant's, a user's and the gateways' limits are not the session's; none of them is remembered.
fn asked_of(limit: Limit, reservation: &Reservation<'_>) -> Option<u64> {
    let demand = reservation.demand();
    match limit {
        Limit::Steps => Some(demand.steps),
        Limit::Tokens => Some(demand.charge.tokens.0),
        Limit::Cost => Some(demand.charge.cost.0),
        Limit::Handoffs
        | Limit::Tenant
        | Limit::User
        | Limit::GatewaySteps
        | Limit::GatewayCost => None,
    }
}
