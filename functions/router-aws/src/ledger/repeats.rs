//! Answers that are given again to the same request.
//!
//! Each is an item of its own, `SESSION#<id>` / `REPEAT#<fingerprint>`, for as long as the
//! policy's window. It holds the answer's text, and no word of the question.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::error::Cause;
use router_core::ledger::{Limits, Recalled, Repeat};
use router_core::units::Timestamp;
use tokio::try_join;

use super::DynamoLedger;
use super::item::{SessionItem, session_key, turns_attribute};
use crate::table::{self, Attributes, key, number, read_number};

/// A longer answer is not kept: an item may have 400 KB.
const MAX_KEPT_BYTES: usize = 300_000;

impl DynamoLedger {
    pub(super) async fn find_answer(&self, repeat: &Repeat<'_>) -> Result<Option<Recalled>, Cause> {
        let (kept, session) =
            try_join!(self.get(repeat_key(repeat)), self.get(session_key(repeat.payer.session)))?;
        let (Some(kept), Some(session)) = (kept, session) else { return Ok(None) };
        let policy = Limits::from(repeat.payer.limits);
        let session = SessionItem::new(session, &policy).under_its_own_limits();
        let turns = session.number(&turns_attribute(repeat.specialist));
        let generation = turns / repeat.payer.limits.max_turns_per_specialist.max(1);
        let text = |name: &str| kept.get(name).and_then(|value| value.as_s().ok());
        let holds = Timestamp(read_number(kept.get("until_ms"))) > repeat.now
            && text("identity").is_some_and(|identity| identity == repeat.identity)
            && read_number(kept.get("generation")) == generation
            && session.belongs_to_tenant(repeat.payer.tenant)
            && session.belongs_to_user(repeat.payer.user)
            && !session.is_over(repeat.now);
        let answer = text("answer").filter(|_| holds).cloned();
        Ok(answer.map(|answer| Recalled { answer, account: session.account() }))
    }

    pub(super) async fn keep_answer(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
    ) -> Result<(), Cause> {
        if answer.len() > MAX_KEPT_BYTES {
            return Ok(());
        }
        let until = repeat.now.after(window);
        let mut item = repeat_key(repeat);
        item.extend(HashMap::from([
            ("answer".to_owned(), AttributeValue::S(answer.to_owned())),
            ("identity".to_owned(), AttributeValue::S(repeat.identity.to_owned())),
            ("generation".to_owned(), number(generation)),
            ("until_ms".to_owned(), number(until.0)),
            ("expires_at".to_owned(), number(until.epoch_seconds())),
        ]));
        self.table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .send()
            .await
            .map_err(table::cause)?;
        Ok(())
    }

    async fn get(&self, key: Attributes) -> Result<Option<Attributes>, Cause> {
        let request = self.table.client.get_item().table_name(&self.table.name).set_key(Some(key));
        Ok(request.consistent_read(true).send().await.map_err(table::cause)?.item)
    }
}

fn repeat_key(repeat: &Repeat<'_>) -> Attributes {
    let sk = format!("REPEAT#{}", repeat.fingerprint.as_str());
    key(format!("SESSION#{}", repeat.payer.session), sk)
}
