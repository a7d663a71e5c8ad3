//! The gate as deployments and nights ask it, in front of scripted supervisors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::deployments::{Deployments, Told};
use stand_ins::lambda::Outcome;
use stand_ins::metrics::Health;
use stand_ins::objects::Objects;
use stand_ins::table::{AttributeValue, key};
use stand_ins::{FUNCTION, FunctionOptions, Options, Sandbox};

use crate::support::{Limits, agents_with, policy};

const GATE: &str = "routing-gate";

const CLASSES: [&str; 4] = ["billing", "general", "orders", "support"];

/// The supervisor holds 1,000 tokens, 5,000 micro-dollars, and uses 300 + 20 of them, 400 micro-dollars.
const SUPERVISOR: &str = "
    [supervisor]
    instruction = \"You route.\"
    max_tokens_per_call = 1000
    timeout_ms = 20_000
    price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }";

/// A reply of the supervisor to what contains `marker`, beginning after `delay_ms`.
fn sends(marker: &str, specialist: &str, delay_ms: u64) -> String {
    let arguments = format!("{{ specialist_type = \"{specialist}\", request = \"Do it.\" }}");
    format!(
        "[[supervisor.replies]]\nwhen = \"{marker}\"\ndelay_ms = {delay_ms}\n\
         usage = [{{ input = 300, output = 20 }}]\n\
         calls = [{{ name = \"invoke_specialist_agent\", arguments = {arguments} }}]\n"
    )
}

/// A supervisor that routes as it should, after `delay_ms`, unless one of `first` is for the request.
fn supervisor(first: &str, delay_ms: u64) -> String {
    let good: String =
        CLASSES.iter().map(|class| sends(&format!("[{class}]"), class, delay_ms)).collect();
    let last = "[[supervisor.replies]]\nanswer = \"I do not know.\"\n";
    format!("[supervisor]\nagent = \"model:amazon.nova-lite-v1:0\"\n{first}{good}{last}")
}

/// So many cases of each class, in a file.
fn cases(name: &str, of_each: usize) -> PathBuf {
    let line = |at: usize| {
        let class = CLASSES[at % CLASSES.len()];
        let text = format!("SECRET [{class}] number {:02}.", at / CLASSES.len() + 1);
        format!("{}\n", json!({ "text": text, "specialist": class }))
    };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{name}.jsonl"));
    let text: String = (0..of_each * CLASSES.len()).map(line).collect();
    std::fs::write(&path, text).unwrap();
    path
}

struct Gate {
    sandbox: Sandbox,
    deployments: Deployments,
}

impl Gate {
    async fn with(name: &str, of_each: usize, supervisor: &str, settings: &[(&str, &str)]) -> Self {
        Self::beside(&[], name, of_each, supervisor, settings).await
    }

