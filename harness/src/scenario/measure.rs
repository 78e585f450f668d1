//! What a scenario measures: the table `[scenario.measure]`, and the tables of faults and hooks.

use protocol_core::Behaviour;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::CostsConfig;

/// What is measured. Every kind runs the scenario's phases first, if there are any, and its tables
/// show what it is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Measure {
    /// Throughput, latency and cost of the phases.
    #[default]
    Load,
    /// Then the highest rate that holds the target, by bisection.
    Throughput(KneeSearch),
    /// Latency in detail, and where it goes inside the cluster.
    Latency,
    /// What the load costs in CPU, memory, network and storage, and what limits it.
    Resources,
    /// Closed loops over sizes of the cluster and numbers of clients.
    Scalability(Sweep),
    /// Faults under load, one after the other.
    FaultTolerance(FaultPlan),
    /// Counts and latencies in virtual time: the same on every machine.
    Exact(ExactPlan),
    /// Faults under a constant load in virtual time: the same on every machine.
    VirtualFaultTolerance(VirtualFaultPlan),
}

impl Measure {
    /// The name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Measure::Load => "load",
            Measure::Throughput(_) => "throughput",
            Measure::Latency => "latency",
            Measure::Resources => "resources",
            Measure::Scalability(_) => "scalability",
            Measure::FaultTolerance(_) => "fault_tolerance",
            Measure::Exact(_) => "exact",
            Measure::VirtualFaultTolerance(_) => "virtual_fault_tolerance",
        }
    }

    /// What a benchmark's id ends in.
    pub fn id(&self) -> &'static str {
        if matches!(self, Measure::Load) { "open_loop" } else { self.name() }
    }

    /// Whether it is the scenario's phases that give the numbers.
    pub fn needs_phases(&self) -> bool {
        !matches!(self, Measure::Scalability(_) | Measure::FaultTolerance(_)) && !self.is_virtual()
    }

    /// The topologies that it runs over, as the scenario calls them.
    pub fn topologies(&self) -> Vec<&str> {
        match self {
            Measure::Exact(plan) => plan.topologies.iter().map(String::as_str).collect(),
            Measure::VirtualFaultTolerance(plan) => vec![&plan.topology],
            _ => Vec::new(),
        }
    }

    /// Whether it runs in virtual time, over links of a topology.
    pub fn is_virtual(&self) -> bool {
        matches!(self, Measure::Exact(_) | Measure::VirtualFaultTolerance(_))
    }
}

/// What a rate has to hold to count as sustained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// 99th percentile of the response time, at most.
    pub response_p99_ms: f64,
    /// Share of requests that succeed within their interval, at least.
    pub success: f64,
}

impl Default for Target {
    fn default() -> Self {
        Target { response_p99_ms: 100.0, success: 0.95 }
    }
}

impl Target {
    /// Whether an interval holds it.
    pub fn holds(&self, p99_ns: u64, success: f64) -> bool {
        p99_ns as f64 <= self.response_p99_ms * 1e6 && success >= self.success
    }
}

/// The search for the highest rate that holds the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KneeSearch {
    /// First rate to probe; doubled until it breaks.
    pub start_per_s: f64,
    /// Highest rate to probe.
    pub highest_per_s: f64,
    /// Length of a probe.
    pub probe_s: f64,
    /// Length of the probe that confirms the result.
    pub confirm_s: f64,
    /// The bracket is narrowed until its ends differ by less than this share.
    pub precision: f64,
}

impl Default for KneeSearch {
    fn default() -> Self {
        KneeSearch {
            start_per_s: 1_000.0,
            highest_per_s: 1_000_000.0,
            probe_s: 0.5,
            confirm_s: 2.0,
            precision: 0.05,
        }
    }
}

impl KneeSearch {
    /// The longest that a search may take, in seconds, with requests that time out after
    /// `timeout_s`.
    pub fn longest_s(&self, timeout_s: f64) -> f64 {
        let doublings =
            (self.highest_per_s / self.start_per_s).log2().ceil() + self.start_per_s.log2().ceil();
        let bisections = (std::f64::consts::LN_2 / (1.0 + self.precision).ln()).log2().ceil();
        let probes = doublings.max(1.0) + bisections.max(1.0) + 6.0;
        // A probe is followed by the wait for what it left behind.
        probes * (2.0 * self.probe_s + timeout_s) + 13.0 * (2.0 * self.confirm_s + timeout_s)
    }
}

