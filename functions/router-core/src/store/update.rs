//! A conditional write, put together clause by clause.

use super::{Item, ItemKey, Value};

/// A change of one item, which is made if all conditions hold, as one step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The item.
    pub key: ItemKey,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// No two of them set the same attribute.
    pub changes: Vec<Change>,
}

/// An item that takes the place of the one that is there, if all conditions hold for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Put {
    /// The item's key.
    pub key: ItemKey,
    /// The other attributes.
    pub item: Item,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// What must be true of an item before a write. Of an item that is not there, what is true of one
/// without attributes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The attribute is there.
    Exists(String),
    /// The attribute is not there.
    Absent(String),
    /// The attribute compares so. Values of two kinds are different, and neither is less than the
    /// other; an absent attribute is different from any value, and compares in no other way.
    Compare(String, Comparison, Value),
    /// One of these holds at least.
    Any(Vec<Condition>),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// They are the same.
    Equal,
    /// They are not the same.
    Different,
    /// The attribute's is less.
    Less,
    /// The attribute's is less, or they are the same.
    AtMost,
    /// The attribute's is greater.
    Greater,
    /// The attribute's is greater, or they are the same.
    AtLeast,
}

/// What becomes of an attribute. What is read for it is as it was before the write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It has this value.
    Set(String, Value),
    /// It has this value, where it is absent.
    SetIfAbsent(String, Value),
    /// It is a number that is so much greater; absent, it counts as zero.
    Add(String, i128),
    /// It has the value of another one, or zero where that is absent.
    Copy {
        /// The other.
        from: String,
        /// The one that is set.
        to: String,
    },
    /// It is not there.
    Remove(String),
}

impl Condition {
    /// The attribute is absent, or compares so.
    pub fn absent_or(attribute: &str, comparison: Comparison, value: Value) -> Self {
        let attribute = attribute.to_owned();
        let absent = Self::Absent(attribute.clone());
        Self::Any(vec![absent, Self::Compare(attribute, comparison, value)])
    }
}

impl Update {
    /// A change of an item that so far changes nothing.
    pub fn of(key: ItemKey) -> Self {
        Self { key, conditions: Vec::new(), changes: Vec::new() }
    }

    /// Sets an attribute.
    pub fn set(&mut self, attribute: &str, value: Value) {
        self.changes.push(Change::Set(attribute.to_owned(), value));
    }

    /// Adds to a number that counts as zero where it is absent.
    pub fn add(&mut self, attribute: &str, amount: impl Into<i128>) {
        self.changes.push(Change::Add(attribute.to_owned(), amount.into()));
    }

    /// Sets an attribute to what another was before, or to zero.
    pub fn copy(&mut self, from: &str, to: &str) {
        self.changes.push(Change::Copy { from: from.to_owned(), to: to.to_owned() });
    }

    /// Sets an attribute where it is absent.
    pub fn set_if_absent(&mut self, attribute: &str, value: Value) {
        self.changes.push(Change::SetIfAbsent(attribute.to_owned(), value));
    }

    /// Removes an attribute.
    pub fn remove(&mut self, attribute: &str) {
        self.changes.push(Change::Remove(attribute.to_owned()));
    }

    /// On the condition that the attribute is there.
    pub fn require(&mut self, attribute: &str) {
        self.conditions.push(Condition::Exists(attribute.to_owned()));
    }

    /// On the condition that the attribute is not there.
    pub fn require_absent(&mut self, attribute: &str) {
        self.conditions.push(Condition::Absent(attribute.to_owned()));
    }

    /// On the condition that the attribute compares so to the value.
    pub fn compare(&mut self, attribute: &str, comparison: Comparison, value: Value) {
        self.conditions.push(Condition::Compare(attribute.to_owned(), comparison, value));
    }

    /// On the condition that the attribute is absent or compares so to the value.
    pub fn compare_if_there(&mut self, attribute: &str, comparison: Comparison, value: Value) {
        self.conditions.push(Condition::absent_or(attribute, comparison, value));
    }

    /// On the condition that `asked` more is no more than `limit`: an absent number is zero.
    pub fn require_room(&mut self, attribute: &str, asked: u64, limit: u64) {
        match limit.checked_sub(asked) {
            Some(room) => {
                self.compare_if_there(attribute, Comparison::AtMost, Value::number(room));
            }
            // More is asked than the whole limit: there is never room.
            None => self.compare(attribute, Comparison::Less, Value::number(0)),
        }
    }
}
