//! The Runtime API, through which a function process gets its invocations and answers them.
//!
//! Each process has an API of its own, so that the process behind a request is known. Nothing is
//! decided here: every request becomes a [`Message`] to whoever looks after the process.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::http::{ANY_LOOPBACK, Body, HangUp, Reply, Server, response};
use crate::{clock, identity};

/// Says whether a reply is sent while it is made.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// What a function process says.
#[derive(Debug)]
pub(super) enum Message {
    /// It is ready for an invocation.
    Next(oneshot::Sender<Dispatch>),
    /// It has ended the invocation with this id.
    Done {
        /// The request id in the path.
        request_id: String,
        /// The reply's bytes, or the error it reports.
        result: Result<Bytes, FunctionError>,
    },
    /// It has sent a piece of its reply to the invocation with this id.
    Piece {
        /// The request id in the path.
        request_id: String,
        /// The piece.
        bytes: Bytes,
    },
    /// It cannot start.
    InitError(FunctionError),
}

/// Headers of an invocation that differ from Lambda's usual ones.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// One invocation as it is handed to a process.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    pub(super) request_id: String,
    pub(super) deadline: SystemTime,
    pub(super) function_arn: String,
    /// They go before all others.
    pub(super) headers: Headers,
    pub(super) payload: Bytes,
}

impl Dispatch {
    /// An invocation that starts now and may take `limit`.
    pub(super) fn new(
        request_id: String,
        function: &str,
        limit: Duration,
        payload: Bytes,
        headers: Headers,
    ) -> Self {
        Self {
            request_id,
            deadline: clock::now() + limit,
            function_arn: identity::function_arn(function),
            headers,
            payload,
        }
    }
}

/// An error that a function reports to Lambda.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionError {
    /// The error's type, by which callers can tell errors apart.
    pub error_type: String,
    /// The error in words.
    pub error_message: String,
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error_type, self.error_message)
    }
}

/// Starts a Runtime API whose messages arrive at the receiver.
pub(super) async fn start() -> io::Result<(Server, mpsc::UnboundedReceiver<Message>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let listener = TcpListener::bind(ANY_LOOPBACK).await?;
    let server = Server::unread_on(listener, move |request| read(sender.clone(), request))?;
    Ok((server, receiver))
}

