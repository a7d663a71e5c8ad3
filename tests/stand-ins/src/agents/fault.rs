//! What can go wrong with an agent, by the names that scripts and `--fail` use.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;

use super::kind::AgentKind;

/// One way in which an agent fails or misbehaves. Where a kind of agents does not have it, such as a
/// frame on an AgentCore runtime, it is what comes nearest to it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `before:<exception>`: an HTTP error instead of a stream.
    Before(Exception),
    /// `in-stream:<exception>`: the exception after one partial chunk.
    InStream(Exception),
    /// `slow`, `slow=12s`: the answer, but nothing at all before this time has passed.
    Slow(Duration),
    /// `drip`, `drip=200ms`: an answer of many small chunks, this time apart, that never ends.
    Drip(Duration),
    /// `hang`: not even response headers, ever.
    Hang,
    /// `hang-in-stream`: nothing more after one partial chunk.
    HangInStream,
    /// `close`: the connection closes before the response headers.
    Close,
    /// `reset`: the connection is reset before the response headers.
    Reset,
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
    /// `masked`: a guardrail trace that intervened and masked, then the answer.
    Masked,
    /// `return-control`: the agent wants its caller to run a function.
    ReturnControl,
    /// `stop:<reason>`: a text, and a message that ended for this reason. Of harnesses and models.
    Stop(&'static str),
}

/// The faults that are one word. The order is the one of messages and documentation.
const PLAIN: [(&str, Fault); 14] = [
    ("slow", Fault::Slow(SLOW)),
    ("drip", Fault::Drip(DRIP)),
    ("hang", Fault::Hang),
    ("hang-in-stream", Fault::HangInStream),
    ("close", Fault::Close),
    ("reset", Fault::Reset),
    ("close-in-stream", Fault::CloseInStream),
    ("bad-checksum", Fault::BadChecksum),
    ("empty", Fault::Empty),
    ("unknown-event", Fault::UnknownEvent),
    ("soft-failure", Fault::SoftFailure),
    ("guardrail", Fault::Guardrail),
    ("masked", Fault::Masked),
    ("return-control", Fault::ReturnControl),
];

/// Shorter names for the faults that are asked for most.
const SHORT: [(&str, Fault); 3] = [
    ("throttle", Fault::Before(Exception { name: "throttlingException", status: 429 })),
    ("error", Fault::Before(Exception { name: "internalServerException", status: 500 })),
    ("break", Fault::CloseInStream),
];

/// Longer than the shipped policy's `slow_call_ms` (8 s), shorter than its timeouts.
const SLOW: Duration = Duration::from_secs(9);

/// Shorter than the shipped policy's `idle_timeout_ms` (10 s).
const DRIP: Duration = Duration::from_secs(1);

/// Why a message can end. Source: `HarnessStopReason` in the service model of bedrock-agentcore
/// 2024-02-28, and `guardrail_intervened`, which AWS's guide and the Converse API have.
const STOPS: [&str; 16] = [
    "end_turn",
    "stop_sequence",
    "tool_use",
    "tool_result",
    "max_tokens",
    "content_filtered",
    "guardrail_intervened",
    "malformed_model_output",
    "malformed_tool_use",
    "model_context_window_exceeded",
    "interrupted",
    "partial_turn",
    "max_iterations_exceeded",
    "max_output_tokens_exceeded",
    "timeout_exceeded",
    "hook_stopped",
];

/// Those that the Converse API does not have.
const STOPS_OF_HARNESSES: [&str; 7] = [
    "tool_result",
    "interrupted",
    "partial_turn",
    "max_iterations_exceeded",
    "max_output_tokens_exceeded",
    "timeout_exceeded",
    "hook_stopped",
];

/// The longest time that a fault may be given.
const LONGEST: Duration = Duration::from_secs(600);

impl Fault {
    /// Whether the scripted answer still arrives in full.
    pub(super) fn answers(self) -> bool {
        match self {
            Self::UnknownEvent | Self::Masked | Self::Slow(_) => true,
            Self::Stop(reason) => matches!(reason, "end_turn" | "stop_sequence"),
            Self::Before(_)
            | Self::InStream(_)
            | Self::Drip(_)
            | Self::Hang
            | Self::HangInStream
            | Self::Close
            | Self::Reset
            | Self::CloseInStream
            | Self::BadChecksum
            | Self::Empty
            | Self::SoftFailure
            | Self::Guardrail
            | Self::ReturnControl => false,
        }
    }

    /// Every fault that an agent of this kind can have by its full name, those with a time at their
    /// usual one.
    pub fn all_of(kind: AgentKind) -> Vec<Self> {
        let exceptions = EXCEPTIONS.map(|(name, status)| Exception { name, status });
        let plain = PLAIN.map(|(_, fault)| fault);
        let before = exceptions.map(Self::Before);
        let in_stream = exceptions.map(Self::InStream);
        let stops = STOPS.map(Self::Stop);
        let all = plain.into_iter().chain(before).chain(in_stream).chain(stops);
        all.filter(|fault| fault.is_of(kind)).collect()
    }

