//! An incident as its item has it.

use serde_json::{Map, Value};
use stand_ins::table::Item;

use crate::item::{json, number, text};

/// The keys that every JSON object has.
const KEYS: [&str; 11] = [
    "at_ms",
    "specialist",
    "reason",
    "attempts",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "cost_micro_usd",
    "intent_class",
    "answered_by",
    "request",
];

/// What only the table needs.
const HIDDEN: [&str; 3] = ["pk", "sk", "expires_at"];

/// A request that a specialist did not answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Incident<'a> {
    /// The UTC day.
    pub(crate) date: &'a str,
    /// Made of Lambda's request id, the task's place and a number.
    pub(crate) id: &'a str,
    item: &'a Item,
}

impl<'a> Incident<'a> {
    /// Reads an item; `None` where it is no incident.
    pub(crate) fn parse(item: &'a Item) -> Option<Self> {
        let date = text(item, "pk")?.strip_prefix("INCIDENT#")?;
        Some(Self { date, id: text(item, "sk")?, item })
    }

    /// A text, if it has one of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        text(self.item, name)
    }

    /// A number; 0 if it has none of this name.
    pub(crate) fn number(&self, name: &str) -> u64 {
        number(self.item, name).unwrap_or(0)
    }

    /// Every attribute but what only the table needs, with the same keys for all incidents.
    pub(crate) fn json(&self) -> Value {
        let mut object: Map<String, Value> =
            KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        object.insert("date".to_owned(), self.date.into());
        object.insert("id".to_owned(), self.id.into());
        let shown = self.item.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
        object.extend(shown.map(|(name, value)| (name.clone(), json(value))));
        Value::Object(object)
    }
}
