//! Closed loops: throughput and latency over clients and replicas, as a law of the cycle's time.

use serde::{Deserialize, Serialize};

use super::cells::{Cell, Load};
use super::folds::{Candidate, Chosen, Move, Predicts, Quantity, choose, sizes_of};
use crate::results::Estimate;
use crate::stats::{Posynomial, jackknife_interval};

/// Sharpness of the laws that are tried. 1 is the Universal Scalability Law.
const SHARPNESS: [f64; 3] = [1.0, 2.0, 4.0];
/// Fewer cells don't tell a law from another when one is left out.
const FEWEST_CELLS: usize = 4;
/// The peak of throughput is looked for up to so many times the most clients that were measured.
const PEAK_WITHIN: f64 = 4.0;
/// Numbers of clients at which it is looked for.
const PEAK_STEPS: u32 = 60;
/// The number of clients that commits at a given rate is between this and its reciprocal: fewer than one, on
/// average, at low rates. Each step halves the way on a logarithmic scale.
const MOST_CLIENTS: f64 = 1e6;
const RATE_STEPS: i32 = 30;

/// A term of the cycle's time: clients^`clients` · replicas^`replicas`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// 0 for what a cycle takes with one client, 1 for what each client adds, 2 for what every pair does; ½ for
    /// what clients share in batches that grow with their number.
    pub clients: f64,
    /// How it grows with the cluster.
    pub replicas: u8,
}

impl Term {
    fn at(self, replicas: usize, clients: f64) -> f64 {
        clients.powf(self.clients) * (replicas as f64).powi(i32::from(self.replicas))
    }
}

/// How long a cycle of a closed loop takes, in nanoseconds: from a client's request to its next.
///
/// With c clients on n replicas it is (Σ (w c^i n^j)^m)^(1/m). By Little's law, throughput is c over it. With
/// m = 1 and one size this is the Universal Scalability Law: X = λc/(1 + σ(c − 1) + κc(c − 1)) has the cycle
/// (1 − σ)/λ + (σ − κ)/λ · c + κ/λ · c². With a larger m it bends as a pipeline does, which is as fast as
/// its slowest part: the asymptotic bounds of Denning and Buzen (*The Operational Analysis of Queueing
/// Network Models*, ACM Computing Surveys 1978), X ≤ min(c/Z, C), with a smooth corner. Terms of √c are for
/// protocols whose replicas all form batches of their own: twice the clients then make batches larger and
/// more at once. The weights of n make one law of all sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleLaw {
    /// The terms.
    pub terms: Vec<Term>,
    /// Of the mean, from throughput.
    pub mean: Posynomial,
    /// Of the median and the 99th percentile; none where latency was not measured.
    pub quantiles: Option<(Posynomial, Posynomial)>,
}

impl CycleLaw {
    fn row(&self, replicas: usize, clients: f64) -> Vec<f64> {
        self.terms.iter().map(|term| term.at(replicas, clients)).collect()
    }

    fn fit(cells: &[Cell], terms: &[Term], sharpness: f64) -> Option<CycleLaw> {
        if cells.len() < FEWEST_CELLS - 1 {
            return None;
        }
        let terms = supported(terms, cells);
        let rows = |cells: &[&Cell]| -> Vec<Vec<f64>> {
            let row =
                |cell: &&Cell| terms.iter().map(|term| term.at(cell.replicas, cell.load.size())).collect();
            cells.iter().map(row).collect()
        };
        let fit = |of: &dyn Fn(&Cell) -> Option<f64>| {
            let known: Vec<&Cell> = cells.iter().filter(|cell| of(cell).is_some()).collect();
            let values: Vec<f64> = known.iter().filter_map(|cell| of(cell)).collect();
            (known.len() + 1 >= FEWEST_CELLS).then(|| Posynomial::fit(&rows(&known), &values, sharpness))?
        };
        let mean = fit(&|cell| Some(cell.load.size() / cell.throughput_per_s * 1e9))?;
        let quantiles = fit(&|cell| cell.p50_ns).zip(fit(&|cell| cell.p99_ns));
        Some(CycleLaw { terms, mean, quantiles })
    }

    /// The highest throughput of a size, in commits per second, with at most four times the most clients that
    /// were measured.
    pub fn peak_per_s(&self, replicas: usize, most_clients: f64) -> f64 {
        let last = most_clients.max(1.0) * PEAK_WITHIN;
        let at = |step: u32| last.powf(f64::from(step) / f64::from(PEAK_STEPS));
        (0..=PEAK_STEPS).map(at).map(|clients| self.throughput(replicas, clients)).fold(0.0, f64::max)
    }

