//! The one place where the sandbox reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
#[expect(clippy::disallowed_methods, reason = "the stand-ins play services that read the clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(unix_millis(now())).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub fn unix_millis(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis()
}
