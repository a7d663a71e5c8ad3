//! What a request pays from.

pub(crate) mod open;
pub(crate) mod purse;
