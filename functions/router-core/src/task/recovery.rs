//! What a panic broke off.
//!
//! The journal has what had begun. What is missing is added to it: an attempt that was under way
//! ends with unknown usage, its invocation as failed, its hold at what was used. The circuits hear
//! that nothing is known of the attempts that they let pass.

use std::collections::BTreeMap;

use crate::budget::open::open_holds;
use crate::charge::{Charge, Usage};
use crate::circuit::Verdict;
use crate::deadline;
use crate::guard::guarded;
use crate::ids::{HoldId, SpecialistName};
use crate::journal::{Entry, Fact};
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::units::MicroUsd;

/// Completes the journal of a task whose code panicked, or of all of them, and frees what it held of
/// circuits.
pub(crate) async fn recover<P: Ports>(request: Request<'_, P>, only: Option<usize>) {
    let Request { journal, policy, ports, .. } = request;
    let of_task = |entries: &[Entry]| -> Vec<Entry> {
        let is_of_task = |entry: &&Entry| only.is_none() || entry.task == only;
        entries.iter().filter(is_of_task).cloned().collect()
    };
    let entries = journal.read(of_task);
    for (task, fact) in missing(&entries, policy) {
        journal.push(Entry { at: request.now(), task, fact });
    }
    for (owner, specialist) in unreported(&entries) {
        if let Some(specialist) = policy.called(specialist.as_str()) {
            let within = deadline::after_call(request.remaining());
            let (circuits, clock) = (ports.circuits(), ports.clock());
            let session = request.caller.root.mark();
            let verdict = Verdict::Unknown;
            circuits.report(specialist, &owner, session, verdict, clock, within).await;
        }
    }
}

/// The end of a task whose code panicked. The others go on.
pub(super) async fn recovered<P: Ports>(request: Request<'_, P>, place: usize) -> TaskEnd {
    guarded("the recovery", recover(request, Some(place))).await;
    TaskEnd::Failed
}

/// What has begun in a task and not ended.
#[derive(Default)]
struct Open<'e> {
    candidate: bool,
    invocation: Option<&'e SpecialistName>,
    attempt: Option<&'e HoldId>,
}

/// The facts that end what has begun, each with its task.
fn missing(entries: &[Entry], policy: &Policy) -> Vec<(Option<usize>, Fact)> {
    let mut tasks: BTreeMap<Option<usize>, Open<'_>> = BTreeMap::new();
    let mut used: Vec<(&HoldId, Charge)> = Vec::new();
    for entry in entries {
        let open = tasks.entry(entry.task).or_default();
        match &entry.fact {
            Fact::CandidateTaken { .. } => open.candidate = true,
            Fact::CandidateLeft { .. } => open.candidate = false,
            Fact::InvocationStarted { specialist } => open.invocation = Some(specialist),
            Fact::InvocationEnded { .. } => open.invocation = None,
            Fact::AttemptStarted { hold, .. } => open.attempt = Some(hold),
            Fact::AttemptEnded { charge, .. } => {
                used.extend(open.attempt.take().map(|hold| (hold, *charge)));
            }
            _ => {}
        }
    }
    let mut missing = Vec::new();
    for (task, open) in &tasks {
        let specialist = open.invocation.and_then(|name| policy.called(name.as_str()));
        if let (Some(hold), Some(specialist)) = (open.attempt, specialist) {
            let usage = Usage::UNKNOWN;
            let charge = Charge::of(specialist, &usage);
            used.push((hold, charge));
            let failure = Some(Reason::AgentError);
            let (reported_cost, too_long, steps) = (MicroUsd(0), None, Vec::new());
            let ended =
                Fact::AttemptEnded { usage, charge, reported_cost, failure, too_long, steps };
            missing.push((*task, ended));
        }
        if open.invocation.is_some() {
            let failure = Some(Reason::AgentError);
            missing.push((*task, Fact::InvocationEnded { failure }));
        }
        if open.candidate {
            missing.push((*task, Fact::CandidateLeft { refused: None }));
        }
    }
    for open in open_holds(entries).iter().filter(|open| open.used.is_none()) {
        let of_hold = used.iter().filter(|(hold, _)| **hold == open.hold.id);
        let used = of_hold.fold(Charge::default(), |sum, (_, charge)| sum.plus(*charge));
        missing.push((open.task, Fact::Charged { id: open.hold.id.clone(), used, left: None }));
    }
    missing
}

