//! Many times as a few numbers.

use std::time::Duration;

use serde::Serialize;

/// Repeated measurements of the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one number; of none, it is all zeros.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| percentile(&sorted, share);
        Self { min: at(0.0), median: at(0.5), max: at(1.0) }
    }

    /// Each number in another unit.
    pub(super) fn over(self, unit: f64) -> Self {
        Self { min: self.min / unit, median: self.median / unit, max: self.max / unit }
    }
}

/// How long requests took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
}

impl Latency {
    pub(super) fn of(times: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = times.iter().copied().map(micros).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| percentile(&sorted, share);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
    }
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The nearest rank.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_micros).collect();
        let Latency { p50, p90, p99 } = Latency::of(&times);
        assert_eq!([p50, p90, p99].map(f64::round), [100.0, 180.0, 198.0]);
        let one = Latency::of(&times[..1]);
        assert_eq!(one.p50, one.p99);
    }

    #[test]
    fn a_spread_has_its_ends_and_its_middle() {
        let spread = Spread::of([3.0, 1.0, 9.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
    }
}
