//! The whole product: real function processes, some of which are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use stand_ins::lambda::{Invocation, Outcome, build_function};
use stand_ins::table_faults::Fault;
use stand_ins::{FUNCTION, FunctionOptions, Options, Sandbox};
use tempfile::TempDir;

use crate::books::{charge, number};
use crate::payer::{Payer, at, id};
use crate::table::TableUnderTest;

/// A call holds 1,000 tokens and micro-dollars, and uses 70.
const POLICY: &str = r#"
[routing]
fallback = "orders"
[session]
max_steps = 1_000
max_tokens = 1_000_000
max_cost_usd = 1.0
[tenant_day]
block_usd = 0.01
[specialists.orders]
description = "orders"
requires_verified_identity = false
max_tokens_per_call = 1000
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0, cache_write_usd_per_mtok = 1.0 }
"#;

const AGENTS: &str = r#"
[orders]
agent = "ORDERS0001/LIVE000001"
[[orders.replies]]
when = "take your time"
fault = "hang"
[[orders.replies]]
answer = "On its way."
usage = [{ input = 60, output = 10 }]
"#;

fn event(request: &str) -> String {
    json!({
        "messageVersion": "1.0",
        "sessionId": "s",
        "sessionAttributes": { "tenant_id": "acme" },
        "actionGroup": "specialists",
        "function": "invoke_specialist_agent",
        "parameters": [
            { "name": "specialist_type", "type": "string", "value": "orders" },
            { "name": "request", "type": "string", "value": request },
        ],
    })
    .to_string()
}

/// The body that the supervisor gets.
fn body(invocation: &Invocation) -> Value {
    let reply = invocation.json().unwrap_or_else(|| panic!("no reply: {invocation:?}"));
    let text = reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"].as_str();
    serde_json::from_str(text.unwrap()).unwrap()
}

async fn start(table: &TableUnderTest, processes: usize) -> Sandbox {
    Sandbox::start(options(table, processes)).await.unwrap()
}

fn options(table: &TableUnderTest, processes: usize) -> Options {
    Options {
        policy: Some(POLICY.to_owned()),
        agents: Some(AGENTS.to_owned()),
        env: BTreeMap::from(table.environment()),
        processes,
        ..Options::default()
    }
}

/// A sandbox with one process, which can be killed.
struct Mortal {
    sandbox: Arc<Sandbox>,
    process_id: PathBuf,
    _directory: TempDir,
}

impl Mortal {
    async fn start(table: &TableUnderTest) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process_id = directory.path().join("pid");
        let function = build_function(FUNCTION).await.unwrap();
        let mut options = options(table, 1);
        let paths = [("PROCESS_ID_FILE", &process_id), ("FUNCTION_EXECUTABLE", &function)];
        let env = paths.map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()));
        let executable = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("record-pid"));
        let recorded = FunctionOptions { executable, env: env.into() };
        options.functions.insert(FUNCTION.to_owned(), recorded);
        let sandbox = Arc::new(Sandbox::start(options).await.unwrap());
        Self { sandbox, process_id, _directory: directory }
    }

    /// Kills the process with SIGKILL while it is at work on the request, as soon as `moment`
    /// has come.
    async fn kill_during(&self, request: &str, moment: impl Future<Output = ()>) {
        let (sandbox, event) = (Arc::clone(&self.sandbox), event(request));
        let invoking = tokio::spawn(async move { sandbox.invoke(event, None).await });
        moment.await;
        let process_id = std::fs::read_to_string(&self.process_id).unwrap();
        let killed = Command::new("kill").args(["-KILL", process_id.trim()]).status().unwrap();
        assert!(killed.success());
        match invoking.await.unwrap().outcome {
            Outcome::FunctionError(error) => assert_eq!(error.error_type, "Runtime.ExitError"),
            other => panic!("the process has survived: {other:?}"),
        }
    }
}

/// How many expired holds were published so far.
fn expired_holds(sandbox: &Sandbox) -> f64 {
    let batches = sandbox.metrics().batches();
    let data = batches.iter().flat_map(|batch| &batch.data);
    data.filter(|datum| datum.name == "ExpiredHolds").map(|datum| datum.sum()).sum()
}

