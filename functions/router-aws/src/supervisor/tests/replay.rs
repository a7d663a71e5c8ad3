//! A connection that gives a recorded answer and keeps the request.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::Value;

/// What the service answers.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    /// The name of the error that it is.
    error: Option<&'static str>,
    body: Vec<u8>,
    end: End,
}

/// How the body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    InOrder,
    /// The connection is lost.
    Lost,
    /// Nothing more comes.
    Silence,
}

impl Answer {
    /// A stream of these events.
    pub(super) fn events(events: &[(&str, Value)]) -> Self {
        let frames =
            events.iter().map(|(name, payload)| frame(":event-type", "event", name, payload));
        let body = frames.collect::<Vec<_>>().concat();
        Self { status: 200, error: None, body, end: End::InOrder }
    }

    /// An error before the stream.
    pub(super) fn error(status: u16, error: &'static str) -> Self {
        let body = br#"{"message":"no"}"#.to_vec();
        Self { status, error: Some(error), body, end: End::InOrder }
    }

    /// The same, and then an exception.
    pub(super) fn then_exception(mut self, name: &str) -> Self {
        let payload = serde_json::json!({ "message": "no" });
        self.body.extend(frame(":exception-type", "exception", name, &payload));
        self
    }

    /// The same, cut off within its last frame.
    pub(super) fn cut_off(mut self) -> Self {
        self.body.truncate(self.body.len() - 3);
        self
    }

    /// The same, and then the connection is lost.
    pub(super) fn then_lost(self) -> Self {
        Self { end: End::Lost, ..self }
    }

    /// The same, and then nothing.
    pub(super) fn then_silence(self) -> Self {
        Self { end: End::Silence, ..self }
    }

    fn into_response(self) -> HttpResponse {
        let first = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from(self.body)))]);
        let lost = || stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())]);
        let body = match self.end {
            End::InOrder => SdkBody::from_body_1_x(StreamBody::new(first)),
            End::Lost => SdkBody::from_body_1_x(StreamBody::new(first.chain(lost()))),
            End::Silence => SdkBody::from_body_1_x(StreamBody::new(first.chain(stream::pending()))),
        };
        let mut response = HttpResponse::new(self.status.try_into().unwrap(), body);
        if let Some(error) = self.error {
            response.headers_mut().insert("x-amzn-errortype", error);
        }
        response
    }
}

fn frame(kind: &'static str, message_type: &'static str, name: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let message = Message::new(payload.to_string())
        .add_header(Header::new(kind, text(name)))
        .add_header(Header::new(":message-type", text(message_type)));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

/// The connection.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    answer: Answer,
    request: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Replay {
    pub(super) fn of(answer: Answer) -> Self {
        Self { answer, request: Arc::default() }
    }

    /// What makes a client use it.
    pub(super) fn configuration(&self) -> SdkConfig {
        let credentials = Credentials::new("k", "s", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(SharedHttpClient::new(self.clone()))
            .build()
    }

    /// The body of the request; `null`: there was none.
    pub(super) fn body(&self) -> Value {
        let request = self.request.lock().unwrap().take();
        request.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap())
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let before = self.request.lock().unwrap().replace(request.body().bytes().unwrap().to_vec());
        assert!(before.is_none(), "the SDK must not retry");
        HttpConnectorFuture::ready(Ok(self.answer.clone().into_response()))
    }
}

impl HttpClient for Replay {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
