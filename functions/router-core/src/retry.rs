//! When a failed attempt is tried again.
//!
//! A retry helps against what passes by itself, and makes an outage worse: three attempts each
//! are three times the load on a service that is down already. So the wait before a retry is random
//! (full jitter), and a process pays for its retries out of a [`RetryBudget`] that only
//! successes fill up again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ids::{HoldId, SpecialistName};
use crate::policy::Retry;

/// What a specialist's budget holds at most, and at first. This, the price and the reward are
/// those of the AWS SDK's standard mode (Retry 2.0; aws-smithy-runtime 1.16, `token_bucket.rs`):
/// 100 retries in a row without a success.
const CAPACITY: u32 = 500;
/// What one retry takes.
const PRICE: u32 = 5;
/// What an answer that needed no retry gives back.
const REWARD: u32 = 1;

/// What the retries of one process are paid from, for each specialist apart: when one is down,
/// the others keep theirs.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<BTreeMap<SpecialistName, u32>>);

impl RetryBudget {
    /// Takes a retry, if there is one left.
    pub fn take(&self, specialist: &SpecialistName) -> bool {
        self.change(specialist, |left| left.checked_sub(PRICE))
    }

    /// Puts back a retry that was not made.
    pub fn put_back(&self, specialist: &SpecialistName) {
        self.change(specialist, |left| Some(left.saturating_add(PRICE).min(CAPACITY)));
    }

    /// An invocation was answered after `retries` of them, which it gives back.
    pub fn succeeded(&self, specialist: &SpecialistName, retries: u64) {
        let retries = u32::try_from(retries).unwrap_or(CAPACITY);
        let gain = if retries == 0 { REWARD } else { retries.saturating_mul(PRICE) };
        self.change(specialist, |left| Some(left.saturating_add(gain).min(CAPACITY)));
    }

    fn change(&self, specialist: &SpecialistName, to: impl FnOnce(u32) -> Option<u32>) -> bool {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = budgets.entry(specialist.clone()).or_insert(CAPACITY);
        let changed = to(*left);
        *left = changed.unwrap_or(*left);
        changed.is_some()
    }
}

/// The wait before the `retry`th retry, counted from 1: anything up to `base_delay`, which
/// doubles with each retry and never passes `max_delay`. `chance` decides.
pub fn backoff(rules: &Retry, retry: u64, chance: u64) -> Duration {
    let ceiling = longest_backoff(rules, retry).as_micros();
    let micros = u128::from(chance) % (ceiling + 1);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// The longest that [`backoff`] can be.
pub(crate) fn longest_backoff(rules: &Retry, retry: u64) -> Duration {
    let doublings = u32::try_from(retry.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
    rules.base_delay.saturating_mul(1 << doublings).min(rules.max_delay)
}

/// A number that is different after each attempt of each hold, so that those who failed together
/// do not come back together.
pub(crate) fn chance(hold: &HoldId, attempt: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (hold.as_str(), attempt).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Retry = Retry {
        max_attempts: 9,
        base_delay: Duration::from_millis(100),
        max_delay: Duration::from_millis(2_000),
    };

    #[test]
    fn the_longest_wait_doubles_up_to_its_limit() {
        let longest: Vec<u128> =
            (1..=7).map(|retry| longest_backoff(&RULES, retry).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(longest_backoff(&RULES, u64::MAX), RULES.max_delay);
    }

    #[test]
    fn retries_of_one_hold_and_of_two_wait_differently() {
        let chances: std::collections::BTreeSet<u64> = (0..100)
            .flat_map(|task| [1, 2].map(|attempt| chance(&HoldId::new("r", task, 0), attempt)))
            .collect();
        assert_eq!(chances.len(), 200);
    }

    #[test]
    fn an_outage_uses_up_the_retries_and_successes_bring_them_back() {
        let (down, fine) =
            (SpecialistName::parse("down").unwrap(), SpecialistName::parse("fine").unwrap());
        let budget = RetryBudget::default();
        assert_eq!((0..1_000).filter(|_| budget.take(&down)).count(), 100);
        assert!(budget.take(&fine), "it has retries of its own");
        (0..4).for_each(|_| budget.succeeded(&down, 0));
        assert!(!budget.take(&down));
        budget.succeeded(&down, 0);
        assert!(budget.take(&down), "five successes bring one retry");
        budget.succeeded(&down, 1);
        assert!(budget.take(&down), "a retry that helped costs nothing");
    }

    proptest! {
        #[test]
        fn any_chance_is_a_wait_within_the_limit(retry in 1..20_u64, chance: u64) {
            prop_assert!(backoff(&RULES, retry, chance) <= longest_backoff(&RULES, retry));
        }
    }

    #[test]
    fn a_retry_that_was_not_made_is_there_for_the_next() {
        let (budget, specialist) =
            (RetryBudget::default(), SpecialistName::parse("orders").unwrap());
        while budget.take(&specialist) {}
        budget.put_back(&specialist);
        assert!(budget.take(&specialist));
        assert!(!budget.take(&specialist));
    }
}
