//! Predictions by the simulator, for what no formula covers: a setting of the protocol, a topology, a size.
//!
//! Cells that were measured are simulated too. The middle ratio of measured to simulated corrects the
//! prediction, and how far the others are from it makes the interval.

use std::collections::BTreeMap;

use protocol_core::{LaunchError, Settings, SimulationSpec, Timing};

use super::cells::{Cell, Load, Surroundings, falls_behind};
use super::folds::Quantity;
use super::{Prediction, Setting};
use crate::calibration::CostModel;
use crate::results::Estimate;
use crate::run::{RunError, VirtualCluster, VirtualOpenLoop};
use crate::scenario::{Arrivals, ExactPlan, StorageConfig};
use crate::stats::{jackknife_plus, median, nearest_rank};
use crate::suite::Registration;
use crate::topology;

const SEED: u64 = 1;
const WARM_UP_COMMITS: u64 = 400;
/// Commits of a closed loop for each client, and at least; requests of an open loop.
const COMMITS_PER_CLIENT: u64 = 20;
const COMMITS_AT_LEAST: u64 = 4_000;
const REQUESTS: f64 = 12_000.0;
const TIMEOUT_S: u64 = 10;
/// Cells that are simulated for the correction, at most: evenly spread over those that were measured.
const MOST_CELLS: usize = 10;

/// A place in virtual time.
pub struct Simulator<'a> {
    registration: &'a Registration,
    surroundings: Surroundings,
    costs: CostModel,
}

/// What virtual time says of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Simulated {
    throughput_per_s: f64,
    /// Of a cluster that keeps up.
    quantiles_ns: Option<(f64, f64)>,
}

impl<'a> Simulator<'a> {
    /// A place with the costs that it was measured with; a real place with those of `consensus-bench
    /// calibrate`. `topology` and `settings` change it.
    pub fn new(
        registration: &'a Registration,
        surroundings: &Surroundings,
        topology: Option<&str>,
        settings: &BTreeMap<String, f64>,
    ) -> Result<Simulator<'a>, RunError> {
        let mut surroundings = surroundings.clone();
        let costs = match &surroundings.topology {
            Some(_) => {
                let plan = ExactPlan {
                    costs: surroundings.costs,
                    cores: surroundings.cores,
                    ..ExactPlan::default()
                };
                CostModel::of(&plan, &registration.name)?
            }
            None => crate::calibration::of_this_machine()?.model(&registration.name)?,
        };
        surroundings.settings.extend(settings.clone());
        surroundings.topology = topology.map(String::from).or(surroundings.topology);
        Ok(Simulator { registration, surroundings, costs })
    }

    /// The same over links of this one-way delay between any two replicas, with clients beside the leader.
    pub fn over_links_of(mut self, delay_ms: f64) -> Self {
        self.surroundings.topology = None;
        self.surroundings.network.delay_ms = delay_ms;
        self
    }

    fn spec(&self, replicas: usize) -> Result<SimulationSpec, RunError> {
        let settings =
            Settings::checked(self.surroundings.settings.clone(), &self.registration.protocol.descriptor())?;
        let mut spec = match &self.surroundings.topology {
            Some(reference) => spec_at(reference, replicas, SEED)?,
            None => {
                let network = &self.surroundings.network;
                let millis = |value: f64| std::time::Duration::from_secs_f64(value / 1e3);
                let mut spec = SimulationSpec::uniform(replicas, millis(network.delay_ms), SEED);
                spec.links.iter_mut().flatten().for_each(|link| link.jitter = millis(network.jitter_ms));
                spec
            }
        };
        spec.settings = settings;
        (spec.costs, spec.cores) = (self.costs.costs, self.costs.cores);
        spec.durable = self.surroundings.storage == StorageConfig::Wal;
        Ok(spec)
    }

    fn run(&self, setting: Setting) -> Result<Simulated, RunError> {
        let spec = self.spec(setting.replicas)?;
        let payload = self.surroundings.payload_bytes;
        let mut cluster = VirtualCluster::start(&*self.registration.protocol, &spec, payload)?;
        cluster.closed(1, WARM_UP_COMMITS)?;
        let simulated = match setting.load {
            Load::Clients(clients) => {
                let commits = (clients as u64 * COMMITS_PER_CLIENT).max(COMMITS_AT_LEAST);
                let record = cluster.closed(clients, commits)?;
                let quantiles = (record.latencies.at_client(0.5), record.latencies.at_client(0.99));
                Simulated { throughput_per_s: record.throughput_per_s(), quantiles_ns: Some(quantiles) }
            }
            Load::Rate(rate_per_s) => {
                let record = cluster.open(&VirtualOpenLoop {
                    arrivals: Arrivals::Poisson,
                    rate_per_s,
                    duration_s: REQUESTS / rate_per_s,
                    timeout: std::time::Duration::from_secs(TIMEOUT_S),
                    seed: SEED,
                    lateness: None,
                });
                let at = |quantile| nearest_rank(&record.response_ns, quantile).unwrap_or(0) as f64;
                let behind = falls_behind(rate_per_s, record.throughput_per_s(), at(0.5), record.seconds);
                let quantiles_ns = (behind == Some(false)).then(|| (at(0.5), at(0.99)));
                Simulated { throughput_per_s: record.throughput_per_s(), quantiles_ns }
            }
        };
        let safety = cluster.check();
        match safety.violations.is_empty() {
            true => Ok(simulated),
            false => Err(RunError::Unsafe(safety.violations.join("; "))),
        }
    }
}

