//! The Universal Scalability Law: how throughput grows with load, and where it stops growing.
//!
//! Gunther, *Guerrilla Capacity Planning* (Springer 2007), chapters 4 to 6; Schwartz, *Practical
//! Scalability Analysis with the Universal Scalability Law* (VividCortex 2015) for the form with λ.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{Dyn, Matrix, OMatrix, OVector, U3, Vector3, storage::Owned};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::bootstrap::percentile_interval;
use super::harmonic::harmonic_mean;

/// How far beyond the data the law is believed: a peak at more than this many times the largest
/// load measured is no peak, and a limit of more than this many times the highest throughput
/// measured is no limit. Either is then a guess from a curve that was still rising.
pub const BEYOND_DATA: f64 = 100.0;

/// Three parameters need three different loads.
const FEWEST_LOADS: usize = 3;

/// A term that changes the throughput at the largest load by less than this share is none.
const WITHOUT_EFFECT: f64 = 1e-9;

/// κ is at most this. Two clients then do a thousandth of what one does; beyond it, loads that are
/// all far from 1 would only tell λ over κ, and both could grow without end.
const LARGEST_KAPPA: f64 = 1e3;

/// Where fits start: σ, and κ times the square of the largest load. They range from nearly linear
/// to falling. At the far ends of its scale a parameter has no slope left to come back by, so no
/// start is there.
const STARTS: [(f64, f64); 7] =
    [(0.01, 0.01), (0.01, 1.0), (0.1, 0.1), (0.1, 10.0), (0.5, 1.0), (0.9, 0.1), (0.9, 100.0)];

/// The logistic scale of a start's σ stays within ± this.
const START_SCALE: f64 = 7.0;

/// The law with its parameters: X(c) = λc / (1 + σ(c − 1) + κc(c − 1)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// λ, throughput of a load of one; above 0.
    pub lambda: f64,
    /// σ, the share of work that is serial (contention); from 0 to 1.
    pub sigma: f64,
    /// κ, the cost of every pair's agreement (coherency); from 0 to 1,000.
    pub kappa: f64,
}

/// What was measured at one load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadPoint<'a> {
    /// The load: clients; 1 or more.
    pub clients: f64,
    /// Throughput in each round. Every round does the same amount of work, so the throughput of
    /// all is their harmonic mean.
    pub rates: &'a [f64],
}

/// The law that fits best, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UslFit {
    /// The parameters.
    pub law: Usl,
    /// The load at which throughput peaks, 1 or more; none when it rises as far as the law is to be
    /// believed (see [`BEYOND_DATA`]).
    pub peak_clients: Option<f64>,
    /// Throughput at the peak, or what it rises towards; none when that is not to be believed
    /// either, as with throughput that is proportional to the load.
    pub highest: Option<f64>,
    /// Share of the variance of the loads' throughputs that the law explains; negative when the
    /// mean would do better. Where throughput is constant it is 1 if the law says so, and 0 if not.
    pub r_squared: f64,
    /// 95 % intervals; none when a load has less than two rounds.
    pub intervals: Option<UslIntervals>,
}

/// Lower and upper end.
pub type Interval = (f64, f64);

/// 95 % intervals from refits of resampled rounds. A resample whose throughput has no peak or no
/// limit counts as an infinite one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UslIntervals {
    /// Of λ.
    pub lambda: Interval,
    /// Of σ.
    pub sigma: Interval,
    /// Of κ.
    pub kappa: Interval,
    /// Of the peak's load.
    pub peak_clients: Interval,
    /// Of the highest throughput.
    pub highest: Interval,
}

/// Why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum UslError {
    /// Not enough to fit to.
    #[error("{distinct} different loads were measured; the law has three parameters and needs three")]
    TooFewLoads {
        /// Different loads.
        distinct: usize,
    },
    /// The law knows no load below one and no throughput of zero.
    #[error("the load of {clients} clients has a round without throughput, or is below one")]
    NotPositive {
        /// The load.
        clients: f64,
    },
    /// The numbers are beyond what floating point can hold the squares of.
    #[error("no start led to a fit: the loads or throughputs are too large for floating point")]
    NoFit,
}

impl Usl {
    /// Throughput at a load.
    pub fn throughput(&self, clients: f64) -> f64 {
        let more = clients - 1.0;
        self.lambda * clients / (1.0 + self.sigma * more + self.kappa * clients * more)
    }

    /// The load at which throughput is highest, at least 1; none when it rises for ever.
    fn top(&self) -> Option<f64> {
        if self.sigma >= 1.0 {
            // All work is serial: no load does better than one.
            Some(1.0)
        } else {
            (self.kappa > 0.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt().max(1.0))
        }
    }

