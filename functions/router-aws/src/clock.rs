//! The one place where the time is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use router_core::units::{Clock, Timestamp};

/// The machine's clock, which Lambda's deadlines are given in.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everything else is given the time from here")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(0).after(since_epoch)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
