//! What a model is fitted to: cells of one protocol in one place, taken from the results of runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::measure::ACHIEVED_AT_LEAST;
use crate::results::{ExactCell, Outcome, ScenarioResult};
use crate::scenario::{CostsConfig, Measure, NetworkConfig, StorageConfig};

/// An open loop whose cluster acknowledged less than this share of what it could have been is saturated: its
/// latency depends on how long it ran.
const KEPT_UP: f64 = 0.97;

/// A load whose median is more than this share of its length was over before it came to an equilibrium: its
/// latency says how long it ran.
const TOO_SHORT: f64 = 0.05;
/// And beyond this share not even its throughput is that of an equilibrium.
const FAR_TOO_SHORT: f64 = 0.2;

/// Whether a cluster that was offered `rate_per_s` for so many seconds did not keep up; none when that was too
/// short to tell. The last requests of a load are answered after its end even by one that does, so what is
/// missing for that is not held against it.
pub fn falls_behind(rate_per_s: f64, achieved_per_s: f64, p50_ns: f64, seconds: f64) -> Option<bool> {
    let late = p50_ns / 1e9 / seconds;
    let behind = achieved_per_s < KEPT_UP * rate_per_s * (1.0 - late);
    (late <= if behind { FAR_TOO_SHORT } else { TOO_SHORT }).then_some(behind)
}

/// Everything besides size and load that decides the numbers. Only cells of equal surroundings are fitted
/// together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// The topology of virtual time; none in real time.
    pub topology: Option<String>,
    /// The links of real time; untouched in virtual time.
    pub network: NetworkConfig,
    /// Where logs are kept.
    pub storage: StorageConfig,
    /// Bytes of every command's payload.
    pub payload_bytes: usize,
    /// What work costs in virtual time; none in real time, where it costs what it costs.
    pub costs: CostsConfig,
    /// Cores that replicas share in virtual time; 0 gives each its own.
    pub cores: usize,
    /// Settings that differ from the protocol's defaults.
    pub settings: BTreeMap<String, f64>,
}

impl Surroundings {
    /// Whether numbers follow from the clock of the machine that they are from.
    pub fn is_of_the_clock(&self) -> bool {
        self.topology.is_none() || self.costs.is_calibrated()
    }

    /// As it is shown: `real, channel, memory`, or `virtual, wan3, memory, costs calibrated, 1 core`.
    pub fn name(&self) -> String {
        let mut words = match &self.topology {
            Some(topology) => vec!["virtual".into(), plain(topology)],
            None => vec!["real".into(), self.network.kind.name().into()],
        };
        if self.network.delay_ms > 0.0 {
            words.push(format!("links of {} ms", self.network.delay_ms));
        }
        words.push(self.storage.name().into());
        words.push(format!("{} bytes", self.payload_bytes));
        if self.topology.is_some() {
            let costs = match (self.costs.is_none(), self.costs.is_calibrated()) {
                (true, _) => "work is free",
                (_, true) => "measured costs",
                _ => "the scenario's costs",
            };
            words.push(costs.into());
            words.push(if self.cores == 0 {
                "a core each".into()
            } else {
                format!("cores shared: {}", self.cores)
            });
        }
        words.extend(self.settings.iter().map(|(name, value)| format!("{name}={value}")));
        words.join(", ")
    }
}

/// A topology of one's own is named by its file.
fn plain(topology: &str) -> String {
    let stem = Path::new(topology).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| topology.into())
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// So many clients, each with one request in flight.
    Clients(usize),
    /// So many requests per second, whatever is answered.
    Rate(f64),
}

impl Load {
    /// Clients or requests per second, as a number.
    pub fn size(self) -> f64 {
        match self {
            Load::Clients(clients) => clients as f64,
            Load::Rate(rate) => rate,
        }
    }
}

