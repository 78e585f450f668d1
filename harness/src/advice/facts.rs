//! Everything that the rules look at, taken from results as they are on disk: one set of facts for the measured
//! phase of real time, and one for each combination of virtual time.

use std::collections::BTreeMap;

use protocol_core::{Descriptor, Order, Role};

use super::tunables::{Knob, knobs};
use crate::results::{
    Cell, CellLoad, ClusterConduct, Evidence, ExactCell, Metric, Outcome, ScenarioResult, ThroughputSummary,
    TimingUsed,
};
use crate::scenario::{Measure, Scenario, StorageConfig};

/// How the reasons of runs begin that failed because nothing was committed.
const NOT_SERVED: [&str; 2] = ["no command was acknowledged within", "nothing was committed within"];

/// What the rules look at. A rule whose numbers are not known finds nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Which numbers these are, as evidence names them: `steady phase`, `lan, 3 replicas, 64 clients`.
    pub source: String,
    /// The combination of a plan of virtual time that they are of; none in real time.
    pub cell: Option<Cell>,
    /// The library behind the protocol.
    pub implementation: String,
    /// Replicas.
    pub replicas: usize,
    /// Bytes of a command's payload.
    pub payload_bytes: f64,
    /// Whether replicas keep logs that they flush.
    pub has_log: bool,
    /// What replicas agree on; none of a protocol that is not registered.
    pub order: Option<Order>,
    /// The protocol's tunables with their values.
    pub knobs: Vec<Knob>,
    /// Failure-detection times in force.
    pub timing: Option<TimingUsed>,
    /// Why no command was served, of a run that failed because none was.
    pub not_served: Option<String>,
    /// There and back over the slowest link, in nanoseconds; 0 where no delay is set, none where it is not known.
    pub round_trip_ns_max: Option<f64>,
    /// See [`ClusterConduct::consensus_floor_ns`].
    pub consensus_floor_ns: Option<f64>,
    /// There and back between clients and the leader.
    pub client_round_trip_ns: f64,
    /// Commits per second.
    pub commits_per_s: Option<f64>,
    /// Requests under way at once: the clients of a closed loop; of an open one rate times response, by Little's
    /// law.
    pub in_flight: Option<f64>,
    /// Whether requests come when they are due, whatever was answered.
    pub is_open_loop: bool,
    /// Length of what was measured, in seconds.
    pub measured_s: Option<f64>,
    /// Median response at clients, in nanoseconds.
    pub response_ns_p50: Option<f64>,
    /// 99th percentile of the same.
    pub response_ns_p99: Option<f64>,
    /// From a replica taking a command up until it knew of its commit: the mean in real time, the median in virtual.
    pub consensus_ns: Option<f64>,
    /// Mean time from the client until a replica took the command up.
    pub submission_ns: Option<f64>,
    /// Mean time of a flush that a commit waits for.
    pub fsync_ns: Option<f64>,
    /// Commands in a proposal, mean.
    pub commands_per_proposal: Option<f64>,
    /// Protocol messages per commit.
    pub messages_per_commit: Option<f64>,
    /// The same over the least that any protocol of its kind can do with such proposals.
    pub messages_over_floor: Option<f64>,
    /// Flushes of all replicas per commit.
    pub syncs_per_commit: Option<f64>,
    /// Heartbeats of all replicas per second.
    pub heartbeats_per_s: Option<f64>,
    /// Heap allocations per commit.
    pub allocations_per_commit: Option<f64>,
    /// What earlier runs of the same took, as a median; none without a history of it.
    pub allocations_usual: Option<f64>,
    /// From the leader's loss until a command sent then was committed.
    pub recovery_ns: Option<f64>,
    /// How the cluster behaved.
    pub conduct: Option<ClusterConduct>,
    /// Share of all cores that were busy.
    pub cpu_machine_share: Option<f64>,
    /// CPU time of this process over time.
    pub cpu_process_cores: Option<f64>,
    /// CPU time of the cluster's thread over time.
    pub cluster_thread_cores: Option<f64>,
    /// Lower end of the interval of memory's growth, in bytes per second.
    pub memory_growth_lower_bytes_per_s: Option<f64>,
    /// What one link can carry, in bytes per second; none without a limit.
    pub bandwidth_bytes_per_s: Option<f64>,
    /// Time that threads of this process waited for a core, over time.
    pub run_delay_share: Option<f64>,
    /// Share of the offered load that the generator sent.
    pub achieved_over_offered: Option<f64>,
    /// Commits per second in the best interval of a rising load.
    pub maximum_per_s: Option<f64>,
    /// The same among intervals that held the target.
    pub optimal_per_s: Option<f64>,
    /// Shares of CPU time by kind of work, from a profile; empty without one.
    pub work_shares: BTreeMap<String, f64>,
    /// Where in the code that is.
    pub places: Places,
}

