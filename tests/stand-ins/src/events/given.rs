//! What is in the table while an event is played, and was not before.
//!
//! A function process remembers some of what it has read, such as circuits. So an event whose
//! items differ from what was there begins in a new process, and so does the next one.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use crate::table::{Item, Table, TableError, key};

/// The items of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given(Vec<Item>);

/// A value that cannot be put into the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// A list of given items without an item.
    #[error("it has no item")]
    Empty,
    /// The table's keys are texts.
    #[error("an item has no text as `{0}`")]
    NoKey(&'static str),
    /// DynamoDB has a counterpart, but nobody here needs it, or it has none.
    #[error("{0} is no string, integer, bool, object or list")]
    Value(Value),
}

impl Given {
    /// Reads items. A JSON string becomes an `S`, an integer an `N`, a bool a `BOOL`, an object
    /// an `M`, a list an `L`.
    ///
    /// # Errors
    ///
    /// [`GivenError`] for the first item that cannot be one, and when there is none.
    pub fn parse(items: &[Map<String, Value>]) -> Result<Self, GivenError> {
        if items.is_empty() {
            return Err(GivenError::Empty);
        }
        let items = items.iter().map(|item| {
            for name in ["pk", "sk"] {
                item.get(name).and_then(Value::as_str).ok_or(GivenError::NoKey(name))?;
            }
            attributes(item).map_err(GivenError::Value)
        });
        items.collect::<Result<_, _>>().map(Self)
    }

    /// The items, as the table has them.
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// Whether the table is played on as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the items into the table and returns what has to be there again afterwards.
    pub(super) async fn put(&self, table: &Table) -> Result<Before, TableError> {
        let mut before = Vec::new();
        for item in &self.0 {
            let key = key_of(item);
            before.push((key.clone(), table.item(&key).await?));
            table.put_item(item.clone()).await?;
        }
        Ok(Before(before))
    }
}

/// What was in the table under the keys of given items.
#[derive(Debug)]
#[must_use = "given items are to be removed again"]
pub(super) struct Before(Vec<(Item, Option<Item>)>);

impl Before {
    /// Makes it be there again, whatever has become of it.
    pub(super) async fn put_back(self, table: &Table) -> Result<(), TableError> {
        // A key that was given twice was read first as it had been.
        for (key, item) in self.0.into_iter().rev() {
            match item {
                Some(item) => table.put_item(item).await?,
                None => table.delete_item(&key).await?,
            }
        }
        Ok(())
    }
}

fn key_of(item: &Item) -> Item {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let [pk, sk] = ["pk", "sk"].map(|name| text(name).map_or("", String::as_str));
    key(pk, sk)
}

fn attributes(object: &Map<String, Value>) -> Result<Item, Value> {
    object.iter().map(|(name, value)| Ok((name.clone(), attribute(value)?))).collect()
}

fn attribute(value: &Value) -> Result<AttributeValue, Value> {
    match value {
        Value::String(text) => Ok(AttributeValue::S(text.clone())),
        Value::Number(number) if !number.is_f64() => Ok(AttributeValue::N(number.to_string())),
        Value::Bool(truth) => Ok(AttributeValue::Bool(*truth)),
        Value::Object(object) => Ok(AttributeValue::M(attributes(object)?)),
        Value::Array(list) => {
            Ok(AttributeValue::L(list.iter().map(attribute).collect::<Result<_, _>>()?))
        }
        Value::Number(_) | Value::Null => Err(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(items: Value) -> Result<Given, GivenError> {
        Given::parse(&serde_json::from_value::<Vec<_>>(items).unwrap())
    }

    #[test]
    fn given_items_become_attributes_of_their_type() {
        let given = parse(json!([
            { "pk": "SESSION#s", "sk": "BUDGET", "steps": 12, "open": true, "hold#1": { "tokens": 5 },
              "names": ["a", 1] },
        ]));
        let item = &given.unwrap().0[0];
        assert_eq!(item["pk"], AttributeValue::S("SESSION#s".into()));
        assert_eq!(item["steps"], AttributeValue::N("12".into()));
        assert_eq!(item["open"], AttributeValue::Bool(true));
        let hold = Item::from([("tokens".to_owned(), AttributeValue::N("5".into()))]);
        assert_eq!(item["hold#1"], AttributeValue::M(hold));
        let names = [AttributeValue::S("a".into()), AttributeValue::N("1".into())];
        assert_eq!(item["names"], AttributeValue::L(names.into()));
    }

    #[test]
    fn what_cannot_be_an_item_is_refused() {
        let half = json!([{ "pk": "a", "sk": "b", "c": [0.5] }]);
        assert_eq!(parse(half), Err(GivenError::Value(json!(0.5))));
        assert_eq!(parse(json!([{ "pk": "a", "sk": 1 }])), Err(GivenError::NoKey("sk")));
        assert_eq!(parse(json!([])), Err(GivenError::Empty));
    }

    #[tokio::test]
    async fn afterwards_the_table_is_as_it_was_before() {
        let table = Table::start().await.unwrap();
        let given = parse(json!([
            { "pk": "a", "sk": "b", "n": 1 }, { "pk": "a", "sk": "c", "n": 2 },
            { "pk": "a", "sk": "c", "n": 3 },
        ]));
        let given = given.unwrap();
        let there = parse(json!([{ "pk": "a", "sk": "c", "n": 9, "kept": true }])).unwrap().0;
        table.put_item(there[0].clone()).await.unwrap();
        let before = given.put(&table).await.unwrap();
        assert_eq!(table.item(&key("a", "c")).await.unwrap().as_ref(), Some(&given.0[2]));
        // Whatever the function makes of it.
        table.delete_item(&key("a", "c")).await.unwrap();
        before.put_back(&table).await.unwrap();
        assert_eq!(table.scan().await.unwrap(), there);
    }
}
