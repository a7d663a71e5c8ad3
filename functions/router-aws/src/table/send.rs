//! Requests to the table, and what its answers mean.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use router_core::error::Cause;
use router_core::store::{self, Answer, Item, ItemKey, Request, Write};

use super::render::{Expressions, item_of, key_attributes, with_key};
use super::{Table, cause};

/// Why a transaction was cancelled though each of its conditions may hold.
const PASSING: [&str; 3] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

impl Table {
    /// Does what is asked. A conflict with a transaction is not tried again.
    pub async fn send(&self, request: &Request) -> Answer {
        match request {
            Request::Update(update) => answer_to_update(self.update(update).send().await),
            Request::Transact(writes) => self.transact(writes).await,
            Request::Read(key) => match self.read(key).await {
                Ok(item) => Answer::Done(item),
                Err(cause) => Answer::Unavailable(cause),
            },
        }
    }

    /// The request for an update.
    pub(crate) fn update(&self, update: &store::Update) -> UpdateItemFluentBuilder {
        let write = Expressions::of_update(update);
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(&update.key)))
            .set_condition_expression(write.condition.clone())
            .set_expression_attribute_names(write.names())
            .set_expression_attribute_values(write.values())
            .update_expression(write.update)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// The item as the last write left it.
    pub(crate) async fn read(&self, key: &ItemKey) -> Result<Option<Item>, Cause> {
        let request = self.client.get_item().table_name(&self.name);
        let request = request.set_key(Some(key_attributes(key))).consistent_read(true);
        Ok(request.send().await.map_err(cause)?.item.map(item_of))
    }

    /// Writes the item, whatever is there.
    pub(crate) async fn put(&self, key: &ItemKey, item: &Item) -> Result<(), Cause> {
        let request = self.client.put_item().table_name(&self.name);
        request.set_item(Some(with_key(key, item))).send().await.map_err(cause)?;
        Ok(())
    }

    /// Removes the item, if it is there.
    ///
    /// # Errors
    ///
    /// The table gave no answer: the item may be gone.
    pub async fn delete(&self, key: &ItemKey) -> Result<(), Cause> {
        let request = self.client.delete_item().table_name(&self.name);
        request.set_key(Some(key_attributes(key))).send().await.map_err(cause)?;
        Ok(())
    }

    async fn transact(&self, writes: &[Write]) -> Answer {
        let items = writes.iter().map(|write| self.in_transaction(write)).collect();
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let error = match request.send().await {
            Ok(_) => return Answer::Done(None),
            Err(error) => error,
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            // Another transaction is under way with the same items.
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                return Answer::Contended;
            }
            _ => &[],
        };
        if reasons.iter().any(|reason| code(reason) == "ValidationError") {
            return Answer::Unusable(cause(error));
        }
        if reasons.iter().any(|reason| PASSING.contains(&code(reason))) {
            return Answer::Contended;
        }
        let refused = reasons.iter().position(|reason| code(reason) == "ConditionalCheckFailed");
        match refused.and_then(|write| Some((write, reasons.get(write)?))) {
            Some((write, reason)) => {
                Answer::Refused { write, item: reason.item.clone().map(item_of) }
            }
            None => Answer::Unavailable(cause(error)),
        }
    }

    fn in_transaction(&self, write: &Write) -> TransactWriteItem {
        let on_failure = ReturnValuesOnConditionCheckFailure::AllOld;
        match write {
            Write::Update(update) => {
                let write = Expressions::of_update(update);
                let update = Update::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(&update.key)))
                    .set_condition_expression(write.condition.clone())
                    .set_expression_attribute_names(write.names())
                    .set_expression_attribute_values(write.values())
                    .update_expression(write.update)
                    .return_values_on_condition_check_failure(on_failure)
                    .build();
                TransactWriteItem::builder().set_update(update.ok()).build()
            }
            Write::Put(put) => {
                let write = Expressions::of_conditions(&put.conditions);
                let put = Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(with_key(&put.key, &put.item)))
                    .set_condition_expression(write.condition.clone())
                    .set_expression_attribute_names(write.names())
                    .set_expression_attribute_values(write.values())
                    .return_values_on_condition_check_failure(on_failure)
                    .build();
                TransactWriteItem::builder().set_put(put.ok()).build()
            }
        }
    }
}

/// What came of an update.
pub(crate) fn answer_to_update(
    sent: Result<UpdateItemOutput, SdkError<UpdateItemError, HttpResponse>>,
) -> Answer {
    let error = match sent {
        Ok(output) => return Answer::Done(Some(item_of(output.attributes.unwrap_or_default()))),
        Err(error) => error,
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
            Answer::Refused { write: 0, item: failure.item.clone().map(item_of) }
        }
        Some(UpdateItemError::TransactionConflictException(_)) => Answer::Contended,
        Some(service) if service.meta().code() == Some("ValidationException") => {
            Answer::Unusable(cause(error))
        }
        _ => Answer::Unavailable(cause(error)),
    }
}

fn code(reason: &CancellationReason) -> &str {
    reason.code().unwrap_or_default()
}
