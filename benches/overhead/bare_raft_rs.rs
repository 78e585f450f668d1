//! The barest driver of `raft`: a task and a channel per node, one-shot channels as clients. No
//! counters, no digests, no faults, no safety check.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

const NODES: u64 = 3;
const DRAIN: usize = 1024;
const COMPACT_EVERY: u64 = 20_000;

enum Event {
    Message(Message),
    Propose(Bytes, oneshot::Sender<()>),
    Tick,
}

type Inbox = mpsc::UnboundedSender<Event>;

/// A running cluster with its clients.
pub struct Bare {
    runtime: Runtime,
    leader: Inbox,
    clients: usize,
    payload: usize,
}

impl Bare {
    /// Three nodes on one thread; node 1 leads.
    pub fn launch(clients: usize, payload: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (inboxes, receivers): (Vec<Inbox>, Vec<_>) =
            (0..NODES).map(|_| mpsc::unbounded_channel()).unzip();
        let inboxes = Arc::new(inboxes);
        for (id, receiver) in (1..=NODES).zip(receivers) {
            runtime.spawn(Node::new(id, inboxes.clone()).run(receiver));
            let inbox = inboxes[id as usize - 1].clone();
            runtime.spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                while inbox.send(Event::Tick).is_ok() {
                    ticks.tick().await;
                }
            });
        }
        let bare = Bare { runtime, leader: inboxes[0].clone(), clients, payload };
        bare.commit(1);
        bare
    }

    /// Commits `commands` in a closed loop.
    pub fn commit(&self, commands: u64) -> Duration {
        let clients = (self.clients as u64).min(commands);
        self.runtime.block_on(async {
            let started = Instant::now();
            let tasks: Vec<_> = (0..clients)
                .map(|client| {
                    let share = commands / clients + u64::from(client < commands % clients);
                    let (leader, payload) = (self.leader.clone(), self.payload);
                    tokio::spawn(async move {
                        for _ in 0..share {
                            // A node that does not lead yet drops the request.
                            loop {
                                let (done, committed) = oneshot::channel();
                                let command = Bytes::from(vec![7u8; payload + 8]);
                                leader.send(Event::Propose(command, done)).ok();
                                if committed.await.is_ok() {
                                    break;
                                }
                                tokio::time::sleep(Duration::from_millis(1)).await;
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a client ends");
            }
            started.elapsed()
        })
    }
}

struct Node {
    raft: RawNode<MemStorage>,
    peers: Arc<Vec<Inbox>>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    applied: u64,
    compacted: u64,
}

impl Node {
    fn new(id: u64, peers: Arc<Vec<Inbox>>) -> Self {
        let members = ConfState::from(((1..=NODES).collect::<Vec<_>>(), Vec::new()));
        let config = Config {
            id,
            election_tick: 30,
            heartbeat_tick: 5,
            max_size_per_msg: 1 << 20,
            pre_vote: true,
            check_quorum: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut raft =
            RawNode::new(&config, MemStorage::new_with_conf_state(members), &logger).expect("a valid config");
        if id == 1 {
            raft.campaign().expect("a fresh node may stand");
        }
        Node { raft, peers, waiting: VecDeque::new(), applied: 0, compacted: 0 }
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>) {
        let (mut events, mut entries, mut clients) = (Vec::with_capacity(DRAIN), Vec::new(), Vec::new());
        while inbox.recv_many(&mut events, DRAIN).await > 0 {
            for event in events.drain(..) {
                match event {
                    Event::Message(message) => drop(self.raft.step(message)),
                    Event::Tick => drop(self.raft.tick()),
                    Event::Propose(data, client) => {
                        entries.push(Entry { data, ..Entry::default() });
                        clients.push(client);
                    }
                }
            }
            self.propose(&mut entries, &mut clients);
            self.ready();
        }
    }

    fn propose(&mut self, entries: &mut Vec<Entry>, clients: &mut Vec<oneshot::Sender<()>>) {
        if entries.is_empty() || self.raft.raft.state != StateRole::Leader {
            entries.clear();
            return clients.clear();
        }
        let first = self.raft.raft.raft_log.last_index() + 1;
        let mut proposal = Message::default();
        proposal.set_msg_type(MessageType::MsgPropose);
        proposal.from = self.raft.raft.id;
        proposal.set_entries(std::mem::take(entries).into());
        if self.raft.raft.step(proposal).is_ok() {
            self.waiting
                .extend(clients.drain(..).enumerate().map(|(at, client)| (first + at as u64, client)));
        }
        clients.clear();
    }

    fn ready(&mut self) {
        while self.raft.has_ready() {
            let mut ready = self.raft.ready();
            self.send(ready.take_messages());
            self.apply(ready.take_committed_entries());
            let store = self.raft.store().clone();
            store.wl().append(ready.entries()).expect("entries follow each other");
            if let Some(state) = ready.hs() {
                store.wl().set_hardstate(state.clone());
            }
            self.send(ready.take_persisted_messages());
            let mut light = self.raft.advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().set_commit(commit);
            }
            self.send(light.take_messages());
            self.apply(light.take_committed_entries());
            self.raft.advance_apply();
        }
        if self.applied - self.compacted > COMPACT_EVERY {
            self.compacted = self.applied;
            self.raft.store().wl().compact(self.applied - 1_000).ok();
        }
    }

    fn send(&self, messages: Vec<Message>) {
        for message in messages {
            self.peers[message.to as usize - 1].send(Event::Message(message)).ok();
        }
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        let Some(last) = entries.last() else { return };
        self.applied = last.index;
        while self.waiting.front().is_some_and(|waiting| waiting.0 <= self.applied) {
            if let Some((_, client)) = self.waiting.pop_front() {
                client.send(()).ok();
            }
        }
    }
}
