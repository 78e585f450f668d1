//! The Theil–Sen estimate of a slope, with Sen's interval: a trend that a few wild points do not bend.

use super::Estimate;
use super::median::median;

/// The quantile of the normal distribution that leaves 2.5 % above it: for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// The slope of `points` (x, y): the median of the slopes between all pairs of different x.
///
/// The 95 % interval is that of Sen (*Estimates of the regression coefficient based on Kendall's tau*,
/// JASA 63, 1968, eq. 2.6): the pairwise slopes of the ranks that lie as far from the median as
/// Kendall's statistic strays without a trend, with his correction for ties in x and y; the same as
/// `scipy.stats.theilslopes`. Fewer than five points give none: with all their slopes inside, it would
/// still hold the true one less often than it says.
///
/// The interval takes the points' deviations from the line as independent. Samples of a slow level are
/// not: give means over stretches of time.
///
/// None when no two points differ in x. Quadratic in the number of points, in time and memory.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Estimate> {
    let mut slopes = pairwise_slopes(points);
    let value = median(&mut slopes)?;
    let spread = Z * kendall_sigma(points);
    let count = slopes.len() as f64;
    // Halves go to the even rank, as numpy rounds.
    let lower = ((count - spread) / 2.0).round_ties_even() - 1.0;
    let upper = ((count + spread) / 2.0).round_ties_even();
    let interval = (lower >= 0.0 && upper < count)
        .then(|| (at_rank(&mut slopes, lower as usize), at_rank(&mut slopes, upper as usize)));
    Some(Estimate { value, interval })
}

fn pairwise_slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        for (earlier_x, earlier_y) in &points[..index] {
            if x != earlier_x {
                slopes.push((y - earlier_y) / (x - earlier_x));
            }
        }
    }
    slopes
}

/// Standard deviation of Kendall's statistic when there is no trend.
fn kendall_sigma(points: &[(f64, f64)]) -> f64 {
    let term = |count: usize| {
        let count = count as f64;
        count * (count - 1.0) * (2.0 * count + 5.0)
    };
    let ties = |of: fn(&(f64, f64)) -> f64| -> f64 {
        let mut values: Vec<f64> = points.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.chunk_by(|a, b| a == b).map(|equal| term(equal.len())).sum()
    };
    ((term(points.len()) - ties(|point| point.0) - ties(|point| point.1)) / 18.0).max(0.0).sqrt()
}

fn at_rank(values: &mut [f64], rank: usize) -> f64 {
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn check(points: &[(f64, f64)], value: f64, interval: Option<(f64, f64)>) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.abs().max(1.0);
        let found = theil_sen(points).unwrap();
        assert!(near(found.value, value), "{found:?}");
        match (found.interval, interval) {
            (Some(found), Some(wanted)) => {
                assert!(near(found.0, wanted.0) && near(found.1, wanted.1), "{found:?}")
            }
            (found, wanted) => assert_eq!(found, wanted),
        }
    }

    #[test]
    fn agrees_with_sens_own_example() {
        let x = [1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 18.0];
        let y = [9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0];
        let points: Vec<_> = x.into_iter().zip(y).collect();
        // The paper's ends, 3.71 and 4.38, as the fractions that they are.
        check(&points, 4.0, Some((26.0 / 7.0, 35.0 / 8.0)));
    }

    /// Expected values are of scipy 1.17.1: `theilslopes(y, x, 0.95)`.
    #[test]
    fn agrees_with_scipy() {
        let noisy = |index: u32| {
            let x = f64::from(index) * 0.25;
            (x, 100.0 + 3.0 * x + f64::from(index * 37 % 11) - 5.0)
        };
        let points: Vec<_> = (0..20).map(noisy).collect();
        check(&points, 4.333_333_333_333_333, Some((2.5, 4.333_333_333_333_333)));
        let rounded: Vec<_> = points.iter().map(|(x, y)| (*x, y.round_ties_even())).collect();
        check(&rounded, 4.0, Some((2.5, 4.444_444_444_444_445)));

        let x = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0];
        let y = [5.0, 7.0, 6.0, 6.0, 9.0, 8.0, 30.0, 10.0, 12.0, 11.0];
        let tied: Vec<_> = x.into_iter().zip(y).collect();
        check(&tied, 1.666_666_666_666_666_7, Some((1.0, 2.0)));

        check(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (5.0, 7.0)], 1.125, Some((-1.0, 4.0)));
    }

    #[test]
    fn few_points_give_no_interval_and_one_instant_no_slope() {
        check(&[(0.0, 1.0), (2.0, 5.0)], 2.0, None);
        check(&[(0.0, 1.0), (1.0, 2.0), (2.0, 5.0), (3.0, 6.0)], 11.0 / 6.0, None);
        assert!(theil_sen(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]).is_none());
        assert!(theil_sen(&[]).is_none());
    }

    #[test]
    fn a_level_that_does_not_move_grows_by_nothing() {
        let flat: Vec<_> = (0..30).map(|x| (f64::from(x), 7.0)).collect();
        check(&flat, 0.0, Some((0.0, 0.0)));
    }

    #[test]
    fn covers_the_true_slope_about_as_often_as_it_says() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let covered = (0..2_000)
            .filter(|_| {
                let points: Vec<_> = (0..12)
                    .map(|x| {
                        // Twelve uniforms less six: a normal with mean 0 and variance 1.
                        let noise = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                        (f64::from(x), 0.3 * f64::from(x) + noise)
                    })
                    .collect();
                let (low, high) = theil_sen(&points).unwrap().interval.unwrap();
                (low..=high).contains(&0.3)
            })
            .count();
        assert!((1_870..=1_950).contains(&covered), "{covered} of 2000");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_slope_and_moves_with_the_line(
            y in proptest::collection::vec(-1e3f64..1e3, 5..40), tilt in -50.0f64..50.0,
        ) {
            let points: Vec<_> = y.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
            let found = theil_sen(&points).unwrap();
            let (low, high) = found.interval.unwrap();
            prop_assert!(low <= found.value && found.value <= high);
            let tilted: Vec<_> = points.iter().map(|(x, y)| (*x, y + tilt * x)).collect();
            let tilted = theil_sen(&tilted).unwrap();
            prop_assert!((tilted.value - found.value - tilt).abs() < 1e-6);
            // Tilting may make or break ties only by rounding, which random reals do not meet.
            prop_assert!((tilted.interval.unwrap().0 - low - tilt).abs() < 1e-6);
        }

        #[test]
        fn one_wild_point_does_not_bend_the_line(
            wild in 0usize..30, height in -1e12f64..1e12, slope in -1e3f64..1e3,
        ) {
            let mut points: Vec<_> = (0..30).map(|x| (f64::from(x), slope * f64::from(x))).collect();
            points[wild].1 = height;
            prop_assert!((theil_sen(&points).unwrap().value - slope).abs() < 1e-9 * slope.abs().max(1.0));
        }
    }
}
