//! Predictions by the simulator, for what no formula covers: a setting of the protocol, a topology, a size.
//!
//! Cells that were measured are simulated too. The middle ratio of measured to simulated corrects the
//! prediction, and how far the others are from it makes the interval.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{Costs, Observation, Settings, SimulationSpec, Situation, Timing};

use super::cells::{Cell, Load, Surroundings, falls_behind};
use super::folds::Quantity;
use super::{CommitCost, Prediction, Setting};
use crate::calibration::{CostModel, FittedCell, ProtocolCosts, WorkCosts, of_this_machine};
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
/// A load that was too short to tell whether the cluster keeps up is followed by one that is longer by this
/// factor, up to so many requests.
const LONGER: f64 = 4.0;
const MOST_REQUESTS: f64 = 200_000.0;
/// A median that grows with the load by more than this factor is no equilibrium's.
const GROWN: f64 = 2.0;
/// How much longer than the load a request is waited for: only a cluster that hangs leaves one unanswered.
const TIMEOUT_S: f64 = 10.0;
/// Cells that are simulated for the correction, at most: evenly spread over those that were measured.
const MOST_CELLS: usize = 10;

/// A place in virtual time.
pub struct Simulator<'a> {
    registration: &'a Registration,
    surroundings: Surroundings,
    costs: CostModel,
    /// What the costs were fitted to on this machine; none when they are a scenario's own.
    calibrated: Option<ProtocolCosts>,
}

/// What virtual time says of a setting.
#[derive(Clone, Debug, PartialEq)]
struct Simulated {
    throughput_per_s: f64,
    quantiles_ns: (f64, f64),
    /// Whether the cluster does what is offered, as it always does in a closed loop; none when even the
    /// longest load was too short to tell.
    keeps_up: Option<bool>,
    /// Commits by the time until the last request has its answer: what a cluster does that is flooded for so
    /// short a time that few are answered within it.
    drained_per_s: f64,
    /// Work per commit.
    work: FittedCell,
}

