//! What an error of an SDK means: for the log, and in place of an agent's answer, or in its midst.
//!
//! Services, SDKs, gateways and frameworks name the same thing differently: `ThrottlingException`,
//! `ThrottledException`, `throttling_error`, `429`. So an error counts by its class, and a name is
//! compared without regard to case, punctuation or suffix. Texts of errors are looked at here and
//! go nowhere.

use std::error::Error;
use std::io;

use aws_sdk_bedrockagentruntime::config::http::HttpResponse;
use aws_sdk_bedrockagentruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockagentruntime::operation::RequestId;
use hyper_util::client::legacy;
use router_core::charge::Usage;
use router_core::error::Cause;
use router_core::invocation::{InvokeError, Outcome};
use router_core::units::{TokenUse, Tokens};

/// What the log may say of an error of the SDK, whose own words may quote the whole request.
pub(crate) fn cause<E>(service: &'static str, error: SdkError<E, HttpResponse>) -> Cause
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let what = match &error {
        SdkError::ServiceError(_) => "the service answered with an error",
        SdkError::ResponseError(_) => "the answer could not be read",
        SdkError::TimeoutError(_) => NO_ANSWER,
        SdkError::DispatchFailure(_) if was_refused(&error) => "the connection was refused",
        _ if was_never_sent(&error) => "the request could not be sent",
        SdkError::DispatchFailure(_) => "the connection was lost",
        _ => "the request could not be made",
    };
    Cause::new(what)
        .of_service(service)
        .code(error.code())
        .status(error.raw_response().map(|response| response.status().as_u16()))
        .request_id(error.request_id())
}

/// What the log says when a service took too long.
pub(crate) const NO_ANSWER: &str = "no answer came in time";

/// The outcome of a request that failed before its answer began. An agent that was turned down was
/// not run, but for one whose container failed, which has an HTTP status of 4xx, too.
pub(crate) fn before_the_answer<E, T>(
    service: &'static str,
    error: SdkError<E, HttpResponse>,
) -> Outcome<T>
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let was_turned_down =
        error.raw_response().is_some_and(|response| response.status().is_client_error());
    let may_have_run = !was_turned_down || error.code().is_some_and(is_of_the_container);
    let usage = if may_have_run { Usage::UNKNOWN } else { Usage::NotRun };
    let (result, usage) = match error {
        SdkError::ServiceError(context) => {
            let (error, status) = (context.err(), context.raw().status().as_u16());
            let name = error.code().unwrap_or_default();
            let by_name = || named(name, error.message().unwrap_or_default());
            let by_status = || unnamed(status);
            let result = by_name().unwrap_or_else(by_status);
            (if status == 429 { throttled_by(result) } else { result }, usage)
        }
        SdkError::ConstructionFailure(_) => (InvokeError::Invalid, Usage::NotRun),
        error if was_never_sent(&error) => {
            (InvokeError::Unreachable(cause(service, error)), Usage::NotRun)
        }
        SdkError::ResponseError(context) if was_turned_down => {
            (unnamed(context.raw().status().as_u16()), usage)
        }
        other => (InvokeError::ConnectionLost(cause(service, other)), usage),
    };
    Outcome::new(Err(result), usage)
}

/// What an error of this name and text means; `None` where neither says anything.
///
/// A text that tells of throttling counts whatever the name says of who failed: an agent whose
/// model is throttled has a dependency that failed.
pub(crate) fn named(name: &str, text: &str) -> Option<InvokeError> {
    if is_of_the_container(name) {
        return Some(of_the_container(text));
    }
    let by_name = class(name);
    match by_name {
        None
        | Some(
            InvokeError::ServiceFault(_) | InvokeError::DependencyFailed | InvokeError::Invalid,
        ) if tells_of_throttling(text) => Some(InvokeError::Throttled),
        by_name => by_name,
    }
}

/// Whether AgentCore tells of a container that failed, or answered with a status of its own
/// ("Received error (500) from runtime"): it may have run, although the HTTP status is 424.
fn is_of_the_container(name: &str) -> bool {
    stem(name) == "runtimeclient"
}

/// What a container failed with. One that turns the request down, is throttled or busy with the
/// session says so with a status; all else is one that failed, or did not start.
fn of_the_container(text: &str) -> InvokeError {
    let status = text.split_once("Received error (").and_then(|(_, rest)| {
        let (status, _) = rest.split_once(')')?;
        status.parse::<u16>().ok()
    });
    match status {
        Some(status @ (409 | 429)) => unnamed(status),
        Some(400..=499) => InvokeError::Invalid,
        _ if tells_of_throttling(text) => InvokeError::Throttled,
        _ => InvokeError::ServiceFault("the runtime failed"),
    }
}

