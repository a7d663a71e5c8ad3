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
