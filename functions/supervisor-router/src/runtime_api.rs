//! Lambda's Runtime API: where invocations come from and replies go.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! `lambda_runtime` (1.5.0) does this too, but reads the client context and the Cognito identity
//! into types of its own before any layer sees them, and ends the process where they do not fit: a
//! gateway that passes a header on is enough, and callers put there what they like. Its loop and
//! its client cannot be replaced one without the other, and its client also gives up on a header
//! line with a control character. What is left of it for a function that serves one invocation at
//! a time are three requests. The crate can come back when it hands the headers on unread, or
//! reads them as if what does not fit were absent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use router_aws::SystemClock;
use router_core::units::{Clock, Timestamp};
use serde_json::json;

/// Headers may have this many bytes. A client context has at most 3,583.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The longest that Lambda lets an invocation take.
const LONGEST: Duration = Duration::from_secs(900);

/// How long an invocation may take whose deadline cannot be read: as long as Lambda gives a
/// function that sets nothing.
const UNTOLD: Duration = Duration::from_secs(3);

/// The name of the header that the Runtime API wants back with the reply.
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// The Runtime API of this execution environment.
pub(crate) struct RuntimeApi {
    client: Client<HttpConnector, Full<Bytes>>,
    /// The URL under which all invocations are.
    invocations: String,
}

/// What Lambda hands over with one invocation. What cannot be read of it is as if it were absent.
pub(crate) struct Invocation {
    /// Lambda's request id.
    pub(crate) request_id: String,
    /// When the reply must be out.
    pub(crate) deadline: Timestamp,
    /// The function as its caller named it.
    pub(crate) function_arn: String,
    /// The header of X-Ray's trace.
    pub(crate) xray_trace: Option<String>,
    /// What the caller put beside the event, unread.
    pub(crate) client_context: Option<HeaderValue>,
    /// The event, unread.
    pub(crate) payload: Bytes,
    /// By which Lambda tells a reply from a late one to an earlier attempt.
    invocation_id: Option<HeaderValue>,
}

/// An error that Lambda reports to the caller. Its type is fixed, so that it can be looked for.
pub(crate) struct FunctionError {
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

/// The Runtime API did not do its part: nothing can be answered any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeApiError {
    #[error("the Runtime API cannot be reached")]
    Unreachable,
    #[error("the Runtime API answered with HTTP {0} where an invocation was asked for")]
    Status(u16),
    #[error("the Runtime API handed over an invocation without a request id")]
    NoRequestId,
}

