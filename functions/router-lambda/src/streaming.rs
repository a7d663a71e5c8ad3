//! A reply that is sent while it is made.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>

use std::cell::RefCell;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use lambda_runtime::Diagnostic;
use lambda_runtime_api_client::body::Body;
use serde_json::json;

/// Tells Lambda that the reply's head stands in its body.
pub(crate) const WITH_HEAD: &str = "application/vnd.awslambda.http-integration-response";

/// Between the head and what follows it.
const AFTER_HEAD: [u8; 8] = [0; 8];

/// Named in the request's head, as trailers have to be.
pub(crate) const ERROR_TYPE: HeaderName =
    HeaderName::from_static("lambda-runtime-function-error-type");
pub(crate) const ERROR_BODY: HeaderName =
    HeaderName::from_static("lambda-runtime-function-error-body");

/// A reply.
#[derive(Debug)]
pub enum Reply {
    /// It is sent now.
    Whole(String),
    /// It was sent in [`Pieces`].
    Streamed,
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self::Whole(text)
    }
}

/// Where an invocation's reply can be streamed to.
#[derive(Debug)]
pub struct Streaming {
    begins: RefCell<Option<oneshot::Sender<Body>>>,
    frames: RefCell<Option<mpsc::UnboundedSender<Frame<Bytes>>>>,
}

/// The pieces of a reply that is under way. It ends when the invocation does.
#[derive(Clone, Debug)]
pub struct Pieces(mpsc::UnboundedSender<Frame<Bytes>>);

impl Pieces {
    /// Sends a piece. It waits for nobody: what the caller has not read yet is kept, and a caller that
    /// has gone away gets nothing more.
    pub fn send(&self, piece: impl Into<Bytes>) {
        let _ = self.0.unbounded_send(Frame::data(piece.into()));
    }
}

impl Streaming {
    /// A way out for a reply, and what is sent on it once the reply has begun.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Body>) {
        let (begins, begun) = oneshot::channel();
        (Self { begins: RefCell::new(Some(begins)), frames: RefCell::default() }, begun)
    }

    /// Begins the answer of a function URL, with this status and these headers.
    pub fn begin(&self, status: u16, headers: &[(&str, &str)]) -> Pieces {
        let (sender, frames) = mpsc::unbounded();
        let headers: serde_json::Map<String, serde_json::Value> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let head = json!({ "statusCode": status, "headers": headers }).to_string();
        let pieces = Pieces(sender.clone());
        pieces.send(head);
        pieces.send(Bytes::from_static(&AFTER_HEAD));
        if let Some(begins) = self.begins.take() {
            let frames = frames.map(Ok::<_, std::convert::Infallible>);
            // Who waits for it has gone only where the whole invocation has.
            let _ = begins.send(Body::new(StreamBody::new(frames)));
        }
        self.frames.replace(Some(sender));
        pieces
    }

    /// Ends the reply, as the invocation ended. An error says so behind what was sent.
    pub(crate) fn end(&self, error: Option<&Diagnostic>) {
        drop(self.begins.take());
        let (Some(frames), Some(error)) = (self.frames.take(), error) else { return };
        let mut trailers = HeaderMap::new();
        let body = json!(error).to_string();
        let texts = [(ERROR_TYPE, error.error_type.clone()), (ERROR_BODY, BASE64.encode(body))];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                trailers.insert(name, value);
            }
        }
        let _ = frames.unbounded_send(Frame::trailers(trailers));
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    async fn sent(work: impl FnOnce(&Streaming)) -> Option<(Vec<u8>, Option<HeaderMap>)> {
        let (streaming, begun) = Streaming::new();
        work(&streaming);
        drop(streaming);
        let collected = begun.await.ok()?.collect().await.unwrap();
        let trailers = collected.trailers().cloned();
        Some((collected.to_bytes().to_vec(), trailers))
    }

    #[tokio::test]
    async fn a_reply_that_does_not_begin_is_not_streamed() {
        assert_eq!(sent(|streaming| streaming.end(None)).await, None);
    }

    #[tokio::test]
    async fn the_head_comes_first_and_eight_zeros_after_it() {
        let sent = sent(|streaming| {
            let pieces = streaming.begin(200, &[("content-type", "text/event-stream")]);
            pieces.send("one ");
            pieces.send("two");
            streaming.end(None);
        });
        let (body, trailers) = sent.await.unwrap();
        let head = br#"{"headers":{"content-type":"text/event-stream"},"statusCode":200}"#;
        let expected = [&head[..], &[0; 8], b"one two"].concat();
        assert_eq!((body, trailers), (expected, None));
    }

    #[tokio::test]
    async fn an_error_behind_what_was_sent_is_told_in_trailers() {
        let sent = sent(|streaming| {
            streaming.begin(200, &[]).send("half");
            let (error_type, error_message) = ("Panic".to_owned(), "it panicked".to_owned());
            streaming.end(Some(&Diagnostic { error_type, error_message }));
        });
        let (body, trailers) = sent.await.unwrap();
        assert!(body.ends_with(b"half"));
        let trailers = trailers.unwrap();
        assert_eq!(trailers[ERROR_TYPE], "Panic");
        let body = BASE64.decode(&trailers[ERROR_BODY]).unwrap();
        let expected = json!({ "errorType": "Panic", "errorMessage": "it panicked" });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), expected);
    }
}
