//! Budgets in one DynamoDB table.
//!
//! A session is one item, `SESSION#<id>` / `BUDGET`. A condition of DynamoDB's has no
//! arithmetic, so the item keeps what is committed (settled and held together), and the
//! condition compares that with the limit less what is asked: checking and taking are one
//! write. Each hold is an attribute of its own, `hold#<id>`, whose absence is part of the
//! condition: a write that is repeated, because its answer was lost, finds its own hold and
//! takes no second. Settling removes the attribute and leaves the id in one of sixteen
//! `recent_<n>`, which a late duplicate of the first write runs into.
//!
//! A session draws its money from its tenant's day in blocks (`funding`), so that the
//! tenant's item is written once a block and not once a call.

mod funding;
mod item;
mod repeats;
mod terms;
mod used_up;
mod writes;

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use item::{SessionItem, hold_attribute, session_key};
use router_core::error::Cause;
use router_core::ids::HoldId;
use router_core::ledger::{
    Exhausted, HoldRequest, Holds, Ledger, Payer, Recalled, Repeat, Reservation, ReserveError,
    SettleError, Settlement,
};
use terms::Terms;
use tokio::time::{sleep, timeout};
use tracing::warn;
use used_up::UsedUp;

use crate::failure::NO_ANSWER;
use crate::table::{self, Attributes, Expression, Table};

/// How often a reservation is begun again, because another request changed the session.
const ROUNDS: u32 = 12;

/// Keeps the budgets in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoLedger {
    table: Table,
    used_up: UsedUp,
}

/// Why a write did not happen.
#[derive(Debug)]
enum WriteError {
    /// Its condition does not hold for this item, or for no item.
    Condition(Option<Attributes>),
    /// The item has something of a kind that it cannot be added to or compared with.
    Unusable(Cause),
    /// No usable response.
    Unavailable(Cause),
}

/// What the item that a reservation's condition failed on calls for.
enum NextMove {
    /// Nothing: the hold had been taken all the same.
    AlreadyHeld(Box<Holds>),
    /// Trying again under the terms that the item shows.
    RetryWith(Terms),
    /// A session that does not exist, or is over, and is to begin.
    OpenSession,
    /// Money from the tenant's day.
    DrawBlock(SessionItem),
}

impl DynamoLedger {
    /// A ledger in `table`.
    pub fn new(table: Table) -> Self {
        Self { table, used_up: UsedUp::default() }
    }

    /// Forgets which sessions have used a limit up: another policy may have another limit.
    pub(crate) fn forget(&self) {
        self.used_up.forget();
    }

    async fn take(
        &self,
        reservation: &Reservation<'_>,
        expired_holds: &mut u32,
    ) -> Result<Holds, ReserveError> {
        if let Some(exhausted) = self.used_up.recall(reservation) {
            return Err(ReserveError::Exhausted(exhausted));
        }
        let [HoldRequest { id, .. }, ..] = reservation.holds else {
            return Err(ReserveError::Unusable("no hold was asked for".into()));
        };
        let mut terms = Terms::of_policy(reservation);
        for round in 0..ROUNDS {
            let write = writes::take(reservation, &terms);
            let (taken, found) =
                match self.update(id, session_key(reservation.payer.session), write).await {
                    Ok(new) => (true, Some(new)),
                    Err(WriteError::Condition(old)) => (false, old),
                    Err(WriteError::Unusable(error)) => return Err(ReserveError::Unusable(error)),
                    Err(WriteError::Unavailable(error)) => {
                        return Err(ReserveError::Unavailable(error));
                    }
                };
            let item = match found {
                Some(found) => {
                    let item = SessionItem::new(found, &terms.limits);
                    Some(self.charge_expired(id, reservation, item, expired_holds).await)
                }
                None => None,
            };
            let next = match item {
                Some(item) if taken => return Ok(item.holds(reservation)),
                Some(item) => next_move(item, reservation, &terms)?,
                None => NextMove::OpenSession,
            };
            let granted = match next {
                NextMove::AlreadyHeld(holds) => Some(*holds),
                NextMove::RetryWith(shown) => {
                    terms = shown;
                    continue;
                }
                NextMove::OpenSession => self.open(reservation).await?,
                NextMove::DrawBlock(item) => self.fund(reservation, &terms, &item, round).await?,
            };
            if let Some(holds) = granted {
                return Ok(holds);
            }
            sleep(jitter(id, round)).await;
        }
        Err(ReserveError::Unusable("the session changed under every attempt".into()))
    }

    /// Moves what dead invocations hold from held to spent, and answers with the item as it is
    /// then. What they really used is unknown, so it stays charged at the hold.
    async fn charge_expired(
        &self,
        id: &HoldId,
        reservation: &Reservation<'_>,
        item: SessionItem,
        expired_holds: &mut u32,
    ) -> SessionItem {
        let expired = item.expired_holds(reservation.now);
        if expired.is_empty() || item.is_over(reservation.now) {
            return item;
        }
        let write = writes::charge_expired(&expired);
        match self.update(id, session_key(reservation.payer.session), write).await {
            Ok(new) => {
                *expired_holds += expired.len() as u32;
                item.with(new)
            }
            // Another request has moved them, or will.
            Err(_) => item,
        }
    }

