//! Why something outside of this process failed, as far as the log may say so.

use std::error::Error;
use std::fmt;

/// A cause outside of this process, in this project's own words.
///
/// What a service or a library says may quote a prompt, an answer or a credential. So no text of
/// theirs gets in here: what happened is said in words that stand in the source, and the rest is
/// names and numbers that are checked to be no more than that. Ports report nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    what: &'static str,
    service: Option<&'static str>,
    code: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
}

impl Cause {
    /// What happened.
    pub const fn new(what: &'static str) -> Self {
        Self { what, service: None, code: None, status: None, request_id: None }
    }

    /// The service that it happened with.
    pub fn of_service(self, service: &'static str) -> Self {
        Self { service: Some(service), ..self }
    }

    /// The name that the service gives the error. One that is no name is left out.
    pub fn code(self, code: Option<&str>) -> Self {
        Self { code: code.and_then(name), ..self }
    }

    /// The HTTP status of the answer.
    pub fn status(self, status: Option<u16>) -> Self {
        Self { status, ..self }
    }

    /// The service's id of the request. One that is no id is left out.
    pub fn request_id(self, id: Option<&str>) -> Self {
        Self { request_id: id.and_then(name), ..self }
    }
}

/// The text, if it is a name or an id: it has no blank, as whatever is said in words has.
fn name(text: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ((1..=64).contains(&text.len()) && text.bytes().all(is_part)).then(|| text.to_owned())
}

impl From<&'static str> for Cause {
    fn from(what: &'static str) -> Self {
        Self::new(what)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        let details = [
            self.service.map(str::to_owned),
            self.code.clone(),
            self.status.map(|status| format!("HTTP {status}")),
            self.request_id.as_ref().map(|id| format!("request {id}")),
        ];
        let details: Vec<String> = details.into_iter().flatten().collect();
        if details.is_empty() { Ok(()) } else { write!(f, " ({})", details.join(", ")) }
    }
}

impl Error for Cause {}

/// An error of this crate and what caused it, in one line. All of it may be logged, since every
/// error of a port ends in a [`Cause`].
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_tells_what_happened_and_where_to_look() {
        let cause = Cause::new("the service answered with an error")
            .of_service("DynamoDB")
            .code(Some("ValidationException"))
            .status(Some(400))
            .request_id(Some("4f3c-01"));
        let expected = "the service answered with an error \
                        (DynamoDB, ValidationException, HTTP 400, request 4f3c-01)";
        assert_eq!(cause.to_string(), expected);
        assert_eq!(Cause::from("no answer in time").to_string(), "no answer in time");
    }

    #[test]
    fn words_do_not_pass_for_a_name() {
        for words in ["my password is x", "", "a@b", "x:y", "{\"a\":1}", &"x".repeat(65), "é"] {
            let cause = Cause::new("it failed").code(Some(words)).request_id(Some(words));
            assert_eq!(cause.to_string(), "it failed", "{words}");
        }
    }

    #[test]
    fn a_chain_has_every_cause_in_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("the outer one")]
        struct Outer(#[source] Cause);
        let error = Outer(Cause::new("the inner one"));
        assert_eq!(chain(&error), "the outer one: the inner one");
    }
}
