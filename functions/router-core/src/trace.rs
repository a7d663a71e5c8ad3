//! A request as a tree of spans: the data that is exported.
//!
//! A span is a piece of work with a beginning, an end and a parent that it is a part of.
//! [`crate::views::spans`] makes them from the journal. Who exports them, and how, is not known
//! here.
//!
//! Nothing that users, models or applications wrote has a place here. Values are numbers, names
//! of the policy, statuses and reasons; a session is known by a digest alone, which is also the
//! trace's id, so that all requests of a session are one trace.

pub mod key;
mod step;

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};
pub use step::{Step, ToolKind, Work};

use crate::ids::{HoldId, RootSession};
use crate::units::Timestamp;

/// The identity of a trace, in the form of W3C's trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// The trace of a session: the first half of the SHA-256 digest of its id. A request that has
    /// no session is a trace of its own.
    pub fn of(session: Option<&RootSession>, request_id: &str) -> Self {
        Self(digest(session.map_or(request_id, RootSession::as_str)))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// The identity of a span: unique within its trace, whatever other services add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    /// The span of one attempt, which the agent's side has to know before the trace is made.
    pub(crate) fn of_attempt(hold: &HoldId, number: u64) -> Self {
        Self(digest(&format!("{}/attempt/{number}", hold.as_str())))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A span that is sent, so that another service's spans become a part of it. Written as W3C's
/// header `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span in it.
    pub span: SpanId,
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace, self.span)
    }
}

fn digest<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text);
    std::array::from_fn(|place| digest[place])
}

/// Whose work a span is, as OpenTelemetry tells kinds of spans apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that is answered.
    Server,
    /// A call of another service.
    Client,
    /// The router's own work.
    Internal,
}

/// One thing that is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A name, a status, a reason: never text that a user or a model wrote.
    Text(Cow<'static, str>),
    /// A number.
    Count(u64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

/// One thing that is known of a span, under its name from [`key`].
pub type Attribute = (&'static str, Value);

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its identity, where it was told before the trace was made.
    pub id: Option<SpanId>,
    /// What is done: one of few names, with whose work it is where that is known.
    pub name: String,
    /// Whose work it is.
    pub kind: Kind,
    /// The span that this one is a part of, by its place in the trace.
    pub parent: Option<usize>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// Why it failed, if it did.
    pub failure: Option<&'static str>,
}

/// The spans of one request, each after its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace of which they are a part.
    pub id: TraceId,
    /// Lambda's id of the request.
    pub request_id: String,
    /// The spans.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The identity of the span at a place.
    pub fn span_id(&self, place: usize) -> SpanId {
        let began = self.spans.first().map_or(0, |root| root.start.0);
        let of_place = || SpanId(digest(&format!("{}/{began}/{place}", self.request_id)));
        self.spans.get(place).and_then(|span| span.id).unwrap_or_else(of_place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_written_as_a_header_of_w3c() {
        let parent = TraceParent { trace: TraceId([0xab; 16]), span: SpanId([1; 8]) };
        let expected = format!("00-{}-0101010101010101-01", "ab".repeat(16));
        assert_eq!(parent.to_string(), expected);
    }

    #[test]
    fn all_requests_of_a_session_are_one_trace_and_its_id_does_not_tell_the_session() {
        let session = RootSession::parse("sessionId", "s-1").unwrap();
        let id = TraceId::of(Some(&session), "r-1");
        assert_eq!(id, TraceId::of(Some(&session), "r-2"));
        // printf s-1 | sha256sum | head -c 32
        assert_eq!(id.to_string(), "6a840baf5d8c3ff241688aeb14546e65");
        assert_ne!(id, TraceId::of(None, "r-1"));
        let of =
            |request_id: &str| Trace { id, request_id: request_id.to_owned(), spans: Vec::new() };
        assert_ne!(of("r-1").span_id(0), of("r-2").span_id(0));
    }
}