/// What a string means in which an agent, or a framework around it, reports its failure: an
/// exception, a message, or JSON that has one or the other in it.
pub(crate) fn told(text: &str) -> InvokeError {
    if tells_of_throttling(text) {
        InvokeError::Throttled
    } else if exceptions(text).any(|name| matches!(class(name), Some(InvokeError::Conflict))) {
        InvokeError::Conflict
    } else if exceptions(text).any(|name| matches!(class(name), Some(InvokeError::Throttled))) {
        InvokeError::Throttled
    } else {
        InvokeError::ServiceFault("the agent raised an error")
    }
}

/// Whether a string is what a program writes of an exception that it caught, and no sentence about
/// one: a stack trace of Python or JavaScript, or an error of an AWS SDK for Python, each from the
/// beginning of the string.
pub(crate) fn is_written_exception(text: &str) -> bool {
    let text = text.trim_start();
    let first_line = text.lines().next().unwrap_or_default();
    let is_traceback = first_line
        .trim_start_matches([' ', '+', '|'])
        .starts_with("Traceback (most recent call last)")
        || first_line.contains("Exception Group Traceback (most recent call last)");
    let is_stack = text.contains("\n    at ") && {
        let class = first_line.split(':').next().unwrap_or_default();
        class.ends_with("Error") && class.chars().all(|it| it.is_ascii_alphanumeric())
    };
    // `botocore.errorfactory.ThrottlingException: An error occurred (ThrottlingException) when …`
    let is_of_sdk = first_line.split_once("An error occurred (").is_some_and(|(class, rest)| {
        let is_class = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | ':' | ' ');
        let has_one_word = class.split_whitespace().count() <= 1;
        has_one_word && class.chars().all(is_class) && rest.contains(") when calling the ")
    });
    is_traceback || is_stack || is_of_sdk
}

/// The names of exceptions in a string.
fn exceptions(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| {
        let word = word.to_ascii_lowercase();
        ["exception", "error", "fault"].iter().any(|suffix| word.ends_with(suffix))
    })
}

/// An error whose name the SDK does not know, such as those of a gateway in between or of the
/// signature, by its HTTP status.
pub(crate) fn unnamed(status: u16) -> InvokeError {
    match status {
        401 | 403 => InvokeError::AccessDenied,
        404 => InvokeError::NotFound,
        409 => InvokeError::Conflict,
        429 => InvokeError::Throttled,
        400..=499 => InvokeError::Invalid,
        _ => InvokeError::ServiceFault("unknown"),
    }
}

/// What an answer used that broke off with `error` after `used` was reported. A session that is in
/// use keeps the agent from beginning, so where nothing had come before, nothing was run.
pub(crate) fn used_before(error: &InvokeError, used: TokenUse, has_begun: bool) -> Usage {
    match error {
        InvokeError::Conflict if !has_begun && used.total() == Tokens(0) => Usage::NotRun,
        _ => Usage::AtLeast(used),
    }
}

/// Whether a string says that there were too many requests, or too many tokens in a time.
pub(crate) fn tells_of_throttling(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "throttl",
        "too many tokens",
        "too many requests",
        "toomanyrequests",
        "rate limit",
        "rate_limit",
        "ratelimit",
        // What an agent says whose model is throttled.
        "request rate is too high",
        // gRPC's name of 429.
        "resource_exhausted",
    ];
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word)) || tells_status_429(&text)
}

/// Whether a string in lower case tells of HTTP status 429, and not of another number 429.
fn tells_status_429(text: &str) -> bool {
    text.match_indices("429").any(|(at, number)| {
        let (before, after) = (&text[..at], &text[at + number.len()..]);
        let stands_alone = !before.ends_with(|last: char| last.is_ascii_alphanumeric())
            && !after.starts_with(|next: char| next.is_ascii_alphanumeric());
        let words_before: Vec<&str> = before
            .rsplit(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| word.contains(|letter: char| letter.is_ascii_alphabetic()))
            .take(2)
            .collect();
        let is_status = words_before.iter().any(|word| {
            ["http", "status", "code", "error"].iter().any(|known| word.contains(known))
        });
        stands_alone && is_status
    })
}

