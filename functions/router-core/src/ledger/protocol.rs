//! How holds are taken and settled, one request to the table at a time.
//!
//! A session is one item. A condition of the table's has no arithmetic, so the item keeps what is
//! committed (settled and held together), and the condition compares that with the limit less what
//! is asked: checking and taking are one write. Each hold is an attribute of its own, `hold#<id>`,
//! whose absence is part of the condition: a write that is repeated, because its answer was lost,
//! finds its own hold and takes no second. Settling removes the attribute and leaves the id in one
//! of sixteen `recent_<n>`, which a late duplicate of the first write runs into.
//!
//! Both machines are values: an answer makes the next of one. The adapter and the model check
//! drive them alike, and nothing is decided anywhere else.

mod reserving;
mod settling;

use std::time::Duration;

pub use reserving::Reserving;
pub use settling::Settling;

pub use crate::store::Next;

/// How long to wait before a write is tried again: up to 5 ms at first, and twice as much each time,
/// up to 160 ms. It is different for each `spread`, which is a hold's or a reservation's.
pub fn backoff(spread: u64, round: u32) -> Duration {
    let ceiling_micros = 5_000_u64 << round.min(5);
    Duration::from_micros(spread.rotate_left(round) % ceiling_micros)
}

#[cfg(test)]
mod tests;
