//! A signal that a task is to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::FutureExt;
use futures_util::future::Shared;

/// Stops the attempts of a task from outside. Clones are the same signal.
///
/// An attempt that is stopped ends in order and says what it had used: it is never just dropped.
#[derive(Clone, Debug)]
pub struct Stop {
    /// There until the signal is given, which its drop is.
    sender: Arc<Mutex<Option<Sender<()>>>>,
    signal: Shared<Receiver<()>>,
}

impl Stop {
    /// Gives the signal.
    pub fn stop(&self) {
        self.sender().take();
    }

    /// Whether the signal was given.
    pub fn is_stopped(&self) -> bool {
        self.sender().is_none()
    }

    /// Waits for the signal.
    pub async fn stopped(&self) {
        // The sender is dropped and never used, so this is the only way in which it ends.
        let _ = self.signal.clone().await;
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender<()>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Stop {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { sender: Arc::new(Mutex::new(Some(sender))), signal: receiver.shared() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_hears_the_signal_once_and_for_all() {
        let stop = Stop::default();
        let clone = stop.clone();
        assert!(clone.stopped().now_or_never().is_none());
        stop.stop();
        assert!(clone.is_stopped());
        assert!(clone.stopped().now_or_never().is_some());
        assert!(stop.stopped().now_or_never().is_some());
    }
}
