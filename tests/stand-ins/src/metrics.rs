//! Stand-in of CloudWatch: takes `PutMetricData`, keeps what it got and can be asked.
//!
//! It refuses what CloudWatch refuses, because a single bad datum costs a sender its whole
//! batch. Other operations are not known here.

mod rules;
mod wire;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use self::wire::{RawBatch, RawDatum};
use crate::clock;
use crate::http::{ANY_LOOPBACK, Body, HangUp, Reply, Server, response};
use crate::upstream::{Answer, Upstream};

/// One accepted `PutMetricData` request.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The CloudWatch namespace.
    pub namespace: String,
    /// The data in the order sent.
    pub data: Vec<Datum>,
}

/// One metric datum.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// The metric's name.
    pub name: String,
    /// The unit; CloudWatch's default is `None`.
    pub unit: String,
    /// The values, each as often as it was counted.
    pub values: Vec<f64>,
    /// The dimension set: together with the name, what an alarm watches.
    pub dimensions: BTreeMap<String, String>,
    /// Seconds since 1970, if the sender gave a time.
    pub timestamp: Option<f64>,
}

impl Datum {
    /// The sum of the values.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// The dimension set in one line, sorted: `A=x,B=y`; empty when there is none.
    pub fn dimension_set(&self) -> String {
        let pairs: Vec<String> =
            self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    }
}

/// How the stand-in treats requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// As CloudWatch does.
    #[default]
    Good,
    /// Every request is an HTTP 500 and nothing is kept.
    Failing,
    /// No request is ever answered and nothing is kept.
    Hanging,
}

/// The running stand-in.
#[derive(Debug)]
pub struct Metrics {
    server: Server,
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    health: Health,
    batches: Vec<Batch>,
    refusals: Vec<String>,
}

impl Metrics {
    /// Starts to take metrics.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(ANY_LOOPBACK, None).await
    }

    /// As [`Metrics::start`], elsewhere; port 0 is a free one. What is taken is passed on to the
    /// CloudWatch at `upstream`, if there is one, which answers.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr, upstream: Option<SocketAddr>) -> io::Result<Self> {
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = Arc::clone(&store);
        let upstream = upstream.map(|address| Arc::new(Upstream::at(address)));
        let handler = move |request| answer(Arc::clone(&shared), upstream.clone(), request);
        Ok(Self { server: Server::start_at(address, handler).await?, store })
    }

    /// What `AWS_ENDPOINT_URL_CLOUDWATCH` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on requests are treated like this.
    pub fn set_health(&self, health: Health) {
        lock(&self.store).health = health;
    }

    /// All batches taken so far.
    pub fn batches(&self) -> Vec<Batch> {
        lock(&self.store).batches.clone()
    }

    /// Why batches were refused so far; empty for a sender that keeps the rules.
    pub fn refusals(&self) -> Vec<String> {
        lock(&self.store).refusals.clone()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

const PATH: &str = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
/// The same in JSON.
const TARGET: &str = "GraniteServiceVersion20100801.PutMetricData";

async fn answer(
    store: Arc<Mutex<Store>>,
    upstream: Option<Arc<Upstream>>,
    request: Request<Bytes>,
) -> Reply {
    let health = lock(&store).health;
    match health {
        Health::Good => {}
        Health::Failing => {
            let body = wire::error("InternalServiceFault", "the sandbox was told to fail");
            return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError", body));
        }
        Health::Hanging => return pending().await,
    }
    // The SDK for Python speaks JSON.
    let is_json = request.headers().get("x-amz-target").is_some_and(|target| target == TARGET);
    if request.method() != Method::POST || !is_json && request.uri().path() != PATH {
        let body = wire::error("UnknownOperationException", "only PutMetricData is known here");
        return Ok(error(StatusCode::NOT_FOUND, "UnknownOperationException", body));
    }
    let gzip = request.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let decoded = match is_json {
        true => wire::decode_json(request.body()),
        false => wire::decode(request.body(), gzip),
    };
    let batch = match decoded {
        Ok(batch) => batch,
        Err(mistake) => {
            lock(&store).refusals.push(mistake.to_string());
            let body = wire::error("SerializationException", &mistake.to_string());
            return Ok(error(StatusCode::BAD_REQUEST, "SerializationException", body));
        }
    };
    if let Err(violation) = rules::check(&batch, clock::now()) {
        let (shape, code) = violation.names();
        lock(&store).refusals.push(violation.message().to_owned());
        return Ok(error(StatusCode::BAD_REQUEST, code, wire::error(shape, violation.message())));
    }
    lock(&store).batches.push(batch.into());
    if is_json {
        return Ok(response(StatusCode::OK, "application/x-amz-json-1.0", "{}"));
    }
    let Some(upstream) = upstream else {
        return Ok(cbor_response(StatusCode::OK, wire::accepted()));
    };
    let (parts, body) = request.into_parts();
    let answer = upstream.send(PATH, parts.headers, body).await;
    answer.map(Answer::into_response).map_err(|_| HangUp::Close)
}

/// CloudWatch once spoke the Query protocol; this header still carries that protocol's code, and
/// the SDK reads the code there.
fn error(status: StatusCode, code: &str, body: Vec<u8>) -> Response<Body> {
    let mut response = cbor_response(status, body);
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    if let Ok(value) = HeaderValue::from_str(&format!("{code};{fault}")) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
    }
    response
}