/// Where in the code something is done: of each the first few functions, as profiles name them. Empty without a
/// profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Where the protocol's own CPU time goes.
    pub protocol: Vec<Evidence>,
    /// Where messages are encoded and decoded.
    pub encoding: Vec<Evidence>,
    /// Where memory is taken.
    pub allocations: Vec<Evidence>,
}

/// What is known beside the results of a run.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// Shares of CPU time by kind of work, by protocol and scenario, from the profiles in the run's folder.
    pub work_shares: BTreeMap<(String, String), BTreeMap<String, f64>>,
    /// Where in the code that is, by protocol and scenario.
    pub places: BTreeMap<(String, String), Places>,
    /// Medians of earlier runs' metrics, by protocol and scenario.
    pub usual: BTreeMap<(String, String), BTreeMap<String, f64>>,
}

impl Facts {
    /// All sets of facts of a result. `descriptor` is the protocol's; without it nothing is known of its tunables.
    pub fn of_result(
        result: &ScenarioResult,
        descriptor: Option<&Descriptor>,
        background: &Background,
    ) -> Vec<Facts> {
        let key = (result.protocol.clone(), result.scenario.name.clone());
        let known = Facts {
            work_shares: background.work_shares.get(&key).cloned().unwrap_or_default(),
            places: background.places.get(&key).cloned().unwrap_or_default(),
            ..Facts::of_scenario(result, descriptor)
        };
        let usual = background.usual.get(&key);
        if let Outcome::Failed { reason } = &result.outcome {
            let not_served =
                Some(reason).filter(|reason| NOT_SERVED.iter().any(|how| reason.starts_with(how)));
            let cell = slowest_cell(&result.scenario);
            return vec![Facts {
                not_served: not_served.cloned(),
                cell,
                ..known.with_links_of(&result.scenario)
            }];
        }
        match &result.exact {
            Some(exact) => exact.cells.iter().map(|cell| known.clone().with_cell(cell, usual)).collect(),
            None => vec![known.with_phase(result, usual)],
        }
    }

    /// What is the same for all combinations.
    fn of_scenario(result: &ScenarioResult, descriptor: Option<&Descriptor>) -> Facts {
        let scenario = &result.scenario;
        Facts {
            source: "the run".into(),
            implementation: result.implementation.clone(),
            replicas: scenario.replicas,
            payload_bytes: scenario.payload_bytes as f64,
            has_log: scenario.storage == StorageConfig::Wal,
            order: descriptor.map(|descriptor| descriptor.order),
            knobs: descriptor.map(|descriptor| knobs(descriptor, &result.settings)).unwrap_or_default(),
            timing: Some(result.timing),
            bandwidth_bytes_per_s: scenario.network.bandwidth_bytes_per_s,
            recovery_ns: recovery_of_faults(result),
            ..Facts::default()
        }
    }

