//! A protocol as the benchmark lists it: what it is, what it promises, and how to launch it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::applied::Order;
use crate::byzantine::Behaviour;
use crate::cluster::Cluster;
use crate::command::CommandId;
use crate::network::NetworkSpec;
use crate::operation::Operation;
use crate::quorums::Quorums;
use crate::settings::{Constraint, Settings, Tunable};
use crate::simulation::{Simulation, SimulationSpec};
use crate::storage::StorageSpec;
use crate::timing::Timing;

/// Which family a protocol belongs to, by how it works. What it promises is another matter:
/// [`Descriptor::promise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Raft.
    Raft,
    /// Paxos and its variants.
    Paxos,
    /// Agreement among replicas that may lie.
    Byzantine,
    /// Epidemic dissemination and membership.
    Gossip,
    /// Read and write quorums without a total order.
    Quorum,
}

impl Family {
    /// The name in lists and results.
    pub fn name(self) -> &'static str {
        match self {
            Family::Raft => "raft",
            Family::Paxos => "paxos",
            Family::Byzantine => "byzantine",
            Family::Gossip => "gossip",
            Family::Quorum => "quorum",
        }
    }
}

/// What replicas may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultModel {
    /// Stop, and come back with their log.
    Crash,
    /// Anything, lies included.
    Byzantine,
}

/// The least that any protocol of its kind can do per batch of commands, clients left out. Counts are
/// those of all replicas together; what a protocol can do without has the floor 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// Messages between replicas per batch; zero where no number can be given, and then nothing is set
    /// against it.
    pub messages_per_batch: f64,
    /// One-way delays until the replica that answers the client knows.
    pub delays: f64,
    /// Signatures made per batch.
    pub signatures_per_batch: f64,
    /// Signatures checked per batch.
    pub verifications_per_batch: f64,
    /// Message authentication codes made or checked per batch.
    pub macs_per_batch: f64,
    /// Authentication codes made or checked by all replicas together for each command of a batch.
    pub macs_per_command: f64,
}

impl Floors {
    /// Floors of a protocol whose replicas take each other's word, as those do that tolerate crashes only.
    pub const fn without_cryptography(messages_per_batch: f64, delays: f64) -> Floors {
        Floors {
            messages_per_batch,
            delays,
            signatures_per_batch: 0.0,
            verifications_per_batch: 0.0,
            macs_per_batch: 0.0,
            macs_per_command: 0.0,
        }
    }
}

/// What a protocol is and promises.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Short name, as given to `--protocol`.
    pub name: &'static str,
    /// Family.
    pub family: Family,
    /// The library behind it, with its version.
    pub implementation: &'static str,
    /// What may go wrong.
    pub fault_model: FaultModel,
    /// Replicas that may fail at once in a cluster of n under these settings.
    pub tolerates: fn(n: usize, &Settings) -> usize,
    /// Smallest and largest cluster the adapter launches.
    pub cluster_sizes: (usize, usize),
    /// What replicas agree on.
    pub order: Order,
    /// What a command does under these settings.
    pub operation: fn(CommandId, &Settings) -> Operation,
    /// What "committed" means here, in words.
    pub commit_means: &'static str,
    /// How many replicas its steps take in a cluster of n under these settings, by what the replicas
    /// themselves count with; an error where such a cluster would not be launched.
    pub quorums: fn(n: usize, &Settings) -> Result<Quorums, LaunchError>,
    /// Floors in a cluster of n.
    pub floors: fn(n: usize) -> Floors,
    /// Settings.
    pub tunables: &'static [Tunable],
    /// What settings have to keep to together.
    pub constraints: &'static [Constraint],
    /// What sets it apart from most.
    pub particulars: Particulars,
}

/// What most protocols do without; the default is none of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Particulars {
    /// How its replicas can be made to lie; none where it trusts them.
    pub behaviours: &'static [Behaviour],
    /// Bytes of a command's payload, at most, where the library sets a limit.
    pub largest_payload_bytes: Option<usize>,
    /// Whether a replica may come back without what it knew, because nothing was promised to last longer
    /// than its process. Gossip without a log.
    pub forgets_safely: bool,
    /// Whether what it takes from the heap is no exact count: its library's hash tables have a random seed, or
    /// it does more in builds for debugging.
    pub heap_varies: bool,
    /// Which sizes of cluster it can use, of those between the smallest and the largest; none when it can
    /// use all.
    pub sizes: Option<SizeRule>,
}

/// Sizes of clusters that a protocol can use.
#[derive(Clone, Copy, Debug)]
pub struct SizeRule {
    /// The rule in words: `n = 3f + 1`.
    pub rule: &'static str,
    /// Whether a size keeps to it.
    pub fits: fn(n: usize) -> bool,
}

impl Descriptor {
    /// Whether the protocol can have a cluster of this size.
    pub fn fits(&self, replicas: usize) -> bool {
        let (low, high) = self.cluster_sizes;
        (low..=high).contains(&replicas) && self.particulars.sizes.is_none_or(|sizes| (sizes.fits)(replicas))
    }