/// What was measured under one load on a cluster of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Replicas.
    pub replicas: usize,
    /// The load.
    pub load: Load,
    /// Commits per second.
    pub throughput_per_s: f64,
    /// Half the width of the throughput's 95 % interval, as a share of it; none without an interval.
    pub noise: Option<f64>,
    /// Median response time in nanoseconds; none where it was not measured, as in closed loops of real time.
    pub p50_ns: Option<f64>,
    /// 99th percentile.
    pub p99_ns: Option<f64>,
    /// Whether an open loop offered more than the cluster can do.
    pub saturated: bool,
    /// The scenario it is from.
    pub scenario: String,
}

impl Cell {
    fn is_usable(&self) -> bool {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        positive(self.throughput_per_s)
            && positive(self.load.size())
            && self.p50_ns.is_none_or(positive)
            && self.p99_ns.is_none_or(positive)
    }
}

/// The cells of one protocol in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The place.
    pub surroundings: Surroundings,
    /// By size, closed loops first, then by load. Each size and load occurs once.
    pub cells: Vec<Cell>,
    /// Why some of them are not to be trusted: what disturbed their runs.
    pub disturbed: Vec<String>,
}

/// The cells of all results of a protocol, place by place, in the order of the results.
///
/// Results that did not come to their end, or broke a promise, have no numbers and give none here. Probes and
/// phases that the generator did not keep up with say nothing about the cluster. Equal loads of one size become one cell:
/// the geometric mean.
pub fn cells(protocol: &str, results: &[ScenarioResult]) -> Vec<Measured> {
    let mut places: Vec<Measured> = Vec::new();
    let of_protocol = results.iter().filter(|result| {
        result.protocol == protocol && result.outcome == Outcome::Completed && result.safety.checked
    });
    for result in of_protocol {
        for (surroundings, cell) in cells_of(result).into_iter().filter(|(_, cell)| cell.is_usable()) {
            let index = places.iter().position(|place| place.surroundings == surroundings);
            let place = match index {
                Some(index) => &mut places[index],
                None => {
                    places.push(Measured { surroundings, cells: Vec::new(), disturbed: Vec::new() });
                    let last = places.len() - 1;
                    &mut places[last]
                }
            };
            place.cells.push(cell);
            for reason in &result.disturbed {
                let named = format!("{}: {reason}", result.scenario.name);
                if !place.disturbed.contains(&named) {
                    place.disturbed.push(named);
                }
            }
        }
    }
    places.iter_mut().for_each(|place| place.cells = merged(std::mem::take(&mut place.cells)));
    places
}

fn cells_of(result: &ScenarioResult) -> Vec<(Surroundings, Cell)> {
    let scenario = &result.scenario;
    let place = |topology: Option<&String>, costs, cores| Surroundings {
        topology: topology.cloned(),
        network: scenario.network.clone(),
        storage: scenario.storage,
        payload_bytes: scenario.payload_bytes,
        costs,
        cores,
        settings: result.settings.clone(),
    };
    if let (Measure::Exact(plan), Some(exact)) = (&scenario.measure, &result.exact) {
        let cells = exact.cells.iter();
        let in_place = |cell: &ExactCell| {
            let place = place(Some(&cell.topology), plan.costs, plan.cores);
            Some((place, of_exact(cell, plan.commits, &scenario.name)?))
        };
        return cells.filter_map(in_place).collect();
    }
    let cells = of_sweep(result).chain(of_curve(result)).chain(of_phase(result));
    cells.map(|cell| (place(None, CostsConfig::default(), 0), cell)).collect()
}

/// An open loop of virtual time sends as many requests as the plan has commits; none when those were too few.
fn of_exact(cell: &ExactCell, requests: u64, scenario: &str) -> Option<Cell> {
    let value = |name: &str| cell.metric(name).map(|metric| metric.value);
    let throughput_per_s = value("throughput_per_s").unwrap_or(0.0);
    let p50_ns = value("client_latency_ns_p50");
    let saturated = match cell.offered_per_s {
        Some(rate) => falls_behind(rate, throughput_per_s, p50_ns?, requests as f64 / rate)?,
        None => false,
    };
    Some(Cell {
        replicas: cell.replicas,
        load: cell.offered_per_s.map_or(Load::Clients(cell.clients), Load::Rate),
        throughput_per_s,
        noise: None,
        p50_ns,
        p99_ns: value("client_latency_ns_p99"),
        saturated,
        scenario: scenario.into(),
    })
}

