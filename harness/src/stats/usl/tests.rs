use proptest::collection::vec;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};

use super::*;

const LOADS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Throughput by load, of a form.
fn exact(loads: &[f64], form: impl Fn(f64) -> f64) -> Vec<(f64, Vec<f64>)> {
    loads.iter().map(|&clients| (clients, vec![form(clients)])).collect()
}

fn fit(rounds: &[(f64, Vec<f64>)], resamples: usize) -> Result<UslFit, UslError> {
    let points: Vec<LoadPoint> =
        rounds.iter().map(|(clients, rates)| LoadPoint { clients: *clients, rates }).collect();
    fit_usl(&points, resamples, 7)
}

fn near(value: f64, expected: f64, relative: f64) -> bool {
    (value - expected).abs() <= relative * expected.abs()
}

/// A normal with mean 0 and variance 1: twelve uniforms less six.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

#[test]
fn the_parameters_of_exact_data_are_recovered() {
    for (lambda, sigma, kappa) in
        [(1_000.0, 0.05, 0.0004), (2e6, 0.001, 1e-5), (37.0, 0.6, 0.02), (0.01, 0.3, 1.0), (5e4, 0.02, 3e-4)]
    {
        let law = Usl { lambda, sigma, kappa };
        let found = fit(&exact(&LOADS, |clients| law.throughput(clients)), 0).unwrap();
        assert!(near(found.law.lambda, lambda, 1e-6), "{law:?}: {found:?}");
        assert!(near(found.law.sigma, sigma, 1e-6), "{law:?}: {found:?}");
        assert!(near(found.law.kappa, kappa, 1e-6), "{law:?}: {found:?}");
        let peak = ((1.0 - sigma) / kappa).sqrt().max(1.0);
        assert!(near(found.peak_clients.unwrap(), peak, 1e-6), "{law:?}: {found:?}");
        assert!(near(found.highest.unwrap(), law.throughput(peak), 1e-6), "{law:?}: {found:?}");
        assert!(found.r_squared > 1.0 - 1e-9, "{law:?}: {found:?}");
    }
}

#[test]
fn intervals_hold_the_parameters_of_noisy_data_about_as_often_as_they_say() {
    let law = Usl { lambda: 1_000.0, sigma: 0.05, kappa: 0.0004 };
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut covered = [0; 5];
    let runs = 60;
    for _ in 0..runs {
        let mut round = |clients: f64| law.throughput(clients) * (1.0 + 0.02 * normal(&mut random));
        let rounds: Vec<(f64, Vec<f64>)> =
            LOADS.iter().map(|&clients| (clients, (0..20).map(|_| round(clients)).collect())).collect();
        let found = fit(&rounds, 100).unwrap();
        let ends = found.intervals.unwrap();
        let peak = ((1.0 - law.sigma) / law.kappa).sqrt();
        for (count, ((lower, upper), truth)) in covered.iter_mut().zip([
            (ends.lambda, law.lambda),
            (ends.sigma, law.sigma),
            (ends.kappa, law.kappa),
            (ends.peak_clients, peak),
            (ends.highest, law.throughput(peak)),
        ]) {
            *count += usize::from((lower..=upper).contains(&truth));
        }
    }
    // 57 of 60 for a perfect interval; a bootstrap of 20 rounds and 100 resamples is a little narrow.
    assert!(covered.iter().all(|count| (49..=60).contains(count)), "{covered:?}");
}

#[test]
fn the_fit_of_a_published_benchmark_is_near_the_published_one() {
    // A Cisco UCS server under 1 to 32 threads, from Schwartz's book, and the fit given there.
    let measured = [
        955.16, 1878.91, 2688.01, 3548.68, 4315.54, 5130.43, 5931.37, 6531.08, 7219.8, 7867.61, 8278.71,
        8646.7, 9047.84, 9426.55, 9645.37, 9897.24, 10097.6, 10240.5, 10532.39, 10798.52, 11151.43, 11518.63,
        11806.0, 12089.37, 12075.41, 12177.29, 12211.41, 12158.93, 12155.27, 12118.04, 12140.4, 12074.39,
    ];
    let loads: Vec<f64> = (1..=32).map(f64::from).collect();

    // The book minimises absolute deviations and finds λ = 995.65, σ = 0.0267, κ = 0.000769 and a
    // capacity of 12,341/s at 35 threads; relative ones weigh the small loads more.
    let found = fit(&exact(&loads, |clients| measured[clients as usize - 1]), 0).unwrap();
    assert!(near(found.law.lambda, 995.6486, 0.05), "{found:?}");
    assert!(near(found.law.sigma, 0.02671591, 0.3), "{found:?}");
    assert!(near(found.law.kappa, 7.690945e-4, 0.2), "{found:?}");
    assert!(near(found.peak_clients.unwrap(), 35.0, 0.06), "{found:?}");
    assert!(near(found.highest.unwrap(), 12_341.0, 0.02), "{found:?}");
    assert!(found.r_squared > 0.99, "{found:?}");
}

