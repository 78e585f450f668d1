//! One node of the library, driven as a state machine.
//!
//! The library takes its storage to be synchronous: it counts what it has written. So what it sends in a
//! round leaves once the records of that round are durable. That is also what keeps the leader's own
//! vote honest, since followers answer only what was sent.

use std::time::Duration;

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::{AcceptSync, PaxosMessage, PaxosMsg, Prepare};
use omnipaxos::util::{FlexibleQuorum, LogEntry, NodeId};
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use protocol_core::{
    Application, Boot, Command, Effects, Input, LaunchError, Rejection, Replica, ReplicaId, Settings, Slot,
    SyncToken, Time, TimerId, Timing, View, Wire,
};

use crate::election::{Promises, Stranded, Verdict};
use crate::messages::{Change, OmniMessage, Proposal, Record, State};
use crate::storage::LogStore;
use crate::{BATCH, ELECTION_ROUNDS, FLUSH_BATCH, RESEND};

const TICK: TimerId = TimerId(0);
/// Ticks of the library per heartbeat interval.
const TICKS_PER_HEARTBEAT: u32 = 5;
/// Rounds of heartbeats without a write quorum after which a leader gives way.
const DEAF_ROUNDS: u32 = 2;
/// Messages that the library has room for from the start.
const BUFFERED_MESSAGES: usize = 1_024;
/// Entries applied between two compactions of the log in memory.
const COMPACT_EVERY: usize = 20_000;
/// Bytes appended to a log on disk before it is rewritten as a snapshot and what follows it.
const CHECKPOINT_BYTES: usize = 64 << 20;

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Failure detection.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Whether records survive a crash.
    pub durable: bool,
    /// Quorums other than majorities.
    pub quorum: Option<FlexibleQuorum>,
}

/// One `omnipaxos` node.
pub struct OmniReplica {
    id: ReplicaId,
    replicas: usize,
    node: OmniPaxos<Proposal, LogStore>,
    store: LogStore,
    tick: Duration,
    /// Ticks of a round of heartbeats, and those of this round so far.
    round: (u64, u64),
    /// Rounds in a row in which too few answered for a commit.
    deaf_rounds: u32,
    write_quorum: usize,
    promises: Promises,
    stranded: Stranded,
    /// Messages on their way out; empty between rounds, and kept for its memory.
    outgoing: Vec<Message<Proposal>>,
    last_sync: SyncToken,
    durable_up_to: SyncToken,
    known_view: (Ballot, Option<ReplicaId>),
    applied: usize,
    bytes_since_checkpoint: usize,
    application: Application,
}

/// Replicas count up from 0, the library down to 1: between ballots of one number it prefers the larger
/// node, and replica 0 leads at the first start.
fn node_id(replica: ReplicaId, replicas: usize) -> NodeId {
    replicas as NodeId - NodeId::from(replica.0)
}

fn replica_of(node: NodeId, replicas: usize) -> Option<ReplicaId> {
    (node != 0).then(|| ReplicaId((replicas as NodeId - node) as u32))
}

