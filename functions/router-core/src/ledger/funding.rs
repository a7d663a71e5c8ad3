//! Money from days, in blocks: from the tenant's, and from the user's where the policy limits it.
//!
//! A tenant's day is one item, and all of the tenant's sessions pay from it. If every call wrote
//! it, it would be a hot key. So a session draws a block at a time, in one transaction with the
//! hold that needs it, and ordinary calls write the session's item alone. The same transaction
//! folds what the session has spent since into the day and into the days of the specialists. A
//! user's day is drawn from in the same way, over all of the user's sessions.
//!
//! After midnight a session goes on with what it drew the day before. What it spends of that
//! belongs to that day, where it was drawn: so the session keeps apart, `unfolded#<date>`, what
//! it drew from each day that is not in that day's item as spent yet, and what it spends is
//! taken from the first of them. That may hold for more than two days, for what invocations
//! hold while it draws is spent later.

use super::session::{
    SessionItem, asked_at_attribute, hold_attribute, micro_usd_attribute, seen_attribute,
    tokens_attribute, turns_attribute,
};
use super::source::Source;
use super::terms::Terms;
use super::{Account, Exhausted, Opening, Payer, Reservation, hour, writes};
use crate::escalation::{due_attribute, ticket_attribute};
use crate::store::Comparison::{AtMost, Equal};
use crate::store::{Condition, Item, ItemKey, Put, Update, Value, Write};
use crate::units::{Timestamp, day_expiry};

/// A transaction may have 100 actions: the session, the hour of gateways, two days that are drawn
/// from, days before of both, and these.
const MAX_FOLDED_SPECIALISTS: usize = 80;
/// How many of them are days before, of one source. A session that has drawn from more folds them by
/// and by.
const MAX_FOLDED_DAYS: usize = 8;

/// What a session lacks, and what it draws from a day for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draw {
    /// The day.
    pub(super) source: Source,
    /// Micro-dollars without which there is no room for the holds.
    pub(super) needed: u64,
    /// Micro-dollars that are drawn.
    pub(super) amount: u64,
}

/// All that a session draws at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draws(Vec<Draw>);

impl Draws {
    /// A block of each day, or more where more is needed: what `missing` says, of a day of which
    /// nothing is needed nothing.
    pub(super) fn blocks(
        reservation: &Reservation<'_>,
        missing: impl Fn(Source) -> Option<u64>,
    ) -> Self {
        let block = reservation.payer.tenant_day.block.0;
        let draw = |source| {
            let needed = missing(source)?;
            Some(Draw { source, needed, amount: block.max(needed) })
        };
        Self(Source::of(&reservation.payer).filter_map(draw).collect())
    }

    /// What is drawn when the day has less left than that: exactly what is needed, if it has it.
    pub(super) fn exactly(
        mut self,
        source: Source,
        reservation: &Reservation<'_>,
        day: &Item,
        account: Account,
    ) -> Result<Self, Box<Exhausted>> {
        let (drawn, spent) = (day.number("drawn_micro_usd"), day.number("spent_micro_usd"));
        let max = source.max(&reservation.payer);
        let refused = self.0.iter_mut().find(|draw| draw.source == source);
        let asked = refused.as_ref().map_or(0, |draw| draw.needed);
        if let Some(draw) = refused
            && draw.needed < draw.amount
            && drawn.saturating_add(draw.needed) <= max
        {
            draw.amount = draw.needed;
            return Ok(self);
        }
        Err(Box::new(Exhausted {
            limit: source.limit(),
            settled: spent,
            held: drawn.saturating_sub(spent),
            asked,
            max,
            account,
            expired_holds: 0,
            answered: Vec::new(),
        }))
    }

    /// What is drawn from one day.
    fn amount(&self, source: Source) -> u64 {
        self.0.iter().find(|draw| draw.source == source).map_or(0, |draw| draw.amount)
    }

    /// The day that a key is of, where it is one that is drawn from.
    pub(super) fn source_of(&self, key: &ItemKey, reservation: &Reservation<'_>) -> Option<Source> {
        let today = reservation.now.date();
        let is_of = |draw: &&Draw| draw.source.key(&reservation.payer, &today) == Some(key.clone());
        self.0.iter().find(is_of).map(|draw| draw.source)
    }
}

/// Begins a session with its first holds, in place of one that is over, if there is one.
pub(super) fn open(reservation: &Reservation<'_>, draws: &Draws) -> Vec<Write> {
    let put = Put {
        key: ItemKey::session(reservation.payer.session),
        item: first_item(reservation, draws),
        conditions: vec![
            Condition::absent_or("expires_at", AtMost, Value::number(reservation.now.0 / 1_000)),
            // An item without an expiry is a session that an operator set up by hand.
            Condition::Any(vec![
                Condition::Absent("pk".to_owned()),
                Condition::Exists("expires_at".to_owned()),
            ]),
        ],
    };
    let days = draws.0.iter().filter_map(|draw| day_update(reservation, *draw, 0));
    let others = days.chain(hour::take(reservation)).map(Write::Update);
    std::iter::once(Write::Put(put)).chain(others).collect()
}

