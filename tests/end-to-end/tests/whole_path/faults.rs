//! Every way in which an agent of each kind can fail: once, for good, and together with its fallback.
//!
//! The table below is also the one in docs/failures.md: a test renders it and compares.

use std::collections::BTreeSet;

use stand_ins::Options;
use stand_ins::agents::Fault;

use crate::support::{Account, Ask, Cast, Limits, PATIENT, Told, World, agents_with, policy_with};

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
pub(crate) struct Row {
    /// What happens, in words.
    what: &'static str,
    /// The faults, by whom they are had, and what one attempt of each is charged.
    faults: &'static [(&'static [Cast], &'static str, Charge)],
    /// What the supervisor is told.
    pub(crate) reason: &'static str,
    /// Attempts of one specialist, where the fault lasts.
    pub(crate) attempts: u64,
    /// Whether the fault counts against the specialist's circuit.
    counts: bool,
}

const ALL: &[Cast] = &Cast::ALL;
/// What they send can break off in its midst with an exception.
const STREAMS: &[Cast] = &[Cast::Bedrock, Cast::Stream, Cast::Strands, Cast::Harness, Cast::Model];
/// The exceptions of their streams have names of AWS.
const FRAMES: &[Cast] = &[Cast::Bedrock, Cast::Harness, Cast::Model];
const CONVERSE: &[Cast] = &[Cast::Harness, Cast::Model];
const AGENTCORE: &[Cast] = &[Cast::Stream, Cast::Json, Cast::Strands, Cast::Harness];
const RUNTIMES: &[Cast] = &[Cast::Stream, Cast::Json, Cast::Strands];
/// Runtimes that have begun to answer when they fail.
const EVENTS: &[Cast] = &[Cast::Stream, Cast::Strands];
const BEDROCK: &[Cast] = &[Cast::Bedrock];
const JSON: &[Cast] = &[Cast::Json];
const HARNESS: &[Cast] = &[Cast::Harness];
const MODEL: &[Cast] = &[Cast::Model];

