//! Money from a tenant's day, in blocks.
//!
//! A tenant's day is one item, `TENANT#<id>` / `DAY#<date>`, and all of the tenant's sessions
//! pay from it. If every call wrote it, it would be a hot key. So a session draws a block at a
//! time, in one transaction with the hold that needs it, and ordinary calls write the
//! session's item alone. The same transaction folds what the session has spent since into the
//! tenant's day and into the days of the specialists.
//!
//! After midnight a session goes on with what it drew the day before. What it spends of that
//! belongs to that day, where it was drawn: so the session keeps apart, `unfolded#<date>`, what
//! it drew from each day that is not in that day's item as spent yet, and what it spends is
//! taken from the first of them. That may hold for more than two days, for what invocations
//! hold while it draws is spent later.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use router_core::ledger::{
    Account, Exhausted, HoldRequest, Holds, Limit, Limits, Payer, Reservation, ReserveError,
};
use router_core::units::Timestamp;

use super::item::{
    SessionItem, asked_at_attribute, hold_attribute, micro_usd_attribute, seen_attribute,
    session_key, tokens_attribute, turns_attribute, unfolded_attribute,
};
use super::terms::Terms;
use super::{DynamoLedger, writes};
use crate::table::{
    self, Attributes, Expression, date, day_expiry, key, number, read_number, text,
};

/// A transaction may have 100 actions; two of them are the session and the tenant's day.
const MAX_FOLDED_SPECIALISTS: usize = 90;
/// How many of them are days before. A session that has drawn from more folds them by and by.
const MAX_FOLDED_DAYS: usize = 8;

/// How a transaction ended that did not happen.
enum Cancelled {
    /// The session is not as it was, or others are writing: begin again.
    BeginAgain,
    /// The tenant's day has less than was to be drawn; this is its item.
    NotEnough(Attributes),
}

impl DynamoLedger {
    /// Begins a session with its first holds. `None`: another router did.
    pub(super) async fn open(
        &self,
        reservation: &Reservation<'_>,
    ) -> Result<Option<Holds>, ReserveError> {
        let limits = Limits::from(reservation.payer.limits);
        let empty = Account { limits, ..Account::default() };
        let empty_item = SessionItem::new(Attributes::new(), &limits);
        if let Some(times) = empty_item.times_seen(reservation) {
            return Err(ReserveError::Repeated { times });
        }
        let demand = reservation.demand();
        if let Some(exhausted) = empty.exhausted_by(&demand) {
            return Err(ReserveError::Exhausted(exhausted));
        }
        let needed = demand.charge.cost.0;
        let mut draw = block(reservation, needed);
        loop {
            let (put, begun) = self.first_item(reservation, &limits, draw);
            let tenant = self.tenant_update(reservation, draw, 0);
            let items = vec![put, tenant];
            match self.transact(items).await? {
                Ok(()) => return Ok(Some(begun.holds(reservation))),
                Err(Cancelled::BeginAgain) => return Ok(None),
                Err(Cancelled::NotEnough(day)) => {
                    draw = exact_draw(reservation, &day, needed, draw, &empty)?;
                }
            }
        }
    }

    /// Takes the holds together with a block of the tenant's money. `None`: begin again.
    pub(super) async fn fund(
        &self,
        reservation: &Reservation<'_>,
        terms: &Terms,
        item: &SessionItem,
        round: u32,
    ) -> Result<Option<Holds>, ReserveError> {
        let cost = reservation.demand().charge.cost.0;
        let missing = i128::from(cost) - item.tenant_room();
        let needed = u64::try_from(missing).unwrap_or(0);
        let mut draw = block(reservation, needed);
        // Where many draw at once, only the first round folds: folding needs the item unchanged.
        let fold = round == 0;
        loop {
            let mut session = writes::take_whatever_is_drawn(reservation, terms);
            let change = i128::from(draw) - i128::from(cost);
            session.add("tenant_room_micro_usd", change);
            // Another request may have used the room since it was read.
            let rest = AttributeValue::N((-change).to_string());
            if change >= 0 {
                session.compare_if_there("tenant_room_micro_usd", ">=", rest);
            } else {
                session.compare("tenant_room_micro_usd", ">=", rest);
            }
            session.add("drawn_micro_usd", i128::from(draw));
            let today = date(reservation.now);
            let mut spent = Spent::default();
            let mut others = Vec::new();
            if fold {
                spent = fold_session(&mut session, item, &today);
                others = self.fold_specialists(&mut session, item, reservation.now);
                others.extend(spent.before.iter().map(|day| self.fold_day(reservation, day)));
            }
            let unfolded = i128::from(draw) - i128::from(spent.today);
            session.add(&unfolded_attribute(&today), unfolded);
            let mut items = vec![
                self.update_in_transaction(session_key(reservation.payer.session), session),
                self.tenant_update(reservation, draw, spent.today),
            ];
            items.extend(others);
            match self.transact(items).await? {
                Ok(()) => return self.read_back(reservation, &terms.limits).await.map(Some),
                Err(Cancelled::BeginAgain) => return Ok(None),
                Err(Cancelled::NotEnough(day)) => {
                    draw = exact_draw(reservation, &day, needed, draw, &item.account())?;
                }
            }
        }
    }

