//! What CloudWatch is told, and what the log is told in its place.

use std::collections::BTreeMap;

use serde_json::Value;
use stand_ins::metrics::{Batch, Health};
use stand_ins::{Options, Sandbox, events};

use crate::support::{Ask, Limits, World, agents_with, policy_with};

/// The contract: name, unit, and the dimensions of the datum beside the undimensioned one, if
/// there is one.
const CONTRACT: [(&str, &str, &[&str]); 20] = [
    ("RoutingAccuracy", "None", &["IntentClass", "SpecialistRouted"]),
    ("SpecialistInvocations", "Count", &["Specialist"]),
    ("SpecialistErrors", "Count", &["Specialist"]),
    ("SpecialistThrottles", "Count", &["Specialist"]),
    ("Fallbacks", "Count", &["Specialist"]),
    ("CircuitOpened", "Count", &["Specialist"]),
    ("SpecialistLatency", "Milliseconds", &["Specialist"]),
    ("InputTokens", "Count", &["Specialist"]),
    ("OutputTokens", "Count", &["Specialist"]),
    ("SlowCalls", "Count", &["Specialist"]),
    ("Cost", "None", &["Specialist"]),
    ("UnreportedCost", "None", &["Specialist"]),
    ("SessionCost", "None", &[]),
    ("SessionSteps", "Count", &[]),
    ("RouterOverhead", "Milliseconds", &[]),
    ("BudgetUtilization", "Percent", &[]),
    ("BudgetRefusals", "Count", &["Limit"]),
    ("ExpiredHolds", "Count", &[]),
    ("Escalations", "Count", &[]),
    ("LoopsDetected", "Count", &[]),
];

/// Dimension values are closed sets, apart from the specialists and intents of the policy.
const INTENTS: [&str; 16] = [
    "none",
    "other",
    "refund",
    "invoice",
    "payment",
    "dispute",
    "order",
    "delivery",
    "shipping_address",
    "cancellation",
    "account",
    "password",
    "registration",
    "feedback",
    "newsletter",
    "contact",
];
const SPECIALISTS: [&str; 4] = ["billing", "general", "orders", "support"];
const LIMITS: [&str; 5] = ["steps", "tokens", "cost", "handoffs", "tenant"];

fn closed_set(dimension: &str) -> &'static [&'static str] {
    match dimension {
        "IntentClass" => &INTENTS,
        "Specialist" | "SpecialistRouted" => &SPECIALISTS,
        "Limit" => &LIMITS,
        _ => &[],
    }
}

/// All that is not in the contract, or lacks its twin.
fn against_the_contract(batch: &Batch) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sums: BTreeMap<(&str, bool), f64> = BTreeMap::new();
    for datum in batch.data.iter().filter(|datum| datum.name != "ColdStart") {
        let dimensions: Vec<&str> = datum.dimensions.keys().map(String::as_str).collect();
        let known = CONTRACT.iter().find(|(name, ..)| *name == datum.name);
        let allowed = known.is_some_and(|(_, unit, set)| {
            *unit == datum.unit && (dimensions.is_empty() || dimensions == *set)
        });
        if !allowed {
            wrong.push(format!("{} {} {dimensions:?}", datum.name, datum.unit));
        }
        for (name, value) in &datum.dimensions {
            if !closed_set(name).contains(&&**value) {
                wrong.push(format!("{}: {name}={value}", datum.name));
            }
        }
        *sums.entry((&datum.name, dimensions.is_empty())).or_default() += datum.sum();
    }
    for (name, _, set) in CONTRACT.iter().filter(|(.., set)| !set.is_empty()) {
        let [by, all] = [false, true].map(|all| sums.get(&(*name, all)));
        if by.is_some() != all.is_some()
            || by.zip(all).is_some_and(|(by, all)| (by - all).abs() > 1e-9)
        {
            wrong.push(format!("{name}: {by:?} by {set:?}, {all:?} in all"));
        }
    }
    wrong
}

