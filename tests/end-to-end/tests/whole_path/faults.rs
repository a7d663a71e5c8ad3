//! Every way in which an agent can fail: once, for good, and together with its fallback.
//!
//! The table below is also the one in docs/failures.md: a test renders it and compares.

use std::collections::BTreeSet;

use stand_ins::Options;
use stand_ins::agents::Fault;

use crate::support::{Account, Ask, Limits, PATIENT, Told, World, agents_with, policy_with};

/// What an attempt is charged.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Charge {
    /// It was certainly not run.
    Nothing,
    /// Nobody knows what it used: orders' whole hold.
    Unknown,
    /// It ended in order and reported what it used.
    Reported,
}

use Charge::{Nothing, Reported, Unknown};

impl Charge {
    /// Tokens and micro-dollars of an attempt of orders.
    pub(crate) fn of_orders(self) -> (u64, u64) {
        match self {
            Nothing => (0, 0),
            Unknown => (8_000, 120_000),
            Reported => (600, 3_000),
        }
    }
}

/// Faults that are treated alike.
struct Row {
    /// What happens, in words.
    what: &'static str,
    /// The faults, and what one attempt of each is charged.
    faults: &'static [(&'static str, Charge)],
    /// What the supervisor is told.
    reason: &'static str,
    /// Attempts of one specialist, where the fault lasts.
    attempts: u64,
    /// Whether the fault counts against the specialist's circuit.
    counts: bool,
}

const ROWS: [Row; 13] = [
    Row {
        what: "is throttled",
        faults: &[
            ("before:throttlingException", Nothing),
            ("before:throttledException", Nothing),
            ("in-stream:throttlingException", Unknown),
            ("in-stream:throttledException", Unknown),
        ],
        reason: "throttled",
        attempts: 3,
        counts: false,
    },
    Row {
        what: "has a service that fails (5xx), or a model that is not ready",
        faults: &[
            ("before:modelNotReadyException", Nothing),
            ("before:internalServerException", Unknown),
            ("before:badGatewayException", Unknown),
            ("in-stream:modelNotReadyException", Unknown),
            ("in-stream:internalServerException", Unknown),
            ("in-stream:badGatewayException", Unknown),
        ],
        reason: "agent_error",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "loses the connection before its answer begins",
        faults: &[("close", Unknown), ("reset", Unknown)],
        reason: "agent_error",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "has a stream that breaks off or cannot be read",
        faults: &[("close-in-stream", Unknown), ("bad-checksum", Unknown)],
        reason: "stream_broken",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "has used a quota up",
        faults: &[
            ("before:serviceQuotaExceededException", Nothing),
            ("in-stream:serviceQuotaExceededException", Unknown),
        ],
        reason: "throttled",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "calls something that fails",
        faults: &[
            ("before:dependencyFailedException", Nothing),
            ("in-stream:dependencyFailedException", Unknown),
        ],
        reason: "agent_error",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "gives up",
        faults: &[("soft-failure", Reported)],
        reason: "agent_error",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "answers nothing",
        faults: &[("empty", Reported)],
        reason: "empty_answer",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "takes too long, or falls silent",
        faults: &[
            ("hang", Unknown),
            ("hang-in-stream", Unknown),
            ("slow=60s", Unknown),
            ("drip=20ms", Unknown),
        ],
        reason: "timeout",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "has its session in use",
        faults: &[
            ("before:conflictException", Nothing),
            ("before:concurrencyException", Nothing),
            // They come after a part of the answer, so the agent has begun.
            ("in-stream:conflictException", Unknown),
            ("in-stream:concurrencyException", Unknown),
        ],
        reason: "agent_error",
        attempts: 2,
        counts: false,
    },
    Row {
        what: "may not be called by the function",
        faults: &[
            ("before:accessDeniedException", Nothing),
            ("in-stream:accessDeniedException", Unknown),
        ],
        reason: "access_denied",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "does not exist, or does not accept the request",
        faults: &[
            ("before:resourceNotFoundException", Nothing),
            ("before:validationException", Nothing),
            ("in-stream:resourceNotFoundException", Unknown),
            ("in-stream:validationException", Unknown),
        ],
        reason: "agent_error",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "asks the router to run a tool",
        faults: &[("return-control", Reported)],
        reason: "agent_error",
        attempts: 1,
        counts: false,
    },
];

/// What does no harm, and what ends a request: each has a test of its own.
pub(crate) const OTHERS: [&str; 3] = ["unknown-event", "guardrail", "masked"];

/// A policy under which nobody takes longer than half a second, if that is what it is about.
pub(crate) fn policy_where(is_about_time: bool) -> String {
    let hurry = if is_about_time { "timeout_ms = 500\n" } else { "" };
    policy_with(Limits::NONE, &format!("{hurry}{PATIENT}"))
}

