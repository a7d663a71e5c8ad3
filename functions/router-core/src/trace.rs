//! What one request tells of its course: a tree of spans, gathered while it runs.
//!
//! A span is a piece of work with a beginning, an end and a parent that it is a part of. As with
//! metrics, they are data: whoever acts tells a [`Scope`], and the whole [`Trace`] is handed
//! out when the request has ended. Who exports it, and how, is no business of this crate.
//!
//! A [`Scope`] without a [`Recorder`] does nothing and allocates nothing, so that nobody has to
//! ask whether traces are wanted.
//!
//! Nothing that users, models or applications wrote has a place here. Values are numbers, names
//! of the policy, statuses and reasons; a session is known by a digest alone, which is also the
//! trace's id, so that all requests of a session are one trace.

pub mod key;
mod step;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
pub use step::{Step, ToolKind, Work};

use crate::session::RootSession;
use crate::units::Timestamp;

/// The identity of a trace, in the form of W3C's trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// The trace of a session: the first half of the SHA-256 digest of its id.
    pub fn of(session: &RootSession) -> Self {
        Self(digest(session.as_str()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn digest<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text);
    std::array::from_fn(|place| digest[place])
}

/// Whose work a span is, as OpenTelemetry tells kinds of spans apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody's request that is answered.
    Server,
    /// A call of somebody else.
    Client,
    /// The router's own work.
    Internal,
}

/// One thing that is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A name, a status, a reason: never what somebody wrote.
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

/// A thing that is known of a span, under its name from [`key`].
pub type Fact = (&'static str, Value);

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
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
    pub facts: Vec<Fact>,
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
    /// The identity of the span at a place: unique within the trace, whoever else adds to it.
    pub fn span_id(&self, place: usize) -> [u8; 8] {
        let began = self.spans.first().map_or(0, |root| root.start.0);
        digest(&format!("{}/{began}/{place}", self.request_id))
    }
}

/// Gathers the spans of one request.
#[derive(Debug)]
pub struct Recorder {
    id: TraceId,
    request_id: String,
    spans: Mutex<Vec<Recorded>>,
}

/// A span that may not have ended.
#[derive(Debug)]
struct Recorded {
    span: Span,
    has_ended: bool,
}

impl Recorder {
    /// A recorder of the request with Lambda's id `request_id`. One that has no session is a
    /// trace of its own.
    pub fn new(session: Option<&RootSession>, request_id: &str) -> Self {
        let id = session.map_or_else(|| TraceId(digest(request_id)), TraceId::of);
        Self { id, request_id: request_id.to_owned(), spans: Mutex::default() }
    }

    /// Where the request itself is recorded.
    pub fn scope(&self) -> Scope<'_> {
        Scope { recorder: Some(self), span: None }
    }

    /// What was gathered. Work that was broken off, by a panic say, ends when the request does.
    pub fn finish(self) -> Trace {
        let recorded = self.spans.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = recorded.first().map(|request| request.span.end);
        let finished = |Recorded { span, has_ended }| {
            let end = if has_ended { span.end } else { end.unwrap_or(span.end) };
            Span { end, ..span }
        };
        let spans = recorded.into_iter().map(finished).collect();
        Trace { id: self.id, request_id: self.request_id, spans }
    }

    fn spans(&self) -> MutexGuard<'_, Vec<Recorded>> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span under way, or the place above all spans; with nobody to record it, neither.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'r> {
    recorder: Option<&'r Recorder>,
    span: Option<usize>,
}

impl<'r> Scope<'r> {
    /// Nobody wants to know.
    pub const OFF: Self = Self { recorder: None, span: None };

