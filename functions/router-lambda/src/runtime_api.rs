//! Lambda's Runtime API: where invocations come from and replies go.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! `lambda_runtime` (1.5.0) does this too, but reads the client context and the Cognito identity
//! into types of its own before any layer sees them, and ends the process where they do not fit: a
//! gateway that passes a header on is enough, and callers put there what they like. Its loop builds
//! its client itself, which gives up on a header line with a control character. So the three
//! requests of its loop are made here, over the client of its family (`lambda_runtime_api_client`),
//! which is put around an HTTP client that skips such lines; errors are its `Diagnostic`. A proxy
//! between Lambda and its loop would cost an exchange for each of them. All of this can go, and
//! [`crate::run`] become a `lambda_runtime::Runtime`, when that hands the headers on unread, or
//! reads them as if what does not fit were absent.

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, TRAILER};
use hyper::http::request::Builder;
use hyper::{Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::Diagnostic;
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{Client, build_request};
use router_aws::SystemClock;
use router_core::units::Clock;
use serde_json::json;

use crate::invocation::{INVOCATION_ID, Invocation};
use crate::streaming::{ERROR_BODY, ERROR_TYPE, WITH_HEAD};

/// Headers may have this many bytes. A client context has at most 3,583.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The path under which all invocations are.
const INVOCATIONS: &str = "/2018-06-01/runtime/invocation";

/// The Runtime API of this execution environment.
pub(crate) struct RuntimeApi(Client);

/// The Runtime API did not do its part: no event can be answered any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeApiError {
    #[error("`AWS_LAMBDA_RUNTIME_API` is not a host with a port")]
    Address,
    #[error("the Runtime API cannot be reached")]
    Unreachable,
    #[error("the Runtime API answered with HTTP {0} where an invocation was asked for")]
    Status(u16),
    #[error("the Runtime API handed over an invocation without a request id")]
    NoRequestId,
}

impl RuntimeApi {
    /// The API at `address`, a host with a port.
    pub(crate) fn new(address: &str) -> Result<Self, RuntimeApiError> {
        let base = Uri::builder().scheme("http").authority(address).path_and_query("/").build();
        let base = base.map_err(|_| RuntimeApiError::Address)?;
        let mut connector = HttpConnector::new();
        // The pieces of a stream must not wait for each other's acknowledgement, which takes 40 ms.
        connector.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new())
            .http1_max_buf_size(MAX_HEADER_BYTES)
            .http1_ignore_invalid_headers_in_responses(true)
            .build(connector);
        Ok(Self(Client { base, client }))
    }

    /// Waits for the next invocation; Lambda may freeze the process meanwhile.
    pub(crate) async fn next(&self) -> Result<Invocation, RuntimeApiError> {
        let request = build_request().method("GET").uri(format!("{INVOCATIONS}/next"));
        let (parts, payload) = self.send(request, Body::empty()).await?.into_parts();
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
        result: Result<String, Diagnostic>,
    ) -> Result<u16, RuntimeApiError> {
        let (end, body) = match result {
            Ok(reply) => ("response", reply),
            Err(diagnostic) => ("error", json!(diagnostic).to_string()),
        };
        let mut request = post(invocation, end);
        if end == "error" {
            request = request.header(ERROR_TYPE, "unhandled");
        }
        Ok(self.send(request, body.into()).await?.status().as_u16())
    }

    /// Sends a reply as it is made, and gives the HTTP status with which Lambda took it or did not.
    pub(crate) async fn stream(
        &self,
        invocation: &Invocation,
        body: Body,
    ) -> Result<u16, RuntimeApiError> {
        let request = post(invocation, "response")
            .header("lambda-runtime-function-response-mode", "streaming")
            .header(CONTENT_TYPE, WITH_HEAD)
            .header(TRAILER, ERROR_TYPE.as_str())
            .header(TRAILER, ERROR_BODY.as_str());
        Ok(self.send(request, body).await?.status().as_u16())
    }

    /// Sends a request and reads its answer to the end, so that the connection is free again.
    async fn send(&self, request: Builder, body: Body) -> Result<Response<Bytes>, RuntimeApiError> {
        let request = request.body(body).map_err(|_| RuntimeApiError::Unreachable)?;
        let response = self.0.call(request).await;
        let (parts, body) = response.map_err(|_| RuntimeApiError::Unreachable)?.into_parts();
        let body = body.collect().await.map_err(|_| RuntimeApiError::Unreachable)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

/// The request that ends an invocation.
fn post(invocation: &Invocation, end: &str) -> Builder {
    let path = format!("{INVOCATIONS}/{}/{end}", invocation.request_id);
    let request = build_request().method("POST").uri(path);
    match &invocation.invocation_id {
        Some(id) => request.header(INVOCATION_ID, id),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_header_line_that_is_none_is_skipped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = RuntimeApi::new(&listener.local_addr().unwrap().to_string()).unwrap();
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
    fn an_address_that_is_none_is_found_before_the_first_request() {
        for address in ["", " ", "host name", "/path", "[::1", "http://host"] {
            let found = RuntimeApi::new(address);
            assert!(matches!(found, Err(RuntimeApiError::Address)), "{address:?}");
        }
        assert!(RuntimeApi::new("127.0.0.1:9001").is_ok());
    }
}
