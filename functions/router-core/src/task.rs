//! One sub-task: decided, reserved, asked, and put into words.
//!
//! A task is straight-line code over the ports ([`TaskRun`]) that asks the candidates of its plan
//! one after the other until one answers. What happens goes into the [`Journal`]; how the task ends
//! is a [`TaskEnd`]. Each invocation takes a hold before it, and what it used is noted for its
//! settlement, whatever comes of it.

mod answer;
mod attempts;
pub(crate) mod candidates;
pub(crate) mod messages;
mod recovery;
mod run;

use std::time::Duration;

pub(crate) use recovery::recover;
pub(crate) use run::run;

use crate::journal::{Fact, Journal};
use crate::policy::{Policy, Specialist};
use crate::ports::Ports;
use crate::reply::Reason;
use crate::retry::RetryBudget;
use crate::session::Caller;
use crate::units::{Clock, Timestamp};

/// How a task ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskEnd<'p> {
    /// A specialist answered.
    Answered {
        /// Who.
        by: &'p Specialist,
        /// The answer.
        text: String,
        /// The generation of the specialist's session in which it was given; `None`: an answer
        /// from a short while ago is given again.
        generation: Option<u64>,
    },
    /// No specialist was called.
    Refused {
        /// Which rule forbids it.
        reason: Reason,
        /// The rule, for the model.
        message: String,
    },
    /// Specialists were called, and none could answer. The journal says why.
    Failed,
}

/// What all tasks of a request share.
#[derive(Debug)]
pub(crate) struct Context<'r, P> {
    /// What is allowed.
    pub(crate) policy: &'r Policy,
    /// Everything outside of the core.
    pub(crate) ports: &'r P,
    /// What retries are paid from.
    pub(crate) retries: &'r RetryBudget,
    /// What happened so far.
    pub(crate) journal: &'r Journal,
    /// Who is calling.
    pub(crate) caller: &'r Caller,
    /// Lambda's id of the request, from which the ids of holds are made.
    pub(crate) request_id: &'r str,
    /// When the reply must be out.
    pub(crate) deadline: Timestamp,
    /// Whether the trace wants to know what agents do while they answer.
    pub(crate) wants_steps: bool,
}

impl<P> Clone for Context<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Context<'_, P> {}

impl<P: Ports> Context<'_, P> {
    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    /// The time until the reply must be out.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.since(self.now())
    }

    /// Notes a fact of a task.
    pub(crate) fn note(&self, task: usize, fact: Fact) {
        self.journal.add_to(task, self.now(), fact);
    }
}

#[cfg(test)]
mod tests;