#[test]
fn throughput_that_does_not_bend_has_an_honest_end() {
    // Constant: nothing is gained by a second client.
    let constant = fit(&exact(&LOADS, |_| 500.0), 0).unwrap();
    assert_eq!(constant.peak_clients, Some(1.0), "{constant:?}");
    assert!(near(constant.highest.unwrap(), 500.0, 1e-6) && constant.r_squared == 1.0, "{constant:?}");

    // Proportional: there is no sign of an end.
    let linear = fit(&exact(&LOADS, |clients| 500.0 * clients), 0).unwrap();
    assert_eq!((linear.peak_clients, linear.highest), (None, None), "{linear:?}");
    assert!(near(linear.law.lambda, 500.0, 1e-6) && linear.r_squared > 1.0 - 1e-9, "{linear:?}");

    // Without coherency (Amdahl): it rises towards λ/σ.
    let law = Usl { lambda: 500.0, sigma: 0.1, kappa: 0.0 };
    let saturating = fit(&exact(&LOADS, |clients| law.throughput(clients)), 0).unwrap();
    assert_eq!(saturating.peak_clients, None, "{saturating:?}");
    assert!(near(saturating.highest.unwrap(), 5_000.0, 1e-6), "{saturating:?}");

    // Falling: one client is best.
    let falling = fit(&exact(&LOADS, |clients| 500.0 / clients), 0).unwrap();
    assert_eq!(falling.peak_clients, Some(1.0), "{falling:?}");
    assert!(falling.law.sigma <= 1.0 && falling.law.kappa > 0.1, "{falling:?}");

    // Rising faster than the load: the law has no such thing, and claims no peak from it.
    let superlinear = fit(&exact(&LOADS, |clients| 500.0 * clients.powf(1.2)), 0).unwrap();
    assert_eq!((superlinear.peak_clients, superlinear.law.sigma), (None, 0.0), "{superlinear:?}");
    assert!(superlinear.r_squared < 0.95, "{superlinear:?}");
}

#[test]
fn a_peak_is_believed_up_to_a_hundred_times_the_largest_load() {
    let peak_at = |clients: f64| {
        let law = Usl { lambda: 100.0, sigma: 0.2, kappa: 0.8 / (clients * clients) };
        fit(&exact(&LOADS, |clients| law.throughput(clients)), 0).unwrap()
    };
    assert!(near(peak_at(6_300.0).peak_clients.unwrap(), 6_300.0, 1e-3));
    let beyond = peak_at(6_500.0);
    assert_eq!(beyond.peak_clients, None);
    assert!(near(beyond.highest.unwrap(), 500.0, 0.01), "{beyond:?}");
}

#[test]
fn a_peak_that_some_resamples_do_not_have_is_open_above() {
    // Rounds that scatter evenly about a law without coherency: as many resamples bend as don't.
    let law = Usl { lambda: 100.0, sigma: 0.1, kappa: 0.0 };
    let rounds: Vec<(f64, Vec<f64>)> = LOADS
        .iter()
        .map(|&clients| {
            (clients, [0.96, 0.98, 1.0, 1.02, 1.04].map(|by| by * law.throughput(clients)).into())
        })
        .collect();
    let ends = fit(&rounds, 200).unwrap().intervals.unwrap();
    assert!(ends.peak_clients.0.is_finite() && ends.peak_clients.1 == f64::INFINITY, "{ends:?}");
    assert!(ends.highest.1.is_finite(), "{ends:?}");
}