#[tokio::test]
async fn every_event_but_a_rehearsal_publishes_one_batch_in_exactly_the_contracts_dimension_sets() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for case in events::load_all().unwrap() {
        let played = events::play(&sandbox, &case).await.unwrap();
        let event: Value = serde_json::from_slice(&case.event).unwrap_or_default();
        let is_rehearsal = event["sessionAttributes"]["dry_run"] == "true";
        if played.batches.len() != usize::from(!is_rehearsal) {
            wrong.push(format!("{}: {} batches", case.name, played.batches.len()));
        }
        for batch in &played.batches {
            let mistakes = against_the_contract(batch);
            wrong.extend(mistakes.iter().map(|mistake| format!("{}: {mistake}", case.name)));
            names.extend(batch.data.iter().map(|datum| datum.name.clone()));
            assert_eq!(batch.namespace, "BedrockSupervisor");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 19, "today's metrics all occur in the event files: {names:?}");
}

#[tokio::test]
async fn the_first_request_of_a_process_tells_so_as_powertools_does() {
    let service = ("POWERTOOLS_SERVICE_NAME".to_owned(), "router".to_owned());
    let options = Options { env: [service].into(), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let set = "function_name=supervisor-router,service=router";
    for cold_starts in [Some(1.0), None] {
        let told = world.ask(&Ask::orders("Where is it?")).await;
        assert_eq!(told.metric("ColdStart", set), cold_starts);
    }
}

#[tokio::test]
async fn a_published_version_tells_once_more_what_it_is_judged_by() {
    let version = ("AWS_LAMBDA_FUNCTION_VERSION".to_owned(), "7".to_owned());
    let options = Options { env: [version].into(), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    for name in
        ["RoutingAccuracy", "SpecialistErrors", "SpecialistLatency", "Cost", "RouterOverhead"]
    {
        let by_version = told.metric(name, "FunctionVersion=7");
        assert!(by_version.is_some() && by_version == told.metric(name, ""), "{name}");
    }
}

#[tokio::test]
async fn an_invocation_tells_all_its_metrics_also_those_that_are_zero() {
    let world = World::with(Limits::NONE).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    let expected = [
        ("SpecialistInvocations", 1.0),
        ("SpecialistErrors", 0.0),
        ("SpecialistThrottles", 0.0),
        ("InputTokens", 500.0),
        ("OutputTokens", 100.0),
        ("SlowCalls", 0.0),
        ("Cost", 0.003),
        ("UnreportedCost", 0.0),
    ];
    for (name, value) in expected {
        for set in ["", "Specialist=orders"] {
            assert_eq!(told.metric(name, set), Some(value), "{name}[{set}]");
        }
    }
    for name in ["SpecialistLatency", "RouterOverhead", "BudgetUtilization"] {
        assert!(told.metric(name, "").is_some_and(|value| value >= 0.0), "{name}");
    }
    assert_eq!(told.batches[0].data.iter().filter(|datum| datum.timestamp.is_none()).count(), 0);
}

#[tokio::test]
async fn what_a_session_has_used_is_told_after_each_request() {
    let agents = agents_with([("[broken]", "fault = 'in-stream:dependencyFailedException'")]);
    let world =
        World::start(Options { agents: Some(agents), ..World::options(Limits::NONE) }).await;
    let session = "one-session";
    let told = world.ask(&Ask::orders("Where is it?").session(session)).await;
    assert_eq!(told.metric("SessionCost", ""), Some(0.003));
    assert_eq!(told.metric("SessionSteps", ""), Some(1.0));
    // The attempt that broke is charged 0.12 USD though it reported nothing; general takes over.
    let told = world.ask(&Ask::orders("[broken]").session(session)).await;
    assert_eq!(told.metric("Cost", ""), Some(0.000_36));
    assert_eq!(told.metric("UnreportedCost", ""), Some(0.12));
    assert_eq!(told.metric("SessionCost", ""), Some(0.123_36));
    assert_eq!(told.metric("SessionSteps", ""), Some(3.0));
}

#[tokio::test]
async fn a_call_over_its_specialists_slow_call_ms_is_a_slow_one_also_where_it_answers() {
    let agents = agents_with([("[slow]", "fault = 'slow=60ms'\nanswer = 'yes'")]);
    let keys = "circuit = { failures = 10_000, slow_call_ms = 50 }";
    let policy = Some(policy_with(Limits::NONE, keys));
    let world = World::start(Options { agents: Some(agents), policy, ..Options::default() }).await;
    let told = world.ask(&Ask::orders("[slow]")).await;
    assert_eq!(told.outcome(), ("answered", None));
    for set in ["", "Specialist=orders"] {
        assert_eq!(told.metric("SlowCalls", set), Some(1.0), "{set}");
    }
}

#[tokio::test]
async fn utilization_is_that_of_the_limit_nearest_to_its_end() {
    for (limits, percent) in [
        (Limits { max_steps: 10, ..Limits::NONE }, 10.0),
        (Limits { max_tokens: 12_000, ..Limits::NONE }, 5.0),
        (Limits { max_cost_usd: 0.12, ..Limits::NONE }, 2.5),
    ] {
        let world = World::with(limits).await;
        let told = world.ask(&Ask::orders("Where is it?")).await;
        assert_eq!(told.metric("BudgetUtilization", ""), Some(percent), "{limits:?}");
    }
}

/// Name, unit and dimensions → sorted values, without those that no two runs have in common.
type Told = BTreeMap<(String, String, String), Vec<f64>>;

fn put(told: &mut Told, name: &str, unit: &str, set: String, values: &[f64]) {
    let measured = unit == "Milliseconds";
    let values = values.iter().map(|value| if measured { 0.0 } else { *value });
    let entry = told.entry((name.to_owned(), unit.to_owned(), set)).or_default();
    entry.extend(values);
    entry.sort_by(f64::total_cmp);
}

fn told_to_cloudwatch(batches: &[Batch]) -> Told {
    let mut told = Told::new();
    for datum in batches.iter().flat_map(|batch| &batch.data) {
        put(&mut told, &datum.name, &datum.unit, datum.dimension_set(), &datum.values);
    }
    told
}

/// Reads lines in the embedded metric format, as CloudWatch does.
fn told_to_the_log(lines: &[String]) -> Told {
    let mut told = Told::new();
    for line in lines {
        let document: Value = serde_json::from_str(line).unwrap();
        let Some(metadata) = document.get("_aws") else { continue };
        assert!(metadata["Timestamp"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds");
        for directive in metadata["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "BedrockSupervisor");
            for set in directive["Dimensions"].as_array().unwrap() {
                let mut pairs: Vec<String> = set
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| name.as_str().unwrap())
                    .map(|name| format!("{name}={}", document[name].as_str().unwrap()))
                    .collect();
                pairs.sort();
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    let values = match &document[name] {
                        Value::Array(values) => values.clone(),
                        value => vec![value.clone()],
                    };
                    let values: Vec<f64> =
                        values.iter().map(|value| value.as_f64().unwrap()).collect();
                    let unit = metric["Unit"].as_str().unwrap();
                    put(&mut told, name, unit, pairs.join(","), &values);
                }
            }
        }
    }
    told
}

#[tokio::test]
async fn what_cloudwatch_does_not_take_goes_to_the_log_as_the_same_metrics() {
    let agents = agents_with([("[throttled]", "fault = 'in-stream:throttlingException'")]);
    let world =
        World::start(Options { agents: Some(agents), ..World::options(Limits::NONE) }).await;
    let asks: [fn() -> Ask; 4] = [
        || Ask::orders("Where is it?").argument("intent", "delivery"),
        || Ask::orders("[throttled]"),
        || Ask::of("billing", "[suggest orders] [throttled]").verified(),
        || Ask::orders("Where is it?").attribute("router_hops", "3"),
    ];
    // The first request of a process has a metric of its own.
    world.ask(&Ask::orders("Where is it?")).await;
    for ask in asks {
        world.metrics().set_health(Health::Good);
        let healthy = world.ask(&ask()).await;
        let expected = told_to_cloudwatch(&healthy.batches);
        assert!(!expected.is_empty());
        assert_eq!(told_to_the_log(&healthy.lines), Told::new(), "nothing is told twice");
        for health in [Health::Failing, Health::Hanging] {
            world.metrics().set_health(health);
            let told = world.ask(&ask()).await;
            assert_eq!(told.body, healthy.body, "{health:?}");
            assert_eq!(told.batches, [], "{health:?}");
            assert_eq!(told_to_the_log(&told.lines), expected, "{health:?}");
            assert!(told.lines.iter().any(|line| line.contains("metrics go to the log")));
        }
    }
    assert_eq!(world.errors(), [""; 0]);
}

/// A setting by which metrics go this way.
fn delivered_by(delivery: &str) -> BTreeMap<String, String> {
    [("METRICS_DELIVERY".to_owned(), delivery.to_owned())].into()
}

#[tokio::test]
async fn metrics_that_are_delivered_by_the_log_are_the_same_and_cloudwatch_is_not_called() {
    let agents = agents_with([("[throttled]", "fault = 'in-stream:throttlingException'")]);
    let world_with = |delivery| {
        let agents = Some(agents.clone());
        let env = delivered_by(delivery);
        World::start(Options { agents, env, ..World::options(Limits::NONE) })
    };
    let (by_call, by_log) = (world_with("api").await, world_with("log").await);
    // A call would fail, and the log would say so.
    by_log.metrics().set_health(Health::Failing);
    let asks: [fn() -> Ask; 6] = [
        // The first request of a process has a metric of its own.
        || Ask::orders("Where is it?").argument("intent", "delivery"),
        || Ask::orders("[throttled]"),
        || Ask::of("billing", "[suggest orders] [throttled]").verified(),
        || Ask::of("billing", "Who am I?"),
        || Ask::orders("Where is it?").attribute("router_hops", "3"),
        || Ask::orders("Where is it?").without("request"),
    ];
    for ask in asks {
        let (told, logged) = (by_call.ask(&ask()).await, by_log.ask(&ask()).await);
        assert_eq!(logged.outcome(), told.outcome());
        let expected = told_to_cloudwatch(&told.batches);
        assert!(!expected.is_empty());
        assert_eq!(told_to_the_log(&logged.lines), expected);
        assert_eq!(told_to_the_log(&told.lines), Told::new(), "nothing is told twice");
    }
    assert_eq!(by_log.metrics().batches(), []);
    assert!(by_log.logs().iter().all(|line| !line.contains("metrics go to the log")));
    assert_eq!(by_log.errors(), [""; 0]);
}

#[tokio::test]
async fn a_request_that_tells_more_than_one_call_or_one_document_can_hold_loses_nothing() {
    const SPECIALISTS: usize = 120;
    let name = |place: usize| format!("s{place:03}");
    let mut policy = policy_with(Limits::NONE, "");
    let mut agents = agents_with([]);
    for place in 0..SPECIALISTS {
        let others: Vec<String> = (1..SPECIALISTS).map(name).collect();
        let fallback = if place == 0 { format!("fallback = {others:?}") } else { String::new() };
        policy += &format!(
            "
            [specialists.{name}]
            description = \"one of many\"
            requires_verified_identity = false
            {fallback}
            max_tokens_per_call = 10
            price = {{ input_usd_per_mtok = 0.8, output_usd_per_mtok = 4.0 }}",
            name = name(place)
        );
        agents += &format!(
            "
            [{name}]
            agent = \"MANY{place:06}/LIVE000001\"
            replies = [{{ fault = \"before:validationException\" }}]",
            name = name(place)
        );
    }
    // A call with so many data is refused as a whole.
    for delivery in ["log", "api"] {
        let world = World::start(Options {
            policy: Some(policy.clone()),
            agents: Some(agents.clone()),
            env: delivered_by(delivery),
            lambda_timeout: std::time::Duration::from_secs(240),
            ..Options::default()
        })
        .await;
        let event = Ask::of(&name(0), "Where is it?").event().to_string();
        let body = world.invoke(event, None).await.json().unwrap();
        assert!(body.to_string().contains("agent_error"), "{body}");
        // What the pipe had no room for is written by the time of the next event.
        let batches = world.metrics().batches().len();
        let lines = world.logs().len();
        let next = Ask::orders("Where is it?").without("request").event().to_string();
        world.invoke(next, None).await;
        let told = told_to_the_log(&world.logs());
        let values = |name: &str, set: &str| {
            let named =
                told.iter().filter(|((it, _, dimensions), _)| it == name && dimensions == set);
            named.map(|(_, values)| values.len()).sum::<usize>()
        };
        for metric in ["SpecialistInvocations", "SpecialistErrors", "Cost", "SpecialistLatency"] {
            assert_eq!(values(metric, ""), SPECIALISTS, "{delivery} {metric}");
            for place in 0..SPECIALISTS {
                let set = format!("Specialist={}", name(place));
                assert_eq!(values(metric, &set), 1, "{delivery} {metric} {set}");
            }
        }
        assert_eq!(batches, 0, "{delivery}");
        assert!(lines > 0 && world.errors().is_empty());
    }
}
