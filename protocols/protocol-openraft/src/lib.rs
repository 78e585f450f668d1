//! `openraft` as a protocol of consensus-bench.
//!
//! The library owns its tasks and timers, so this crate implements [`Cluster`] itself, from the same
//! pieces that drive every other protocol: the shared [`Network`](protocol_core::Network) carries its
//! calls, the shared [`SharedClient`](protocol_core::SharedClient) its commands, a
//! [`Wal`](protocol_core::Wal) its log. In virtual time all this stands on a simulated world instead. See
//! the README for upstream version, settings and limits.
//!
//! [`TypeConfig`], [`LogStore`] and [`StateMachine`] are public so that the bare library can be
//! measured with the same log and the same application, but without this crate's network and client.

mod append_stream;
mod cluster;
mod environment;
mod gate;
mod log_store;
mod marks;
mod network;
mod replica;
mod responder;
mod simulation;
mod state_machine;
mod types;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use openraft::{Config, SnapshotPolicy};
use protocol_core::{
    Cluster, Constraint, Descriptor, Family, FaultModel, Floors, LaunchError, LaunchSpec, Particulars,
    Protocol, Quorums, Role, Scale, Settings, Simulation, SimulationSpec, Situation, StorageSpec, Timing,
    Tunable, check_size,
};

use network::Carriage;

pub use environment::{Environment, RealTime};
pub use gate::GatedRuntime;
pub use log_store::LogStore;
pub use responder::Responder;
pub use state_machine::{SnapshotBuilder, StateMachine};
pub use types::{
    AppliedAt, Entry, LogId, Proposal, Raft, Snapshot, SnapshotMeta, StoredMembership, TypeConfig, Vote,
};

const MAX_PAYLOAD_ENTRIES: Tunable = Tunable {
    name: "max_payload_entries",
    role: Role::BatchSize,
    about: "log entries in one message to a follower, at most",
    range: (1.0, 65536.0),
    scale: Scale::Logarithmic,
    default: 1024.0,
    live: false,
    trades: None,
};
const MAX_APPEND_ENTRIES: Tunable = Tunable {
    name: "max_append_entries",
    role: Role::BatchSize,
    about: "log entries in one write to the log, at most, when several writes are merged",
    range: (1.0, 65536.0),
    scale: Scale::Logarithmic,
    default: 4096.0,
    live: false,
    trades: None,
};
const API_BATCH_ENTRIES: Tunable = Tunable {
    name: "api_batch_entries",
    role: Role::BatchSize,
    about: "commands that the leader takes up at once, at most",
    range: (1.0, 65536.0),
    scale: Scale::Logarithmic,
    default: 4096.0,
    live: false,
    trades: None,
};
const WINDOW_REQUESTS: Tunable = Tunable {
    name: "window_requests",
    role: Role::Window,
    about: "messages to one follower that may wait for their answers",
    range: (1.0, 4096.0),
    scale: Scale::Logarithmic,
    default: 64.0,
    live: false,
    trades: None,
};
const SNAPSHOT_INTERVAL_ENTRIES: Tunable = Tunable {
    name: "snapshot_interval_entries",
    role: Role::SnapshotInterval,
    about: "log entries after which a replica takes a snapshot and shortens its log",
    range: (10.0, 1e9),
    scale: Scale::Logarithmic,
    default: 100_000.0,
    live: false,
    trades: Some("memory, disk, and how soon a replica that was away is back"),
};
const KEPT_ENTRIES: Tunable = Tunable {
    name: "kept_entries",
    role: Role::Other,
    about: "log entries kept behind a snapshot, for followers that are a little behind",
    range: (0.0, 1e9),
    scale: Scale::Linear,
    default: 1000.0,
    live: false,
    trades: Some("memory, disk, and how soon a replica that was away is back"),
};

/// The other half of the shortest time-out is the lease that followers grant a leader.
const LEASE: Constraint = Constraint {
    says: "heartbeat_ms < election_min_ms / 2",
    broken: |Situation { timing, .. }| lease_is_broken(*timing),
};

fn lease_is_broken(Timing { heartbeat, election_min, .. }: Timing) -> Option<String> {
    (heartbeat >= election_min / 2).then(|| {
        format!(
            "heartbeat = {heartbeat:?} has to be shorter than half the shortest election time-out, \
             {election_min:?}: the other half is the lease that openraft's followers grant a leader"
        )
    })
}

/// openraft.
#[derive(Clone, Copy, Debug, Default)]
pub struct Openraft;