#[test]
fn what_cannot_be_fitted_is_refused_with_its_reason() {
    let refused = |rounds: &[(f64, Vec<f64>)]| fit(rounds, 10).unwrap_err();
    let two = [(1.0, vec![1.0]), (2.0, vec![2.0]), (2.0, vec![2.1])];
    assert_eq!(refused(&two), UslError::TooFewLoads { distinct: 2 });
    for odd in [vec![], vec![0.0, 1.0], vec![-1.0], vec![f64::NAN]] {
        let rounds = [(1.0, vec![1.0]), (2.0, vec![2.0]), (4.0, odd)];
        assert_eq!(refused(&rounds), UslError::NotPositive { clients: 4.0 });
    }
    assert_eq!(refused(&exact(&[0.5, 2.0, 4.0], |clients| clients)), UslError::NotPositive { clients: 0.5 });
}

#[test]
fn one_round_gives_no_interval_and_equal_seeds_give_equal_ones() {
    let one = fit(&exact(&LOADS, |clients| 100.0 * clients.sqrt()), 50).unwrap();
    assert_eq!(one.intervals, None);
    let rounds: Vec<(f64, Vec<f64>)> = LOADS
        .iter()
        .map(|&clients| (clients, [0.9, 1.0, 1.1].map(|factor| factor * 100.0 * clients.sqrt()).into()))
        .collect();
    let first = fit(&rounds, 50).unwrap();
    assert!(first.intervals.is_some());
    assert_eq!(first, fit(&rounds, 50).unwrap());
}

/// Whether everything is a number within its bounds.
fn is_sound(found: &UslFit) -> bool {
    let law = found.law;
    let positive = |value: f64| value > 0.0 && value.is_finite();
    let ends_are_sound = |ends: UslIntervals| {
        let finite = [ends.lambda, ends.sigma, ends.kappa];
        let open = [ends.peak_clients, ends.highest];
        finite.iter().all(|(lower, upper)| *lower >= 0.0 && lower <= upper && upper.is_finite())
            && open.iter().all(|(lower, upper)| *lower > 0.0 && lower <= upper)
    };
    positive(law.lambda)
        && (0.0..=1.0).contains(&law.sigma)
        && (0.0..=LARGEST_KAPPA).contains(&law.kappa)
        && found.peak_clients.is_none_or(|peak| peak >= 1.0 && positive(peak))
        && found.highest.is_none_or(positive)
        && found.r_squared.is_finite()
        && found.r_squared <= 1.0
        && found.intervals.is_none_or(ends_are_sound)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_positive_data_gives_numbers(
        points in vec((1.0f64..5_000.0, vec(1e-6f64..1e12, 1..4)), 3..8), magnitude in -6i32..6,
    ) {
        let scaled = |rates: Vec<f64>| rates.into_iter().map(|rate| rate * 10f64.powi(magnitude)).collect();
        let rounds: Vec<(f64, Vec<f64>)> =
            points.into_iter().map(|(clients, rates)| (clients, scaled(rates))).collect();
        match fit(&rounds, 4) {
            Ok(found) => prop_assert!(is_sound(&found), "{:?}", found),
            Err(error) => prop_assert!(matches!(error, UslError::TooFewLoads { .. }), "{}", error),
        }
    }

    #[test]
    fn whatever_floating_point_can_hold_gives_numbers_or_a_reason(
        points in vec((any::<f64>(), vec(any::<f64>(), 0..3)), 3..6), positive in any::<bool>(),
    ) {
        let rounds: Vec<(f64, Vec<f64>)> = points
            .into_iter()
            .map(|(clients, rates)| if positive {
                (1.0 + clients.abs(), rates.into_iter().map(f64::abs).collect())
            } else {
                (clients, rates)
            })
            .collect();
        if let Ok(found) = fit(&rounds, 2) {
            prop_assert!(is_sound(&found), "{:?}", found);
        }
    }

    #[test]
    fn any_law_is_recovered_where_the_data_show_it(
        lambda in 1.0f64..1e6, sigma in 0.001f64..0.9, effect in 0.01f64..100.0,
    ) {
        let law = Usl { lambda, sigma, kappa: effect / 4_096.0 };
        let found = fit(&exact(&LOADS, |clients| law.throughput(clients)), 0).unwrap().law;
        prop_assert!(near(found.lambda, lambda, 1e-6), "{:?} {:?}", law, found);
        prop_assert!(near(found.sigma, sigma, 1e-5), "{:?} {:?}", law, found);
        prop_assert!(near(found.kappa, law.kappa, 1e-5), "{:?} {:?}", law, found);
    }
}
