//! The header that tells AWS which invocation of a function a request belongs to: X-Ray joins
//! traces by it, and Lambda finds functions that call themselves without end.
//!
//! The SDK takes it from the environment variable `_X_AMZN_TRACE_ID`, which a runtime sets anew
//! for each invocation. Changing the environment of a running process is unsafe in Rust, so it is
//! kept here instead, like there, once for the process: it serves one invocation at a time.

use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

static CURRENT: Mutex<Option<String>> = Mutex::new(None);

/// Says which trace the requests belong to from now on.
pub fn set(header: Option<&str>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = header.map(str::to_owned);
}

/// Adds the header to the requests of a client.
#[derive(Debug)]
pub(crate) struct XrayHeader;

#[dyn_dispatch_hint]
impl Intercept for XrayHeader {
    fn name(&self) -> &'static str {
        "XrayHeader"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(header) = &*CURRENT.lock().unwrap_or_else(PoisonError::into_inner) {
            context.request_mut().headers_mut().try_insert("x-amzn-trace-id", header.clone())?;
        }
        Ok(())
    }
}
