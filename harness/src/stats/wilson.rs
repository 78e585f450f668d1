//! Wilson's interval for a share (E. B. Wilson, JASA 1927): how far a share of so many samples can be from
//! the true one. It stays within 0 and 1, and says something even of none out of n.

/// Quantile of the normal distribution that leaves 2.5 % above it.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of `successes` out of `trials`, without continuity correction; all there is, 0 to 1,
/// without trials.
pub fn wilson_interval(successes: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (trials as f64, successes.min(trials) as f64 / trials as f64);
    let squared = Z * Z;
    let centre = share + squared / (2.0 * n);
    let half_width = Z * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    let scale = 1.0 + squared / n;
    // At the ends the two terms are equal but for rounding.
    let lower = if successes == 0 { 0.0 } else { ((centre - half_width) / scale).max(0.0) };
    let upper = if successes >= trials { 1.0 } else { ((centre + half_width) / scale).min(1.0) };
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_the_table_of_newcombe() {
        // R. G. Newcombe, Statistics in Medicine 1998, table I, method 3.
        for (successes, trials, lower, upper) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (low, high) = wilson_interval(successes, trials);
            assert!((low - lower).abs() < 5e-5 && (high - upper).abs() < 5e-5, "{low} {high}");
        }
    }

    #[test]
    fn nothing_seen_says_nothing() {
        assert_eq!(wilson_interval(0, 0), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn the_share_is_inside_and_more_samples_narrow_it(trials in 1u64..100_000, share in 0.0f64..=1.0) {
            let successes = (share * trials as f64) as u64;
            let (lower, upper) = wilson_interval(successes, trials);
            let seen = successes as f64 / trials as f64;
            prop_assert!(0.0 <= lower && lower <= seen && seen <= upper && upper <= 1.0);
            let (finer_lower, finer_upper) = wilson_interval(successes * 4, trials * 4);
            prop_assert!(finer_upper - finer_lower < upper - lower);
            let (other_lower, other_upper) = wilson_interval(trials - successes, trials);
            prop_assert!((other_lower + upper - 1.0).abs() < 1e-12 && (other_upper + lower - 1.0).abs() < 1e-12);
        }
    }
}
