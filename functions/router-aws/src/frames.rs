//! Answers that are streams of frames: those of Bedrock agents, AgentCore harnesses and models.
//!
//! The SDK would read the same frames, and would lose what the router needs: the tokens of the
//! prompt cache, since the `Usage` of a Bedrock agent (1.151) has two members, and the name of an
//! exception that it does not know. It also keeps a frame of any size. So [`TakesBody`] takes the
//! body before the SDK reads it, and [`read`] sees an attempt through.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::event_stream::Message;
use flate2::Crc;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};
use router_core::supervisor::Heard;
use router_core::units::{TokenUse, Tokens};
use serde_json::Value;

use crate::failure;
use crate::timer::{Limits, Timer};

/// The most bytes of a frame. The model of bedrock-agent-runtime 2023-07-26 allows a chunk 1 MB;
/// a trace quotes a whole prompt, and a harness hands on what its tools answered. JSON of nothing but small numbers takes 16 times its length in
/// memory, of which the function has 256 MB.
const MOST_FRAME_BYTES: u32 = 8 * 1024 * 1024;

/// The length of a frame and of its headers, and their checksum.
const PRELUDE_BYTES: usize = 12;

/// Takes the body of an answer that begins, which is empty for the SDK then.
#[derive(Clone, Debug, Default)]
pub(crate) struct TakesBody(Arc<Mutex<Option<SdkBody>>>);

impl TakesBody {
    /// The frames of the body that was taken.
    pub(crate) fn frames(&self) -> Frames {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Frames { body: taken.map(ByteStream::new).unwrap_or_default(), buffer: Vec::new() }
    }
}

impl Intercept for TakesBody {
    fn name(&self) -> &'static str {
        "TakesBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The body of an error is the SDK's to read.
        if context.response().status().is_success() {
            let body = context.response_mut().take_body();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
        Ok(())
    }
}

/// An event of the stream.
#[derive(Debug)]
pub(crate) struct Event {
    /// What it is called; empty where the frame does not say.
    pub(crate) name: String,
    /// What it tells; `null` where that is no JSON.
    pub(crate) payload: Value,
}

/// An answer as far as it was read.
pub(crate) trait Reading: Sized {
    /// What it is read as.
    type Answer;

    /// Whether this event begins a model invocation that `max` tokens do not allow any more.
    fn goes_too_far(&self, event: &Event, max: Tokens) -> bool;

    /// Takes an event in.
    ///
    /// # Errors
    ///
    /// Why there will be no answer; what comes after need not be read.
    fn take(&mut self, event: Event) -> Result<(), InvokeError>;

    /// The stream ended in order.
    fn finish(self) -> Outcome<Self::Answer>;

    /// The stream ended otherwise: text received before is no answer, and usage reported before is
    /// only a part.
    fn broken_off(self, error: InvokeError) -> Outcome<Self::Answer>;

    /// The tokens that were reported so far.
    fn used(&self) -> TokenUse;
}

/// Sees an attempt through: waits for the answer that `start` asks for, and reads it to its end.
pub(crate) async fn read<R: Reading>(
    limits: Limits<'_>,
    start: impl Future<Output = Result<Frames, Outcome<R::Answer>>>,
    mut reading: R,
) -> Outcome<R::Answer> {
    let timer = Timer::start(limits);
    let mut frames = match timer.beginning(start).await {
        Ok(Ok(frames)) => frames,
        Ok(Err(outcome)) => return outcome,
        Err(late) => return Outcome::new(Err(late), Usage::UNKNOWN),
    };
    // Dropping the frames, which every return here does, closes the connection.
    loop {
        let event = match timer.next(frames.next()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => return reading.finish(),
            Ok(Err(error)) | Err(error) => return reading.broken_off(error),
        };
        let max = limits.max_tokens;
        if reading.goes_too_far(&event, max) {
            let usage = Usage::Cut(reading.used());
            let error = InvokeError::TooManyTokens { max };
            return Outcome { usage, ..reading.broken_off(error) };
        }
        if let Err(error) = reading.take(event) {
            return reading.broken_off(error);
        }
    }
}

/// The frames of a body that is still being received.
#[derive(Debug)]
pub(crate) struct Frames {
    body: ByteStream,
    buffer: Vec<u8>,
}

