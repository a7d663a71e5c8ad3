//! One sub-task: decided, reserved, asked, and put into words.
//!
//! A task ([`run`]) is straight-line code over the ports that asks the candidates of its plan one
//! after the other until one answers. What happens goes into the journal; how the task ends is a
//! [`TaskEnd`](crate::request::TaskEnd). Each invocation takes a hold before it, and what it used is
//! noted for its settlement, whatever comes of it.

mod answer;
mod attempts;
mod callee;
mod candidates;
mod context;
mod holds;
mod pads;
mod parallel;
mod people;
mod pipeline;
mod recovery;
mod run;

pub(crate) use attempts::{Granted, Invocation};
pub(crate) use callee::{Call, Callee};
pub(crate) use context::{TaskContext, owner};
pub(crate) use holds::refusal;
pub(crate) use parallel::parallel;
pub(crate) use people::{NotAsked, Question, ask_person};
pub(crate) use pipeline::pipeline;
pub(crate) use recovery::recover;
pub(crate) use run::run;

#[cfg(test)]
mod tests;