    /// The gate beside other functions.
    async fn beside(
        others: &[&str],
        name: &str,
        of_each: usize,
        supervisor: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let deployments = Deployments::start().await.unwrap();
        let place = format!("file:{}", cases(name, of_each).display());
        let mut env = BTreeMap::from([
            ("AWS_ENDPOINT_URL_CODEDEPLOY".to_owned(), deployments.url()),
            ("GATE_CASES".to_owned(), place),
            ("GATE_MAX_DELAY_MS".to_owned(), "5".to_owned()),
        ]);
        env.extend(settings.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let functions = others.iter().chain(&[GATE]);
        let functions = functions.map(|name| ((*name).to_owned(), FunctionOptions::default()));
        let sandbox = Sandbox::start(Options {
            policy: Some(format!("{}\n{SUPERVISOR}", policy(Limits::NONE))),
            agents: Some(format!("{}\n{supervisor}", agents_with([]))),
            functions: functions.collect(),
            env,
            ..Options::default()
        });
        Self { sandbox: sandbox.await.expect("the sandbox starts"), deployments }
    }

    async fn invoke(&self, event: Value) -> Outcome {
        self.sandbox.invoke_function(GATE, None, event.to_string(), None).await.outcome
    }

    /// The report that it gives for an event.
    async fn report(&self, event: Value) -> Value {
        match self.invoke(event).await {
            Outcome::Response(bytes) => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The report, and what the deployment was told, when CodeDeploy has asked.
    async fn before_traffic(&self) -> (Value, String) {
        let report = self.report(hook()).await;
        let told = self.deployments.told();
        let [Told { deployment, execution, status }] = &told[..] else {
            panic!("told once: {told:?}")
        };
        assert_eq!((deployment.as_str(), execution.as_str()), ("d-ABCDEF123", "hook-1"));
        assert_eq!(self.deployments.refusals(), [""; 0]);
        let lines = [self.sandbox.logs(), self.sandbox.errors()].concat();
        assert!(lines.iter().all(|line| !line.contains("SECRET")), "{lines:?}");
        assert!(!report.to_string().contains("SECRET"), "{report}");
        (report, status.clone())
    }

    fn metric(&self, name: &str) -> Vec<f64> {
        let batches = self.sandbox.metrics().batches();
        let data = batches.into_iter().flat_map(|batch| batch.data);
        data.filter(|datum| datum.name == name).map(|datum| datum.sum()).collect()
    }
}

/// What CodeDeploy sends.
fn hook() -> Value {
    json!({ "DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "hook-1" })
}

fn night() -> Value {
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

#[tokio::test]
async fn a_good_supervisor_gets_traffic_and_no_specialist_is_called() {
    let gate = Gate::with("good", 30, &supervisor("", 0), &[]).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("passed"), "Succeeded"), "{report}");
    assert_eq!((&report["requests"], &report["right"]), (&json!(120), &json!(120)));
    assert_eq!((&report["tokens"], &report["cost_micro_usd"]), (&json!(38_400), &json!(48_000)));
    let calls = gate.sandbox.agents().calls();
    assert!(calls.len() == 120 && calls.iter().all(|call| call.specialist == "supervisor"));
    assert_eq!(gate.metric("LabelledAccuracy"), [0.0; 0], "a version without traffic is no night");
}

/// At the shipped thresholds nine of ten requests of one class are enough: it is a setting.
#[tokio::test]
async fn a_supervisor_that_sends_a_tenth_of_the_orders_to_billing_gets_none_and_the_class_is_named()
{
    let astray: String = ["07", "17", "27"]
        .map(|number| sends(&format!("[orders] number {number}."), "billing", 0))
        .concat();
    let settings = [("GATE_MIN_RECALL", "0.95")];
    let gate = Gate::with("tenth", 30, &supervisor(&astray, 0), &settings).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("failed"), "Failed"), "{report}");
    let reason = "`orders` got 27 of its 30 requests, a share of at least 0.95 is allowed";
    assert_eq!(report["reasons"], json!([reason]));
    assert_eq!((&report["worst_class"], &report["right"]), (&json!("orders"), &json!(117)));
    let chosen = json!([
        { "specialist": "billing", "count": 3 }, { "specialist": "orders", "count": 27 }
    ]);
    assert_eq!(report["classes"][2]["chosen"], chosen);
    let misses: Vec<&Value> =
        report["misrouted"].as_array().unwrap().iter().map(|miss| &miss["case"]).collect();
    assert_eq!(misses, [27, 67, 107]);
    let texts = gate.report(json!({ "texts": true })).await;
    assert_eq!(texts["misrouted"][0]["text"], "SECRET [orders] number 07.");
}

#[tokio::test]
async fn a_supervisor_that_takes_three_seconds_gets_no_traffic() {
    let settings = [("GATE_CONCURRENCY", "28")];
    let gate = Gate::with("slow", 7, &supervisor("", 3_000), &settings).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("failed"), "Failed"), "{report}");
    assert_eq!((&report["right"], report["reasons"].as_array().unwrap().len()), (&json!(28), 1));
    assert!(report["p95_ms"].as_u64().unwrap() >= 3_000, "{report}");
    let reason = report["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("the 95th percentile of decisions is 3"), "{reason}");
}

/// Within the function's timeout here, 30 seconds.
#[tokio::test]
async fn a_supervisor_that_throttles_ends_with_a_verdict_soon() {
    let gate = Gate::with("throttled", 30, &supervisor("", 0), &[]).await;
    gate.sandbox.agents().fail_as("supervisor=throttle").unwrap();
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("inconclusive"), "Failed"));
    assert_eq!(report["stopped"], "too_many_undecided");
    assert!(report["undecided_by_reason"]["throttled"].as_u64().unwrap() > 6, "{report}");
    assert!(report["asked"].as_u64().unwrap() < 20, "{report}");
    assert_eq!(report["cost_micro_usd"], 0, "what was throttled was not run");
    let log = gate.sandbox.logs_of(GATE).join("\n");
    assert!(log.contains("got no decision for throttled ("), "{log}");
}

#[tokio::test]
async fn a_supervisor_that_hangs_ends_with_a_verdict_before_the_functions_time_is_over() {
    let settings = [("GATE_CONCURRENCY", "4"), ("GATE_MAX_ATTEMPTS", "1")];
    let gate = Gate::with("hanging", 30, &supervisor("", 0), &settings).await;
    gate.sandbox.agents().fail_as("supervisor=hang").unwrap();
    let limit = Some(Duration::from_secs(22));
    let invocation = gate.sandbox.invoke_function(GATE, limit, hook().to_string(), None).await;
    assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    assert_eq!(gate.deployments.told()[0].status, "Failed");
}

#[tokio::test]
async fn a_run_spends_no_more_than_it_may_and_the_ledger_knows() {
    let gate = Gate::with("poor", 30, &supervisor("", 0), &[("GATE_MAX_COST_USD", "0.04")]).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("inconclusive"), "Failed"));
    assert_eq!(report["stopped"], "budget_cost");
    let spent = report["cost_micro_usd"].as_u64().unwrap();
    assert!((400..=40_000).contains(&spent), "{spent}");
}

