//! A scripted supervisor, evaluated as an operator does it.

use std::process::Command;

use serde_json::{Value, json};
use stand_ins::agents::{Agents, Script};

use crate::operator::check;
use crate::{Place, shipped};

const AGENT: &str = "model:amazon.nova-lite-v1:0";

/// The shipped policy without its supervisor.
fn without_supervisor() -> String {
    let mut policy: toml::Table = shipped().parse().unwrap();
    policy.remove("supervisor").unwrap();
    policy.to_string()
}

/// A supervisor that sends everything to orders but what is marked.
async fn supervisor() -> Agents {
    let reply = |when: &str, specialist: &str| {
        let arguments = format!("{{ specialist_type = \"{specialist}\", request = \"Do it.\" }}");
        let calls = format!("[{{ name = \"invoke_specialist_agent\", arguments = {arguments} }}]");
        format!("{{ {when} usage = [{{ input = 300, output = 20 }}], calls = {calls} }}")
    };
    let replies = [reply("when = \"[billing]\",", "billing"), reply("", "orders")].join(",\n    ");
    let script = format!("supervisor = {{ agent = \"{AGENT}\", replies = [{replies}] }}");
    Agents::start(Script::parse(&script).unwrap()).await.unwrap()
}

/// Requests for billing and for orders, of which these are labelled as general's.
fn cases(general: &[usize]) -> String {
    let line = |at: usize| {
        let (mark, specialist) = match at {
            at if general.contains(&at) => ("SECRET", "general"),
            at if at % 2 == 0 => ("[billing] SECRET", "billing"),
            _ => ("SECRET", "orders"),
        };
        format!("{}\n", json!({ "text": format!("{mark} {at}"), "specialist": specialist }))
    };
    (1..=60).map(line).collect()
}

async fn run(place: &Place, agents: &Agents, arguments: &[&str]) -> (i32, String) {
    let mut program = Command::new(place.folder.path().join("copy"));
    program
        .args(arguments)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", agents.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_passes_fails_or_comes_to_no_verdict_and_the_exit_code_says_so() {
    let (place, agents) = (Place::new(), supervisor().await);
    let policy = place.write("policy.toml", &shipped());
    let good = place.write("good.jsonl", &cases(&[]));
    let poor = place.write("poor.jsonl", &cases(&[1, 7]));
    let html = place.folder.path().join("page.html");
    let page = html.to_str().unwrap();
    let evaluate = |cases| ["evaluate", &policy, "--agent", AGENT, "--cases", cases];

    let (code, said) = run(&place, &agents, &evaluate(&good)).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("passed: 60 of 60 requests went where they belong\n"), "{said}");
    assert_eq!(agents.calls().len(), 60);

    let (code, said) =
        run(&place, &agents, &[&evaluate(&poor)[..], &["--html", page, "--json"]].concat()).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    check("evaluate", &said);
    assert_eq!(
        (code, &said["verdict"], &said["worst_class"]),
        (1, &json!("failed"), &json!("general"))
    );
    assert_eq!(said["misrouted"][1]["case"], 7);
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("`general` got 0 of its 2 requests"), "{page}");
    assert!(!page.contains("SECRET") && !said.to_string().contains("SECRET"));
    let (_, said) = run(&place, &agents, &[&evaluate(&poor)[..], &["--texts"]].concat()).await;
    assert!(said.contains("SECRET 7"), "{said}");

    agents.fail_as("supervisor=error").unwrap();
    let (code, said) =
        run(&place, &agents, &[&evaluate(&good)[..], &["--json", "--max-attempts", "1"]].concat())
            .await;
    let said: Value = serde_json::from_str(&said).unwrap();
    check("evaluate", &said);
    assert_eq!((code, &said["verdict"]), (2, &json!("inconclusive")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_evaluated_is_told_before_anything_is_asked() {
    let (place, agents) = (Place::new(), supervisor().await);
    let policy = place.write("policy.toml", &shipped());
    let wrong = place.write("wrong.jsonl", "{\"text\": \"SECRET\", \"specialist\": \"sales\"}\n");
    let (code, said) = run(&place, &agents, &["evaluate", &policy]).await;
    assert_eq!((code, said.contains("the policy has no supervisor with an agent")), (2, true));
    let arguments = ["evaluate", &policy, "--agent", AGENT, "--cases", &wrong];
    let (code, said) = run(&place, &agents, &arguments).await;
    assert_eq!(code, 2);
    assert!(said.contains("line 1: found `sales` as `specialist`"), "{said}");
    assert!(!said.contains("SECRET"), "{said}");
    let none = place.write("none.toml", &without_supervisor());
    let (code, said) = run(&place, &agents, &["evaluate", &none, "--agent", AGENT]).await;
    assert_eq!((code, said.contains("a table [supervisor]")), (2, true), "{said}");
    assert!(agents.calls().is_empty());
}
