//! consensus-bench adapter over TiKV's [`raft`]: one [`RawNode`] as a [`Replica`].
//!
//! Raft's *ready* loop is [`Replica::flush`]. Appends are persisted asynchronously
//! (`advance_append_async`, `on_persist_ready`), so that a slow disk delays acknowledgements and
//! nothing else.

mod messages;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol_core::{
    Application, Boot, Cluster, Command, Constraint, Descriptor, DriverOptions, Effects, Family, FaultModel,
    Floors, Input, LaunchError, LaunchSpec, Operation, Order, Protocol, Quorums, Rejection, Replica,
    ReplicaCluster, ReplicaId, Role, Scale, Settings, SimulatedCluster, Simulation, SimulationSpec,
    Situation, Slot, StorageSpec, SyncToken, Time, TimerId, Timing, Tunable, View, check_size,
};
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{Config, INVALID_ID, RawNode, Ready, StateRole};

pub use messages::{RaftMessage, Record};
pub use storage::LogStore;

const TICK: TimerId = TimerId(0);
/// Ticks of the library per heartbeat.
const TICKS_PER_HEARTBEAT: u32 = 5;
/// Entries applied between two compactions of the log in memory, and entries kept behind.
const COMPACT_EVERY: u64 = 20_000;
const KEEP_BEHIND: u64 = 1_000;
/// Bytes appended to a log on disk before it is rewritten as a snapshot and what follows it.
const CHECKPOINT_BYTES: usize = 64 << 20;

const MAX_SIZE_PER_MSG: Tunable = Tunable {
    name: "max_size_per_msg_bytes",
    role: Role::BatchSize,
    about: "entries in one append message, at most this many bytes; 0 is one entry per message",
    range: (0.0, 1e9),
    scale: Scale::Logarithmic,
    default: 1_048_576.0,
    live: true,
    trades: None,
};
const MAX_INFLIGHT: Tunable = Tunable {
    name: "max_inflight_messages",
    role: Role::Window,
    about: "append messages to one follower without an answer",
    range: (1.0, 65_536.0),
    scale: Scale::Logarithmic,
    default: 256.0,
    live: true,
    trades: None,
};
const SKIP_BCAST_COMMIT: Tunable = Tunable {
    name: "skip_bcast_commit_flag",
    role: Role::Other,
    about: "1: followers learn of a commit with the next append, not by a message of its own",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: None,
};
const BATCH_APPEND: Tunable = Tunable {
    name: "batch_append_flag",
    role: Role::Other,
    about: "1: append messages to a follower that wait to be sent are merged",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: None,
};

/// The library counts time-outs in ticks, and wants one of more than a heartbeat's.
const ELECTION_TICKS: Constraint = Constraint {
    says: "election_min_ms ≥ 6/5 heartbeat_ms",
    broken: |Situation { timing, .. }| {
        let ticks = ticks(timing.heartbeat, timing.election_min);
        (ticks <= TICKS_PER_HEARTBEAT as usize).then(|| {
            format!(
                "election_min_ms has to be at least 6/5 of heartbeat_ms, which is {:?}: the library counts in \
                 ticks of a fifth of that",
                timing.heartbeat
            )
        })
    },
};
/// Likewise of the shortest and the longest time-out.
const SPREAD_TICKS: Constraint = Constraint {
    says: "election_max_ms ≥ election_min_ms + heartbeat_ms / 5",
    broken: |Situation { timing, .. }| {
        let of = |time| ticks(timing.heartbeat, time);
        (of(timing.election_max) <= of(timing.election_min)).then(|| {
            format!(
                "election_max_ms has to be longer than election_min_ms by at least {:?}: the library counts in \
                 ticks of a fifth of a heartbeat",
                tick(timing.heartbeat)
            )
        })
    },
};

fn tick(heartbeat: Duration) -> Duration {
    heartbeat / TICKS_PER_HEARTBEAT
}

/// Whole ticks in a time.
fn ticks(heartbeat: Duration, time: Duration) -> usize {
    (time.as_nanos() / tick(heartbeat).as_nanos().max(1)) as usize
}

/// The protocol `raft-rs`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RaftRs;

