use proptest::prelude::*;
use rand::Rng;

use super::*;

/// Annual flow of the Nile at Aswan from 1871 to 1970 in 10⁸ m³ (Cobb 1978), R's data set `Nile`.
const NILE: [f64; 100] = [
    1120.0, 1160.0, 963.0, 1210.0, 1160.0, 1160.0, 813.0, 1230.0, 1370.0, 1140.0, 995.0, 935.0, 1110.0,
    994.0, 1020.0, 960.0, 1180.0, 799.0, 958.0, 1140.0, 1100.0, 1210.0, 1150.0, 1250.0, 1260.0, 1220.0,
    1030.0, 1100.0, 774.0, 840.0, 874.0, 694.0, 940.0, 833.0, 701.0, 916.0, 692.0, 1020.0, 1050.0, 969.0,
    831.0, 726.0, 456.0, 824.0, 702.0, 1120.0, 1100.0, 832.0, 764.0, 821.0, 768.0, 845.0, 864.0, 862.0,
    698.0, 845.0, 744.0, 796.0, 1040.0, 759.0, 781.0, 865.0, 845.0, 944.0, 984.0, 897.0, 822.0, 1010.0,
    771.0, 676.0, 649.0, 846.0, 812.0, 742.0, 801.0, 1040.0, 860.0, 874.0, 848.0, 890.0, 744.0, 749.0, 838.0,
    1050.0, 918.0, 986.0, 797.0, 923.0, 975.0, 815.0, 1020.0, 906.0, 901.0, 1170.0, 912.0, 746.0, 919.0,
    718.0, 714.0, 740.0,
];

fn indices(values: &[f64]) -> Vec<usize> {
    change_points(values, 0.01, 1).iter().map(|change| change.index).collect()
}

/// Twelve uniforms less six: a normal with mean 0 and variance 1.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

/// Levels with normal noise, each as often as it says.
fn steps(levels: &[(f64, usize)], noise: f64, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    levels
        .iter()
        .flat_map(|&(level, count)| std::iter::repeat_n(level, count))
        .map(|level| level + noise * normal(&mut random))
        .collect()
}

/// The statistic as the paper writes it, over all divisions, from the pairs themselves.
fn by_definition(values: &[f64]) -> Vec<(usize, f64)> {
    let mean_distance = |left: &[f64], right: &[f64]| {
        let sum: f64 = left.iter().flat_map(|a| right.iter().map(move |b| (a - b).abs())).sum();
        sum / (left.len() * right.len()) as f64
    };
    // Every pair twice, and each value with itself, which is no pair.
    let mean_within = |values: &[f64]| {
        let count = values.len() as f64;
        mean_distance(values, values) * count / (count - 1.0)
    };
    let mut found = Vec::new();
    for end in 2 * FEWEST_BETWEEN..=values.len() {
        for at in FEWEST_BETWEEN..=end - FEWEST_BETWEEN {
            let (left, right) = (&values[..at], &values[at..end]);
            let (m, n) = (left.len() as f64, right.len() as f64);
            let energy = 2.0 * mean_distance(left, right) - mean_within(left) - mean_within(right);
            found.push((at, m * n / (m + n) * energy));
        }
    }
    found
}

#[test]
fn planted_steps_are_found_where_they_are() {
    assert_eq!(indices(&steps(&[(100.0, 20), (110.0, 20)], 1.0, 1)), [20]);
    assert_eq!(indices(&steps(&[(10.0, 15), (20.0, 12), (10.0, 15)], 0.5, 2)), [15, 27]);
    assert_eq!(indices(&steps(&[(1.0, 10), (2.0, 10), (3.0, 10), (2.5, 10)], 0.05, 3)), [10, 20, 30]);
    // Without noise, as exact metrics are.
    let exact = steps(&[(24.0, 6), (26.0, 6)], 0.0, 4);
    assert_eq!(indices(&exact), [6]);
}

#[test]
fn a_change_of_the_spread_alone_is_one_too() {
    let mut values = steps(&[(100.0, 60)], 0.1, 5);
    values.extend(steps(&[(100.0, 60)], 10.0, 6));
    let found = indices(&values);
    assert!(found.len() == 1 && (57..=63).contains(&found[0]), "{found:?}");
}

/// The flow fell when the dam was built: from 1899 on, as other methods have it too (Cobb 1978).
#[test]
fn the_nile_changed_in_1899() {
    assert_eq!(NILE.iter().sum::<f64>(), 91_935.0);
    assert_eq!(indices(&NILE), [1899 - 1871]);
}

#[test]
fn the_statistic_of_a_clean_step_is_that_by_hand() {
    // Distance 1 between all, none within: 6 · 6 / 12 · 2.
    let division = divide(&steps(&[(0.0, 6), (1.0, 6)], 0.0, 1)).unwrap();
    assert_eq!((division.at, division.statistic), (6, 6.0));
}

