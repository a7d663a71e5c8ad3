//! Stand-in of SNS: takes `Publish` for one topic and keeps what it got. Nobody subscribes here.
//!
//! SNS speaks AWS's Query protocol: a form goes in, XML comes out
//! (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;

use crate::http::{ANY_LOOPBACK, Reply, Server, response};
use crate::identity;
use crate::metrics::Health;

/// The topic that there is.
pub const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:123456789012:escalations";

/// The most bytes that SNS takes as a message.
const MOST_MESSAGE_BYTES: usize = 262_144;
/// The most characters that it takes as a subject.
const MOST_SUBJECT_CHARS: usize = 100;

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: Option<String>,
    /// Its text.
    pub text: String,
}

/// The running stand-in.
#[derive(Debug)]
pub struct Topic {
    server: Server,
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    health: Health,
    messages: Vec<Message>,
    refusals: Vec<String>,
}

impl Topic {
    /// Starts to take messages.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(ANY_LOOPBACK).await
    }

    /// As [`Topic::start`], elsewhere; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = Arc::clone(&store);
        let handler = move |request| answer(Arc::clone(&shared), request);
        Ok(Self { server: Server::start_at(address, handler).await?, store })
    }

    /// What `AWS_ENDPOINT_URL_SNS` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on requests are treated like this.
    pub fn set_health(&self, health: Health) {
        lock(&self.store).health = health;
    }

    /// All messages taken so far.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.store).messages.clone()
    }

    /// Why messages were refused so far.
    pub fn refusals(&self) -> Vec<String> {
        lock(&self.store).refusals.clone()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(store: Arc<Mutex<Store>>, request: Request<Bytes>) -> Reply {
    let health = lock(&store).health;
    match health {
        Health::Good => {}
        Health::Failing => {
            let body = error("InternalFailure", "the sandbox was told to fail");
            return Ok(response(StatusCode::INTERNAL_SERVER_ERROR, "text/xml", body));
        }
        Health::Hanging => return pending().await,
    }
    match published(&request) {
        Ok(message) => {
            lock(&store).messages.push(message);
            let (id, request_id) = (identity::uuid(), identity::uuid());
            let body = format!(
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
                 <PublishResult><MessageId>{id}</MessageId></PublishResult><ResponseMetadata>\
                 <RequestId>{request_id}</RequestId></ResponseMetadata></PublishResponse>"
            );
            Ok(response(StatusCode::OK, "text/xml", body))
        }
        Err((status, code, message)) => {
            lock(&store).refusals.push(message.clone());
            Ok(response(status, "text/xml", error(code, &message)))
        }
    }
}

type Refusal = (StatusCode, &'static str, String);

fn published(request: &Request<Bytes>) -> Result<Message, Refusal> {
    let form = form(request.body());
    if request.method() != Method::POST || form.get("Action").map(String::as_str) != Some("Publish")
    {
        let message = "only Publish is known here".to_owned();
        return Err((StatusCode::BAD_REQUEST, "InvalidAction", message));
    }
    if form.get("TopicArn").map(String::as_str) != Some(TOPIC_ARN) {
        let message = "Topic does not exist".to_owned();
        return Err((StatusCode::NOT_FOUND, "NotFound", message));
    }
    let invalid = |message: &str| {
        (StatusCode::BAD_REQUEST, "InvalidParameter", format!("Invalid parameter: {message}"))
    };
    let text = form.get("Message").cloned().unwrap_or_default();
    if text.is_empty() || text.len() > MOST_MESSAGE_BYTES {
        return Err(invalid("Message"));
    }
    let subject = form.get("Subject").cloned();
    let is_subject = |subject: &String| {
        let is_printable = |c: char| c.is_ascii() && !c.is_ascii_control();
        (1..=MOST_SUBJECT_CHARS).contains(&subject.len()) && subject.chars().all(is_printable)
    };
    if !subject.as_ref().is_none_or(is_subject) {
        return Err(invalid("Subject"));
    }
    Ok(Message { subject, text })
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let decoded =
        |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn error(code: &str, message: &str) -> String {
    let request_id = identity::uuid();
    format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    async fn publish(topic: &Topic, form: &str) -> String {
        let answer = exchange(topic.server.address(), &post("/", "", form.as_bytes())).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn with(more: &str) -> String {
        let arn = TOPIC_ARN.replace(':', "%3A");
        format!("Action=Publish&Version=2010-03-31&TopicArn={arn}{more}")
    }

    #[tokio::test]
    async fn a_message_is_kept_as_it_was_sent() {
        let topic = Topic::start().await.unwrap();
        let answer = publish(&topic, &with("&Message=a%26b+c%C3%A9&Subject=A+question")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("<MessageId>"), "{answer}");
        let expected =
            Message { subject: Some("A question".to_owned()), text: "a&b cé".to_owned() };
        assert_eq!(topic.messages(), [expected]);
    }

    #[tokio::test]
    async fn what_sns_refuses_is_refused_and_not_kept() {
        let topic = Topic::start().await.unwrap();
        let long = "x".repeat(101);
        for (form, code) in [
            ("Action=Subscribe".to_owned(), "InvalidAction"),
            ("Action=Publish&TopicArn=arn&Message=a".to_owned(), "NotFound"),
            (with("&Message="), "InvalidParameter"),
            (with(&format!("&Message=a&Subject={long}")), "InvalidParameter"),
            (with("&Message=a&Subject=a%0Ab"), "InvalidParameter"),
        ] {
            let answer = publish(&topic, &form).await;
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{form}: {answer}");
        }
        topic.set_health(Health::Failing);
        assert!(publish(&topic, &with("&Message=a")).await.starts_with("HTTP/1.1 500 "));
        assert!(topic.messages().is_empty());
    }
}
