//! The one record of a request.
//!
//! The code that acts adds a [`Fact`]. Everything that is told afterwards (metrics, spans, the log
//! line, incidents, the numbers of the body, what is still to be settled) is a pure function of the
//! list: see [`crate::views`]. A fact is never changed or removed; a view selects. The handler owns
//! the journal outside of the code that may panic, so a panic loses nothing that was recorded.
//!
//! No fact holds text that a user, a model or an agent wrote.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::charge::{Charge, Usage};
use crate::ids::{Fingerprint, HoldId, Lane, SpecialistName, Ticket};
use crate::ledger::{Account, Counted, Limit, Purpose};
use crate::metrics::ColdStart;
use crate::outcome::{Reason, Status};
use crate::trace::Step;
use crate::units::{MicroUsd, Timestamp};

/// The facts of one request, in the order in which they were learned.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Vec<Entry>>);

/// One fact, with its time and the task that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was learned.
    pub at: Timestamp,
    /// The place of the task among those of the request; `None`: it is the request's own.
    pub task: Option<usize>,
    /// What was learned.
    pub fact: Fact,
}

/// Something that happened in a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Lambda delivered the request.
    Received {
        /// Whether it is its environment's first.
        cold_start: Option<ColdStart>,
        /// The published version of the function that serves it, if it is one.
        function_version: Option<String>,
    },
    /// The router read whom the supervisor asks for; `None`: the policy has no such name.
    Asked {
        /// The specialist.
        specialist: Option<SpecialistName>,
        /// The class of the request; see [`crate::metrics::intent_class`].
        intent_class: String,
    },
    /// The router chose whom to ask first.
    Chosen {
        /// The first to be asked.
        first: SpecialistName,
        /// Why that is not the specialist that the supervisor named.
        detour: Option<Reason>,
    },
    /// The router decided to call no specialist.
    Declined {
        /// The specialist whose rule forbids the call, if it is a specialist's rule.
        specialist: Option<SpecialistName>,
        /// Why.
        reason: Reason,
    },
    /// The router turned to a candidate.
    CandidateTaken {
        /// The specialist.
        specialist: SpecialistName,
    },
    /// The router is done with the candidate.
    CandidateLeft {
        /// Why the candidate and all that might follow are not called, if a rule forbids it.
        refused: Option<Reason>,
    },
    /// The candidate stands in for another specialist.
    FellBack {
        /// The specialist whose place it takes.
        of: SpecialistName,
    },
    /// No time was left to ask a candidate.
    OutOfTime,
    /// The task was stopped when it turned to a candidate.
    Stopped,
    /// The candidate's answer to the same request, given a short while ago, is given again.
    Recalled {
        /// The session's account.
        account: Account,
    },
    /// The stage was answered when the same pipeline was not finished, and is not asked again.
    Resumed {
        /// Why it was not simply answered then.
        reason: Option<Reason>,
    },
    /// A circuit rejected the candidate.
    CircuitRejected {
        /// The specialist.
        specialist: SpecialistName,
    },
    /// An operator has stopped all calls.
    AllStopped,
    /// A circuit let an attempt pass, perhaps as its probe.
    Admitted {
        /// The attempt as the circuit knows it.
        owner: String,
        /// The specialist.
        specialist: SpecialistName,
    },
    /// The circuit was told what came of an attempt.
    Reported {
        /// The attempt as the circuit knows it.
        owner: String,
        /// The specialist.
        specialist: SpecialistName,
        /// Whether the circuit opened.
        opened: bool,
    },
    /// The ledger was asked for a hold.
    Reserving(Hold),
    /// The ledger took the hold.
    Held {
        /// The hold.
        id: HoldId,
        /// The session's account, the hold included.
        account: Account,
        /// The specialist's session that the invocation runs in.
        lane: Lane,
        /// Holds of dead invocations that were found and charged on the way.
        expired_holds: u32,
        /// Requests whose repetitions need not be counted any more.
        stale: Vec<Fingerprint>,
    },
    /// The ledger took no hold.
    NotHeld {
        /// The hold.
        id: HoldId,
        /// What it was for.
        purpose: Purpose,
        /// Why.
        why: NotHeld,
        /// The session's account, as far as it is known.
        account: Option<Account>,
        /// Holds of dead invocations that were found and charged on the way.
        expired_holds: u32,
    },
    /// The ledger knows of a person's answer of which the supervisor was not told yet.
    PersonAnswered {
        /// The ticket that was answered.
        ticket: Ticket,
    },
    /// A person is asked.
    Escalated {
        /// The ticket.
        ticket: Ticket,
        /// Whether it was opened now.
        is_new: bool,
        /// The session's account, as far as it is known.
        account: Option<Account>,
        /// Holds of dead invocations that were found and charged on the way.
        expired_holds: u32,
    },
    /// No person could be asked.
    NotEscalated {
        /// Why.
        why: NotHeld,
        /// The session's account, as far as it is known.
        account: Option<Account>,
        /// Holds of dead invocations that were found and charged on the way.
        expired_holds: u32,
    },
    /// The session was looked at, and nothing was asked of it.
    Looked {
        /// Its account.
        account: Account,
    },
    /// The answer became a key of the scratchpad.
    PadWritten {
        /// The key.
        key: String,
        /// Its version.
        version: u64,
    },
    /// The answer did not become a key of the scratchpad.
    PadNotWritten {
        /// The key.
        key: String,
        /// Why.
        why: NotWritten,
    },
    /// The policy lets an invocation go that the ledger does not count.
    Uncounted,
    /// An invocation began.
    InvocationStarted {
        /// The specialist.
        specialist: SpecialistName,
    },
    /// An attempt began.
    AttemptStarted {
        /// Which attempt of the invocation it is, from 1.
        number: u64,
        /// The hold that pays for it, whether the ledger counts it or not.
        hold: HoldId,
        /// The agent, as the trace names it.
        agent: String,
    },
    /// The supervisor has said the first of its answer, or called its first tool.
    Decided {
        /// The time since its round began.
        after: Duration,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The tokens that it used.
        usage: Usage,
        /// What it costs.
        charge: Charge,
        /// The part of that which its reported usage costs.
        reported_cost: MicroUsd,
        /// Why it brought no answer, if it brought none.
        failure: Option<Reason>,
        /// The limit in bytes that the answer passed, if it is longer than the router keeps.
        too_long: Option<usize>,
        /// What the agent did, where the trace wants to know.
        steps: Vec<Step>,
    },
    /// An invocation ended.
    InvocationEnded {
        /// Why it brought no answer, if it brought none.
        failure: Option<Reason>,
    },
    /// What a hold is to be replaced by is known.
    Charged {
        /// The hold.
        id: HoldId,
        /// What was used of it.
        used: Charge,
        /// The lane that the invocation was left in while the agent may still be at work.
        left: Option<Lane>,
    },
    /// The ledger was asked to settle a hold.
    Settling {
        /// The hold.
        id: HoldId,
        /// What it is replaced by.
        used: Charge,
    },
    /// The ledger settled the hold, or did not answer.
    Settled {
        /// The hold.
        id: HoldId,
        /// Whether the ledger answered. If it did not, the hold expires and stays charged.
        is_known: bool,
    },
    /// The task ended.
    TaskEnded {
        /// What became of it.
        status: Status,
        /// Why it was not simply answered.
        reason: Option<Reason>,
        /// The specialist that answered, or was called last.
        specialist: Option<SpecialistName>,
    },
    /// The code of a task panicked.
    Panicked,
    /// The body of the reply is known.
    Replied {
        /// What became of the request.
        status: Status,
        /// Why it was not simply answered.
        reason: Option<Reason>,
        /// The specialist that answered, or was called last.
        specialist: Option<SpecialistName>,
    },
    /// The metrics are being published.
    Publishing {
        /// How many data there are.
        data: usize,
    },
    /// The metrics were published, or written to the log.
    Published,
    /// The reply is ready.
    Finished,
}

