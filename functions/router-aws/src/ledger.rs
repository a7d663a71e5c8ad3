//! Budgets in one DynamoDB table.
//!
//! A session is one item, `SESSION#<id>` / `BUDGET`. A condition of DynamoDB's has no
//! arithmetic, so the item keeps what is committed (settled and held together), and the
//! condition compares that with the limit less what is asked: checking and taking are one
//! write. Each hold is an attribute of its own, `hold#<id>`, whose absence is part of the
//! condition: a write that the SDK repeats, because its answer was lost, finds its own hold
//! and takes no second. Settling removes the attribute and leaves the id in one of sixteen
//! `recent_<n>`, which a late duplicate of the first write runs into.

mod item;

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use item::{SessionItem, hold_attribute, recent_attribute, turns_attribute};
use router_core::ledger::{Hold, Ledger, Reservation, ReserveError, SettleError, Settlement};
use router_core::session::{RootSession, Strand};
use router_core::units::Timestamp;
use tokio::time::timeout;

/// One attempt of a write takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Every write may be repeated: its condition recognises what it has done before.
const ATTEMPTS: u32 = 3;
/// The first backoff at most. The SDK's own, a second, is longer than most requests.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Any backoff at most.
const LONGEST_BACKOFF: Duration = Duration::from_millis(200);

/// Keeps the budgets in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    client: Client,
    table: String,
}

impl DynamoLedger {
    /// A ledger in `table`, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = Builder::from(config).retry_config(retries).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), table: table.into() }
    }
}

impl Ledger for DynamoLedger {
    async fn reserve(
        &self,
        reservation: &Reservation<'_>,
        within: Duration,
    ) -> Result<Hold, ReserveError> {
        let (update, condition, names, values) = reserve_expressions(reservation);
        let sending = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(reservation.session)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send();
        match timeout(within, sending).await {
            Ok(Ok(output)) => {
                let item = SessionItem(output.attributes.unwrap_or_default());
                let occupied = item.is_occupied(reservation);
                let lane = Strand::lane_of(item.account().steps, occupied);
                let strand = Strand { generation: item.generation(reservation), lane };
                Ok(Hold { account: item.account(), strand })
            }
            Ok(Err(error)) => match condition_failure(&error) {
                Some(old) => explain(old, reservation),
                None => Err(ReserveError::Unavailable(error.into())),
            },
            Err(elapsed) => Err(ReserveError::Unavailable(elapsed.into())),
        }
    }

    async fn settle(
        &self,
        settlement: &Settlement<'_>,
        within: Duration,
    ) -> Result<(), SettleError> {
        let (update, names, values) = settle_expressions(settlement);
        let sending = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(settlement.session)))
            .update_expression(update)
            .condition_expression("attribute_exists(#hold)")
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .send();
        match timeout(within, sending).await {
            Ok(Ok(_)) => Ok(()),
            // The hold is gone: it was settled by an earlier try, or has expired.
            Ok(Err(error)) if condition_failure(&error).is_some() => Ok(()),
            Ok(Err(error)) => Err(SettleError(error.into())),
            Err(elapsed) => Err(SettleError(elapsed.into())),
        }
    }
}

type Names = HashMap<String, String>;
type Values = HashMap<String, AttributeValue>;

/// Takes the hold and the step, on the condition that there is room for them under every
/// limit and that this very hold has not been taken before.
fn reserve_expressions(reservation: &Reservation<'_>) -> (String, String, Names, Values) {
    let Reservation { id, limits, ask, .. } = reservation;
    let counters = [
        ("steps", 1, limits.max_steps),
        ("handoffs", u64::from(reservation.is_handoff), limits.max_handoffs),
        ("committed_tokens", ask.tokens.0, limits.max_tokens.0),
        ("committed_micro_usd", ask.cost.0, limits.max_cost.0),
    ];
    let mut expression = Expressions::default();
    let mut updates = vec![
        "#hold = :hold".to_owned(),
        "#turns = if_not_exists(#turns, :zero) + :one".to_owned(),
        "#spent_tokens = if_not_exists(#spent_tokens, :zero)".to_owned(),
        "#spent_micro_usd = if_not_exists(#spent_micro_usd, :zero)".to_owned(),
        "#expires_at = :expires_at".to_owned(),
    ];
    let mut conditions = vec![
        "attribute_not_exists(#hold)".to_owned(),
        "(attribute_not_exists(#recent) OR #recent <> :id)".to_owned(),
    ];
    for (name, asked, limit) in counters {
        updates.push(format!("#{name} = if_not_exists(#{name}, :zero) + :{name}"));
        expression.name(name, name);
        expression.value(name, number(asked));
        if asked == 0 {
            continue;
        }
        // Where the limit is smaller than what is asked there is never room, and a session
        // that does not exist yet is no exception.
        conditions.push(match limit.checked_sub(asked) {
            Some(room) => {
                expression.value(&format!("{name}_room"), number(room));
                format!("(attribute_not_exists(#{name}) OR #{name} <= :{name}_room)")
            }
            None => format!("#{name} < :zero"),
        });
    }
    for name in ["spent_tokens", "spent_micro_usd", "expires_at"] {
        expression.name(name, name);
    }
    expression.name("hold", &hold_attribute(id));
    expression.name("recent", &recent_attribute(id));
    expression.name("turns", &turns_attribute(reservation.specialist));
    expression.value("hold", item::hold(reservation));
    expression.value("id", AttributeValue::S(id.as_str().to_owned()));
    expression.value("zero", number(0));
    expression.value("one", number(1));
    expression.value("expires_at", number(session_expiry(reservation)));
    let Expressions { names, values } = expression;
    (format!("SET {}", updates.join(", ")), conditions.join(" AND "), names, values)
}

