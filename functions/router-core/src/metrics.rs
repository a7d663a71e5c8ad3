//! What one request tells CloudWatch.
//!
//! CloudWatch never adds dimensions up: what an alarm watches must be published in exactly
//! its dimensions. So each fact becomes one datum for each dimension set that somebody
//! looks at. Dimension values come from closed sets only (names of the policy, its intents,
//! limits): every new value is a metric that is paid for.

use std::future::Future;
use std::time::Duration;

use crate::ledger::{Account, Limit};
use crate::policy::{Policy, SpecialistName};
use crate::units::{MicroUsd, Timestamp, TokenUse};

/// A unit of CloudWatch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Percent.
    Percent,
    /// A number without a unit.
    None,
}

impl Unit {
    /// CloudWatch's name of the unit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
            Self::None => "None",
        }
    }
}

/// One value of one metric in one dimension set.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// The metric's name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The value.
    pub value: f64,
    /// The dimensions, by name.
    pub dimensions: Vec<(&'static str, String)>,
}

/// All that one request tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The time of the request.
    pub timestamp: Timestamp,
    /// The data.
    pub data: Vec<Datum>,
}

/// Where metrics go.
pub trait MetricsSink {
    /// Publishes a batch within `within`, or writes it where it will be found. It cannot
    /// fail: no metric is lost, and none delays an answer longer than this.
    fn publish(&self, batch: &Batch, within: Duration) -> impl Future<Output = ()> + Send;
}

/// The first request of a function's environment, told as Powertools tells it: under the names of
/// the function and its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdStart {
    /// The function's name.
    pub function_name: String,
    /// The service that it belongs to.
    pub service: String,
}

/// The facts of one request, gathered while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestMetrics {
    /// Whether the request is its environment's first.
    pub cold_start: Option<ColdStart>,
    /// The published version of the function that served the request, if it is one.
    pub function_version: Option<String>,
    /// Whether the right specialist was asked, where the router can tell.
    pub accuracy: Option<AccuracySample>,
    /// Every invocation, in order.
    pub invocations: Vec<InvocationMetrics>,
    /// Whose place a fallback took, once for each fallback.
    pub fallbacks: Vec<SpecialistName>,
    /// The limits that had no room.
    pub refused_by: Vec<Limit>,
    /// Whether the request passed too many routers, or was repeated too often.
    pub loop_detected: bool,
    /// Whose circuits the request opened.
    pub circuits_opened: Vec<SpecialistName>,
    /// Holds of dead invocations that were found, and stay charged.
    pub expired_holds: u64,
    /// Invocations that no budget was charged for, because the table gave no answer.
    pub uncounted_invocations: u64,
    /// The account of the session after the request, where it is known.
    pub account: Option<Account>,
    /// The time that the router itself took.
    pub overhead: Duration,
}

/// Whether one specialist was the right one to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct AccuracySample {
    /// The class of the request; see [`intent_class`].
    pub intent_class: String,
    /// The specialist asked for; for a name that the policy does not have, the fallback.
    pub routed_to: SpecialistName,
    /// Whether it exists and took the request as its job.
    pub accurate: bool,
}

/// One invocation of one specialist, its retries included.
#[derive(Clone, Debug, PartialEq)]
pub struct InvocationMetrics {
    /// The specialist.
    pub specialist: SpecialistName,
    /// Whether it ended without a usable answer.
    pub failed: bool,
    /// Its attempts.
    pub attempts: u64,
    /// How many of its attempts were throttled.
    pub throttled_attempts: u64,
    /// Whether its latency is over the specialist's `slow_call_ms`.
    pub is_slow: bool,
    /// When its first attempt began.
    pub started: Timestamp,
    /// The time from its first attempt to the end of its last.
    pub latency: Duration,
    /// The tokens that it used, as far as they were reported.
    pub used: TokenUse,
    /// What the usage that was reported costs.
    pub reported_cost: MicroUsd,
    /// What was charged for it: the same, and what was assumed where usage is unknown.
    pub cost: MicroUsd,
}

