//! Settings that are wrong.

use std::collections::BTreeMap;

use stand_ins::lambda::StartError;
use stand_ins::{Options, Sandbox, SandboxError};

use crate::support::{Ask, Limits, World, policy};

/// What the function says before it ends.
pub(crate) async fn last_words(options: Options) -> String {
    match Sandbox::start(options).await {
        Err(SandboxError::Start(StartError::Exited { output, .. })) => output,
        other => panic!("the function should not start: {other:?}"),
    }
}

fn env<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn a_wrong_setting_stops_the_function_and_its_log_names_every_mistake() {
    let wrong = policy(Limits::NONE)
        .replace("max_steps = 10000", "max_steps = 0\nmax_step = 5")
        .replace("fallback = \"general\"", "fallback = \"generel\"")
        .replace("intents = [\"account\"]", "intents = [\"account\", \"delivery\"]");
    let options = Options {
        policy: Some(wrong),
        env: env([
            ("BUDGET_TABLE_NAME", "x"),
            ("GATEWAY_INJECTS_SESSION", "yes"),
            ("METRICS_DELIVERY", "mail"),
            ("METRICS_NAMESPACE", "AWS/Bedrock"),
            ("POWERTOOLS_LOG_LEVEL", "loud"),
        ]),
        ..World::options(Limits::NONE)
    };
    let said = last_words(options).await;
    for setting in [
        "BUDGET_TABLE_NAME",
        "GATEWAY_INJECTS_SESSION",
        "METRICS_DELIVERY",
        "METRICS_NAMESPACE",
        "POWERTOOLS_LOG_LEVEL",
        "routing.fallback",
        "session.max_steps",
        "session.max_step",
        "specialists.support.intents",
    ] {
        let line = said.lines().find(|line| line.contains(&format!("\"setting\":\"{setting}\"")));
        let line = line.unwrap_or_else(|| panic!("{setting} is not in\n{said}"));
        assert!(line.contains("\"level\":\"ERROR\""), "{line}");
    }
    for line in said.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[tokio::test]
async fn each_missing_or_impossible_setting_stops_the_function() {
    let cases = [
        (env([("BUDGET_TABLE_NAME", "")]), "`BUDGET_TABLE_NAME` is not set"),
        (env([("SPECIALIST_AGENTS", "billing")]), "`SPECIALIST_AGENTS` is"),
        (env([("SPECIALIST_AGENTS", "{}")]), "specialists.orders.agent"),
        (
            env([("SPECIALIST_AGENTS", r#"{"orders": "arn:aws:bedrock:us-east-1:1:agent/A"}"#)]),
            "an ARN must be `arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID`",
        ),
        (
            env([("SPECIALISTS", "orders"), ("SPECIALIST_ARNS", "A/B")]),
            "`SPECIALIST_AGENTS` is set beside SPECIALISTS or SPECIALIST_ARNS",
        ),
        (
            env([
                ("SPECIALIST_AGENTS", ""),
                ("SPECIALISTS", "orders"),
                ("SPECIALIST_ARNS", "A/B,C/D"),
            ]),
            "`SPECIALIST_ARNS` is a list of 2, where SPECIALISTS has 1",
        ),
        // A stack whose lists are empty.
        (
            env([("SPECIALIST_AGENTS", ""), ("SPECIALISTS", ""), ("SPECIALIST_ARNS", "")]),
            "its name in SPECIALISTS and its ARN in SPECIALIST_ARNS",
        ),
        (env([("POLICY_REFRESH_SECONDS", "1m")]), "`POLICY_REFRESH_SECONDS` is"),
        // The compiled-in policy counts where the table has none, and this is not its roster.
        (
            env([("ROUTING_POLICY", "table"), ("SPECIALIST_AGENTS", "{\"logistics\": \"A/B\"}")]),
            "the policy has no such specialist",
        ),
        (env([("ROUTING_POLICY", "file:/nowhere.toml")]), "the file cannot be read"),
        (env([("ROUTING_POLICY", "[routing")]), "not TOML, line 1"),
        (env([("OTEL_EXPORTER_OTLP_ENDPOINT", "host:4318")]), "`OTEL_EXPORTER_OTLP_ENDPOINT` is"),
        (env([("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000")]), "`AWS_ENDPOINT_URL_DYNAMODB` is"),
        (env([("AWS_ENDPOINT_URL", "http://host:80a0")]), "`AWS_ENDPOINT_URL` is"),
        (
            env([("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", "http://my host")]),
            "`AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME` is",
        ),
        (env([("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "https://u:p@host")]), "not shown"),
        (env([("AWS_ENDPOINT_URL_CLOUDWATCH", "https://")]), "`AWS_ENDPOINT_URL_CLOUDWATCH` is"),
        (
            env([("METRICS_DELIVERY", "Log")]),
            r#"`METRICS_DELIVERY` is \"Log\": it must be api or log"#,
        ),
        (env([("POWERTOOLS_METRICS_NAMESPACE", ":x")]), "`POWERTOOLS_METRICS_NAMESPACE` is"),
        (env([("ROUTING_POLICY", ""), ("METRICS_DELIVERY", "")]), ""),
    ];
    for (env, expected) in cases {
        let options = Options { env, ..World::options(Limits::NONE) };
        if expected.is_empty() {
            // Empty is as good as not set: the policy that is compiled in.
            Sandbox::start(options).await.unwrap();
            continue;
        }
        let said = last_words(options).await;
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}

#[tokio::test]
async fn credentials_in_settings_are_never_told() {
    let url = "https://user:SECRET@host/path";
    let settings = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ENDPOINT_URL_DYNAMODB", "user:SECRET@host"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key SECRET"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "api-key=SECRET"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=x,SECRET"),
        ("SPECIALIST_AGENTS", "{\"orders\": [\"https://user:SECRET@host\"]}"),
        ("METRICS_DELIVERY", url),
        ("METRICS_NAMESPACE", url),
        ("BUDGET_TABLE_NAME", url),
        ("POWERTOOLS_LOG_LEVEL", url),
        ("ROUTING_POLICY", "file:https://user:SECRET@host/policy.toml"),
    ];
    let said = last_words(Options { env: env(settings), ..World::options(Limits::NONE) }).await;
    assert!(!said.contains("SECRET"), "{said}");
    for (name, _) in settings.iter().filter(|(name, _)| *name != "OTEL_EXPORTER_OTLP_ENDPOINT") {
        assert!(said.contains(&format!("\"setting\":\"{name}")), "{name} is not in\n{said}");
    }
    // Agents are checked when they can be read, and other settings of traces with an endpoint.
    let agents = format!("{{\"orders\": \"{url}\", \"{url}\": \"GENERAL001/LIVE000001\"}}");
    let settings = env([("SPECIALIST_AGENTS", &*agents), ("OTEL_EXPORTER_OTLP_ENDPOINT", url)]);
    let said = last_words(Options { env: settings, ..World::options(Limits::NONE) }).await;
    assert!(said.contains("SPECIALIST_AGENTS") && !said.contains("SECRET"), "{said}");
}

/// As a template gives them: ARNs only, which are also what its permissions are on.
#[tokio::test]
async fn agents_in_two_lists_play_the_specialists_each_in_its_region() {
    let arn = |region: &str, agent: &str| {
        format!("arn:aws:bedrock:{region}:123456789012:agent-alias/{agent}/LIVE000001")
    };
    let arns = [
        arn("us-east-1", "GENERAL001"),
        arn("eu-west-1", "ORDERS0001"),
        "BILLING001/LIVE000001".to_owned(),
        arn("us-east-1", "SUPPORT001"),
    ];
    let agents = env([
        ("SPECIALIST_AGENTS", ""),
        ("SPECIALISTS", "general, orders,billing,support"),
        ("SPECIALIST_ARNS", &arns.join(",")),
    ]);
    let world = World::start(Options { env: agents, ..World::options(Limits::NONE) }).await;
    for (name, region) in [("orders", "eu-west-1"), ("general", "us-east-1")] {
        let told = world.ask(&Ask::of(name, "Where is it?")).await;
        assert_eq!((told.outcome(), told.called()), (("answered", None), vec![name]));
        assert_eq!(told.calls[0].region.as_deref(), Some(region), "{name}");
    }
}

#[tokio::test]
async fn settings_reach_what_they_are_for() {
    let env = env([
        ("METRICS_NAMESPACE", "Shop/Router"),
        ("POWERTOOLS_SERVICE_NAME", "shop"),
        ("POWERTOOLS_LOG_LEVEL", "ERROR"),
    ]);
    let world = World::start(Options { env, ..World::options(Limits::NONE) }).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.batches[0].namespace, "Shop/Router");
    assert_eq!(told.lines, [""; 0], "nothing is an error");
}
