//! Every way in which an agent on an AgentCore runtime can fail, in each format of its answers.

use std::collections::BTreeSet;

use stand_ins::Options;
use stand_ins::agents::Fault;

use crate::faults::Charge::{self, Nothing, Reported, Unknown};
use crate::faults::{GENERAL, ORDERS, OTHERS, charges, policy_where};
use crate::support::{World, agents_with, on_runtime};

/// A fault and what comes of it.
struct Row {
    fault: &'static str,
    /// The formats in which this comes of it.
    formats: &'static [&'static str],
    /// What the supervisor is told.
    reason: &'static str,
    /// Attempts, where the fault lasts.
    attempts: u64,
    /// What each of them is charged.
    charge: Charge,
    /// Whether it counts against the specialist's circuit.
    counts: bool,
}

const ALL: &[&str] = &["stream", "json", "strands"];
const EVENTS: &[&str] = &["stream", "strands"];
const JSON: &[&str] = &["json"];

/// A fault whose attempts are made again.
const fn passes(
    fault: &'static str,
    formats: &'static [&'static str],
    reason: &'static str,
    charge: Charge,
) -> Row {
    Row { fault, formats, reason, attempts: 3, charge, counts: true }
}

/// A fault that ends the invocation.
const fn stays(fault: &'static str, reason: &'static str, charge: Charge) -> Row {
    Row { fault, formats: ALL, reason, attempts: 1, charge, counts: true }
}

/// The same fault, which says nothing of the specialist's health.
const fn no_illness(row: Row) -> Row {
    Row { counts: false, ..row }
}

