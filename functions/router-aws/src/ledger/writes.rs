//! The writes of the ledger: what each changes, and on which condition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::ledger::{Reservation, Settlement};
use router_core::session::Lane;
use router_core::units::Timestamp;

use super::item::{
    ExpiredHold, asked_at_attribute, hold_attribute, micro_usd_attribute, recent_attribute,
    seen_attribute, times_left_attribute, tokens_attribute, turns_attribute,
};
use super::terms::Terms;
use crate::table::{Expression, number, text};

/// Takes a hold in a session that has begun, with money that it has drawn already.
pub(super) fn take(reservation: &Reservation<'_>, terms: &Terms) -> Expression {
    let mut write = take_whatever_is_drawn(reservation, terms);
    let cost = reservation.ask.cost.0;
    if cost > 0 {
        write.compare("tenant_room_micro_usd", ">=", number(cost));
    }
    write.add("tenant_room_micro_usd", -i128::from(cost));
    write
}

/// Takes a hold in a session that has begun. What it means for the money that the session
/// has drawn from its tenant is the caller's to add.
pub(super) fn take_whatever_is_drawn(reservation: &Reservation<'_>, terms: &Terms) -> Expression {
    let mut write = Expression::default();
    let now_seconds = reservation.now.0 / 1_000;
    write.require("pk");
    write.compare_if_there("expires_at", ">", number(now_seconds));
    let tenant = text(reservation.tenant.as_str());
    write.compare_if_there("tenant", "=", tenant.clone());
    write.set_if_absent("tenant", tenant);
    match reservation.user {
        Some(user) => {
            write.compare_if_there("user", "=", text(user.as_str()));
            write.set_if_absent("user", text(user.as_str()));
        }
        None => write.require_absent("user"),
    }
    write.require_absent(&hold_attribute(reservation.id));
    let id = AttributeValue::S(reservation.id.as_str().to_owned());
    write.compare_if_there(&recent_attribute(reservation.id), "<>", id);

    for Counter { name, asked, limit, limit_name, limit_is_set } in counters(reservation, terms) {
        write.add(name, i128::from(asked));
        if limit_is_set {
            // The limit is this session's alone, and ends with it.
            write.compare(limit_name, "=", number(limit));
        } else {
            write.compare_if_there(limit_name, "=", number(limit));
        }
        if asked == 0 {
            continue;
        }
        match limit.checked_sub(asked) {
            Some(room) => write.compare_if_there(name, "<=", number(room)),
            // More is asked than the whole limit: there is never room.
            None => write.compare(name, "<", number(0)),
        }
    }
    if let (Some(fingerprint), Some(max)) =
        (reservation.fingerprint, reservation.limits.max_repeats)
    {
        let seen = seen_attribute(fingerprint);
        write.compare_if_there(&seen, "<", number(max));
        write.add(&seen, 1);
        write.copy("steps", &asked_at_attribute(fingerprint));
    }
    write.set(&hold_attribute(reservation.id), hold(reservation));
    write.add(&turns_attribute(reservation.specialist), i128::from(reservation.purpose.steps()));
    write.add("spent_tokens", 0);
    write.add("spent_micro_usd", 0);
    let end = number(session_expiry(reservation));
    if terms.ends_later {
        write.compare("expires_at", ">", end);
    } else {
        write.compare_if_there("expires_at", "<=", end.clone());
        write.set("expires_at", end);
    }
    write
}

/// Replaces a hold by what was used.
pub(super) fn settle(settlement: &Settlement<'_>) -> Expression {
    let Settlement { id, specialist, held, used, forget, left, .. } = settlement;
    let used_tokens = i128::from(used.tokens.0);
    let used_micro_usd = i128::from(used.cost.0);
    let mut write = Expression::default();
    write.require(&hold_attribute(id));
    write.remove(&hold_attribute(id));
    write.set(&recent_attribute(id), AttributeValue::S(id.as_str().to_owned()));
    write.add("committed_tokens", used_tokens - i128::from(held.tokens.0));
    write.add("committed_micro_usd", used_micro_usd - i128::from(held.cost.0));
    write.add("tenant_room_micro_usd", i128::from(held.cost.0) - used_micro_usd);
    write.add("spent_tokens", used_tokens);
    write.add("spent_micro_usd", used_micro_usd);
    write.add(&tokens_attribute(specialist), used_tokens);
    write.add(&micro_usd_attribute(specialist), used_micro_usd);
    if let Some(times_left) = left.and_then(Lane::times_left_now) {
        write.set(&times_left_attribute(specialist), number(times_left));
    }
    for fingerprint in *forget {
        write.remove(&seen_attribute(fingerprint));
        write.remove(&asked_at_attribute(fingerprint));
    }
    write
}

/// Moves the holds of dead invocations from held to spent. Committed they are already.
pub(super) fn charge_expired(expired: &[ExpiredHold]) -> Expression {
    let mut write = Expression::default();
    let mut totals: HashMap<String, i128> = HashMap::new();
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
    let Reservation { ask, purpose, .. } = reservation;
    let Terms { limits, set_by_hand, .. } = terms;
    [
        Counter {
            name: "steps",
            asked: purpose.steps(),
            limit: limits.steps,
            limit_name: "limit_steps",
            limit_is_set: set_by_hand.steps,
        },
        Counter {
            name: "handoffs",
            asked: purpose.handoffs(),
            limit: limits.handoffs,
            limit_name: "limit_handoffs",
            limit_is_set: set_by_hand.handoffs,
        },
        Counter {
            name: "committed_tokens",
            asked: ask.tokens.0,
            limit: limits.tokens.0,
            limit_name: "limit_tokens",
            limit_is_set: set_by_hand.tokens,
        },
        Counter {
            name: "committed_micro_usd",
            asked: ask.cost.0,
            limit: limits.cost.0,
            limit_name: "limit_micro_usd",
            limit_is_set: set_by_hand.cost,
        },
    ]
}

/// What a hold says of itself.
pub(super) fn hold(reservation: &Reservation<'_>) -> AttributeValue {
    let specialist = reservation.specialist.as_str().to_owned();
    AttributeValue::M(HashMap::from([
        ("specialist".to_owned(), AttributeValue::S(specialist)),
        ("tokens".to_owned(), number(reservation.ask.tokens.0)),
        ("micro_usd".to_owned(), number(reservation.ask.cost.0)),
        ("expires_at_ms".to_owned(), number(reservation.expires.0)),
    ]))
}

/// When the session is over, in epoch seconds: after it has been idle for long enough, and
/// not before its hold expires.
pub(super) fn session_expiry(reservation: &Reservation<'_>) -> u64 {
    let Timestamp(idle) = reservation.now.after(reservation.limits.idle_ttl);
    Timestamp(idle.max(reservation.expires.0)).epoch_seconds()
}
