//! The routing policy in the table: item `POLICY` / `CURRENT`.
//!
//! | attribute | |
//! |---|---|
//! | `toml` | the policy; without it, functions go by the one that is compiled in |
//! | `previous` | the policy before it |
//! | `pushed_at_ms` | when it was written |
//!
//! A write is conditional on `toml` being what its author has read, so it does not matter who
//! writes: another operator, or a person in the console who knows of no other attribute.

use router_core::error::Cause;
use router_core::store::{Answer, Comparison, ItemKey, Request, Update, Value};
use router_core::units::Timestamp;

use crate::table::Table;

/// A policy is at most as long: the item has two, and 400 KB.
pub const MAX_POLICY_BYTES: usize = 150_000;

/// What the table has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The policy, as TOML.
    pub toml: Option<String>,
    /// The one before it.
    pub previous: Option<String>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The policy is in the table.
    Stored,
    /// The table has another one than the author has read. Nothing was changed.
    Lost,
}

/// The policy in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct PolicyStore {
    table: Table,
}

impl PolicyStore {
    /// The policy in `table`.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads what the table has now.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    pub async fn read(&self) -> Result<StoredPolicy, Cause> {
        let item = self.table.read(&ItemKey::policy()).await?.unwrap_or_default();
        // An attribute that is no string is a policy too, one that is refused: an empty text.
        let attribute =
            |name: &str| item.has(name).then(|| item.text(name).unwrap_or_default().to_owned());
        Ok(StoredPolicy { toml: attribute("toml"), previous: attribute("previous") })
    }

    /// Writes a policy in the place of the one that was `read`, which becomes the previous one.
    ///
    /// # Errors
    ///
    /// The table gave no answer: the policy may have been written. Writing it again does no harm.
    pub async fn push(
        &self,
        toml: &str,
        read: &StoredPolicy,
        now: Timestamp,
    ) -> Result<Pushed, Cause> {
        match self.table.send(&Request::Update(replacement(toml, read, now))).await {
            Answer::Done(_) => Ok(Pushed::Stored),
            Answer::Refused { item, .. } => {
                // The answer to the first try may have been lost.
                let found = item.as_ref().and_then(|item| item.text("toml"));
                Ok(if found == Some(toml) { Pushed::Stored } else { Pushed::Lost })
            }
            Answer::Unusable(cause) | Answer::Unavailable(cause) => Err(cause),
            Answer::Contended => Err("the policy was being written by another request".into()),
        }
    }
}

fn replacement(toml: &str, read: &StoredPolicy, now: Timestamp) -> Update {
    let mut write = Update::of(ItemKey::policy());
    match &read.toml {
        Some(before) => write.compare("toml", Comparison::Equal, Value::text(before)),
        None => write.require_absent("toml"),
    }
    write.set("toml", Value::text(toml));
    write.set("pushed_at_ms", Value::number(now.0));
    match &read.toml {
        Some(before) if before.len() <= MAX_POLICY_BYTES => {
            write.set("previous", Value::text(before))
        }
        // One that a person wrote into the item: two of them would be too large.
        Some(_) => write.remove("previous"),
        None => {}
    }
    write
}
