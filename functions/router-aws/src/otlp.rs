//! Traces over OTLP and HTTP: to X-Ray itself, or to a collector.
//!
//! A trace is kept until the reply is out and exported then: no caller waits for it, but Lambda does,
//! which is paid for it. So there is one attempt within a time limit, and a receiver that does
//! not answer in time is left alone for a while, in which nothing is gathered either. A trace
//! that cannot be exported is lost, which the log says; no request ever learns of it.

mod encode;
mod message;
mod xray;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use flate2::Compression;
use flate2::write::GzEncoder;
use message::ExportTraceServiceResponse;
use prost::Message;
use router_core::error::Cause;
use router_core::ids::RootSession;
use router_core::trace::{Trace, TraceId};
use router_core::units::{Clock, Learnt};
use tokio::time::timeout;
use tracing::{Instrument, Span, warn};

use crate::SystemClock;
use crate::failure::NO_ANSWER;
use crate::settings::TraceSettings;

/// How long a receiver that did not answer in time is left alone.
const PAUSE: Duration = Duration::from_secs(10);

/// What Lambda says of the invocation that brought a request.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Whether it is its environment's first.
    pub is_cold: bool,
    /// The header of X-Ray's trace of the invocation.
    pub xray_trace: Option<String>,
}

/// Exports traces.
#[derive(Debug)]
pub struct OtlpTraces {
    settings: TraceSettings,
    connector: SharedHttpConnector,
    signer: Option<Signer>,
    state: Mutex<State>,
}

/// Who signs requests to X-Ray.
#[derive(Debug)]
struct Signer {
    region: String,
    credentials: SharedCredentialsProvider,
}

#[derive(Debug, Default)]
struct State {
    /// The trace that waits for its reply to be out, and where a loss of it is logged.
    waiting: Option<(Trace, Invocation, Span)>,
    /// Since then nothing is gathered, for as long as [`PAUSE`].
    paused: Option<Learnt>,
}

impl OtlpTraces {
    /// Exports as `settings` say; to X-Ray's own endpoint with the credentials of `config`.
    pub fn new(config: &SdkConfig, settings: TraceSettings) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        let region = xray::region(&settings.endpoint);
        let signer = region.zip(config.credentials_provider());
        Self {
            connector: SharedHttpConnector::new(connector.build()),
            signer: signer.map(|(region, credentials)| Signer { region, credentials }),
            state: Mutex::default(),
            settings,
        }
    }

    /// Whether the trace of a request of `session` is wanted.
    pub fn wants(&self, session: Option<&RootSession>, request_id: &str) -> bool {
        let now = Learnt::now(&SystemClock);
        let is_paused = self.state().paused.is_some_and(|paused| now.since(&paused) < PAUSE);
        let is_sampled =
            || session.is_none() || self.settings.sampler.takes(TraceId::of(session, request_id));
        !is_paused && is_sampled()
    }

    /// Keeps a trace until [`OtlpTraces::export`].
    pub fn keep(&self, trace: Trace, invocation: Invocation) {
        self.state().waiting = Some((trace, invocation, Span::current()));
    }

    /// Exports what was kept, within `within` and the time that the settings give.
    pub async fn export(&self, within: Duration) {
        let Some((trace, invocation, span)) = self.state().waiting.take() else { return };
        let bytes = encode::encode(&self.settings.resource, &trace, &invocation);
        self.export_bytes(bytes, within.min(self.settings.timeout)).instrument(span).await;
    }

    async fn export_bytes(&self, bytes: Vec<u8>, within: Duration) {
        let failure = match timeout(within, self.send(bytes)).await {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause,
            Err(_) => {
                self.state().paused = Some(Learnt::now(&SystemClock));
                NO_ANSWER.into()
            }
        };
        warn!(error = %failure, "a trace is lost");
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), Cause> {
        let unsendable = |_| "the request could not be made";
        let request = self.request(bytes).map_err(unsendable)?;
        let request = match &self.signer {
            Some(Signer { region, credentials }) => {
                let credentials = credentials.provide_credentials().await;
                let credentials = credentials.map_err(|_| "there are no credentials")?;
                xray::signed(request, region, credentials, SystemClock.now()).map_err(unsendable)?
            }
            None => request,
        };
        let response =
            self.connector.call(request).await.map_err(|_| "the connection was refused or lost")?;
        let status = response.status();
        // Read to its end, the connection serves the next export as well.
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|_| "the answer could not be read")?.into_bytes();
        if !status.is_success() {
            let cause = Cause::new("the receiver answered with an error");
            return Err(cause.status(Some(status.as_u16())));
        }
        let rejected = ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|response| response.partial_success)
            .map_or(0, |partial| partial.rejected_spans);
        if rejected > 0 {
            return Err("the receiver rejected spans".into());
        }
        Ok(())
    }

    fn request(&self, mut bytes: Vec<u8>) -> Result<HttpRequest, BoxError> {
        let TraceSettings { endpoint, headers, gzip, .. } = &self.settings;
        if *gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes)?;
            bytes = encoder.finish()?;
        }
        let mut request = HttpRequest::new(SdkBody::from(bytes));
        request.set_method("POST")?;
        request.set_uri(endpoint.as_str())?;
        let sent = request.headers_mut();
        for (name, value) in &headers.0 {
            sent.try_append(name.clone(), value.clone())?;
        }
        sent.try_insert("content-type", "application/x-protobuf")?;
        sent.try_insert("user-agent", concat!("supervisor-router/", env!("CARGO_PKG_VERSION")))?;
        if *gzip {
            sent.try_insert("content-encoding", "gzip")?;
        }
        Ok(request)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
