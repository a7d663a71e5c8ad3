//! A receiver of traces over OTLP, as a collector or X-Ray is one.
//!
//! It reads what it gets with OpenTelemetry's own messages, which the function does not use, and
//! refuses what they cannot be read from. Give its [`Traces::url`] to a function as
//! `OTEL_EXPORTER_OTLP_ENDPOINT`.

use std::collections::BTreeMap;
use std::future::pending;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use prost::Message;
use tokio::sync::watch;

use crate::http::{Reply, Server, response};
use crate::metrics::Health;

/// One accepted export.
#[derive(Clone, Debug)]
pub struct Export {
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The message as it came, decompressed.
    pub bytes: Bytes,
    /// What is known of the sender.
    pub resource: BTreeMap<String, String>,
    /// The version of the conventions that names are of.
    pub schema_url: String,
    /// The spans in the order sent.
    pub spans: Vec<Span>,
}

/// One span. Ids are hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: String,
    /// Its identity.
    pub id: String,
    /// The span that it is a part of; empty for none.
    pub parent: String,
    /// What is done.
    pub name: String,
    /// Whose work it is.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What is known of it.
    pub attributes: BTreeMap<String, String>,
    /// Traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
    /// Whether it failed.
    pub failed: bool,
}

/// The running receiver.
#[derive(Debug)]
pub struct Traces {
    server: Server,
    store: Arc<watch::Sender<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    health: Health,
    /// How many requests came, whatever became of them.
    requests: usize,
    exports: Vec<Export>,
}

impl Traces {
    /// Starts to take traces.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start() -> io::Result<Self> {
        let store = Arc::new(watch::Sender::new(Store::default()));
        let shared = Arc::clone(&store);
        let handler = move |request| answer(Arc::clone(&shared), request);
        Ok(Self { server: Server::start(handler).await?, store })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on requests are treated like this.
    pub fn set_health(&self, health: Health) {
        self.store.send_modify(|store| store.health = health);
    }

    /// How many requests came so far, whatever became of them.
    pub fn requests(&self) -> usize {
        self.store.borrow().requests
    }

    /// All exports, once there are `count`: they come when the reply is out already.
    pub async fn exports(&self, count: usize) -> Vec<Export> {
        let mut store = self.store.subscribe();
        match store.wait_for(|store| store.exports.len() >= count).await {
            Ok(store) => store.exports.clone(),
            // The sender is this receiver's own, and so outlives the wait.
            Err(_) => Vec::new(),
        }
    }
}

async fn answer(store: Arc<watch::Sender<Store>>, request: Request<Bytes>) -> Reply {
    let mut health = Health::Good;
    store.send_modify(|store| {
        store.requests += 1;
        health = store.health;
    });
    match health {
        Health::Good => {}
        Health::Failing => {
            return Ok(response(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "told to fail"));
        }
        Health::Hanging => return pending().await,
    }
    if request.method() != Method::POST || request.uri().path() != "/v1/traces" {
        return Ok(response(StatusCode::NOT_FOUND, "text/plain", "only /v1/traces is known here"));
    }
    match Export::read(&request) {
        Some(export) => {
            store.send_modify(|store| store.exports.push(export));
            // An empty message: all spans were accepted.
            Ok(response(StatusCode::OK, "application/x-protobuf", ""))
        }
        None => Ok(response(StatusCode::BAD_REQUEST, "text/plain", "no export of traces")),
    }
}

impl Export {
    fn read(request: &Request<Bytes>) -> Option<Self> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if header(CONTENT_TYPE) != Some("application/x-protobuf") {
            return None;
        }
        let bytes = match header(CONTENT_ENCODING) {
            Some("gzip") => {
                let mut bytes = Vec::new();
                GzDecoder::new(&request.body()[..]).read_to_end(&mut bytes).ok()?;
                bytes.into()
            }
            Some(_) => return None,
            None => request.body().clone(),
        };
        let message = ExportTraceServiceRequest::decode(bytes.clone()).ok()?;
        // A function is one resource and one library.
        let [resource_spans] = <[_; 1]>::try_from(message.resource_spans).ok()?;
        let [scope_spans] = <[_; 1]>::try_from(resource_spans.scope_spans).ok()?;
        let text = |value: &hyper::header::HeaderValue| value.to_str().map(str::to_owned).ok();
        Some(Self {
            headers: request
                .headers()
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
                .collect(),
            bytes,
            resource: attributes(resource_spans.resource?.attributes),
            schema_url: scope_spans.schema_url,
            spans: scope_spans.spans.into_iter().map(Span::from).collect(),
        })
    }
}

impl From<v1::Span> for Span {
    fn from(span: v1::Span) -> Self {
        let failed = span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == v1::status::StatusCode::Error);
        let link = |link: Link| (hex(&link.trace_id), hex(&link.span_id));
        Self {
            trace_id: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: attributes(span.attributes),
            links: span.links.into_iter().map(link).collect(),
            failed,
            name: span.name,
        }
    }
}

/// Attributes with their values as texts.
fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value?.value? {
            any_value::Value::StringValue(text) => text,
            any_value::Value::IntValue(number) => number.to_string(),
            any_value::Value::BoolValue(flag) => flag.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key, value))
    };
    attributes.into_iter().filter_map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    #[tokio::test]
    async fn what_is_no_export_of_traces_is_refused() {
        let traces = Traces::start().await.unwrap();
        let content_type = "content-type: application/x-protobuf\r\n";
        for (request, status) in [
            (post("/v1/traces", content_type, b"\xff\xff"), "HTTP/1.1 400"),
            (post("/v1/traces", "content-type: application/json\r\n", b"{}"), "HTTP/1.1 400"),
            (post("/v1/metrics", content_type, b""), "HTTP/1.1 404"),
        ] {
            let answer = exchange(traces.server.address(), &request).await;
            assert!(String::from_utf8_lossy(&answer).starts_with(status));
        }
        assert_eq!(traces.requests(), 3);
        assert_eq!(traces.exports(0).await.len(), 0);
    }
}
