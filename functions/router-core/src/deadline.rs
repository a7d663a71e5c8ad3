//! How the time that Lambda leaves is shared out.
//!
//! A reply that comes after Lambda's deadline is no reply. So a margin is kept for settling
//! and replying, and the specialist that is asked now leaves a share for those that may be asked
//! next.

use std::time::Duration;

use crate::policy::{Policy, Specialist};
use crate::retry::longest_backoff;
use crate::routing::fallbacks;

/// Kept back for settling the budget and posting the reply. A ledger write takes some
/// milliseconds; one attempt that hangs for its whole second fits in, and a quick retry of it.
pub const REPLY_MARGIN: Duration = Duration::from_millis(1_500);

/// No attempt is started with less time than this: it would only cost money.
pub const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);

/// Kept back for settling and replying while a call's circuit is told how it ended.
const SETTLING_MARGIN: Duration = Duration::from_millis(1_200);

/// Kept back for the reply itself when settling and publishing take their time.
const POSTING_MARGIN: Duration = Duration::from_millis(200);

/// The time for all attempts of one invocation, when `to_come` more invocations may follow it:
/// its share of what Lambda leaves. `None` when it is not worth starting. An attempt gets the
/// smaller of its specialist's `timeout_ms` and what is left of this.
///
/// What an invocation does not need is shared out among those that follow. One that fails late
/// is not tried again, since its share is used up; the fallback keeps its own.
pub fn window(remaining: Duration, to_come: usize) -> Option<Duration> {
    let shares = u32::try_from(to_come.saturating_add(1)).unwrap_or(u32::MAX);
    let share = remaining.saturating_sub(REPLY_MARGIN) / shares;
    (share >= SHORTEST_ATTEMPT).then_some(share)
}

/// The time for what comes before a call, its hold above all: with less left than the margin
/// the call would not be made.
pub fn before_call(remaining: Duration) -> Duration {
    remaining.saturating_sub(REPLY_MARGIN)
}

/// The time for what comes after a call and before settling.
pub fn after_call(remaining: Duration) -> Duration {
    remaining.saturating_sub(SETTLING_MARGIN)
}

/// The shortest time that Lambda must leave a request for every specialist of its chain to have
/// one whole attempt and to wait before all its retries, whatever those before it needed. A
/// function's timeout should not be shorter: specialists would then be cut short in favour of
/// those that may follow them.
pub fn longest_request(policy: &Policy) -> Duration {
    let of_one = |specialist: &Specialist| {
        let waits = (1..specialist.retry.max_attempts)
            .map(|retry| longest_backoff(&specialist.retry, retry))
            .sum::<Duration>();
        specialist.timeout + waits
    };
    // Each gets an equal share of what those before it have left.
    let of_chain = |first| {
        let mut before = Duration::ZERO;
        let mut longest = Duration::ZERO;
        let chain = std::iter::once(first).chain(fallbacks(first, policy, |_| true));
        let times: Vec<Duration> = chain.map(of_one).collect();
        for (place, time) in times.iter().enumerate() {
            let shares = u32::try_from(times.len() - place).unwrap_or(u32::MAX);
            longest = longest.max(before + *time * shares);
            before += *time;
        }
        longest
    };
    policy.specialists().map(of_chain).max().unwrap_or_default() + REPLY_MARGIN
}

/// The time for what is left to do before the reply is posted.
pub fn time_to_finish(remaining: Duration) -> Duration {
    remaining.saturating_sub(POSTING_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{policy, policy_with_slow_orders};

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_longest_request_is_the_longest_chain_of_specialists_with_all_their_waits() {
        // Orders, support and general: 20 s and two waits of up to 0.1 and 0.2 s each.
        assert_eq!(longest_request(&policy()), ms(3 * 20_300 + 1_500));
        // An equal share for each of three must be long enough for the longest of them.
        assert_eq!(longest_request(&policy_with_slow_orders()), ms(3 * 30_300 + 1_500));
    }

    #[test]
    fn an_invocation_leaves_those_that_may_follow_their_share() {
        assert_eq!(window(ms(61_500), 1), Some(ms(30_000)));
        assert_eq!(window(ms(61_500), 3), Some(ms(15_000)));
        assert_eq!(window(ms(11_500), 0), Some(ms(10_000)));
    }

    #[test]
    fn an_invocation_is_not_started_when_its_share_is_too_short() {
        assert_eq!(window(ms(1_750), 0), Some(ms(250)));
        assert_eq!(window(ms(1_749), 0), None);
        assert_eq!(window(ms(2_000), 1), Some(ms(250)));
        assert_eq!(window(ms(1_999), 1), None);
        assert_eq!(window(ms(0), 0), None);
    }

    #[test]
    fn each_margin_is_kept_back_and_no_time_is_negative() {
        assert_eq!(before_call(ms(2_000)), ms(500));
        assert_eq!(after_call(ms(2_000)), ms(800));
        assert_eq!(time_to_finish(ms(2_000)), ms(1_800));
        assert_eq!([before_call, after_call, time_to_finish].map(|of| of(ms(100))), [ms(0); 3]);
    }
}