    /// Links as the scenario sets them, for a run that does not tell how its cluster behaved.
    fn with_links_of(self, scenario: &Scenario) -> Facts {
        let round_trip_ns_max = match &scenario.measure {
            Measure::Exact(_) => {
                slowest_cell(scenario).and_then(|cell| slowest_round_trip_ns(&cell.topology, cell.replicas))
            }
            Measure::VirtualFaultTolerance(plan) => slowest_round_trip_ns(&plan.topology, scenario.replicas),
            _ => Some(2.0 * (scenario.network.delay_ms + scenario.network.jitter_ms) * 1e6),
        };
        Facts { round_trip_ns_max, ..self }
    }

    /// What is known of links and timing by how the cluster behaved.
    fn with_conduct(self, conduct: &ClusterConduct) -> Facts {
        Facts {
            timing: Some(conduct.timing),
            round_trip_ns_max: Some(conduct.round_trip_ns_max),
            consensus_floor_ns: conduct.consensus_floor_ns.filter(|&time| time > 0.0),
            client_round_trip_ns: conduct.client_round_trip_ns,
            conduct: Some(conduct.clone()),
            ..self
        }
    }

    fn with_cell(self, cell: &ExactCell, usual: Option<&BTreeMap<String, f64>>) -> Facts {
        let value = value_in(&cell.metrics);
        let (rate, p50) = (value("throughput_per_s"), value("client_latency_ns_p50"));
        let in_flight = match cell.offered_per_s {
            Some(_) => little(rate, p50),
            None => Some(cell.clients as f64),
        };
        let usual = usual.and_then(|usual| usual.get(&format!("{}_allocations_per_commit", cell.prefix())));
        let of = Cell::of(cell);
        let known = match &cell.conduct {
            Some(conduct) => self.with_conduct(conduct),
            None => Facts { round_trip_ns_max: slowest_round_trip_ns(&cell.topology, cell.replicas), ..self },
        };
        Facts {
            source: of.to_string(),
            cell: Some(of),
            replicas: cell.replicas,
            commits_per_s: rate,
            in_flight,
            is_open_loop: cell.offered_per_s.is_some(),
            measured_s: rate.map(|rate| cell.commits as f64 / rate),
            response_ns_p50: p50,
            response_ns_p99: value("client_latency_ns_p99"),
            consensus_ns: value("leader_latency_ns_p50"),
            recovery_ns: value("recovery_ns"),
            allocations_usual: usual.copied(),
            ..known.with_costs(&cell.metrics)
        }
    }

    fn with_phase(self, result: &ScenarioResult, usual: Option<&BTreeMap<String, f64>>) -> Facts {
        let value = value_in(&result.metrics);
        let measured = result.scenario.measured_phase().and_then(|index| result.phases.get(index));
        let (rate, p50) = (value("throughput_per_s"), value("response_ns_p50"));
        let throughput = result.throughput.as_ref();
        let known = match &result.conduct {
            Some(conduct) => self.with_conduct(conduct),
            None => self.with_links_of(&result.scenario),
        };
        Facts {
            source: measured.map_or("the run".into(), |phase| format!("{} phase", phase.phase.name())),
            commits_per_s: rate,
            in_flight: little(rate, p50),
            is_open_loop: true,
            measured_s: measured.map(|phase| phase.duration_s),
            response_ns_p50: p50,
            response_ns_p99: value("response_ns_p99"),
            consensus_ns: value("consensus_ns_mean"),
            submission_ns: value("submission_ns_mean"),
            fsync_ns: value("fsync_ns_mean").filter(|_| known.has_log),
            cpu_machine_share: value("cpu_machine_share"),
            cpu_process_cores: value("cpu_process_cores"),
            cluster_thread_cores: value("cluster_thread_cores"),
            memory_growth_lower_bytes_per_s: result
                .metric("memory_growth_bytes_per_s")
                .and_then(|metric| metric.lower),
            // The phase's own is exact over the phase; samples cover what lies within it.
            run_delay_share: value("run_delay_ratio").or_else(|| value("run_delay_share")),
            achieved_over_offered: value("achieved_over_offered"),
            maximum_per_s: throughput.map(|summary| summary.maximum_per_s),
            optimal_per_s: throughput.and_then(best_that_held),
            allocations_usual: usual.and_then(|usual| usual.get("allocations_per_commit")).copied(),
            ..known.with_costs(&result.metrics)
        }
    }