/// The class that an intent counts in: itself when the policy knows it, `none` when it was
/// not given, `other` otherwise. A model's inventions must not become paid metrics.
pub fn intent_class(intent: Option<&str>, policy: &Policy) -> String {
    match intent {
        None => "none".to_owned(),
        Some(intent) if policy.knows_intent(intent) => intent.to_owned(),
        Some(_) => "other".to_owned(),
    }
}

impl RequestMetrics {
    /// The data of all facts, each in its dimension sets.
    pub fn data(&self) -> Vec<Datum> {
        let mut data = Vec::new();
        let mut add = |name, unit, value, dimensions: &[(&'static str, &str)]| {
            let owned = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
            let dimensions = dimensions.iter().map(owned).collect();
            data.push(Datum { name, unit, value, dimensions });
        };
        if let Some(ColdStart { function_name, service }) = &self.cold_start {
            let dimensions = [("function_name", &**function_name), ("service", &**service)];
            add("ColdStart", Unit::Count, 1.0, &dimensions);
        }
        if let Some(sample) = &self.accuracy {
            let routed_to = sample.routed_to.as_str();
            let dimensions =
                [("IntentClass", sample.intent_class.as_str()), ("SpecialistRouted", routed_to)];
            let value = if sample.accurate { 1.0 } else { 0.0 };
            add("RoutingAccuracy", Unit::None, value, &dimensions);
            add("RoutingAccuracy", Unit::None, value, &[]);
        }
        for invocation in &self.invocations {
            for dimensions in in_all_and_by("Specialist", invocation.specialist.as_str()) {
                let failed = if invocation.failed { 1.0 } else { 0.0 };
                let latency = in_milliseconds(invocation.latency);
                add("SpecialistInvocations", Unit::Count, 1.0, &dimensions);
                add("SpecialistErrors", Unit::Count, failed, &dimensions);
                let throttled = invocation.throttled_attempts as f64;
                add("SpecialistThrottles", Unit::Count, throttled, &dimensions);
                let slow = if invocation.is_slow { 1.0 } else { 0.0 };
                add("SlowCalls", Unit::Count, slow, &dimensions);
                add("SpecialistLatency", Unit::Milliseconds, latency, &dimensions);
                add("InputTokens", Unit::Count, invocation.used.all_input().0 as f64, &dimensions);
                add(
                    "OutputTokens",
                    Unit::Count,
                    invocation.used.all_output().0 as f64,
                    &dimensions,
                );
                let reported = invocation.reported_cost;
                let beyond = MicroUsd(invocation.cost.0.saturating_sub(reported.0));
                add("Cost", Unit::None, reported.to_usd(), &dimensions);
                add("UnreportedCost", Unit::None, beyond.to_usd(), &dimensions);
            }
        }
        for specialist in &self.fallbacks {
            for dimensions in in_all_and_by("Specialist", specialist.as_str()) {
                add("Fallbacks", Unit::Count, 1.0, &dimensions);
            }
        }
        for specialist in &self.circuits_opened {
            for dimensions in in_all_and_by("Specialist", specialist.as_str()) {
                add("CircuitOpened", Unit::Count, 1.0, &dimensions);
            }
        }
        for limit in &self.refused_by {
            for dimensions in in_all_and_by("Limit", limit.as_str()) {
                add("BudgetRefusals", Unit::Count, 1.0, &dimensions);
            }
        }
        if self.loop_detected {
            add("LoopsDetected", Unit::Count, 1.0, &[]);
        }
        for (name, count) in [
            ("ExpiredHolds", self.expired_holds),
            ("UncountedInvocations", self.uncounted_invocations),
        ] {
            if count > 0 {
                add(name, Unit::Count, count as f64, &[]);
            }
        }
        if let Some(account) = &self.account {
            add("BudgetUtilization", Unit::Percent, account.utilization_percent(), &[]);
            add("SessionCost", Unit::None, account.spent.cost.to_usd(), &[]);
            add("SessionSteps", Unit::Count, account.steps as f64, &[]);
        }
        add("RouterOverhead", Unit::Milliseconds, in_milliseconds(self.overhead), &[]);
        if let Some(version) = &self.function_version {
            data.extend(of_version(version, &data));
        }
        data
    }

    /// The time in which any specialist was waited for. Several at once are waited for once.
    pub fn waited(&self) -> Duration {
        let span = |of: &InvocationMetrics| (of.started, of.started.after(of.latency));
        let mut spans: Vec<_> = self.invocations.iter().map(span).collect();
        spans.sort_unstable();
        let mut counted_until = Timestamp(0);
        let mut waited = Duration::ZERO;
        for (start, end) in spans {
            waited += end.since(start.max(counted_until));
            counted_until = counted_until.max(end);
        }
        waited
    }
}

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

/// The same data once more, by the version of the function.
fn of_version(version: &str, data: &[Datum]) -> Vec<Datum> {
    let is_judged =
        |datum: &&Datum| datum.dimensions.is_empty() && JUDGED_BY_VERSION.contains(&datum.name);
    let by_version = |datum: &Datum| Datum {
        dimensions: vec![("FunctionVersion", version.to_owned())],
        ..datum.clone()
    };
    data.iter().filter(is_judged).map(by_version).collect()
}

/// The two dimension sets of a metric that is watched by one dimension and in all.
fn in_all_and_by<'a>(dimension: &'static str, value: &'a str) -> [Vec<(&'static str, &'a str)>; 2] {
    [vec![(dimension, value)], Vec::new()]
}

