//! From rounds of closed loops to throughput by size and clients, with the law that fits it.

use std::collections::BTreeMap;

use crate::results::{Better, Class, Estimate, Metric, NotFitted, Scalability, ScalabilityCell, UslFit};
use crate::stats::{self, Interval, LoadPoint};

const RESAMPLES: usize = 400;

/// The rounds of one combination. Every round commits the same number of commands.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// Replicas.
    pub replicas: usize,
    /// Clients, each with one request in flight.
    pub clients: usize,
    /// Commits per second in each round.
    pub rounds_per_s: Vec<f64>,
}

/// Rates of rounds by size, and within it by clients: the order of the cells.
type Rates = BTreeMap<(usize, usize), Vec<f64>>;

/// What the rounds of all combinations say together, and the same as metrics: throughput of every
/// cell, and the peak of every size. Names of metrics start with the size, and with the clients where
/// there is more than one number of them, so each occurs once.
///
/// Rounds of the same size and clients are one cell; a cell without a round is none, and a round that
/// is no rate is no round. The seed makes the intervals repeatable.
///
/// The throughput of a cell is the harmonic mean of its rounds: as each commits the same number of
/// commands, it is all commits over all time. A median would be steadier, but hide that every tenth
/// round stalls.
pub fn scalability(measured: &[Rounds], seed: u64) -> (Scalability, Vec<Metric>) {
    let mut rates = Rates::new();
    for rounds in measured {
        let known = rates.entry((rounds.replicas, rounds.clients)).or_default();
        known.extend(rounds.rounds_per_s.iter().filter(|rate| rate.is_finite() && **rate >= 0.0));
    }
    rates.retain(|_, rates| !rates.is_empty());
    let cells: Vec<ScalabilityCell> = rates.keys().map(|key| cell(*key, &rates, seed)).collect();
    let mut sizes: Vec<usize> = rates.keys().map(|(replicas, _)| *replicas).collect();
    sizes.dedup();
    let (mut fits, mut not_fitted) = (Vec::new(), Vec::new());
    for replicas in sizes {
        match fit(replicas, &rates, seed) {
            Ok(fit) => fits.push(fit),
            Err(reason) => not_fitted.push(NotFitted { replicas, reason }),
        }
    }
    let found = Scalability { cells, fits, not_fitted };
    let metrics = metrics(&found);
    (found, metrics)
}

fn metrics(found: &Scalability) -> Vec<Metric> {
    let of_cells = found.cells.iter().map(|cell| {
        let name = format!("replicas_{}_clients_{}_throughput_per_s", cell.replicas, cell.clients);
        let estimate = Estimate { value: cell.throughput_per_s, lower: cell.lower, upper: cell.upper };
        metric(name, "1/s", Better::Higher, estimate, cell.rounds_per_s.len())
    });
    let of_fits = found.fits.iter().flat_map(|fit| {
        let cells = found.cells.iter().filter(|cell| cell.replicas == fit.replicas);
        let rounds = cells.map(|cell| cell.rounds_per_s.len()).sum();
        let name = |what: &str| format!("replicas_{}_{what}", fit.replicas);
        let clients =
            fit.peak_clients.map(|peak| metric(name("peak_clients"), "1", Better::Neither, peak, rounds));
        let highest =
            fit.peak_per_s.map(|peak| metric(name("peak_per_s"), "1/s", Better::Higher, peak, rounds));
        [clients, highest].into_iter().flatten()
    });
    of_cells.chain(of_fits).collect()
}

fn metric(name: String, unit: &str, better: Better, estimate: Estimate, rounds: usize) -> Metric {
    let Estimate { value, lower, upper } = estimate;
    Metric { name, value, lower, upper, unit: unit.into(), better, class: Class::Wall, n: rounds as u64 }
}

/// All work over all time. Rounds are kept only when there is at least one and all are rates.
fn throughput(rounds: &[f64]) -> f64 {
    stats::harmonic_mean(rounds).unwrap_or(0.0)
}