    /// What real and virtual time count alike.
    fn with_costs(self, metrics: &[Metric]) -> Facts {
        let value = value_in(metrics);
        Facts {
            commands_per_proposal: value("commands_per_proposal"),
            messages_per_commit: value("messages_per_commit"),
            messages_over_floor: value("messages_per_commit_over_floor"),
            syncs_per_commit: value("syncs_per_commit"),
            heartbeats_per_s: value("heartbeats_per_s"),
            allocations_per_commit: value("allocations_per_commit"),
            ..self
        }
    }

    /// The tunables of a role.
    pub fn knobs_of(&self, role: Role) -> impl Iterator<Item = &Knob> {
        self.knobs.iter().filter(move |knob| knob.role == role)
    }

    /// Response at least, over these links: consensus and the way to the leader and back. None when no delay is
    /// set: then whatever a response takes is work.
    pub fn response_floor_ns(&self) -> Option<f64> {
        self.consensus_floor_ns.map(|floor| floor + self.client_round_trip_ns)
    }

    /// Bytes per second over the busiest link: the replica that sent most, over its links to all others. It takes
    /// replicas to send alike to each of their peers, as leaders do; one that favours a peer has a busier link
    /// than this says.
    pub fn busiest_link_bytes_per_s(&self) -> Option<f64> {
        let links = self.replicas.checked_sub(1).filter(|&links| links > 0)? as f64;
        let seconds = self.measured_s.filter(|&seconds| seconds > 0.0)?;
        let most = self.conduct.as_ref()?.replicas.iter().map(|replica| replica.bytes).max()?;
        Some(most as f64 / links / seconds)
    }
}

/// Metrics by name; not a number is no number.
fn value_in(metrics: &[Metric]) -> impl Fn(&str) -> Option<f64> {
    move |name| {
        let found = metrics.iter().find(|metric| metric.name == name)?;
        Some(found.value).filter(|value| value.is_finite())
    }
}

fn little(rate_per_s: Option<f64>, response_ns: Option<f64>) -> Option<f64> {
    Some(rate_per_s? * response_ns? / 1e9)
}

/// The best rate that held the target, in the ramp or in the search for the knee.
fn best_that_held(summary: &ThroughputSummary) -> Option<f64> {
    let rates = summary.optimal_per_s.into_iter().chain(summary.knee.sustainable_per_s);
    rates.max_by(f64::total_cmp)
}

/// How long no one was served after the leader's crash, as a median over its cycles.
fn recovery_of_faults(result: &ScenarioResult) -> Option<f64> {
    let fault = result.faults.iter().find(|fault| fault.fault.starts_with("crash_leader"))?;
    value_in(&fault.metrics)("unavailability_ns")
}

/// The combination of a plan whose time-outs are the first that can be too short: the place with the slowest links,
/// the largest cluster and the most clients. None of a scenario without a plan.
fn slowest_cell(scenario: &Scenario) -> Option<Cell> {
    let Measure::Exact(plan) = &scenario.measure else { return None };
    let replicas = *plan.replicas.iter().max()?;
    let round_trip = |name: &String| slowest_round_trip_ns(name, replicas).unwrap_or(0.0);
    let topology = plan.topologies.iter().max_by(|a, b| round_trip(a).total_cmp(&round_trip(b)))?;
    let load = CellLoad::Clients(*plan.clients.iter().max()?);
    Some(Cell { topology: topology.clone(), replicas, load })
}

/// There and back over the slowest link of a built-in topology, in nanoseconds; none for one of a file, which is not
/// read here.
fn slowest_round_trip_ns(topology: &str, replicas: usize) -> Option<f64> {
    let topology = crate::topology::built_in(topology).ok()?;
    Some(2.0 * topology.largest_one_way(replicas).as_nanos() as f64)
}
