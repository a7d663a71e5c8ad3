//! How long an attempt may take, and how long it may be silent.
//!
//! No timeout of the SDK covers a streamed answer, so both are watched here.

use std::future::Future;
use std::time::Duration;

use router_core::invocation::{Attempt, InvokeError, Wait};
use tokio::time::{Instant, timeout_at};

/// The limits on the time of an attempt that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    deadline: Instant,
    timeout: Duration,
    idle_timeout: Duration,
}

impl Timer {
    /// Begins to count.
    pub(crate) fn start(attempt: &Attempt<'_>) -> Self {
        let Attempt { timeout, idle_timeout, .. } = *attempt;
        Self { deadline: Instant::now() + timeout, timeout, idle_timeout }
    }

    /// Waits for the beginning of the answer.
    ///
    /// # Errors
    ///
    /// [`InvokeError::TimedOut`] once the attempt's time is up.
    pub(crate) async fn beginning<T>(
        &self,
        beginning: impl Future<Output = T>,
    ) -> Result<T, InvokeError> {
        timeout_at(self.deadline, beginning).await.map_err(|_| self.took_too_long())
    }

    /// Waits for the next part of the answer.
    ///
    /// # Errors
    ///
    /// [`InvokeError::TimedOut`] once the attempt's time is up, or the agent was silent for too
    /// long.
    pub(crate) async fn next<T>(&self, next: impl Future<Output = T>) -> Result<T, InvokeError> {
        let idle_deadline = Instant::now() + self.idle_timeout;
        timeout_at(self.deadline.min(idle_deadline), next).await.map_err(|_| {
            if self.deadline <= idle_deadline {
                self.took_too_long()
            } else {
                InvokeError::TimedOut { what: Wait::NextEvent, limit: self.idle_timeout }
            }
        })
    }

    fn took_too_long(&self) -> InvokeError {
        InvokeError::TimedOut { what: Wait::Answer, limit: self.timeout }
    }
}