impl OmniReplica {
    /// A node that continues where its records end. Replica 0 of a fresh cluster stands for election at
    /// once; after that only the timing decides.
    pub fn new(boot: Boot<Record>, setup: &Setup) -> Result<Self, LaunchError> {
        let Setup { timing, ref settings, durable, quorum } = *setup;
        let (id, replicas, fresh) = (boot.id, boot.replicas, boot.records.is_empty());
        let tick = timing.heartbeat / TICKS_PER_HEARTBEAT;
        let ticks = |time: Duration| (time.as_nanos() / tick.as_nanos().max(1)).max(1) as u64;
        let round = ticks(timing.election_min / settings.get(&ELECTION_ROUNDS) as u32);
        let resend = settings.get(&RESEND) as u32 * TICKS_PER_HEARTBEAT;
        let store = LogStore::recover(boot.records, durable);
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: (1..=replicas as NodeId).collect(),
                flexible_quorum: quorum,
            },
            server_config: ServerConfig {
                pid: node_id(id, replicas),
                election_tick_timeout: round,
                resend_message_tick_timeout: u64::from(resend),
                buffer_size: BUFFERED_MESSAGES,
                batch_size: settings.get(&BATCH) as usize,
                flush_batch_tick_timeout: settings.get(&FLUSH_BATCH) as u64,
                leader_priority: 0,
            },
        };
        let mut node =
            config.build(store.clone()).map_err(|error| LaunchError::Settings(error.to_string()))?;
        if fresh && id == ReplicaId(0) {
            node.try_become_leader();
        }
        Ok(OmniReplica {
            id,
            replicas,
            node,
            store,
            tick,
            round: (round, 0),
            deaf_rounds: 0,
            write_quorum: crate::quorum_sizes(quorum, replicas).1,
            promises: Promises::default(),
            stranded: Stranded::default(),
            outgoing: Vec::new(),
            last_sync: SyncToken(0),
            durable_up_to: SyncToken(0),
            known_view: (Ballot::default(), None),
            applied: 0,
            bytes_since_checkpoint: 0,
            application: boot.application,
        })
    }

    /// The leader in whose ballot entries are accepted here. One that can't commit anything is none,
    /// though the library calls it so until it hears of another.
    fn leader(&self) -> Option<ReplicaId> {
        let (leader, accepting) = self.node.get_current_leader()?;
        let leader = replica_of(leader, self.replicas).filter(|_| accepting)?;
        (leader != self.id || self.deaf_rounds < DEAF_ROUNDS).then_some(leader)
    }

    fn tick(&mut self) {
        self.node.tick();
        self.round.1 += 1;
        if self.round.1 == self.round.0 {
            self.round.1 = 0;
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        let heartbeats = self.node.get_ui_states().heartbeats;
        let deaf = 1 + heartbeats.len() < self.write_quorum;
        self.deaf_rounds = if deaf { self.deaf_rounds + 1 } else { 0 };
        if self.leader() != Some(self.id) {
            return self.stranded.clear();
        }
        let mine = self.node.get_promise();
        if let Some(ballot) = self.stranded.after_round(mine, self.write_quorum, &heartbeats) {
            // Each try is in the ballot of the next number.
            while self.node.get_promise() <= ballot {
                self.node.try_become_leader();
            }
        }
    }

    fn receive(&mut self, message: Message<Proposal>) {
        if self.is_outdated(&message) {
            return;
        }
        let me = node_id(self.id, self.replicas);
        let ballot = self.node.get_promise();
        let gathering = self.node.get_current_leader() == Some((me, false));
        match if gathering { self.promises.judge(ballot, &message) } else { Verdict::Pass } {
            Verdict::Pass => self.node.handle_incoming(message),
            Verdict::Keep => {}
            Verdict::AskAgain(to) => {
                let prepare = Prepare {
                    n: ballot,
                    decided_idx: self.node.get_decided_idx(),
                    n_accepted: self.store.accepted_round().unwrap_or_default(),
                    accepted_idx: self.node.get_accepted_idx(),
                };
                let msg = PaxosMsg::Prepare(prepare);
                self.outgoing.push(Message::SequencePaxos(PaxosMessage { from: me, to, msg }));
            }
        }
    }

    /// Whether a leader's log arrives that is older than what this replica has accepted from it since.
    ///
    /// A promise that is sent twice is answered twice, and the library takes either answer for that to
    /// its latest promise. The older one would take back entries that the leader counts as accepted. A
    /// leader's log only grows within a ballot, so one that is shorter than ours is old; the answer to the
    /// latest promise is still to come, and that promise is repeated until it does.
    fn is_outdated(&self, message: &Message<Proposal>) -> bool {
        let Message::SequencePaxos(PaxosMessage { msg: PaxosMsg::AcceptSync(accept), .. }) = message else {
            return false;
        };
        let AcceptSync { n, log_sync, .. } = accept;
        let end = log_sync.sync_idx + log_sync.suffix.len();
        self.store.accepted_round() == Some(*n) && end < self.node.get_accepted_idx()
    }

    fn propose(&mut self, commands: Vec<Command>, effects: &mut Effects<Self>) {
        let leader = self.leader();
        if leader != Some(self.id) {
            // The library would send them on to the leader; here clients do that, for every protocol alike.
            for command in commands {
                effects.reject(Rejection { command: command.id(), leader });
            }
            return;
        }
        // The library's own call takes one entry at a time; a forwarded proposal holds many, and is
        // appended as one.
        let me = node_id(self.id, self.replicas);
        let proposals = commands.into_iter().map(Proposal::new).collect();
        let msg = PaxosMsg::ProposalForward(proposals);
        self.node.handle_incoming(Message::SequencePaxos(PaxosMessage { from: me, to: me, msg }));
        effects.proposed();
    }

    fn persist(&mut self, effects: &mut Effects<Self>) {
        let only_decided = |change: &Change| matches!(change, Change::Decided(_));
        let mut must_sync = false;
        for record in self.store.take_records() {
            must_sync |= !record.0.iter().all(only_decided);
            self.bytes_since_checkpoint += record.encoded_len();
            effects.persist(record);
        }
        if must_sync {
            self.last_sync = SyncToken(self.last_sync.0 + 1);
            effects.sync(self.last_sync);
        }
    }

    fn send(&mut self, effects: &mut Effects<Self>) {
        let hold = (self.durable_up_to < self.last_sync).then_some(self.last_sync);
        self.node.take_outgoing_messages(&mut self.outgoing);
        for message in self.outgoing.drain(..) {
            let Some(to) = replica_of(message.get_receiver(), self.replicas) else { continue };
            self.promises.sent(&message);
            match (hold, &message) {
                // Heartbeats promise nothing.
                (None, _) | (_, Message::BLE(_)) => effects.send(to, OmniMessage(message)),
                (Some(token), _) => effects.send_after_sync(token, to, OmniMessage(message)),
            }
        }
    }

    fn deliver(&mut self, effects: &mut Effects<Self>) {
        for entry in self.node.read_decided_suffix(self.applied).unwrap_or_default() {
            match entry {
                LogEntry::Decided(proposal) => self.apply(proposal, effects),
                LogEntry::Snapshotted(snapshot) => self.restore(snapshot.snapshot, effects),
                other => self.application.log().violate(format!("decided, but not to be read: {other:?}")),
            }
        }
    }

    fn apply(&mut self, Proposal { command, .. }: Proposal, effects: &mut Effects<Self>) {
        self.applied += 1;
        effects.deliver(Slot(self.applied as u64), command);
    }

    fn restore(&mut self, state: State, effects: &mut Effects<Self>) {
        let State { from, application, after } = state;
        if from > self.applied {
            self.applied = from;
            effects.restore(application);
        }
        let known = self.applied - from;
        for proposal in after.into_iter().skip(known) {
            self.apply(proposal, effects);
        }
    }

    /// Ballots are ordered by number, then by node, and so are views.
    fn tell_view(&mut self, effects: &mut Effects<Self>) {
        let (ballot, leader) = (self.node.get_promise(), self.leader());
        if (ballot, leader) != self.known_view {
            self.known_view = (ballot, leader);
            let view = u64::from(ballot.n) * self.replicas as u64 + ballot.pid.saturating_sub(1);
            effects.new_view(View(view), leader);
        }
    }

    /// Puts the application's state in the place of the entries that it has applied, and rewrites a log on
    /// disk that grew long.
    fn compact(&mut self, effects: &mut Effects<Self>) {
        let compacted = self.node.get_compacted_idx();
        let checkpoint = self.bytes_since_checkpoint >= CHECKPOINT_BYTES;
        if self.applied < compacted + COMPACT_EVERY && !checkpoint {
            return;
        }
        let (Some(slot), application) = self.application.snapshot() else { return };
        let covers = slot.0 as usize;
        if covers > compacted {
            self.store.compact_to(covers, application);
            // It refuses only what is not decided, and all that is applied is.
            let compacted = self.node.snapshot(Some(covers), true);
            debug_assert!(compacted.is_ok(), "{compacted:?}");
        }
        if checkpoint {
            self.bytes_since_checkpoint = 0;
            effects.checkpoint(self.store.checkpoint());
        }
    }
}

impl Replica for OmniReplica {
    type Message = OmniMessage;
    type Record = Record;

    /// The library numbers its messages by session, as over TCP, and takes a gap for a broken one.
    const FIFO: bool = true;

    fn step(&mut self, _now: Time, input: Input<OmniMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => effects.set_timer(TICK, self.tick),
            Input::Timer(_) => {
                self.tick();
                effects.set_timer(TICK, self.tick);
            }
            Input::Message { message, .. } => self.receive(message.0),
            Input::Requests(commands) => self.propose(commands, effects),
            Input::Link { peer, up: true } => self.node.reconnected(node_id(peer, self.replicas)),
            // Whoever is not heard from is missed at the end of a round of heartbeats.
            // All that changes live is the driver's.
            Input::Tune { .. } | Input::Link { up: false, .. } | Input::Corrupt(_) => {}
            Input::Synced(token) => self.durable_up_to = token,
        }
    }

    fn flush(&mut self, _now: Time, effects: &mut Effects<Self>) {
        self.persist(effects);
        self.send(effects);
        self.tell_view(effects);
        self.deliver(effects);
        self.compact(effects);
    }
}
