//! Open loops: response times against load, as a queue that is busy for a share of the time.

use serde::{Deserialize, Serialize};

use super::cells::{Cell, Load};
use super::closed::CycleLaw;
use super::folds::{Candidate, Chosen, Fitter, Move, Predicts, Quantity, choose, sizes_of};
use super::shape::{QueueLoad, SHAPES, Shape, queue_load};
use crate::stats::Posynomial;

/// Fewer cells with latencies don't tell a queue when one is left out.
const FEWEST_CELLS: usize = 5;
/// Capacities that are tried between the least that was shown to be possible and the most that may be, and then
/// again between the neighbours of the best, so often.
const CAPACITIES: usize = 13;
const NARROWINGS: usize = 3;
/// Corrections of the capacity that are tried with [`Shape::ClosedLoop`], whose law knows its capacity.
const FEW_CORRECTIONS: [f64; 7] = [0.9, 1.0, 1.05, 1.15, 1.3, 1.6, 2.0];

/// Where nothing saturated, a capacity of up to so many times the highest throughput is tried.
const UNSEEN_CAPACITY: f64 = 8.0;
/// The least that was shown to be possible is no saturation itself.
const ABOVE_SHOWN: f64 = 1.005;

/// The capacity of each size before an open loop corrects it, in commits per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Capacity {
    /// The peak of the closed loops' law.
    ClosedLoops {
        /// The law.
        law: CycleLaw,
        /// The most clients that were measured.
        most_clients: f64,
    },
    /// The highest throughput that open loops showed, by size.
    OpenLoops {
        /// Nanoseconds of a commit: weights of 1 and of the size.
        ns: Posynomial,
    },
}

impl Capacity {
    /// From closed loops if there is a law of them, and else from the open loops themselves.
    pub fn of(
        closed: Option<&Chosen<CycleLaw>>,
        closed_cells: &[Cell],
        open_cells: &[Cell],
    ) -> Option<Capacity> {
        if let Some(chosen) = closed {
            let most_clients = closed_cells.iter().map(|cell| cell.load.size()).fold(1.0, f64::max);
            return Some(Capacity::ClosedLoops { law: chosen.law.clone(), most_clients });
        }
        let highest = |size: usize| {
            let of_size = open_cells.iter().filter(|cell| cell.replicas == size);
            of_size.map(|cell| cell.throughput_per_s).fold(0.0, f64::max)
        };
        let sizes = sizes_of(open_cells);
        let rows: Vec<Vec<f64>> = sizes
            .iter()
            .map(|&size| if sizes.len() > 1 { vec![1.0, size as f64] } else { vec![1.0] })
            .collect();
        let times: Vec<f64> = sizes.iter().map(|&size| 1e9 / highest(size)).collect();
        Some(Capacity::OpenLoops { ns: Posynomial::fit(&rows, &times, 1.0)? })
    }

    /// Of a size.
    pub fn per_s(&self, replicas: usize) -> f64 {
        match self {
            Capacity::ClosedLoops { law, most_clients } => law.peak_per_s(replicas, *most_clients),
            Capacity::OpenLoops { ns } => {
                let row = [1.0, replicas as f64];
                1e9 / ns.at(&row[..ns.weights.len().min(2)])
            }
        }
    }
}

impl Capacity {
    /// Whether a file holds such a capacity.
    pub fn is_valid(&self) -> bool {
        match self {
            Capacity::ClosedLoops { law, most_clients } => law.is_valid() && *most_clients >= 1.0,
            Capacity::OpenLoops { ns } => ns.is_valid() && !ns.weights.is_empty() && ns.weights.len() <= 2,
        }
    }
}

/// Response times of an open loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueLaw {
    /// How waits grow.
    pub shape: Shape,
    /// Capacity of each size of which something was known, in commits per second, corrected.
    pub capacity_per_s: Vec<(usize, f64)>,
    /// Capacity of an open loop over that of [`Capacity`].
    pub correction: f64,
    /// The closed loops' law, where the shape is theirs.
    pub cycle: Option<CycleLaw>,
    /// Of the median and the 99th percentile.
    pub p50: Posynomial,
    /// Of the 99th percentile.
    pub p99: Posynomial,
}

const P50: f64 = 0.5;
const P99: f64 = 0.99;

