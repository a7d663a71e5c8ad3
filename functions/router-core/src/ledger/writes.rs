//! The writes to a session's item: what each changes, and on which conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::counted::Counted;
use super::session::{
    ExpiredHold, asked_at_attribute, hold_attribute, micro_usd_attribute, recent_attribute,
    seen_attribute, times_left_attribute, tokens_attribute, turns_attribute,
};
use super::source::Source;
use super::terms::Terms;
use super::{HoldRequest, Opening, Payer, Reservation, Settlement, hour};
use crate::escalation::{ANSWERED, due_attribute, ticket_attribute};
use crate::ids::{Lane, RootSession, SpecialistName};
use crate::store::Comparison::{AtLeast, AtMost, Different, Equal, Greater};
use crate::store::{Item, ItemKey, Request, Update, Value, Write};

/// Takes the holds in a session that has begun, with money that it has drawn already.
pub(super) fn take(reservation: &Reservation<'_>, terms: &Terms) -> Request {
    let mut write = take_whatever_is_drawn(reservation, terms);
    let cost = i128::from(reservation.demand().charge.cost.0);
    for source in Source::of(&reservation.payer) {
        match cost {
            0 => write.add(source.room(), 0),
            cost => take_room(&mut write, source, -cost),
        }
    }
    together(write, hour::take(reservation).into_iter().collect())
}

/// Changes what a session has left of the money that it has drawn from a day. What is taken has to
/// be there: another request may have used it since it was read.
pub(super) fn take_room(write: &mut Update, source: Source, change: i128) {
    let rest = Value::Number(-change);
    match change {
        ..0 => write.compare(source.room(), AtLeast, rest),
        0.. => write.compare_if_there(source.room(), AtLeast, rest),
    }
    write.add(source.room(), change);
}

/// The session's write, and others with it: all or none. The answer to one write has the item as it
/// is then, and so is quicker.
fn together(session: Update, others: Vec<Update>) -> Request {
    if others.is_empty() {
        return Request::Update(session);
    }
    let all = std::iter::once(session).chain(others).map(Write::Update);
    Request::Transact(all.collect())
}

/// Takes the holds in a session that has begun. What it means for the money that the session
/// has drawn from days is the caller's to add.
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
        if let Some(share) = reservation.only_below.filter(|_| limit > 0) {
            write.require_room(name, 1, share.of(limit));
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
    if let Some(Opening { task, ticket, due }) = reservation.opening {
        let now = Value::number(reservation.now.0);
        write.compare_if_there(&due_attribute(task), AtMost, now);
        write.set(&ticket_attribute(task), Value::text(ticket.as_str()));
        write.set(&due_attribute(task), Value::number(due.0));
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
pub(super) fn settle(payer: &Payer<'_>, settlements: &[&Settlement<'_>]) -> Request {
    let mut write = Update::of(ItemKey::session(payer.session));
    let mut totals = BTreeMap::new();
    let mut places = BTreeMap::new();
    let mut left_lanes = BTreeMap::new();
    let mut stale = BTreeSet::new();
    for settlement in settlements {
        let Settlement { id, specialist, held, used, left, counted, .. } = settlement;
        write.require(&hold_attribute(id));
        write.remove(&hold_attribute(id));
        places.insert(recent_attribute(id), Value::text(id.as_str()));
        let (tokens, held_tokens) = (i128::from(used.tokens.0), i128::from(held.tokens.0));
        let (micro_usd, held_micro_usd) = (i128::from(used.cost.0), i128::from(held.cost.0));
        for (name, amount) in [
            ("committed_tokens".to_owned(), tokens - held_tokens),
            ("committed_micro_usd".to_owned(), micro_usd - held_micro_usd),
            ("spent_tokens".to_owned(), tokens),
            (tokens_attribute(specialist), tokens),
            (micro_usd_attribute(specialist), micro_usd),
        ] {
            *totals.entry(name).or_insert(0_i128) += amount;
        }
        for source in sources(*counted) {
            *totals.entry(source.room().to_owned()).or_default() += held_micro_usd - micro_usd;
            *totals.entry(source.spent().to_owned()).or_default() += micro_usd;
        }
        if let Some(times_left) = left.and_then(Lane::times_left_now) {
            let most = left_lanes.entry(times_left_attribute(specialist)).or_insert(0);
            *most = times_left.max(*most);
        }
        for fingerprint in settlement.stale {
            stale.insert(seen_attribute(fingerprint));
            stale.insert(asked_at_attribute(fingerprint));
        }
        stale.extend(settlement.told.iter().map(|ticket| format!("{ANSWERED}{ticket}")));
    }
    places.into_iter().for_each(|(name, id)| write.set(&name, id));
    totals.into_iter().for_each(|(name, total)| write.add(&name, total));
    left_lanes
        .into_iter()
        .for_each(|(name, times_left)| write.set(&name, Value::number(times_left)));
    stale.into_iter().for_each(|name| write.remove(&name));
    together(write, hour::settle(settlements))
}

/// The days that a hold counts against.
fn sources(counted: Counted) -> impl Iterator<Item = Source> {
    std::iter::once(Source::Tenant).chain(counted.of_user.then_some(Source::User))
}

/// Moves the holds of dead invocations from held to spent. Committed they are already.
pub(super) fn charge_expired(session: &RootSession, expired: &[ExpiredHold]) -> Request {
    let mut write = Update::of(ItemKey::session(session));
    let mut totals: BTreeMap<String, i128> = BTreeMap::new();
    for hold in expired {
        write.require(&hold.attribute);
        write.remove(&hold.attribute);
        let (tokens, micro_usd) = (i128::from(hold.tokens), i128::from(hold.micro_usd));
        *totals.entry("spent_tokens".to_owned()).or_default() += tokens;
        for source in sources(hold.counted) {
            *totals.entry(source.spent().to_owned()).or_default() += micro_usd;
        }
        if let Some(specialist) = &hold.specialist {
            *totals.entry(tokens_attribute(specialist)).or_default() += tokens;
            *totals.entry(micro_usd_attribute(specialist)).or_default() += micro_usd;
        }
    }
    for (attribute, total) in totals {
        write.add(&attribute, total);
    }
    let of_hours = expired.iter().filter_map(|hold| Some((hold.counted.hour?, hold.micro_usd)));
    together(write, hour::charge_expired(of_hours))
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
    let mut hold = Item::from([
        ("specialist", Value::text(request.specialist.as_str())),
        ("tokens", Value::number(request.ask.tokens.0)),
        ("micro_usd", Value::number(request.ask.cost.0)),
        ("expires_at_ms", Value::number(reservation.expires.0)),
    ]);
    let Counted { hour, of_user } = Counted::by(&reservation.payer, reservation.now);
    if let Some(hour) = hour {
        hold.set("gateway_hour", Value::text(hour.to_string()));
    }
    if of_user {
        hold.set("of_user", Value::number(1));
    }
    Value::Map(hold)
}
