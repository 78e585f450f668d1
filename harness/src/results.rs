//! Results as plain data: what `results.json` holds, and nothing that only a program can read.
//!
//! The JSON Schema of [`RunResults`] is committed as `harness/results.schema.json`.

mod advice;
mod conduct;
mod exact;
mod faults;
mod quorums;
mod ranking;
mod registers;
mod resources;
mod scalability;
mod throughput;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::Timing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use advice::{
    Advice, Cell, CellLoad, Change, Confidence, Effect, Evidence, Recommendation, Status, Symptom, Withheld,
};
pub use conduct::{ClusterConduct, ReplicaConduct};
pub use exact::{ExactCell, ExactResult, GrowthFit};
pub use faults::{FaultCycle, FaultResult, FaultTimeline};
pub use quorums::{ClusterQuorums, quorums_in_words};
pub use ranking::{
    Analysis, Basis, Cost, Costs, Crossing, CurveComparison, CurveOutcome, NotRanked, Place, Ranking, Ratio,
};
pub use registers::RegisterCheck;
pub use resources::{Bottleneck, MemoryLevel, Resource, ResourceSample, ResourceUse, Severity};
pub use scalability::{Estimate, NotFitted, Scalability, ScalabilityCell, UslFit};
pub use throughput::{CurvePoint, Knee, KneeLimit, ThroughputSummary};

use crate::scenario::{PhaseKind, Scenario};
use crate::topology::Topology;

/// Version of the schema of [`RunResults`]. Files of a later version are refused.
pub const SCHEMA_VERSION: u32 = 3;

/// One run: one manifest, and a result for every pair of protocol and scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResults {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Name of the run's folder; sorts by time.
    pub run_id: String,
    /// Start, in seconds since 1970.
    pub started_unix_s: u64,
    /// False while the run goes on, and for good when it was interrupted.
    pub complete: bool,
    /// What is needed to repeat the run.
    pub manifest: Manifest,
    /// One per protocol and scenario, in the order they ran.
    pub results: Vec<ScenarioResult>,
    /// The protocols against each other; none until the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
}

/// Everything about a run that is the same for all its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Version of consensus-bench.
    pub harness_version: String,
    /// Commit of the working tree, with `+` when it was changed; none outside git.
    pub commit: Option<String>,
    /// The command that ran.
    pub command: Vec<String>,
    /// Where it ran.
    pub machine: Machine,
    /// Where clients are, and so which hops latency includes.
    pub client_placement: String,
    /// Topologies of files of one's own, as they were, by what scenarios call them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topologies: BTreeMap<String, Topology>,
}

/// A machine, as far as it decides what wall-clock numbers mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Short digest of CPU model, cores, kernel and compiler: wall-clock numbers are only compared
    /// under the same one.
    pub fingerprint: String,
    /// CPU model.
    pub cpu_model: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and version.
    pub os: String,
    /// Kernel version.
    pub kernel: String,
    /// Compiler version.
    pub rustc: String,
}

/// One protocol under one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResult {
    /// Protocol.
    pub protocol: String,
    /// Library behind it, with its version.
    pub implementation: String,
    /// Family, by how it works.
    pub family: String,
    /// What clients are promised; only rows that promise the same are ranked against each other. Empty in
    /// results that are older than the distinction.
    #[serde(default)]
    pub promise: String,
    /// What a commit means for this protocol.
    pub commit_means: String,
    /// How many replicas its steps take, in each size of the scenario's clusters; empty in results of before
    /// these were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quorums: Vec<ClusterQuorums>,
    /// The scenario as it ran, complete.
    pub scenario: Scenario,
    /// Settings that differ from the protocol's defaults.
    pub settings: BTreeMap<String, f64>,
    /// Failure-detection times in force.
    pub timing: TimingUsed,
    /// How it ended.
    pub outcome: Outcome,
    /// Why its wall-clock numbers are not to be trusted; empty when nothing disturbed it.
    pub disturbed: Vec<String>,
    /// The safety check.
    pub safety: Safety,
    /// The measured phase's numbers, or none when the outcome withholds them.
    pub metrics: Vec<Metric>,
    /// All phases, in order.
    pub phases: Vec<PhaseResult>,
    /// Time of one `fdatasync` of a small append where the logs are; none without logs.
    pub fsync: Option<FsyncCalibration>,
    /// What the throughput measurement found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<ThroughputSummary>,
    /// What the scalability measurement found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability: Option<Scalability>,
    /// How the cluster behaved in the measured phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conduct: Option<ClusterConduct>,
    /// What was counted in virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactResult>,
    /// What the fault-tolerance measurement found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultResult>,
    /// What the run took from its machine, and what held it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceUse>,
}

/// Failure-detection times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimingUsed {
    /// Between heartbeats.
    pub heartbeat_ms: f64,
    /// Shortest silence before an election.
    pub election_min_ms: f64,
    /// Longest silence before an election.
    pub election_max_ms: f64,
}

impl TimingUsed {
    /// The times as results show them.
    pub fn of(timing: Timing) -> Self {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        TimingUsed {
            heartbeat_ms: millis(timing.heartbeat),
            election_min_ms: millis(timing.election_min),
            election_max_ms: millis(timing.election_max),
        }
    }
}

