//! What Lambda says of an invocation, read from the headers that come with its event.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use router_core::units::Timestamp;

/// The longest that Lambda lets an invocation take.
const LONGEST: Duration = Duration::from_secs(900);

/// How long an invocation may take whose deadline cannot be read: as long as Lambda gives a
/// function that sets nothing.
const UNTOLD: Duration = Duration::from_secs(3);

/// The name of the header that the Runtime API wants back with the reply.
pub(crate) const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// What Lambda hands over with one invocation. What cannot be read of it is as if it were absent.
#[derive(Debug)]
pub struct Invocation {
    /// Lambda's request id.
    pub request_id: String,
    /// When the reply must be out.
    pub deadline: Timestamp,
    /// The function as its caller named it.
    pub function_arn: String,
    /// The header of X-Ray's trace.
    pub xray_trace: Option<String>,
    /// What the caller put beside the event, unread.
    pub client_context: Option<HeaderValue>,
    /// The event, unread.
    pub payload: Bytes,
    /// Whether it is its environment's first.
    pub is_cold: bool,
    /// By which Lambda tells a reply from a late one to an earlier attempt.
    pub(crate) invocation_id: Option<HeaderValue>,
}

impl Invocation {
    /// Reads an invocation; `None` without a request id, under which it would be answered.
    pub(crate) fn read(headers: &HeaderMap, payload: Bytes, now: Timestamp) -> Option<Self> {
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
            is_cold: false,
        })
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn nothing_can_be_answered_without_a_request_id() {
        assert!(read(&[]).is_none());
        assert!(read(&[("lambda-runtime-aws-request-id", b"")]).is_none());
        assert!(read(&[("lambda-runtime-aws-request-id", b"\xff")]).is_none());
    }
}