    /// Settles the holds that are there. One that is gone was settled by an earlier try, or has
    /// expired; it must not keep the others.
    async fn settle_all(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
    ) -> Result<(), Cause> {
        let mut due = settlements.to_vec();
        while let [Settlement { id, .. }, ..] = due[..] {
            let write = writes::settle(&due);
            match self.update(id, session_key(payer.session), write).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Condition(found)) => {
                    let item = found.unwrap_or_default();
                    let before = due.len();
                    due.retain(|settlement| item.contains_key(&hold_attribute(settlement.id)));
                    if due.len() == before {
                        return Err("the holds of the session came back".into());
                    }
                }
                Err(WriteError::Unusable(cause) | WriteError::Unavailable(cause)) => {
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    /// Updates an item for a hold and answers with the new one. A conflict with a transaction,
    /// which the SDK does not retry, is retried here.
    async fn update(
        &self,
        id: &HoldId,
        key: Attributes,
        write: Expression,
    ) -> Result<Attributes, WriteError> {
        let mut round = 0;
        loop {
            let sent = self
                .table
                .client
                .update_item()
                .table_name(&self.table.name)
                .set_key(Some(key.clone()))
                .update_expression(write.update())
                .condition_expression(write.condition())
                .set_expression_attribute_names(Some(write.names.clone()))
                .set_expression_attribute_values(Some(write.values.clone()))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .send()
                .await;
            let error = match sent {
                Ok(output) => return Ok(output.attributes.unwrap_or_default()),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                    return Err(WriteError::Condition(failure.item.clone()));
                }
                Some(UpdateItemError::TransactionConflictException(_)) if round < ROUNDS => {
                    round += 1;
                    sleep(jitter(id, round)).await;
                }
                Some(service) if service.meta().code() == Some("ValidationException") => {
                    return Err(WriteError::Unusable(table::cause(error)));
                }
                _ => return Err(WriteError::Unavailable(table::cause(error))),
            }
        }
    }
}

impl Ledger for DynamoLedger {
    async fn reserve(
        &self,
        reservation: &Reservation<'_>,
        within: Duration,
    ) -> Result<Holds, ReserveError> {
        let mut expired_holds = 0;
        match timeout(within, self.take(reservation, &mut expired_holds)).await {
            Ok(Ok(holds)) => Ok(Holds { expired_holds, ..holds }),
            Ok(Err(ReserveError::Exhausted(exhausted))) => {
                self.used_up.remember(reservation, &exhausted);
                Err(ReserveError::Exhausted(Exhausted { expired_holds, ..exhausted }))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ReserveError::Unavailable(NO_ANSWER.into())),
        }
    }

    async fn settle(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        within: Duration,
    ) -> Result<(), SettleError> {
        match timeout(within, self.settle_all(payer, settlements)).await {
            Ok(settled) => settled.map_err(SettleError),
            Err(_) => Err(SettleError(NO_ANSWER.into())),
        }
    }

    async fn recall(&self, repeat: &Repeat<'_>, within: Duration) -> Option<Recalled> {
        match timeout(within, self.find_answer(repeat)).await {
            Ok(Ok(recalled)) => recalled,
            Ok(Err(error)) => {
                warn!(error = %error, "no answer is recalled");
                None
            }
            Err(_) => None,
        }
    }

    async fn keep(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
        within: Duration,
    ) -> Result<(), SettleError> {
        let keeping = self.keep_answer(repeat, generation, answer, window);
        match timeout(within, keeping).await {
            Ok(kept) => kept.map_err(SettleError),
            Err(_) => Err(SettleError(NO_ANSWER.into())),
        }
    }
}

/// Reads from the item why a reservation's condition failed on it.
fn next_move(
    item: SessionItem,
    reservation: &Reservation<'_>,
    terms: &Terms,
) -> Result<NextMove, ReserveError> {
    let held = reservation.holds.iter().filter(|hold| item.has_hold(hold.id)).count();
    if held == reservation.holds.len() {
        return Ok(NextMove::AlreadyHeld(Box::new(item.holds_found(reservation))));
    }
    // Of holds that were taken together, those that are gone have been settled or charged.
    let is_over =
        |hold: &&HoldRequest<'_>| item.was_settled(hold.id) || held > 0 && !item.has_hold(hold.id);
    if let Some(hold) = reservation.holds.iter().find(is_over) {
        return Err(ReserveError::AlreadySettled(hold.id.clone()));
    }
    if item.is_over(reservation.now) {
        return Ok(NextMove::OpenSession);
    }
    if !item.belongs_to_tenant(reservation.payer.tenant) {
        return Err(ReserveError::OtherTenant);
    }
    if !item.belongs_to_user(reservation.payer.user) {
        return Err(ReserveError::OtherUser);
    }
    if let Some(name) = item.malformed_limit() {
        let cause = Cause::new("a limit of the session, set by hand, is not a whole number");
        return Err(ReserveError::Unusable(cause.code(Some(name))));
    }
    let shown = item.terms(reservation);
    if shown != *terms {
        return Ok(NextMove::RetryWith(shown));
    }
    if let Some(times) = item.times_seen(reservation) {
        return Err(ReserveError::Repeated { times });
    }
    match item.account().exhausted_by(&reservation.demand()) {
        Some(exhausted) => Err(ReserveError::Exhausted(exhausted)),
        // Else only the tenant's money can have been missing.
        None => Ok(NextMove::DrawBlock(item)),
    }
}

/// How long to wait before a write is tried again: up to 5 ms at first, and twice as much each
/// time, up to 160 ms. It is different for each hold, so that those who met do not meet again.
fn jitter(id: &HoldId, round: u32) -> Duration {
    let ceiling_micros = 5_000_u64 << round.min(5);
    Duration::from_micros(id.spread().rotate_left(round) % ceiling_micros)
}
