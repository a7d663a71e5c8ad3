//! What comes in and what goes out, in the forms of those on the other side.

pub mod caller;
pub mod event;
pub mod reply;
pub mod tools;
