//! What is done when a reply is out and before the next event is asked for.
//!
//! The runtime posts a reply in its innermost service. Whatever wraps that one goes on when the
//! caller has its answer already; Lambda freezes the function only when it asks for the next
//! event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use lambda_runtime::{Error, LambdaInvocation, Service};
use router_aws::{InvocationClock, OtlpTraces};
use router_core::deadline;
use router_core::units::{Clock, Timestamp};

/// Exports an invocation's trace once its reply is out.
pub(crate) struct AfterReply<'f, S> {
    /// Posts replies.
    pub(crate) inner: S,
    /// Where traces are kept until then.
    pub(crate) traces: &'f OtlpTraces,
}

impl<'f, S> Service<LambdaInvocation> for AfterReply<'f, S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: 'f,
{
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), Error>> + 'f>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let deadline = Timestamp(invocation.context.deadline);
        let clock = InvocationClock::start();
        let replying = self.inner.call(invocation);
        let traces = self.traces;
        Box::pin(async move {
            let replied = replying.await;
            // Past the deadline Lambda would end the process, and the next start is a cold one.
            traces.export(deadline::wind_up(deadline.since(clock.now()))).await;
            replied
        })
    }
}
