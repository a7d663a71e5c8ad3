//! What all parts of a request share.

use std::time::Duration;

use crate::deadline;
use crate::ids::{SpecialistName, Ticket};
use crate::journal::{Fact, Journal};
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::retry::RetryBudget;
use crate::units::{Clock, Timestamp};
use crate::wire::caller::Caller;

/// A request that is served.
#[derive(Debug)]
pub(crate) struct Request<'r, P> {
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
    pub(crate) id: &'r str,
    /// When the reply must be out.
    pub(crate) deadline: Timestamp,
    /// Whether the request is traced, with what agents do while they answer.
    pub(crate) is_traced: bool,
    /// Whether its reply tells of the people's answers that are found on the way, so that they count as
    /// told with its last settlement.
    pub(crate) tells_answers: bool,
}

/// How a task of a request ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskEnd {
    /// A specialist answered.
    Answered {
        /// Which.
        by: SpecialistName,
        /// The answer.
        text: String,
        /// The generation of the specialist's session in which it was given; `None`: an earlier
        /// answer is given again.
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
    /// A person is asked.
    Escalated {
        /// The specialist that was called last.
        by: Option<SpecialistName>,
        /// What the task waits for.
        waiting: Waiting,
    },
}

/// A ticket whose answer a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// What the answer will be found by.
    pub(crate) ticket: Ticket,
    /// Whether people are asked this; else they were asked before, and that is all that they know.
    pub(crate) is_new: bool,
}

impl<P> Clone for Request<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Request<'_, P> {}

impl<P: Ports> Request<'_, P> {
    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    /// The time until the reply must be out.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.since(self.now())
    }

    /// Reads all circuits again, if that is due. Several that come at once must not: those who come
    /// while it goes on do not wait for it.
    pub(crate) async fn refresh_circuits(&self) {
        let names = self.policy.all_called().map(|called| &called.name);
        let within = deadline::before_call(self.remaining());
        self.ports.circuits().refresh(names, self.ports.clock(), within).await;
    }

    /// Notes a fact of a task.
    pub(crate) fn note(&self, task: usize, fact: Fact) {
        self.journal.add_to(task, self.now(), fact);
    }
}
