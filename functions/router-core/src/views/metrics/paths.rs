//! The two paths of a split, side by side: what a request came to, by the path that it took.
//!
//! A request that took none is not told. A cost that is not known is not told either: a zero would
//! make its path look cheaper than it is.

use super::{Data, in_milliseconds};
use crate::journal::{Entry, Fact};
use crate::metrics::Unit;
use crate::outcome::Status;
use crate::policy::{Policy, SupervisorRules};
use crate::split::Path;
use crate::units::{MicroUsd, Timestamp};
use crate::views::meanwhile;

/// What a request came to.
struct Request {
    ended: Timestamp,
    has_failed: bool,
    cost: Option<MicroUsd>,
}

/// Adds the data of the path that the request took, if it took one.
pub(super) fn compare<'e>(entries: &'e [Entry], policy: &Policy, data: &mut Data<'e>) {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
    let Some(path) = taken(entries) else { return };
    let request = match path {
        Path::Supervisor => of_supervisor(entries, policy),
        Path::Current => of_predecessor(entries),
    };
    // A request that did not come to its end.
    let broken_off = Request { ended: last.at, has_failed: true, cost: None };
    let Request { ended, has_failed, cost } = request.unwrap_or(broken_off);
    let mut add = |name, unit, value| {
        data.add(name, unit, value, vec![("Path", path.as_str().into())]);
    };
    add("Requests", Unit::Count, 1.0);
    add("RequestErrors", Unit::Count, if has_failed { 1.0 } else { 0.0 });
    add("RequestLatency", Unit::Milliseconds, in_milliseconds(ended.since(first.at)));
    if let Some(cost) = cost {
        add("RequestCost", Unit::None, cost.to_usd());
    }
}

/// The path that the request took.
pub(super) fn taken(entries: &[Entry]) -> Option<Path> {
    entries.iter().find_map(|entry| match entry.fact {
        Fact::PathTaken { path } => Some(path),
        _ => None,
    })
}

/// From when until when the predecessor was waited for.
pub(super) fn wait(entries: &[Entry]) -> Option<(Timestamp, Timestamp)> {
    let asked = |entry: &&Entry| matches!(entry.fact, Fact::PathTaken { path: Path::Current });
    let answered = |entry: &&Entry| matches!(entry.fact, Fact::PredecessorAnswered { .. });
    Some((entries.iter().find(asked)?.at, entries.iter().find(answered)?.at))
}

/// The supervisor's request ends with the reply, and costs what its attempts were charged: the
/// supervisor's own and those of specialists. Of those that a Bedrock agent's action group calls, the
/// session alone knows the cost.
fn of_supervisor(entries: &[Entry], policy: &Policy) -> Option<Request> {
    let charged = |entries: &[Entry]| {
        let charges = entries.iter().filter_map(|entry| match &entry.fact {
            Fact::AttemptEnded { charge, .. } => Some(charge.cost.0),
            _ => None,
        });
        charges.fold(0, u64::saturating_add)
    };
    let cost = if policy.supervisor().is_some_and(SupervisorRules::has_action_group) {
        // Who stands in for it is asked after the look.
        let looked = |entry: &Entry| matches!(entry.fact, Fact::Looked { .. });
        let after = entries.iter().rposition(looked).map_or(entries, |place| &entries[place..]);
        meanwhile(entries).map(|(_, cost)| MicroUsd(cost.0.saturating_add(charged(after))))
    } else {
        Some(MicroUsd(charged(entries)))
    };
    entries.iter().find_map(|entry| match entry.fact {
        Fact::Replied { status, .. } => {
            Some(Request { ended: entry.at, has_failed: status == Status::Failed, cost })
        }
        _ => None,
    })
}