#[tokio::test]
async fn a_night_is_published_and_one_that_was_not_passed_is_an_error() {
    let settings = [("GATE_MIN_RECALL", "0.95")];
    let astray = sends("[orders] number 07.", "billing", 0);
    let gate = Gate::with("night", 10, &supervisor(&astray, 0), &settings).await;
    let Outcome::FunctionError(error) = gate.invoke(night()).await else { panic!("no error") };
    assert_eq!(error.error_type, "Failed");
    assert_eq!(gate.metric("LabelledAccuracy"), [0.975]);
    gate.sandbox.agents().fail_as("supervisor=throttle").unwrap();
    let Outcome::FunctionError(error) = gate.invoke(night()).await else { panic!("no error") };
    assert_eq!(error.error_type, "Inconclusive");
    assert_eq!(gate.metric("LabelledAccuracy").len(), 1, "an outage fakes no accuracy");
}

#[tokio::test]
async fn cases_may_be_in_s3_and_ones_that_cannot_be_read_have_no_verdict() {
    let lines = std::fs::read_to_string(cases("object", 10)).unwrap();
    let too_long = lines.repeat(20_000_000 / lines.len() + 1);
    let files = [("cases/team a/day 1.jsonl", lines), ("cases/too-long.jsonl", too_long)];
    let files = files.map(|(path, text)| (path.replace(' ', "%20"), text));
    let objects = Objects::start(BTreeMap::from(files)).await.unwrap();
    let (url, place) = (objects.url(), "s3://cases/team a/day 1.jsonl");
    let settings = [("AWS_ENDPOINT_URL_S3", url.as_str()), ("GATE_CASES", place)];
    let gate = Gate::with("object", 1, &supervisor("", 0), &settings).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("passed"), "Succeeded"), "{report}");
    assert_eq!(report["requests"], 40);
    for (key, words) in [("absent.jsonl", "NoSuchKey"), ("too-long.jsonl", "too long")] {
        let event = json!({ "cases": format!("s3://cases/{key}") });
        let Outcome::FunctionError(error) = gate.invoke(event).await else { panic!("no error") };
        assert_eq!(error.error_type, "NotReplayed");
        assert!(error.error_message.contains(words), "{error:?}");
    }
}

/// A gate that is still warm from the last deployment judges by what is in the table now.
#[tokio::test]
async fn a_policy_that_changed_since_the_last_run_is_the_one_that_is_judged() {
    let settings = [("ROUTING_POLICY", "table"), ("POLICY_REFRESH_SECONDS", "3600")];
    let gate = Gate::with("table", 10, &supervisor("", 0), &settings).await;
    let report = gate.report(json!({})).await;
    assert_eq!((&report["verdict"], &report["requests"]), (&json!("passed"), &json!(40)));
    let dearer = SUPERVISOR.replace("input_usd_per_mtok = 1.0", "input_usd_per_mtok = 2.0");
    let mut item = key("POLICY", "CURRENT");
    let text = format!("{}\n{dearer}", policy(Limits::NONE));
    item.insert("toml".to_owned(), AttributeValue::S(text));
    gate.sandbox.table().put_item(item).await.unwrap();
    let report = gate.report(json!({})).await;
    assert_eq!(report["cost_micro_usd"], 40 * 700, "{report}");
}

#[tokio::test]
async fn what_cannot_be_replayed_has_not_passed() {
    let settings = [("GATE_CASES", "file:/nowhere/cases.jsonl")];
    let gate = Gate::with("absent", 1, &supervisor("", 0), &settings).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((report, status.as_str()), (Value::Null, "Failed"));
    let Outcome::FunctionError(error) = gate.invoke(json!({})).await else { panic!("no error") };
    assert_eq!(error.error_type, "NotReplayed");
}

/// Its action group is the router, which is told that it is a rehearsal.
#[tokio::test]
async fn a_bedrock_agents_calls_reach_the_router_and_no_specialist() {
    let agent = supervisor("", 0)
        .replace("model:amazon.nova-lite-v1:0", "SUPER00001/LIVE000001")
        .replace("\ncalls = ", "\nanswer = \"It is done.\"\ncalls = ");
    let gate = Gate::beside(&[FUNCTION], "classic", 30, &agent, &[]).await;
    let (report, status) = gate.before_traffic().await;
    assert_eq!((&report["verdict"], status.as_str()), (&json!("passed"), "Succeeded"), "{report}");
    assert_eq!((&report["right"], &report["cost_micro_usd"]), (&json!(120), &json!(48_000)));
    let calls = gate.sandbox.agents().calls();
    assert!(calls.len() == 120 && calls.iter().all(|call| call.specialist == "supervisor"));
    let rehearsed = |line: &&String| line.contains("request rehearsed");
    assert_eq!(gate.sandbox.logs().iter().filter(rehearsed).count(), 120);
    assert_eq!(gate.metric("SpecialistInvocations"), [0.0; 0]);
}

#[tokio::test]
async fn a_deployment_that_was_not_told_is_an_error() {
    let gate = Gate::with("untold", 10, &supervisor("", 0), &[]).await;
    gate.deployments.set_health(Health::Failing);
    let Outcome::FunctionError(error) = gate.invoke(hook()).await else { panic!("no error") };
    assert_eq!(error.error_type, "HookNotTold");
}
