//! What the two floors share: a loop over the Runtime API, and what they send.
//!
//! A floor makes the calls of an ordinary step, in the function's order: an update of the session
//! before the agent is asked, an update after, and the metrics beside that. It decides nothing,
//! checks nothing and retries nothing, so what it costs is what the calls cost.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Whatever goes wrong ends a floor.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// How many data the function publishes for an ordinary step.
pub const METRICS: usize = 24;

/// What takes a step in a session's item: the key, the expression and the values of each update.
pub const BEFORE: &str = "ADD steps :one, committed_tokens :held SET held_by = :id";
/// What settles it.
pub const AFTER: &str = "ADD spent_tokens :used, committed_tokens :back REMOVE held_by";
/// The session has a step left.
pub const HAS_ROOM: &str = "attribute_not_exists(steps) OR steps < :most";

/// An HTTP client.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// What an event asks.
#[derive(Debug)]
pub struct Asked {
    /// The session.
    pub session: String,
    /// `AGENTID/ALIASID`.
    pub agent: String,
    /// The text for the agent.
    pub prompt: String,
}

impl Http {
    /// A client that keeps its connections.
    #[expect(clippy::new_without_default, reason = "it opens a pool")]
    pub fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// No answer, or one that says that the request failed.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(HeaderMap, Bytes), BoxError> {
        let (head, body) = self.0.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if !head.status.is_success() {
            return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&body)).into());
        }
        Ok((head.headers, body))
    }
}

/// Answers one event after the other.
///
/// # Errors
///
/// The first of `answer` or of the Runtime API.
pub async fn serve(
    http: &Http,
    answer: impl AsyncFn(Asked) -> Result<String, BoxError>,
) -> Result<Infallible, BoxError> {
    let agents: Value = serde_json::from_str(&variable("SPECIALIST_AGENTS")?)?;
    let api = variable("AWS_LAMBDA_RUNTIME_API")?;
    let api = format!("http://{api}/2018-06-01/runtime/invocation");
    loop {
        let next = Request::get(format!("{api}/next")).body(Full::default())?;
        let (headers, event) = http.send(next).await?;
        let id = headers.get("lambda-runtime-aws-request-id").ok_or("no request id")?.to_str()?;
        let event: Value = serde_json::from_slice(&event)?;
        let answer = answer(Asked::read(&event, &agents).ok_or("an unknown event")?).await?;
        let body = json!({ "status": "answered", "answer": answer }).to_string();
        let reply = json!({ "messageVersion": "1.0", "response": {
            "actionGroup": event["actionGroup"],
            "function": event["function"],
            "functionResponse": { "responseBody": { "TEXT": { "body": body } } },
        }});
        let reply = Full::from(reply.to_string());
        http.send(Request::post(format!("{api}/{id}/response")).body(reply)?).await?;
    }
}

impl Asked {
    fn read(event: &Value, agents: &Value) -> Option<Self> {
        let parameters = event["parameters"].as_array()?;
        let argument = |name: &str| {
            let found = parameters.iter().find(|parameter| parameter["name"] == name)?;
            found["value"].as_str()
        };
        Some(Self {
            session: event["sessionId"].as_str()?.to_owned(),
            agent: agents[argument("specialist_type")?].as_str()?.to_owned(),
            prompt: argument("request")?.to_owned(),
        })
    }
}

/// An environment variable.
///
/// # Errors
///
/// It is not set.
pub fn variable(name: &str) -> Result<String, BoxError> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}