const ROWS: [Row; 14] = [
    Row {
        what: "is throttled",
        faults: &[
            (ALL, "before:throttlingException", Nothing),
            (ALL, "before:throttledException", Nothing),
            // HTTP 429 at Bedrock's models.
            (MODEL, "before:modelNotReadyException", Nothing),
            (STREAMS, "in-stream:throttlingException", Unknown),
            (STREAMS, "in-stream:throttledException", Unknown),
        ],
        reason: "throttled",
        attempts: 3,
        counts: false,
    },
    Row {
        what: "has a service, a container or a model that fails",
        faults: &[
            (BEDROCK, "before:modelNotReadyException", Nothing),
            (MODEL, "before:dependencyFailedException", Nothing),
            (ALL, "before:internalServerException", Unknown),
            (ALL, "before:badGatewayException", Unknown),
            // HTTP 424 that stands for the container, which may have run.
            (AGENTCORE, "before:dependencyFailedException", Unknown),
            (AGENTCORE, "before:modelNotReadyException", Unknown),
            (STREAMS, "in-stream:internalServerException", Unknown),
            (STREAMS, "in-stream:badGatewayException", Unknown),
            (STREAMS, "in-stream:modelNotReadyException", Unknown),
            (CONVERSE, "in-stream:dependencyFailedException", Unknown),
            // What an agent's code raised, whatever it is called. One that answers with JSON has
            // not begun then.
            (EVENTS, "in-stream:dependencyFailedException", Unknown),
            (EVENTS, "in-stream:serviceQuotaExceededException", Unknown),
            (EVENTS, "in-stream:accessDeniedException", Unknown),
            (EVENTS, "in-stream:resourceNotFoundException", Unknown),
            (EVENTS, "in-stream:validationException", Unknown),
            (JSON, "in-stream:throttlingException", Unknown),
            // A stream may have told a part of its usage only.
            (EVENTS, "soft-failure", Unknown),
            (JSON, "soft-failure", Reported),
            (CONVERSE, "stop:malformed_model_output", Reported),
            (CONVERSE, "stop:malformed_tool_use", Reported),
        ],
        reason: "agent_error",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "loses the connection before its answer begins",
        faults: &[(ALL, "close", Unknown), (ALL, "reset", Unknown)],
        reason: "agent_error",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "has a stream that breaks off, or a frame that is damaged",
        faults: &[(ALL, "close-in-stream", Unknown), (FRAMES, "bad-checksum", Unknown)],
        reason: "stream_broken",
        attempts: 3,
        counts: true,
    },
    Row {
        what: "sends what is no text, or no JSON",
        faults: &[(RUNTIMES, "bad-checksum", Unknown)],
        reason: "stream_broken",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "has used a quota up",
        faults: &[
            (ALL, "before:serviceQuotaExceededException", Nothing),
            (FRAMES, "in-stream:serviceQuotaExceededException", Unknown),
        ],
        reason: "throttled",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "calls something that fails",
        faults: &[
            (BEDROCK, "before:dependencyFailedException", Nothing),
            (BEDROCK, "in-stream:dependencyFailedException", Unknown),
        ],
        reason: "agent_error",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "gives up, or reaches a limit of its own",
        faults: &[
            (FRAMES, "soft-failure", Reported),
            (CONVERSE, "stop:max_tokens", Reported),
            (CONVERSE, "stop:model_context_window_exceeded", Reported),
            (HARNESS, "stop:max_iterations_exceeded", Reported),
            (HARNESS, "stop:max_output_tokens_exceeded", Reported),
            (HARNESS, "stop:timeout_exceeded", Reported),
            (HARNESS, "stop:interrupted", Reported),
            (HARNESS, "stop:partial_turn", Reported),
            (HARNESS, "stop:tool_result", Reported),
        ],
        reason: "agent_error",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "answers nothing",
        faults: &[
            (ALL, "empty", Reported),
            // It has no text, only what is to be done.
            (RUNTIMES, "return-control", Reported),
        ],
        reason: "empty_answer",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "takes too long, or falls silent",
        faults: &[
            (ALL, "hang", Unknown),
            (ALL, "hang-in-stream", Unknown),
            (ALL, "slow=60s", Unknown),
            (ALL, "drip=20ms", Unknown),
        ],
        reason: "timeout",
        attempts: 1,
        counts: true,
    },
    Row {
        what: "has its session in use",
        faults: &[
            (ALL, "before:conflictException", Nothing),
            (ALL, "before:concurrencyException", Nothing),
            // They come after a part of the answer, so the agent has begun.
            (STREAMS, "in-stream:conflictException", Unknown),
            (STREAMS, "in-stream:concurrencyException", Unknown),
        ],
        reason: "agent_error",
        attempts: 2,
        counts: false,
    },
    Row {
        what: "may not be called by the function, or not go on",
        faults: &[
            (ALL, "before:accessDeniedException", Nothing),
            (FRAMES, "in-stream:accessDeniedException", Unknown),
            (HARNESS, "stop:hook_stopped", Reported),
        ],
        reason: "access_denied",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "does not exist, or does not accept the request",
        faults: &[
            (ALL, "before:resourceNotFoundException", Nothing),
            (ALL, "before:validationException", Nothing),
            (FRAMES, "in-stream:resourceNotFoundException", Unknown),
            (FRAMES, "in-stream:validationException", Unknown),
        ],
        reason: "agent_error",
        attempts: 1,
        counts: false,
    },
    Row {
        what: "asks the router to run a tool",
        faults: &[(FRAMES, "return-control", Reported), (CONVERSE, "stop:tool_use", Reported)],
        reason: "agent_error",
        attempts: 1,
        counts: false,
    },
];

/// What does no harm, and what ends a request: each has a test of its own.
const OTHERS: [&str; 7] = [
    "unknown-event",
    "guardrail",
    "masked",
    "stop:end_turn",
    "stop:stop_sequence",
    "stop:guardrail_intervened",
    "stop:content_filtered",
];

/// One fault of the table.
pub(crate) struct Case {
    pub(crate) fault: &'static str,
    pub(crate) charge: Charge,
    pub(crate) row: &'static Row,
}

impl Row {
    /// The faults that this cast has.
    fn cases(&'static self, cast: Cast) -> impl Iterator<Item = Case> {
        let of_cast = self.faults.iter().filter(move |(casts, ..)| casts.contains(&cast));
        of_cast.map(move |(_, fault, charge)| Case { fault, charge: *charge, row: self })
    }
}

/// A policy under which nobody takes longer than half a second, if that is what it is about.
pub(crate) fn policy_where(is_about_time: bool) -> String {
    let hurry = if is_about_time { "timeout_ms = 500\n" } else { "" };
    policy_with(Limits::NONE, &format!("{hurry}{PATIENT}"))
}