fn in_milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{account, policy};
    use crate::invocation::Charge;
    use crate::units::Tokens;

    fn lines(metrics: &RequestMetrics) -> Vec<String> {
        let line = |datum: &Datum| {
            let dimensions: Vec<String> =
                datum.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let unit = datum.unit.as_str();
            format!("{} {} {} [{}]", datum.name, datum.value, unit, dimensions.join(","))
        };
        metrics.data().iter().map(line).collect()
    }

    #[test]
    fn a_request_that_called_nobody_tells_only_what_it_cost_the_router() {
        let metrics =
            RequestMetrics { overhead: Duration::from_micros(1_500), ..RequestMetrics::default() };
        assert_eq!(lines(&metrics), ["RouterOverhead 1.5 Milliseconds []"]);
    }

    #[test]
    fn every_fact_is_told_in_each_of_its_dimension_sets() {
        let orders = SpecialistName::parse("orders").unwrap();
        let metrics = RequestMetrics {
            cold_start: Some(ColdStart {
                function_name: "router".to_owned(),
                service: "agents".to_owned(),
            }),
            function_version: Some("7".to_owned()),
            accuracy: Some(AccuracySample {
                intent_class: "delivery".to_owned(),
                routed_to: orders.clone(),
                accurate: false,
            }),
            invocations: vec![InvocationMetrics {
                specialist: orders.clone(),
                failed: false,
                attempts: 3,
                throttled_attempts: 2,
                is_slow: true,
                started: Timestamp(0),
                latency: Duration::from_millis(40),
                used: TokenUse::new(300, 50),
                reported_cost: MicroUsd(1_650),
                cost: MicroUsd(91_650),
            }],
            fallbacks: vec![orders.clone()],
            circuits_opened: vec![orders],
            refused_by: vec![Limit::Steps],
            loop_detected: true,
            expired_holds: 2,
            uncounted_invocations: 1,
            account: Some(Account {
                steps: 6,
                spent: Charge { tokens: Tokens(350), cost: MicroUsd(91_650) },
                ..account()
            }),
            overhead: Duration::from_millis(3),
        };
        assert_eq!(
            lines(&metrics),
            [
                "ColdStart 1 Count [function_name=router,service=agents]",
                "RoutingAccuracy 0 None [IntentClass=delivery,SpecialistRouted=orders]",
                "RoutingAccuracy 0 None []",
                "SpecialistInvocations 1 Count [Specialist=orders]",
                "SpecialistErrors 0 Count [Specialist=orders]",
                "SpecialistThrottles 2 Count [Specialist=orders]",
                "SlowCalls 1 Count [Specialist=orders]",
                "SpecialistLatency 40 Milliseconds [Specialist=orders]",
                "InputTokens 300 Count [Specialist=orders]",
                "OutputTokens 50 Count [Specialist=orders]",
                "Cost 0.00165 None [Specialist=orders]",
                "UnreportedCost 0.09 None [Specialist=orders]",
                "SpecialistInvocations 1 Count []",
                "SpecialistErrors 0 Count []",
                "SpecialistThrottles 2 Count []",
                "SlowCalls 1 Count []",
                "SpecialistLatency 40 Milliseconds []",
                "InputTokens 300 Count []",
                "OutputTokens 50 Count []",
                "Cost 0.00165 None []",
                "UnreportedCost 0.09 None []",
                "Fallbacks 1 Count [Specialist=orders]",
                "Fallbacks 1 Count []",
                "CircuitOpened 1 Count [Specialist=orders]",
                "CircuitOpened 1 Count []",
                "BudgetRefusals 1 Count [Limit=steps]",
                "BudgetRefusals 1 Count []",
                "LoopsDetected 1 Count []",
                "ExpiredHolds 2 Count []",
                "UncountedInvocations 1 Count []",
                "BudgetUtilization 50 Percent []",
                "SessionCost 0.09165 None []",
                "SessionSteps 6 Count []",
                "RouterOverhead 3 Milliseconds []",
                "RoutingAccuracy 0 None [FunctionVersion=7]",
                "SpecialistInvocations 1 Count [FunctionVersion=7]",
                "SpecialistErrors 0 Count [FunctionVersion=7]",
                "SpecialistLatency 40 Milliseconds [FunctionVersion=7]",
                "Cost 0.00165 None [FunctionVersion=7]",
                "RouterOverhead 3 Milliseconds [FunctionVersion=7]",
            ]
        );
    }

    #[test]
    fn time_in_which_several_are_waited_for_counts_once() {
        let invocation = |start, millis| InvocationMetrics {
            specialist: SpecialistName::parse("orders").unwrap(),
            failed: false,
            attempts: 1,
            throttled_attempts: 0,
            is_slow: false,
            started: Timestamp(start),
            latency: Duration::from_millis(millis),
            used: TokenUse::default(),
            reported_cost: MicroUsd(0),
            cost: MicroUsd(0),
        };
        let waited = |invocations: &[(u64, u64)]| {
            let invocations =
                invocations.iter().map(|&(start, millis)| invocation(start, millis)).collect();
            RequestMetrics { invocations, ..RequestMetrics::default() }.waited().as_millis()
        };
        assert_eq!(waited(&[]), 0);
        assert_eq!(waited(&[(10, 5), (20, 7)]), 12, "one after the other");
        assert_eq!(waited(&[(10, 100), (20, 10), (90, 40)]), 120, "within, and over the end");
        assert_eq!(waited(&[(90, 40), (10, 100)]), 120, "in whatever order they ended");
        assert_eq!(waited(&[(10, 5), (10, 5), (15, 5)]), 10, "the same, and the next");
    }

    #[test]
    fn intents_are_a_closed_set() {
        let policy = policy();
        assert_eq!(intent_class(Some("delivery"), &policy), "delivery");
        assert_eq!(intent_class(Some("astrology"), &policy), "other");
        assert_eq!(intent_class(None, &policy), "none");
    }
}