fn cbor_response(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = response(status, "application/cbor", body);
    response.headers_mut().insert(
        HeaderName::from_static("smithy-protocol"),
        HeaderValue::from_static("rpc-v2-cbor"),
    );
    response
}

impl From<RawBatch> for Batch {
    fn from(raw: RawBatch) -> Self {
        let data = raw.data.into_iter().map(Datum::from).collect();
        Self { namespace: raw.namespace.unwrap_or_default(), data }
    }
}

impl From<RawDatum> for Datum {
    fn from(raw: RawDatum) -> Self {
        let counts = raw.counts.into_iter().map(|count| count.round().max(0.0) as usize);
        let counted = raw
            .values
            .into_iter()
            .zip(counts.chain(std::iter::repeat(1)))
            .flat_map(|(value, count)| std::iter::repeat_n(value, count));
        Self {
            name: raw.name.unwrap_or_default(),
            unit: raw.unit.unwrap_or_else(|| "None".to_owned()),
            values: raw.value.into_iter().chain(counted).collect(),
            dimensions: raw.dimensions.into_iter().map(|one| (one.name, one.value)).collect(),
            timestamp: raw.timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use ciborium::cbor;

    use super::*;
    use crate::http::tests::{exchange, post};

    /// `{"Namespace": "N", "MetricData": [{"MetricName": "M", "Value": 1.0, "Unit": <unit>}]}`
    fn body(unit: &str) -> Vec<u8> {
        let datum = cbor!({ "MetricName" => "M", "Value" => 1.0, "Unit" => unit });
        let batch = cbor!({ "Namespace" => "N", "MetricData" => [datum.unwrap()] });
        let mut bytes = Vec::new();
        ciborium::into_writer(&batch.unwrap(), &mut bytes).unwrap();
        bytes
    }

    async fn put(metrics: &Metrics, body: &[u8]) -> String {
        let answer = exchange(metrics.server.address(), &post(PATH, "", body)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_batch_is_kept_and_answered_as_the_sdk_expects() {
        let metrics = Metrics::start().await.unwrap();
        let answer = put(&metrics, &body("Count")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("smithy-protocol: rpc-v2-cbor\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/cbor\r\n"), "{answer}");
        let batches = metrics.batches();
        assert_eq!((batches.len(), &*batches[0].namespace), (1, "N"));
        assert_eq!(batches[0].data[0].values, [1.0]);
        assert_eq!(batches[0].data[0].dimension_set(), "");
    }

    #[tokio::test]
    async fn a_batch_that_breaks_a_rule_is_refused_and_not_kept() {
        let metrics = Metrics::start().await.unwrap();
        let answer = put(&metrics, &body("Dollars")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("x-amzn-query-error: InvalidParameterValue;Sender"), "{answer}");
        assert!(metrics.batches().is_empty());
        assert_eq!(metrics.refusals(), ["M: Unit is `Dollars`"]);
    }

    #[tokio::test]
    async fn what_is_taken_is_passed_on_and_what_is_refused_is_not() {
        let behind = Metrics::start().await.unwrap();
        let upstream = Some(behind.server.address());
        let metrics = Metrics::start_at(ANY_LOOPBACK, upstream).await.unwrap();
        assert!(put(&metrics, &body("Count")).await.starts_with("HTTP/1.1 200 "));
        assert!(put(&metrics, &body("Dollars")).await.starts_with("HTTP/1.1 400 "));
        assert_eq!((metrics.batches(), metrics.refusals().len()), (behind.batches(), 1));
        assert!(behind.refusals().is_empty());
        drop(behind);
        assert_eq!(put(&metrics, &body("Count")).await, "", "nobody answers in its place");
    }

    #[tokio::test]
    async fn a_failing_service_keeps_nothing() {
        let metrics = Metrics::start().await.unwrap();
        metrics.set_health(Health::Failing);
        assert!(put(&metrics, &body("Count")).await.starts_with("HTTP/1.1 500 "));
        assert!(metrics.batches().is_empty());
    }
}
