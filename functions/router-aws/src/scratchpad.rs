//! Scratchpads in the table: `SESSION#<id>` / `PAD#<key>`, an item a key.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use router_core::ids::RootSession;
use router_core::scratchpad::{NewPad, Pad, PadError, Put, Scratchpad, Seen, renewal};
use router_core::store::{Answer, ItemKey};
use router_core::units::Timestamp;
use tokio::time::timeout;
use tracing::debug;

use crate::failure::NO_ANSWER;
use crate::table::Table;

/// Keeps scratchpads in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoScratchpad {
    table: Table,
}

impl DynamoScratchpad {
    /// The scratchpads in `table`.
    pub fn new(table: Table) -> Self {
        Self { table }
    }
}

impl Scratchpad for DynamoScratchpad {
    async fn read(
        &self,
        session: &RootSession,
        keys: &[&str],
        now: Timestamp,
        within: Duration,
    ) -> Result<BTreeMap<String, Seen>, PadError> {
        let read = async |key: &&str| {
            let item = self.table.read(&ItemKey::pad(session, key)).await?;
            Ok(((*key).to_owned(), Seen::of(&item.unwrap_or_default(), now)))
        };
        match timeout(within, try_join_all(keys.iter().map(read))).await {
            Ok(read) => read.map(|read| read.into_iter().collect()).map_err(PadError),
            Err(_) => Err(PadError(NO_ANSWER.into())),
        }
    }

    async fn write(&self, pad: &NewPad<'_>, within: Duration) -> Result<Put, PadError> {
        match timeout(within, self.table.send(&pad.request())).await {
            Ok(answer) => pad.outcome(answer),
            Err(_) => Err(PadError(NO_ANSWER.into())),
        }
    }

    async fn renew(
        &self,
        session: &RootSession,
        key: &str,
        pad: &Pad,
        expires_at: u64,
        within: Duration,
    ) {
        let request = renewal(session, key, pad, expires_at);
        let renewed = timeout(within, self.table.send(&request)).await;
        if !matches!(renewed, Ok(Answer::Done(_) | Answer::Refused { .. })) {
            debug!(key, "a key of the scratchpad may end before its session");
        }
    }
}
