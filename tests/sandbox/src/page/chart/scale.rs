//! From numbers to places, with round numbers at the ticks.

/// The step of about `count` equal steps up to `greatest`, a round number: 1, 2 or 5 times a
/// power of ten.
pub(super) fn round_step(greatest: f64, count: f64) -> f64 {
    let raw = greatest / count;
    if !(raw.is_finite() && raw > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= raw * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// A scale on which each power of ten takes as much room as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decades {
    /// How many there are, from 1 on.
    count: i32,
}

impl Decades {
    /// From 1 to the power of ten that `greatest` does not exceed, at least 10.
    pub(super) fn up_to(greatest: f64) -> Self {
        let greatest = if greatest.is_finite() { greatest } else { 1.0 };
        Self { count: (greatest.max(1.0).log10() - 1e-9).ceil().max(1.0) as i32 }
    }

    /// The place of a number as a share of the scale's length. What is less than 1 is at the
    /// scale's begin.
    pub(super) fn share(self, number: f64) -> f64 {
        (number.max(1.0).log10() / f64::from(self.count)).min(1.0)
    }

    /// The powers of ten.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        (0..=self.count).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach_the_greatest_number() {
        for (greatest, step) in
            [(43.0, 20.0), (5.0, 2.0), (8.0, 2.0), (0.02, 0.005), (1_070.0, 500.0)]
        {
            let found = round_step(greatest, 4.0);
            assert!((found - step).abs() < step * 1e-9, "{greatest}: {found}");
            assert!(found * 4.0 >= greatest * 0.999, "{greatest}: {found}");
        }
        assert_eq!([0.0, f64::NAN].map(|greatest| round_step(greatest, 4.0)), [1.0, 1.0]);
    }

    #[test]
    fn decades_have_equal_lengths_and_hold_every_number() {
        let scale = Decades::up_to(1_070.0);
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        let shares = [0.0, 1.0, 10.0, 100.0, 1e4, 1e9].map(|number| scale.share(number));
        assert_eq!(shares, [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]);
        for (greatest, count) in [(0.0, 1), (10.0, 1), (10.5, 2), (100.0, 2), (1_000.0, 3)] {
            assert_eq!(Decades::up_to(greatest), Decades { count }, "{greatest}");
        }
    }
}