async fn world(row: &Row) -> World {
    let policy = Some(policy_where(row.reason == "timeout"));
    World::start(Options { policy, ..World::options(Limits::NONE) }).await
}

impl World {
    pub(crate) async fn asks_orders(&self) -> (Ask, Told) {
        let ask = Ask::orders("Where is it?").argument("intent", "delivery");
        let told = self.ask(&ask).await;
        (ask, told)
    }

    /// What the session has used: steps, and each of these charges.
    pub(crate) async fn was_charged(
        &self,
        ask: &Ask,
        steps: u64,
        charges: &[(u64, u64)],
        fault: &str,
    ) {
        let tokens = charges.iter().map(|(tokens, _)| tokens).sum();
        let micro_usd = charges.iter().map(|(_, micro_usd)| micro_usd).sum();
        let expected = Account { steps, tokens, micro_usd };
        assert_eq!(self.account(ask).await, Some(expected), "{fault}");
    }

    /// The failures in a row that the circuit of orders has counted.
    pub(crate) async fn failures_of_orders(&self) -> u64 {
        let key = stand_ins::table::key("CIRCUIT#orders", "STATE");
        let item = self.table().item(&key).await.unwrap();
        item.map_or(0, |item| {
            assert_eq!(item["state"].as_s().unwrap(), "closed");
            item["failures"].as_n().unwrap().parse().unwrap()
        })
    }
}

/// What an answer of orders and one of general cost.
pub(crate) const ORDERS: (u64, u64) = (600, 3_000);
pub(crate) const GENERAL: (u64, u64) = (250, 360);

pub(crate) fn charges(attempts: u64, charge: Charge) -> Vec<(u64, u64)> {
    (0..attempts).map(|_| charge.of_orders()).collect()
}

#[tokio::test]
async fn while_a_specialist_fails_the_fallback_answers_and_what_may_have_run_is_charged() {
    for row in &ROWS {
        let world = world(row).await;
        let mut counted = 0;
        for (fault, charge) in row.faults {
            world.agents().fail_as(&format!("orders={fault}")).unwrap();
            let (ask, told) = world.asks_orders().await;
            assert_eq!(told.outcome(), ("fell_back", Some(row.reason)), "{fault}");
            assert_eq!(told.body["specialist"], "general", "{fault}");
            assert_eq!(told.body["answer"], "general says yes", "{fault}");
            assert_eq!(told.body["attempts"], row.attempts + 1, "{fault}");
            let charged = [charges(row.attempts, *charge), vec![GENERAL]].concat();
            world.was_charged(&ask, 2, &charged, fault).await;
            counted += if row.counts { row.attempts } else { 0 };
            assert_eq!(world.failures_of_orders().await, counted, "{fault}");
            let throttled = if row.reason == "throttled" { row.attempts as f64 } else { 0.0 };
            let cost = charge.of_orders().1 as f64 * row.attempts as f64 / 1e6;
            let [reported, beyond] = ["Cost", "UnreportedCost"]
                .map(|name| told.metric(name, "Specialist=orders").unwrap());
            assert!((reported + beyond - cost).abs() < 1e-9, "{fault}: {reported} and {beyond}");
            assert_eq!(beyond > 0.0, *charge == Unknown, "{fault}");
            for (name, set, value) in [
                ("SpecialistInvocations", "", Some(2.0)),
                ("SpecialistInvocations", "Specialist=orders", Some(1.0)),
                ("SpecialistErrors", "", Some(1.0)),
                ("SpecialistErrors", "Specialist=orders", Some(1.0)),
                ("SpecialistErrors", "Specialist=general", Some(0.0)),
                ("SpecialistThrottles", "Specialist=orders", Some(throttled)),
                ("Fallbacks", "Specialist=orders", Some(1.0)),
                ("RoutingAccuracy", "", None),
                ("BudgetRefusals", "", None),
                ("CircuitOpened", "", None),
            ] {
                assert_eq!(told.metric(name, set), value, "{name}[{set}] of {fault}");
            }
        }
    }
}

#[tokio::test]
async fn a_fault_that_passes_leaves_the_answer_to_the_specialist() {
    for row in &ROWS {
        let world = world(row).await;
        for (fault, charge) in row.faults {
            // Every second attempt, beginning with the first.
            world.agents().fail_as(&format!("orders={fault}:0.5")).unwrap();
            let (ask, told) = world.asks_orders().await;
            let spent = charge.of_orders();
            if row.attempts > 1 {
                assert_eq!(told.outcome(), ("answered", None), "{fault}");
                assert_eq!(told.body["attempts"], 2, "{fault}");
                world.was_charged(&ask, 1, &[spent, ORDERS], fault).await;
                assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0), "{fault}");
                assert_eq!(told.metric("RoutingAccuracy", ""), Some(1.0), "{fault}");
                assert_eq!(world.failures_of_orders().await, 0, "{fault}");
            } else {
                assert_eq!(told.outcome(), ("fell_back", Some(row.reason)), "{fault}");
                assert_eq!(told.body["attempts"], 2, "{fault}");
                world.was_charged(&ask, 2, &[spent, GENERAL], fault).await;
            }
        }
    }
}