/// Replaces the hold by what was used.
fn settle_expressions(settlement: &Settlement<'_>) -> (String, Names, Values) {
    let Settlement { id, held, used, .. } = settlement;
    let changes = [
        ("committed_tokens", i128::from(used.tokens.0) - i128::from(held.tokens.0)),
        ("committed_micro_usd", i128::from(used.cost.0) - i128::from(held.cost.0)),
        ("spent_tokens", i128::from(used.tokens.0)),
        ("spent_micro_usd", i128::from(used.cost.0)),
    ];
    let mut expression = Expressions::default();
    let mut updates = vec!["#recent = :id".to_owned()];
    for (name, change) in changes {
        updates.push(format!("#{name} = #{name} + :{name}"));
        expression.name(name, name);
        expression.value(name, AttributeValue::N(change.to_string()));
    }
    expression.name("hold", &hold_attribute(id));
    expression.name("recent", &recent_attribute(id));
    expression.value("id", AttributeValue::S(id.as_str().to_owned()));
    let Expressions { names, values } = expression;
    (format!("SET {} REMOVE #hold", updates.join(", ")), names, values)
}

/// The names and values that an expression stands on.
#[derive(Default)]
struct Expressions {
    names: Names,
    values: Values,
}

impl Expressions {
    fn name(&mut self, placeholder: &str, attribute: &str) {
        self.names.insert(format!("#{placeholder}"), attribute.to_owned());
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) {
        self.values.insert(format!(":{placeholder}"), value);
    }
}

/// Why the condition of a reservation failed, as the item that it failed on tells.
fn explain(
    old: HashMap<String, AttributeValue>,
    reservation: &Reservation<'_>,
) -> Result<Hold, ReserveError> {
    let item = SessionItem(old);
    if item.has_hold(reservation.id) {
        // An earlier try of this write was applied, and its answer was lost. Who came in
        // between cannot be told any more, so an occupied specialist is asked in a lane that
        // nobody else can have.
        let strand = Strand { generation: item.generation(reservation), lane: 0 };
        let apart = Strand { lane: item.account().steps, ..strand }.beside();
        let strand = if item.is_occupied(reservation) { apart } else { strand };
        return Ok(Hold { account: item.account(), strand });
    }
    if item.was_settled(reservation.id) {
        return Err(ReserveError::AlreadySettled(reservation.id.clone()));
    }
    Err(match item.account().exhausted_by(reservation) {
        Some(exhausted) => ReserveError::Exhausted(exhausted),
        None => ReserveError::Unavailable("the item does not show why it was not written".into()),
    })
}

/// The item that a condition failed on; `None` when something else failed.
fn condition_failure<R>(
    error: &SdkError<UpdateItemError, R>,
) -> Option<HashMap<String, AttributeValue>> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(failure) => {
            Some(failure.item.clone().unwrap_or_default())
        }
        _ => None,
    }
}

fn key(session: &RootSession) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("SESSION#{session}"))),
        ("sk".to_owned(), AttributeValue::S("BUDGET".to_owned())),
    ])
}

/// When DynamoDB may delete the session, in epoch seconds: after the session has been idle
/// for long enough, and not before its hold expires.
fn session_expiry(reservation: &Reservation<'_>) -> u64 {
    let Timestamp(idle) = reservation.now.after(reservation.limits.idle_ttl);
    Timestamp(idle.max(reservation.expires.0)).epoch_seconds()
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