impl QueueLaw {
    fn fit(
        cells: &[Cell],
        shape: Shape,
        capacity: &[(usize, f64)],
        cycle: Option<&CycleLaw>,
    ) -> Option<QueueLaw> {
        let cycle = cycle.filter(|_| shape.is_of_closed_loops());
        let of_size = |size: usize| capacity.iter().find(|known| known.0 == size).map(|known| known.1);
        let timed: Vec<&Cell> =
            cells.iter().filter(|cell| cell.p50_ns.is_some() && cell.p99_ns.is_some()).collect();
        if timed.len() + 1 < FEWEST_CELLS {
            return None;
        }
        let (least, most) = bracket(cells, &of_size)?;
        let fit_at = |correction: f64| {
            let seen = |cell: &&Cell| {
                queue_load(shape, cell.replicas, cell.load.size(), of_size(cell.replicas)?, correction, cycle)
            };
            let seen: Vec<QueueLoad> = timed.iter().map(seen).collect::<Option<_>>()?;
            let fit = |quantile, of: fn(&Cell) -> Option<f64>| {
                let rows = seen.iter().map(|load| shape.row(load, quantile)).collect::<Option<Vec<_>>>()?;
                let values: Vec<f64> = timed.iter().filter_map(|cell| of(cell)).collect();
                let sum = Posynomial::fit(&rows, &values, 1.0)?;
                let squares = |(row, value): (&Vec<f64>, &f64)| (sum.at(row) / value).ln().powi(2);
                let cost: f64 = rows.iter().zip(&values).map(squares).sum();
                cost.is_finite().then_some((cost, sum))
            };
            let (of_p50, p50) = fit(P50, |cell| cell.p50_ns)?;
            let (of_p99, p99) = fit(P99, |cell| cell.p99_ns)?;
            let capacity_per_s = capacity.iter().map(|&(size, rate)| (size, rate * correction)).collect();
            let cycle = cycle.cloned();
            Some((of_p50 + of_p99, QueueLaw { shape, capacity_per_s, correction, cycle, p50, p99 }))
        };
        let better = |a: &(f64, QueueLaw), b: &(f64, QueueLaw)| a.0.total_cmp(&b.0);
        if shape == Shape::ClosedLoop {
            let tried = FEW_CORRECTIONS.into_iter().filter(|correction| *correction >= least * 0.9);
            return tried.filter_map(fit_at).min_by(better).map(|(_, law)| law);
        }
        let mut best: Option<(f64, QueueLaw)> = None;
        let (mut from, mut to) = (least, most.max(least));
        for _ in 0..NARROWINGS {
            let ratio = (to / from).powf(1.0 / (CAPACITIES - 1) as f64);
            let tried = (0..CAPACITIES).filter_map(|step| fit_at(from * ratio.powi(step as i32)));
            best = best.into_iter().chain(tried).min_by(better);
            let correction = best.as_ref()?.1.correction;
            (from, to) = ((correction / ratio).max(least), (correction * ratio).min(most.max(least)));
        }
        best.map(|(_, law)| law)
    }

    /// Capacity of a size, in commits per second; none of a size that nothing was known of.
    pub fn capacity(&self, replicas: usize) -> Option<f64> {
        self.capacity_per_s.iter().find(|known| known.0 == replicas).map(|known| known.1)
    }

    /// The same law with another size's capacity, before correction.
    pub fn with_size(&self, replicas: usize, per_s: f64) -> QueueLaw {
        let mut law = self.clone();
        if law.capacity(replicas).is_none() {
            law.capacity_per_s.push((replicas, per_s * law.correction));
        }
        law
    }

    /// Whether a file holds such a law.
    pub fn is_valid(&self) -> bool {
        let terms = self.shape.terms();
        let cycles = self.cycle.iter().all(CycleLaw::is_valid);
        let sums = [&self.p50, &self.p99];
        cycles
            && sums.into_iter().all(|sum| sum.is_valid() && sum.weights.len() == terms)
            && self.capacity_per_s.iter().all(|(_, rate)| *rate > 0.0 && rate.is_finite())
    }
}

/// What the capacity may be, as factors of what it was taken for: more than any cluster did that kept up, and
/// less than what was offered to any that did not.
fn bracket(cells: &[Cell], capacity: &impl Fn(usize) -> Option<f64>) -> Option<(f64, f64)> {
    let mut shown: f64 = 0.0;
    let mut refused = f64::INFINITY;
    for cell in cells {
        let known = capacity(cell.replicas)?;
        if cell.saturated {
            shown = shown.max(cell.throughput_per_s / known * 0.9);
            refused = refused.min(cell.load.size() / known);
        } else {
            shown = shown.max(cell.load.size() / known * ABOVE_SHOWN);
        }
    }
    let most = if refused.is_finite() { refused } else { (shown * UNSEEN_CAPACITY).max(1.0) };
    // A cluster may keep up with more in one probe than in another.
    (shown > 0.0).then_some((shown, most.max(shown * ABOVE_SHOWN)))
}

impl Predicts for QueueLaw {
    fn measured(cell: &Cell) -> Vec<(Quantity, f64)> {
        if cell.saturated {
            return vec![(Quantity::Throughput, cell.throughput_per_s)];
        }
        // Below saturation the throughput is the rate: to predict that is no feat.
        let quantiles = [(Quantity::P50, cell.p50_ns), (Quantity::P99, cell.p99_ns)];
        quantiles.into_iter().filter_map(|(quantity, value)| Some((quantity, value?))).collect()
    }

    fn predict(&self, replicas: usize, load: Load, quantity: Quantity) -> Option<f64> {
        let Load::Rate(rate) = load else { return None };
        let capacity = self.capacity(replicas)?;
        let row = |quantile| {
            let cycle = self.cycle.as_ref();
            let load =
                queue_load(self.shape, replicas, rate, capacity / self.correction, self.correction, cycle)?;
            self.shape.row(&load, quantile)
        };
        let value = match quantity {
            Quantity::Throughput => rate.min(capacity),
            _ if rate >= capacity => return None,
            Quantity::P50 => self.p50.at(&row(P50)?),
            Quantity::P99 => self.p99.at(&row(P99)?),
        };
        Some(value).filter(|value| value.is_finite() && *value > 0.0)
    }

