//! What CloudWatch is told.
//!
//! CloudWatch does not add dimensions up for an alarm, so each metric is a datum in each of the
//! dimension sets in which it is watched. Dimensions come from closed sets: names of the policy,
//! its intents, limits.

mod paths;

use std::borrow::Cow;
use std::time::Duration;

use super::{Invocation, account, invocations, is_refused};
use crate::journal::{Entry, Fact, NotHeld};
use crate::ledger::Purpose;
use crate::metrics::{ColdStart, Datum, Unit};
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::split::Path;
use crate::units::{MicroUsd, Timestamp};

/// What a new version of the function is judged by while it is rolled out; the overhead, of which
/// each request has one, counts its requests.
const JUDGED_BY_VERSION: [&str; 6] = [
    "RoutingAccuracy",
    "SpecialistInvocations",
    "SpecialistErrors",
    "SpecialistLatency",
    "Cost",
    "RouterOverhead",
];

/// The data of a request that ended at `now`, each in its dimension sets.
pub fn of<'e>(entries: &'e [Entry], policy: &Policy, now: Timestamp) -> Vec<Datum<'e>> {
    let mut data = Data::default();
    let mut version = None;
    for entry in entries {
        if let Fact::Received { cold_start, function_version } = &entry.fact {
            version = function_version.as_deref();
            if let Some(ColdStart { function_name, service }) = cold_start {
                let dimensions =
                    vec![("function_name", function_name.into()), ("service", service.into())];
                data.add("ColdStart", Unit::Count, 1.0, dimensions);
            }
        }
    }
    accuracy(entries, policy, &mut data);
    let invocations = invocations(entries);
    for invocation in &invocations {
        of_invocation(invocation, policy, &mut data);
    }
    counts(entries, &mut data);
    paths::compare(entries, policy, &mut data);
    if let Some(account) = account(entries) {
        let percent = account.utilization_percent();
        let spent = account.spent.cost.to_usd();
        data.add("BudgetUtilization", Unit::Percent, percent, Vec::new());
        data.add("SessionCost", Unit::None, spent, Vec::new());
        data.add("SessionSteps", Unit::Count, account.steps as f64, Vec::new());
    }
    // The alarms count the router's requests by it, and one for the predecessor is none of those.
    if paths::taken(entries) != Some(Path::Current) {
        let overhead = overhead(entries, &invocations, now);
        data.add("RouterOverhead", Unit::Milliseconds, in_milliseconds(overhead), Vec::new());
    }
    if let Some(version) = version {
        data.judge(version);
    }
    data.0
}

/// The time that the router itself took, up to `now`: that in which no specialist was waited for,
/// nor what was there before them.
pub fn overhead(entries: &[Entry], invocations: &[Invocation<'_>], now: Timestamp) -> Duration {
    let began = entries.first().map_or(now, |entry| entry.at);
    let invocations = invocations.iter().map(|wait| (wait.began, wait.ended));
    let mut waits: Vec<_> = invocations.chain(paths::wait(entries)).collect();
    waits.sort_unstable();
    let mut until = began;
    let mut waited = Duration::ZERO;
    for (began, ended) in waits {
        waited += ended.since(until.max(began));
        until = until.max(ended);
    }
    now.since(began).saturating_sub(waited)
}

#[derive(Default)]
struct Data<'e>(Vec<Datum<'e>>);

impl<'e> Data<'e> {
    fn add(
        &mut self,
        name: &'static str,
        unit: Unit,
        value: f64,
        dimensions: Vec<(&'static str, Cow<'e, str>)>,
    ) {
        self.0.push(Datum { name, unit, value, dimensions });
    }

    /// A metric that is watched by one dimension and in total.
    fn total_and_by(
        &mut self,
        dimension: (&'static str, &'e str),
        name: &'static str,
        unit: Unit,
        value: f64,
    ) {
        self.add(name, unit, value, vec![(dimension.0, dimension.1.into())]);
        self.add(name, unit, value, Vec::new());
    }

    /// The same data once more, by the version of the function.
    fn judge(&mut self, version: &'e str) {
        let is_judged = |datum: &&Datum<'_>| {
            datum.dimensions.is_empty() && JUDGED_BY_VERSION.contains(&datum.name)
        };
        let by_version = |datum: &Datum<'e>| Datum {
            dimensions: vec![("FunctionVersion", version.into())],
            ..datum.clone()
        };
        let judged: Vec<Datum<'e>> = self.0.iter().filter(is_judged).map(by_version).collect();
        self.0.extend(judged);
    }
}

