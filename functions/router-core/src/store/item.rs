//! An item's attributes.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A whole number.
    Number(i128),
    /// A string.
    Text(String),
    /// Attributes of its own.
    Map(Item),
    /// Anything else that an item may have: no router writes it, and none can read it.
    Other,
}

impl Value {
    /// A number.
    pub fn number(number: u64) -> Self {
        Self::Number(number.into())
    }

    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// The attributes of an item, or of a map in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item(pub BTreeMap<String, Value>);

impl Item {
    /// Whether there is an attribute of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The attribute's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The number in the attribute; zero where it is absent, negative or no number.
    pub fn number(&self, name: &str) -> u64 {
        u64::try_from(self.signed(name)).unwrap_or(0)
    }

    /// The number in the attribute, which may be negative; zero where it is absent or no number.
    pub fn signed(&self, name: &str) -> i128 {
        match self.0.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// The string in the attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The map in the attribute.
    pub fn map(&self, name: &str) -> Option<&Item> {
        match self.0.get(name)? {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The attributes whose names begin so, without that beginning.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let from = self.0.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        self.0.insert(name.into(), value);
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Item {
    fn from(attributes: [(&str, Value); N]) -> Self {
        Self(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_counts_as_zero() {
        let item = Item::from([
            ("negative", Value::Number(-1)),
            ("text", Value::text("7")),
            ("number", Value::number(7)),
            ("large", Value::Number(1 << 64)),
        ]);
        let names = ["negative", "text", "absent", "large", "number"];
        assert_eq!(names.map(|name| item.number(name)), [0, 0, 0, 0, 7]);
        assert_eq!(names.map(|name| item.signed(name)), [-1, 0, 0, 1 << 64, 7]);
        assert_eq!(names.map(|name| item.text(name)), [None, Some("7"), None, None, None]);
    }

    #[test]
    fn attributes_are_found_by_the_beginning_of_their_names() {
        let names = ["hold", "hold#a", "hold#b", "holding", "seen#a"];
        let item = Item(names.map(|name| (name.to_owned(), Value::Other)).into());
        let found: Vec<&str> = item.beginning("hold#").map(|(rest, _)| rest).collect();
        assert_eq!(found, ["a", "b"]);
    }
}