#[tokio::test]
async fn when_the_fallback_fails_too_the_first_reason_stands_and_all_is_charged() {
    for row in &ROWS {
        let world = world(row).await;
        for (fault, charge) in row.faults {
            world.agents().fail_as(&format!("*={fault}")).unwrap();
            let (ask, told) = world.asks_orders().await;
            assert_eq!(told.outcome(), ("failed", Some(row.reason)), "{fault}");
            assert_eq!(told.body["specialist"], "general", "{fault}");
            assert_eq!(told.body["answer"], serde_json::Value::Null, "{fault}");
            assert_eq!(told.body["attempts"], 2 * row.attempts, "{fault}");
            let of_general = match charge {
                Nothing => (0, 0),
                Unknown => (4_000, 16_000),
                Reported => GENERAL,
            };
            let general = (0..row.attempts).map(|_| of_general).collect();
            let charged = [charges(row.attempts, *charge), general].concat();
            world.was_charged(&ask, 2, &charged, fault).await;
            assert_eq!(told.metric("SpecialistErrors", ""), Some(2.0), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_service_that_refuses_connections_is_tried_again_and_charged_nothing() {
    let world = World::with(Limits::NONE).await;
    world.agents().go_down().await.unwrap();
    let (ask, told) = world.asks_orders().await;
    assert_eq!(told.outcome(), ("failed", Some("agent_error")));
    assert_eq!(told.body["attempts"], 6, "orders and general, three times each");
    world.was_charged(&ask, 2, &[], "refused").await;
    assert_eq!(world.failures_of_orders().await, 3);
    world.agents().come_back().await.unwrap();
    let (_, told) = world.asks_orders().await;
    assert_eq!(told.outcome(), ("answered", None));
}

#[tokio::test]
async fn a_thousand_events_and_a_huge_one_are_an_answer() {
    let agents = agents_with([
        ("[many]", "answer_bytes = 1000\nchunks = 1000\nusage = [{ input = 500, output = 100 }]"),
        ("[huge]", "answer_bytes = 1000000\nusage = [{ input = 500, output = 100 }]"),
    ]);
    let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    for (request, truncated) in [("[many]", false), ("[huge]", true)] {
        let ask = Ask::orders(request);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None), "{request}");
        assert_eq!(told.body["truncated"], truncated, "{request}");
        world.was_charged(&ask, 1, &[ORDERS], request).await;
    }
}

#[test]
fn every_fault_that_an_agent_can_have_is_in_the_table() {
    let kind = |fault: &str| fault.split('=').next().unwrap().to_owned();
    let tested: BTreeSet<String> = ROWS
        .iter()
        .flat_map(|row| row.faults)
        .map(|(fault, _)| *fault)
        .chain(OTHERS)
        .map(kind)
        .collect();
    let all: BTreeSet<String> = Fault::all().iter().map(|fault| kind(&fault.to_string())).collect();
    assert_eq!(tested, all);
}

impl Row {
    /// The row as docs/failures.md has it.
    fn in_words(&self) -> String {
        let charged = match self.faults.iter().map(|(_, charge)| *charge).collect::<Vec<_>>()[..] {
            [Nothing, .., Unknown] => "nothing for HTTP 4xx, else the unknown usage",
            [Reported, ..] => "what it reported, else the unknown usage",
            _ => "the unknown usage",
        };
        let mut metrics = vec!["`SpecialistErrors`"];
        let mut alarms = vec!["`*ErrorRateAlarm`"];
        if self.reason == "throttled" {
            metrics.push("`SpecialistThrottles`");
        }
        if self.reason == "timeout" {
            metrics.push("`SpecialistLatency`");
            alarms.push("`*LatencyAlarm`");
        }
        if self.counts {
            metrics.push("`CircuitOpened`");
            alarms.push("`CircuitOpenedAlarm`");
        }
        let (metrics, alarms) = (metrics.join(", "), alarms.join(", "));
        let Self { what, reason, attempts, .. } = self;
        format!("| {what} | `{reason}` | {attempts} | {charged} | {metrics} | {alarms} |")
    }
}

#[test]
fn the_documentation_says_of_faults_what_was_tested() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/failures.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<String> = ROWS.iter().map(Row::in_words).collect();
    let table = rows.join("\n");
    assert!(page.contains(&table), "docs/failures.md should have these rows:\n{table}");
}