/// An exception's name without namespace, case, punctuation and suffix, which do not matter:
/// `com.amazon#ThrottlingException:http://…`, `throttling_error` and `Throttling` are one.
fn stem(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit(['#', '.', '/']).next().unwrap_or_default();
    let mut stem: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    stem.make_ascii_lowercase();
    // `ModelStreamErrorException` has two.
    for suffix in ["exception", "error", "fault"] {
        let length = stem.strip_suffix(suffix).map_or(stem.len(), str::len);
        stem.truncate(length);
    }
    stem
}

/// The class of an exception's name.
fn class(name: &str) -> Option<InvokeError> {
    let stem = stem(name);
    Some(match stem.as_str() {
        "servicequotaexceeded" | "quotaexceeded" | "insufficientquota" => {
            InvokeError::QuotaExceeded
        }
        "limitexceeded"
        | "requestlimitexceeded"
        | "bandwidthlimitexceeded"
        | "slowdown"
        | "toomanytokens"
        | "provisionedthroughputexceeded"
        | "priorrequestnotcomplete"
        | "resourceexhausted"
        | "429" => InvokeError::Throttled,
        _ if tells_of_throttling(&stem) => InvokeError::Throttled,
        _ if stem.contains("conflict") || stem.contains("concurren") => InvokeError::Conflict,
        "accessdenied"
        | "unauthorized"
        | "forbidden"
        | "unrecognizedclient"
        | "expiredtoken"
        | "invalidsignature"
        | "missingauthenticationtoken"
        | "incompletesignature" => InvokeError::AccessDenied,
        "resourcenotfound" | "notfound" => InvokeError::NotFound,
        "validation" | "badrequest" | "invalidrequest" | "serialization" => InvokeError::Invalid,
        "dependencyfailed" => InvokeError::DependencyFailed,
        "internalserver" | "internalfailure" | "internalservice" | "internal" => {
            InvokeError::ServiceFault("internal server error")
        }
        "badgateway" => InvokeError::ServiceFault("bad gateway"),
        "modelnotready" => InvokeError::ServiceFault("model not ready"),
        "serviceunavailable" | "unavailable" | "overloaded" | "model" | "modeltimeout"
        | "modelstream" | "gatewaytimeout" => InvokeError::ServiceFault("unavailable"),
        _ => return None,
    })
}

/// The error that came with HTTP status 429. A quota that is used up does not pass by itself.
fn throttled_by(error: InvokeError) -> InvokeError {
    match error {
        InvokeError::QuotaExceeded => error,
        _ => InvokeError::Throttled,
    }
}

/// Whether no service can have got the request: there was no connection to send it over, or it did
/// not come so far for want of an endpoint, credentials or a signature.
fn was_never_sent<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + Send + Sync + 'static,
{
    let SdkError::DispatchFailure(failure) = error else { return false };
    match causes(error).find_map(|error| error.downcast_ref::<legacy::Error>()) {
        Some(error) => error.is_connect(),
        // Whatever goes wrong on a connection is an error of hyper.
        None => failure.is_other() && !causes(error).any(|error| error.is::<hyper::Error>()),
    }
}

/// Whether the connection was refused.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    let of_kind = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    causes(error).any(|error| error.downcast_ref().is_some_and(of_kind))
}