    /// The cycle of a single client, in nanoseconds.
    pub fn alone_ns(&self, replicas: usize) -> f64 {
        1e9 / self.throughput(replicas, 1.0)
    }

    /// How long a cycle takes, in nanoseconds, with as many clients as commit at this rate; none when no number
    /// of them does. An open loop of that rate has about so many commands in flight, by Little's law.
    pub fn cycle_at_rate(&self, replicas: usize, per_s: f64) -> Option<f64> {
        let (mut few, mut many) = (MOST_CLIENTS.recip(), MOST_CLIENTS);
        let is_enough = |clients: f64| self.throughput(replicas, clients) >= per_s;
        if !is_enough(many) {
            // Throughput may fall again with many.
            many = (0..RATE_STEPS)
                .map(|step| MOST_CLIENTS / 2f64.powi(step))
                .find(|&clients| is_enough(clients))?;
        }
        for _ in 0..RATE_STEPS {
            let middle = (few * many).sqrt();
            if is_enough(middle) { many = middle } else { few = middle }
        }
        Some(many * 1e9 / self.throughput(replicas, many))
    }

    fn throughput(&self, replicas: usize, clients: f64) -> f64 {
        clients * 1e9 / self.mean.at(&self.row(replicas, clients))
    }

    /// λ, σ and κ of one size, where this is the Universal Scalability Law.
    fn parameters(&self, replicas: usize) -> Option<[f64; 3]> {
        if self.mean.sharpness != 1.0 || self.terms.iter().any(|term| term.clients == BATCHES) {
            return None;
        }
        let part = |clients: f64| {
            let of = |(term, weight): (&Term, &f64)| {
                if term.clients == clients { weight * term.at(replicas, 1.0) } else { 0.0 }
            };
            self.terms.iter().zip(&self.mean.weights).map(of).sum::<f64>()
        };
        let (fixed, each, pair) = (part(0.0), part(1.0), part(2.0));
        let lambda = 1e9 / (fixed + each + pair);
        Some([lambda, lambda / 1e9 * (each + pair), lambda / 1e9 * pair])
    }

    /// The sum with its fixed part longer, as a last term that is 1 for every size.
    fn moved_sum(&self, sum: &Posynomial, longer_ns: f64, replicas: usize) -> Posynomial {
        let weighed = || self.terms.iter().zip(&sum.weights);
        let fixed = weighed().filter(|(term, _)| term.clients == 0.0);
        let before: f64 =
            fixed.map(|(term, weight)| weight * term.at(replicas, 1.0).powf(sum.sharpness)).sum();
        let after = (before.powf(sum.sharpness.recip()) + longer_ns).max(0.0).powf(sum.sharpness);
        let others = weighed().map(|(term, weight)| if term.clients == 0.0 { 0.0 } else { *weight });
        Posynomial { weights: others.chain([after]).collect(), ..sum.clone() }
    }

    /// Whether a file holds such a law.
    pub fn is_valid(&self) -> bool {
        let sums = std::iter::once(&self.mean).chain(self.quantiles.iter().flat_map(|(p50, p99)| [p50, p99]));
        sums.into_iter().all(|sum| sum.is_valid() && sum.weights.len() == self.terms.len())
    }
}

/// The terms that cells can tell apart: c² needs four numbers of clients, a power of n more sizes than it.
fn supported(terms: &[Term], cells: &[Cell]) -> Vec<Term> {
    let sizes = sizes_of(cells).len();
    let mut loads: Vec<f64> = cells.iter().map(|cell| cell.load.size()).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    // c², √c and c are told apart by more than three, two and one numbers of clients.
    let needed = |clients: f64| match clients {
        0.0 => 1,
        1.0 => 2,
        _ => 4,
    };
    let fits = |term: &&Term| usize::from(term.replicas) < sizes && loads.len() >= needed(term.clients);
    terms.iter().filter(fits).copied().collect()
}

/// The exponent of clients in terms of batches.
const BATCHES: f64 = 0.5;

/// Up to n² for what a cycle and a client take, since replicas may all talk to all.
fn terms(with_batches: bool) -> Vec<Term> {
    let of = |clients: f64, most: u8| (0..=most).map(move |replicas| Term { clients, replicas });
    let batches = of(BATCHES, 2).filter(move |_| with_batches);
    of(0.0, 2).chain(of(1.0, 2)).chain(of(2.0, 1)).chain(batches).collect()
}