fn cell((replicas, clients): (usize, usize), rates: &Rates, seed: u64) -> ScalabilityCell {
    let own = &rates[&(replicas, clients)];
    let of = |drawn: &[&f64]| throughput(&drawn.iter().map(|rate| **rate).collect::<Vec<_>>());
    let value = throughput(own);
    let interval = stats::bootstrap_interval(own, RESAMPLES, seed, of);
    let over = |base: &[f64]| stats::ratio(throughput(base), value);
    // Its own cell is among those looked through, so both are always found.
    let fewest_clients = rates.iter().find(|((size, _), _)| *size == replicas);
    let smallest = rates.iter().find(|((_, as_many), _)| *as_many == clients);
    let speed_up = fewest_clients.and_then(|(_, base)| over(base));
    let more_clients =
        fewest_clients.and_then(|((_, fewest), _)| stats::ratio(*fewest as f64, clients as f64));
    ScalabilityCell {
        replicas,
        clients,
        throughput_per_s: value,
        lower: interval.map(|(lower, _)| lower),
        upper: interval.map(|(_, upper)| upper),
        rounds_per_s: own.clone(),
        speed_up,
        efficiency: speed_up.zip(more_clients).map(|(speed_up, more)| speed_up / more),
        against_smallest: smallest.and_then(|(_, base)| over(base)),
    }
}

fn fit(replicas: usize, rates: &Rates, seed: u64) -> Result<UslFit, String> {
    let points: Vec<LoadPoint> = rates
        .iter()
        .filter(|((size, _), _)| *size == replicas)
        .map(|((_, clients), rates)| LoadPoint { clients: *clients as f64, rates })
        .collect();
    let fit = stats::fit_usl(&points, RESAMPLES, seed).map_err(|error| error.to_string())?;
    let intervals = fit.intervals.as_ref();
    Ok(UslFit {
        replicas,
        lambda_per_s: estimate(fit.law.lambda, intervals.map(|ends| ends.lambda)),
        sigma: estimate(fit.law.sigma, intervals.map(|ends| ends.sigma)),
        kappa: estimate(fit.law.kappa, intervals.map(|ends| ends.kappa)),
        peak_clients: fit.peak_clients.map(|peak| estimate(peak, intervals.map(|ends| ends.peak_clients))),
        peak_per_s: fit.highest.map(|highest| estimate(highest, intervals.map(|ends| ends.highest))),
        r_squared: fit.r_squared,
    })
}

