//! A proxy in front of DynamoDB that counts the requests and lets them fail as told.
//!
//! What a ledger must survive hardly ever happens to an emulator: a write that is applied and
//! not answered, one that is applied when its repetition is long settled, a conflict with a
//! transaction, a table that throttles or is not there. [`Faults`] does these things to the
//! requests that a [`FaultRule`] chooses, by operation and by count.
//!
//! ```no_run
//! # async fn run(table: &stand_ins::table::Table) {
//! use stand_ins::table_faults::Fault;
//!
//! // The second update of an item is applied, and answered as if it had failed.
//! table.faults().script(Fault::ServerErrorAfterApplying.on("UpdateItem").after(1));
//! # }
//! ```

mod answers;
mod rule;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderMap;
use tokio::sync::watch;

pub use self::rule::{Fault, FaultRule};

use self::answers::{cancelled, refusal, server_error};
use crate::http::{ANY_LOOPBACK, HangUp, Reply, Server};
use crate::presence::Presence;
use crate::upstream::{Answer, Upstream};

/// The running proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Faults {
    stage: Arc<Stage>,
    presence: Presence,
}

impl Faults {
    /// Starts to pass requests on to the DynamoDB at `upstream`.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn before(upstream: SocketAddr) -> io::Result<Self> {
        Self::at(ANY_LOOPBACK, upstream).await
    }

    /// As [`Faults::before`], elsewhere; port 0 is a free one.
    pub(crate) async fn at(address: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let stage = Arc::new(Stage {
            upstream: Upstream::at(upstream),
            state: Mutex::default(),
            unanswered: watch::Sender::new(0),
        });
        let serving = Arc::clone(&stage);
        let handler = move |request| Arc::clone(&serving).answer(request);
        let server = Server::start_at(address, handler).await?;
        Ok(Self { stage, presence: Presence::of(server) })
    }

    /// What `AWS_ENDPOINT_URL_DYNAMODB` has to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.presence.address())
    }

    /// Adds a rule. A request fails by the first rule that applies to it.
    pub fn script(&self, rule: FaultRule) {
        self.stage.state().rules.push(rule);
    }

    /// How many faults are scripted that have not happened yet.
    pub fn left(&self) -> usize {
        self.stage.state().rules.iter().map(FaultRule::left).sum()
    }

    /// Forgets what is scripted.
    pub fn clear(&self) {
        self.stage.state().rules.clear();
    }

    /// The requests so far or since [`Faults::forget_requests`], failed ones included, by
    /// operation.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        self.stage.state().requests.clone()
    }

    /// Starts to count anew.
    pub fn forget_requests(&self) {
        self.stage.state().requests.clear();
    }

    /// Returns as soon as `count` requests have been left without an answer
    /// ([`Fault::Hang`], [`Fault::HangAfterApplying`]), counted from the start.
    pub async fn wait_for_unanswered(&self, count: usize) {
        // It cannot fail: the sender lives as long as `self`.
        let _ = self.stage.unanswered.subscribe().wait_for(|found| *found >= count).await;
    }

    /// Applies what [`Fault::ServerErrorThenApplied`] has held back, in order, and returns what
    /// DynamoDB answers to each: status and JSON.
    ///
    /// # Errors
    ///
    /// When DynamoDB cannot be reached.
    pub async fn release(&self) -> io::Result<Vec<(u16, serde_json::Value)>> {
        let late = std::mem::take(&mut self.stage.state().late);
        let mut answers = Vec::new();
        for (headers, body) in late {
            let answer = self.stage.upstream.send("/", headers, body).await?;
            let json = serde_json::from_slice(&answer.body).unwrap_or_default();
            answers.push((answer.status.as_u16(), json));
        }
        Ok(answers)
    }

    /// Closes all connections and refuses new ones.
    ///
    /// # Errors
    ///
    /// When the port cannot be kept.
    pub async fn go_down(&self) -> io::Result<()> {
        self.presence.go_down().await
    }

    /// Ends [`Faults::go_down`].
    ///
    /// # Errors
    ///
    /// When the port was lost.
    pub async fn come_back(&self) -> io::Result<()> {
        let serving = Arc::clone(&self.stage);
        self.presence.come_back(move |request| Arc::clone(&serving).answer(request)).await
    }
}

/// What all requests share.
#[derive(Debug)]
struct Stage {
    upstream: Upstream,
    state: Mutex<State>,
    unanswered: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<FaultRule>,
    requests: BTreeMap<String, usize>,
    late: Vec<(HeaderMap, Bytes)>,
}

impl Stage {
    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Reply {
        let (parts, body) = request.into_parts();
        let fault = self.fault(&parts.headers, &body);
        let apply = || self.upstream.send("/", parts.headers.clone(), body.clone());
        match fault {
            None => apply().await.map(Answer::into_response).map_err(|_| HangUp::Close),
            Some(Fault::ServerError) => Ok(server_error()),
            Some(Fault::ServerErrorAfterApplying) => {
                apply().await.map_err(|_| HangUp::Close)?;
                Ok(server_error())
            }
            Some(Fault::ServerErrorThenApplied) => {
                self.state().late.push((parts.headers, body));
                Ok(server_error())
            }
            Some(Fault::Close) => Err(HangUp::Close),
            Some(Fault::CloseAfterApplying) => {
                apply().await.map_err(|_| HangUp::Close)?;
                Err(HangUp::Close)
            }
            Some(Fault::Hang) => self.hang().await,
            Some(Fault::HangAfterApplying) => {
                apply().await.map_err(|_| HangUp::Close)?;
                self.hang().await
            }
            Some(Fault::TransactionConflict) => Ok(refusal(
                "TransactionConflictException",
                "Transaction is ongoing for the item",
                None,
            )),
            Some(Fault::TransactionCanceled) => Ok(cancelled(&body)),
            Some(Fault::ThroughputExceeded) => Ok(refusal(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded.",
                None,
            )),
            Some(Fault::Throttling) => {
                Ok(refusal("ThrottlingException", "Rate of requests exceeds the limit.", None))
            }
        }
    }

