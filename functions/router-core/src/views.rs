//! What is told of a request: pure functions of its journal.
//!
//! Each view selects what it needs from the entries; none changes them, and none does I/O. A new
//! metric or a new key of a span touches one file here and no flow.

pub mod body;
pub mod incidents;
pub mod log;
pub(crate) mod messages;
pub mod metrics;
pub mod spans;

use std::time::Duration;

use crate::charge::Charge;
use crate::ids::{HoldId, SpecialistName};
use crate::journal::{Entry, Fact};
use crate::ledger::Account;
use crate::outcome::{Reason, Status};
use crate::units::{MicroUsd, Timestamp, TokenUse};

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
    /// How many of them brought an answer that does not fit its schema.
    pub invalid_attempts: u64,
    /// The tokens that its attempts used, as far as they were reported.
    pub used: TokenUse,
    /// What is charged for it.
    pub charge: Charge,
    /// The part of that which its reported usage costs.
    pub reported_cost: MicroUsd,
    /// Why it brought no answer, if it brought none.
    pub failure: Option<Reason>,
}

impl Invocation<'_> {
    /// Whether it ended without a usable answer. A specialist that says that a request is not its
    /// job, or one for a person, has done its job, and one that was stopped had no time to.
    pub fn has_failed(&self) -> bool {
        let is_failure =
            |reason| !matches!(reason, Reason::OutOfScope | Reason::Escalated | Reason::Stopped);
        self.failure.is_some_and(is_failure)
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
                invalid_attempts: 0,
                used: TokenUse::default(),
                charge: Charge::default(),
                reported_cost: MicroUsd(0),
                failure: None,
            }),
            (Fact::AttemptStarted { .. }, Some(current)) => current.attempts += 1,
            (Fact::AttemptEnded { usage, charge, reported_cost, failure, .. }, Some(current)) => {
                current.ended = *at;
                current.throttled_attempts += u64::from(*failure == Some(Reason::Throttled));
                current.invalid_attempts += u64::from(*failure == Some(Reason::OutputInvalid));
                current.used = current.used.plus(usage.reported());
                current.charge = current.charge.plus(*charge);
                let cost = current.reported_cost.0.saturating_add(reported_cost.0);
                current.reported_cost = MicroUsd(cost);
            }
            (Fact::InvocationEnded { failure }, Some(current)) => current.failure = *failure,
            _ => {}
        }
    }
    invocations
}

/// The steps and the money that a session has used from its first hold here until it was looked at: what a
/// Bedrock agent and its action group have used, with what other requests of the session have meanwhile.
pub(crate) fn meanwhile(entries: &[Entry]) -> Option<(u64, MicroUsd)> {
    let before = entries.iter().find_map(|entry| match &entry.fact {
        Fact::Held { account, .. } => Some(account),
        _ => None,
    })?;
    let after = entries.iter().rev().find_map(|entry| match &entry.fact {
        Fact::Looked { account } => Some(account),
        _ => None,
    })?;
    let cost = after.spent.cost.0.saturating_sub(before.spent.cost.0);
    Some((after.steps.saturating_sub(before.steps), MicroUsd(cost)))
}

/// The session's account after all that is known to have been used.
pub fn account(entries: &[Entry]) -> Option<Account> {
    let told = |entry: &Entry| match &entry.fact {
        Fact::Held { account, .. } | Fact::Recalled { account } | Fact::Looked { account } => {
            Some(*account)
        }
        Fact::NotHeld { account, .. }
        | Fact::Escalated { account, .. }
        | Fact::NotEscalated { account, .. } => *account,
        _ => None,
    };
    let told = entries.iter().enumerate().filter_map(|(place, entry)| Some((place, told(entry)?)));
    // Where tasks ask at once, the answers may come out of order; steps only grow.
    let (place, account) = told.max_by_key(|(place, account)| (account.steps, *place))?;
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
        Fact::Charged { id, used, .. } if !is_in(id) => Some((held(id)?, *used)),
        _ => None,
    });
    Some(charged.fold(account, |account, (held, used)| account.settled(held, used)))
}

/// The entries of one task.
pub(crate) fn of_task(entries: &[Entry], task: usize) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.task == Some(task))
}