    /// A transaction does not answer with the items that it wrote, and who else is there
    /// decides about the lane.
    async fn read_back(
        &self,
        reservation: &Reservation<'_>,
        limits: &Limits,
    ) -> Result<Holds, ReserveError> {
        let read = self
            .table
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(session_key(reservation.payer.session)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| ReserveError::Unavailable(table::cause(error)))?;
        Ok(SessionItem::new(read.item.unwrap_or_default(), limits).holds_found(reservation))
    }

    /// The item of a session that begins, in place of one that is over, if there is one.
    fn first_item(
        &self,
        reservation: &Reservation<'_>,
        limits: &Limits,
        draw: u64,
    ) -> (TransactWriteItem, SessionItem) {
        let demand = reservation.demand();
        let Payer { session, tenant, user, .. } = reservation.payer;
        let mut attributes = session_key(session);
        for (name, value) in [
            ("steps", demand.steps),
            ("handoffs", demand.handoffs),
            ("committed_tokens", demand.charge.tokens.0),
            ("committed_micro_usd", demand.charge.cost.0),
            ("spent_tokens", 0),
            ("spent_micro_usd", 0),
            ("drawn_micro_usd", draw),
            ("tenant_room_micro_usd", draw - demand.charge.cost.0),
            ("expires_at", reservation.session_expiry()),
            // Tells this session from one before it, whose folding may still be under way.
            ("folds", reservation.now.0),
        ] {
            attributes.insert(name.to_owned(), number(value));
        }
        attributes.insert(unfolded_attribute(&date(reservation.now)), number(draw));
        for (specialist, turns) in writes::turns(reservation) {
            attributes.insert(turns_attribute(specialist), number(turns));
        }
        for request @ HoldRequest { id, .. } in reservation.holds {
            attributes.insert(hold_attribute(id), writes::hold(request, reservation));
        }
        attributes.insert("tenant".to_owned(), text(tenant.as_str()));
        if let Some(user) = user {
            attributes.insert("user".to_owned(), text(user.as_str()));
        }
        for (fingerprint, times) in reservation.fingerprints() {
            attributes.insert(seen_attribute(fingerprint), number(times));
            attributes.insert(asked_at_attribute(fingerprint), number(0));
        }
        let begun = SessionItem::new(attributes.clone(), limits);
        let mut condition = Expression::default();
        condition.compare_if_there("expires_at", "<=", number(reservation.now.0 / 1_000));
        // An item without an expiry is a session that an operator set up by hand.
        let absent = "attribute_not_exists(#pk) OR attribute_exists(#expires)";
        let mut names = condition.names.clone();
        names.insert("#pk".to_owned(), "pk".to_owned());
        names.insert("#expires".to_owned(), "expires_at".to_owned());
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(attributes))
            .condition_expression(format!("{} AND ({absent})", condition.condition()))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        (TransactWriteItem::builder().set_put(put.ok()).build(), begun)
    }

    /// Draws from the tenant's day, and adds what the session has spent of earlier draws.
    fn tenant_update(
        &self,
        reservation: &Reservation<'_>,
        draw: u64,
        spent: u64,
    ) -> TransactWriteItem {
        let mut write = Expression::default();
        let max = reservation.payer.tenant_day.max_cost.0;
        match max.checked_sub(draw) {
            Some(room) => write.compare_if_there("drawn_micro_usd", "<=", number(room)),
            None => write.compare("drawn_micro_usd", "<", number(0)),
        }
        write.add("drawn_micro_usd", i128::from(draw));
        write.add("spent_micro_usd", i128::from(spent));
        write.set("expires_at", number(day_expiry(reservation.now)));
        self.update_in_transaction(day_key(reservation, &date(reservation.now)), write)
    }

    /// Adds to a day before what the session has spent of what it drew from it.
    fn fold_day(
        &self,
        reservation: &Reservation<'_>,
        (date, spent): &(String, u64),
    ) -> TransactWriteItem {
        let mut write = Expression::default();
        write.add("spent_micro_usd", i128::from(*spent));
        write.set_if_absent("expires_at", number(day_expiry(reservation.now)));
        self.update_in_transaction(day_key(reservation, date), write)
    }

    /// Adds to the specialists' days what the session has spent with each since the last time.
    fn fold_specialists(
        &self,
        session: &mut Expression,
        item: &SessionItem,
        now: Timestamp,
    ) -> Vec<TransactWriteItem> {
        let mut updates = Vec::new();
        for (name, [tokens, micro_usd, folded_tokens, folded_micro_usd]) in item.by_specialist() {
            let more_tokens = tokens.saturating_sub(folded_tokens);
            let more_micro_usd = micro_usd.saturating_sub(folded_micro_usd);
            if (more_tokens, more_micro_usd) == (0, 0) || updates.len() >= MAX_FOLDED_SPECIALISTS {
                continue;
            }
            session.set(&format!("folded_{}", tokens_attribute(&name)), number(tokens));
            session.set(&format!("folded_{}", micro_usd_attribute(&name)), number(micro_usd));
            let mut write = Expression::default();
            write.add("spent_tokens", i128::from(more_tokens));
            write.add("spent_micro_usd", i128::from(more_micro_usd));
            write.set("expires_at", number(day_expiry(now)));
            let key = key(format!("SPECIALIST#{name}"), format!("DAY#{}", date(now)));
            updates.push(self.update_in_transaction(key, write));
        }
        updates
    }

    fn update_in_transaction(&self, key: Attributes, write: Expression) -> TransactWriteItem {
        let condition = Some(write.condition()).filter(|condition| !condition.is_empty());
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(key))
            .update_expression(write.update())
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(write.names))
            .set_expression_attribute_values(Some(write.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        TransactWriteItem::builder().set_update(update.ok()).build()
    }

    /// Writes all or nothing. The session is the first of the items, the tenant the second.
    async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
    ) -> Result<Result<(), Cancelled>, ReserveError> {
        let sent =
            self.table.client.transact_write_items().set_transact_items(Some(items)).send().await;
        let error = match sent {
            Ok(_) => return Ok(Ok(())),
            Err(error) => error,
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons().to_vec()
            }
            // Another transaction is under way with the same items.
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                return Ok(Err(Cancelled::BeginAgain));
            }
            _ => return Err(ReserveError::Unavailable(table::cause(error))),
        };
        if reasons.iter().any(|reason| code(reason) == "ValidationError") {
            return Err(ReserveError::Unusable(table::cause(error)));
        }
        let failed = |index: usize| {
            reasons.get(index).filter(|reason| code(reason) == "ConditionalCheckFailed")
        };
        let is_passing = |reason: &CancellationReason| {
            let passing =
                ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            passing.contains(&code(reason))
        };
        if failed(0).is_some() || reasons.iter().any(is_passing) {
            return Ok(Err(Cancelled::BeginAgain));
        }
        match failed(1) {
            Some(tenant) => Ok(Err(Cancelled::NotEnough(tenant.item.clone().unwrap_or_default()))),
            None => Err(ReserveError::Unavailable(table::cause(error))),
        }
    }
}

