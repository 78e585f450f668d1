//! One life of one simulated replica, from boot to crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::metrics::RaftServerMetrics;
use openraft::{Config, Instant};
use protocol_core::simulation::{Disk, Pending};
use protocol_core::{Application, LaunchError, ReplicaId};
use tokio::sync::mpsc;

use super::body::Item;
use super::environment::{VirtualJournal, VirtualTime};
use super::world::{Event, Here, World};
use crate::log_store::LogStore;
use crate::network::{Carriage, Endpoint, Links};
use crate::replica::LOOK_AFTER;
use crate::responder::Responder;
use crate::state_machine::StateMachine;
use crate::types::{Proposal, Raft, TypeConfig};

type ServerMetrics = RaftServerMetrics<TypeConfig<VirtualTime>>;

/// What every life of every replica starts from.
pub(super) struct Origin {
    pub(super) world: Arc<World>,
    pub(super) config: Arc<Config>,
    pub(super) carriage: Carriage,
}

/// One life of one replica.
pub(super) struct Life {
    here: Here,
    raft: Raft<VirtualTime>,
    endpoint: Arc<Endpoint<VirtualTime>>,
    log: LogStore<VirtualTime>,
    requests: mpsc::UnboundedSender<Pending>,
    metrics: WatchReceiverOf<TypeConfig<VirtualTime>, ServerMetrics>,
    leads: bool,
}

impl Life {
    /// Starts a replica from what its disk holds, or without one in memory. Takes no time.
    pub(super) async fn start(id: ReplicaId, origin: &Origin) -> Result<Life, LaunchError> {
        let here = Here::of(&origin.world, id);
        let log = log_of(&here, &origin.world)?;
        let new = log.is_pristine();
        let application = Application::default();
        let machine = StateMachine::new(application.clone(), log.clone());
        let endpoint = Arc::new(Endpoint::<VirtualTime>::new(
            id,
            origin.world.clone(),
            here.clone(),
            origin.carriage.clone(),
        ));
        let build = Raft::<VirtualTime>::build(
            u64::from(id.0),
            origin.config.clone(),
            Links(endpoint.clone()),
            log.clone(),
            machine,
        );
        let raft =
            here.clone().guard(build).await.map_err(|error| LaunchError::Library(error.to_string()))?;
        {
            let mut state = origin.world.state();
            let now = state.now;
            let body = state.body(id);
            (body.live, body.busy_until) = (true, now);
            (body.application, body.failure) = (application, None);
        }
        endpoint.serve_with(raft.clone());
        here.enter(|| raft.run());
        let (requests, queue) = mpsc::unbounded_channel();
        here.run(take_up(here.clone(), raft.clone(), queue));
        // The first replica is told the members, and leads first. It is told again when it crashed before
        // any of that was durable: until then it asked no one for a vote.
        if new && id == ReplicaId(0) {
            let members = origin.world.state().bodies.len() as u64;
            here.run(initialize(here.clone(), origin.world.clone(), raft.clone(), members));
        }
        let metrics = raft.server_metrics();
        Ok(Life { here, raft, endpoint, log, requests, metrics, leads: false })
    }

    /// Hands the library what waited in the inbox.
    pub(super) fn hand_over(&self, world: &World, round: Vec<Item>) {
        let id = self.here.id;
        self.here.enter(|| {
            for item in round {
                match item {
                    Item::Message(from, message, _) => self.endpoint.receive(from, message),
                    Item::Request(pending) => self.pass_on(world, pending),
                    Item::Timer(timer) => {
                        let waker = world.state().body(id).timers.remove(&timer);
                        if let Some(waker) = waker {
                            waker.wake();
                        }
                    }
                    Item::Synced(token) => {
                        let flushed = world.state().take_flushed(id, token);
                        flushed.into_iter().for_each(|done| done(Ok(())));
                    }
                }
            }
        });
    }

    fn pass_on(&self, world: &World, pending: Pending) {
        if let Err(mpsc::error::SendError(pending)) = self.requests.send(pending) {
            world.state().send_back(self.here.id, pending, None);
        }
    }