/// The attempts that circuits let pass and of which they have heard nothing.
fn unreported(entries: &[Entry]) -> Vec<(String, SpecialistName)> {
    let mut passed: Vec<(String, SpecialistName)> = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Admitted { owner, specialist } => {
                passed.push((owner.clone(), specialist.clone()));
            }
            Fact::Reported { owner, .. } => passed.retain(|(other, _)| other != owner),
            _ => {}
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy;
    use crate::ids::HoldId;
    use crate::journal::Hold;
    use crate::ledger::Account;
    use crate::ledger::Counted;
    use crate::units::{Timestamp, Tokens};

    fn billing() -> SpecialistName {
        SpecialistName::parse("billing").unwrap()
    }

    fn hold() -> HoldId {
        HoldId::new("r", 0, 0)
    }

    fn entries(facts: Vec<Fact>) -> Vec<Entry> {
        facts.into_iter().map(|fact| Entry { at: Timestamp(0), task: Some(0), fact }).collect()
    }

    /// The facts of an invocation until its attempt has started.
    fn started() -> Vec<Fact> {
        let ask = Charge { tokens: Tokens(8_000), cost: MicroUsd(120_000) };
        let (account, lane, stale) = (Account::default(), Default::default(), Vec::new());
        vec![
            Fact::CandidateTaken { specialist: billing() },
            Fact::Reserving(Hold {
                id: hold(),
                specialist: billing(),
                ask,
                counted: Counted::default(),
            }),
            Fact::Held { id: hold(), account, lane, expired_holds: 0, stale },
            Fact::InvocationStarted { specialist: billing() },
            Fact::AttemptStarted { number: 1, hold: hold(), agent: "A/B".to_owned() },
        ]
    }

    #[test]
    fn what_has_begun_is_ended_and_charged_as_unknown() {
        let missing = missing(&entries(started()), &policy());
        assert!(matches!(missing[0].1, Fact::AttemptEnded { usage: Usage::AtLeast(_), .. }));
        assert!(matches!(missing[1].1, Fact::InvocationEnded { failure: Some(_) }));
        assert!(matches!(missing[2].1, Fact::CandidateLeft { refused: None }));
        let Fact::Charged { used, .. } = &missing[3].1 else { panic!("{missing:?}") };
        assert_eq!(used.tokens, Tokens(8_000));
    }

    #[test]
    fn what_has_ended_is_not_ended_again() {
        let mut facts = started();
        facts.push(Fact::AttemptEnded {
            usage: Usage::NotRun,
            charge: Charge::default(),
            reported_cost: MicroUsd(0),
            failure: Some(Reason::Throttled),
            too_long: None,
            steps: Vec::new(),
        });
        facts.push(Fact::InvocationEnded { failure: Some(Reason::Throttled) });
        facts.push(Fact::CandidateLeft { refused: None });
        let missing = missing(&entries(facts), &policy());
        let [(_, Fact::Charged { used, .. })] = &missing[..] else { panic!("{missing:?}") };
        assert_eq!(*used, Charge::default());
    }

    #[test]
    fn circuits_are_told_of_those_attempts_of_which_they_have_not_heard() {
        let admitted = |owner: &str| Fact::Admitted { owner: owner.into(), specialist: billing() };
        let reported = Fact::Reported { owner: "a".into(), specialist: billing(), opened: false };
        let facts = vec![admitted("a"), admitted("b"), reported];
        assert_eq!(unreported(&entries(facts)), [("b".to_owned(), billing())]);
    }
}
