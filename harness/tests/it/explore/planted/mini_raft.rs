//! The protocol. A slip stands where the right line stands, behind a test of [`Planted`].

use std::collections::{BTreeSet, VecDeque};

use protocol_core::{
    Boot, Command, Effects, Input, Rejection, Replica, ReplicaId, Slot, SyncToken, Time, TimerId, Timing,
    View,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Planted;
use super::log::Log;
use super::messages::{Entry, RaftMessage, RaftRecord};
use super::progress::Progress;

const ELECTION: TimerId = TimerId(0);
const HEARTBEAT: TimerId = TimerId(1);
/// Entries in one append, at most. Few, so that a backlog takes several.
const APPEND_ENTRIES: usize = 3;

#[derive(Debug)]
enum Role {
    Follower,
    Candidate { votes: BTreeSet<ReplicaId> },
    Leader { peers: Vec<Progress> },
}

/// A sync that was asked for: once it is done, the log up to `last_index` is durable, and the vote of
/// `term`.
#[derive(Debug)]
struct Syncing {
    token: SyncToken,
    term: u64,
    last_index: u64,
}

/// One replica (§5), without membership changes (§6) and snapshots (§7).
#[derive(Debug)]
pub struct MiniRaft {
    id: ReplicaId,
    replicas: usize,
    timing: Timing,
    planted: Planted,
    random: ChaCha8Rng,
    term: u64,
    voted_for: Option<ReplicaId>,
    log: Log,
    role: Role,
    leader: Option<ReplicaId>,
    commit: u64,
    applied: u64,
    /// Slot of the entry applied last: its index, as every entry is applied once.
    slot: u64,
    /// Messages of this round that promise something, to be sent once that is durable.
    promises: Vec<(ReplicaId, RaftMessage)>,
    /// Whether this round changed what must survive a crash.
    dirty: bool,
    asked: SyncToken,
    durable: SyncToken,
    syncing: VecDeque<Syncing>,
    told: (u64, Option<ReplicaId>),
}

impl MiniRaft {
    /// A replica that goes on where its records end. Its election time-outs come from `seed` and its id.
    pub fn new(boot: Boot<RaftRecord>, timing: Timing, planted: Planted, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(boot.id.0));
        let mut raft = MiniRaft {
            id: boot.id,
            replicas: boot.replicas,
            timing,
            planted,
            random,
            term: 0,
            voted_for: None,
            log: Log::default(),
            role: Role::Follower,
            leader: None,
            commit: 0,
            applied: 0,
            slot: 0,
            promises: Vec::new(),
            dirty: false,
            asked: SyncToken(0),
            durable: SyncToken(0),
            syncing: VecDeque::new(),
            told: (0, None),
        };
        // Figure 2, persistent state.
        for record in boot.records {
            match record {
                RaftRecord::Ballot { term, voted_for } => {
                    raft.term = term;
                    raft.voted_for = voted_for.filter(|_| planted != Planted::ForgetVote);
                }
                RaftRecord::Entries { first, entries } => raft.log.write(first, &entries),
            }
        }
        raft
    }

    fn majority(&self) -> usize {
        self.replicas / 2 + 1
    }

    /// §5.2: waits a random time for a leader; §9.3 shows why it is random.
    fn await_leader(&mut self, effects: &mut Effects<Self>) {
        let after = self.random.random_range(self.timing.election_min..=self.timing.election_max);
        effects.set_timer(ELECTION, after);
    }

    fn persist_ballot(&mut self, effects: &mut Effects<Self>) {
        effects.persist(RaftRecord::Ballot { term: self.term, voted_for: self.voted_for });
        self.dirty = true;
    }

    fn write_log(&mut self, first: u64, entries: Vec<Entry>, effects: &mut Effects<Self>) {
        self.log.write(first, &entries);
        effects.persist(RaftRecord::Entries { first, entries });
        self.dirty = true;
    }

    /// §5.1: who hears of a higher term enters it as a follower, and has no vote cast in it.
    fn enter_term(&mut self, term: u64, effects: &mut Effects<Self>) {
        (self.term, self.voted_for, self.leader) = (term, None, None);
        self.persist_ballot(effects);
        self.follow(effects);
    }

    fn follow(&mut self, effects: &mut Effects<Self>) {
        if let Role::Leader { .. } = self.role {
            effects.cancel_timer(HEARTBEAT);
            self.await_leader(effects);
        }
        self.role = Role::Follower;
    }

    /// §5.2: no leader is heard of, or no candidate won.
    fn stand(&mut self, effects: &mut Effects<Self>) {
        if let Role::Leader { .. } = self.role {
            return;
        }
        (self.term, self.voted_for, self.leader) = (self.term + 1, Some(self.id), None);
        self.persist_ballot(effects);
        // Its own vote counts once it is durable, in `synced`.
        self.role = Role::Candidate { votes: BTreeSet::new() };
        self.await_leader(effects);
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        let request = RaftMessage::RequestVote { term: self.term, last_index, last_term };
        // A crash before the sync forgets term and vote; the request promises both.
        for peer in ReplicaId::all(self.replicas).filter(|&peer| peer != self.id) {
            self.promises.push((peer, request.clone()));
        }
    }

    /// §5.2: a majority of votes makes a leader.
    fn count_vote(&mut self, from: ReplicaId, effects: &mut Effects<Self>) {
        let majority = self.majority();
        let Role::Candidate { votes } = &mut self.role else { return };
        votes.insert(from);
        if votes.len() < majority {
            return;
        }
        self.leader = Some(self.id);
        let first = self.log.last_index() + 1;
        self.role = Role::Leader { peers: vec![Progress::new(first); self.replicas] };
        effects.cancel_timer(ELECTION);
        effects.set_timer(HEARTBEAT, self.timing.heartbeat);
        // §8: an entry of its own term lets a leader commit those of earlier ones. It is also the first
        // thing that followers hear of their leader.
        self.write_log(first, vec![Entry { term: self.term, command: None }], effects);
    }

    /// §5.3 and §8: the leader appends, others know at best who leads.
    fn propose(&mut self, commands: Vec<Command>, effects: &mut Effects<Self>) {
        let Role::Leader { .. } = self.role else {
            let leader = self.leader;
            let refuse = |command: Command| effects.reject(Rejection { command: command.id(), leader });
            return commands.into_iter().for_each(refuse);
        };
        let entry = |command| Entry { term: self.term, command: Some(command) };
        let entries = commands.into_iter().map(entry).collect();
        self.write_log(self.log.last_index() + 1, entries, effects);
        effects.proposed();
        if self.planted == Planted::AcknowledgeBeforeQuorum {
            self.commit = self.log.last_index();
        }
    }

    fn receive(&mut self, from: ReplicaId, message: RaftMessage, effects: &mut Effects<Self>) {
        let term = message.term();
        if term > self.term {
            self.enter_term(term, effects);
        }
        // §5.1: what is said in an older term is void.
        let stale = term < self.term;
        let counts = !stale || self.planted == Planted::CountStaleMessage;
        match message {
            RaftMessage::RequestVote { last_index, last_term, .. } => {
                // §5.2: one vote per term, first come, first served. §5.4.1: only for a candidate whose
                // log is at least as up to date.
                let free = self.voted_for.is_none_or(|voted_for| voted_for == from);
                let up_to_date = (last_term, last_index) >= (self.log.last_term(), self.log.last_index());
                let granted = !stale && free && up_to_date;
                if granted {
                    self.voted_for = Some(from);
                    self.persist_ballot(effects);
                    self.await_leader(effects);
                }
                self.promises.push((from, RaftMessage::Vote { term: self.term, granted }));
            }
            RaftMessage::Vote { granted: true, .. } if counts => self.count_vote(from, effects),
            RaftMessage::Vote { .. } => {}
            RaftMessage::Append { prev_index, .. } if stale => {
                // Figure 2, AppendEntries 1; the term in the answer deposes the sender.
                let next = self.log.last_index() + 1;
                self.promises.push((from, RaftMessage::Refused { term: self.term, prev_index, next }));
            }
            RaftMessage::Append { prev_index, prev_term, commit, entries, .. } => {
                // §5.2: a candidate yields to the leader of its term.
                self.follow(effects);
                self.leader = Some(from);
                self.await_leader(effects);
                let answer = self.append(prev_index, prev_term, commit, entries, effects);
                self.promises.push((from, answer));
            }
            RaftMessage::Accepted { matched, .. } if counts => {
                if let Role::Leader { peers } = &mut self.role {
                    peers[from.index()].accepted(matched);
                }
            }
            RaftMessage::Refused { prev_index, next, .. } if !stale => {
                if let Role::Leader { peers } = &mut self.role {
                    peers[from.index()].refused(prev_index, next);
                }
            }
            RaftMessage::Accepted { .. } | RaftMessage::Refused { .. } => {}
        }
    }

    /// Figure 2, AppendEntries 2 to 5.
    fn append(
        &mut self,
        prev_index: u64,
        prev_term: u64,
        commit: u64,
        entries: Vec<Entry>,
        effects: &mut Effects<Self>,
    ) -> RaftMessage {
        let term = self.term;
        if self.log.term(prev_index) != Some(prev_term) {
            return RaftMessage::Refused { term, prev_index, next: self.log.retreat(prev_index) };
        }
        let matched = prev_index + entries.len() as u64;
        if self.planted == Planted::ApplyTwice && !entries.is_empty() {
            self.applied = self.applied.min(prev_index);
        }
        if let Some((first, novel)) = self.log.novel(prev_index, entries) {
            self.write_log(first, novel, effects);
        }
        // Only up to the last entry that this append vouches for: what follows may be another leader's.
        self.commit = self.commit.max(commit.min(matched));
        RaftMessage::Accepted { term, matched }
    }

    fn synced(&mut self, token: SyncToken, effects: &mut Effects<Self>) {
        self.durable = self.durable.max(token);
        while self.syncing.front().is_some_and(|syncing| syncing.token <= token) {
            let Some(done) = self.syncing.pop_front() else { return };
            // A log may have been cut since an older term, and its index then says nothing of this log.
            if done.term != self.term {
                continue;
            }
            match &mut self.role {
                Role::Follower => {}
                Role::Candidate { .. } => self.count_vote(self.id, effects),
                // Thesis §10.2.1: the leader writes while followers do, and counts itself like them.
                Role::Leader { peers } => peers[self.id.index()].accepted(done.last_index),
            }
        }
    }

    /// §5.3 and §5.4.2: an entry of the leader's own term on a majority is committed, and so is all
    /// before it; entries of earlier terms are never committed by counting.
    fn advance_commit(&mut self) {
        let Role::Leader { peers } = &self.role else { return };
        let mut matched: Vec<u64> = peers.iter().map(|peer| peer.matched).collect();
        matched.sort_unstable();
        let on_majority = matched[self.replicas - self.majority()];
        let own_term = self.log.term(on_majority) == Some(self.term);
        if on_majority > self.commit && (own_term || self.planted == Planted::CommitOldTerm) {
            self.commit = on_majority;
        }
    }

    fn append_message(&self, prev_index: u64, entries: Vec<Entry>) -> RaftMessage {
        let prev_term = self.log.term(prev_index).unwrap_or(0);
        RaftMessage::Append { term: self.term, prev_index, prev_term, commit: self.commit, entries }
    }

    /// §5.3: sends what followers lack. Not held for a sync: it promises nothing (thesis §10.2.1).
    fn replicate(&mut self, effects: &mut Effects<Self>) {
        for peer in ReplicaId::all(self.replicas).filter(|&peer| peer != self.id) {
            loop {
                let Role::Leader { peers } = &mut self.role else { return };
                let progress = &mut peers[peer.index()];
                let first = progress.next;
                let entries = self.log.from(first, APPEND_ENTRIES);
                if entries.is_empty() || !progress.may_send() {
                    break;
                }
                progress.sent(entries.len());
                effects.send(peer, self.append_message(first - 1, entries));
            }
        }
    }

    /// §5.2: keeps followers from standing. What was lost on the way shows in their answers, so that
    /// §5.3's endless retries need no timer of their own.
    fn heartbeat(&mut self, effects: &mut Effects<Self>) {
        let Role::Leader { peers } = &self.role else { return };
        for peer in ReplicaId::all(self.replicas).filter(|&peer| peer != self.id) {
            effects.send(peer, self.append_message(peers[peer.index()].next - 1, Vec::new()));
        }
        effects.set_timer(HEARTBEAT, self.timing.heartbeat);
    }

    /// §5.3: committed entries, in the order of the log. A leader's first entry is for no one.
    fn apply(&mut self, effects: &mut Effects<Self>) {
        while self.applied < self.commit {
            let Some(entry) = self.log.get(self.applied + 1) else { return };
            self.applied += 1;
            self.slot += 1;
            if let Some(command) = &entry.command {
                effects.deliver(Slot(self.slot), command.clone());
            }
        }
    }

    /// Figure 2, persistent state: durable before the answers that depend on it.
    fn sync(&mut self, effects: &mut Effects<Self>) {
        if std::mem::take(&mut self.dirty) {
            self.asked = SyncToken(self.asked.0 + 1);
            effects.sync(self.asked);
            let last_index = self.log.last_index();
            self.syncing.push_back(Syncing { token: self.asked, term: self.term, last_index });
        }
        for (to, promise) in self.promises.drain(..) {
            if self.durable == self.asked || self.planted == Planted::SkipSync {
                effects.send(to, promise);
            } else {
                effects.send_after_sync(self.asked, to, promise);
            }
        }
    }
}

impl Replica for MiniRaft {
    type Message = RaftMessage;
    type Record = RaftRecord;

    fn step(&mut self, _now: Time, input: Input<RaftMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => self.await_leader(effects),
            Input::Timer(ELECTION) => self.stand(effects),
            Input::Timer(_) => self.heartbeat(effects),
            Input::Message { from, message } => self.receive(from, message, effects),
            Input::Requests(commands) => self.propose(commands, effects),
            Input::Synced(token) => self.synced(token, effects),
            // Loss shows in the answers to heartbeats.
            Input::Link { .. } | Input::Corrupt(_) | Input::Tune { .. } => {}
        }
    }

    fn flush(&mut self, _now: Time, effects: &mut Effects<Self>) {
        self.advance_commit();
        self.replicate(effects);
        self.apply(effects);
        self.sync(effects);
        let view = (self.term, self.leader);
        if view != self.told {
            self.told = view;
            effects.new_view(View(self.term), self.leader);
        }
    }
}