/// The error and what caused it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variant alone.
    fn of(name: &str) -> Option<String> {
        class(name).map(|error| format!("{error:?}"))
    }

    #[test]
    fn the_status_of_a_container_tells_what_failed() {
        for name in ["RuntimeClientError", "runtimeClientError"] {
            let of = |status: u16| {
                let text =
                    format!("Received error ({status}) from runtime. Please check your logs.");
                named(name, &text).unwrap()
            };
            assert!(matches!(of(429), InvokeError::Throttled));
            assert!(matches!(of(409), InvokeError::Conflict));
            for status in [400, 404, 415, 422] {
                assert!(matches!(of(status), InvokeError::Invalid), "{status}");
            }
            for status in [500, 502, 503, 504] {
                assert!(matches!(of(status), InvokeError::ServiceFault(_)), "{status}");
            }
        }
        for text in ["", "Runtime initialization time exceeded.", "Received error (x)"] {
            let error = named("RuntimeClientError", text);
            assert!(matches!(error, Some(InvokeError::ServiceFault(_))), "{text}");
        }
    }

    #[test]
    fn a_name_counts_by_its_class() {
        for (expected, names) in [
            (
                "Throttled",
                &[
                    "ThrottlingException",
                    "throttlingException",
                    "ThrottledException",
                    "Throttling",
                    "ModelThrottledException",
                    "RequestThrottled",
                    "EC2ThrottledException",
                    "TooManyRequestsException",
                    "rate_limit_error",
                    "rate_limit_exceeded",
                    "RateLimitError",
                    "openai.RateLimitError",
                    "RESOURCE_EXHAUSTED",
                    "com.amazonaws.bedrock#ThrottlingException:http://internal/",
                    "429",
                ][..],
            ),
            (
                "Conflict",
                &[
                    "ConflictException",
                    "ConcurrencyException",
                    "concurrencyexception",
                    "RetryableConflictException",
                    "ConcurrentModificationException",
                ],
            ),
            ("QuotaExceeded", &["ServiceQuotaExceededException", "insufficient_quota"]),
            ("AccessDenied", &["AccessDenied", "accessDeniedException", "UnauthorizedException"]),
            ("NotFound", &["ResourceNotFoundException", "not_found_error"]),
            ("Invalid", &["ValidationException", "ValidationError", "invalid_request_error"]),
            ("DependencyFailed", &["DependencyFailedException"]),
            (
                r#"ServiceFault("internal server error")"#,
                &["InternalServerException", "InternalServerError", "InternalFailure"],
            ),
            (r#"ServiceFault("bad gateway")"#, &["badGatewayException"]),
            (r#"ServiceFault("model not ready")"#, &["ModelNotReadyException"]),
            (
                r#"ServiceFault("unavailable")"#,
                &["ServiceUnavailableException", "overloaded_error", "ModelStreamErrorException"],
            ),
        ] {
            for name in names {
                assert_eq!(of(name).as_deref(), Some(expected), "{name}");
            }
        }
        for name in ["", "KeyError", "Exception", "TiredException"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn throttling_is_heard_wherever_it_is_told() {
        for text in [
            "Too many tokens, please wait before trying again.",
            "An error occurred (ThrottlingException) when calling the Converse operation",
            "Your request rate is too high. Reduce the frequency of requests.",
            r#"{"error":{"type":"rate_limit_error"}}"#,
            "Rate limit reached for requests",
            "429 Client Error: Too Many Requests for url",
            "Error code: 429 - {...}",
            r#"{"error":"no","status_code": 429}"#,
            "HTTP/1.1 429",
            "Received error (429) from runtime.",
        ] {
            assert!(tells_of_throttling(text), "{text}");
            assert!(matches!(told(text), InvokeError::Throttled), "{text}");
            let failed = named("DependencyFailedException", text);
            assert!(matches!(failed, Some(InvokeError::Throttled)), "{text}");
        }
        for text in ["order 429 was not found", "error 14290", "code 4290", "it took 429 ms", ""] {
            assert!(!tells_of_throttling(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_says_more_than_the_text_stands() {
        let error = named("ConflictException", "Too many requests in this session");
        assert!(matches!(error, Some(InvokeError::Conflict)));
        let error = named("ServiceQuotaExceededException", "Too many tokens per day");
        assert!(matches!(error, Some(InvokeError::QuotaExceeded)));
    }

    #[test]
    fn an_agent_may_tell_of_a_conflict_in_any_words_of_its_framework() {
        for text in [
            r#"{"error":"busy","error_type":"ConcurrencyException"}"#,
            "strands.types.exceptions.ConcurrencyException: Agent is already processing a request",
            "An error occurred (ConflictException)",
            r#"{"error":"busy","error_type":"CONCURRENCY_ERROR"}"#,
            "ConcurrentInvocationError: one at a time",
        ] {
            assert!(matches!(told(text), InvokeError::Conflict), "{text}");
        }
        for text in ["LimitExceededException: wait", "ProvisionedThroughputExceededException"] {
            assert!(matches!(told(text), InvokeError::Throttled), "{text}");
        }
        assert!(matches!(told("KeyError: 'order'"), InvokeError::ServiceFault(_)));
    }

    #[test]
    fn a_written_exception_is_no_sentence_about_one() {
        for text in [
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in f\nKeyError: 'x'",
            "  + Exception Group Traceback (most recent call last):\n  |   File \"/app/a.py\"",
            "TypeError: x is not a function\n    at ask (/app/a.js:1:2)\n    at main (/app/a.js:9:1)",
            "An error occurred (ValidationException) when calling the Converse operation: no",
            "botocore.errorfactory.ThrottlingException: An error occurred (ThrottlingException) when calling the ConverseStream operation: wait",
        ] {
            assert!(is_written_exception(text), "{text}");
        }
        for text in [
            "The log says: Traceback (most recent call last): …",
            "Error: your card was declined.",
            "An error occurred (again) in your order, sorry.",
            "Your script failed: An error occurred (AccessDenied) when calling the GetObject operation",
            "",
        ] {
            assert!(!is_written_exception(text), "{text}");
        }
    }
}