impl Frames {
    /// The next event; `None` when the stream has ended in order.
    ///
    /// # Errors
    ///
    /// The exception that the stream ended with, [`InvokeError::StreamBroken`] where it breaks
    /// off or a frame is damaged, and [`InvokeError::TooLong`] where a frame has too many bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, InvokeError> {
        loop {
            if let Some(message) = self.take_frame()? {
                return event(&message).map(Some);
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(_)) => return Err(broken("the connection failed")),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(broken("it ended within a frame")),
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Message>, InvokeError> {
        let Some(prelude) = self.buffer.first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
        let [a, b, c, d, .., w, x, y, z] = *prelude;
        let length = u32::from_be_bytes([a, b, c, d]);
        let mut checksum = Crc::new();
        checksum.update(&prelude[..PRELUDE_BYTES - 4]);
        if checksum.sum() != u32::from_be_bytes([w, x, y, z]) {
            return Err(broken("a frame's length is damaged"));
        }
        if length > MOST_FRAME_BYTES {
            return Err(InvokeError::TooLong { limit: MOST_FRAME_BYTES as usize });
        }
        let length = length as usize;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let rest = self.buffer.split_off(length);
        let frame = mem::replace(&mut self.buffer, rest);
        // The error itself may quote the frame.
        read_message_from(&frame[..]).map(Some).map_err(|_| broken("a frame could not be read"))
    }
}

/// What a frame tells.
fn event(message: &Message) -> Result<Event, InvokeError> {
    let header = |name: &str| {
        let mut headers = message.headers().iter();
        let header = headers.find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|value| value.as_str())
    };
    let payload = || serde_json::from_slice::<Value>(message.payload()).unwrap_or_default();
    match header(":message-type") {
        Some("event") => {
            let name = header(":event-type").unwrap_or_default().to_owned();
            Ok(Event { name, payload: payload() })
        }
        Some("exception") => {
            let (payload, whole) = (payload(), String::from_utf8_lossy(message.payload()));
            let text = ["message", "Message"].iter().find_map(|key| payload[key].as_str());
            let name = header(":exception-type").unwrap_or_default();
            Err(failure::named(name, text.unwrap_or(&whole))
                .unwrap_or(InvokeError::ServiceFault("unknown")))
        }
        Some("error") => {
            let [code, text] =
                [":error-code", ":error-message"].map(header).map(Option::unwrap_or_default);
            Err(failure::named(code, text).unwrap_or_else(|| broken("the service ended it")))
        }
        _ => Err(broken("a frame is of no known kind")),
    }
}

/// Listens to no answer while it is on its way.
pub(crate) fn unheard(_: Heard<'_>) {}

/// The error of a stream that cannot be read.
pub(crate) fn broken(how: &'static str) -> InvokeError {
    InvokeError::StreamBroken(how.into())
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};
    use router_core::outcome::Reason;
    use serde_json::json;

    use super::*;

    fn frame(headers: [(&'static str, &'static str); 2], payload: &'static str) -> Vec<u8> {
        let message = headers.into_iter().fold(Message::new(payload), |message, (name, value)| {
            message.add_header(Header::new(name, HeaderValue::String(value.into())))
        });
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    fn chunk(payload: &'static str) -> Vec<u8> {
        frame([(":message-type", "event"), (":event-type", "chunk")], payload)
    }

    fn exception(name: &'static str, payload: &'static str) -> Vec<u8> {
        frame([(":message-type", "exception"), (":exception-type", name)], payload)
    }

    /// The events of a body, which comes in pieces of `size` bytes.
    fn read(body: &[u8], size: usize) -> Result<Vec<(String, Value)>, InvokeError> {
        let mut frames = Frames { body: ByteStream::default(), buffer: Vec::new() };
        let mut events = Vec::new();
        for piece in body.chunks(size) {
            frames.buffer.extend_from_slice(piece);
            while let Some(message) = frames.take_frame()? {
                let Event { name, payload } = event(&message)?;
                events.push((name, payload));
            }
        }
        if frames.buffer.is_empty() { Ok(events) } else { Err(broken("within a frame")) }
    }

    #[test]
    fn it_does_not_matter_where_the_connection_splits_the_frames() {
        let other = frame([(":message-type", "event"), (":event-type", "files")], "no JSON");
        let body = [chunk(r#"{"bytes":"b25l"}"#), other, chunk("{}")].concat();
        let event = |name: &str, payload| (name.to_owned(), payload);
        let expected = [
            event("chunk", json!({ "bytes": "b25l" })),
            event("files", Value::Null),
            event("chunk", json!({})),
        ];
        for size in [1, 7, 13, 1_000] {
            assert_eq!(read(&body, size).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn what_is_no_sound_frame_is_a_broken_stream() {
        let sound = chunk(r#"{"bytes":"b25l"}"#);
        for at in [0, 5, 10, sound.len() / 2, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x40;
            assert!(matches!(read(&damaged, 64), Err(InvokeError::StreamBroken(_))), "{at}");
        }
        for body in [&sound[..sound.len() - 1], b"<html><body>Bad gateway</body></html>"] {
            assert!(matches!(read(body, 64), Err(InvokeError::StreamBroken(_))));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
        let mut prelude = [&(MOST_FRAME_BYTES + 1).to_be_bytes()[..], &[0; 4]].concat();
        let mut checksum = Crc::new();
        checksum.update(&prelude);
        prelude.extend(checksum.sum().to_be_bytes());
        assert!(matches!(read(&prelude, 64), Err(InvokeError::TooLong { .. })));
    }

    #[test]
    fn an_exception_counts_by_its_class_whatever_the_case_of_its_name() {
        let reason = |name, payload| read(&exception(name, payload), 64).unwrap_err().reason();
        for name in ["throttlingException", "ThrottlingException", "ThrottledException"] {
            assert_eq!(reason(name, "{}"), Reason::Throttled, "{name}");
        }
        let nested = r#"{"message":"Too many tokens, please wait before trying again."}"#;
        assert_eq!(reason("dependencyFailedException", nested), Reason::Throttled);
        assert_eq!(reason("tiredException", r#"{"statusCode":429}"#), Reason::Throttled);
        for name in ["ConcurrencyException", "concurrencyException", "conflictException"] {
            let error = read(&exception(name, "{}"), 64).unwrap_err();
            assert!(matches!(error, InvokeError::Conflict), "{name}");
        }
        assert_eq!(reason("tiredException", "no JSON"), Reason::AgentError);
        let error = frame([(":message-type", "error"), (":error-code", "InternalError")], "");
        assert!(matches!(read(&error, 64), Err(InvokeError::ServiceFault(_))));
    }
}