    /// The smallest cluster of at least this size that the protocol can have; the size itself when there is
    /// none.
    pub fn size_for(&self, replicas: usize) -> usize {
        (replicas..=self.cluster_sizes.1).find(|&size| self.fits(size)).unwrap_or(replicas)
    }

    /// What clients are promised, and against whom: only protocols that promise the same are ranked
    /// against each other.
    pub fn promise(&self) -> &'static str {
        match (self.order, self.fault_model) {
            (Order::Total, FaultModel::Crash) => "one order of all commands, though replicas crash",
            (Order::Total, FaultModel::Byzantine) => "one order of all commands, though replicas lie",
            (Order::Set, _) => "every command on every replica, in any order",
            (Order::Reads, _) => "registers whose reads see the latest write",
            (Order::Eventual, _) => "registers whose reads may be stale",
        }
    }
}

/// Everything needed to launch a cluster.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Number of replicas.
    pub replicas: usize,
    /// Links between them.
    pub network: NetworkSpec,
    /// Where their logs are.
    pub storage: StorageSpec,
    /// Failure detection, as [`Timing::set_by`] has it: what the settings say is in it already.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Seed of all randomness that is ours.
    pub seed: u64,
}

impl LaunchSpec {
    /// A cluster in one process without delays and without a disk.
    pub fn in_memory(replicas: usize) -> Self {
        LaunchSpec {
            replicas,
            network: NetworkSpec::channel(),
            storage: StorageSpec::Memory,
            timing: Timing::default(),
            settings: Settings::default(),
            seed: 1,
        }
    }
}

/// Why a cluster did not start.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The protocol does not work with this many replicas.
    #[error("{protocol} can't run {replicas} replicas: it takes {low} to {high}{rule}")]
    ClusterSize {
        /// Protocol.
        protocol: &'static str,
        /// Asked for.
        replicas: usize,
        /// Smallest.
        low: usize,
        /// Largest.
        high: usize,
        /// What else a size has to keep to, and the nearest that do; nothing when there is no more.
        rule: String,
    },
    /// The library takes no payload as large as this.
    #[error("{protocol} can't carry payloads of {bytes} bytes: its library takes at most {largest}")]
    PayloadTooLarge {
        /// Protocol.
        protocol: &'static str,
        /// Asked for.
        bytes: usize,
        /// Largest.
        largest: usize,
    },
    /// No tunable has this name.
    #[error("{protocol} has no setting `{name}`; it has: {known}")]
    UnknownSetting {
        /// Protocol.
        protocol: &'static str,
        /// Asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The value is outside the tunable's range.
    #[error("setting `{name}` = {value} is outside {low} to {high}")]
    SettingOutOfRange {
        /// Tunable.
        name: String,
        /// Asked for.
        value: f64,
        /// Smallest.
        low: f64,
        /// Largest.
        high: f64,
    },
    /// Settings that contradict each other, or that the library refuses.
    #[error("the settings don't fit together: {0}")]
    Settings(String),
    /// The log can't be opened.
    #[error("log {}: {source}", path.display())]
    Storage {
        /// Where.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The network can't be opened.
    #[error("network {address}: {source}")]
    Network {
        /// Where.
        address: String,
        /// Cause.
        source: io::Error,
    },
    /// There is no virtual time for this protocol.
    #[error("{protocol} can't be simulated: {why}")]
    NotSimulated {
        /// Protocol.
        protocol: &'static str,
        /// The reason.
        why: &'static str,
    },
    /// The library itself refused.
    #[error("{0}")]
    Library(String),
}

/// A protocol that can be benchmarked.
#[async_trait]
pub trait Protocol: Send + Sync {
    /// What it is.
    fn descriptor(&self) -> Descriptor;

    /// Starts a cluster on the current tokio runtime. It need not have a leader yet: the first
    /// commands wait for one.
    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError>;

    /// Starts a cluster in virtual time.
    fn simulate(&self, _spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        let why = "its adapter does not say how";
        Err(LaunchError::NotSimulated { protocol: self.descriptor().name, why })
    }
}

/// Refuses payloads that are larger than the protocol's library takes.
pub fn check_payload(protocol: &Descriptor, bytes: usize) -> Result<(), LaunchError> {
    match protocol.particulars.largest_payload_bytes {
        Some(largest) if bytes > largest => {
            Err(LaunchError::PayloadTooLarge { protocol: protocol.name, bytes, largest })
        }
        _ => Ok(()),
    }
}

/// Refuses a cluster size that the protocol can't have.
pub fn check_size(protocol: &Descriptor, replicas: usize) -> Result<(), LaunchError> {
    if protocol.fits(replicas) {
        return Ok(());
    }
    let (low, high) = protocol.cluster_sizes;
    let rule = protocol.particulars.sizes.map_or_else(String::new, |sizes| {
        let below = (low..replicas.min(high + 1)).rev().find(|&size| protocol.fits(size));
        let above = (replicas.max(low)..=high).find(|&size| protocol.fits(size));
        let nearest: Vec<String> = below.into_iter().chain(above).map(|size| size.to_string()).collect();
        format!(", with {}; nearest to it: {}", sizes.rule, nearest.join(" and "))
    });
    Err(LaunchError::ClusterSize { protocol: protocol.name, replicas, low, high, rule })
}
