//! The circuit's item, and how it is changed.
//!
//! Mirrors `DynamoCircuits`: `expression` and `found`.

use router_core::circuit::{Changed, Circuit, State as CircuitState};

use super::{Flaw, Setup};

/// A circuit as somebody saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its stamp.
    pub stamp: u64,
    /// Its state.
    pub state: CircuitState,
}

/// The circuit's item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Item {
    /// What it says.
    pub circuit: Seen,
    /// Who wrote it.
    pub author: String,
}

/// A change of the item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// The stamp that it had when it was read.
    pub seen: u64,
    /// What it is to say.
    pub state: CircuitState,
    /// Who changes it.
    pub author: String,
}

/// What the table says to a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is stored.
    Stored,
    /// Somebody else was first.
    Lost(Seen),
}

impl Item {
    /// Applies a change, if its condition holds.
    pub fn apply(&mut self, write: &Write, setup: &Setup) -> Answer {
        let stamp = self.circuit.stamp;
        if stamp == write.seen || setup.has(Flaw::ChangedBlindly) {
            self.circuit = Seen { stamp: stamp + 1, state: write.state.clone() };
            self.author.clone_from(&write.author);
            return Answer::Stored;
        }
        let is_ours = self.author == write.author || setup.has(Flaw::RecognisedByStamp);
        if is_ours && stamp == write.seen + 1 && !setup.has(Flaw::NotRecognised) {
            return Answer::Stored;
        }
        Answer::Lost(self.circuit.clone())
    }
}

impl From<&Seen> for Circuit {
    fn from(seen: &Seen) -> Self {
        Self { stamp: seen.stamp, state: seen.state.clone(), forced: None }
    }
}

impl From<&Answer> for Changed {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Stored => Self::Stored,
            Answer::Lost(found) => Self::Lost(found.into()),
        }
    }
}
