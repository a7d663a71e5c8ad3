//! How long an attempt may take, and how long it may be silent.
//!
//! No timeout of the SDK covers a streamed answer, so both are watched here.

use std::future::Future;
use std::time::Duration;

use router_core::invocation::{Attempt, InvokeError, Wait};
use router_core::stop::Stop;
use router_core::supervisor::Round;
use router_core::units::Tokens;
use tokio::select;
use tokio::time::{Instant, timeout_at};

/// What bounds an attempt, whoever makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    stop: &'a Stop,
    timeout: Duration,
    idle_timeout: Duration,
    /// Once more tokens than these are reported, no further model invocation is waited for.
    pub(crate) max_tokens: Tokens,
}

impl<'a> From<&Attempt<'a>> for Limits<'a> {
    fn from(attempt: &Attempt<'a>) -> Self {
        let Attempt { stop, timeout, idle_timeout, max_tokens, .. } = *attempt;
        Self { stop, timeout, idle_timeout, max_tokens }
    }
}

impl<'a> From<&Round<'a>> for Limits<'a> {
    fn from(round: &Round<'a>) -> Self {
        let Round { stop, timeout, idle_timeout, max_tokens, .. } = *round;
        Self { stop, timeout, idle_timeout, max_tokens }
    }
}

/// The limits on the time of an attempt that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer<'a> {
    stop: &'a Stop,
    deadline: Instant,
    timeout: Duration,
    idle_timeout: Duration,
}

impl<'a> Timer<'a> {
    /// Begins to count.
    pub(crate) fn start(limits: Limits<'a>) -> Self {
        let Limits { timeout, idle_timeout, stop, .. } = limits;
        Self { stop, deadline: Instant::now() + timeout, timeout, idle_timeout }
    }

    /// Waits for the beginning of the answer.
    ///
    /// # Errors
    ///
    /// [`InvokeError::TimedOut`] once the attempt's time is up, [`InvokeError::Stopped`] when it is
    /// stopped.
    pub(crate) async fn beginning<T>(
        &self,
        beginning: impl Future<Output = T>,
    ) -> Result<T, InvokeError> {
        self.until(self.deadline, beginning).await?.ok_or_else(|| self.took_too_long())
    }

    /// Waits for the next part of the answer.
    ///
    /// # Errors
    ///
    /// [`InvokeError::TimedOut`] once the attempt's time is up, or the agent was silent for too
    /// long; [`InvokeError::Stopped`] when the attempt is stopped.
    pub(crate) async fn next<T>(&self, next: impl Future<Output = T>) -> Result<T, InvokeError> {
        let idle_deadline = Instant::now() + self.idle_timeout;
        let next = self.until(self.deadline.min(idle_deadline), next).await?;
        next.ok_or_else(|| {
            if self.deadline <= idle_deadline {
                self.took_too_long()
            } else {
                InvokeError::TimedOut { what: Wait::NextEvent, limit: self.idle_timeout }
            }
        })
    }

    /// Waits until `deadline`, then gives `None`; or until the attempt is stopped.
    async fn until<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, InvokeError> {
        select! {
            done = timeout_at(deadline, work) => Ok(done.ok()),
            () = self.stop.stopped() => Err(InvokeError::Stopped),
        }
    }

    fn took_too_long(&self) -> InvokeError {
        InvokeError::TimedOut { what: Wait::Answer, limit: self.timeout }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn timer(stop: &Stop) -> Timer<'_> {
        let timeout = Duration::from_secs(3_600);
        Timer { stop, deadline: Instant::now() + timeout, timeout, idle_timeout: timeout }
    }

    #[tokio::test]
    async fn an_attempt_that_is_stopped_ends_at_once_whatever_it_waits_for() {
        let stop = Stop::default();
        let timer = timer(&stop);
        assert!(matches!(timer.next(ready(7)).await, Ok(7)));
        stop.stop();
        let beginning = timer.beginning(pending::<()>()).await;
        assert!(matches!(beginning, Err(InvokeError::Stopped)));
        let next = timer.next(pending::<()>()).await;
        assert!(matches!(next, Err(InvokeError::Stopped)));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_begin_and_a_silence_are_told_apart() {
        let stop = Stop::default();
        let silent = Timer { idle_timeout: Duration::ZERO, ..timer(&stop) };
        let waited = |what| move |error| matches!(error, InvokeError::TimedOut { what: found, .. } if found == what);
        assert!(silent.next(pending::<()>()).await.is_err_and(waited(Wait::NextEvent)));
        let late = Timer { deadline: Instant::now(), ..timer(&stop) };
        assert!(late.next(pending::<()>()).await.is_err_and(waited(Wait::Answer)));
        assert!(late.beginning(pending::<()>()).await.is_err_and(waited(Wait::Answer)));
    }
}