/// Makes the only hold of the session one whose time is up.
async fn let_the_hold_expire(table: &TableUnderTest) {
    let holds = table.session("s").await.holds();
    let ids: Vec<String> = holds.into_keys().collect();
    let [id] = ids.as_slice() else { panic!("not one hold: {ids:?}") };
    table.set("s", &[&format!("hold#{id}"), "expires_at_ms"], number(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_reach_a_sessions_limit_exactly_and_do_not_pass_it() {
    const INVOCATIONS: usize = 2_000;
    const TASKS: usize = 64;
    let table = TableUnderTest::start().await;
    let sandbox = start(&table, 4).await;
    let invocations = stream::iter(0..INVOCATIONS).map(|number| {
        let (sandbox, event) = (&sandbox, event(&format!("Where is parcel {number}?")));
        async move { body(&sandbox.invoke(event, None).await) }
    });
    let bodies: Vec<Value> = invocations.buffer_unordered(TASKS).collect().await;
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for body in bodies {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        *counts.entry((text("status"), text("reason"))).or_default() += 1;
    }
    let answered = ("answered".to_owned(), String::new());
    let refused = ("refused".to_owned(), "budget_steps".to_owned());
    assert_eq!(counts, [(answered, 1_000), (refused, INVOCATIONS - 1_000)].into());
    assert_eq!(sandbox.agents().calls().len(), 1_000);
    let books = table.session("s").await;
    books.assert_settled(charge(1_000 * 70, 1_000 * 70));
    assert_eq!(books.steps(), 1_000);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_ordinary_invocation_writes_once_before_and_once_after() {
    let table = TableUnderTest::start().await;
    let sandbox = start(&table, 1).await;
    body(&sandbox.invoke(event("Where is parcel 1?"), None).await);
    table.faults().forget_requests();
    assert_eq!(body(&sandbox.invoke(event("And parcel 2?"), None).await)["status"], "answered");
    assert_eq!(table.faults().requests(), BTreeMap::from([("UpdateItem".to_owned(), 2)]));
}

#[tokio::test]
async fn an_invocation_whose_writes_were_not_answered_is_charged_once() {
    let table = TableUnderTest::start().await;
    let sandbox = start(&table, 1).await;
    // The session begins, goes on, and is settled twice.
    for operation in ["TransactWriteItems", "UpdateItem", "UpdateItem"] {
        table.faults().script(Fault::ServerErrorAfterApplying.on(operation));
        let body = body(&sandbox.invoke(event("Where is parcel 1?"), None).await);
        assert_eq!(body["status"], "answered", "{body}");
    }
    assert_eq!(table.faults().left(), 0);
    assert_eq!(sandbox.agents().calls().len(), 3);
    table.session("s").await.assert_settled(charge(210, 210));
}

#[tokio::test]
async fn a_table_that_comes_back_is_charged_what_it_held_when_it_went() {
    let table = TableUnderTest::start().await;
    let sandbox = Arc::new(start(&table, 1).await);
    body(&sandbox.invoke(event("Where is parcel 1?"), None).await);
    // It goes away before the settlement, whose attempts all fail.
    table.faults().script(Fault::ServerError.on("UpdateItem").after(1).times(3));
    let answered = body(&sandbox.invoke(event("Where is parcel 2?"), None).await);
    assert_eq!(answered["status"], "answered", "the answer is not lost");
    table.faults().go_down().await.unwrap();
    let refused = body(&sandbox.invoke(event("Where is parcel 3?"), None).await);
    assert_eq!(
        (&refused["status"], &refused["reason"]),
        (&json!("refused"), &json!("ledger_unavailable"))
    );
    table.faults().come_back().await.unwrap();
    let books = table.session("s").await;
    assert_eq!((books.steps(), books.committed()), (2, charge(1_070, 1_070)));
    assert_eq!(sandbox.agents().calls().len(), 2);
}

#[tokio::test]
async fn a_process_killed_between_reservation_and_settlement_leaves_its_hold_charged() {
    let table = TableUnderTest::start().await;
    let mortal = Mortal::start(&table).await;
    mortal.kill_during("Please take your time.", mortal.sandbox.agents().wait_for_calls(1)).await;
    let books = table.session("s").await;
    books.assert_balanced();
    assert_eq!((books.spent(), books.committed()), (charge(0, 0), charge(1_000, 1_000)));

    // While it may still live, it is left alone.
    body(&mortal.sandbox.invoke(event("Where is parcel 1?"), None).await);
    assert_eq!(table.session("s").await.holds().len(), 1);
    assert_eq!(expired_holds(&mortal.sandbox), 0.0);

    // Its time is up.
    let_the_hold_expire(&table).await;
    body(&mortal.sandbox.invoke(event("Where is parcel 2?"), None).await);
    assert_eq!(expired_holds(&mortal.sandbox), 1.0);
    table.session("s").await.assert_settled(charge(1_140, 1_140));
}

#[tokio::test]
async fn a_process_killed_between_settlement_and_reply_is_charged_what_it_used() {
    let table = TableUnderTest::start().await;
    let mortal = Mortal::start(&table).await;
    // Only a settlement removes an attribute here. It is applied, but the process never knows.
    let settled = Fault::HangAfterApplying.on("UpdateItem").containing("REMOVE").times(3);
    table.faults().script(settled);
    mortal.kill_during("Where is parcel 1?", table.faults().wait_for_unanswered(1)).await;
    table.faults().clear();
    table.session("s").await.assert_settled(charge(70, 70));

    let next = body(&mortal.sandbox.invoke(event("Where is parcel 1?"), None).await);
    assert_eq!(next["status"], "answered");
    assert_eq!(expired_holds(&mortal.sandbox), 0.0);
    table.session("s").await.assert_settled(charge(140, 140));
    // Another process goes on in the same session.
    let hold = Payer::new().reserve(&table.ledger(), &id(9), charge(1, 1), at(0)).await.unwrap();
    assert_eq!(hold.account.steps, 3);
}

#[tokio::test]
async fn an_expired_hold_is_counted_also_by_a_request_that_is_refused() {
    let table = TableUnderTest::start().await;
    let sandbox = start(&table, 1).await;
    body(&sandbox.invoke(event("Where is parcel 1?"), None).await);
    table.faults().script(Fault::ServerError.on("UpdateItem").containing("REMOVE").times(3));
    body(&sandbox.invoke(event("Where is parcel 2?"), None).await);
    assert_eq!(table.faults().left(), 0);
    let_the_hold_expire(&table).await;
    table.set("s", &["limit_steps"], number(2)).await;
    let refused = body(&sandbox.invoke(event("Where is parcel 3?"), None).await);
    assert_eq!(refused["reason"], "budget_steps", "{refused}");
    table.session("s").await.assert_settled(charge(1_070, 1_070));
    assert_eq!(expired_holds(&sandbox), 1.0);
}