    /// Looks whether the library gained or lost the lead, after it did something. False when it stopped
    /// by itself.
    pub(super) fn look_after(&mut self, world: &World) -> bool {
        match self.metrics.changed().now_or_never() {
            None => return true,
            Some(Ok(())) => {}
            Some(Err(_)) => return false,
        }
        let (leads, leader) = {
            let metrics = self.metrics.borrow_watched();
            (metrics.state.is_leader(), metrics.current_leader)
        };
        if leads == self.leads {
            return true;
        }
        self.leads = leads;
        let mut state = world.state();
        let id = self.here.id;
        if leads {
            state.clients.leader_is(id);
            let at = state.now.saturating_add(nanos(LOOK_AFTER));
            state.events.push(at, Event::LookAfter(id, self.here.life));
        } else {
            // This replica may never learn the fate of what it proposed; the next leader decides it.
            state.hand_back_all(id, leader.map(|leader| ReplicaId(leader as u32)));
        }
        true
    }

    /// A leader that no quorum acknowledged for the time of a lease can't commit. It hands back what
    /// waits there; the library would keep it until it hears of another leader.
    pub(super) fn ask_for_quorum(&self, world: &World, lease: Duration) {
        if !self.leads {
            return;
        }
        let acknowledged = self.raft.data_metrics().borrow_watched().last_quorum_acked;
        let lost =
            self.here.enter(|| acknowledged.is_some_and(|acknowledged| acknowledged.elapsed() > lease));
        let mut state = world.state();
        if lost {
            state.hand_back_all(self.here.id, None);
        }
        let at = state.now.saturating_add(nanos(LOOK_AFTER));
        state.events.push(at, Event::LookAfter(self.here.id, self.here.life));
    }

    /// The term and the leader that this replica knows.
    pub(super) fn leader(&self) -> Option<(u64, ReplicaId)> {
        let metrics = self.metrics.borrow_watched();
        Some((metrics.vote.leader_id.term, ReplicaId(metrics.current_leader? as u32)))
    }

    /// Why the library stopped by itself.
    pub(super) fn failure(&self) -> String {
        let metrics = self.raft.metrics();
        match &metrics.borrow_watched().running_state {
            Err(Fatal::Stopped) | Ok(()) => "the library stopped".to_string(),
            Err(fatal) => fatal.to_string(),
        }
    }

    /// Ends the life as a crash does: memory is lost, and so is what no flush made durable. Tasks end
    /// when they run next.
    pub(super) fn crash(self, world: &World) {
        // The log closes first, so that nothing is acknowledged on the way out.
        self.log.close();
        self.endpoint.close();
        world.state().end(self.here.id);
        let raft = self.raft;
        self.here.run(async move {
            raft.shutdown().await.ok();
        });
    }
}

fn log_of(here: &Here, world: &World) -> Result<LogStore<VirtualTime>, LaunchError> {
    let mut state = world.state();
    let body = state.body(here.id);
    let library = |error: String| LaunchError::Library(error);
    match body.disk.as_ref().map(Disk::recover) {
        None => Ok(LogStore::forgetful(here.id, body.counters.clone())),
        Some(records) => {
            let records = records.map_err(|error| library(error.to_string()))?;
            let journal = VirtualJournal(here.clone());
            let log = LogStore::recovered(here.id, body.counters.clone(), journal, records);
            log.map_err(|error| library(error.to_string()))
        }
    }
}

/// Passes clients' commands on to the library, as many at once as there are.
async fn take_up(here: Here, raft: Raft<VirtualTime>, mut queue: mpsc::UnboundedReceiver<Pending>) {
    while let Some(pending) = queue.recv().await {
        let proposal = Proposal(pending.command.clone());
        if let Some(ticket) = here.take_up(pending) {
            // It fails only when the library stopped; then the ticket hands the command back.
            raft.client_write_ff(proposal, Some(Responder::of(ticket))).await.ok();
        }
    }
}

async fn initialize(here: Here, world: Arc<World>, raft: Raft<VirtualTime>, members: u64) {
    let members: BTreeMap<u64, ()> = (0..members).map(|id| (id, ())).collect();
    if let Err(error) = raft.initialize(members).await {
        let mut state = world.state();
        let body = state.body(here.id);
        if body.life == here.life {
            body.failure = Some(error.to_string());
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