impl RuntimeApi {
    /// The API at `address`, a host with a port.
    pub(crate) fn new(address: &str) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(MAX_HEADER_BYTES)
            .http1_ignore_invalid_headers_in_responses(true)
            .build_http();
        let invocations = format!("http://{address}/2018-06-01/runtime/invocation");
        Self { client, invocations }
    }

    /// Waits for the next invocation; Lambda may freeze the process meanwhile.
    pub(crate) async fn next(&self) -> Result<Invocation, RuntimeApiError> {
        let request = Request::get(format!("{}/next", self.invocations));
        let (parts, payload) = self.send(request, Bytes::new()).await?.into_parts();
        if !parts.status.is_success() {
            return Err(RuntimeApiError::Status(parts.status.as_u16()));
        }
        Invocation::read(&parts.headers, payload, SystemClock.now())
            .ok_or(RuntimeApiError::NoRequestId)
    }

    /// Ends an invocation with a reply or an error, and gives the HTTP status with which Lambda
    /// took it or did not.
    pub(crate) async fn end(
        &self,
        invocation: &Invocation,
        result: Result<String, FunctionError>,
    ) -> Result<u16, RuntimeApiError> {
        let (end, body) = match result {
            Ok(reply) => ("response", reply),
            Err(FunctionError { error_type, message }) => {
                ("error", json!({ "errorType": error_type, "errorMessage": message }).to_string())
            }
        };
        let mut request =
            Request::post(format!("{}/{}/{end}", self.invocations, invocation.request_id));
        if end == "error" {
            request = request.header("lambda-runtime-function-error-type", "unhandled");
        }
        if let Some(id) = &invocation.invocation_id {
            request = request.header(INVOCATION_ID, id);
        }
        Ok(self.send(request, body.into()).await?.status().as_u16())
    }

    /// Sends a request and reads its answer to the end, so that the connection is free again.
    async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Bytes>, RuntimeApiError> {
        let request = request.body(Full::new(body)).map_err(|_| RuntimeApiError::Unreachable)?;
        let response = self.client.request(request).await;
        let (parts, body) = response.map_err(|_| RuntimeApiError::Unreachable)?.into_parts();
        let body = body.collect().await.map_err(|_| RuntimeApiError::Unreachable)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

impl Invocation {
    /// Reads an invocation; `None` without a request id, under which it would be answered.
    fn read(headers: &HeaderMap, payload: Bytes, now: Timestamp) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let deadline = text("lambda-runtime-deadline-ms").and_then(|millis| millis.parse().ok());
        Some(Self {
            request_id: text("lambda-runtime-aws-request-id").filter(|id| !id.is_empty())?,
            deadline: deadline.map_or(now.after(UNTOLD), Timestamp).min(now.after(LONGEST)),
            function_arn: text("lambda-runtime-invoked-function-arn").unwrap_or_default(),
            xray_trace: text("lambda-runtime-trace-id"),
            client_context: headers.get("lambda-runtime-client-context").cloned(),
            invocation_id: headers.get(INVOCATION_ID).cloned(),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn read(headers: &[(&'static str, &[u8])]) -> Option<Invocation> {
        let headers = headers.iter().map(|(name, value)| {
            let name = hyper::header::HeaderName::from_static(name);
            (name, HeaderValue::from_bytes(value).unwrap())
        });
        Invocation::read(&headers.collect(), Bytes::new(), Timestamp(1_000_000))
    }

    const ID: (&str, &[u8]) = ("lambda-runtime-aws-request-id", b"id-1");

    #[test]
    fn headers_that_cannot_be_read_are_as_if_they_were_absent() {
        let read = read(&[
            ID,
            ("lambda-runtime-trace-id", b"\xff"),
            ("lambda-runtime-invoked-function-arn", b"arn:\xe9"),
            ("lambda-runtime-client-context", b"{\"custom\": \"\xc3\xa9\"}"),
            ("lambda-runtime-cognito-identity", b"7"),
        ])
        .unwrap();
        assert_eq!((&*read.request_id, &*read.function_arn, read.xray_trace), ("id-1", "", None));
        assert!(read.client_context.is_some(), "whether it can be read is not decided here");
    }

    #[test]
    fn a_deadline_is_never_further_off_than_lambda_allows_and_one_that_is_none_is_near() {
        for (value, expected) in [
            (&b"1002000"[..], 1_002_000),
            (b"18446744073709551615", 1_900_000),
            (b"18446744073709551616", 1_003_000),
            (b"-5", 1_003_000),
            (b"soon", 1_003_000),
            (b"", 1_003_000),
            (b"1", 1),
        ] {
            let read = read(&[ID, ("lambda-runtime-deadline-ms", value)]).unwrap();
            assert_eq!(read.deadline, Timestamp(expected), "{value:?}");
        }
        assert_eq!(read(&[ID]).unwrap().deadline, Timestamp(1_003_000));
    }

    #[tokio::test]
    async fn a_header_line_that_is_none_is_skipped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = RuntimeApi::new(&listener.local_addr().unwrap().to_string());
        let serving = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4_096]).await.unwrap();
            let head =
                b"HTTP/1.1 200 OK\r\nlambda-runtime-client-context: {\"a\":\"\x7f\x01\"}\r\n\
                lambda-runtime-aws-request-id: id-1\r\ncontent-length: 2\r\n\r\n{}";
            connection.write_all(head).await.unwrap();
            connection
        };
        let (invocation, _connection) = tokio::join!(api.next(), serving);
        let invocation = invocation.unwrap();
        assert_eq!((&*invocation.request_id, &*invocation.payload), ("id-1", &b"{}"[..]));
        assert_eq!(invocation.client_context, None);
    }

    #[test]
    fn nothing_can_be_answered_without_a_request_id() {
        assert!(read(&[]).is_none());
        assert!(read(&[("lambda-runtime-aws-request-id", b"")]).is_none());
        assert!(read(&[("lambda-runtime-aws-request-id", b"\xff")]).is_none());
    }
}