/// Whether a task was refused. Then its status and reason are told, and nothing of what was
/// considered on the way.
pub(crate) fn is_refused(entries: &[Entry], task: Option<usize>) -> bool {
    entries.iter().any(|entry| {
        entry.task == task && matches!(entry.fact, Fact::TaskEnded { status: Status::Refused, .. })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::Usage;
    use crate::doubles::{account as empty_account, policy};
    use crate::ids::Lane;
    use crate::journal::Hold;
    use crate::units::Tokens;

    const NOW: Timestamp = Timestamp(1_000);

    fn entry(at: u64, fact: Fact) -> Entry {
        Entry { at: Timestamp(at), task: Some(0), fact }
    }

    fn charge(tokens: u64) -> Charge {
        Charge { tokens: Tokens(tokens), cost: MicroUsd(tokens) }
    }

    fn id(number: usize) -> HoldId {
        HoldId::new("r", 0, number)
    }

    fn held(number: usize, committed: u64) -> [Entry; 2] {
        let specialist = policy().find("orders").unwrap().name.clone();
        let counted = crate::ledger::Counted::default();
        let hold = Hold { id: id(number), specialist, ask: charge(8_000 + number as u64), counted };
        let account = Account { committed: charge(committed), ..empty_account() };
        let (lane, stale) = (Lane::default(), Vec::new());
        [
            entry(1, Fact::Reserving(hold)),
            entry(2, Fact::Held { id: id(number), account, lane, expired_holds: 0, stale }),
        ]
    }

    fn charged(number: usize, used: u64) -> Entry {
        entry(3, Fact::Charged { id: id(number), used: charge(used), left: None })
    }

    #[test]
    fn the_account_counts_what_was_used_in_the_place_of_what_was_held() {
        let entries = [&held(0, 8_000)[..], &[charged(0, 300)]].concat();
        let account = account(&entries).unwrap();
        assert_eq!((account.committed, account.spent), (charge(300), charge(300)));
    }

    #[test]
    fn what_was_settled_before_the_ledger_answered_is_counted_once() {
        let settled = entry(4, Fact::Settled { id: id(0), is_known: true });
        let before = [&held(0, 8_000)[..], &[charged(0, 300), settled.clone()]].concat();
        // The second hold was taken after the first was settled: the table has 300 + 8,001.
        let one_after_the_other = [&before[..], &held(1, 8_301)].concat();
        assert_eq!(account(&one_after_the_other).unwrap().committed, charge(8_301));
        // Both were held at once: the table has 16,001, the first one's included.
        let at_once = [&held(0, 8_000)[..], &held(1, 16_001), &[charged(0, 300), settled]].concat();
        assert_eq!(account(&at_once).unwrap().committed, charge(8_301));
        let both = [&at_once[..], &[charged(1, 200)]].concat();
        assert_eq!(account(&both).unwrap().committed, charge(500), "each had its own hold");
    }

    #[test]
    fn attempts_are_added_up_and_each_task_has_its_own() {
        let orders = policy().find("orders").unwrap().name.clone();
        let start = |task| Entry {
            at: NOW,
            task: Some(task),
            fact: Fact::InvocationStarted { specialist: orders.clone() },
        };
        let attempt = |task, at, failure| {
            let used = Usage::Reported(TokenUse::new(10, 1));
            let (hold, agent) = (id(0), String::new());
            let started = Fact::AttemptStarted { number: 1, hold, agent };
            let ended = Fact::AttemptEnded {
                usage: used,
                charge: charge(11),
                failure,
                reported_cost: MicroUsd(11),
                too_long: None,
                steps: Vec::new(),
            };
            [started, ended].map(|fact| Entry { at: Timestamp(at), task: Some(task), fact })
        };
        let throttled = attempt(0, 1_100, Some(Reason::Throttled));
        let ended = entry(1_300, Fact::InvocationEnded { failure: None });
        let entries = [
            &[start(0), start(1)][..],
            &throttled,
            &attempt(1, 1_500, None),
            &attempt(0, 1_200, None),
            &[ended],
        ]
        .concat();
        let [first, second] = &invocations(&entries)[..] else { panic!("not two") };
        assert_eq!((first.attempts, first.throttled_attempts, first.charge), (2, 1, charge(22)));
        assert_eq!(
            (first.used, first.latency()),
            (TokenUse::new(20, 2), Duration::from_millis(200))
        );
        assert_eq!((second.attempts, second.latency()), (1, Duration::from_millis(500)));
        assert_eq!(
            metrics::overhead(&entries, &[first.clone(), second.clone()], Timestamp(1_600)),
            Duration::from_millis(100),
            "the longer wait covers the shorter"
        );
    }

    #[test]
    fn a_specialist_whose_job_it_is_not_has_not_failed() {
        let orders = policy().find("orders").unwrap().name.clone();
        let with = |failure| {
            let entries = [
                entry(1, Fact::InvocationStarted { specialist: orders.clone() }),
                entry(2, Fact::InvocationEnded { failure }),
            ];
            invocations(&entries)[0].has_failed()
        };
        assert!(with(Some(Reason::Timeout)));
        assert!(!with(Some(Reason::OutOfScope)) && !with(None));
    }
}