impl Simulated {
    /// Median and 99th percentile of a cluster that keeps up: of another they tell how long it ran.
    fn times(&self) -> Option<(f64, f64)> {
        (self.keeps_up == Some(true)).then_some(self.quantiles_ns)
    }
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
        let calibration = surroundings.is_of_the_clock().then(of_this_machine).transpose()?;
        let calibrated =
            calibration.as_ref().map(|known| known.of(&registration.name).cloned()).transpose()?;
        let costs = match (&calibration, &surroundings.topology) {
            (Some(known), None) => known.model(&registration.name)?,
            _ => {
                let plan = ExactPlan {
                    costs: surroundings.costs,
                    cores: surroundings.cores,
                    ..ExactPlan::default()
                };
                CostModel::of(&plan, &registration.name)?
            }
        };
        surroundings.settings.extend(settings.clone());
        surroundings.topology = topology.map(String::from).or(surroundings.topology);
        Ok(Simulator { registration, surroundings, costs, calibrated })
    }

    /// The same over links of this one-way delay between any two replicas, with clients beside the leader.
    pub fn over_links_of(mut self, delay_ms: f64) -> Self {
        self.surroundings.topology = None;
        self.surroundings.network.delay_ms = delay_ms;
        self
    }

    fn spec(&self, replicas: usize) -> Result<SimulationSpec, RunError> {
        let protocol = self.registration.protocol.descriptor();
        let settings = Settings::checked(self.surroundings.settings.clone(), &protocol)?;
        let mut spec = match &self.surroundings.topology {
            Some(reference) => spec_at(reference, replicas, SEED)?,
            None => {
                let network = &self.surroundings.network;
                let millis = |value: f64| Duration::from_secs_f64(value / 1e3);
                let mut spec = SimulationSpec::uniform(replicas, millis(network.delay_ms), SEED);
                spec.links.iter_mut().flatten().for_each(|link| link.jitter = millis(network.jitter_ms));
                spec
            }
        };
        spec.timing = spec.timing.set_by(&settings);
        Situation { replicas, timing: spec.timing, settings: &settings }.check(&protocol)?;
        spec.settings = settings;
        (spec.costs, spec.cores) = (self.costs.costs, self.costs.cores);
        spec.durable = self.surroundings.storage == StorageConfig::Wal;
        Ok(spec)
    }

    fn run(&self, setting: Setting) -> Result<Simulated, RunError> {
        let Load::Rate(rate_per_s) = setting.load else { return self.run_load(setting, 0.0) };
        let mut requests = REQUESTS;
        let mut shorter_p50_ns = f64::INFINITY;
        loop {
            let found = self.run_load(setting, requests / rate_per_s)?;
            let (p50_ns, _) = found.quantiles_ns;
            if found.keeps_up.is_some() {
                return Ok(found);
            }
            if p50_ns > GROWN * shorter_p50_ns {
                let throughput_per_s = found.drained_per_s;
                return Ok(Simulated { keeps_up: Some(false), throughput_per_s, ..found });
            }
            if requests * LONGER > MOST_REQUESTS {
                return Ok(found);
            }
            (shorter_p50_ns, requests) = (p50_ns, requests * LONGER);
        }
    }

    /// One load on a cluster of its own; an open loop is as long as `duration_s`.
    fn run_load(&self, setting: Setting, duration_s: f64) -> Result<Simulated, RunError> {
        let spec = self.spec(setting.replicas)?;
        let payload = self.surroundings.payload_bytes;
        let mut cluster = VirtualCluster::start(&*self.registration.protocol, &spec, payload)?;
        cluster.closed(1, WARM_UP_COMMITS)?;
        let (before, sent) = (cluster.observe(), cluster.sent());
        let simulated = match setting.load {
            Load::Clients(clients) => {
                let commits = (clients as u64 * COMMITS_PER_CLIENT).max(COMMITS_AT_LEAST);
                let record = cluster.closed(clients, commits)?;
                Simulated {
                    throughput_per_s: record.throughput_per_s(),
                    drained_per_s: record.throughput_per_s(),
                    quantiles_ns: (record.latencies.at_client(0.5), record.latencies.at_client(0.99)),
                    keeps_up: Some(true),
                    work: work_per_commit(&before, &cluster.observe(), cluster.sent() - sent),
                }
            }
            Load::Rate(rate_per_s) => {
                let record = cluster.open(&VirtualOpenLoop {
                    arrivals: Arrivals::Poisson,
                    rate_per_s,
                    duration_s,
                    timeout: Duration::from_secs_f64(duration_s + TIMEOUT_S),
                    seed: SEED,
                    lateness: None,
                });
                let at = |quantile| nearest_rank(&record.response_ns, quantile).unwrap_or(0) as f64;
                let achieved_per_s = record.throughput_per_s();
                let behind = falls_behind(rate_per_s, achieved_per_s, at(0.5), record.seconds);
                Simulated {
                    // What is offered to a cluster that keeps up is what comes out.
                    throughput_per_s: if behind == Some(false) { rate_per_s } else { achieved_per_s },
                    quantiles_ns: (at(0.5), at(0.99)),
                    keeps_up: behind.map(|behind| !behind),
                    drained_per_s: record.latencies.count() as f64 / (record.seconds + at(1.0) / 1e9),
                    work: work_per_commit(&before, &cluster.observe(), record.latencies.count()),
                }
            }
        };
        let safety = cluster.check();
        match safety.violations.is_empty() {
            true => Ok(simulated),
            false => Err(RunError::Unsafe(safety.violations.join("; "))),
        }
    }

    /// CPU time of a commit under a setting, by what each kind of work costs. The interval is that of the
    /// calibration, and so there is one for such loads as it is fitted to alone: closed loops in memory over
    /// perfect links of real time.
    pub fn cost_per_commit(&self, setting: Setting) -> Result<CommitCost, RunError> {
        if self.costs.costs == Costs::default() {
            return Ok(CommitCost::unknown("work is free in this place"));
        }
        let work = self.run(setting)?.work;
        let Some(calibrated) = &self.calibrated else {
            let value = work.cost_ns(&WorkCosts::from(self.costs.costs));
            let note = Some("by the scenario's own costs, which have no interval".into());
            return Ok(CommitCost { cpu_ns: Some(Estimate { value, lower: None, upper: None }), note });
        };
        let place = &self.surroundings;
        let is_as_fitted = matches!(setting.load, Load::Clients(_))
            && place.topology.is_none()
            && place.storage == StorageConfig::Memory
            && (place.network.delay_ms, place.network.jitter_ms) == (0.0, 0.0);
        let mut notes: Vec<String> = Vec::new();
        let mut cpu_ns = calibrated.of_commit(&work);
        if !is_as_fitted {
            cpu_ns = Estimate { lower: None, upper: None, ..cpu_ns };
            notes.push(
                "no interval: costs are fitted to closed loops in memory over perfect links of real time"
                    .into(),
            );
        }
        if !calibrated.disturbed.is_empty() {
            notes.push(format!("the costs are doubtful: {}", calibrated.disturbed.join("; ")));
        }
        Ok(CommitCost { cpu_ns: Some(cpu_ns), note: (!notes.is_empty()).then(|| notes.join("; ")) })
    }
}

/// Work in between, of all replicas together.
fn work_per_commit(before: &Observation, after: &Observation, commits: u64) -> FittedCell {
    let delivered = |seen: &Observation| seen.replicas.iter().map(|replica| replica.delivered).sum::<u64>();
    let spent = after.total() - before.total();
    FittedCell::default().with_work(&spent, delivered(after) - delivered(before), commits.max(1))
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
        let times = simulated.times();
        let throughput = simulated.keeps_up.is_some().then_some(simulated.throughput_per_s);
        let pairs = [
            (Quantity::Throughput, Some(cell.throughput_per_s), throughput),
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
    let saturated = !simulated.keeps_up.ok_or_else(|| too_short(setting.load))?;
    let times = simulated.times();
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
        cost: None,
    })
}

/// Why nothing is said of an open loop that even the longest run was too short for.
fn too_short(load: Load) -> RunError {
    RunError::Failed(format!(
        "{} requests/s: {MOST_REQUESTS} requests are over before their response times come to an equilibrium, so \
         it can't be told whether the cluster keeps up; predict a lower rate",
        load.size()
    ))
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
