//! Money from a tenant's day, in blocks.
//!
//! A tenant's day is one item, and all of the tenant's sessions pay from it. If every call wrote
//! it, it would be a hot key. So a session draws a block at a time, in one transaction with the
//! hold that needs it, and ordinary calls write the session's item alone. The same transaction
//! folds what the session has spent since into the tenant's day and into the days of the
//! specialists.
//!
//! After midnight a session goes on with what it drew the day before. What it spends of that
//! belongs to that day, where it was drawn: so the session keeps apart, `unfolded#<date>`, what
//! it drew from each day that is not in that day's item as spent yet, and what it spends is
//! taken from the first of them. That may hold for more than two days, for what invocations
//! hold while it draws is spent later.

use super::session::{
    SessionItem, asked_at_attribute, hold_attribute, micro_usd_attribute, seen_attribute,
    tokens_attribute, turns_attribute, unfolded_attribute,
};
use super::terms::Terms;
use super::{Account, Exhausted, Limit, Payer, Reservation, writes};
use crate::store::Comparison::{AtLeast, AtMost, Equal};
use crate::store::{Condition, Item, ItemKey, Put, Update, Value, Write};
use crate::units::{Timestamp, day_expiry};

/// A transaction may have 100 actions; two of them are the session and the tenant's day.
const MAX_FOLDED_SPECIALISTS: usize = 90;
/// How many of them are days before. A session that has drawn from more folds them by and by.
const MAX_FOLDED_DAYS: usize = 8;

/// Which of a transaction's writes is the tenant's day's; the session's comes before it.
pub(super) const TENANT: usize = 1;

/// What a session lacks, and what it draws from the tenant's day for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draw {
    /// Micro-dollars without which there is no room for the holds.
    pub(super) needed: u64,
    /// Micro-dollars that are drawn.
    pub(super) amount: u64,
}

impl Draw {
    /// A block, or more where more is needed.
    pub(super) fn block(reservation: &Reservation<'_>, needed: u64) -> Self {
        Self { needed, amount: reservation.payer.tenant_day.block.0.max(needed) }
    }

    /// What is drawn when the day has less left than this: exactly what is needed, if it has that.
    pub(super) fn exactly(
        self,
        reservation: &Reservation<'_>,
        day: &Item,
        account: Account,
    ) -> Result<Self, Exhausted> {
        let Self { needed, amount } = self;
        let (drawn, spent) = (day.number("drawn_micro_usd"), day.number("spent_micro_usd"));
        let max = reservation.payer.tenant_day.max_cost.0;
        if needed < amount && drawn.saturating_add(needed) <= max {
            return Ok(Self { needed, amount: needed });
        }
        Err(Exhausted {
            limit: Limit::Tenant,
            settled: spent,
            held: drawn.saturating_sub(spent),
            asked: needed,
            max,
            account,
            expired_holds: 0,
        })
    }
}

/// Begins a session with its first holds, in place of one that is over, if there is one.
pub(super) fn open(reservation: &Reservation<'_>, draw: Draw) -> Vec<Write> {
    let put = Put {
        key: ItemKey::session(reservation.payer.session),
        item: first_item(reservation, draw),
        conditions: vec![
            Condition::absent_or("expires_at", AtMost, Value::number(reservation.now.0 / 1_000)),
            // An item without an expiry is a session that an operator set up by hand.
            Condition::Any(vec![
                Condition::Absent("pk".to_owned()),
                Condition::Exists("expires_at".to_owned()),
            ]),
        ],
    };
    vec![Write::Put(put), Write::Update(tenant_update(reservation, draw, 0))]
}

/// The item of a session that begins.
pub(super) fn first_item(reservation: &Reservation<'_>, draw: Draw) -> Item {
    let demand = reservation.demand();
    let Payer { tenant, user, .. } = reservation.payer;
    let mut item = Item::from([
        ("tenant", Value::text(tenant.as_str())),
        ("steps", Value::number(demand.steps)),
        ("handoffs", Value::number(demand.handoffs)),
        ("committed_tokens", Value::number(demand.charge.tokens.0)),
        ("committed_micro_usd", Value::number(demand.charge.cost.0)),
        ("spent_tokens", Value::number(0)),
        ("spent_micro_usd", Value::number(0)),
        ("drawn_micro_usd", Value::number(draw.amount)),
        ("tenant_room_micro_usd", Value::number(draw.amount - demand.charge.cost.0)),
        ("expires_at", Value::number(reservation.session_expiry())),
        // Tells this session from one before it, whose folding may still be under way.
        ("folds", Value::number(reservation.now.0)),
    ]);
    if let Some(user) = user {
        item.set("user", Value::text(user.as_str()));
    }
    item.set(unfolded_attribute(&reservation.now.date()), Value::number(draw.amount));
    for (specialist, turns) in writes::turns(reservation) {
        item.set(turns_attribute(specialist), Value::number(turns));
    }
    for request in reservation.holds {
        item.set(hold_attribute(request.id), writes::hold(request, reservation));
    }
    for (fingerprint, times) in reservation.fingerprints() {
        item.set(seen_attribute(fingerprint), Value::number(times));
        item.set(asked_at_attribute(fingerprint), Value::number(0));
    }
    item
}

