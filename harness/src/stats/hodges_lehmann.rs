//! The Hodges-Lehmann estimate: by how much paired differences are shifted, whatever their distribution.

use super::bootstrap::INTERVAL_LEVEL;
use super::median::median;
use super::paired::{EXACT_UP_TO, ways_to_sign};

/// The quantile of the normal distribution that leaves out what [`INTERVAL_LEVEL`] leaves out above.
const Z_OF_LEVEL: f64 = 1.959_963_985;

/// The median of the means of all pairs of differences, each with itself included (Hodges and Lehmann 1963):
/// the shift that fits the signed-rank test. One wild difference in thirty moves it hardly at all. None
/// without differences.
pub fn hodges_lehmann(differences: &[f64]) -> Option<f64> {
    median(&mut walsh_averages(differences))
}

/// The interval around [`hodges_lehmann`] that holds every shift which the signed-rank test does not reject
/// (Hollander, Wolfe and Chicken, 3.3): for symmetric differences it holds the true one in at least 95 of 100
/// cases, however few they are. Up to 25 differences by counting, above by the normal approximation. None with
/// fewer than six, where no interval is that sure.
pub fn hodges_lehmann_interval(differences: &[f64]) -> Option<(f64, f64)> {
    let count = differences.len();
    let tail = (1.0 - INTERVAL_LEVEL) / 2.0;
    // As many averages at either end are left out as sums of positive ranks are too rare.
    let left_out = if count <= EXACT_UP_TO {
        let ranks: Vec<usize> = (1..=count).collect();
        let all = (1u64 << count) as f64;
        let mut share = 0.0;
        let rare = ways_to_sign(&ranks).into_iter().take_while(|&ways| {
            share += ways as f64 / all;
            share <= tail
        });
        rare.count()
    } else {
        let n = count as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0;
        (n * (n + 1.0) / 4.0 - Z_OF_LEVEL * variance.sqrt()) as usize
    };
    let mut means = walsh_averages(differences);
    means.sort_by(f64::total_cmp);
    let from_the_end = left_out.checked_sub(1)?;
    Some((means[from_the_end], means[means.len() - 1 - from_the_end]))
}

/// The means of all pairs, each with itself included.
fn walsh_averages(differences: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(differences.len() * (differences.len() + 1) / 2);
    for (index, &one) in differences.iter().enumerate() {
        means.extend(differences[index..].iter().map(|&other| one / 2.0 + other / 2.0));
    }
    means
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::paired::signed_rank_p;
    use super::*;

    #[test]
    fn a_published_example_is_reproduced() {
        // Depression scores before and after, in thousandths, Hollander and Wolfe (1973), examples 3.1 and
        // 3.3: the estimate of the change is −0.46.
        let before = [1_830, 500, 1_620, 2_480, 1_680, 1_880, 1_550, 3_060, 1_300];
        let after = [878, 647, 598, 2_050, 1_060, 1_290, 1_060, 3_140, 1_290];
        let differences: Vec<f64> =
            before.iter().zip(after).map(|(before, after)| f64::from(after - before)).collect();
        let found = hodges_lehmann(&differences).unwrap();
        assert!((found + 460.0).abs() < 0.5, "{found}");
    }

    #[test]
    fn small_samples_are_as_counted_by_hand() {
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(hodges_lehmann(&[3.0]), Some(3.0));
        // Means: 1, 2.5, 4 and their median.
        assert_eq!(hodges_lehmann(&[1.0, 4.0]), Some(2.5));
        // Means of 0, 1, 10: 0, 0.5, 5, 1, 5.5, 10.
        assert_eq!(hodges_lehmann(&[0.0, 1.0, 10.0]), Some(3.0));
    }

    #[test]
    fn a_published_interval_is_reproduced_and_five_are_too_few() {
        // The same example, 3.4: the 96 % interval of the change is from −0.786 to −0.010.
        let before = [1_830, 500, 1_620, 2_480, 1_680, 1_880, 1_550, 3_060, 1_300];
        let after = [878, 647, 598, 2_050, 1_060, 1_290, 1_060, 3_140, 1_290];
        let differences: Vec<f64> =
            before.iter().zip(after).map(|(before, after)| f64::from(after - before)).collect();
        assert_eq!(hodges_lehmann_interval(&differences), Some((-786.0, -10.0)));
        assert_eq!(hodges_lehmann_interval(&[1.0; 5]), None);
        assert_eq!(hodges_lehmann_interval(&[1.0, 2.0, 3.0, 4.0, 5.0, 9.0]), Some((1.0, 9.0)));
    }

    #[test]
    fn an_interval_excludes_zero_exactly_when_the_test_rejects_it() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for count in (6..=25).flat_map(|count| [count; 20]) {
            let differences: Vec<f64> = (0..count).map(|_| random.random::<f64>() - 0.3).collect();
            let (low, high) = hodges_lehmann_interval(&differences).unwrap();
            let rejected = signed_rank_p(&differences) <= 0.05;
            assert_eq!(low > 0.0 || high < 0.0, rejected, "{count}: {low} to {high}");
        }
    }

    #[test]
    fn it_holds_the_shift_as_often_as_it_says_with_few_and_with_many() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        for count in [6, 8, 12, 40] {
            let held = (0..400)
                .filter(|_| {
                    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                    let differences: Vec<f64> = (0..count).map(|_| 0.5 + normal()).collect();
                    let (low, high) = hodges_lehmann_interval(&differences).unwrap();
                    (low..=high).contains(&0.5)
                })
                .count();
            // 95 of 100, less three standard errors.
            assert!(held >= 367, "{held} of 400 with {count}");
        }
    }

    proptest! {
        #[test]
        fn it_moves_with_the_sample_and_not_with_its_order(
            values in proptest::collection::vec(-1e6f64..1e6, 1..30), by in -1e6f64..1e6,
        ) {
            let found = hodges_lehmann(&values).unwrap();
            let mut moved: Vec<f64> = values.iter().map(|value| value + by).collect();
            moved.reverse();
            prop_assert!((hodges_lehmann(&moved).unwrap() - found - by).abs() < 1e-6);
        }
    }
}
