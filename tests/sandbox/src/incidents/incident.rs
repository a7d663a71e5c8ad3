//! An incident as its item has it.

use stand_ins::table::Item;

use crate::item::{number, text};

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
}
