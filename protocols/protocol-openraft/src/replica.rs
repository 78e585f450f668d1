//! One replica: what outsiders know of it, and its life from boot to crash.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Config, Instant as _};
use protocol_core::{
    Application, CounterCell, Fault, FaultError, Inbox, LaunchError, Network, Offer, ReplicaId,
    ReplicaStatus, Request, SharedClient,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::environment::RealTime;
use crate::gate::GatedTasks;
use crate::log_store::LogStore;
use crate::network::{Carriage, Endpoint, Links, held};
use crate::responder::Waiting;
use crate::state_machine::StateMachine;
use crate::types::{Raft, Rpc, TypeConfig};

/// Requests taken up at once, at most.
const TAKE_UP: usize = 1024;
/// How often waiting requests are searched for passed deadlines, and the leader asked for its quorum.
pub(crate) const LOOK_AFTER: Duration = Duration::from_millis(50);

/// What outsiders know of one replica.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) counters: Arc<CounterCell>,
    pub(crate) live: AtomicBool,
    starts: AtomicU64,
    requests: Mutex<Option<mpsc::UnboundedSender<Request>>>,
    endpoint: Mutex<Option<Arc<Endpoint<RealTime>>>>,
    raft: Mutex<Option<Raft>>,
    application: Mutex<Application>,
    failure: Mutex<Option<String>>,
}

impl Node {
    /// Takes messages for this replica. One that is down loses them, as on a real network.
    pub(crate) fn inbox(self: &Arc<Self>) -> Inbox<Rpc> {
        let node = self.clone();
        Box::new(move |from, message| {
            let endpoint = held(&node.endpoint).clone();
            if let Some(endpoint) = endpoint {
                endpoint.receive(from, message);
            }
        })
    }

    pub(crate) fn application(&self) -> Application {
        held(&self.application).clone()
    }

    /// The term and the leader that this replica knows, while it lives.
    pub(crate) fn leader(&self) -> Option<(u64, ReplicaId)> {
        let raft = held(&self.raft).clone()?;
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow_watched();
        Some((metrics.vote.leader_id.term, ReplicaId(metrics.current_leader? as u32)))
    }

    pub(crate) fn status(&self) -> ReplicaStatus {
        let application = self.application();
        let log = application.log();
        ReplicaStatus {
            corrupted: false,
            live: self.live.load(Relaxed),
            delivered: log.delivered(),
            digest: log.digest(),
            counters: self.counters.read(),
            restarts: self.starts.load(Relaxed).saturating_sub(1),
            suspects: Vec::new(),
            misbehaviour: Vec::new(),
            failure: held(&self.failure).clone(),
        }
    }

    fn post(&self, request: Request) -> Result<(), Request> {
        match &*held(&self.requests) {
            Some(requests) => requests.send(request).map_err(|error| error.0),
            None => Err(request),
        }
    }

    /// From here on nothing reaches the replica, and it is known to be down.
    fn shut(&self) {
        self.live.store(false, Relaxed);
        *held(&self.requests) = None;
        *held(&self.raft) = None;
        if let Some(endpoint) = held(&self.endpoint).take() {
            endpoint.close();
        }
    }
}

/// Hands requests to replicas.
pub(crate) fn offer_to(nodes: Arc<Vec<Arc<Node>>>) -> Box<Offer> {
    Box::new(move |to, request| nodes[to.index()].post(request))
}

/// What every life of every replica starts from.
pub(crate) struct Origin {
    pub(crate) config: Arc<Config>,
    pub(crate) carriage: Carriage,
    pub(crate) network: Network<Rpc>,
    pub(crate) client: Arc<SharedClient>,
    /// Whether logs are flushed in groups.
    pub(crate) group_commit: bool,
}

/// One life of one replica.
pub(crate) struct Life {
    pub(crate) raft: Raft,
    /// Whether its log was empty, as before a cluster's first launch.
    pub(crate) new: bool,
    log: LogStore,
    node: Arc<Node>,
    endpoint: Arc<Endpoint<RealTime>>,
    waiting: Arc<Waiting>,
    take_up: JoinHandle<()>,
    look_after: JoinHandle<()>,
}

impl Life {
    /// Starts a replica from its log, or without one in memory.
    pub(crate) async fn start(
        id: ReplicaId,
        node: &Arc<Node>,
        origin: &Origin,
        path: Option<&Path>,
    ) -> Result<Life, LaunchError> {
        let log = match path {
            None => LogStore::in_memory(id, node.counters.clone()),
            Some(path) => LogStore::open(id, node.counters.clone(), path)
                .map_err(|source| LaunchError::Storage { path: path.to_path_buf(), source })?,
        };
        log.commit_in_groups(origin.group_commit);
        let new = log.is_pristine();
        let application = Application::default();
        let machine = StateMachine::new(application.clone(), log.clone());
        let tasks = GatedTasks::on_current_runtime();
        let endpoint =
            Arc::new(Endpoint::<RealTime>::new(id, origin.network.clone(), tasks, origin.carriage.clone()));
        let links = Links(endpoint.clone());
        let (config, logged) = (origin.config.clone(), log.clone());
        let built = endpoint.tasks.gate.guard(async {
            let raft = Raft::build(u64::from(id.0), config, links, logged, machine).await?;
            endpoint.serve_with(raft.clone());
            raft.run();
            Ok::<_, Fatal<TypeConfig>>(raft)
        });
        let raft = built.await.map_err(|error| LaunchError::Library(error.to_string()))?;

        let waiting = Arc::new(Waiting::new(id, origin.client.clone(), endpoint.sent.clone(), log.flushed()));
        let (sender, requests) = mpsc::unbounded_channel();
        *held(&node.application) = application;
        *held(&node.failure) = None;
        *held(&node.raft) = Some(raft.clone());
        *held(&node.endpoint) = Some(endpoint.clone());
        *held(&node.requests) = Some(sender);
        node.starts.fetch_add(1, Relaxed);
        node.live.store(true, Relaxed);
        let lease = Duration::from_millis(origin.config.election_timeout_max);
        let look_after = LookAfter {
            id,
            node: node.clone(),
            raft: raft.clone(),
            waiting: waiting.clone(),
            client: origin.client.clone(),
            lease,
        };
        Ok(Life {
            take_up: tokio::spawn(endpoint.tasks.gate.guard(take_up(
                raft.clone(),
                waiting.clone(),
                requests,
            ))),
            look_after: tokio::spawn(endpoint.tasks.gate.guard(look_after.run())),
            endpoint,
            node: node.clone(),
            raft,
            new,
            log,
            waiting,
        })
    }

