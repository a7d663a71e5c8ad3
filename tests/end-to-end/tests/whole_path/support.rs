//! What the tests share: events to ask with, a sandbox that says what came of them, and the
//! rules that hold for every reply.

mod account;
mod ask;
mod kinds;
mod line;
mod policy;
mod reply;
mod world;

pub(crate) use account::{Account, account, nothing_held, sessions};
pub(crate) use ask::Ask;
pub(crate) use kinds::Cast;
pub(crate) use line::{Line, TableLine};
pub(crate) use policy::{Limits, PATIENT, RUNTIME, agents_with, on_runtime, policy, policy_with};
pub(crate) use reply::{form_of, reply_mistakes};
pub(crate) use world::{Told, World};