#[async_trait]
impl Protocol for RaftRs {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "raft-rs",
            family: Family::Raft,
            implementation: "raft 0.7.0 (TiKV)",
            fault_model: FaultModel::Crash,
            tolerates: |replicas, _| (replicas.saturating_sub(1)) / 2,
            cluster_sizes: (1, 101),
            order: Order::Total,
            operation: Operation::append,
            commit_means: "in the log of a majority, durably when the storage is, and applied by the leader",
            quorums: |replicas, _| {
                let majority = raft::majority(replicas);
                Ok(Quorums::from([("commit", majority), ("election", majority)]))
            },
            floors: |replicas| {
                let delays = if replicas > 1 { 2.0 } else { 0.0 };
                Floors::without_cryptography(2.0 * replicas.saturating_sub(1) as f64, delays)
            },
            tunables: &[
                MAX_SIZE_PER_MSG,
                MAX_INFLIGHT,
                DriverOptions::LARGEST_PROPOSAL,
                SKIP_BCAST_COMMIT,
                BATCH_APPEND,
                Timing::HEARTBEAT,
                Timing::ELECTION_MIN,
                Timing::ELECTION_MAX,
                DriverOptions::LINGER,
                StorageSpec::GROUP_COMMIT,
            ],
            constraints: &[
                Timing::WHOLE_HEARTBEAT,
                Timing::ELECTION_AFTER_HEARTBEAT,
                ELECTION_TICKS,
                Timing::SPREAD_ELECTIONS,
                SPREAD_TICKS,
            ],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let options = driver_options(&spec.settings);
        let (timing, settings) = (spec.timing, spec.settings.clone());
        let durable = spec.storage != StorageSpec::Memory;
        let setup = RaftSetup { timing, settings, durable, elections: Elections::Random };
        ReplicaCluster::launch(&spec, options, move |boot| RaftReplica::new(boot, &setup)).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let options = driver_options(&spec.settings);
        let setup = RaftSetup {
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.durable,
            elections: Elections::Fixed { seed: spec.seed },
        };
        SimulatedCluster::launch(spec, options, move |boot| RaftReplica::new(boot, &setup))
    }
}

fn driver_options(settings: &Settings) -> DriverOptions {
    let largest_proposal = settings.get(&DriverOptions::LARGEST_PROPOSAL) as usize;
    DriverOptions { largest_proposal, ..DriverOptions::of(&RaftRs.descriptor()) }
}

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct RaftSetup {
    /// Failure detection.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Whether records survive a crash.
    pub durable: bool,
    /// How election time-outs come about.
    pub elections: Elections,
}

/// How election time-outs come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elections {
    /// The library draws them anew each time, from the thread's own random numbers.
    Random,
    /// Each replica has one of its own, between the shortest and the longest; the seed decides who has
    /// which. The library has no other way to be repeatable.
    Fixed {
        /// The seed.
        seed: u64,
    },
}

impl RaftSetup {
    /// The shortest and the longest election time-out of a replica, in ticks; the longest excluded.
    fn election_ticks(
        &self,
        id: ReplicaId,
        replicas: usize,
        ticks: impl Fn(Duration) -> usize,
    ) -> (usize, usize) {
        let (shortest, longest) = (ticks(self.timing.election_min), ticks(self.timing.election_max));
        match self.elections {
            Elections::Random => (shortest, longest),
            Elections::Fixed { seed } => {
                let place = (id.index() + (seed % replicas as u64) as usize) % replicas;
                let apart = (longest.saturating_sub(shortest) / replicas).max(1);
                let own = shortest + place * apart;
                (own, own + 1)
            }
        }
    }
}

/// One `raft` node.
pub struct RaftReplica {
    id: ReplicaId,
    node: RawNode<LogStore>,
    tick: Duration,
    durable: bool,
    last_sync: SyncToken,
    durable_up_to: SyncToken,
    /// Set while a snapshot is being made durable: until then the library may not count it applied.
    snapshot_sync: Option<SyncToken>,
    known_view: (u64, u64),
    applied: u64,
    compacted_at: u64,
    bytes_since_checkpoint: usize,
    application: Application,
    boot_snapshot: Option<bytes::Bytes>,
}

/// Replicas count from 0, the library from 1.
fn node_id(replica: ReplicaId) -> u64 {
    u64::from(replica.0) + 1
}