/// An end that is infinite has no place in a file, and is open.
fn estimate(value: f64, interval: Option<Interval>) -> Estimate {
    let finite = |end: f64| Some(end).filter(|end| end.is_finite());
    Estimate {
        value,
        lower: interval.and_then(|(lower, _)| finite(lower)),
        upper: interval.and_then(|(_, upper)| finite(upper)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn cell_of(replicas: usize, clients: usize, rounds: &[f64]) -> Rounds {
        Rounds { replicas, clients, rounds_per_s: rounds.into() }
    }

    /// X = 1000 c / (1 + 0.05 (c − 1) + 0.001 c (c − 1)), on five replicas 20 % less.
    fn sample() -> Vec<Rounds> {
        let mut cells = Vec::new();
        for (replicas, share) in [(5, 0.8), (3, 1.0)] {
            for clients in [1usize, 4, 16, 64] {
                let c = clients as f64;
                let rate = share * 1_000.0 * c / (1.0 + 0.05 * (c - 1.0) + 0.001 * c * (c - 1.0));
                cells.push(cell_of(replicas, clients, &[0.98, 0.99, 1.0, 1.01, 1.02].map(|by| by * rate)));
            }
        }
        cells
    }

    #[test]
    fn cells_stand_by_size_and_clients_and_against_the_least_of_both() {
        let (found, _) = scalability(&sample(), 1);
        let order: Vec<(usize, usize)> =
            found.cells.iter().map(|cell| (cell.replicas, cell.clients)).collect();
        assert_eq!(order, [(3, 1), (3, 4), (3, 16), (3, 64), (5, 1), (5, 4), (5, 16), (5, 64)]);
        for cell in &found.cells {
            let (lower, upper) = (cell.lower.unwrap(), cell.upper.unwrap());
            assert!(lower < cell.throughput_per_s && cell.throughput_per_s < upper, "{cell:?}");
            assert!(upper / lower < 1.04, "{cell:?}");
            let against = if cell.replicas == 3 { 1.0 } else { 0.8 };
            assert!((cell.against_smallest.unwrap() - against).abs() < 1e-12, "{cell:?}");
        }
        // 4 / (1 + 0.15 + 0.012) clients' worth of throughput.
        let (speed_up, efficiency) = (found.cells[5].speed_up.unwrap(), found.cells[5].efficiency.unwrap());
        assert!((speed_up - 4.0 / 1.162).abs() < 1e-9 && (efficiency - 1.0 / 1.162).abs() < 1e-9);
        assert_eq!((found.cells[4].speed_up, found.cells[4].efficiency), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn every_size_has_its_fit_with_intervals() {
        let (found, _) = scalability(&sample(), 1);
        assert_eq!(found.fits.iter().map(|fit| fit.replicas).collect::<Vec<_>>(), [3, 5]);
        let fit = &found.fits[1];
        let holds = |estimate: Estimate, truth: f64| {
            assert!((estimate.value / truth - 1.0).abs() < 1e-3, "{estimate:?} {truth}");
            assert!(
                estimate.lower.unwrap() < truth && truth < estimate.upper.unwrap(),
                "{estimate:?} {truth}"
            );
        };
        holds(fit.lambda_per_s, 800.0);
        holds(fit.sigma, 0.05);
        holds(fit.kappa, 0.001);
        holds(fit.peak_clients.unwrap(), 950f64.sqrt());
        let peak: f64 = 950f64.sqrt();
        let highest = 800.0 * peak / (1.0 + 0.05 * (peak - 1.0) + 0.001 * peak * (peak - 1.0));
        holds(fit.peak_per_s.unwrap(), highest);
        assert!(fit.r_squared > 0.999, "{fit:?}");
    }

    #[test]
    fn throughput_is_all_commits_over_all_time() {
        // A round of 100 commits at 100/s takes 1 s, one at 25/s takes 4 s: 200 commits in 5 s.
        let (found, _) = scalability(&[cell_of(3, 1, &[100.0]), cell_of(3, 1, &[25.0])], 1);
        assert_eq!((found.cells.len(), found.cells[0].throughput_per_s), (1, 40.0));
        assert_eq!(found.cells[0].rounds_per_s, [100.0, 25.0]);
    }

    #[test]
    fn what_there_is_no_number_for_is_none_and_said() {
        let cells = [
            cell_of(3, 1, &[0.0]),
            cell_of(3, 4, &[40.0]),
            cell_of(3, 8, &[]),
            cell_of(3, 16, &[80.0]),
            cell_of(5, 1, &[10.0]),
            cell_of(5, 4, &[40.0]),
        ];
        let (found, _) = scalability(&cells, 1);
        assert_eq!(found.cells.len(), 5);
        let four = &found.cells[1];
        assert_eq!((four.lower, four.speed_up, four.efficiency), (None, None, None));
        assert_eq!(found.cells[3].against_smallest, None);
        assert!(found.fits.is_empty());
        let reasons: Vec<&str> = found.not_fitted.iter().map(|size| size.reason.as_str()).collect();
        assert!(reasons[0].contains("load of 1 clients"), "{reasons:?}");
        assert!(reasons[1].starts_with("2 different loads"), "{reasons:?}");
    }

    #[test]
    fn a_size_that_rises_on_has_no_peak_to_report() {
        let cells: Vec<Rounds> = [1usize, 2, 4, 8]
            .map(|clients| cell_of(3, clients, &[10.0, 10.0].map(|rate| rate * clients as f64)))
            .into();
        let (found, metrics) = scalability(&cells, 1);
        assert_eq!((found.fits[0].peak_clients, found.fits[0].peak_per_s), (None, None));
        assert_eq!(metrics.len(), 4, "{metrics:?}");
    }

    #[test]
    fn metrics_have_names_that_occur_once() {
        let (_, metrics) = scalability(&sample(), 1);
        let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!((names.len(), metrics.len()), (12, 12));
        for expected in
            ["replicas_3_clients_64_throughput_per_s", "replicas_5_peak_clients", "replicas_3_peak_per_s"]
        {
            assert!(names.contains(expected), "{names:?}");
        }
        let peak = metrics.iter().find(|metric| metric.name == "replicas_3_peak_per_s").unwrap();
        assert_eq!(
            (peak.unit.as_str(), peak.better, peak.class, peak.n),
            ("1/s", Better::Higher, Class::Wall, 20)
        );
    }

    /// What a clock can give, and what it can't.
    fn any_rate() -> impl Strategy<Value = f64> {
        prop_oneof![1e-6f64..1e12, Just(0.0), Just(-1.0), Just(f64::NAN), Just(f64::INFINITY)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_rounds_can_be_written_and_read_again(
            cells in vec((1usize..4, 1usize..9, vec(any_rate(), 0..3)), 0..6),
        ) {
            let cells: Vec<Rounds> =
                cells.iter().map(|(replicas, clients, rounds)| cell_of(*replicas, *clients, rounds)).collect();
            let (found, _) = scalability(&cells, 1);
            let read: Scalability = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
            prop_assert_eq!(read, found);
        }
    }
}
