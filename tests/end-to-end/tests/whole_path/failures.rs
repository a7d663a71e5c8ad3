//! What happens when a specialist does not answer: who is asked next, and what it costs.

use sandbox::Options;

use crate::support::{Account, Ask, Limits, Told, World, agents_with, policy};

/// What an attempt of unknown usage costs at orders, billing and support: the whole hold.
const UNKNOWN: (u64, u64) = (8_000, 120_000);
/// What an answer of general costs.
const GENERAL: (u64, u64) = (250, 360);
const FREE: (u64, u64) = (0, 0);

/// A fault of an agent, what the supervisor is told of it, and what is charged for it.
struct Fault {
    reply: &'static str,
    reason: &'static str,
    charge: (u64, u64),
}

const fn fault(reply: &'static str, reason: &'static str, charge: (u64, u64)) -> Fault {
    Fault { reply, reason, charge }
}

const FAULTS: [Fault; 29] = [
    // Answered with HTTP 4xx: certainly not run.
    fault("fault = 'before:throttlingException'", "throttled", FREE),
    fault("fault = 'before:serviceQuotaExceededException'", "throttled", FREE),
    fault("fault = 'before:validationException'", "agent_error", FREE),
    fault("fault = 'before:accessDeniedException'", "access_denied", FREE),
    fault("fault = 'before:resourceNotFoundException'", "agent_error", FREE),
    fault("fault = 'before:conflictException'", "agent_error", FREE),
    fault("fault = 'before:dependencyFailedException'", "agent_error", FREE),
    fault("fault = 'before:modelNotReadyException'", "agent_error", FREE),
    // Nobody knows whether it ran.
    fault("fault = 'before:internalServerException'", "agent_error", UNKNOWN),
    fault("fault = 'before:badGatewayException'", "agent_error", UNKNOWN),
    fault("fault = 'close'", "agent_error", UNKNOWN),
    // It ran, and did not come to its end.
    fault("fault = 'in-stream:throttlingException'", "throttled", UNKNOWN),
    fault("fault = 'in-stream:serviceQuotaExceededException'", "throttled", UNKNOWN),
    fault("fault = 'in-stream:validationException'", "agent_error", UNKNOWN),
    fault("fault = 'in-stream:accessDeniedException'", "access_denied", UNKNOWN),
    fault("fault = 'in-stream:resourceNotFoundException'", "agent_error", UNKNOWN),
    fault("fault = 'in-stream:conflictException'", "agent_error", (16_000, 240_000)),
    fault("fault = 'in-stream:dependencyFailedException'", "agent_error", UNKNOWN),
    fault("fault = 'in-stream:modelNotReadyException'", "agent_error", UNKNOWN),
    fault("fault = 'in-stream:internalServerException'", "agent_error", UNKNOWN),
    fault("fault = 'in-stream:badGatewayException'", "agent_error", UNKNOWN),
    fault("fault = 'close-in-stream'", "stream_broken", UNKNOWN),
    fault("fault = 'bad-checksum'", "stream_broken", UNKNOWN),
    // It ended in order, and reported nothing.
    fault("fault = 'empty'", "empty_answer", UNKNOWN),
    fault("fault = 'soft-failure'", "agent_error", UNKNOWN),
    fault("fault = 'return-control'", "agent_error", UNKNOWN),
    // It ended in order, and reported its usage: 400 + 20 tokens.
    fault("fault = 'empty'\nusage = [{ input = 400, output = 20 }]", "empty_answer", (420, 1_500)),
    fault(
        "fault = 'soft-failure'\nusage = [{ input = 400, output = 20 }]",
        "agent_error",
        (420, 1_500),
    ),
    fault("answer = ' '\nusage = [{ input = 400, output = 20 }]", "empty_answer", (420, 1_500)),
];

/// A sandbox where orders has the `n`th fault for a request with `[n]` in it.
async fn faulty() -> World {
    let markers: Vec<String> = (0..FAULTS.len()).map(|n| format!("[{n}]")).collect();
    let further = [
        ("[guardrail]", "fault = 'guardrail'\nusage = [{ input = 90, output = 0 }]"),
        ("[unknown event]", "fault = 'unknown-event'\nanswer = 'yes'"),
        ("[no usage]", "answer = 'yes'"),
        ("[dear]", "answer = 'yes'\nusage = [{ input = 9000, output = 1000 }]"),
    ];
    let faults = markers.iter().zip(&FAULTS).map(|(marker, fault)| (&**marker, fault.reply));
    let agents = Some(agents_with(faults.chain(further)));
    World::start(Options { agents, policy: Some(policy(Limits::NONE)), ..Options::default() }).await
}

fn account(steps: u64, charges: &[(u64, u64)]) -> Option<Account> {
    let tokens = charges.iter().map(|(tokens, _)| tokens).sum();
    let micro_usd = charges.iter().map(|(_, micro_usd)| micro_usd).sum();
    Some(Account { steps, tokens, micro_usd })
}