/// The cluster of a built-in topology or of a file, with failure detection for its slowest link.
pub fn spec_at(reference: &str, replicas: usize, seed: u64) -> Result<SimulationSpec, RunError> {
    let topology = topology::resolve(reference)?;
    let slowest = topology.largest_one_way(replicas);
    Ok(SimulationSpec {
        links: topology.links(replicas)?,
        client_delays: topology.client_delays(replicas),
        timing: Timing::for_delay(slowest),
        ..SimulationSpec::uniform(replicas, slowest, seed)
    })
}

/// Predicts by running `changed`, corrected by how `known`, the place of the cells, compares to them.
pub fn predict(
    known: &Simulator,
    changed: &Simulator,
    cells: &[Cell],
    setting: Setting,
) -> Result<Prediction, RunError> {
    let step = cells.len().div_ceil(MOST_CELLS).max(1);
    let mut ratios: BTreeMap<Quantity, Vec<f64>> = BTreeMap::new();
    for cell in cells.iter().step_by(step) {
        let simulated = known.run(Setting { replicas: cell.replicas, load: cell.load })?;
        let times = simulated.quantiles_ns;
        let pairs = [
            (Quantity::Throughput, Some(cell.throughput_per_s), Some(simulated.throughput_per_s)),
            (Quantity::P50, cell.p50_ns, times.map(|times| times.0)),
            (Quantity::P99, cell.p99_ns, times.map(|times| times.1)),
        ];
        for (quantity, measured, simulated) in pairs {
            // Below saturation an open loop's throughput is its rate in either time.
            let says_nothing =
                quantity == Quantity::Throughput && matches!(cell.load, Load::Rate(_)) && !cell.saturated;
            if let (Some(measured), Some(simulated), false) = (measured, simulated, says_nothing) {
                ratios.entry(quantity).or_default().push((measured / simulated).ln());
            }
        }
    }
    let simulated = changed.run(setting)?;
    let estimate =
        |quantity, value: f64| corrected(value, ratios.get(&quantity).map_or(&[][..], Vec::as_slice));
    let saturated = simulated.quantiles_ns.is_none();
    let times = simulated.quantiles_ns;
    let is_offered = matches!(setting.load, Load::Rate(_)) && !saturated;
    Ok(Prediction {
        setting,
        by: "the simulator, corrected by what was measured".into(),
        throughput_per_s: match is_offered {
            true => Estimate { value: simulated.throughput_per_s, lower: None, upper: None },
            false => estimate(Quantity::Throughput, simulated.throughput_per_s),
        },
        p50_ns: times.map(|times| estimate(Quantity::P50, times.0)),
        p99_ns: times.map(|times| estimate(Quantity::P99, times.1)),
        saturated,
        beyond: Vec::new(),
    })
}

/// A simulated value times the middle ratio, with the jackknife+ interval of the ratios.
fn corrected(simulated: f64, log_ratios: &[f64]) -> Estimate {
    let middle = |ratios: &[f64]| median(&mut ratios.to_vec()).unwrap_or(0.0);
    let pairs = log_ratios.iter().enumerate().map(|(index, ratio)| {
        let others: Vec<f64> =
            log_ratios.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, other)| *other).collect();
        (simulated.ln() + middle(&others), ratio - middle(&others))
    });
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let interval = jackknife_plus(&pairs).filter(|_| log_ratios.len() > 1);
    Estimate {
        value: simulated * middle(log_ratios).exp(),
        lower: interval.map(|(lower, _)| lower.exp()),
        upper: interval.map(|(_, upper)| upper.exp()),
    }
}

/// Whether an error says that there is no virtual time for the protocol.
pub fn is_not_simulated(error: &RunError) -> bool {
    matches!(error, RunError::Settings(LaunchError::NotSimulated { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_value_is_corrected_by_the_middle_ratio() {
        let found = corrected(100.0, &[0.5, 2.0, 4.0].map(f64::ln));
        assert!((found.value - 200.0).abs() < 1e-9);
        assert!(found.lower.unwrap() < 100.0 && found.upper.unwrap() > 200.0, "{found:?}");
        assert_eq!(corrected(100.0, &[]), Estimate { value: 100.0, lower: None, upper: None });
        assert_eq!(corrected(100.0, &[0.0]).lower, None, "one cell says nothing of the spread");
    }
}
