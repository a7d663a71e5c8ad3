//! What is listed. Only an operator's program lists all; the desk lists what people are asked on a
//! day, the front door the last turns of a session. The roles of other functions do not allow it.

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::error::Cause;
use router_core::store::{Item, ItemKey};

use super::render::{Attributes, item_of};
use super::{Table, cause};

/// One of the two parts of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The partition key, `pk`.
    Partition,
    /// The sort key, `sk`.
    Sort,
}

impl Table {
    /// All items with this partition key, by their sort keys.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    pub async fn partition(&self, pk: &str) -> Result<Vec<(ItemKey, Item)>, Cause> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let request = self.client.query().table_name(&self.name).consistent_read(true);
            let request = request
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(start);
            let page = request.send().await.map_err(cause)?;
            found.extend(page.items.unwrap_or_default().into_iter().filter_map(keyed));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The last items, at most so many, with this partition key and a sort key that begins so: the last
    /// one first. One page of the table's answer is read, which has up to 1 MB.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    pub(crate) async fn latest(
        &self,
        pk: &str,
        beginning: &str,
        most: usize,
    ) -> Result<Vec<Item>, Cause> {
        let request = self.client.query().table_name(&self.name).consistent_read(true);
        let request = request
            .key_condition_expression("pk = :pk AND begins_with(sk, :beginning)")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":beginning", AttributeValue::S(beginning.to_owned()))
            .scan_index_forward(false)
            .limit(i32::try_from(most).unwrap_or(i32::MAX));
        let page = request.send().await.map_err(cause)?;
        Ok(page.items.unwrap_or_default().into_iter().map(item_of).collect())
    }

    /// All items of which this part of the key begins in one of these ways, in no order. It reads
    /// the whole table, and is charged for that.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    pub async fn scan(
        &self,
        part: KeyPart,
        beginnings: &[&str],
    ) -> Result<Vec<(ItemKey, Item)>, Cause> {
        let name = match part {
            KeyPart::Partition => "pk",
            KeyPart::Sort => "sk",
        };
        let clauses = (0..beginnings.len()).map(|place| format!("begins_with({name}, :v{place})"));
        let filter = clauses.collect::<Vec<String>>().join(" OR ");
        let values = beginnings.iter().enumerate().map(|(place, beginning)| {
            (format!(":v{place}"), AttributeValue::S((*beginning).to_owned()))
        });
        let values: Attributes = values.collect();
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let request = self.client.scan().table_name(&self.name).consistent_read(true);
            let request = request
                .filter_expression(&filter)
                .set_expression_attribute_values(Some(values.clone()))
                .set_exclusive_start_key(start);
            let page = request.send().await.map_err(cause)?;
            found.extend(page.items.unwrap_or_default().into_iter().filter_map(keyed));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}

fn keyed(attributes: Attributes) -> Option<(ItemKey, Item)> {
    let item = item_of(attributes);
    let part = |name: &str| item.text(name).map(str::to_owned);
    Some((ItemKey { pk: part("pk")?, sk: part("sk")? }, item))
}