/// Asserts what the supervisor is told of the money.
fn told_what_is_left(told: &Told, account: Option<Account>) {
    let Account { steps, tokens, micro_usd } = account.unwrap();
    let (steps_left, tokens_left, usd_left) = told.left();
    let limits = Limits::NONE;
    assert_eq!((steps_left, tokens_left), (limits.max_steps - steps, limits.max_tokens - tokens));
    assert!((usd_left - (limits.max_cost_usd - micro_usd as f64 / 1e6)).abs() < 1e-9);
}

#[tokio::test]
async fn whatever_goes_wrong_the_fallback_answers_and_what_may_have_run_is_charged() {
    let world = faulty().await;
    for (n, Fault { reply, reason, charge }) in FAULTS.iter().enumerate() {
        let ask = Ask::orders(&format!("Where is it? [{n}]")).argument("intent", "delivery");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some(*reason)), "{reply}");
        assert_eq!(told.body["specialist"], "general", "{reply}");
        assert_eq!(told.body["answer"], "general says yes", "{reply}");
        // A session in use is tried again one lane on, and both attempts are charged.
        let in_use = reply.contains("conflictException");
        let called =
            if in_use { vec!["orders", "orders", "general"] } else { vec!["orders", "general"] };
        assert_eq!(told.called(), called, "{reply}");
        assert_eq!(told.body["attempts"], called.len(), "{reply}");

        let expected = account(2, &[*charge, GENERAL]);
        assert_eq!(world.account(&ask).await, expected, "{reply}");
        told_what_is_left(&told, expected);

        let throttled = if *reason == "throttled" { 1.0 } else { 0.0 };
        for (name, set, value) in [
            ("SpecialistInvocations", "", Some(2.0)),
            ("SpecialistInvocations", "Specialist=orders", Some(1.0)),
            ("SpecialistErrors", "", Some(1.0)),
            ("SpecialistErrors", "Specialist=orders", Some(1.0)),
            ("SpecialistErrors", "Specialist=general", Some(0.0)),
            ("SpecialistThrottles", "", Some(throttled)),
            ("SpecialistThrottles", "Specialist=orders", Some(throttled)),
            ("Fallbacks", "", Some(1.0)),
            ("Fallbacks", "Specialist=orders", Some(1.0)),
            ("Cost", "Specialist=orders", Some(charge.1 as f64 / 1e6)),
            ("RoutingAccuracy", "", None),
            ("BudgetRefusals", "", None),
        ] {
            assert_eq!(told.metric(name, set), value, "{name}[{set}] of {reply}");
        }
    }
}

#[tokio::test]
async fn when_the_fallback_fails_too_the_first_reason_stands() {
    let world = faulty().await;
    for (n, Fault { reply, reason, charge }) in FAULTS.iter().enumerate() {
        let ask = Ask::orders(&format!("[{n}] [nobody]"));
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("failed", Some(*reason)), "{reply}");
        assert_eq!(told.body["specialist"], "general", "{reply}");
        let message = told.body["message"].as_str().unwrap();
        assert!(message.starts_with("No specialist could answer"), "{message}");
        assert_eq!(world.account(&ask).await, account(2, &[*charge]), "{reply}");
        assert_eq!(told.metric("SpecialistErrors", ""), Some(2.0), "{reply}");
        assert_eq!(told.metric("RoutingAccuracy", ""), None, "{reply}");
    }
}

#[tokio::test]
async fn a_guardrail_ends_the_request_and_is_charged_as_reported() {
    let world = faulty().await;
    let ask = Ask::orders("My card number is [guardrail]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("failed", Some("guardrail")));
    assert_eq!(told.called(), ["orders"]);
    assert_eq!(world.account(&ask).await, account(1, &[(90, 270)]));
    assert_eq!(told.metric("SpecialistErrors", "Specialist=orders"), Some(1.0));
    assert_eq!(told.metric("Fallbacks", ""), None);
    assert_eq!(told.metric("RoutingAccuracy", ""), None);
}

#[tokio::test]
async fn events_of_the_stream_that_nobody_knows_do_not_matter() {
    let world = faulty().await;
    let told = world.ask(&Ask::orders("[unknown event]")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["answer"], "yes");
}

#[tokio::test]
async fn an_answer_that_reports_no_usage_costs_its_hold() {
    let world = faulty().await;
    let ask = Ask::orders("[no usage]");
    assert_eq!(world.ask(&ask).await.outcome(), ("answered", None));
    assert_eq!(world.account(&ask).await, account(1, &[UNKNOWN]));
}

#[tokio::test]
async fn an_answer_that_used_more_than_its_hold_is_charged_in_full() {
    let world = faulty().await;
    let ask = Ask::orders("[dear]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    let expected = account(1, &[(10_000, 42_000)]);
    assert_eq!(world.account(&ask).await, expected);
    told_what_is_left(&told, expected);
    assert!(told.lines.iter().any(|line| line.contains("used more than its hold")));
}

#[tokio::test]
async fn text_that_came_before_a_failure_is_no_answer() {
    let agents = agents_with([("[cut]", "fault = 'close-in-stream'\nanswer = 'HALF an answer'")]);
    let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let told = world.ask(&Ask::orders("[cut] [nobody]")).await;
    assert_eq!(told.outcome(), ("failed", Some("stream_broken")));
    assert!(!told.reply.to_string().contains("HALF"), "{}", told.reply);
}