/// How a result came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// All phases ran.
    Completed,
    /// Someone stopped it; what was measured until then is kept.
    Interrupted,
    /// It did not run to its end.
    Failed {
        /// Why.
        reason: String,
    },
    /// The safety check failed; the numbers are withheld.
    Unsafe,
}

/// The safety check of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Safety {
    /// Whether the check ran. Numbers are never given without it.
    pub checked: bool,
    /// What was broken, in words.
    pub violations: Vec<String>,
    /// Commands sent.
    pub submitted: u64,
    /// Commands acknowledged to clients.
    pub acknowledged: u64,
    /// Commands applied, on the replica that applied most.
    pub applied: u64,
    /// Deliveries without effect, because a client had sent a command again.
    pub duplicates: u64,
    /// Replicas that were compared.
    pub replicas: usize,
    /// Acknowledged commands that a replica did not apply, on the replica that missed most.
    #[serde(default)]
    pub lost: u64,
    /// Commands delivered again without a client having sent them again.
    #[serde(default)]
    pub applied_twice: u64,
    /// What reads showed, of a protocol of registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registers: Option<RegisterCheck>,
}

impl Safety {
    /// Takes in the check of another cluster of the same result.
    pub fn include(&mut self, other: Safety) {
        let first = !self.checked && self.violations.is_empty();
        self.checked = other.checked && (first || self.checked);
        self.violations.extend(other.violations);
        self.submitted += other.submitted;
        self.acknowledged += other.acknowledged;
        self.applied += other.applied;
        self.duplicates += other.duplicates;
        self.replicas = self.replicas.max(other.replicas);
        self.lost += other.lost;
        self.applied_twice += other.applied_twice;
        if let Some(registers) = other.registers {
            self.registers.get_or_insert_default().include(registers);
        }
    }
}

/// One phase of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseResult {
    /// Which phase.
    pub phase: PhaseKind,
    /// How long it lasted, in seconds.
    pub duration_s: f64,
    /// What happened in each interval.
    pub intervals: Vec<Interval>,
    /// Its numbers.
    pub metrics: Vec<Metric>,
    /// Histogram files of this phase in the run's folder, by what they hold.
    pub histograms: BTreeMap<String, String>,
}

/// A stretch of a phase under one offered rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Start within the phase, in seconds.
    pub start_s: f64,
    /// Length in seconds.
    pub duration_s: f64,
    /// Requests per second that were to be sent.
    pub offered_per_s: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests acknowledged.
    pub succeeded: u64,
    /// Requests refused, timed out or lost.
    pub failed: u64,
    /// Mean response time in nanoseconds, failures included; 0 when nothing ended.
    pub mean_ns: f64,
    /// 95th percentile of the response time.
    pub p95_ns: u64,
    /// 99th percentile of the response time.
    pub p99_ns: u64,
    /// Median of the response time.
    #[serde(default)]
    pub p50_ns: u64,
    /// CPU time of the process without the load generator's thread, in nanoseconds; none where the
    /// system does not tell.
    #[serde(default)]
    pub cpu_ns: Option<u64>,
    /// Protocol messages that replicas sent.
    #[serde(default)]
    pub messages: u64,
    /// Their bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Flushes to stable storage.
    #[serde(default)]
    pub syncs: u64,
    /// Share of the offered load that the generator sent.
    #[serde(default = "all_of_it")]
    pub reached: f64,
}

/// Runs from before the share was kept were not told apart by it.
fn all_of_it() -> f64 {
    1.0
}

/// A number with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Name, ending in its unit: `response_ns_p99`.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// Lower end of the 95 % interval; none when there is no basis for one.
    pub lower: Option<f64>,
    /// Upper end of the 95 % interval.
    pub upper: Option<f64>,
    /// Unit, in words of the field: `ns`, `1/s`, `bytes`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What kind of number it is, and so which test may judge it.
    pub class: Class,
    /// Observations behind it.
    pub n: u64,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it describes.
    Neither,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The same in every repetition; compared for equality.
    Exact,
    /// CPU time.
    Cpu,
    /// Depends on the clock, counts of a real-time run included.
    Wall,
    /// A target that is met or not.
    Slo,
}

/// Time of one small append and `fdatasync`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FsyncCalibration {
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Flushes measured.
    pub n: u64,
}

impl ScenarioResult {
    /// How a table names it: network and durability are part of the name.
    pub fn row_name(&self) -> String {
        format!("{} [{}, {}]", self.protocol, self.network_name(), self.scenario.storage.name())
    }

    /// How messages moved.
    pub fn network_name(&self) -> &'static str {
        self.scenario.network_name()
    }

    /// Takes back all numbers of a run that was unsafe or did not come to its end. What was found
    /// about single faults stays: it says which of them it was.
    pub fn withhold(&mut self) {
        self.metrics.clear();
        self.phases.clear();
        self.throughput = None;
        self.scalability = None;
        self.resources = None;
        self.conduct = None;
        self.exact = None;
        self.faults.iter_mut().for_each(|fault| fault.metrics.clear());
    }

    /// One of the measured phase's metrics.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}