/// Reads a request, which may be a reply that is still being made.
async fn read(messages: mpsc::UnboundedSender<Message>, request: Request<Incoming>) -> Reply {
    let (parts, mut body) = request.into_parts();
    let is_streamed =
        parts.headers.get(RESPONSE_MODE).is_some_and(|mode| mode.as_bytes() == b"streaming");
    let id = parts.uri.path().split('/').nth_back(1).unwrap_or_default().to_owned();
    let (mut whole, mut error) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| HangUp::Close)?;
        match frame.into_data() {
            Ok(bytes) => {
                whole.extend_from_slice(&bytes);
                if is_streamed {
                    let (request_id, messages) = (id.clone(), &messages);
                    let piece = Message::Piece { request_id, bytes };
                    messages.send(piece).map_err(|_| HangUp::Close)?;
                }
            }
            Err(frame) => error = frame.into_trailers().ok().as_ref().and_then(in_trailers),
        }
    }
    if let Some(error) = error {
        let done = Message::Done { request_id: id, result: Err(error) };
        messages.send(done).map_err(|_| HangUp::Close)?;
        return Ok(text(StatusCode::ACCEPTED, r#"{"status":"OK"}"#));
    }
    answer(messages, Request::from_parts(parts, whole.freeze())).await
}

/// The error that stands behind a reply that was streamed.
fn in_trailers(trailers: &HeaderMap) -> Option<FunctionError> {
    let error_type = trailers.get("lambda-runtime-function-error-type")?.to_str().ok()?.to_owned();
    Some(FunctionError { error_type, error_message: "behind the reply".to_owned() })
}

async fn answer(messages: mpsc::UnboundedSender<Message>, request: Request<Bytes>) -> Reply {
    let Some(path) = request.uri().path().strip_prefix("/2018-06-01/runtime/") else {
        return Ok(text(StatusCode::NOT_FOUND, "{}"));
    };
    let segments: Vec<&str> = path.split('/').collect();
    let message = match (request.method(), segments.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => return next(messages).await,
        (&Method::POST, ["invocation", request_id, "response"]) => {
            let result = Ok(request.body().clone());
            Message::Done { request_id: (*request_id).to_owned(), result }
        }
        (&Method::POST, ["invocation", request_id, "error"]) => {
            let result = Err(error(request.body()));
            Message::Done { request_id: (*request_id).to_owned(), result }
        }
        (&Method::POST, ["init", "error"]) => Message::InitError(error(request.body())),
        _ => return Ok(text(StatusCode::NOT_FOUND, "{}")),
    };
    messages.send(message).map_err(|_| HangUp::Close)?;
    Ok(text(StatusCode::ACCEPTED, r#"{"status":"OK"}"#))
}

async fn next(messages: mpsc::UnboundedSender<Message>) -> Reply {
    let (sender, receiver) = oneshot::channel();
    messages.send(Message::Next(sender)).map_err(|_| HangUp::Close)?;
    let dispatch = receiver.await.map_err(|_| HangUp::Close)?;
    let deadline = clock::unix_millis(dispatch.deadline).to_string();
    let mut response = text(StatusCode::OK, dispatch.payload);
    let headers = [
        ("lambda-runtime-aws-request-id", dispatch.request_id),
        ("lambda-runtime-deadline-ms", deadline),
        ("lambda-runtime-invoked-function-arn", dispatch.function_arn),
        ("lambda-runtime-trace-id", identity::trace_id(clock::now())),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).map_err(|_| HangUp::Close)?;
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    for (name, value) in dispatch.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The runtime's error document; what is no such document becomes the message.
fn error(body: &[u8]) -> FunctionError {
    serde_json::from_slice(body).unwrap_or_else(|_| FunctionError {
        error_type: "Runtime.Unknown".to_owned(),
        error_message: String::from_utf8_lossy(body).into_owned(),
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    response(status, "application/json", body)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::http::tests::{exchange, post};

    const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\
        host: h\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_poll_gets_the_invocation_with_lambdas_headers() {
        let (server, mut messages) = start().await.unwrap();
        let poller = tokio::spawn(async move { exchange(server.address(), NEXT).await });
        let Some(Message::Next(poll)) = messages.recv().await else { panic!("no poll") };
        let dispatch = Dispatch {
            request_id: "id-1".into(),
            deadline: UNIX_EPOCH + Duration::from_millis(1234),
            function_arn: "arn:x".into(),
            headers: vec![(
                HeaderName::from_static("lambda-runtime-client-context"),
                HeaderValue::from_static(r#"{"custom":{}}"#),
            )],
            payload: Bytes::from_static(b"{\"a\":1}"),
        };
        poll.send(dispatch).unwrap();
        let answer = String::from_utf8(poller.await.unwrap()).unwrap();
        for header in [
            "lambda-runtime-aws-request-id: id-1\r\n",
            "lambda-runtime-deadline-ms: 1234\r\n",
            "lambda-runtime-invoked-function-arn: arn:x\r\n",
            "lambda-runtime-trace-id: Root=1-",
            "lambda-runtime-client-context: {\"custom\":{}}\r\n",
        ] {
            assert!(answer.contains(header), "{header} in {answer}");
        }
        assert!(answer.ends_with("{\"a\":1}"), "{answer}");
    }

    #[tokio::test]
    async fn replies_and_errors_reach_whoever_looks_after_the_process() {
        let (server, mut messages) = start().await.unwrap();
        let path = |last: &str| format!("/2018-06-01/runtime/{last}");
        let request = post(&path("invocation/7/response"), "", b"yes");
        let answer = exchange(server.address(), &request).await;
        assert!(answer.starts_with(b"HTTP/1.1 202 "));
        let Some(Message::Done { request_id, result }) = messages.recv().await else { panic!() };
        assert_eq!((&*request_id, result), ("7", Ok(Bytes::from_static(b"yes"))));

        let body = br#"{"errorType":"UnknownEventForm","errorMessage":"m","stackTrace":[]}"#;
        exchange(server.address(), &post(&path("invocation/8/error"), "", body)).await;
        let Some(Message::Done { result: Err(error), .. }) = messages.recv().await else {
            panic!()
        };
        assert_eq!(error.to_string(), "UnknownEventForm: m");

        exchange(server.address(), &post(&path("init/error"), "", b"no json")).await;
        let Some(Message::InitError(error)) = messages.recv().await else { panic!() };
        assert_eq!(error.error_message, "no json");
    }
}