    /// Takes out the terms that make no difference up to this load, so that rounding is not
    /// mistaken for a peak far away.
    fn simplified(mut self, largest: f64) -> Self {
        let more = largest - 1.0;
        if 1.0 - self.sigma < WITHOUT_EFFECT {
            self.sigma = 1.0;
        } else if self.sigma * more < WITHOUT_EFFECT {
            self.sigma = 0.0;
        }
        if self.kappa * largest * more < WITHOUT_EFFECT * (1.0 + self.sigma * more) {
            self.kappa = 0.0;
        }
        self
    }
}

/// Fits the law by least squares of relative deviations, with bootstrap intervals.
///
/// Levenberg–Marquardt on ln λ, the logit of σ and ln κ, which keeps λ and κ positive and σ between
/// 0 and 1: the law holds for no others. From several starts, of which the best end counts.
/// Deviations are relative because the error of a rate grows with it; absolute ones would let the
/// largest loads decide alone. They are taken as ln(law / measured), so that half and double weigh
/// the same: with law / measured − 1, one load at which throughput collapses would pull all of the
/// law down to it.
///
/// Intervals: rounds are drawn anew within each load, `resamples` times, and the law is fitted to
/// each. They cover what varied between rounds, and not that the law itself may be wrong.
pub fn fit_usl(points: &[LoadPoint], resamples: usize, seed: u64) -> Result<UslFit, UslError> {
    let measured = points.iter().map(|point| throughput(point)).collect::<Result<Vec<_>, _>>()?;
    let mut loads: Vec<f64> = points.iter().map(|point| point.clients).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    if loads.len() < FEWEST_LOADS {
        return Err(UslError::TooFewLoads { distinct: loads.len() });
    }
    let starts: Vec<Start> = STARTS.map(|(sigma, kappa)| Start::new(sigma, kappa)).into();
    let data = Data { clients: points.iter().map(|point| point.clients).collect(), throughput: measured };
    let law = data.fit(&starts).ok_or(UslError::NoFit)?;
    Ok(UslFit {
        law,
        peak_clients: data.peak(&law),
        highest: data.highest(&law),
        r_squared: data.r_squared(&law),
        intervals: intervals(points, &data, &law, resamples, seed),
    })
}

fn throughput(point: &LoadPoint) -> Result<f64, UslError> {
    harmonic_mean(point.rates)
        .filter(|mean| point.clients >= 1.0 && point.clients.is_finite() && *mean > 0.0 && mean.is_finite())
        .ok_or(UslError::NotPositive { clients: point.clients })
}

fn intervals(
    points: &[LoadPoint],
    data: &Data,
    law: &Usl,
    resamples: usize,
    seed: u64,
) -> Option<UslIntervals> {
    if points.iter().any(|point| point.rates.len() < 2) {
        return None;
    }
    // Resamples are near the data and so are their fits; the second start is for those that aren't.
    let largest = data.largest();
    let starts = [Start::new(law.sigma, law.kappa * largest * largest), Start::new(0.1, 0.1)];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |point: &LoadPoint| {
        let rates = point.rates;
        let drawn: Vec<f64> = rates.iter().map(|_| rates[random.random_range(0..rates.len())]).collect();
        harmonic_mean(&drawn)
    };
    let mut fits = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        let drawn = points.iter().map(&mut draw).collect::<Option<Vec<_>>>()?;
        let resampled = Data { clients: data.clients.clone(), throughput: drawn };
        fits.extend(resampled.fit(&starts).map(|law| {
            let infinite = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
            (law, infinite(resampled.peak(&law)), infinite(resampled.highest(&law)))
        }));
    }
    let over = |of: fn(&(Usl, f64, f64)) -> f64| percentile_interval(fits.iter().map(of).collect());
    Some(UslIntervals {
        lambda: over(|fit| fit.0.lambda)?,
        sigma: over(|fit| fit.0.sigma)?,
        kappa: over(|fit| fit.0.kappa)?,
        peak_clients: over(|fit| fit.1)?,
        highest: over(|fit| fit.2)?,
    })
}

/// Where a fit starts; λ follows from the data.
#[derive(Clone, Copy)]
struct Start {
    logit_sigma: f64,
    /// κ times the square of the largest load, which is about what it costs there.
    kappa_at_largest: f64,
}

impl Start {
    fn new(sigma: f64, kappa_at_largest: f64) -> Self {
        let logit_sigma = (sigma / (1.0 - sigma)).ln().clamp(-START_SCALE, START_SCALE);
        Start { logit_sigma, kappa_at_largest: kappa_at_largest.clamp(1e-4, 1e4) }
    }
}

/// Throughput by load.
struct Data {
    clients: Vec<f64>,
    throughput: Vec<f64>,
}