/// Closed loops over sizes and clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Sizes of the cluster; the scenario's own `replicas` is not used.
    pub replicas: Vec<usize>,
    /// Clients, each with one request in flight.
    pub clients: Vec<usize>,
    /// Rounds of each combination, the blocks of its interval.
    pub rounds: usize,
    /// Length of a round, about.
    pub round_s: f64,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { replicas: vec![3, 5, 7, 9], clients: vec![1, 4, 16, 64, 256], rounds: 8, round_s: 0.05 }
    }
}

/// Loads in virtual time, over topologies, sizes, and clients or rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactPlan {
    /// Built-in topologies, or paths of topology files.
    pub topologies: Vec<String>,
    /// Sizes of the cluster; the scenario's own `replicas` and network are not used.
    pub replicas: Vec<usize>,
    /// Clients, each with one request in flight.
    pub clients: Vec<usize>,
    /// Commits before anything is counted.
    pub warm_up_commits: u64,
    /// Commits that are counted.
    pub commits: u64,
    /// Whether the leader then crashes, to see how long no one is served.
    pub recovery: bool,
    /// What work costs. Without costs nothing ever saturates.
    #[serde(skip_serializing_if = "CostsConfig::is_none")]
    pub costs: CostsConfig,
    /// Cores that all replicas share; 0 gives each one of its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub cores: usize,
    /// Offered rates of open loops, in requests per second, besides the closed ones. Each sends as many
    /// requests as `commits`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rates_per_s: Vec<f64>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Default for ExactPlan {
    fn default() -> Self {
        ExactPlan {
            topologies: vec!["lan".into()],
            replicas: vec![5],
            clients: vec![1, 64],
            warm_up_commits: 200,
            commits: 2_000,
            recovery: true,
            costs: CostsConfig::default(),
            cores: 0,
            rates_per_s: Vec::new(),
        }
    }
}

/// Faults under a constant load, each on a cluster of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// Requests per second.
    #[serde(default = "default_fault_rate")]
    pub rate_per_s: f64,
    /// Undisturbed time before each fault.
    #[serde(default = "default_before")]
    pub before_s: f64,
    /// How long a fault lasts, unless it says otherwise.
    #[serde(default = "default_for")]
    pub for_s: f64,
    /// Time after each fault's end in which the cluster is watched.
    #[serde(default = "default_after")]
    pub after_s: f64,
    /// How often each fault is given, the basis of intervals.
    #[serde(default = "default_cycles")]
    pub cycles: usize,
    /// The faults.
    #[serde(rename = "fault")]
    pub faults: Vec<FaultConfig>,
}

fn default_fault_rate() -> f64 {
    2_000.0
}

fn default_before() -> f64 {
    0.4
}

fn default_for() -> f64 {
    1.2
}

fn default_after() -> f64 {
    0.6
}

fn default_cycles() -> usize {
    3
}

/// Faults under a constant load in virtual time. Each is given once per seed, to a cluster of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualFaultPlan {
    /// Built-in topology, or the path of a topology file.
    #[serde(default = "default_topology")]
    pub topology: String,
    /// Requests per second of all clients together.
    #[serde(default = "default_virtual_fault_rate")]
    pub rate_per_s: f64,
    /// Clients that share the rate, each sending at equal distances, whatever becomes of its requests.
    #[serde(default = "default_virtual_clients")]
    pub clients: usize,
    /// Undisturbed time before each fault.
    #[serde(default = "default_before")]
    pub before_s: f64,
    /// How long a fault lasts, unless it says otherwise.
    #[serde(default = "default_for")]
    pub for_s: f64,
    /// Time after each fault's end in which the cluster is watched.
    #[serde(default = "default_after")]
    pub after_s: f64,
    /// How many seeds, from the scenario's on.
    #[serde(default = "default_seeds")]
    pub seeds: usize,
    /// The faults.
    #[serde(rename = "fault")]
    pub faults: Vec<FaultConfig>,
}

fn default_topology() -> String {
    "lan".into()
}

fn default_virtual_fault_rate() -> f64 {
    1_000.0
}

fn default_virtual_clients() -> usize {
    10
}

