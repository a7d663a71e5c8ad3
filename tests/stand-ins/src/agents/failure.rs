//! HTTP errors in place of an answer.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::fault::Exception;
use crate::http::{Body, response};
use crate::identity;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An HTTP error in place of an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error_type: String,
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Self {
            error_type: exception.error_type(),
            status: exception.status(),
            message: exception.message(),
        }
    }
}

impl Failure {
    /// What a request is answered with that breaks a rule of the service.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Exception::VALIDATION.into() }
    }

    /// The error as the services send it.
    pub(super) fn into_response(self) -> Response<Body> {
        let payload = json!({ "message": self.message }).to_string();
        let mut response = response(self.status, "application/json", payload);
        if let Ok(error_type) = HeaderValue::from_str(&self.error_type) {
            response.headers_mut().insert(ERROR_TYPE, error_type);
        }
        if let Ok(id) = HeaderValue::from_str(&identity::uuid()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}
