//! The ratio of two estimates, with an interval from the intervals of both.

/// A number with its interval, as far as there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Ends of its interval.
    pub interval: Option<(f64, f64)>,
}

/// The interval of the relative change from `a` to `b`: 0.1 is ten per cent more. It has the level
/// that both intervals have.
///
/// The delta method on the log scale: the logarithm of a positive estimate has about the standard
/// error s / value, errors of independent estimates add in squares, and the ends are taken back by
/// the exponential. s is half the interval's width over a quantile of the normal distribution; the
/// same quantile turns the sum into an interval again, so it cancels.
///
/// None without both intervals, or with a value that has no logarithm.
pub fn relative_change(a: Estimate, b: Estimate) -> Option<(f64, f64)> {
    let ratio = ratio(a.value, b.value).filter(|ratio| *ratio > 0.0)?;
    let half_width = relative_half_width(a)?.hypot(relative_half_width(b)?);
    Some((ratio * (-half_width).exp() - 1.0, ratio * half_width.exp() - 1.0))
}

/// `b` over `a`; none when there is no such number.
pub fn ratio(a: f64, b: f64) -> Option<f64> {
    Some(b / a).filter(|ratio| ratio.is_finite())
}

fn relative_half_width(estimate: Estimate) -> Option<f64> {
    let (lower, upper) = estimate.interval?;
    let half_width = (upper - lower) / 2.0 / estimate.value;
    (estimate.value > 0.0 && half_width.is_finite() && half_width >= 0.0).then_some(half_width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn estimate(value: f64, lower: f64, upper: f64) -> Estimate {
        Estimate { value, interval: Some((lower, upper)) }
    }

    #[test]
    fn agrees_with_a_calculation_by_hand() {
        // Half widths 3 % and 4 % make 5 %; the ratio is 1.1.
        let (low, high) =
            relative_change(estimate(100.0, 97.0, 103.0), estimate(110.0, 105.6, 114.4)).unwrap();
        assert!((low - (1.1 * 0.951_229_424_500_714 - 1.0)).abs() < 1e-12, "{low}");
        assert!((high - (1.1 * 1.051_271_096_376_024 - 1.0)).abs() < 1e-12, "{high}");

        // The same as exp(ln 0.5 ± 1.96 · sqrt(s²)), s = 0.2 / (2 · 1.96): one side is exact.
        let (low, high) = relative_change(estimate(8.0, 8.0, 8.0), estimate(4.0, 3.6, 4.4)).unwrap();
        assert!((low - (0.5 * 0.904_837_418_035_96 - 1.0)).abs() < 1e-12, "{low}");
        assert!((high - (0.5 * 1.105_170_918_075_648 - 1.0)).abs() < 1e-12, "{high}");
    }

    #[test]
    fn there_is_none_without_both_intervals_or_without_a_logarithm() {
        let sure = estimate(2.0, 1.0, 3.0);
        for odd in [
            Estimate { value: 2.0, interval: None },
            estimate(0.0, 0.0, 0.0),
            estimate(-2.0, -3.0, -1.0),
            estimate(f64::NAN, 1.0, 2.0),
            estimate(2.0, 3.0, 1.0),
            estimate(2.0, 1.0, f64::INFINITY),
        ] {
            assert_eq!(relative_change(sure, odd), None, "{odd:?}");
            assert_eq!(relative_change(odd, sure), None, "{odd:?}");
        }
        assert_eq!(ratio(0.0, 1.0), None);
        assert_eq!(ratio(4.0, 1.0), Some(0.25));
    }

    #[test]
    fn covers_the_true_change_about_as_often_as_it_says() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // Twelve uniforms less six: a normal with mean 0 and variance 1.
        let mut measured = |truth: f64, error: f64| {
            let normal = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            let value = truth + error * normal;
            estimate(value, value - 1.96 * error, value + 1.96 * error)
        };
        let covered = (0..2_000)
            .filter(|_| {
                let (low, high) = relative_change(measured(50.0, 2.0), measured(60.0, 1.0)).unwrap();
                (low..=high).contains(&0.2)
            })
            .count();
        // 1,900 of 2,000, give or take three standard errors.
        assert!((1_870..=1_930).contains(&covered), "{covered} of 2000");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_estimate_and_turns_around_with_the_sides(
            a in 1e-6f64..1e12, b in 1e-6f64..1e12, wa in 0.0f64..0.5, wb in 0.0f64..0.5,
        ) {
            let (a, b) = (
                estimate(a, a * (1.0 - wa), a * (1.0 + wa)),
                estimate(b, b * (1.0 - wb), b * (1.0 + wb)),
            );
            let (low, high) = relative_change(a, b).unwrap();
            let change = b.value / a.value - 1.0;
            prop_assert!(low <= change + 1e-9 * change.abs() && change <= high + 1e-9 * change.abs());
            let (back_low, back_high) = relative_change(b, a).unwrap();
            prop_assert!(((1.0 + back_low) * (1.0 + high) - 1.0).abs() < 1e-9);
            prop_assert!(((1.0 + back_high) * (1.0 + low) - 1.0).abs() < 1e-9);
        }
    }
}