impl Predicts for CycleLaw {
    fn measured(cell: &Cell) -> Vec<(Quantity, f64)> {
        let quantiles = cell.p50_ns.map(|p50| (Quantity::P50, p50)).into_iter();
        let quantiles = quantiles.chain(cell.p99_ns.map(|p99| (Quantity::P99, p99)));
        std::iter::once((Quantity::Throughput, cell.throughput_per_s)).chain(quantiles).collect()
    }

    fn predict(&self, replicas: usize, load: Load, quantity: Quantity) -> Option<f64> {
        let Load::Clients(clients) = load else { return None };
        let row = self.row(replicas, clients as f64);
        let value = match quantity {
            Quantity::Throughput => self.throughput(replicas, clients as f64),
            Quantity::P50 => self.quantiles.as_ref()?.0.at(&row),
            Quantity::P99 => self.quantiles.as_ref()?.1.at(&row),
        };
        Some(value).filter(|value| value.is_finite() && *value > 0.0)
    }

    /// What a cycle takes with one client becomes longer; what each client adds is work, and stays.
    fn moved(&self, by: Move, replicas: usize) -> CycleLaw {
        let one = Term { clients: 0.0, replicas: 0 };
        CycleLaw {
            terms: self.terms.iter().copied().chain([one]).collect(),
            mean: self.moved_sum(&self.mean, by.p50_ns, replicas),
            quantiles: self.quantiles.as_ref().map(|(p50, p99)| {
                (self.moved_sum(p50, by.p50_ns, replicas), self.moved_sum(p99, by.p99_ns, replicas))
            }),
        }
    }
}

/// The law that predicts closed loops best; an error says what is missing.
pub fn fit(cells: &[Cell]) -> Option<Chosen<CycleLaw>> {
    if cells.len() < FEWEST_CELLS {
        return None;
    }
    let candidate = |(with_batches, sharpness): (bool, f64)| Candidate {
        name: match (with_batches, sharpness) {
            (false, 1.0) => "Universal Scalability Law".into(),
            (true, 1.0) => "Universal Scalability Law with growing batches".into(),
            (false, _) => format!("asymptotic bounds with a corner of sharpness {sharpness}"),
            (true, _) => format!("growing batches with a corner of sharpness {sharpness}"),
        },
        fit: Box::new(move |cells: &[Cell]| CycleLaw::fit(cells, &terms(with_batches), sharpness)),
    };
    let shapes =
        [false, true].into_iter().flat_map(|batches| SHARPNESS.map(|sharpness| (batches, sharpness)));
    choose(cells, &shapes.map(candidate).collect::<Vec<_>>())
}

/// What the law says of one size, in the field's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeParameters {
    /// Replicas.
    pub replicas: usize,
    /// λ, commits per second of one client.
    pub lambda_per_s: Estimate,
    /// σ, the share that is serial; none where the law is not the Universal Scalability Law.
    pub sigma: Option<Estimate>,
    /// κ, the cost of every pair's agreement.
    pub kappa: Option<Estimate>,
    /// The highest throughput within four times the most clients that were measured.
    pub peak_per_s: Estimate,
}