/// The item of a session that begins.
pub(super) fn first_item(reservation: &Reservation<'_>, draws: &Draws) -> Item {
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
        ("expires_at", Value::number(reservation.session_expiry())),
        // Tells this session from one before it, whose folding may still be under way.
        ("folds", Value::number(reservation.now.0)),
    ]);
    if let Some(user) = user {
        item.set("user", Value::text(user.as_str()));
    }
    for source in Source::of(&reservation.payer) {
        let (amount, cost) = (draws.amount(source), demand.charge.cost.0);
        item.set(source.drawn(), Value::number(amount));
        item.set(source.room(), Value::number(amount.saturating_sub(cost)));
        item.set(source.unfolded(&reservation.now.date()), Value::number(amount));
    }
    for (specialist, turns) in writes::turns(reservation) {
        item.set(turns_attribute(specialist), Value::number(turns));
    }
    for request in reservation.holds {
        item.set(hold_attribute(request.id), writes::hold(request, reservation));
    }
    if let Some(Opening { task, ticket, due }) = reservation.opening {
        item.set(ticket_attribute(task), Value::text(ticket.as_str()));
        item.set(due_attribute(task), Value::number(due.0));
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
    draws: &Draws,
    fold: bool,
) -> Vec<Write> {
    let mut update = writes::take_whatever_is_drawn(reservation, terms);
    for source in Source::of(&reservation.payer) {
        let cost = i128::from(reservation.demand().charge.cost.0);
        writes::take_room(&mut update, source, i128::from(draws.amount(source)) - cost);
    }
    let today = reservation.now.date();
    let mut days = Vec::new();
    let mut before = Vec::new();
    let mut specialists = Vec::new();
    if fold {
        note_folding(&mut update, session);
        specialists = fold_specialists(&mut update, session, reservation.now);
    }
    for draw in &draws.0 {
        let source = draw.source;
        let spent =
            if fold { fold_spent(&mut update, session, source, &today) } else { Spent::default() };
        let unfolded = i128::from(draw.amount) - i128::from(spent.today);
        update.add(source.drawn(), draw.amount);
        update.add(&source.unfolded(&today), unfolded);
        days.extend(day_update(reservation, *draw, spent.today));
        before.extend(spent.before.iter().filter_map(|day| fold_day(reservation, source, day)));
    }
    let session = std::iter::once(update);
    let others = days.into_iter().chain(hour::take(reservation)).chain(specialists).chain(before);
    session.chain(others).map(Write::Update).collect()
}

/// Draws from a day, and adds what the session has spent of earlier draws.
fn day_update(reservation: &Reservation<'_>, draw: Draw, spent: u64) -> Option<Update> {
    let Draw { source, amount, .. } = draw;
    let mut update = Update::of(source.key(&reservation.payer, &reservation.now.date())?);
    update.require_room("drawn_micro_usd", amount, source.max(&reservation.payer));
    update.add("drawn_micro_usd", amount);
    update.add("spent_micro_usd", spent);
    update.set("expires_at", Value::number(day_expiry(reservation.now)));
    Some(update)
}

/// Adds to a day before what the session has spent of what it drew from it.
fn fold_day(
    reservation: &Reservation<'_>,
    source: Source,
    (date, spent): &(String, u64),
) -> Option<Update> {
    let mut update = Update::of(source.key(&reservation.payer, date)?);
    update.add("spent_micro_usd", *spent);
    update.set_if_absent("expires_at", Value::number(day_expiry(reservation.now)));
    Some(update)
}

/// Adds to the specialists' days what the session has spent with each since the last time.
pub(super) fn fold_specialists(
    update: &mut Update,
    session: &SessionItem,
    now: Timestamp,
) -> Vec<Update> {
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

/// Notes in the session that its spending is in the days now. The condition keeps two transactions
/// from folding the same spending.
pub(super) fn note_folding(update: &mut Update, session: &SessionItem) {
    let folds = session.number("folds");
    match folds {
        0 => update.require_absent("folds"),
        folds => update.compare("folds", Equal, Value::number(folds)),
    }
    update.set("folds", Value::number(folds + 1));
}

/// Notes by how much the session's spending is in the days of a source now; returns that.
fn fold_spent(update: &mut Update, session: &SessionItem, source: Source, today: &str) -> Spent {
    let spent = session.number(source.spent());
    update.set(source.folded(), Value::number(spent));
    let mut left = spent.saturating_sub(session.number(source.folded()));
    let mut before = Vec::new();
    for (date, unfolded) in session.unfolded_before(source, today).into_iter().take(MAX_FOLDED_DAYS)
    {
        let part = left.min(unfolded);
        if part == 0 && unfolded > 0 {
            break;
        }
        let attribute = source.unfolded(date);
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
