//! What CloudWatch is told.
//!
//! CloudWatch does not add dimensions up for an alarm, so each metric is a datum in each of the
//! dimension sets in which it is watched. Dimensions come from closed sets: names of the policy,
//! its intents, limits.

use std::borrow::Cow;
use std::time::Duration;

use super::{Invocation, account, invocations, is_refused};
use crate::journal::{Entry, Fact, NotHeld};
use crate::ledger::Purpose;
use crate::metrics::{ColdStart, Datum, Unit};
use crate::outcome::Reason;
use crate::policy::Policy;
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
    accuracy(entries, &mut data);
    let invocations = invocations(entries);
    for invocation in &invocations {
        of_invocation(invocation, policy, &mut data);
    }
    counts(entries, &mut data);
    if let Some(account) = account(entries) {
        let percent = account.utilization_percent();
        let spent = account.spent.cost.to_usd();
        data.add("BudgetUtilization", Unit::Percent, percent, Vec::new());
        data.add("SessionCost", Unit::None, spent, Vec::new());
        data.add("SessionSteps", Unit::Count, account.steps as f64, Vec::new());
    }
    let overhead = overhead(entries, &invocations, now);
    data.add("RouterOverhead", Unit::Milliseconds, in_milliseconds(overhead), Vec::new());
    if let Some(version) = version {
        data.judge(version);
    }
    data.0
}

/// The time that the router itself took, up to `now`: that in which no specialist was waited for.
pub fn overhead(entries: &[Entry], invocations: &[Invocation<'_>], now: Timestamp) -> Duration {
    let began = entries.first().map_or(now, |entry| entry.at);
    let mut waits: Vec<_> = invocations.iter().map(|wait| (wait.began, wait.ended)).collect();
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
/// refusal and a choice that the supervisor was not sure of are no sample.
fn accuracy<'e>(entries: &'e [Entry], data: &mut Data<'e>) {
    for (place, entry) in entries.iter().enumerate() {
        let Fact::Asked { specialist: asked, intent_class } = &entry.fact else { continue };
        if is_refused(entries, entry.task) {
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
                    None => true,
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

fn of_invocation<'e>(invocation: &Invocation<'e>, policy: &Policy, data: &mut Data<'e>) {
    let specialist = policy.find(invocation.specialist.as_str());
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
            Fact::Uncounted => uncounted += 1,
            _ => {}
        }
        if let Fact::Held { expired_holds: found, .. }
        | Fact::NotHeld { expired_holds: found, .. } = &entry.fact
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
