//! The one place where the time is read.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use router_core::units::{Clock, Moment, Timestamp};

/// The machine's clock, which Lambda's deadlines are given in. It may be set, also back.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The machine's clock as one invocation goes by it: read once, and from then on moved by the
/// steady clock. So the durations in a request are right although the machine's clock is set
/// meanwhile, and the next invocation goes by what it was set to.
#[derive(Clone, Copy, Debug)]
pub struct InvocationClock {
    began: Timestamp,
    began_at: Moment,
}

impl InvocationClock {
    /// The clock of an invocation that begins now.
    pub fn start() -> Self {
        Self { began: SystemClock.now(), began_at: SystemClock.moment() }
    }
}

impl Clock for InvocationClock {
    fn now(&self) -> Timestamp {
        self.began.after(self.moment().since(self.began_at))
    }

    fn moment(&self) -> Moment {
        SystemClock.moment()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everything else is given the time from here")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(0).after(since_epoch)
    }

    #[expect(clippy::disallowed_methods, reason = "everything else is given the time from here")]
    fn moment(&self) -> Moment {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        let now = Instant::now();
        Moment(now.saturating_duration_since(*FIRST.get_or_init(|| now)))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
