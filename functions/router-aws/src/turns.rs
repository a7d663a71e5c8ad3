//! What a supervisor is given again, in the table: `SESSION#<id>` / `TURN#supervisor#<time>#<request>`,
//! an item a turn.
//!
//! | attribute | |
//! |---|---|
//! | `messages` | the turn, as [`router_core::front::written`] has it |
//! | `expires_at` | when it is forgotten, in epoch seconds |

use std::time::Duration;

use router_core::error::Cause;
use router_core::front::{Memory, NewTurn};
use router_core::ids::RootSession;
use router_core::store::{Item, ItemKey, Value};
use router_core::units::Timestamp;
use tokio::time::timeout;

use crate::failure::NO_ANSWER;
use crate::table::Table;

/// Keeps turns in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoTurns {
    table: Table,
}

impl DynamoTurns {
    /// The turns in `table`.
    pub fn new(table: Table) -> Self {
        Self { table }
    }
}

impl Memory for DynamoTurns {
    async fn turns(
        &self,
        session: &RootSession,
        most: usize,
        now: Timestamp,
        within: Duration,
    ) -> Result<Vec<String>, Cause> {
        let (pk, beginning) = ItemKey::turns(session);
        let latest = self.table.latest(&pk, beginning, most);
        let items = timeout(within, latest).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))?;
        // The table forgets an item up to two days after its time.
        let lasts = |item: &Item| match item.get("expires_at") {
            Some(Value::Number(seconds)) => *seconds > i128::from(now.epoch_seconds()),
            _ => false,
        };
        let text = |item: &Item| item.text("messages").map(str::to_owned);
        Ok(items.iter().rev().filter(|item| lasts(item)).filter_map(text).collect())
    }

    async fn keep(&self, turn: &NewTurn<'_>, within: Duration) -> Result<(), Cause> {
        let NewTurn { session, at, id, text, expires } = turn;
        let attributes = [
            ("messages", Value::text(*text)),
            ("expires_at", Value::number(expires.epoch_seconds())),
        ];
        let item = Item(attributes.map(|(name, value)| (name.to_owned(), value)).into());
        let key = ItemKey::turn(session, *at, id);
        let keeping = self.table.put(&key, &item);
        timeout(within, keeping).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))
    }
}