fn default_seeds() -> usize {
    5
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultConfig {
    /// What happens.
    #[serde(deserialize_with = "named_kind")]
    pub kind: FaultKind,
    /// To whom. The leader is whoever leads when the fault begins.
    #[serde(deserialize_with = "named_target")]
    pub target: FaultTarget,
    /// How long, in place of the plan's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// Size of the cluster, in place of the scenario's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
    /// How often, in place of the plan's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<usize>,
    /// `loss`: share of messages lost, both ways.
    #[serde(default = "default_loss")]
    pub loss: f64,
    /// `slow`: how much later each message to and from the replica arrives.
    #[serde(default = "default_extra_delay")]
    pub extra_delay_ms: f64,
}

/// Below a tagged table the parser knows no lines, so errors name their key themselves.
fn named_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FaultKind, D::Error> {
    FaultKind::deserialize(deserializer).map_err(|error| D::Error::custom(format!("fault.kind: {error}")))
}

fn named_target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FaultTarget, D::Error> {
    FaultTarget::deserialize(deserializer).map_err(|error| D::Error::custom(format!("fault.target: {error}")))
}

fn default_loss() -> f64 {
    0.1
}

fn default_extra_delay() -> f64 {
    20.0
}

/// What happens to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Its process dies; at the fault's end it restarts from its log.
    Crash,
    /// It is cut off from all others, both ways.
    Cut,
    /// What it sends is lost; it hears the others.
    CutOutgoing,
    /// What is sent to it is lost; the others hear it.
    CutIncoming,
    /// Every link is cut but those of one other replica, the hub: only the hub sees a quorum.
    PartialConnectivity,
    /// A share of the messages from and to it is lost.
    Loss,
    /// Gray failure: messages from and to it take longer.
    Slow,
    /// Its process stands still, and so does its idea of time; at the fault's end it goes on.
    Pause,
    /// It lies: see [`Behaviour::Silent`](protocol_core::Behaviour). Lies end with the fault.
    Silent,
    /// It lies: it says everything late, by most of what others wait before they suspect it.
    Late,
    /// It lies: it tells one half of the replicas something else than the other.
    Equivocate,
    /// It lies: its signatures and codes don't hold.
    CorruptSignatures,
    /// It lies about what happened before, when views change.
    LyingViewChange,
    /// It lies: it repeats what it said long ago.
    Replay,
    /// It lies: it talks to fewer than half of the replicas.
    SelectiveSending,
}

impl FaultKind {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Crash => "crash",
            FaultKind::Cut => "cut",
            FaultKind::CutOutgoing => "cut_outgoing",
            FaultKind::CutIncoming => "cut_incoming",
            FaultKind::PartialConnectivity => "partial_connectivity",
            FaultKind::Loss => "loss",
            FaultKind::Slow => "slow",
            FaultKind::Pause => "pause",
            FaultKind::Silent => "silent",
            FaultKind::Late => "late",
            FaultKind::Equivocate => "equivocate",
            FaultKind::CorruptSignatures => "corrupt_signatures",
            FaultKind::LyingViewChange => "lying_view_change",
            FaultKind::Replay => "replay",
            FaultKind::SelectiveSending => "selective_sending",
        }
    }

    /// How the replica lies; none when it does not.
    pub fn behaviour(self) -> Option<Behaviour> {
        match self {
            FaultKind::Silent => Some(Behaviour::Silent),
            FaultKind::Late => Some(Behaviour::Slow),
            FaultKind::Equivocate => Some(Behaviour::Equivocate),
            FaultKind::CorruptSignatures => Some(Behaviour::CorruptSignatures),
            FaultKind::LyingViewChange => Some(Behaviour::LyingViewChange),
            FaultKind::Replay => Some(Behaviour::Replay),
            FaultKind::SelectiveSending => Some(Behaviour::SelectiveSending),
            _ => None,
        }
    }
}

/// Which replicas a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultTarget {
    /// The leader.
    Leader,
    /// One that does not lead.
    Follower,
    /// As many as the protocol tolerates, none of them the leader.
    Minority,
    /// One more than the protocol tolerates, the leader among them.
    Majority,
}

impl FaultTarget {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            FaultTarget::Leader => "leader",
            FaultTarget::Follower => "follower",
            FaultTarget::Minority => "minority",
            FaultTarget::Majority => "majority",
        }
    }
}

impl FaultConfig {
    /// The name in tables and metrics: `crash_leader`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.kind.name(), self.target.name())
    }
}

/// Commands that run before and after each protocol of a scenario, through the system's shell, with
/// these in their environment: `CONSENSUS_BENCH_RUN_FOLDER`, `CONSENSUS_BENCH_SCENARIO`,
/// `CONSENSUS_BENCH_PROTOCOL`, and after the run `CONSENSUS_BENCH_RESULTS` (the path of
/// `results.json`) and `CONSENSUS_BENCH_OUTCOME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// Before the launch, in order. One that fails stops the run.
    pub pre: Vec<String>,
    /// After the results are written, in order, whatever the outcome.
    pub post: Vec<String>,
    /// A command that takes longer is killed, and has failed.
    pub timeout_s: f64,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks { pre: Vec::new(), post: Vec::new(), timeout_s: 60.0 }
    }
}

impl Hooks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pre.is_empty() && self.post.is_empty()
    }
}
