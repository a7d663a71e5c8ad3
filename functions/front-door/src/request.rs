//! How a request comes: by direct invocation, or by a function URL in payload format 2.0.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An event of Lambda's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'e> {
    /// The request itself, which is answered whole.
    Direct(&'e [u8]),
    /// An HTTP request.
    Url {
        /// The request, or why the HTTP request has none.
        request: Result<Cow<'e, [u8]>, NotServed>,
        /// Whether the caller wants the answer as it comes.
        streams: bool,
    },
}

/// An HTTP request that is turned down for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotServed {
    /// It is no `POST`.
    Method,
    /// Its body is not what it says that it is.
    Body,
    /// It cannot be read.
    Event,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlEvent<'e> {
    request_context: RequestContext,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    body: Option<Cow<'e, str>>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
}

/// What only an event of a URL has.
#[derive(Deserialize)]
struct Marked {
    #[serde(rename = "requestContext")]
    _request_context: MarkedContext,
}

#[derive(Deserialize)]
struct MarkedContext {
    #[serde(rename = "http")]
    _http: IgnoredAny,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl<'e> Event<'e> {
    /// Reads an event. What is none of a URL's is the request itself.
    pub(crate) fn read(payload: &'e [u8]) -> Self {
        if serde_json::from_slice::<Marked>(payload).is_err() {
            return Self::Direct(payload);
        }
        let Ok(event) = serde_json::from_slice::<UrlEvent<'e>>(payload) else {
            return Self::Url { request: Err(NotServed::Event), streams: false };
        };
        let streams = event
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("accept") && accepts_events(value));
        let request = if event.request_context.http.method == "POST" {
            body(event)
        } else {
            Err(NotServed::Method)
        };
        Self::Url { request, streams }
    }
}

/// Whether a header `Accept` takes server-sent events.
fn accepts_events(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_events =
            parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
        is_events && weight.unwrap_or(1.0_f64) > 0.0
    })
}

fn body(event: UrlEvent<'_>) -> Result<Cow<'_, [u8]>, NotServed> {
    match event.body {
        None => Ok(Cow::Borrowed(b"")),
        Some(text) if event.is_base64_encoded => {
            BASE64_STANDARD.decode(&*text).map(Cow::Owned).map_err(|_| NotServed::Body)
        }
        Some(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn url(method: &str, headers: Value, more: Value) -> Vec<u8> {
        let mut event = json!({ "version": "2.0", "rawPath": "/", "headers": headers,
            "requestContext": { "http": { "method": method, "path": "/" } } });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string().into_bytes()
    }

    #[test]
    fn what_is_no_urls_event_is_the_request_itself() {
        for payload in [r#"{"input": "Hi"}"#, "", "[]", r#"{"requestContext": 7}"#] {
            assert_eq!(Event::read(payload.as_bytes()), Event::Direct(payload.as_bytes()));
        }
    }

    #[test]
    fn the_body_of_a_post_is_the_request_however_it_is_written() {
        let plain = json!({ "body": "{\"input\": \"\\u00e9\"}", "isBase64Encoded": false });
        let coded = json!({ "body": "eyJpbnB1dCI6ICJcdTAwZTkifQ==", "isBase64Encoded": true });
        for more in [plain, coded] {
            let payload = url("POST", json!({}), more);
            let Event::Url { request, streams } = Event::read(&payload) else { panic!() };
            assert_eq!(request.unwrap(), br#"{"input": "\u00e9"}"#.as_slice());
            assert!(!streams);
        }
        let payload = url("POST", json!({}), json!({}));
        let empty = Ok(Cow::Borrowed(&b""[..]));
        assert_eq!(Event::read(&payload), Event::Url { request: empty, streams: false });
    }

    #[test]
    fn a_caller_that_accepts_events_gets_the_answer_as_it_comes() {
        for (headers, expected) in [
            (json!({ "accept": "text/event-stream" }), true),
            (json!({ "Accept": "application/json, text/event-stream;q=0.9" }), true),
            (json!({ "accept": "Text/Event-Stream" }), true),
            (json!({ "accept": "*/*" }), false),
            (json!({ "accept": "text/event-stream;q=0, application/json" }), false),
            (json!({ "content-type": "text/event-stream" }), false),
        ] {
            let payload = url("POST", headers, json!({ "body": "{}" }));
            let Event::Url { streams, .. } = Event::read(&payload) else { panic!() };
            assert_eq!(streams, expected);
        }
    }

    #[test]
    fn an_event_of_a_url_that_cannot_be_read_is_turned_down_as_one() {
        let payload = url("POST", json!(null), json!({ "body": "{}" }));
        let expected = Event::Url { request: Err(NotServed::Event), streams: false };
        assert_eq!(Event::read(&payload), expected);
    }

    #[test]
    fn what_is_no_post_or_no_base64_is_turned_down() {
        let coded = json!({ "body": "***", "isBase64Encoded": true });
        for (method, more, expected) in
            [("GET", json!({}), NotServed::Method), ("POST", coded, NotServed::Body)]
        {
            let payload = url(method, json!({}), more);
            let Event::Url { request, .. } = Event::read(&payload) else { panic!() };
            assert_eq!(request, Err(expected));
        }
    }
}