    /// Counts the request and finds out whether it fails.
    fn fault(&self, headers: &HeaderMap, body: &[u8]) -> Option<Fault> {
        // DynamoDB_20120810.UpdateItem
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let mut state = self.state();
        *state.requests.entry(operation.to_owned()).or_default() += 1;
        let mut rules = state.rules.iter_mut();
        rules.find_map(|rule| rule.strike(operation, body))
    }

    async fn hang(&self) -> Reply {
        self.unanswered.send_modify(|count| *count += 1);
        std::future::pending().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use serde_json::json;
    use tokio::net::TcpStream;

    use super::*;
    use crate::http::response;
    use crate::http::tests::{exchange, post};

    /// A DynamoDB that answers each request with how many came before it.
    async fn counting() -> (Server, Faults) {
        let count = Arc::new(Mutex::new(0));
        let upstream = Server::start(move |_| {
            let mut count = count.lock().unwrap();
            *count += 1;
            let body = json!({ "applied": *count }).to_string();
            async move { Ok(response(StatusCode::OK, "application/x-amz-json-1.0", body)) }
        });
        let upstream = upstream.await.unwrap();
        let faults = Faults::before(upstream.address()).await.unwrap();
        (upstream, faults)
    }

    async fn ask(faults: &Faults, operation: &str, body: &str) -> String {
        let target = format!("x-amz-target: DynamoDB_20120810.{operation}\r\n");
        let answer =
            exchange(faults.presence.address(), &post("/", &target, body.as_bytes())).await;
        String::from_utf8(answer).unwrap()
    }

    async fn update(faults: &Faults) -> String {
        ask(faults, "UpdateItem", "{}").await
    }

    #[tokio::test]
    async fn a_rule_chooses_by_operation_by_content_and_by_count() {
        let (_upstream, faults) = counting().await;
        let rule = Fault::ServerError.on("UpdateItem").containing("SESSION#s").after(1).times(2);
        faults.script(rule);
        assert_eq!(faults.left(), 2);
        ask(&faults, "GetItem", "SESSION#s").await;
        update(&faults).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let answer = ask(&faults, "UpdateItem", "SESSION#s").await;
            statuses.push(answer.split(' ').nth(1).unwrap().to_owned());
        }
        assert_eq!(statuses, ["200", "500", "500", "200"]);
        assert_eq!(faults.left(), 0);
        let requests = BTreeMap::from([("GetItem".to_owned(), 1), ("UpdateItem".to_owned(), 5)]);
        assert_eq!(faults.requests(), requests);
    }

    #[tokio::test]
    async fn an_applied_write_may_be_answered_with_an_error_or_not_at_all() {
        let (_upstream, faults) = counting().await;
        faults.script(Fault::ServerErrorAfterApplying.on("UpdateItem"));
        faults.script(Fault::CloseAfterApplying.on("UpdateItem"));
        faults.script(Fault::Close.on("UpdateItem"));
        assert!(update(&faults).await.contains("#InternalServerError"));
        assert_eq!(update(&faults).await, "");
        assert_eq!(update(&faults).await, "");
        assert!(update(&faults).await.ends_with(r#"{"applied":3}"#));
    }

    #[tokio::test]
    async fn a_late_write_is_applied_when_it_is_released() {
        let (_upstream, faults) = counting().await;
        faults.script(Fault::ServerErrorThenApplied.on("UpdateItem"));
        assert!(update(&faults).await.contains("#InternalServerError"));
        assert!(update(&faults).await.ends_with(r#"{"applied":1}"#));
        assert_eq!(faults.release().await.unwrap(), [(200, json!({ "applied": 2 }))]);
        assert_eq!(faults.release().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_cancelled_transaction_has_a_reason_for_each_item() {
        let (_upstream, faults) = counting().await;
        faults.script(Fault::TransactionCanceled.on("TransactWriteItems"));
        let body = r#"{"TransactItems":[{},{},{}]}"#;
        let answer = ask(&faults, "TransactWriteItems", body).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let codes: Vec<&str> = body["CancellationReasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["Code"].as_str().unwrap())
            .collect();
        assert_eq!(codes, ["TransactionConflict", "None", "None"]);
    }

    #[tokio::test]
    async fn a_hanging_request_is_noticed_and_ends_when_its_caller_leaves() {
        let (_upstream, faults) = counting().await;
        faults.script(Fault::HangAfterApplying.on("UpdateItem"));
        tokio::select! {
            answer = update(&faults) => panic!("{answer}"),
            () = faults.wait_for_unanswered(1) => {}
        }
        assert!(update(&faults).await.ends_with(r#"{"applied":2}"#));
    }

    #[tokio::test]
    async fn a_proxy_that_is_down_refuses_connections_until_it_comes_back() {
        let (_upstream, faults) = counting().await;
        update(&faults).await;
        faults.go_down().await.unwrap();
        let error = TcpStream::connect(faults.presence.address()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        faults.come_back().await.unwrap();
        assert!(update(&faults).await.ends_with(r#"{"applied":2}"#));
    }
}