    /// Whether an agent of this kind can have it.
    pub(super) fn is_of(self, kind: AgentKind) -> bool {
        match self {
            Self::Stop(reason) => match kind {
                AgentKind::Bedrock | AgentKind::Runtime => false,
                AgentKind::Harness => true,
                AgentKind::Model => !STOPS_OF_HARNESSES.contains(&reason),
            },
            _ => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PLAIN.iter().find(|(_, fault)| fault == self) {
            return f.write_str(name);
        }
        match self {
            Self::Before(exception) => write!(f, "before:{}", exception.name),
            Self::InStream(exception) => write!(f, "in-stream:{}", exception.name),
            Self::Stop(reason) => write!(f, "stop:{reason}"),
            Self::Slow(time) => write!(f, "slow={}ms", time.as_millis()),
            Self::Drip(time) => write!(f, "drip={}ms", time.as_millis()),
            // Each of the others stands in the list.
            other => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut named = PLAIN.iter().chain(&SHORT);
        if let Some((_, fault)) = named.find(|(name, _)| *name == text) {
            return Ok(*fault);
        }
        let parsed = match text.split_once([':', '=']) {
            Some(("before", name)) => Exception::named(name).map(Self::Before),
            Some(("in-stream", name)) => Exception::named(name).map(Self::InStream),
            Some(("stop", name)) => STOPS.into_iter().find(|stop| *stop == name).map(Self::Stop),
            Some(("slow", time)) => parse_time(time).map(Self::Slow),
            Some(("drip", time)) => parse_time(time).map(Self::Drip),
            _ => None,
        };
        parsed.ok_or(UnknownFault)
    }
}

/// `200ms`, `9s`
fn parse_time(text: &str) -> Option<Duration> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, Duration::from_millis(1)),
        None => (text.strip_suffix('s')?, Duration::from_secs(1)),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let time = unit.checked_mul(digits.parse().ok()?)?;
    (is_number && !time.is_zero() && time <= LONGEST).then_some(time)
}

/// The text names no [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl std::error::Error for UnknownFault {}

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = PLAIN.map(|(name, _)| name).join(", ");
        let short = SHORT.map(|(name, _)| name).join(", ");
        let exceptions = EXCEPTIONS.map(|(name, _)| name).join(", ");
        write!(
            f,
            "allowed are {short}, {plain}, `slow=` and `drip=` with a time from 1ms to 600s, and \
             `before:` or `in-stream:` with one of {exceptions}, and for harnesses and models \
             `stop:` with one of {}",
            STOPS.join(", ")
        )
    }
}

/// An exception of `InvokeAgent`, by its name inside a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    name: &'static str,
    status: u16,
}

/// Every exception of `InvokeAgent` with the HTTP status it has before a stream. Source: the
/// service model of bedrock-agent-runtime 2023-07-26. The last two are not in it: other services
/// and frameworks have them.
const EXCEPTIONS: [(&str, u16); 12] = [
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
    ("throttledException", 429),
    ("concurrencyException", 409),
];

impl Exception {
    /// What an unknown agent is answered with.
    pub(super) const RESOURCE_NOT_FOUND: Self =
        Self { name: "resourceNotFoundException", status: 404 };
    /// What a request that no service knows is answered with.
    pub(super) const VALIDATION: Self = Self { name: "validationException", status: 400 };

    fn named(text: &str) -> Option<Self> {
        let (name, status) = EXCEPTIONS.into_iter().find(|(name, _)| *name == text)?;
        Some(Self { name, status })
    }

    /// What a container says whose agent raised an exception.
    pub(super) const DEPENDENCY_FAILED: Self =
        Self { name: "dependencyFailedException", status: 424 };

    /// The name inside a stream: `throttlingException`.
    pub(super) fn in_stream_name(self) -> &'static str {
        self.name
    }

    /// The name in `x-amzn-errortype`: `ThrottlingException`.
    pub(super) fn error_type(self) -> String {
        let mut letters = self.name.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    }

    /// What it says, before or inside the stream.
    pub(super) fn message(self) -> String {
        format!("The sandbox was told to answer with {}.", self.error_type())
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
    fn every_fault_is_read_again_as_it_is_written() {
        let times = [Fault::Slow(Duration::from_secs(1)), Fault::Drip(Duration::from_millis(20))];
        for fault in Fault::all_of(AgentKind::Harness).into_iter().chain(times) {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }

    #[test]
    fn the_short_names_are_faults_with_a_longer_name() {
        for (short, long) in [
            ("throttle", "before:throttlingException"),
            ("error", "before:internalServerException"),
            ("break", "close-in-stream"),
        ] {
            assert_eq!(short.parse::<Fault>(), long.parse(), "{short}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!("slow=1500ms".parse(), Ok(Fault::Slow(Duration::from_millis(1_500))));
        assert_eq!("drip=600s".parse(), Ok(Fault::Drip(LONGEST)));
        for text in ["slow=9", "slow=0s", "slow=+1s", "slow=1.5s", "slow=601s", "slow=s", "hang=1s"]
        {
            assert_eq!(text.parse::<Fault>(), Err(UnknownFault), "{text}");
        }
    }

    #[test]
    fn the_error_type_header_starts_with_a_capital() {
        assert_eq!(Exception::VALIDATION.error_type(), "ValidationException");
    }
}
