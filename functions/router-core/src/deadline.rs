//! How the time that Lambda leaves is shared out.
//!
//! A reply that comes after Lambda's deadline is no reply. So a margin is kept for settling
//! and replying, and whoever is asked now leaves a share for those who may be asked next.

use std::time::Duration;

/// Kept back for settling the budget and posting the reply. A ledger write takes some
/// milliseconds; one attempt that hangs for its whole second fits in, and a quick retry of it.
pub const REPLY_MARGIN: Duration = Duration::from_millis(1_500);

/// No attempt is started with less time than this: it would only cost money.
pub const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);

/// Kept back for the reply itself when settling and publishing take their time.
const POSTING_MARGIN: Duration = Duration::from_millis(200);

/// The time for one invocation, when `to_come` more may follow it. `None` when it is not
/// worth starting.
pub fn attempt_timeout(remaining: Duration, timeout: Duration, to_come: usize) -> Option<Duration> {
    let followers = u32::try_from(to_come).unwrap_or(u32::MAX - 1);
    let share = remaining.saturating_sub(REPLY_MARGIN) / (followers + 1);
    (share >= SHORTEST_ATTEMPT).then_some(share.min(timeout))
}

/// The time for what is left to do before the reply is posted.
pub fn wind_up(remaining: Duration) -> Duration {
    remaining.saturating_sub(POSTING_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_attempt_gets_the_smaller_of_its_timeout_and_its_share() {
        assert_eq!(attempt_timeout(ms(60_000), ms(20_000), 1), Some(ms(20_000)));
        assert_eq!(attempt_timeout(ms(11_500), ms(20_000), 1), Some(ms(5_000)));
        assert_eq!(attempt_timeout(ms(11_500), ms(20_000), 0), Some(ms(10_000)));
    }

    #[test]
    fn an_attempt_is_not_started_when_its_share_is_too_short() {
        assert_eq!(attempt_timeout(ms(1_750), ms(20_000), 0), Some(ms(250)));
        assert_eq!(attempt_timeout(ms(1_749), ms(20_000), 0), None);
        assert_eq!(attempt_timeout(ms(0), ms(20_000), 0), None);
    }

    #[test]
    fn a_specialist_with_a_short_timeout_is_still_asked() {
        assert_eq!(attempt_timeout(ms(60_000), ms(50), 0), Some(ms(50)));
    }
}
