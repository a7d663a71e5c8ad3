//! The writes to a session's item: what each changes, and on which conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::session::{
    ExpiredHold, asked_at_attribute, hold_attribute, micro_usd_attribute, recent_attribute,
    seen_attribute, times_left_attribute, tokens_attribute, turns_attribute,
};
use super::terms::Terms;
use super::{HoldRequest, Payer, Reservation, Settlement};
use crate::ids::{Lane, SpecialistName};
use crate::store::Comparison::{AtLeast, AtMost, Different, Equal, Greater};
use crate::store::{Item, ItemKey, Update, Value};

/// Takes the holds in a session that has begun, with money that it has drawn already.
pub(super) fn take(reservation: &Reservation<'_>, terms: &Terms) -> Update {
    let mut write = take_whatever_is_drawn(reservation, terms);
    let cost = reservation.demand().charge.cost.0;
    if cost > 0 {
        write.compare("tenant_room_micro_usd", AtLeast, Value::number(cost));
    }
    write.add("tenant_room_micro_usd", -i128::from(cost));
    write
}

/// Takes the holds in a session that has begun. What it means for the money that the session
/// has drawn from its tenant is the caller's to add.
pub(super) fn take_whatever_is_drawn(reservation: &Reservation<'_>, terms: &Terms) -> Update {
    let Payer { session, tenant, user, limits, .. } = reservation.payer;
    let mut write = Update::of(ItemKey::session(session));
    let now_seconds = reservation.now.0 / 1_000;
    write.require("pk");
    write.compare_if_there("expires_at", Greater, Value::number(now_seconds));
    let tenant = Value::text(tenant.as_str());
    write.compare_if_there("tenant", Equal, tenant.clone());
    write.set_if_absent("tenant", tenant);
    match user {
        Some(user) => {
            write.compare_if_there("user", Equal, Value::text(user.as_str()));
            write.set_if_absent("user", Value::text(user.as_str()));
        }
        None => write.require_absent("user"),
    }
    for HoldRequest { id, .. } in reservation.holds {
        write.require_absent(&hold_attribute(id));
        write.compare_if_there(&recent_attribute(id), Different, Value::text(id.as_str()));
    }

    for Counter { name, asked, limit, limit_name, limit_is_set } in counters(reservation, terms) {
        write.add(name, asked);
        if limit_is_set {
            // The limit is this session's alone, and ends with it.
            write.compare(limit_name, Equal, Value::number(limit));
        } else {
            write.compare_if_there(limit_name, Equal, Value::number(limit));
        }
        if asked > 0 {
            write.require_room(name, asked, limit);
        }
    }
    for (fingerprint, times) in reservation.fingerprints() {
        let Some(max) = limits.max_repeats else { continue };
        let seen = seen_attribute(fingerprint);
        write.require_room(&seen, times, max);
        write.add(&seen, times);
        write.copy("steps", &asked_at_attribute(fingerprint));
    }
    for request in reservation.holds {
        write.set(&hold_attribute(request.id), hold(request, reservation));
    }
    for (specialist, turns) in turns(reservation) {
        write.add(&turns_attribute(specialist), turns);
    }
    write.add("spent_tokens", 0);
    write.add("spent_micro_usd", 0);
    let end = Value::number(reservation.session_expiry());
    if terms.ends_later {
        write.compare("expires_at", Greater, end);
    } else {
        write.compare_if_there("expires_at", AtMost, end.clone());
        write.set("expires_at", end);
    }
    write
}