/// Parameters by size, with intervals of the jackknife over cells.
pub fn parameters(chosen: &Chosen<CycleLaw>, cells: &[Cell]) -> Vec<SizeParameters> {
    let most = cells.iter().map(|cell| cell.load.size()).fold(1.0, f64::max);
    let with_interval = |of: &dyn Fn(&CycleLaw) -> Option<f64>| {
        let value = of(&chosen.law)?;
        let without: Vec<f64> = chosen.by_cell.iter().filter_map(|fold| of(&fold.law)).collect();
        // On logarithms where there are some: parameters are positive, and half and double weigh the same.
        let positive = value > 0.0 && without.iter().all(|value| *value > 0.0);
        let interval = match positive {
            true => {
                let logarithms: Vec<f64> = without.iter().map(|value| value.ln()).collect();
                jackknife_interval(value.ln(), &logarithms).map(|(lower, upper)| (lower.exp(), upper.exp()))
            }
            false => jackknife_interval(value, &without).map(|(lower, upper)| (lower.max(0.0), upper)),
        };
        let interval = interval.filter(|(_, upper)| upper.is_finite());
        Some(Estimate { value, lower: interval.map(|ends| ends.0), upper: interval.map(|ends| ends.1) })
    };
    let of_size = |replicas: usize| {
        Some(SizeParameters {
            replicas,
            lambda_per_s: with_interval(&|law| Some(law.throughput(replicas, 1.0)))?,
            sigma: with_interval(&|law| Some(law.parameters(replicas)?[1])),
            kappa: with_interval(&|law| Some(law.parameters(replicas)?[2])),
            peak_per_s: with_interval(&|law| Some(law.peak_per_s(replicas, most)))?,
        })
    };
    sizes_of(cells).into_iter().filter_map(of_size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(replicas: usize, clients: usize, throughput_per_s: f64) -> Cell {
        let (load, scenario) = (Load::Clients(clients), "s".into());
        let (noise, p50_ns, p99_ns, saturated) = (None, None, None, false);
        Cell { replicas, load, throughput_per_s, noise, p50_ns, p99_ns, saturated, scenario }
    }

    /// λ = 1000, σ = 0.05, κ = 0.001 on every size, with λ in inverse proportion to it.
    fn scalable() -> Vec<Cell> {
        let law = |n: f64, c: f64| 3_000.0 / n * c / (1.0 + 0.05 * (c - 1.0) + 0.001 * c * (c - 1.0));
        let cells = |n: usize| [1, 2, 4, 8, 16, 32, 64].map(|c| cell(n, c, law(n as f64, c as f64)));
        [3, 5, 7, 9].into_iter().flat_map(cells).collect()
    }

    #[test]
    fn the_scalability_law_comes_back_from_cells_that_it_made() {
        let cells = scalable();
        let chosen = fit(&cells).unwrap();
        assert_eq!(chosen.candidate, "Universal Scalability Law");
        let five = &parameters(&chosen, &cells)[1];
        assert_eq!(five.replicas, 5);
        for (found, truth) in
            [(five.lambda_per_s, 600.0), (five.sigma.unwrap(), 0.05), (five.kappa.unwrap(), 0.001)]
        {
            assert!((found.value / truth - 1.0).abs() < 1e-3, "{found:?} {truth}");
            assert!(found.lower.unwrap() <= truth * 1.001 && truth * 0.999 <= found.upper.unwrap());
        }
        assert!(chosen.held_out().all(|held| held.error().abs() < 0.01));
        // A size and a load that no cell has.
        let c = 24.0;
        let truth = 3_000.0 / 6.0 * c / (1.0 + 0.05 * (c - 1.0) + 0.001 * c * (c - 1.0));
        let found = chosen.predict((6, Load::Clients(24)), Quantity::Throughput, true, false).unwrap();
        assert!((found.value / truth - 1.0).abs() < 0.01, "{found:?} {truth}");
    }

    #[test]
    fn a_pipeline_is_found_to_be_one() {
        // Links of a round trip of 0.5 ms, and a server that does 100,000 a second.
        let law = |c: f64| (c / 5e-4).min(1e5);
        let cells: Vec<Cell> =
            (0..12).map(|power| 1usize << power).map(|c| cell(3, c, law(c as f64))).collect();
        let chosen = fit(&cells).unwrap();
        assert!(chosen.candidate.starts_with("asymptotic bounds"), "{:?}", chosen.compared);
        assert!((chosen.law.peak_per_s(3, 2_048.0) / 1e5 - 1.0).abs() < 0.1);
        let moved = chosen.law.moved(Move { p50_ns: 4.5e6, p99_ns: 4.5e6 }, 3);
        let slow = moved.predict(3, Load::Clients(1), Quantity::Throughput).unwrap();
        assert!((slow / 200.0 - 1.0).abs() < 0.05, "5 ms a cycle: {slow}");
        assert!(moved.is_valid() && (moved.peak_per_s(3, 20_480.0) / 1e5 - 1.0).abs() < 0.1);
    }

    #[test]
    fn a_rate_has_the_cycle_of_as_many_clients_as_commit_at_it() {
        let chosen = fit(&scalable()).unwrap();
        let rate = chosen.law.throughput(5, 8.0);
        let cycle = chosen.law.cycle_at_rate(5, rate).unwrap();
        assert!((cycle / (8.0 / rate * 1e9) - 1.0).abs() < 1e-3, "{cycle}");
        assert_eq!(chosen.law.cycle_at_rate(5, 1e9), None);
    }

    #[test]
    fn batches_that_grow_with_the_clients_are_told_from_work_of_each() {
        let cells: Vec<Cell> = [1usize, 4, 16, 64, 256, 1_024]
            .map(|c| cell(3, c, c as f64 / (1e-4 + 2e-4 * (c as f64).sqrt())))
            .into();
        let chosen = fit(&cells).unwrap();
        assert!(chosen.candidate.contains("growing batches"), "{:?}", chosen.compared);
        assert!(parameters(&chosen, &cells)[0].sigma.is_none());
    }

    #[test]
    fn too_few_cells_give_no_law() {
        assert!(fit(&scalable()[..3]).is_none());
        assert!(fit(&scalable()[..7]).is_some());
    }
}
