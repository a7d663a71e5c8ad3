//! The hour that all gateway sessions share.
//!
//! The id of a gateway's session was made up by a model or its caller, unless an interceptor vouches
//! for it: whoever invents another id begins another session. So all such sessions together have
//! limits, in one item for each UTC hour, whose steps and money are taken and settled exactly, in
//! the transaction that takes or settles the session's. The session's write comes first: a
//! transaction that is repeated meets its own hold there. What a dead invocation held stays
//! committed, as in the session.

use std::collections::BTreeMap;

use super::counted::Hour;
use super::{Account, Exhausted, Limit, Reservation, Settlement};
use crate::policy::GatewayHour;
use crate::store::{Item, ItemKey, Update, Value};
use crate::units::{Timestamp, day_expiry};

const STEPS: &str = "steps";
const COMMITTED: &str = "committed_micro_usd";
const SPENT: &str = "spent_micro_usd";

/// Takes what the reservation asks for; `None`: its session is no gateway's.
pub(super) fn take(reservation: &Reservation<'_>) -> Option<Update> {
    let GatewayHour { max_steps, max_cost } = reservation.payer.gateway_hour?;
    let demand = reservation.demand();
    let (steps, cost) = (demand.steps, demand.charge.cost.0);
    let mut update = Update::of(ItemKey::gateway_hour(Hour::of(reservation.now)));
    if steps > 0 {
        update.require_room(STEPS, steps, *max_steps);
    }
    if cost > 0 {
        update.require_room(COMMITTED, cost, max_cost.0);
    }
    update.add(STEPS, steps);
    update.add(COMMITTED, cost);
    update.add(SPENT, 0);
    update.set("expires_at", Value::number(day_expiry(reservation.now)));
    Some(update)
}

/// Replaces what the holds took by what was used, each in the hour in which it was taken.
pub(super) fn settle(settlements: &[&Settlement<'_>]) -> Vec<Update> {
    let mut hours: BTreeMap<Hour, (i128, i128)> = BTreeMap::new();
    for Settlement { held, used, counted, .. } in settlements {
        let Some(hour) = counted.hour else { continue };
        let (held, used) = (i128::from(held.cost.0), i128::from(used.cost.0));
        let (committed, spent) = hours.entry(hour).or_default();
        *committed += used - held;
        *spent += used;
    }
    let update = |(hour, (committed, spent))| {
        let mut update = Update::of(ItemKey::gateway_hour(hour));
        update.add(COMMITTED, committed);
        update.add(SPENT, spent);
        update
    };
    hours.into_iter().map(update).collect()
}

/// Moves what dead invocations hold from held to spent, for each hour in which it was taken.
pub(super) fn charge_expired(amounts: impl Iterator<Item = (Hour, u64)>) -> Vec<Update> {
    let mut hours: BTreeMap<Hour, u64> = BTreeMap::new();
    for (hour, micro_usd) in amounts {
        *hours.entry(hour).or_default() += micro_usd;
    }
    let update = |(hour, micro_usd)| {
        let mut update = Update::of(ItemKey::gateway_hour(hour));
        update.add(SPENT, micro_usd);
        update
    };
    hours.into_iter().map(update).collect()
}

/// Why there is no room in the hour, by its item.
pub(super) fn exhausted(
    reservation: &Reservation<'_>,
    hour: &Item,
    account: Account,
) -> Option<Exhausted> {
    let GatewayHour { max_steps, max_cost } = reservation.payer.gateway_hour?;
    let demand = reservation.demand();
    let (steps, committed) = (hour.number(STEPS), hour.number(COMMITTED));
    let of_steps = steps.saturating_add(demand.steps) > *max_steps && demand.steps > 0;
    let (settled, committed, asked, max) = if of_steps {
        (steps, steps, demand.steps, *max_steps)
    } else {
        (hour.number(SPENT), committed, demand.charge.cost.0, max_cost.0)
    };
    let held = committed.saturating_sub(settled);
    let limit = if of_steps { Limit::GatewaySteps } else { Limit::GatewayCost };
    let (expired_holds, answered) = (0, Vec::new());
    Some(Exhausted { limit, settled, held, asked, max, account, expired_holds, answered })
}

/// Whether it is this hour's item.
pub(super) fn is_of(key: &ItemKey, now: Timestamp) -> bool {
    *key == ItemKey::gateway_hour(Hour::of(now))
}