/// Whether each task asked for the right specialist, where the router can tell. An outage, a
/// refusal and a choice that the supervisor was not sure of are no sample, nor is who stands in for the
/// supervisor.
fn accuracy<'e>(entries: &'e [Entry], policy: &Policy, data: &mut Data<'e>) {
    for (place, entry) in entries.iter().enumerate() {
        let Fact::Asked { specialist: asked, intent_class } = &entry.fact else { continue };
        if is_refused(entries, entry.task) || stands_in(entries, entry.task, policy) {
            continue;
        }
        let after = entries[place..].iter().filter(|later| later.task == entry.task);
        let mut invoked = None;
        let sample = after.into_iter().find_map(|later| match &later.fact {
            Fact::Chosen { first, detour: Some(Reason::UnknownSpecialist) } => {
                Some(Some((first, false)))
            }
            Fact::Chosen { detour: Some(_), .. } => Some(None),
            Fact::InvocationStarted { specialist } => {
                invoked = Some(specialist);
                None
            }
            Fact::InvocationEnded { failure } if invoked == asked.as_ref() => {
                let accurate = match failure {
                    None | Some(Reason::Escalated) => true,
                    Some(Reason::OutOfScope) => false,
                    Some(_) => return None,
                };
                Some(invoked.map(|specialist| (specialist, accurate)))
            }
            _ => None,
        });
        if let Some(Some((routed_to, accurate))) = sample {
            let value = if accurate { 1.0 } else { 0.0 };
            let dimensions = vec![
                ("IntentClass", intent_class.into()),
                ("SpecialistRouted", routed_to.as_str().into()),
            ];
            data.add("RoutingAccuracy", Unit::None, value, dimensions);
            data.add("RoutingAccuracy", Unit::None, value, Vec::new());
        }
    }
}

/// Whether a task is that of the supervisor itself, which has failed.
fn stands_in(entries: &[Entry], task: Option<usize>, policy: &Policy) -> bool {
    let Some(rules) = policy.supervisor() else { return false };
    let is_supervisors =
        |entry: &Entry| matches!(&entry.fact, Fact::FellBack { of } if *of == rules.callee.name);
    entries.iter().any(|entry| entry.task == task && is_supervisors(entry))
}

fn of_invocation<'e>(invocation: &Invocation<'e>, policy: &Policy, data: &mut Data<'e>) {
    let specialist = policy.called(invocation.specialist.as_str());
    let is_slow = specialist.is_some_and(|it| invocation.latency() > it.circuit.slow_call);
    let cost = invocation.reported_cost;
    let beyond = MicroUsd(invocation.charge.cost.0.saturating_sub(cost.0));
    let one_if = |it| if it { 1.0 } else { 0.0 };
    let (failed, slow) = (one_if(invocation.has_failed()), one_if(is_slow));
    let values = [
        ("SpecialistInvocations", Unit::Count, 1.0),
        ("SpecialistErrors", Unit::Count, failed),
        ("SpecialistThrottles", Unit::Count, invocation.throttled_attempts as f64),
        ("SlowCalls", Unit::Count, slow),
        ("SpecialistLatency", Unit::Milliseconds, in_milliseconds(invocation.latency())),
        ("InputTokens", Unit::Count, invocation.used.all_input().0 as f64),
        ("OutputTokens", Unit::Count, invocation.used.all_output().0 as f64),
        ("Cost", Unit::None, cost.to_usd()),
        ("UnreportedCost", Unit::None, beyond.to_usd()),
    ];
    for (name, unit, value) in values {
        data.total_and_by(("Specialist", invocation.specialist.as_str()), name, unit, value);
    }
    if invocation.invalid_attempts > 0 {
        let (by, count) = (invocation.specialist.as_str(), invocation.invalid_attempts as f64);
        data.total_and_by(("Specialist", by), "OutputInvalid", Unit::Count, count);
    }
}