    /// Lets the replica stand still, while it lives.
    pub(crate) fn pause(&self, fault: Fault) -> Result<(), FaultError> {
        let id = self.endpoint.id;
        if !self.node.live.load(Relaxed) {
            return Err(FaultError::is_down(fault, id));
        }
        if self.endpoint.pause() { Ok(()) } else { Err(FaultError::is_paused(fault, id)) }
    }

    /// Lets a replica that stands still go on.
    pub(crate) fn resume(&self, fault: Fault) -> Result<(), FaultError> {
        if self.endpoint.resume() { Ok(()) } else { Err(FaultError::is_running(fault, self.endpoint.id)) }
    }

    /// Ends the life as a crash does: memory is lost, the log keeps what it was given.
    pub(crate) async fn crash(self) {
        self.look_after.abort();
        self.look_after.await.ok();
        self.node.shut();
        // The log closes first, so that nothing is acknowledged on the way out.
        self.log.close();
        // A replica that stands still has to move to be stopped; nothing that it does counts any more.
        self.endpoint.tasks.gate.open();
        self.raft.shutdown().await.ok();
        // Ends once it has passed on what was queued, which the stopped library hands back.
        self.take_up.await.ok();
        self.waiting.hand_back_all(None);
    }
}

/// Passes requests on to the library, as many at once as there are.
async fn take_up(raft: Raft, waiting: Arc<Waiting>, mut queue: mpsc::UnboundedReceiver<Request>) {
    let mut requests = Vec::with_capacity(TAKE_UP);
    let mut proposals = Vec::with_capacity(TAKE_UP);
    while queue.recv_many(&mut requests, TAKE_UP).await > 0 {
        waiting.take_up(&mut requests, &mut proposals);
        // Tokio would make the task yield after 128 writes, and so limit the library's batches.
        tokio::task::unconstrained(async {
            for (proposal, responder) in proposals.drain(..) {
                // It fails only when the library stopped; then the responder hands the request back.
                raft.client_write_ff(proposal, Some(responder)).await.ok();
            }
        })
        .await;
    }
}

/// Watches one life of a replica for what the library leaves to the application.
struct LookAfter {
    id: ReplicaId,
    node: Arc<Node>,
    raft: Raft,
    waiting: Arc<Waiting>,
    client: Arc<SharedClient>,
    /// A leader that no quorum acknowledged for so long can't commit.
    lease: Duration,
}

impl LookAfter {
    async fn run(self) {
        let mut metrics = self.raft.server_metrics();
        let mut interval = tokio::time::interval(LOOK_AFTER);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leads = false;
        loop {
            let (leads_now, leader) = {
                let metrics = metrics.borrow_watched();
                (metrics.state.is_leader(), metrics.current_leader)
            };
            if leads_now != leads {
                leads = leads_now;
                self.leadership_changed(leads, leader);
            }
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() { break },
                _ = interval.tick() => {
                    self.waiting.expire();
                    if leads && self.lost_its_quorum() {
                        self.waiting.hand_back_all(None);
                    }
                }
            }
        }
        self.stopped_by_itself();
    }

    fn leadership_changed(&self, leads: bool, leader: Option<u64>) {
        if leads {
            self.client.leader_is(self.id);
        } else {
            // This replica may never learn the fate of what it proposed; the next leader decides it.
            self.waiting.hand_back_all(leader.map(|leader| ReplicaId(leader as u32)));
        }
    }

    /// The library then refuses new commands but keeps those it has until it hears of another
    /// leader, which a replica that is cut off never does.
    fn lost_its_quorum(&self) -> bool {
        let metrics = self.raft.data_metrics();
        let acknowledged = metrics.borrow_watched().last_quorum_acked;
        // A replica alone needs no acknowledgement, and has none.
        acknowledged.is_some_and(|acknowledged| acknowledged.elapsed() > self.lease)
    }

    /// The library stops by itself when its log or the application fails it.
    fn stopped_by_itself(&self) {
        let metrics = self.raft.metrics();
        let failure = match &metrics.borrow_watched().running_state {
            Err(Fatal::Stopped) | Ok(()) => "the library stopped".to_string(),
            Err(fatal) => fatal.to_string(),
        };
        self.node.shut();
        *held(&self.node.failure) = Some(failure);
        self.waiting.hand_back_all(None);
    }
}
