//! The circuit's item, as what a process sees of it: its version, state and author. Whether a change
//! that was refused had been made before is the core's to say ([`Version`]).

use router_core::circuit::{Changed, Circuit, State as CircuitState};
use router_core::store::Version;

use super::{Flaw, Setup};

/// A circuit as a process saw it.
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
    /// Another process was first.
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
        let author = if setup.has(Flaw::RecognisedByStamp) { &write.author } else { &self.author };
        let version = Version { seen: write.seen, author: &write.author };
        if version.was_made(stamp, author) && !setup.has(Flaw::NotRecognised) {
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
