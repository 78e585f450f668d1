//! openraft with the adapter's log and state machine, but called directly: `client_write` by
//! clients, and nodes that call each other's methods in place of a network.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use protocol_core::{Application, Command, CommandId, CounterCell, LaunchSpec, ReplicaId};
use protocol_openraft::{LogStore, Proposal, Raft, Snapshot, StateMachine, TypeConfig, Vote};
use tokio::runtime::Runtime;

const NODES: u64 = 3;

type Nodes = Arc<Vec<OnceLock<Raft>>>;

/// A running cluster with its clients.
pub struct Bare {
    runtime: Runtime,
    leader: Raft,
    clients: usize,
    payload: usize,
}

impl Bare {
    /// Three nodes on one thread; node 0 leads.
    pub fn launch(clients: usize, payload: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let leader = runtime.block_on(async {
            let config = protocol_openraft::config(&LaunchSpec::in_memory(NODES as usize)).expect("valid");
            let config = Arc::new(config);
            let nodes: Nodes = Arc::new((0..NODES).map(|_| OnceLock::new()).collect());
            for id in 0..NODES {
                let log = LogStore::in_memory(ReplicaId(id as u32), Arc::new(CounterCell::default()));
                let machine = StateMachine::new(Application::default(), log.clone());
                let raft = Raft::new(id, config.clone(), Links(nodes.clone()), log, machine);
                nodes[id as usize].set(raft.await.expect("a node starts")).ok();
            }
            let leader = nodes[0].get().expect("it was just set").clone();
            let members: BTreeMap<u64, ()> = (0..NODES).map(|id| (id, ())).collect();
            leader.initialize(members).await.expect("a fresh cluster");
            leader
        });
        let bare = Bare { runtime, leader, clients, payload };
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
                    let (leader, payload) = (self.leader.clone(), vec![7u8; self.payload]);
                    tokio::spawn(async move {
                        for number in 0..share {
                            let command = Command::new(CommandId(number * clients + client), &payload);
                            // Until it knows that it leads, the node forwards to nobody.
                            while leader.client_write(Proposal(command.clone())).await.is_err() {
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

#[derive(Clone)]
struct Links(Nodes);

/// The way to one node.
struct Link {
    nodes: Nodes,
    to: u64,
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Link;

    async fn new_client(&mut self, to: u64, (): &()) -> Link {
        Link { nodes: self.0.clone(), to }
    }
}

fn unreachable() -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(&io::Error::other("not started")))
}

impl Link {
    fn peer(&self) -> Result<Raft, RPCError<TypeConfig>> {
        self.nodes[self.to as usize].get().cloned().ok_or_else(unreachable)
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.peer()?.append_entries(request).await.map_err(|_| unreachable())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let peer = self.peer();
        Box::pin(async move {
            let answers = peer?.stream_append(input).map(|answer| answer.map_err(|_| unreachable()));
            Ok(Box::pin(answers) as BoxStream<'s, _>)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.peer()?.vote(request).await.map_err(|_| unreachable())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let failed = || StreamingError::Unreachable(Unreachable::new(&io::Error::other("not started")));
        let peer = self.peer().map_err(|_| failed())?;
        peer.install_full_snapshot(vote, snapshot).await.map_err(|_| failed())
    }
}