/// A hold that the ledger is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Its identity.
    pub id: HoldId,
    /// The specialist that is to be invoked.
    pub specialist: SpecialistName,
    /// What is held.
    pub ask: Charge,
    /// What it counts against beside its session and the session's tenant.
    pub counted: Counted,
}

/// Why the ledger took no hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// A limit has no room.
    Exhausted(Limit),
    /// The session belongs to another tenant.
    OtherTenant,
    /// The session belongs to another user.
    OtherUser,
    /// The session's item holds something that the ledger cannot use.
    Unusable,
    /// The same specialist was asked the same too often.
    Repeated,
    /// The task waits for a person already.
    Waiting,
    /// Another hold of the same reservation was refused.
    WithOthers,
    /// The hold was settled before.
    AlreadySettled,
    /// The ledger gave no usable response.
    Unavailable,
}

/// Why an answer did not become a key of the scratchpad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// Another request has written the key meanwhile.
    Overtaken,
    /// It is longer than the key may be.
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// The most that the key may have.
        most: usize,
    },
    /// The table gave no usable answer.
    Unavailable,
}

impl Journal {
    /// Adds a fact of the request itself.
    pub fn add(&self, at: Timestamp, fact: Fact) {
        self.push(Entry { at, task: None, fact });
    }

    /// Adds a fact of a task.
    pub fn add_to(&self, task: usize, at: Timestamp, fact: Fact) {
        self.push(Entry { at, task: Some(task), fact });
    }

    /// Adds the facts of a part that had a journal of its own, whose first task is the `first` here.
    pub fn take_over(&self, part: Journal, first: usize) {
        let entries = part.into_entries().into_iter();
        let placed = |entry: Entry| Entry { task: entry.task.map(|task| first + task), ..entry };
        self.lock().extend(entries.map(placed));
    }

    /// What a view makes of the entries so far.
    pub fn read<T>(&self, view: impl FnOnce(&[Entry]) -> T) -> T {
        view(&self.lock())
    }

    /// The entries of a request that is over.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // An entry is added whole, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, entry: Entry) {
        self.lock().push(entry);
    }
}
