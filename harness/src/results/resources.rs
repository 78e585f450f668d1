//! What a run took from its machine, and what held it back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples of a run, and what they point to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceUse {
    /// One for each stretch of time, of all phases.
    pub samples: Vec<ResourceSample>,
    /// What held the measured phase back, the gravest first; empty when nothing did that the rules
    /// know of.
    #[serde(default)]
    pub bottlenecks: Vec<Bottleneck>,
    /// What the metric `memory_growth_bytes_per_s` was taken from; none without that metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_growth_of: Option<MemoryLevel>,
}

/// Which level of memory a growth is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryLevel {
    /// Bytes that are allocated. The better sign: it falls when memory is given back.
    Heap,
    /// Resident memory of the process, which the allocator may keep after it was given back.
    Rss,
}

/// What happened in one stretch of time. Rates and shares are differences of counts over its length;
/// levels are those at its end. None where the system does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSample {
    /// Its end, in seconds since the sampler's epoch.
    pub at_s: f64,
    /// Its length in seconds.
    pub interval_s: f64,
    /// Share of all cores of the machine that were busy, with whatever else runs there, 0 to 1. Linux
    /// counts it in steps of 10 ms for each core, so one sample is coarse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_machine: Option<f64>,
    /// CPU time of this process over time: 1.3 is one core and a third of another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_process: Option<f64>,
    /// The same for each name of threads; threads that share a name add up. Empty where the system
    /// does not tell. A few milliseconds of a thread that runs on may appear in the next sample.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu_threads: BTreeMap<String, f64>,
    /// Time that threads of this process were ready to run and had no core, over time; several that
    /// wait at once can make it more than 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_delay: Option<f64>,
    /// Threads of the machine that run or wait, mean of about a minute: slower than most phases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_average_1m: Option<f64>,
    /// Memory of the machine in use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Resident memory of this process, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Bytes that this process has allocated and not given back; none unless its allocator counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_live_bytes: Option<u64>,
    /// Bytes per second through all network interfaces, in and out. They are those of the network
    /// namespace, so other programs are in it; bytes over the loopback interface count twice, and
    /// messages over channels not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_network_bytes_per_s: Option<f64>,
    /// Bytes per second that all replicas sent each other, messages of every kind.
    pub transport_bytes_per_s: f64,
    /// Messages per second that all replicas sent each other.
    pub transport_messages_per_s: f64,
    /// Bytes per second that all replicas wrote to their logs.
    pub log_bytes_per_s: f64,
    /// Flushes to stable storage per second of all replicas.
    pub syncs_per_s: f64,
    /// Bytes per second that this process made the system write to storage. 0 on a file system in
    /// memory (tmpfs), whatever was written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_write_bytes_per_s: Option<f64>,
    /// Share of time in which some task of the machine was ready and had no core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_cpu: Option<f64>,
    /// Share of time in which some task of the machine waited for storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_io: Option<f64>,
    /// Share of time in which some task of the machine waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_memory: Option<f64>,
}

/// Something that a run ran up against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// Of what there was not enough.
    pub resource: Resource,
    /// How much it matters.
    pub severity: Severity,
    /// What was measured.
    pub value: f64,
    /// What it had to exceed (for the generator: fall below) to be called this.
    pub threshold: f64,
    /// Unit of both.
    pub unit: String,
    /// What was seen and what it means, in words.
    pub evidence: String,
    /// The rule that found it, which has a page of explanation; empty in results of before there were any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Which share of the throughput, the response or the cost that it is about it takes, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<f64>,
}

/// Of what there was not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Cores of the machine.
    Cpu,
    /// The one thread that runs all replicas.
    ClusterThread,
    /// Memory, in the long run.
    Memory,
    /// Links between replicas: their delay, or their bandwidth.
    Network,
    /// Flushes to stable storage.
    Fsync,
    /// A free core at the moment when a thread was ready.
    RunQueue,
    /// The load generator: not the system, but what drove it.
    Generator,
    /// None that is known: the system as a whole.
    System,
}

/// How much a bottleneck matters, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// It shapes the numbers.
    Medium,
    /// The numbers say more about this than about the protocol.
    High,
}

impl Resource {
    /// How a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::ClusterThread => "cluster thread",
            Resource::Memory => "memory",
            Resource::Network => "network",
            Resource::Fsync => "fsync",
            Resource::RunQueue => "run queue",
            Resource::Generator => "generator",
            Resource::System => "system",
        }
    }
}

impl Severity {
    /// How a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}