    fn moved(&self, by: Move, replicas: usize) -> QueueLaw {
        let longer = |sum: &Posynomial, ns: f64| {
            let mut sum = sum.clone();
            // Every shape begins with the fixed time, in nanoseconds or in cycles of a single client.
            let unit = match (self.shape, &self.cycle) {
                (Shape::BatchesOfFew, Some(law)) => law.alone_ns(replicas),
                _ => 1.0,
            };
            sum.weights[0] = (sum.weights[0] + ns / unit).max(0.0);
            sum
        };
        QueueLaw { p50: longer(&self.p50, by.p50_ns), p99: longer(&self.p99, by.p99_ns), ..self.clone() }
    }
}

/// The law that predicts open loops best.
pub fn fit(cells: &[Cell], capacity: &Capacity) -> Option<Chosen<QueueLaw>> {
    if cells.len() < FEWEST_CELLS {
        return None;
    }
    let sizes: Vec<(usize, f64)> =
        sizes_of(cells).into_iter().map(|size| (size, capacity.per_s(size))).collect();
    let candidate = |shape: Shape| {
        let sizes = sizes.clone();
        let cycle = match capacity {
            Capacity::ClosedLoops { law, .. } => Some(law.clone()),
            Capacity::OpenLoops { .. } => None,
        };
        let fit = move |cells: &[Cell]| QueueLaw::fit(cells, shape, &sizes, cycle.as_ref());
        Candidate { name: shape.name(), fit: Box::new(fit) as Box<Fitter<QueueLaw>> }
    };
    choose(cells, &SHAPES.map(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{congestion, mm1_response_quantile};

    fn cell(rate: f64, throughput_per_s: f64, times: Option<(f64, f64)>) -> Cell {
        Cell {
            replicas: 3,
            load: Load::Rate(rate),
            throughput_per_s,
            noise: None,
            p50_ns: times.map(|times| times.0),
            p99_ns: times.map(|times| times.1),
            saturated: throughput_per_s < 0.97 * rate,
            scenario: "s".into(),
        }
    }

    const RATES: [f64; 8] = [100.0, 1_000.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0, 9_000.0, 9_500.0];

    #[test]
    fn an_mm1_queue_comes_back_with_its_capacity() {
        // Service of 100 µs behind links of 1 ms.
        let time = |rate: f64, quantile| 1e6 + mm1_response_quantile(1e5, rate / 1e4, quantile);
        let mut cells: Vec<Cell> =
            RATES.map(|rate| cell(rate, rate, Some((time(rate, P50), time(rate, P99))))).into();
        cells.push(cell(20_000.0, 10_000.0, None));
        let capacity = Capacity::of(None, &[], &cells).unwrap();
        let chosen = fit(&cells, &capacity).unwrap();
        assert_eq!(chosen.candidate, Shape::Mm1.name(), "{:?}", chosen.compared);
        let found = chosen.predict((3, Load::Rate(7_000.0)), Quantity::P99, false, false).unwrap();
        assert!((found.value / time(7_000.0, P99) - 1.0).abs() < 0.05, "{found:?}");
        let capacity = chosen.law.capacity(3).unwrap();
        assert!((capacity / 1e4 - 1.0).abs() < 0.05, "{capacity}");
        assert_eq!(chosen.law.predict(3, Load::Rate(20_000.0), Quantity::P99), None);
        assert_eq!(chosen.law.predict(3, Load::Rate(20_000.0), Quantity::Throughput), Some(capacity));
    }

    #[test]
    fn a_batching_queue_is_told_from_one_that_serves_one_by_one() {
        let time =
            |rate: f64, by: f64| 4e5 + by * (3e4 * (1.0 - rate / 1e4) + 1e5 * congestion(rate / 1e4, 4.0));
        let cells: Vec<Cell> =
            RATES.map(|rate| cell(rate, rate, Some((time(rate, 1.0), time(rate, 3.0))))).into();
        let chosen = fit(&cells, &Capacity::of(None, &[], &cells).unwrap()).unwrap();
        assert!(chosen.candidate.starts_with("batching"), "{:?}", chosen.compared);
        assert!(chosen.compared.len() > 1 && chosen.law.is_valid());
        let moved = chosen.law.with_size(7, 5_000.0);
        assert!(moved.capacity(7).is_some() && moved.predict(7, Load::Rate(10.0), Quantity::P50).is_some());
    }

    #[test]
    fn capacity_is_between_what_was_done_and_what_was_refused() {
        let cells = [cell(9_000.0, 9_000.0, None), cell(12_000.0, 9_500.0, None)];
        let (least, most) = bracket(&cells, &|_| Some(10_000.0)).unwrap();
        assert!((least - 0.9 * ABOVE_SHOWN).abs() < 1e-9 && (most - 1.2).abs() < 1e-9);
        assert!(bracket(&cells, &|_| None).is_none());
    }
}