/// What a session has spent since the last time, by the day that it had drawn it from.
#[derive(Default)]
struct Spent {
    today: u64,
    before: Vec<(String, u64)>,
}

/// The key of a day of the tenant who pays.
fn day_key(reservation: &Reservation<'_>, date: &str) -> Attributes {
    let payer = reservation.payer.tenant_day.payer(reservation.payer.tenant);
    key(format!("TENANT#{payer}"), format!("DAY#{date}"))
}

/// Notes in the session that its spending is in the tenant's days now; returns by how much.
/// The condition keeps two transactions from folding the same spending.
fn fold_session(session: &mut Expression, item: &SessionItem, today: &str) -> Spent {
    let folds = item.number("folds");
    match folds {
        0 => session.require_absent("folds"),
        folds => session.compare("folds", "=", number(folds)),
    }
    session.set("folds", number(folds + 1));
    let spent = item.number("spent_micro_usd");
    session.set("folded_micro_usd", number(spent));
    let mut left = spent.saturating_sub(item.number("folded_micro_usd"));
    let mut before = Vec::new();
    for (date, unfolded) in item.unfolded_before(today).into_iter().take(MAX_FOLDED_DAYS) {
        let part = left.min(unfolded);
        if part == 0 && unfolded > 0 {
            break;
        }
        let attribute = unfolded_attribute(date);
        // By a clock that is a little slow the day is not over yet.
        session.compare(&attribute, "=", number(unfolded));
        match unfolded - part {
            0 => session.remove(&attribute),
            rest => session.set(&attribute, number(rest)),
        }
        if part > 0 {
            before.push((date.to_owned(), part));
        }
        left -= part;
    }
    Spent { today: left, before }
}

/// What to draw: a block, or more where more is needed.
fn block(reservation: &Reservation<'_>, needed: u64) -> u64 {
    reservation.payer.tenant_day.block.0.max(needed)
}

/// What is drawn when the day has less than a block left: exactly what is needed, if it has
/// that.
fn exact_draw(
    reservation: &Reservation<'_>,
    day: &Attributes,
    needed: u64,
    drawn_in_vain: u64,
    account: &Account,
) -> Result<u64, ReserveError> {
    let drawn = read_number(day.get("drawn_micro_usd"));
    let spent = read_number(day.get("spent_micro_usd"));
    let max = reservation.payer.tenant_day.max_cost.0;
    if needed < drawn_in_vain && drawn.saturating_add(needed) <= max {
        return Ok(needed);
    }
    Err(ReserveError::Exhausted(Exhausted {
        limit: Limit::Tenant,
        settled: spent,
        held: drawn.saturating_sub(spent),
        asked: needed,
        max,
        account: *account,
        expired_holds: 0,
    }))
}

fn code(reason: &CancellationReason) -> &str {
    reason.code().unwrap_or_default()
}