fn of_sweep(result: &ScenarioResult) -> impl Iterator<Item = Cell> {
    result.scalability.iter().flat_map(|found| &found.cells).map(|cell| Cell {
        replicas: cell.replicas,
        load: Load::Clients(cell.clients),
        throughput_per_s: cell.throughput_per_s,
        noise: cell.lower.zip(cell.upper).map(|(lower, upper)| (upper - lower) / 2.0 / cell.throughput_per_s),
        p50_ns: None,
        p99_ns: None,
        saturated: false,
        scenario: result.scenario.name.clone(),
    })
}

/// The probes of a search for the knee.
fn of_curve(result: &ScenarioResult) -> impl Iterator<Item = Cell> {
    let points =
        result.throughput.iter().flat_map(|found| &found.curve).filter(|point| point.generator_kept_up);
    points.map(|point| Cell {
        replicas: result.scenario.replicas,
        load: Load::Rate(point.offered_per_s),
        throughput_per_s: point.achieved_per_s,
        noise: None,
        p50_ns: Some(point.p50_ns as f64),
        p99_ns: Some(point.p99_ns as f64),
        saturated: point.achieved_per_s < KEPT_UP * point.offered_per_s,
        scenario: result.scenario.name.clone(),
    })
}

/// The measured phase, where its rate is constant.
fn of_phase(result: &ScenarioResult) -> impl Iterator<Item = Cell> {
    let phase = result.scenario.measured_phase().map(|index| &result.scenario.phases[index]);
    let constant = phase.filter(|phase| phase.ramp.is_none());
    let value = |name: &str| result.metric(name).map(|metric| metric.value);
    let cell = constant.and_then(|phase| {
        if value("achieved_over_offered").is_some_and(|achieved| achieved < ACHIEVED_AT_LEAST) {
            return None;
        }
        Some(Cell {
            replicas: result.scenario.replicas,
            load: Load::Rate(phase.rate_per_s),
            saturated: value("throughput_per_s")? < KEPT_UP * phase.rate_per_s,
            throughput_per_s: value("throughput_per_s")?,
            noise: None,
            p50_ns: Some(value("response_ns_p50")?),
            p99_ns: Some(value("response_ns_p99")?),
            scenario: result.scenario.name.clone(),
        })
    });
    cell.into_iter()
}

/// One cell per size and load, in order.
fn merged(mut cells: Vec<Cell>) -> Vec<Cell> {
    let order = |cell: &Cell| (cell.replicas, matches!(cell.load, Load::Rate(_)));
    cells.sort_by(|a, b| order(a).cmp(&order(b)).then(a.load.size().total_cmp(&b.load.size())));
    let mut merged: Vec<Vec<Cell>> = Vec::new();
    for cell in cells {
        match merged.last_mut() {
            Some(same) if (same[0].replicas, same[0].load) == (cell.replicas, cell.load) => same.push(cell),
            _ => merged.push(vec![cell]),
        }
    }
    merged.iter().filter_map(|same| mean_of(same)).collect()
}