fn replica_of(node: u64) -> Option<ReplicaId> {
    (node != INVALID_ID).then(|| ReplicaId((node - 1) as u32))
}

impl RaftReplica {
    /// A node that continues where its records end. Replica 0 of a fresh cluster stands for
    /// election at once; after that only the timing decides.
    pub fn new(boot: Boot<Record>, setup: &RaftSetup) -> Result<Self, LaunchError> {
        let RaftSetup { timing, ref settings, durable, .. } = *setup;
        let fresh = boot.records.is_empty();
        let (tick, ticks) = (tick(timing.heartbeat), |time| ticks(timing.heartbeat, time));
        let mut store = LogStore::new(boot.replicas, boot.application.clone());
        let boot_snapshot = store.recover(boot.records);
        let (shortest, longest) = setup.election_ticks(boot.id, boot.replicas, ticks);
        let config = Config {
            id: node_id(boot.id),
            election_tick: ticks(timing.election_min),
            min_election_tick: shortest,
            max_election_tick: longest,
            heartbeat_tick: TICKS_PER_HEARTBEAT as usize,
            applied: store.snapshot_index(),
            max_size_per_msg: settings.get(&MAX_SIZE_PER_MSG) as u64,
            max_inflight_msgs: settings.get(&MAX_INFLIGHT) as usize,
            skip_bcast_commit: settings.get(&SKIP_BCAST_COMMIT) != 0.0,
            batch_append: settings.get(&BATCH_APPEND) != 0.0,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let applied = store.snapshot_index();
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut node = RawNode::new(&config, store, &logger)
            .map_err(|error| LaunchError::Settings(error.to_string()))?;
        if fresh && boot.id == ReplicaId(0) {
            node.campaign().map_err(|error| LaunchError::Library(error.to_string()))?;
        }
        Ok(RaftReplica {
            id: boot.id,
            node,
            tick,
            durable,
            last_sync: SyncToken(0),
            durable_up_to: SyncToken(0),
            snapshot_sync: None,
            known_view: (0, INVALID_ID),
            applied,
            compacted_at: applied,
            bytes_since_checkpoint: 0,
            application: boot.application,
            boot_snapshot,
        })
    }

    fn propose(&mut self, commands: Vec<Command>, effects: &mut Effects<Self>) {
        let ids = commands.iter().map(Command::id);
        if self.node.raft.state != StateRole::Leader {
            let leader = replica_of(self.node.raft.leader_id);
            return ids.for_each(|command| effects.reject(Rejection { command, leader }));
        }
        let ids: Vec<_> = ids.collect();
        let entry = |command: Command| Entry {
            entry_type: EntryType::EntryNormal,
            data: command.into_encoded(),
            ..Entry::default()
        };
        let mut proposal = Message::default();
        proposal.set_msg_type(MessageType::MsgPropose);
        proposal.from = node_id(self.id);
        proposal.set_entries(commands.into_iter().map(entry).collect::<Vec<_>>().into());
        match self.node.raft.step(proposal) {
            Ok(()) => effects.proposed(),
            Err(_) => ids.into_iter().for_each(|command| effects.reject(Rejection { command, leader: None })),
        }
    }

    fn handle_ready(&mut self, mut ready: Ready, effects: &mut Effects<Self>) {
        for message in ready.take_messages() {
            self.send(message, None, effects);
        }
        if !ready.snapshot().is_empty() {
            let snapshot = ready.snapshot().clone();
            self.applied = snapshot.get_metadata().index;
            effects.restore(snapshot.data.clone());
            self.node.mut_store().install(&snapshot);
            effects.persist(Record::Snapshot(snapshot));
            self.snapshot_sync = Some(SyncToken(ready.number()));
        }
        self.deliver(ready.take_committed_entries(), effects);
        let entries = ready.take_entries();
        if self.durable && !entries.is_empty() {
            self.bytes_since_checkpoint += entries.iter().map(|entry| entry.data.len()).sum::<usize>();
            effects.persist(Record::Entries(entries.clone()));
        }
        self.node.mut_store().append(entries);
        if let Some(hard_state) = ready.hs() {
            self.node.mut_store().set_hard_state(hard_state.clone());
            effects.persist(Record::HardState(hard_state.clone()));
        }
        if ready.must_sync() {
            self.last_sync = SyncToken(ready.number());
            effects.sync(self.last_sync);
        }
        let hold = (self.durable_up_to < self.last_sync).then_some(self.last_sync);
        for message in ready.take_persisted_messages() {
            self.send(message, hold, effects);
        }
        self.node.advance_append_async(ready);
        if self.snapshot_sync.is_none() {
            self.node.advance_apply_to(self.applied);
        }
    }

    /// A tunable that changes live has another value, for this replica as it leads now and as it will.
    fn tune(&mut self, name: &str, value: f64) {
        let raft = &mut self.node.raft;
        if name == MAX_SIZE_PER_MSG.name {
            raft.max_msg_size = value as u64;
        } else if name == MAX_INFLIGHT.name {
            raft.max_inflight = value as usize;
            let peers: Vec<u64> = raft.prs().iter().map(|(&peer, _)| peer).collect();
            peers.into_iter().for_each(|peer| raft.adjust_max_inflight_msgs(peer, value as usize));
        }
    }

    fn synced(&mut self, token: SyncToken) {
        self.durable_up_to = token;
        self.node.on_persist_ready(token.0);
        if self.snapshot_sync.is_some_and(|snapshot| snapshot <= token) {
            self.snapshot_sync = None;
            self.node.advance_apply_to(self.applied);
        }
    }

    fn send(&self, message: Message, hold: Option<SyncToken>, effects: &mut Effects<Self>) {
        let Some(to) = replica_of(message.to) else { return };
        match hold {
            Some(token) => effects.send_after_sync(token, to, RaftMessage(message)),
            None => effects.send(to, RaftMessage(message)),
        }
    }

    fn deliver(&mut self, entries: Vec<Entry>, effects: &mut Effects<Self>) {
        for entry in entries {
            self.applied = entry.index;
            // A leader's first entry of its term is empty and for itself.
            if entry.data.is_empty() {
                continue;
            }
            match Command::from_encoded(entry.data) {
                Ok(command) => effects.deliver(Slot(entry.index), command),
                Err(error) => self.application.log().violate(format!("slot {}: {error}", entry.index)),
            }
        }
    }

    fn tell_view(&mut self, effects: &mut Effects<Self>) {
        let view = (self.node.raft.term, self.node.raft.leader_id);
        if view != self.known_view {
            self.known_view = view;
            effects.new_view(View(view.0), replica_of(view.1));
        }
    }

    /// Drops entries that no one needs, and rewrites a log on disk that grew long.
    fn compact(&mut self, effects: &mut Effects<Self>) {
        if self.applied - self.compacted_at >= COMPACT_EVERY {
            self.compacted_at = self.applied;
            let applied = self.applied;
            self.node.mut_store().compact(applied.saturating_sub(KEEP_BEHIND));
        }
        if self.bytes_since_checkpoint >= CHECKPOINT_BYTES
            && let Some(records) = self.node.store().checkpoint()
        {
            self.bytes_since_checkpoint = 0;
            effects.checkpoint(records);
        }
    }
}

impl Replica for RaftReplica {
    type Message = RaftMessage;
    type Record = Record;

    fn step(&mut self, _now: Time, input: Input<RaftMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => {
                if let Some(snapshot) = self.boot_snapshot.take() {
                    effects.restore(snapshot);
                }
                effects.set_timer(TICK, self.tick);
            }
            Input::Timer(_) => {
                self.node.tick();
                effects.set_timer(TICK, self.tick);
            }
            // The library refuses what does not concern it, such as an answer to a removed peer.
            Input::Message { message, .. } => drop(self.node.step(message.0)),
            Input::Requests(commands) => self.propose(commands, effects),
            Input::Link { peer, up: false } => self.node.report_unreachable(node_id(peer)),
            Input::Tune { name, value } => self.tune(name, value),
            Input::Link { up: true, .. } | Input::Corrupt(_) => {}
            Input::Synced(token) => self.synced(token),
        }
    }

    fn flush(&mut self, _now: Time, effects: &mut Effects<Self>) {
        while self.node.has_ready() {
            let ready = self.node.ready();
            self.handle_ready(ready, effects);
        }
        self.tell_view(effects);
        self.compact(effects);
    }
}