/// Goes through the table: a world for all that this cast does, and one for what takes its time.
pub(crate) async fn each_case(cast: Cast, mut check: impl AsyncFnMut(&World, &Case, &str)) {
    for is_about_time in [false, true] {
        let agents = Some(cast.of(&agents_with([])));
        let policy = Some(policy_where(is_about_time));
        let world = World::start(Options { policy, agents, ..World::options(Limits::NONE) }).await;
        let cases = ROWS.iter().flat_map(|row| row.cases(cast));
        for case in cases.filter(|case| (case.row.reason == "timeout") == is_about_time) {
            check(&world, &case, &format!("{} of {cast:?}", case.fault)).await;
        }
    }
}

/// A rule that holds for every cast, each in a test of its own.
macro_rules! for_each_cast {
    ($rule:ident) => {
        mod $rule {
            use crate::support::Cast;

            #[tokio::test]
            async fn of_bedrock_agents() {
                super::$rule(Cast::Bedrock).await;
            }

            #[tokio::test]
            async fn of_runtimes_that_stream() {
                super::$rule(Cast::Stream).await;
            }

            #[tokio::test]
            async fn of_runtimes_that_send_json() {
                super::$rule(Cast::Json).await;
            }

            #[tokio::test]
            async fn of_runtimes_with_strands() {
                super::$rule(Cast::Strands).await;
            }

            #[tokio::test]
            async fn of_harnesses() {
                super::$rule(Cast::Harness).await;
            }

            #[tokio::test]
            async fn of_models() {
                super::$rule(Cast::Model).await;
            }
        }
    };
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

pub(crate) use for_each_cast;

for_each_cast!(while_a_specialist_fails_the_fallback_answers_and_what_may_have_run_is_charged);

async fn while_a_specialist_fails_the_fallback_answers_and_what_may_have_run_is_charged(
    cast: Cast,
) {
    each_case(cast, async |world: &World, case: &Case, name: &str| {
        let Case { fault, charge, row } = case;
        let counted = world.failures_of_orders().await;
        world.agents().fail_as(&format!("orders={fault}")).unwrap();
        let (ask, told) = world.asks_orders().await;
        assert_eq!(told.outcome(), ("fell_back", Some(row.reason)), "{name}");
        assert_eq!(told.body["specialist"], "general", "{name}");
        assert_eq!(told.body["answer"], "general says yes", "{name}");
        assert_eq!(told.body["attempts"], row.attempts + 1, "{name}");
        let charged = [charges(row.attempts, *charge), vec![GENERAL]].concat();
        world.was_charged(&ask, 2, &charged, name).await;
        let counts = if row.counts { row.attempts } else { 0 };
        assert_eq!(world.failures_of_orders().await, counted + counts, "{name}");
        let throttled = if row.reason == "throttled" { row.attempts as f64 } else { 0.0 };
        let cost = charge.of_orders().1 as f64 * row.attempts as f64 / 1e6;
        let [reported, beyond] =
            ["Cost", "UnreportedCost"].map(|name| told.metric(name, "Specialist=orders").unwrap());
        assert!((reported + beyond - cost).abs() < 1e-9, "{name}: {reported} and {beyond}");
        assert_eq!(beyond > 0.0, *charge == Unknown, "{name}");
        for (metric, set, value) in [
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
            assert_eq!(told.metric(metric, set), value, "{metric}[{set}]: {name}");
        }
    })
    .await;
}

for_each_cast!(a_fault_that_passes_leaves_the_answer_to_the_specialist);

async fn a_fault_that_passes_leaves_the_answer_to_the_specialist(cast: Cast) {
    each_case(cast, async |world: &World, case: &Case, name: &str| {
        let Case { fault, charge, row } = case;
        // Every second attempt, beginning with the first.
        world.agents().fail_as(&format!("orders={fault}:0.5")).unwrap();
        let (ask, told) = world.asks_orders().await;
        let spent = charge.of_orders();
        assert_eq!(told.body["attempts"], 2, "{name}");
        if row.attempts > 1 {
            assert_eq!(told.outcome(), ("answered", None), "{name}");
            assert_eq!(told.body["answer"], "orders says yes", "{name}");
            world.was_charged(&ask, 1, &[spent, ORDERS], name).await;
            assert_eq!(told.metric("SpecialistErrors", ""), Some(0.0), "{name}");
            assert_eq!(told.metric("RoutingAccuracy", ""), Some(1.0), "{name}");
            assert_eq!(world.failures_of_orders().await, 0, "{name}");
        } else {
            assert_eq!(told.outcome(), ("fell_back", Some(row.reason)), "{name}");
            world.was_charged(&ask, 2, &[spent, GENERAL], name).await;
        }
    })
    .await;
}

for_each_cast!(when_the_fallback_fails_too_the_first_reason_stands_and_all_is_charged);

async fn when_the_fallback_fails_too_the_first_reason_stands_and_all_is_charged(cast: Cast) {
    each_case(cast, async |world: &World, case: &Case, name: &str| {
        let Case { fault, charge, row } = case;
        world.agents().fail_as(&format!("*={fault}")).unwrap();
        let (ask, told) = world.asks_orders().await;
        assert_eq!(told.outcome(), ("failed", Some(row.reason)), "{name}");
        assert_eq!(told.body["specialist"], "general", "{name}");
        assert_eq!(told.body["answer"], serde_json::Value::Null, "{name}");
        assert_eq!(told.body["attempts"], 2 * row.attempts, "{name}");
        let of_general = match charge {
            Nothing => (0, 0),
            Unknown => (4_000, 16_000),
            Reported => GENERAL,
        };
        let general = (0..row.attempts).map(|_| of_general).collect();
        let charged = [charges(row.attempts, *charge), general].concat();
        world.was_charged(&ask, 2, &charged, name).await;
        assert_eq!(told.metric("SpecialistErrors", ""), Some(2.0), "{name}");
    })
    .await;
}

for_each_cast!(what_does_no_harm_leaves_an_answer_and_what_blocks_ends_the_request);

async fn what_does_no_harm_leaves_an_answer_and_what_blocks_ends_the_request(cast: Cast) {
    let agents = Some(cast.of(&agents_with([])));
    let world = World::start(Options { agents, ..World::options(Limits::NONE) }).await;
    let has = |fault: &Fault| OTHERS.contains(&&*fault.to_string());
    for fault in Fault::all_of(cast.kind()).into_iter().filter(has) {
        world.agents().fail_as(&format!("orders={fault}")).unwrap();
        let (ask, told) = world.asks_orders().await;
        let is_blocked = ["guardrail", "intervened", "filtered"]
            .iter()
            .any(|it| fault.to_string().ends_with(it));
        let expected = if is_blocked { ("failed", Some("guardrail")) } else { ("answered", None) };
        assert_eq!(told.outcome(), expected, "{fault} of {cast:?}");
        assert_eq!(told.body["attempts"], 1, "{fault} of {cast:?}");
        world.was_charged(&ask, 1, &[ORDERS], &fault.to_string()).await;
        assert_eq!(world.failures_of_orders().await, 0, "{fault} of {cast:?}");
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
fn every_fault_that_an_agent_of_a_kind_can_have_is_in_the_table() {
    let name = |fault: &str| fault.split('=').next().unwrap().to_owned();
    for cast in Cast::ALL {
        let kind = cast.kind();
        let casts = Cast::ALL.into_iter().filter(|other| other.kind() == kind);
        let tested: BTreeSet<String> = casts
            .flat_map(|cast| ROWS.iter().flat_map(move |row| row.cases(cast)))
            .map(|case| case.fault)
            .chain(OTHERS)
            .map(name)
            .collect();
        for fault in Fault::all_of(kind) {
            assert!(tested.contains(&name(&fault.to_string())), "{fault} of {kind:?}");
        }
    }
}

impl Row {
    /// The row as docs/failures.md has it.
    fn in_words(&self) -> String {
        let charged = [
            (Nothing, "nothing for HTTP 4xx"),
            (Reported, "what it reported"),
            (Unknown, "the unknown usage"),
        ];
        let has = |charge| self.faults.iter().any(|(.., other)| *other == charge);
        let charged: Vec<&str> =
            charged.iter().filter(|(charge, _)| has(*charge)).map(|(_, words)| *words).collect();
        let charged = match charged[..] {
            ["what it reported"] => "what it reported, else the unknown usage".to_owned(),
            _ => charged.join(", else "),
        };
        let mut metrics = vec!["`SpecialistErrors`"];
        let mut alarms = vec!["`SpecialistErrorRateAlarm`"];
        if self.reason == "throttled" {
            metrics.push("`SpecialistThrottles`");
        }
        if self.reason == "timeout" {
            metrics.extend(["`SpecialistLatency`", "`SlowCalls`"]);
            alarms.push("`SpecialistSlowCallsAlarm`");
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