/// What is counted where it happens.
fn counts<'e>(entries: &'e [Entry], data: &mut Data<'e>) {
    let (mut expired_holds, mut uncounted) = (0, 0);
    for entry in entries {
        let counted = match &entry.fact {
            Fact::FellBack { of } if !is_refused(entries, entry.task) => {
                Some((("Specialist", of.as_str()), "Fallbacks"))
            }
            Fact::Reported { specialist, opened: true, .. } => {
                Some((("Specialist", specialist.as_str()), "CircuitOpened"))
            }
            // A retry without room is refused to no caller: the task goes on.
            Fact::NotHeld { why: NotHeld::Exhausted(limit), purpose, .. }
                if *purpose != Purpose::Retry =>
            {
                Some((("Limit", limit.as_str()), "BudgetRefusals"))
            }
            Fact::NotEscalated { why: NotHeld::Exhausted(limit), .. } => {
                Some((("Limit", limit.as_str()), "BudgetRefusals"))
            }
            _ => None,
        };
        if let Some((dimension, name)) = counted {
            data.total_and_by(dimension, name, Unit::Count, 1.0);
        }
        match &entry.fact {
            Fact::NotHeld { why: NotHeld::Repeated, .. }
            | Fact::Declined { reason: Reason::LoopDetected, .. } => {
                data.add("LoopsDetected", Unit::Count, 1.0, Vec::new());
            }
            Fact::Decided { after } => {
                let took = in_milliseconds(*after);
                data.add("DecisionLatency", Unit::Milliseconds, took, Vec::new());
            }
            Fact::Escalated { is_new: true, .. } => {
                data.add("Escalations", Unit::Count, 1.0, Vec::new());
            }
            Fact::Uncounted => uncounted += 1,
            _ => {}
        }
        if let Fact::Held { expired_holds: found, .. }
        | Fact::NotHeld { expired_holds: found, .. }
        | Fact::Escalated { expired_holds: found, .. }
        | Fact::NotEscalated { expired_holds: found, .. } = &entry.fact
        {
            expired_holds += *found;
        }
    }
    for (name, value) in [("ExpiredHolds", expired_holds), ("UncountedInvocations", uncounted)] {
        if value > 0 {
            data.add(name, Unit::Count, f64::from(value), Vec::new());
        }
    }
}