fn of_predecessor(entries: &[Entry]) -> Option<Request> {
    entries.iter().find_map(|entry| match entry.fact {
        Fact::PredecessorAnswered { cost, failure } => {
            Some(Request { ended: entry.at, has_failed: failure.is_some(), cost })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::overhead;
    use super::*;
    use crate::charge::{Charge, Usage};
    use crate::doubles::policy;
    use crate::metrics::Datum;
    use crate::outcome::Reason;
    use crate::units::{TokenUse, Tokens};

    fn entries(facts: Vec<(u64, Fact)>) -> Vec<Entry> {
        let received = Fact::Received { cold_start: None, function_version: Some("7".to_owned()) };
        let all = [(1_000, received)].into_iter().chain(facts);
        all.map(|(at, fact)| Entry { at: Timestamp(at), task: None, fact }).collect()
    }

    fn lines(facts: Vec<(u64, Fact)>) -> Vec<String> {
        let entries = entries(facts);
        let mut data = Data::default();
        compare(&entries, &policy(), &mut data);
        let line = |datum: &Datum<'_>| {
            let [(name, value)] = &datum.dimensions[..] else { panic!("{datum:?}") };
            format!("{} {} {} {name}={value}", datum.name, datum.value, datum.unit.as_str())
        };
        data.0.iter().map(line).collect()
    }

    fn taken(path: Path) -> (u64, Fact) {
        (1_001, Fact::PathTaken { path })
    }

    fn attempt(at: u64, micro_usd: u64, failure: Option<Reason>) -> (u64, Fact) {
        let charge = Charge { tokens: Tokens(9), cost: MicroUsd(micro_usd) };
        let (usage, reported_cost) = (Usage::Reported(TokenUse::new(8, 1)), MicroUsd(0));
        let (too_long, steps) = (None, Vec::new());
        (at, Fact::AttemptEnded { usage, charge, reported_cost, failure, too_long, steps })
    }

    fn replied(at: u64, status: Status) -> (u64, Fact) {
        (at, Fact::Replied { status, reason: None, specialist: None })
    }

    #[test]
    fn without_a_split_no_path_is_told() {
        assert!(lines(vec![attempt(1_500, 3, None), replied(1_600, Status::Answered)]).is_empty());
    }

    #[test]
    fn the_supervisors_path_costs_all_that_its_attempts_were_charged_and_ends_with_the_reply() {
        let facts = vec![
            taken(Path::Supervisor),
            attempt(1_100, 1_000, Some(Reason::Throttled)),
            attempt(1_200, 2_000, None),
            attempt(1_300, 30_000, None),
            replied(1_400, Status::FellBack),
            (1_900, Fact::Finished),
        ];
        assert_eq!(
            lines(facts),
            [
                "Requests 1 Count Path=supervisor",
                "RequestErrors 0 Count Path=supervisor",
                "RequestLatency 400 Milliseconds Path=supervisor",
                "RequestCost 0.033 None Path=supervisor",
            ]
        );
    }

    #[test]
    fn a_request_that_failed_is_an_error_and_one_that_was_refused_is_none() {
        for (status, value) in [(Status::Failed, 1), (Status::Refused, 0), (Status::Answered, 0)] {
            let lines = lines(vec![taken(Path::Supervisor), replied(1_400, status)]);
            assert_eq!(lines[1], format!("RequestErrors {value} Count Path=supervisor"));
        }
    }

    #[test]
    fn the_predecessors_path_costs_what_it_says_and_ends_with_its_answer() {
        let answered = |cost, failure| {
            let answered = Fact::PredecessorAnswered { cost, failure };
            let (taken, reply) = (taken(Path::Current), replied(1_950, Status::Answered));
            lines(vec![taken, (1_900, answered), reply])
        };
        let mut expected = vec![
            "Requests 1 Count Path=current",
            "RequestErrors 0 Count Path=current",
            "RequestLatency 900 Milliseconds Path=current",
            "RequestCost 0.0123 None Path=current",
        ];
        assert_eq!(answered(Some(MicroUsd(12_300)), None), expected);
        expected.pop();
        assert_eq!(answered(None, None), expected, "a cost that is not known is no zero");
        expected[1] = "RequestErrors 1 Count Path=current";
        assert_eq!(answered(None, Some(Reason::Timeout)), expected);
    }

    #[test]
    fn a_request_that_did_not_come_to_its_end_is_an_error_of_unknown_cost() {
        for path in [Path::Supervisor, Path::Current] {
            let name = path.as_str();
            let expected = [
                format!("Requests 1 Count Path={name}"),
                format!("RequestErrors 1 Count Path={name}"),
                format!("RequestLatency 250 Milliseconds Path={name}"),
            ];
            assert_eq!(lines(vec![taken(path), (1_250, Fact::Panicked)]), expected);
        }
    }

    #[test]
    fn a_request_of_the_predecessor_is_no_request_of_the_routers_that_an_alarm_would_count() {
        let answered = Fact::PredecessorAnswered { cost: None, failure: None };
        let reply = replied(1_950, Status::Answered);
        let entries = entries(vec![taken(Path::Current), (1_900, answered), reply]);
        let data = super::super::of(&entries, &policy(), Timestamp(1_960));
        let names: Vec<&str> = data.iter().map(|datum| datum.name).collect();
        assert_eq!(names, ["Requests", "RequestErrors", "RequestLatency"]);
        let own = overhead(&entries, &[], Timestamp(1_960));
        assert_eq!(own, Duration::from_millis(61), "all but the wait for the predecessor");
    }
}
