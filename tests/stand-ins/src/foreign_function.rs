//! Stand-in of Lambda's `Invoke`, for one function that is not of this project: it answers as it is
//! told and keeps what it was asked.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::http::{ANY_LOOPBACK, Body, HangUp, Reply, Server, response};
use crate::identity;

/// The function that there is.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:old-bot:live";

/// The most bytes that Lambda takes as a request, or hands on as an answer, of a function that is
/// waited for: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const MOST_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What comes of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// The function answers this, whether it is JSON or not.
    Answers(Bytes),
    /// The function raises an error of this message.
    Raises(&'static str),
    /// Lambda throttles it.
    Throttled,
    /// Lambda fails.
    Failing,
    /// The connection is reset before an answer.
    HangsUp,
    /// No answer ever comes.
    Hanging,
}

/// The running stand-in.
#[derive(Debug)]
pub struct ForeignFunction {
    server: Server,
    store: Arc<Mutex<Store>>,
}

#[derive(Debug)]
struct Store {
    behaviour: Behaviour,
    payloads: Vec<Bytes>,
    refusals: Vec<&'static str>,
}

impl ForeignFunction {
    /// Starts to take invocations.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start(behaviour: Behaviour) -> io::Result<Self> {
        Self::start_at(ANY_LOOPBACK, behaviour).await
    }

    /// As [`ForeignFunction::start`], elsewhere; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        let store = Store { behaviour, payloads: Vec::new(), refusals: Vec::new() };
        let store = Arc::new(Mutex::new(store));
        let shared = Arc::clone(&store);
        let handler = move |request| answer(Arc::clone(&shared), request);
        Ok(Self { server: Server::start_at(address, handler).await?, store })
    }

    /// What `AWS_ENDPOINT_URL_LAMBDA` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on this comes of invocations.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        lock(&self.store).behaviour = behaviour;
    }

    /// What it was asked so far, throttled and failed invocations included.
    pub fn payloads(&self) -> Vec<Bytes> {
        lock(&self.store).payloads.clone()
    }

    /// The errors by which invocations were refused that Lambda would refuse.
    pub fn refusals(&self) -> Vec<&'static str> {
        lock(&self.store).refusals.clone()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(store: Arc<Mutex<Store>>, request: Request<Bytes>) -> Reply {
    if let Err((status, kind)) = check(&request) {
        lock(&store).refusals.push(kind);
        return Ok(error(status, kind, "the stand-in refuses it, as Lambda would"));
    }
    let behaviour = {
        let mut store = lock(&store);
        store.payloads.push(request.into_body());
        store.behaviour.clone()
    };
    match behaviour {
        Behaviour::Answers(payload) if payload.len() > MOST_PAYLOAD_BYTES => {
            Ok(raised("Function.ResponseSizeTooLarge", "Response payload size exceeded"))
        }
        Behaviour::Answers(payload) => Ok(answered(payload)),
        Behaviour::Raises(message) => Ok(raised("KeyError", message)),
        Behaviour::Throttled => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            Ok(error(status, "TooManyRequestsException", "Rate Exceeded."))
        }
        Behaviour::Failing => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(error(status, "ServiceException", "the stand-in was told to fail"))
        }
        Behaviour::HangsUp => Err(HangUp::Reset),
        Behaviour::Hanging => pending().await,
    }
}

fn check(request: &Request<Bytes>) -> Result<(), (StatusCode, &'static str)> {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    if request.method() != Method::POST
        || path != format!("/2015-03-31/functions/{FUNCTION_ARN}/invocations")
    {
        return Err((StatusCode::NOT_FOUND, "ResourceNotFoundException"));
    }
    let kind = request.headers().get("x-amz-invocation-type");
    if kind.is_some_and(|kind| kind != "RequestResponse") {
        return Err((StatusCode::BAD_REQUEST, "InvalidParameterValueException"));
    }
    if request.body().len() > MOST_PAYLOAD_BYTES {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException"));
    }
    match serde_json::from_slice::<Value>(request.body()) {
        Ok(_) => Ok(()),
        Err(_) => Err((StatusCode::BAD_REQUEST, "InvalidRequestContentException")),
    }
}

fn answered(payload: Bytes) -> Response<Body> {
    with(response(StatusCode::OK, "application/json", payload), REQUEST_ID, &identity::uuid())
}

/// What Lambda makes of a function's exception: a success whose header says that it is none.
fn raised(kind: &str, message: &str) -> Response<Body> {
    let payload = json!({ "errorMessage": message, "errorType": kind, "stackTrace": [message] });
    with(answered(payload.to_string().into()), FUNCTION_ERROR, "Unhandled")
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    let body = json!({ "Type": "User", "message": message }).to_string();
    let response = with(response(status, "application/json", body), ERROR_TYPE, kind);
    with(response, REQUEST_ID, &identity::uuid())
}

fn with(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    async fn invoke(function: &ForeignFunction, arn: &str, headers: &str, body: &[u8]) -> String {
        let path = format!("/2015-03-31/functions/{}/invocations", arn.replace(':', "%3A"));
        let answer = exchange(function.server.address(), &post(&path, headers, body)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn the_function_answers_as_it_is_told_and_keeps_what_it_was_asked() {
        let payload = Bytes::from_static(br#"{"answer":"Yes."}"#);
        let function = ForeignFunction::start(Behaviour::Answers(payload)).await.unwrap();
        let answer = invoke(&function, FUNCTION_ARN, "", br#"{"input":"?"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"answer\":\"Yes.\"}"), "{answer}");
        assert_eq!(function.payloads(), [&br#"{"input":"?"}"#[..]]);
        for (behaviour, expected) in [
            (Behaviour::Raises("oh"), "x-amz-function-error: Unhandled"),
            (Behaviour::Throttled, "HTTP/1.1 429 "),
            (Behaviour::Failing, "HTTP/1.1 500 "),
            (
                Behaviour::Answers(vec![b' '; MOST_PAYLOAD_BYTES + 1].into()),
                "Function.ResponseSizeTooLarge",
            ),
        ] {
            function.set_behaviour(behaviour);
            let answer = invoke(&function, FUNCTION_ARN, "", b"{}").await;
            assert!(answer.contains(expected), "{answer}");
        }
        function.set_behaviour(Behaviour::HangsUp);
        assert_eq!(invoke(&function, FUNCTION_ARN, "", b"{}").await, "");
    }

    #[tokio::test]
    async fn what_lambda_refuses_is_refused() {
        let function = ForeignFunction::start(Behaviour::Throttled).await.unwrap();
        let other = "arn:aws:lambda:us-east-1:123456789012:function:other";
        let long = vec![b' '; MOST_PAYLOAD_BYTES + 1];
        let later = "x-amz-invocation-type: Event\r\n";
        for (arn, headers, body, expected) in [
            (other, "", &b"{}"[..], "ResourceNotFoundException"),
            (FUNCTION_ARN, later, b"{}", "InvalidParameterValueException"),
            (FUNCTION_ARN, "", &long, "RequestTooLargeException"),
            (FUNCTION_ARN, "", b"input", "InvalidRequestContentException"),
        ] {
            let answer = invoke(&function, arn, headers, body).await;
            assert!(answer.contains(expected), "{answer}");
        }
        assert_eq!(function.refusals().len(), 4);
        assert!(function.payloads().is_empty());
    }
}