fn in_milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::{Charge, Usage};
    use crate::doubles::{account, policy};
    use crate::ids::{HoldId, Lane, SpecialistName};
    use crate::ledger::{Account, Limit};
    use crate::units::{TokenUse, Tokens};

    fn lines(facts: Vec<(u64, Fact)>) -> Vec<String> {
        let entry = |(at, fact): (u64, Fact)| Entry { at: Timestamp(at), task: Some(0), fact };
        let entries: Vec<Entry> = facts.into_iter().map(entry).collect();
        let line = |datum: &Datum<'_>| {
            let dimensions: Vec<String> =
                datum.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let unit = datum.unit.as_str();
            format!("{} {} {} [{}]", datum.name, datum.value, unit, dimensions.join(","))
        };
        of(&entries, &policy(), Timestamp(1_060)).iter().map(line).collect()
    }

    fn received(cold_start: Option<ColdStart>, version: Option<&str>) -> (u64, Fact) {
        (1_000, Fact::Received { cold_start, function_version: version.map(str::to_owned) })
    }

    fn orders() -> SpecialistName {
        SpecialistName::parse("orders").unwrap()
    }

    fn hold() -> HoldId {
        HoldId::new("r", 0, 0)
    }

    fn attempt(failure: Option<Reason>, reported: u64) -> [(u64, Fact); 2] {
        let usage = Usage::Reported(TokenUse::new(300, 50));
        let charge = Charge { tokens: Tokens(350), cost: MicroUsd(91_650) };
        let (reported_cost, too_long, steps) = (MicroUsd(reported), None, Vec::new());
        let (number, hold, agent) = (1, hold(), String::new());
        [
            (1_010, Fact::AttemptStarted { number, hold, agent }),
            (1_050, Fact::AttemptEnded { usage, charge, reported_cost, failure, too_long, steps }),
        ]
    }

    #[test]
    fn a_request_that_called_no_specialist_tells_only_what_it_cost_the_router() {
        assert_eq!(lines(vec![received(None, None)]), ["RouterOverhead 60 Milliseconds []"]);
    }

    #[test]
    fn every_fact_is_told_in_each_of_its_dimension_sets() {
        let account = Account {
            steps: 6,
            spent: Charge { tokens: Tokens(350), cost: MicroUsd(91_650) },
            ..account()
        };
        let cold_start =
            ColdStart { function_name: "router".to_owned(), service: "agents".to_owned() };
        let (lane, stale) = (Lane::default(), Vec::new());
        let not_held = |why, purpose| Fact::NotHeld {
            id: hold(),
            purpose,
            why,
            account: None,
            expired_holds: 0,
        };
        let no_steps = NotHeld::Exhausted(Limit::Steps);
        let facts = [
            vec![
                received(Some(cold_start), Some("7")),
                (
                    1_000,
                    Fact::Asked { specialist: Some(orders()), intent_class: "delivery".to_owned() },
                ),
                (1_000, Fact::Chosen { first: orders(), detour: None }),
                (1_010, Fact::Held { id: hold(), account, lane, expired_holds: 2, stale }),
                (1_010, Fact::InvocationStarted { specialist: orders() }),
            ],
            attempt(Some(Reason::Throttled), 1_650).to_vec(),
            vec![
                (1_050, Fact::InvocationEnded { failure: Some(Reason::OutOfScope) }),
                (
                    1_050,
                    Fact::Reported { owner: String::new(), specialist: orders(), opened: true },
                ),
                (1_050, Fact::FellBack { of: orders() }),
                (1_050, not_held(no_steps, Purpose::Invocation)),
                (1_050, not_held(no_steps, Purpose::Retry)),
                (1_050, not_held(NotHeld::Repeated, Purpose::Invocation)),
                (1_050, Fact::Uncounted),
            ],
        ]
        .concat();
        assert_eq!(
            lines(facts),
            [
                "ColdStart 1 Count [function_name=router,service=agents]",
                "RoutingAccuracy 0 None [IntentClass=delivery,SpecialistRouted=orders]",
                "RoutingAccuracy 0 None []",
                "SpecialistInvocations 1 Count [Specialist=orders]",
                "SpecialistInvocations 1 Count []",
                "SpecialistErrors 0 Count [Specialist=orders]",
                "SpecialistErrors 0 Count []",
                "SpecialistThrottles 1 Count [Specialist=orders]",
                "SpecialistThrottles 1 Count []",
                "SlowCalls 0 Count [Specialist=orders]",
                "SlowCalls 0 Count []",
                "SpecialistLatency 40 Milliseconds [Specialist=orders]",
                "SpecialistLatency 40 Milliseconds []",
                "InputTokens 300 Count [Specialist=orders]",
                "InputTokens 300 Count []",
                "OutputTokens 50 Count [Specialist=orders]",
                "OutputTokens 50 Count []",
                "Cost 0.00165 None [Specialist=orders]",
                "Cost 0.00165 None []",
                "UnreportedCost 0.09 None [Specialist=orders]",
                "UnreportedCost 0.09 None []",
                "CircuitOpened 1 Count [Specialist=orders]",
                "CircuitOpened 1 Count []",
                "Fallbacks 1 Count [Specialist=orders]",
                "Fallbacks 1 Count []",
                "BudgetRefusals 1 Count [Limit=steps]",
                "BudgetRefusals 1 Count []",
                "LoopsDetected 1 Count []",
                "ExpiredHolds 2 Count []",
                "UncountedInvocations 1 Count []",
                "BudgetUtilization 50 Percent []",
                "SessionCost 0.09165 None []",
                "SessionSteps 6 Count []",
                "RouterOverhead 20 Milliseconds []",
                "RoutingAccuracy 0 None [FunctionVersion=7]",
                "SpecialistInvocations 1 Count [FunctionVersion=7]",
                "SpecialistErrors 0 Count [FunctionVersion=7]",
                "SpecialistLatency 40 Milliseconds [FunctionVersion=7]",
                "Cost 0.00165 None [FunctionVersion=7]",
                "RouterOverhead 20 Milliseconds [FunctionVersion=7]",
            ]
        );
    }

    #[test]
    fn a_refused_task_is_no_sample_and_no_fallback() {
        let refused = Fact::TaskEnded {
            status: crate::outcome::Status::Refused,
            reason: Some(Reason::BudgetSteps),
            specialist: None,
        };
        let facts = vec![
            received(None, None),
            (1_000, Fact::Asked { specialist: None, intent_class: "none".to_owned() }),
            (1_000, Fact::Chosen { first: orders(), detour: Some(Reason::UnknownSpecialist) }),
            (1_000, Fact::FellBack { of: orders() }),
            (1_000, refused),
        ];
        assert_eq!(lines(facts), ["RouterOverhead 60 Milliseconds []"]);
    }
}
