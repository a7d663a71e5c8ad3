//! What the function writes, and what it must never write.

use std::collections::BTreeMap;

use serde_json::Value;
use stand_ins::Options;
use stand_ins::events::Form;
use stand_ins::metrics::Health;

use crate::support::{Ask, Limits, World, agents_with};

fn parsed(lines: &[String]) -> Vec<serde_json::Map<String, Value>> {
    let parse = |line: &String| match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        _ => panic!("no JSON object: {line}"),
    };
    lines.iter().map(parse).collect()
}

/// A sandbox in which everything goes wrong that leaves a line in the log.
async fn troubled() -> World {
    let agents = agents_with([
        ("[dear]", "answer = 'yes'\nusage = [{ input = 9000, output = 1000 }]"),
        ("[throttled]", "fault = 'in-stream:throttlingException'"),
        ("[broken]", "fault = 'bad-checksum'\nanswer = 'SECRET-ANSWER, broken'"),
        ("[closed]", "fault = 'close'"),
        ("[cut]", "fault = 'close-in-stream'\nanswer = 'SECRET-ANSWER, cut'"),
        ("[secret]", "answer = 'SECRET-ANSWER'\nusage = [{ input = 500, output = 100 }]"),
        ("[lost]", "answer = '{\"out_of_scope\": true, \"suggest\": \"SECRET-ANSWER\"}'"),
    ]);
    let env = [("POWERTOOLS_SERVICE_NAME", "router"), ("POWERTOOLS_LOG_LEVEL", "TRACE")];
    let env: BTreeMap<String, String> =
        env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let limits = Limits { max_handoffs: 0, ..Limits::NONE };
    World::start(Options { agents: Some(agents), env, ..World::options(limits) }).await
}

const TROUBLES: [&str; 9] = [
    "[dear]",
    "[throttled]",
    "[broken]",
    "[closed]",
    "[cut]",
    "[secret]",
    "[lost]",
    "[nobody]",
    "plain",
];

#[tokio::test]
async fn every_line_is_one_json_object_with_the_keys_of_its_invocation() {
    let world = troubled().await;
    for (n, trouble) in TROUBLES.iter().enumerate() {
        let ask = Ask::orders(trouble);
        let ask = if n == 3 { ask.without("request") } else { ask };
        let told = world.ask(&ask).await;
        assert!(!told.lines.is_empty(), "{trouble}");
        let lines = parsed(&told.lines);
        let mut ids: Vec<&str> = Vec::new();
        for line in &lines {
            let text = |key: &str| {
                line.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key}: {line:?}"))
            };
            assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&text("level")));
            assert!(!text("message").is_empty());
            let timestamp = text("timestamp");
            assert!(timestamp.starts_with("20") && timestamp.ends_with('Z'), "{timestamp}");
            assert_eq!(text("service"), "router");
            assert_eq!(text("function_name"), "supervisor-router");
            assert!(text("xray_trace_id").starts_with("1-"), "{line:?}");
            assert_eq!(line["cold_start"], n == 0, "{trouble}");
            ids.push(text("function_request_id"));
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "all lines are of one invocation: {ids:?}");
        let last = &lines[lines.len() - 1];
        assert_eq!(last["message"], "request answered");
        assert_eq!(last["status"], told.body["status"]);
        assert_eq!(last.get("reason").unwrap_or(&Value::Null), &told.body["reason"]);
        assert_eq!(last["attempts"], told.body["attempts"]);
    }
    assert_eq!(world.errors(), [""; 0]);
}

#[tokio::test]
async fn each_process_has_one_cold_start() {
    let options = Options { processes: 2, ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let agents_are_asked = || async {
        let event = Ask::of("support", "[hang]").event().to_string();
        world.invoke(event, None).await
    };
    // Two at once need both processes; two more find them warm.
    for _ in 0..2 {
        let (one, two) = tokio::join!(agents_are_asked(), agents_are_asked());
        assert!(one.json().is_some() && two.json().is_some());
    }
    assert_eq!(world.cold_starts(), 2);
}

#[tokio::test]
async fn nothing_that_users_models_or_applications_wrote_is_kept_anywhere() {
    let world = troubled().await;
    let mut asked = 0;
    for health in [Health::Good, Health::Failing] {
        world.metrics().set_health(health);
        for trouble in TROUBLES {
            for form in [Form::Function, Form::OpenApi, Form::Gateway] {
                for ask in Ask::all_with_secrets(trouble, form) {
                    world.ask(&ask).await;
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, 2 * 9 * 3 * 6);
    for payload in ["{\"SECRET-KEY\": \"SECRET-VALUE\"}", "{\"function\": \"SECRET-CUT", "SECRET"] {
        world.invoke(payload, None).await;
    }
    let kept = [
        ("standard output", world.logs().join("\n")),
        ("standard error", world.errors().join("\n")),
        ("metrics", format!("{:?}", world.metrics().batches())),
        ("table", format!("{:?}", world.table().scan().await.unwrap())),
    ];
    for (place, text) in kept {
        let found =
            text.find("SECRET").map(|at| &text[at.saturating_sub(300)..(at + 40).min(text.len())]);
        assert_eq!(found, None, "in {place}");
    }
}

/// An address at which every connection ends before anything is answered, and the port.
async fn hangs_up() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    port
}

#[tokio::test]
async fn no_error_of_the_sdk_is_logged_in_its_own_words() {
    let port = hangs_up().await;
    let endpoints = [
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        "http://no-such-host.invalid:1".to_owned(),
    ];
    for endpoint in &endpoints {
        for service in ["BEDROCK_AGENT_RUNTIME", "DYNAMODB", "CLOUDWATCH"] {
            let env = [
                (format!("AWS_ENDPOINT_URL_{service}"), endpoint.clone()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint.clone()),
                ("POWERTOOLS_LOG_LEVEL".to_owned(), "TRACE".to_owned()),
            ];
            let options = Options { env: env.into(), ..World::options(Limits::NONE) };
            let world = World::start(options).await;
            let ask = &Ask::all_with_secrets("[secret]", Form::Function)[0];
            world.invoke(ask.event().to_string(), None).await;
            let logged = [world.logs(), world.errors()].concat().join("\n");
            assert!(logged.contains("\"error\":"), "{service} at {endpoint}: {logged}");
            for secret in ["SECRET", "127.0.0.1", "no-such-host"] {
                assert!(!logged.contains(secret), "{secret}, {service} at {endpoint}: {logged}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_certainly_never_sent_costs_no_money_and_what_may_have_been_does() {
    let port = hangs_up().await;
    for (endpoint, was_sent) in [
        // A connection that is refused, that finds no host, and that gets no TLS.
        ("http://127.0.0.1:1".to_owned(), false),
        ("http://no-such-host.invalid:1".to_owned(), false),
        (format!("https://127.0.0.1:{port}"), false),
        (format!("http://127.0.0.1:{port}"), true),
    ] {
        let name = "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME".to_owned();
        let env = BTreeMap::from([(name, endpoint.clone())]);
        let world = World::start(Options { env, ..World::options(Limits::NONE) }).await;
        let ask = Ask::orders("Where is it?");
        assert_eq!(world.ask(&ask).await.outcome().0, "failed", "{endpoint}");
        let used = world.account(&ask).await.unwrap();
        assert_eq!((used.tokens > 0, used.micro_usd > 0), (was_sent, was_sent), "{endpoint}");
    }
}