/// Latencies of a saturated cluster are left out: they are those of the run's length.
fn mean_of(same: &[Cell]) -> Option<Cell> {
    let mean = |of: &dyn Fn(&Cell) -> Option<f64>| {
        let logarithms: Vec<f64> = same.iter().filter_map(|cell| Some(of(cell)?.ln())).collect();
        (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
    };
    let throughput_per_s = mean(&|cell| Some(cell.throughput_per_s))?;
    let (p50_ns, p99_ns) = (mean(&|cell| cell.p50_ns), mean(&|cell| cell.p99_ns));
    // A rate that broke once is not one that the cluster sustains.
    let saturated = same.iter().any(|cell| cell.saturated);
    let cell = Cell { throughput_per_s, p50_ns, p99_ns, saturated, ..same.first()?.clone() };
    let latency = |value: Option<f64>| value.filter(|_| !cell.saturated);
    Some(Cell { p50_ns: latency(cell.p50_ns), p99_ns: latency(cell.p99_ns), ..cell })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(replicas: usize, load: Load, throughput_per_s: f64, p99_ns: Option<f64>) -> Cell {
        let saturated = matches!(load, Load::Rate(rate) if throughput_per_s < KEPT_UP * rate);
        let (p50_ns, scenario) = (p99_ns, "s".into());
        Cell { replicas, load, throughput_per_s, noise: None, p50_ns, p99_ns, saturated, scenario }
    }

    #[test]
    fn a_phase_that_the_generator_did_not_keep_up_with_is_no_cell() {
        let run = crate::files::parse_results(Path::new("sample"), crate::files::SAMPLE).unwrap();
        let mut result = run.results[0].clone();
        result.scenario.phases.iter_mut().for_each(|phase| phase.ramp = None);
        let count = |result: &ScenarioResult| {
            cells("raft-rs", std::slice::from_ref(result))
                .iter()
                .map(|place| place.cells.len())
                .sum::<usize>()
        };
        assert_eq!(count(&result), 1);
        let achieved =
            result.metrics.iter_mut().find(|metric| metric.name == "achieved_over_offered").unwrap();
        achieved.value = 0.9;
        assert_eq!(count(&result), 0);
    }

    #[test]
    fn equal_loads_become_one_cell_in_order() {
        let cells = merged(vec![
            cell(5, Load::Clients(4), 40.0, None),
            cell(3, Load::Rate(100.0), 100.0, Some(4e6)),
            cell(3, Load::Clients(16), 10.0, None),
            cell(3, Load::Rate(100.0), 100.0, Some(1e6)),
            cell(3, Load::Clients(4), 10.0, None),
        ]);
        let found: Vec<(usize, Load)> = cells.iter().map(|cell| (cell.replicas, cell.load)).collect();
        let expected =
            [(3, Load::Clients(4)), (3, Load::Clients(16)), (3, Load::Rate(100.0)), (5, Load::Clients(4))];
        assert_eq!(found, expected);
        assert!((cells[2].p99_ns.unwrap() - 2e6).abs() < 1.0, "the geometric mean");
    }

    #[test]
    fn the_latency_of_a_saturated_cluster_is_none() {
        let cells = merged(vec![
            cell(3, Load::Rate(100.0), 96.0, Some(1e6)),
            cell(3, Load::Rate(90.0), 89.0, Some(1e6)),
        ]);
        assert_eq!([&cells[0], &cells[1]].map(|cell| cell.p99_ns.is_some()), [true, false]);
        assert!(cells[1].saturated && !cells[0].saturated);
    }

    #[test]
    fn what_is_answered_after_the_end_is_no_sign_of_saturation() {
        // 0.3 ms of a load of 10 ms: three in a hundred are answered after it.
        let behind = |achieved, p50_ns, seconds| falls_behind(1e6, achieved, p50_ns, seconds);
        assert_eq!([behind(0.96e6, 3e5, 0.01), behind(0.9e6, 3e5, 0.01)], [Some(false), Some(true)]);
        // What takes a tenth of the load is no equilibrium, and with half of it nothing is.
        assert_eq!([behind(0.9e6, 1e6, 0.01), behind(0.2e6, 5e6, 0.01)], [None, None]);
    }

    #[test]
    fn surroundings_name_what_sets_them_apart() {
        let mut place = Surroundings {
            topology: None,
            network: NetworkConfig { delay_ms: 5.0, ..NetworkConfig::default() },
            storage: StorageConfig::Wal,
            payload_bytes: 128,
            costs: CostsConfig::default(),
            cores: 0,
            settings: BTreeMap::from([("batch".into(), 7.0)]),
        };
        assert_eq!(place.name(), "real, channel, links of 5 ms, wal, 128 bytes, batch=7");
        place.network = NetworkConfig::default();
        (place.topology, place.cores) = (Some("wan3".into()), 1);
        assert_eq!(place.name(), "virtual, wan3, wal, 128 bytes, work is free, cores shared: 1, batch=7");
    }
}
