//! What a request pays from.

pub(crate) mod purse;