    /// Whether anybody wants to know.
    pub fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// Begins a span that is a part of this one.
    pub fn begin(&self, kind: Kind, name: fmt::Arguments<'_>, start: Timestamp) -> Scope<'r> {
        let Some(recorder) = self.recorder else { return Self::OFF };
        let (name, parent) = (name.to_string(), self.span);
        let span = Span { name, kind, parent, start, end: start, facts: Vec::new(), failure: None };
        let mut spans = recorder.spans();
        spans.push(Recorded { span, has_ended: false });
        Self { span: Some(spans.len() - 1), ..*self }
    }

    /// Adds what is known of the span.
    pub fn note<F: IntoIterator<Item = Fact>>(&self, facts: impl FnOnce() -> F) {
        self.change(|recorded| recorded.span.facts.extend(facts()));
    }

    /// Says why the span failed.
    pub fn fail(&self, reason: &'static str) {
        self.change(|recorded| recorded.span.failure = Some(reason));
    }

    /// Ends the span.
    pub fn end(&self, end: Timestamp) {
        self.change(|recorded| {
            // A clock that was set back must not make work end before it began.
            recorded.span.end = end.max(recorded.span.start);
            recorded.has_ended = true;
        });
    }

    /// The id of the trace, for a span to name the session by.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.recorder.map(|recorder| recorder.id)
    }

    fn change(&self, change: impl FnOnce(&mut Recorded)) {
        if let (Some(recorder), Some(span)) = (self.recorder, self.span)
            && let Some(recorded) = recorder.spans().get_mut(span)
        {
            change(recorded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(Some(&RootSession::parse("sessionId", "s-1").unwrap()), "r-1")
    }

    #[test]
    fn all_requests_of_a_session_are_one_trace_and_its_id_does_not_tell_the_session() {
        let session = RootSession::parse("sessionId", "s-1").unwrap();
        let one = Recorder::new(Some(&session), "r-1").finish();
        let other = Recorder::new(Some(&session), "r-2").finish();
        assert_eq!(one.id, other.id);
        // printf s-1 | sha256sum | head -c 32
        assert_eq!(one.id.to_string(), "6a840baf5d8c3ff241688aeb14546e65");
        assert_ne!(one.span_id(0), other.span_id(0));
        assert_ne!(one.id, Recorder::new(None, "r-1").finish().id);
    }

    #[test]
    fn spans_are_parts_of_those_that_they_were_begun_in() {
        let recorder = recorder();
        let request = recorder.scope().begin(Kind::Server, format_args!("request"), Timestamp(1));
        let one = request.begin(Kind::Internal, format_args!("one"), Timestamp(2));
        let inner = one.begin(Kind::Client, format_args!("inner"), Timestamp(3));
        inner.fail("timeout");
        inner.note(|| [("tokens", Value::from(7_u64))]);
        inner.end(Timestamp(4));
        one.end(Timestamp(5));
        request.begin(Kind::Internal, format_args!("two"), Timestamp(6)).end(Timestamp(7));
        request.end(Timestamp(8));
        let trace = recorder.finish();
        let parents: Vec<_> = trace.spans.iter().map(|span| (&*span.name, span.parent)).collect();
        assert_eq!(
            parents,
            [("request", None), ("one", Some(0)), ("inner", Some(1)), ("two", Some(0))]
        );
        let inner = &trace.spans[2];
        assert_eq!((inner.start, inner.end), (Timestamp(3), Timestamp(4)));
        assert_eq!((inner.failure, inner.facts.len()), (Some("timeout"), 1));
    }

    #[test]
    fn what_was_broken_off_ends_when_the_request_does_and_nothing_ends_before_it_began() {
        let recorder = recorder();
        let request = recorder.scope().begin(Kind::Server, format_args!("request"), Timestamp(10));
        request.begin(Kind::Internal, format_args!("broken off"), Timestamp(11));
        request.begin(Kind::Internal, format_args!("back"), Timestamp(12)).end(Timestamp(3));
        request.end(Timestamp(20));
        let ends: Vec<Timestamp> =
            recorder.finish().spans.into_iter().map(|span| span.end).collect();
        assert_eq!(ends, [Timestamp(20), Timestamp(20), Timestamp(12)]);
    }

    #[test]
    fn where_nobody_wants_to_know_no_fact_is_even_made() {
        let span = Scope::OFF.begin(Kind::Server, format_args!("request"), Timestamp(1));
        span.note(|| -> [Fact; 0] { panic!("asked all the same") });
        span.end(Timestamp(2));
        assert!(!span.is_on());
    }
}
