//! A model check of the budget ledger: of how holds are taken, settled and expire; and, in
//! [`circuit`], one of the circuits.
//!
//! The ledger keeps a session's budget by conditional writes to a few items. Whether the
//! conditions are enough is a question about every order in which the writes of several
//! routers, their repetitions and their late copies can reach the table. Tests on a database
//! see some orders; this model has all of them, for a few routers and small numbers.
//!
//! Modelled are one session, the days of its tenant and user, the hour of gateways, and routers that reserve, invoke and settle
//! ([`router`]) by the core's own machines, whose writes a database in memory carries out,
//! each an atomic step: what is checked is what runs. Between any two
//! steps ([`world`]) another router may act, a router may die, an answer may be lost (the write
//! is applied and then repeated), a copy of a write may arrive late (also after everything that
//! followed from it), a request may be delivered a second time, time may pass, the session may end
//! and be deleted or replaced, and an operator may raise the limit. A request may have branches,
//! whose holds are taken and settled together, and one of which is stopped. [`properties`] says what has to hold in every state.
//!
//! Left out: tokens and hand-offs (they go the way of money and steps), repetition counters, the
//! memory of used-up sessions (it only refuses), the change of
//! the UTC day, and clocks that disagree by more than a hold's grace. At most ten holds expire
//! in one write; here there are never so many.
//!
//! Time is bounded as in life: a call ends before its hold expires, and a copy of a write arrives
//! no later than [`Setup::longest_delay`] after its reservation began or its call ended. The
//! token by which DynamoDB knows a repeated transaction again is not relied on.
//!
//! That a rule is kept says little unless it can be broken. [`Flaw`] has the protocol with one
//! condition missing, and a test finds the state in which each shows.

pub mod cast;
pub mod circuit;
pub mod flaw;
pub mod hashed;
pub mod history;
pub mod properties;
pub mod router;
pub mod setup;
pub mod table;
pub mod world;

pub use flaw::Flaw;
pub use setup::Setup;
pub use world::{Action, State, World};
