//! A signal that a task is to stop.

use tokio_util::sync::CancellationToken;

/// Stops the attempts of a task from outside. Clones are the same signal.
///
/// An attempt that is stopped ends in order and says what it had used: it is never just dropped.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Gives the signal.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether the signal was given.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the signal.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }
}
