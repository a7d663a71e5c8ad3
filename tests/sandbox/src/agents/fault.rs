//! What can go wrong with a scripted agent, by the names that a script uses.

use std::str::FromStr;

use hyper::StatusCode;

/// One way in which a scripted agent fails or misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `before:<exception>`: an HTTP error instead of a stream.
    Before(Exception),
    /// `in-stream:<exception>`: the exception after one partial chunk.
    InStream(Exception),
    /// `hang`: not even response headers, ever.
    Hang,
    /// `hang-in-stream`: nothing more after one partial chunk.
    HangInStream,
    /// `close`: the connection closes before the response headers.
    Close,
    /// `close-in-stream`: the connection closes within the second frame.
    CloseInStream,
    /// `bad-checksum`: the answer's frame does not match its checksum.
    BadChecksum,
    /// `empty`: a stream that ends normally without a chunk.
    Empty,
    /// `unknown-event`: an event of a type nobody knows, then the answer.
    UnknownEvent,
    /// `soft-failure`: a failure trace and Bedrock's canned apology as a normal answer.
    SoftFailure,
    /// `guardrail`: a guardrail trace that intervened and the canned apology.
    Guardrail,
    /// `return-control`: the agent wants its caller to run a function.
    ReturnControl,
}

/// The faults that take no exception. The order is the one of messages and documentation.
const PLAIN: [(&str, Fault); 10] = [
    ("hang", Fault::Hang),
    ("hang-in-stream", Fault::HangInStream),
    ("close", Fault::Close),
    ("close-in-stream", Fault::CloseInStream),
    ("bad-checksum", Fault::BadChecksum),
    ("empty", Fault::Empty),
    ("unknown-event", Fault::UnknownEvent),
    ("soft-failure", Fault::SoftFailure),
    ("guardrail", Fault::Guardrail),
    ("return-control", Fault::ReturnControl),
];

impl Fault {
    /// Whether the scripted answer still arrives in full.
    pub(super) fn answers(self) -> bool {
        match self {
            Self::UnknownEvent => true,
            Self::Before(_)
            | Self::InStream(_)
            | Self::Hang
            | Self::HangInStream
            | Self::Close
            | Self::CloseInStream
            | Self::BadChecksum
            | Self::Empty
            | Self::SoftFailure
            | Self::Guardrail
            | Self::ReturnControl => false,
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        if let Some((_, fault)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(*fault);
        }
        let parsed = match text.split_once(':') {
            Some(("before", name)) => Exception::named(name).map(Self::Before),
            Some(("in-stream", name)) => Exception::named(name).map(Self::InStream),
            _ => None,
        };
        parsed.ok_or(UnknownFault)
    }
}

/// The text names no [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl std::error::Error for UnknownFault {}

impl std::fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = PLAIN.map(|(name, _)| name).join(", ");
        let exceptions = EXCEPTIONS.map(|(name, _)| name).join(", ");
        write!(f, "allowed are {plain}, and `before:` or `in-stream:` with one of {exceptions}")
    }
}

/// An exception of `InvokeAgent`, by its name inside a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    name: &'static str,
    status: u16,
}

/// Every exception of `InvokeAgent` with the HTTP status it has before a stream. Source: the
/// service model of bedrock-agent-runtime 2023-07-26.
const EXCEPTIONS: [(&str, u16); 10] = [
    ("throttlingException", 429),
    ("serviceQuotaExceededException", 400),
    ("validationException", 400),
    ("accessDeniedException", 403),
    ("resourceNotFoundException", 404),
    ("conflictException", 409),
    ("dependencyFailedException", 424),
    ("modelNotReadyException", 424),
    ("internalServerException", 500),
    ("badGatewayException", 502),
];

impl Exception {
    /// What an unknown agent is answered with.
    pub(super) const RESOURCE_NOT_FOUND: Self =
        Self { name: "resourceNotFoundException", status: 404 };
    /// What a request that is no `InvokeAgent` is answered with.
    pub(super) const VALIDATION: Self = Self { name: "validationException", status: 400 };

    fn named(text: &str) -> Option<Self> {
        let (name, status) = EXCEPTIONS.into_iter().find(|(name, _)| *name == text)?;
        Some(Self { name, status })
    }

    /// The name inside a stream: `throttlingException`.
    pub(super) fn in_stream_name(self) -> &'static str {
        self.name
    }

    /// The name in `x-amzn-errortype`: `ThrottlingException`.
    pub(super) fn error_type(self) -> String {
        let mut letters = self.name.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    }

    /// The HTTP status before a stream.
    pub(super) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_can_come_before_and_inside_the_stream() {
        for (name, status) in EXCEPTIONS {
            let Ok(Fault::Before(before)) = format!("before:{name}").parse() else {
                panic!("{name}")
            };
            assert_eq!(before.status().as_u16(), status);
            assert_eq!(format!("in-stream:{name}").parse(), Ok(Fault::InStream(before)));
        }
    }

    #[test]
    fn an_unknown_fault_is_answered_with_what_is_allowed() {
        let error = "before:tiredException".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("close-in-stream") && error.contains("throttlingException"));
    }

    #[test]
    fn the_error_type_header_starts_with_a_capital() {
        assert_eq!(Exception::VALIDATION.error_type(), "ValidationException");
    }
}