/// Takes the holds together with what the session draws for them. With `fold`, what it has spent
/// is added to the days as well: that needs the item unchanged.
pub(super) fn fund(
    reservation: &Reservation<'_>,
    terms: &Terms,
    session: &SessionItem,
    draw: Draw,
    fold: bool,
) -> Vec<Write> {
    let mut update = writes::take_whatever_is_drawn(reservation, terms);
    let change = i128::from(draw.amount) - i128::from(reservation.demand().charge.cost.0);
    update.add("tenant_room_micro_usd", change);
    // Another request may have used the room since it was read.
    let rest = Value::Number(-change);
    if change >= 0 {
        update.compare_if_there("tenant_room_micro_usd", AtLeast, rest);
    } else {
        update.compare("tenant_room_micro_usd", AtLeast, rest);
    }
    update.add("drawn_micro_usd", draw.amount);
    let today = reservation.now.date();
    let mut spent = Spent::default();
    let mut others = Vec::new();
    if fold {
        spent = fold_session(&mut update, session, &today);
        others = fold_specialists(&mut update, session, reservation.now);
        others.extend(spent.before.iter().map(|day| fold_day(reservation, day)));
    }
    let unfolded = i128::from(draw.amount) - i128::from(spent.today);
    update.add(&unfolded_attribute(&today), unfolded);
    let both = [update, tenant_update(reservation, draw, spent.today)];
    both.into_iter().chain(others).map(Write::Update).collect()
}

/// Draws from the tenant's day, and adds what the session has spent of earlier draws.
fn tenant_update(reservation: &Reservation<'_>, draw: Draw, spent: u64) -> Update {
    let mut update = Update::of(day_key(reservation, &reservation.now.date()));
    let max = reservation.payer.tenant_day.max_cost.0;
    update.require_room("drawn_micro_usd", draw.amount, max);
    update.add("drawn_micro_usd", draw.amount);
    update.add("spent_micro_usd", spent);
    update.set("expires_at", Value::number(day_expiry(reservation.now)));
    update
}

/// Adds to a day before what the session has spent of what it drew from it.
fn fold_day(reservation: &Reservation<'_>, (date, spent): &(String, u64)) -> Update {
    let mut update = Update::of(day_key(reservation, date));
    update.add("spent_micro_usd", *spent);
    update.set_if_absent("expires_at", Value::number(day_expiry(reservation.now)));
    update
}

/// Adds to the specialists' days what the session has spent with each since the last time.
fn fold_specialists(update: &mut Update, session: &SessionItem, now: Timestamp) -> Vec<Update> {
    let mut days = Vec::new();
    for (name, [tokens, micro_usd, folded_tokens, folded_micro_usd]) in session.by_specialist() {
        let more_tokens = tokens.saturating_sub(folded_tokens);
        let more_micro_usd = micro_usd.saturating_sub(folded_micro_usd);
        if (more_tokens, more_micro_usd) == (0, 0) || days.len() >= MAX_FOLDED_SPECIALISTS {
            continue;
        }
        update.set(&format!("folded_{}", tokens_attribute(&name)), Value::number(tokens));
        update.set(&format!("folded_{}", micro_usd_attribute(&name)), Value::number(micro_usd));
        let mut day = Update::of(ItemKey::specialist_day(&name, &now.date()));
        day.add("spent_tokens", more_tokens);
        day.add("spent_micro_usd", more_micro_usd);
        day.set("expires_at", Value::number(day_expiry(now)));
        days.push(day);
    }
    days
}

/// What a session has spent since the last time, by the day that it had drawn it from.
#[derive(Default)]
struct Spent {
    today: u64,
    before: Vec<(String, u64)>,
}

/// The key of a day of the tenant who pays.
fn day_key(reservation: &Reservation<'_>, date: &str) -> ItemKey {
    let payer = reservation.payer.tenant_day.payer(reservation.payer.tenant);
    ItemKey::tenant_day(payer, date)
}

/// Notes in the session that its spending is in the tenant's days now; returns by how much.
/// The condition keeps two transactions from folding the same spending.
fn fold_session(update: &mut Update, session: &SessionItem, today: &str) -> Spent {
    let folds = session.number("folds");
    match folds {
        0 => update.require_absent("folds"),
        folds => update.compare("folds", Equal, Value::number(folds)),
    }
    update.set("folds", Value::number(folds + 1));
    let spent = session.number("spent_micro_usd");
    update.set("folded_micro_usd", Value::number(spent));
    let mut left = spent.saturating_sub(session.number("folded_micro_usd"));
    let mut before = Vec::new();
    for (date, unfolded) in session.unfolded_before(today).into_iter().take(MAX_FOLDED_DAYS) {
        let part = left.min(unfolded);
        if part == 0 && unfolded > 0 {
            break;
        }
        let attribute = unfolded_attribute(date);
        // By a clock that is a little slow the day is not over yet.
        update.compare(&attribute, Equal, Value::number(unfolded));
        match unfolded - part {
            0 => update.remove(&attribute),
            rest => update.set(&attribute, Value::number(rest)),
        }
        if part > 0 {
            before.push((date.to_owned(), part));
        }
        left -= part;
    }
    Spent { today: left, before }
}
