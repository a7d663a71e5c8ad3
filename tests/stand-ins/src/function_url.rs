//! Stand-in of a function URL that streams (`RESPONSE_STREAM`): an HTTP request becomes an event in
//! payload format 2.0, and the pieces of the reply go out as they come.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::clock;
use crate::functions::Functions;
use crate::http::{HangUp, Reply, Server, response};
use crate::identity;

/// Between a reply's head and its body.
const AFTER_HEAD: [u8; 8] = [0; 8];

/// A URL of a function. Dropping it closes the port; requests under way go on.
#[derive(Debug)]
pub struct FunctionUrl(Server);

impl FunctionUrl {
    /// Listens at `address` for a function.
    pub(crate) async fn start_at(
        address: SocketAddr,
        functions: Arc<Functions>,
        function: &str,
    ) -> io::Result<Self> {
        let function: Arc<str> = function.into();
        let handler = move |request| answer(functions.clone(), function.clone(), request);
        Server::start_at(address, handler).await.map(Self)
    }

    /// The URL, without a path.
    pub fn url(&self) -> String {
        self.0.url()
    }
}

/// The head that a function writes before the body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

async fn answer(functions: Arc<Functions>, function: Arc<str>, request: Request<Bytes>) -> Reply {
    let event = event(&request).to_string();
    let (sender, mut pieces) = mpsc::unbounded_channel();
    // The invocation goes on when the client has gone.
    tokio::spawn(async move { functions.stream(&function, event.into(), sender).await });
    let mut begun = BytesMut::new();
    let (head, rest) = loop {
        let Some(piece) = pieces.recv().await else {
            let body = r#"{"Message":"Internal Server Error"}"#;
            return Ok(response(StatusCode::BAD_GATEWAY, "application/json", body));
        };
        begun.extend_from_slice(&piece);
        if let Some(end) = begun.windows(AFTER_HEAD.len()).position(|window| window == AFTER_HEAD) {
            let rest = begun.split_off(end + AFTER_HEAD.len());
            begun.truncate(end);
            break (begun.freeze(), rest.freeze());
        }
    };
    let head: Head = serde_json::from_slice(&head).map_err(|_| HangUp::Close)?;
    let more = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    });
    let all = stream::iter((!rest.is_empty()).then_some(rest)).chain(more);
    let frames = all.map(|piece| Ok::<_, HangUp>(Frame::data(piece)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(head.status_code).map_err(|_| HangUp::Close)?;
    for (name, value) in head.headers {
        let name = HeaderName::try_from(name).map_err(|_| HangUp::Close)?;
        let value = HeaderValue::try_from(value).map_err(|_| HangUp::Close)?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

/// The event of an HTTP request. A body that is no text is written in base64 by Lambda; here what is
/// none in it is replaced.
fn event(request: &Request<Bytes>) -> Value {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: BTreeMap<String, String> =
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let uri = request.uri();
    let body = String::from_utf8_lossy(request.body());
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": identity::ACCOUNT,
            "apiId": "sandbox",
            "authorizer": { "iam": { "accountId": identity::ACCOUNT } },
            "http": {
                "method": request.method().as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent"),
            },
            "requestId": identity::uuid(),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": clock::unix_millis(clock::now()),
        },
        "body": (!body.is_empty()).then_some(&body),
        "isBase64Encoded": false,
    })
}