/// Replaces holds by what was used. Of two that have one place, the place keeps the last.
pub(super) fn settle(payer: &Payer<'_>, settlements: &[&Settlement<'_>]) -> Update {
    let mut write = Update::of(ItemKey::session(payer.session));
    let mut totals = BTreeMap::new();
    let mut places = BTreeMap::new();
    let mut left_lanes = BTreeMap::new();
    let mut stale = BTreeSet::new();
    for settlement in settlements {
        let Settlement { id, specialist, held, used, left, .. } = settlement;
        write.require(&hold_attribute(id));
        write.remove(&hold_attribute(id));
        places.insert(recent_attribute(id), Value::text(id.as_str()));
        let (tokens, held_tokens) = (i128::from(used.tokens.0), i128::from(held.tokens.0));
        let (micro_usd, held_micro_usd) = (i128::from(used.cost.0), i128::from(held.cost.0));
        for (name, amount) in [
            ("committed_tokens".to_owned(), tokens - held_tokens),
            ("committed_micro_usd".to_owned(), micro_usd - held_micro_usd),
            ("tenant_room_micro_usd".to_owned(), held_micro_usd - micro_usd),
            ("spent_tokens".to_owned(), tokens),
            ("spent_micro_usd".to_owned(), micro_usd),
            (tokens_attribute(specialist), tokens),
            (micro_usd_attribute(specialist), micro_usd),
        ] {
            *totals.entry(name).or_insert(0_i128) += amount;
        }
        if let Some(times_left) = left.and_then(Lane::times_left_now) {
            let most = left_lanes.entry(times_left_attribute(specialist)).or_insert(0);
            *most = times_left.max(*most);
        }
        for fingerprint in settlement.stale {
            stale.insert(seen_attribute(fingerprint));
            stale.insert(asked_at_attribute(fingerprint));
        }
    }
    places.into_iter().for_each(|(name, id)| write.set(&name, id));
    totals.into_iter().for_each(|(name, total)| write.add(&name, total));
    left_lanes
        .into_iter()
        .for_each(|(name, times_left)| write.set(&name, Value::number(times_left)));
    stale.into_iter().for_each(|name| write.remove(&name));
    write
}

/// Moves the holds of dead invocations from held to spent. Committed they are already.
pub(super) fn charge_expired(payer: &Payer<'_>, expired: &[ExpiredHold]) -> Update {
    let mut write = Update::of(ItemKey::session(payer.session));
    let mut totals: BTreeMap<String, i128> = BTreeMap::new();
    for hold in expired {
        write.require(&hold.attribute);
        write.remove(&hold.attribute);
        let (tokens, micro_usd) = (i128::from(hold.tokens), i128::from(hold.micro_usd));
        *totals.entry("spent_tokens".to_owned()).or_default() += tokens;
        *totals.entry("spent_micro_usd".to_owned()).or_default() += micro_usd;
        if let Some(specialist) = &hold.specialist {
            *totals.entry(tokens_attribute(specialist)).or_default() += tokens;
            *totals.entry(micro_usd_attribute(specialist)).or_default() += micro_usd;
        }
    }
    for (attribute, total) in totals {
        write.add(&attribute, total);
    }
    write
}

/// One of the numbers that a reservation adds to, and its limit.
struct Counter {
    name: &'static str,
    asked: u64,
    limit: u64,
    /// The attribute in which an operator sets another limit.
    limit_name: &'static str,
    limit_is_set: bool,
}

fn counters(reservation: &Reservation<'_>, terms: &Terms) -> [Counter; 4] {
    let demand = reservation.demand();
    let Terms { limits, set_by_hand, .. } = terms;
    [
        Counter {
            name: "steps",
            asked: demand.steps,
            limit: limits.steps,
            limit_name: "limit_steps",
            limit_is_set: set_by_hand.steps,
        },
        Counter {
            name: "handoffs",
            asked: demand.handoffs,
            limit: limits.handoffs,
            limit_name: "limit_handoffs",
            limit_is_set: set_by_hand.handoffs,
        },
        Counter {
            name: "committed_tokens",
            asked: demand.charge.tokens.0,
            limit: limits.tokens.0,
            limit_name: "limit_tokens",
            limit_is_set: set_by_hand.tokens,
        },
        Counter {
            name: "committed_micro_usd",
            asked: demand.charge.cost.0,
            limit: limits.cost.0,
            limit_name: "limit_micro_usd",
            limit_is_set: set_by_hand.cost,
        },
    ]
}

/// The turns of each specialist's that come with the holds.
pub(super) fn turns<'a>(reservation: &Reservation<'a>) -> Vec<(&'a SpecialistName, u64)> {
    let mut turns: Vec<(&SpecialistName, u64)> = Vec::new();
    for HoldRequest { specialist, purpose, .. } in reservation.holds {
        match turns.iter_mut().find(|(known, _)| known == specialist) {
            Some((_, sum)) => *sum += purpose.steps(),
            None => turns.push((specialist, purpose.steps())),
        }
    }
    turns
}

/// What a hold says of itself.
pub(super) fn hold(request: &HoldRequest<'_>, reservation: &Reservation<'_>) -> Value {
    Value::Map(Item::from([
        ("specialist", Value::text(request.specialist.as_str())),
        ("tokens", Value::number(request.ask.tokens.0)),
        ("micro_usd", Value::number(request.ask.cost.0)),
        ("expires_at_ms", Value::number(reservation.expires.0)),
    ]))
}