#[test]
fn p_is_that_of_all_orders() {
    // Of ones and zeros there are few enough orders to look at each.
    let orders: Vec<Vec<f64>> = (0u32..1 << 12)
        .filter(|bits| bits.count_ones() == 6)
        .map(|bits| (0..12).map(|bit| f64::from(bits >> bit & 1)).collect())
        .collect();
    assert_eq!(orders.len(), 924);
    let largest = |values: &[f64]| by_definition(values).iter().map(|found| found.1).fold(0.0, f64::max);
    let statistics: Vec<f64> = orders.iter().map(|order| largest(order)).collect();
    let observed = steps(&[(0.0, 5), (1.0, 6), (0.0, 1)], 0.0, 1);
    let statistic = largest(&observed);
    let as_large = statistics.iter().filter(|other| **other >= statistic - 1e-9).count();
    let expected = as_large as f64 / orders.len() as f64;
    let found = change_points(&observed, 0.1, 7);
    let error = 3.0 * (expected * (1.0 - expected) / PERMUTATIONS as f64).sqrt() + 1e-3;
    assert_eq!(found[0].index, 5);
    assert!((found[0].p - expected).abs() <= error, "{} and {expected}", found[0].p);
}

#[test]
fn without_a_change_alarms_are_as_rare_as_they_should_be() {
    let alarms = |value: fn(&mut ChaCha8Rng) -> f64| {
        (0..200u64)
            .filter(|&seed| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let values: Vec<f64> = (0..30).map(|_| value(&mut random)).collect();
                !change_points(&values, 0.05, seed).is_empty()
            })
            .count()
    };
    // One in twenty is ten of 200; three standard errors more are 19.
    let normal = alarms(normal);
    // Latencies have a long tail: the Pareto distribution with a shape of 2 has no variance.
    let long_tailed = alarms(|random| (1.0 - random.random::<f64>()).powf(-0.5));
    let constant = alarms(|_| 7.0);
    assert!(normal <= 19 && long_tailed <= 19, "{normal} and {long_tailed} of 200");
    assert_eq!(constant, 0);
}

#[test]
fn what_can_not_be_judged_has_no_change() {
    let step = |count: usize| steps(&[(0.0, count / 2), (1.0, count - count / 2)], 0.0, 1);
    assert_eq!(indices(&step(FEWEST_VALUES)), [FEWEST_VALUES / 2]);
    assert!(indices(&step(FEWEST_VALUES - 1)).is_empty());
    assert!(indices(&[]).is_empty());
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = step(20);
        values[3] = odd;
        assert!(indices(&values).is_empty());
    }
}

#[test]
fn the_largest_numbers_there_are_do_not_overflow() {
    let step: Vec<f64> = step_between(-f64::MAX, f64::MAX);
    assert_eq!(indices(&step), [10]);
    let step: Vec<f64> = step_between(0.0, f64::MIN_POSITIVE);
    assert_eq!(indices(&step), [10]);
}

fn step_between(low: f64, high: f64) -> Vec<f64> {
    [vec![low; 10], vec![high; 10]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_division_is_the_best_by_definition(
        values in proptest::collection::vec(0.0f64..1.0, 2 * FEWEST_BETWEEN..40),
    ) {
        let all = by_definition(&values);
        let best = all.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        match divide(&values) {
            Some(found) => {
                prop_assert_eq!(found.at, best.0);
                prop_assert!((found.statistic - best.1).abs() < 1e-9, "{} {:?}", found.statistic, best);
            }
            None => prop_assert!(best.1 <= 0.0),
        }
    }

    #[test]
    fn scale_and_shift_make_no_difference(
        values in proptest::collection::vec(0i32..1000, 15..30),
        step in 0i32..2000, magnitude in -9i32..10, shift in -1_000_000i32..1_000_000,
    ) {
        let half = values.len() / 2;
        let values: Vec<f64> =
            values.iter().enumerate().map(|(at, value)| f64::from(value + if at < half { 0 } else { step })).collect();
        let found = change_points(&values, 0.05, 3);
        let scaled: Vec<f64> = values.iter().map(|value| value * 10f64.powi(magnitude)).collect();
        prop_assert_eq!(&change_points(&scaled, 0.05, 3), &found);
        let shifted: Vec<f64> = values.iter().map(|value| value + f64::from(shift)).collect();
        prop_assert_eq!(&change_points(&shifted, 0.05, 3), &found);
        let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
        prop_assert_eq!(&change_points(&mirrored, 0.05, 3), &found);
    }

    #[test]
    fn change_points_are_apart_and_as_sure_as_asked_for(
        values in proptest::collection::vec(any::<f64>(), 0..30), significance in 0.001f64..0.1,
    ) {
        let found = change_points(&values, significance, 3);
        prop_assert_eq!(&change_points(&values, significance, 3), &found);
        let ends: Vec<usize> =
            [0].into_iter().chain(found.iter().map(|change| change.index)).chain([values.len()]).collect();
        let apart = ends.windows(2).all(|ends| ends[1] >= ends[0] + FEWEST_BETWEEN);
        prop_assert!(found.is_empty() || apart, "{:?}", ends);
        prop_assert!(found.iter().all(|change| change.p > 0.0 && change.p <= significance));
    }
}
