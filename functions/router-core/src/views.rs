//! What is told of a request: pure functions of its journal.
//!
//! Each view selects what it needs from the entries; none changes them, and none does I/O. A new
//! metric or a new key of a span touches one file here and no flow.

pub mod body;
pub mod incidents;
pub mod log;
pub mod metrics;
pub mod spans;

use std::time::Duration;

use crate::invocation::Charge;
use crate::journal::{Entry, Fact};
use crate::ledger::{Account, HoldId};
use crate::policy::SpecialistName;
use crate::reply::{Reason, Status};
use crate::units::{Timestamp, TokenUse};

/// One invocation of one specialist, all its attempts together.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation<'e> {
    /// The task that it belongs to.
    pub task: Option<usize>,
    /// The specialist.
    pub specialist: &'e SpecialistName,
    /// When it began.
    pub began: Timestamp,
    /// When its last attempt ended.
    pub ended: Timestamp,
    /// Attempts made.
    pub attempts: u64,
    /// How many of them were throttled.
    pub throttled_attempts: u64,
    /// The tokens that its attempts used, as far as they were reported.
    pub used: TokenUse,
    /// What is charged for it.
    pub charge: Charge,
    /// Why it brought no answer, if it brought none.
    pub failure: Option<Reason>,
}

impl Invocation<'_> {
    /// Whether it ended without a usable answer. A specialist that says that a request is not its
    /// job has done its job.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some_and(|reason| reason != Reason::OutOfScope)
    }

    /// The time from its first attempt to the end of its last.
    pub fn latency(&self) -> Duration {
        self.ended.since(self.began)
    }
}

/// The invocations of a request, in the order in which they began.
pub fn invocations(entries: &[Entry]) -> Vec<Invocation<'_>> {
    let mut invocations: Vec<Invocation<'_>> = Vec::new();
    for Entry { at, task, fact } in entries {
        // A task has one invocation at a time.
        let current = invocations.iter_mut().rev().find(|invocation| invocation.task == *task);
        match (fact, current) {
            (Fact::InvocationStarted { specialist }, _) => invocations.push(Invocation {
                task: *task,
                specialist,
                began: *at,
                ended: *at,
                attempts: 0,
                throttled_attempts: 0,
                used: TokenUse::default(),
                charge: Charge::default(),
                failure: None,
            }),
            (Fact::AttemptStarted { .. }, Some(current)) => current.attempts += 1,
            (Fact::AttemptEnded { usage, charge, failure, .. }, Some(current)) => {
                current.ended = *at;
                current.throttled_attempts += u64::from(*failure == Some(Reason::Throttled));
                current.used = current.used.plus(usage.reported());
                current.charge = current.charge.plus(*charge);
            }
            (Fact::InvocationEnded { failure }, Some(current)) => current.failure = *failure,
            _ => {}
        }
    }
    invocations
}

/// The session's account after all that is known to have been used.
pub fn account(entries: &[Entry]) -> Option<Account> {
    let told = |entry: &Entry| match &entry.fact {
        Fact::Held { account, .. } | Fact::Recalled { account } => Some(*account),
        Fact::NotHeld { account, .. } => *account,
        _ => None,
    };
    let (place, account) =
        entries.iter().enumerate().rev().find_map(|(place, entry)| Some((place, told(entry)?)))?;
    // What was settled before the ledger answered is in its answer already.
    let is_in = |id: &HoldId| {
        let settled =
            |entry: &Entry| matches!(&entry.fact, Fact::Settled { id: other, .. } if other == id);
        entries[..place].iter().any(settled)
    };
    let held = |id: &HoldId| {
        entries.iter().find_map(|entry| match &entry.fact {
            Fact::Reserving(hold) if hold.id == *id => Some(hold.ask),
            _ => None,
        })
    };
    let charged = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Charged { id, used } if !is_in(id) => Some((held(id)?, *used)),
        _ => None,
    });
    Some(charged.fold(account, |account, (held, used)| account.settled(held, used)))
}

/// The entries of one task.
pub(crate) fn of_task(entries: &[Entry], task: usize) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.task == Some(task))
}

/// The tasks of the request for which a specialist was called, or might have been: a refusal is
/// told by its status and reason alone.
pub(crate) fn is_refused(entries: &[Entry], task: Option<usize>) -> bool {
    entries.iter().any(|entry| {
        entry.task == task && matches!(entry.fact, Fact::TaskEnded { status: Status::Refused, .. })
    })
}