#[async_trait]
impl Protocol for Openraft {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "openraft",
            family: Family::Raft,
            implementation: "openraft 0.10.0-alpha.37",
            fault_model: FaultModel::Crash,
            tolerates: |n, _| n.saturating_sub(1) / 2,
            cluster_sizes: (1, 101),
            order: protocol_core::Order::Total,
            operation: protocol_core::Operation::append,
            commit_means: "in the log of a majority, durably when the storage is, and applied by the leader",
            // The library keeps its quorum sets to itself, and only tells who votes: all replicas. Of those
            // each step takes a majority.
            quorums: |n, _| Ok(Quorums::from([("commit", n / 2 + 1), ("election", n / 2 + 1)])),
            floors: |n| Floors::without_cryptography(2.0 * n.saturating_sub(1) as f64, 2.0),
            tunables: &[
                MAX_PAYLOAD_ENTRIES,
                MAX_APPEND_ENTRIES,
                API_BATCH_ENTRIES,
                WINDOW_REQUESTS,
                SNAPSHOT_INTERVAL_ENTRIES,
                KEPT_ENTRIES,
                Timing::HEARTBEAT,
                Timing::ELECTION_MIN,
                Timing::ELECTION_MAX,
                StorageSpec::GROUP_COMMIT,
            ],
            constraints: &[Timing::WHOLE_HEARTBEAT, LEASE, Timing::SPREAD_ELECTIONS],
            // Its assertions allocate.
            particulars: Particulars { heap_varies: true, ..Particulars::default() },
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let config = config(&spec)?;
        Ok(Arc::new(cluster::OpenraftCluster::launch(&spec, config).await?))
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let links = || spec.links.iter().flatten();
        // Jitter may make a heartbeat's answer late now and then, which is for the simulation to show.
        let slowest = links().map(|link| link.delay).max().unwrap_or_default();
        let config = configure(spec.timing, &spec.settings, slowest)?;
        let bandwidth = links().filter_map(|link| link.bandwidth).min_by(f64::total_cmp);
        let carriage = carriage(spec.timing, &spec.settings, bandwidth);
        Ok(Box::new(simulation::OpenraftSimulation::launch(spec, config, carriage)?))
    }
}

/// The library's configuration for a launch, or why the launch makes no sense.
pub fn config(spec: &LaunchSpec) -> Result<Config, LaunchError> {
    configure(spec.timing, &spec.settings, spec.network.link.delay + spec.network.link.jitter)
}

/// How the library's calls are carried, over links whose slowest has this bandwidth in bytes per second.
fn carriage(timing: Timing, settings: &Settings, bandwidth: Option<f64>) -> Carriage {
    Carriage {
        // Long after any healthy answer, and before a follower could think of an election.
        patience: timing.election_min / 2,
        pause: timing.heartbeat,
        window: settings.get(&WINDOW_REQUESTS) as u64,
        bandwidth,
        numbers: Arc::new(AtomicU64::new(1)),
    }
}

/// The library's configuration for links of which the slowest takes so long one way.
fn configure(timing: Timing, settings: &Settings, one_way: Duration) -> Result<Config, LaunchError> {
    let whole = |tunable: &Tunable| settings.get(tunable) as u64;
    let Timing { heartbeat, election_min, election_max } = timing;
    let round_trip = one_way * 2;
    if heartbeat <= round_trip {
        return Err(LaunchError::Settings(format!(
            "heartbeat = {heartbeat:?}: openraft waits one interval for the answer to a heartbeat, and a \
             round trip takes up to {round_trip:?}; a leader would lose its right to write. Take a longer \
             heartbeat, as of `Timing::for_delay`"
        )));
    }
    if let Some(broken) = lease_is_broken(timing) {
        return Err(LaunchError::Settings(broken));
    }
    let config = Config {
        cluster_name: "consensus-bench".to_string(),
        heartbeat_interval: millis("heartbeat", heartbeat)?,
        // The library's followers wait for the end of the leader's lease, which is the longest
        // time-out, and then for a random time-out. With halves, both together are within the times
        // asked for.
        election_timeout_min: millis("half the shortest election time-out", election_min / 2)?,
        election_timeout_max: millis("half the longest election time-out", election_max / 2)?,
        // A snapshot is one message here; the time it takes on a slow link is added to this.
        install_snapshot_timeout: millis("longest election time-out", election_max * 2)?,
        max_payload_entries: whole(&MAX_PAYLOAD_ENTRIES),
        max_append_entries: Some(whole(&MAX_APPEND_ENTRIES)),
        api_batch_capacity: whole(&API_BATCH_ENTRIES),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(whole(&SNAPSHOT_INTERVAL_ENTRIES)),
        max_in_snapshot_log_to_keep: whole(&KEPT_ENTRIES),
        // A restarted leader would lead on without an election, on an application that lags: what
        // was committed is not in our log.
        enable_leader_restore: Some(false),
        // As in the other Raft adapters: a replica that was cut off does not disturb the leader when it
        // returns.
        enable_pre_vote: Some(true),
        // Likewise: a leader that hears of no quorum gives way. The library's leader only falls silent
        // for so long, in which the others elect another, and then tries again; this is the shortest
        // time it takes.
        quorum_loss_probe_interval: Some(2 * millis("half the longest election time-out", election_max / 2)?),
        ..Config::default()
    };
    config.validate().map_err(|error| LaunchError::Settings(error.to_string()))
}

fn millis(what: &str, time: Duration) -> Result<u64, LaunchError> {
    match u64::try_from(time.as_millis()) {
        Ok(millis) if millis > 0 => Ok(millis),
        _ => Err(LaunchError::Settings(format!(
            "{what} = {time:?}: openraft counts whole milliseconds, from 1"
        ))),
    }
}
