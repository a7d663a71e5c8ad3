//! A model check of the circuits: of how they open, let probes out and close.
//!
//! All processes share a circuit through an item that is changed on the condition of its stamp,
//! and each goes by its own memory of it. What an attempt does next is not modelled at all: it is
//! said by `router-core`'s own `Circuits` and `State` ([`keeper`]), and every request that they
//! make is a step of its own here ([`course`], [`table`]). Between any two steps ([`world`])
//! another attempt may act, an attempt may vanish or its process die, an answer may be lost (the
//! change is stored and then repeated) or waited for no longer, a copy of a change may arrive
//! however late, a read may fail, and time may pass. Where a process has several attempts under
//! way, an answer takes a step to arrive. [`properties`] says what has to hold in every state.
//!
//! Runs have no end: states that nobody can tell apart are one ([`form`], `symmetry`), and so
//! there are finitely many.
//!
//! Time passes in ticks as long as a process goes by its memory. An exchange with the table
//! takes [`Setup::longest_exchange`] at most; a call may take longer than a probe has its place.
//! Clocks agree. Left out are an operator's word, and that `Circuits` gives up after losing eight
//! times to others. Mirrored rather than run are what `Circuits` remembers after an answer
//! ([`process::Memory::take`]) and the condition of the write ([`table::Item::apply`]).

pub mod course;
pub mod form;
pub mod history;
pub mod keeper;
pub mod process;
pub mod properties;
pub mod setup;
mod symmetry;
pub mod table;
pub mod world;

pub use setup::{Flaw, Setup};
pub use world::{Action, State, World};