/// A session in use: one more attempt, in another session.
const fn conflict(fault: &'static str, formats: &'static [&'static str], charge: Charge) -> Row {
    Row { fault, formats, reason: "agent_error", attempts: 2, charge, counts: false }
}

const ROWS: [Row; 37] = [
    // The service turns the request down: the agent was not run.
    no_illness(passes("before:throttlingException", ALL, "throttled", Nothing)),
    no_illness(stays("before:serviceQuotaExceededException", "throttled", Nothing)),
    no_illness(stays("before:accessDeniedException", "access_denied", Nothing)),
    no_illness(stays("before:resourceNotFoundException", "agent_error", Nothing)),
    no_illness(stays("before:validationException", "agent_error", Nothing)),
    no_illness(passes("before:throttledException", ALL, "throttled", Nothing)),
    // A `RetryableConflictException`: once more, in a session of its own.
    conflict("before:conflictException", ALL, Nothing),
    conflict("before:concurrencyException", ALL, Nothing),
    passes("before:internalServerException", ALL, "agent_error", Unknown),
    // A `RuntimeClientError`: HTTP 424 that stands for the container, which may have run.
    passes("before:dependencyFailedException", ALL, "agent_error", Unknown),
    passes("before:modelNotReadyException", ALL, "agent_error", Unknown),
    passes("before:badGatewayException", ALL, "agent_error", Unknown),
    // The agent raises an exception after it has begun to answer; which one does not matter,
    // unless it was throttled or its session is in use. An agent that answers with JSON has not
    // begun.
    no_illness(passes("in-stream:throttlingException", EVENTS, "throttled", Unknown)),
    no_illness(passes("in-stream:throttledException", EVENTS, "throttled", Unknown)),
    conflict("in-stream:conflictException", EVENTS, Unknown),
    conflict("in-stream:concurrencyException", EVENTS, Unknown),
    passes("in-stream:serviceQuotaExceededException", EVENTS, "agent_error", Unknown),
    passes("in-stream:accessDeniedException", EVENTS, "agent_error", Unknown),
    passes("in-stream:resourceNotFoundException", EVENTS, "agent_error", Unknown),
    passes("in-stream:validationException", EVENTS, "agent_error", Unknown),
    passes("in-stream:internalServerException", EVENTS, "agent_error", Unknown),
    passes("in-stream:dependencyFailedException", EVENTS, "agent_error", Unknown),
    passes("in-stream:modelNotReadyException", EVENTS, "agent_error", Unknown),
    passes("in-stream:badGatewayException", EVENTS, "agent_error", Unknown),
    passes("in-stream:throttlingException", JSON, "agent_error", Unknown),
    // It says that it failed. A stream may have told a part of its usage only.
    passes("soft-failure", EVENTS, "agent_error", Unknown),
    passes("soft-failure", JSON, "agent_error", Reported),
    // The connection or what came over it is broken.
    passes("close", ALL, "agent_error", Unknown),
    passes("reset", ALL, "agent_error", Unknown),
    passes("close-in-stream", ALL, "stream_broken", Unknown),
    // What cannot be read would come again.
    stays("bad-checksum", "stream_broken", Unknown),
    // There is no text.
    stays("empty", "empty_answer", Reported),
    stays("return-control", "empty_answer", Reported),
    // It takes too long, or falls silent.
    stays("hang", "timeout", Unknown),
    stays("hang-in-stream", "timeout", Unknown),
    stays("slow=60s", "timeout", Unknown),
    stays("drip=20ms", "timeout", Unknown),
];

async fn world(format: &str, is_about_time: bool) -> World {
    let agents = Some(on_runtime(&agents_with([]), format));
    let policy = Some(policy_where(is_about_time));
    World::start(Options { policy, agents, ..Options::default() }).await
}

/// Goes through the table: a world for each format, and one for what takes its time.
async fn each_row(mut check: impl AsyncFnMut(&World, &Row, &str)) {
    for format in ALL {
        for is_about_time in [false, true] {
            let world = world(format, is_about_time).await;
            let rows = ROWS.iter().filter(|row| row.formats.contains(format));
            for row in rows.filter(|row| (row.reason == "timeout") == is_about_time) {
                check(&world, row, &format!("{} in {format}", row.fault)).await;
            }
        }
    }
}

#[tokio::test]
async fn while_a_runtime_fails_the_fallback_answers_and_what_may_have_run_is_charged() {
    each_row(async |world: &World, row: &Row, case: &str| {
        let counted = world.failures_of_orders().await;
        world.agents().fail_as(&format!("orders={}", row.fault)).unwrap();
        let (ask, told) = world.asks_orders().await;
        assert_eq!(told.outcome(), ("fell_back", Some(row.reason)), "{case}");
        assert_eq!(told.body["answer"], "general says yes", "{case}");
        assert_eq!(told.body["attempts"], row.attempts + 1, "{case}");
        let charged = [charges(row.attempts, row.charge), vec![GENERAL]].concat();
        world.was_charged(&ask, 2, &charged, case).await;
        let counts = if row.counts { row.attempts } else { 0 };
        assert_eq!(world.failures_of_orders().await, counted + counts, "{case}");
        let throttled = if row.reason == "throttled" { row.attempts as f64 } else { 0.0 };
        assert_eq!(told.metric("SpecialistErrors", "Specialist=orders"), Some(1.0), "{case}");
        let throttles = told.metric("SpecialistThrottles", "Specialist=orders");
        assert_eq!(throttles, Some(throttled), "{case}");
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_a_runtime_that_passes_leaves_the_answer_to_it() {
    each_row(async |world: &World, row: &Row, case: &str| {
        if row.attempts == 1 {
            return;
        }
        // Every second attempt, beginning with the first.
        world.agents().fail_as(&format!("orders={}:0.5", row.fault)).unwrap();
        let (ask, told) = world.asks_orders().await;
        assert_eq!(told.outcome(), ("answered", None), "{case}");
        assert_eq!(told.body["answer"], "orders says yes", "{case}");
        assert_eq!(told.body["attempts"], 2, "{case}");
        world.was_charged(&ask, 1, &[row.charge.of_orders(), ORDERS], case).await;
    })
    .await;
}

#[test]
fn every_fault_is_in_the_table_of_runtimes() {
    let kind = |fault: &str| fault.split('=').next().unwrap().to_owned();
    let tested: BTreeSet<String> =
        ROWS.iter().map(|row| row.fault).chain(OTHERS).map(kind).collect();
    let all: BTreeSet<String> = Fault::all().iter().map(|fault| kind(&fault.to_string())).collect();
    assert_eq!(tested, all);
}