impl Data {
    fn largest(&self) -> f64 {
        self.clients.iter().copied().fold(1.0, f64::max)
    }

    /// The best of the fits from all starts; none when no start leads to a number.
    fn fit(&self, starts: &[Start]) -> Option<Usl> {
        let solver = LevenbergMarquardt::new();
        let ends = starts.iter().map(|start| {
            let (problem, _) = solver.minimize(Problem { data: self, parameters: self.parameters(start) });
            (problem.cost(), problem.law())
        });
        let usable =
            ends.filter(|(cost, law)| cost.is_finite() && law.lambda.is_finite() && law.lambda > 0.0);
        let best = usable.min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, law)| law.simplified(self.largest()))
    }

    /// Parameters of a start, with λ such that the first point is met.
    fn parameters(&self, start: &Start) -> Vector3<f64> {
        let ln_kappa = start.kappa_at_largest.ln() - 2.0 * self.largest().ln();
        let unscaled = law_of(&Vector3::new(0.0, start.logit_sigma, ln_kappa));
        let lambda = match (self.clients.first(), self.throughput.first()) {
            (Some(&clients), Some(&throughput)) => throughput / unscaled.throughput(clients),
            _ => 1.0,
        };
        Vector3::new(lambda.ln(), start.logit_sigma, ln_kappa)
    }

    fn peak(&self, law: &Usl) -> Option<f64> {
        law.top().filter(|top| *top <= BEYOND_DATA * self.largest())
    }

    fn highest(&self, law: &Usl) -> Option<f64> {
        let most = self.throughput.iter().copied().fold(0.0, f64::max);
        // Without a top the law rises towards λ/σ, which is infinite when both of its terms are zero.
        let highest = law.top().map_or(law.lambda / law.sigma, |top| law.throughput(top));
        (highest <= BEYOND_DATA * most).then_some(highest)
    }

    fn r_squared(&self, law: &Usl) -> f64 {
        let n = self.throughput.len() as f64;
        let mean = self.throughput.iter().sum::<f64>() / n;
        let square = |value: f64| (value / mean).powi(2);
        let pairs = || self.clients.iter().zip(&self.throughput);
        let left: f64 = pairs().map(|(&clients, value)| square(value - law.throughput(clients))).sum();
        let total: f64 = pairs().map(|(_, value)| square(value - mean)).sum();
        // Below this, what varies is the last digits.
        let nothing = n * WITHOUT_EFFECT.powi(2);
        if total > nothing { 1.0 - left / total } else { f64::from(u8::from(left <= nothing)) }
    }
}

/// The law of ln λ, logit σ and ln κ.
fn law_of(parameters: &Vector3<f64>) -> Usl {
    Usl {
        lambda: parameters[0].exp(),
        sigma: (1.0 + (-parameters[1]).exp()).recip(),
        kappa: parameters[2].exp().min(LARGEST_KAPPA),
    }
}

/// The least-squares problem as the solver wants it.
struct Problem<'a> {
    data: &'a Data,
    parameters: Vector3<f64>,
}

impl Problem<'_> {
    fn law(&self) -> Usl {
        law_of(&self.parameters)
    }

    fn deviations(&self) -> impl Iterator<Item = f64> {
        let law = self.law();
        let points = self.data.clients.iter().zip(&self.data.throughput);
        points.map(move |(&clients, measured)| law.throughput(clients).ln() - measured.ln())
    }

    fn cost(&self) -> f64 {
        self.deviations().map(|deviation| deviation * deviation).sum()
    }
}

impl LeastSquaresProblem<f64, Dyn, U3> for Problem<'_> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, U3>;
    type ParameterStorage = Owned<f64, U3>;

    fn set_params(&mut self, parameters: &OVector<f64, U3>) {
        self.parameters = *parameters;
    }

    fn params(&self) -> OVector<f64, U3> {
        self.parameters
    }

    fn residuals(&self) -> Option<OVector<f64, Dyn>> {
        Some(OVector::<f64, Dyn>::from_iterator(self.data.clients.len(), self.deviations()))
    }

    fn jacobian(&self) -> Option<OMatrix<f64, Dyn, U3>> {
        let law = self.law();
        Some(Matrix::from_fn_generic(Dyn(self.data.clients.len()), U3, |row, column| {
            let clients = self.data.clients[row];
            let more = clients - 1.0;
            let below = 1.0 + law.sigma * more + law.kappa * clients * more;
            match column {
                0 => 1.0,
                1 => -more / below * law.sigma * (1.0 - law.sigma),
                _ if law.kappa == LARGEST_KAPPA => 0.0,
                _ => -clients * more / below * law.kappa,
            }
        }))
    }
}

#[cfg(test)]
mod tests;
