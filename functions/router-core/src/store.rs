//! Items of the table, and writes to them, as plain values.
//!
//! What is kept outside of the process is decided on here and sent elsewhere: a change is an
//! [`Update`] (or several in one transaction), which says on which conditions it is made, and the
//! table's [`Answer`] says what the item is like. An adapter renders both for a database and
//! decides nothing; the model check interprets the same values. Left out: what a database does to
//! be reached, and its errors' names.

mod item;
mod key;
pub mod memory;
mod update;
mod versioned;

pub use item::{Item, Value};
pub use key::ItemKey;
pub use update::{Change, Comparison, Condition, Put, Update};
pub use versioned::{Version, Written};

use crate::error::Cause;

/// What the table is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// To change an item. The answer has the item as it is then.
    Update(Update),
    /// To make several writes, all or none.
    Transact(Vec<Write>),
    /// For an item, as the last write left it.
    Read(ItemKey),
}

/// What follows an answer of the table's.
#[derive(Debug)]
pub enum Next<M, T> {
    /// The machine has another request.
    Send(M),
    /// It is at its end.
    Done(T),
}

/// One of several writes that are made together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// A change of an item.
    Update(Update),
    /// An item in place of the one that is there.
    Put(Put),
}

impl Write {
    /// The key of the item that is written.
    pub fn key(&self) -> &ItemKey {
        match self {
            Self::Update(update) => &update.key,
            Self::Put(put) => &put.key,
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// It was done. The item as an update left it, or as it was read; a transaction shows none.
    Done(Option<Item>),
    /// Nothing was written.
    Refused {
        /// Which of the writes has a condition that does not hold, counted from zero.
        write: usize,
        /// The item that it does not hold for, if there is one.
        item: Option<Item>,
    },
    /// Nothing was written, since others write the same items at this moment.
    Contended,
    /// Nothing can be written: an item has something of a kind that cannot be added to or
    /// compared with.
    Unusable(Cause),
    /// No usable response. What was asked for may have been done, or may still be.
    Unavailable(Cause),
}
