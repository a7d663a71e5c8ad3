//! Wilson's score interval of a share that was counted.
//!
//! E. B. Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, JASA 22 (1927):
//! the interval holds every true share from which the counted one is at most [`Z`] standard errors away.

use router_core::units::Share;

/// The standard normal quantile of 0.975: 95 % of the distribution lie between it and its negative.
const Z: f64 = 1.959_963_984_540_054;

/// The lower end of the interval; 0 when nothing was counted.
pub(super) fn lower_bound(right: u64, all: u64) -> f64 {
    // With none right it is 0, which rounding can miss on either side.
    if all == 0 || right == 0 {
        return 0.0;
    }
    let n = all as f64;
    let share = right as f64 / n;
    let center = share + Z * Z / (2.0 * n);
    let margin = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((center - margin) / (1.0 + Z * Z / n)).clamp(0.0, share)
}

/// How many must be counted, at the same share, until the lower end is at least `claim`. `None`: the
/// share is not above the claim, so no number would do.
///
/// The lower end is at least `claim` when the share is `Z` or more standard errors above it, which are
/// `sqrt(claim (1 - claim) / n)`. That is solved for `n`.
pub(super) fn requests_needed(right: u64, all: u64, claim: Share) -> Option<u64> {
    let is_above = u128::from(right) * 1_000_000 > u128::from(claim.0) * u128::from(all);
    if !is_above {
        return None;
    }
    let share = right as f64 / all as f64;
    let claim = f64::from(claim.0) / 1_000_000.0;
    let needed = Z * Z * claim * (1.0 - claim) / (share - claim).powi(2);
    Some((needed.ceil() as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Calculated with 50 decimals, apart from this code.
    #[test]
    fn the_lower_bound_is_wilsons() {
        let known = [
            (0, 10, 0.0),
            (1, 1, 0.206_549_314_377),
            (1, 10, 0.017_876_213_095),
            (5, 10, 0.236_593_090_513),
            (9, 10, 0.595_849_973_205),
            (10, 10, 0.722_467_200_137),
            (90, 100, 0.825_634_338_495),
            (180, 200, 0.850_594_187_568),
            (900, 1_000, 0.879_848_036_805),
            (950, 1_000, 0.934_686_179_756),
        ];
        for (right, all, expected) in known {
            let found = lower_bound(right, all);
            assert!((found - expected).abs() < 1e-11, "{right} of {all}: {found}");
        }
    }

    #[test]
    fn nothing_counted_bounds_nothing() {
        assert_eq!(lower_bound(0, 0), 0.0);
        assert_eq!(requests_needed(0, 0, Share(0)), None);
    }

    #[test]
    fn a_claim_at_or_above_the_share_found_needs_more_than_any_number() {
        assert_eq!(requests_needed(90, 100, Share(900_000)), None);
        assert_eq!(requests_needed(89, 100, Share(900_000)), None);
        assert_eq!(requests_needed(100, 100, Share(1_000_000)), None);
    }

    #[test]
    fn a_claim_further_below_needs_fewer() {
        assert_eq!(requests_needed(90, 100, Share(850_000)), Some(196));
        assert_eq!(requests_needed(95, 100, Share(900_000)), Some(139));
        assert_eq!(requests_needed(1, 1, Share(900_000)), Some(35));
        assert_eq!(requests_needed(1, 2, Share(0)), Some(1));
    }

    proptest! {
        #[test]
        fn the_bound_is_a_share_and_not_above_the_one_found(
            all in 1_u64..1_000_000, part in 0.0..=1.0_f64,
        ) {
            let right = (part * all as f64) as u64;
            let bound = lower_bound(right, all);
            prop_assert!((0.0..=right as f64 / all as f64).contains(&bound));
        }

        #[test]
        fn as_many_as_are_needed_are_enough_and_one_less_is_not(
            percent in 51_u64..=100, claim in 500_000_u32..990_000,
        ) {
            if let Some(needed) = requests_needed(percent, 100, Share(claim)) {
                // `lower_bound` of counts, for shares that no count of `n` has.
                let bound = |n: u64| {
                    let (n, share) = (n as f64, percent as f64 / 100.0);
                    let root = (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
                    (share + Z * Z / (2.0 * n) - Z * root) / (1.0 + Z * Z / n)
                };
                let claim = f64::from(claim) / 1_000_000.0;
                prop_assert!(bound(needed) >= claim - 1e-9);
                prop_assert!(needed == 1 || bound(needed - 1) < claim + 1e-9);
            }
        }
    }
}
