//! What a request pays from.

pub mod account;
pub(crate) mod purse;
