//! Drives any [`Replica`] as a [`Cluster`], in real time on tokio: one task per replica, one inbox
//! each.
//!
//! Batching is explicit. A wake-up drains the inbox, hands every message to the replica, then all
//! clients' commands as one [`Input::Requests`], then calls [`Replica::flush`] once. How large those
//! batches came out is in the [counters](crate::Counters): commands per proposal, messages per
//! wake-up.
//!
//! [`Input::Requests`]: crate::Input::Requests
#![allow(clippy::disallowed_methods, reason = "the driver is where real time comes from")]

mod batches;
mod driver;
mod linger;
mod node;
mod pace;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::applied::{Application, AppliedLog, Order};
use crate::byzantine::Behaviour;
use crate::client::{ClientRule, Seal, SharedClient};
use crate::cluster::{Cluster, Fault, FaultError, Observation, Request};
use crate::network::{Degradation, Inbox, Network, NetworkSpec};
use crate::protocol::{Descriptor, LaunchError, LaunchSpec, Particulars};
use crate::replica::{Replica, ReplicaId, View};
use crate::role::Role;
use crate::settings::{LiveError, Scale, Tunable};
use crate::storage::{StorageSpec, Wal};
use driver::{Driver, refuse_all};
use linger::Linger;
use node::{Event, NO_LEADER, Node, held};
use waiting::Waiting;

/// What a replica is made from.
#[derive(Debug)]
pub struct Boot<Record> {
    /// Who it is.
    pub id: ReplicaId,
    /// Size of the cluster.
    pub replicas: usize,
    /// The application above it, empty; recovered commands are delivered again.
    pub application: Application,
    /// What its log holds, oldest first; empty at the first start.
    pub records: Vec<Record>,
}

/// Options of the driver that a protocol may set.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// Commands handed over in one [`Input::Requests`](crate::Input::Requests), at most.
    pub largest_proposal: usize,
    /// Whom clients ask.
    pub clients: ClientRule,
    /// What clients append to their commands; nothing when replicas take them unproven.
    pub seal: Option<Seal>,
    /// What replicas agree on.
    pub order: Order,
    /// The protocol's settings, of which some change while a cluster runs.
    pub tunables: &'static [Tunable],
    /// How replicas can be made to behave.
    pub behaviours: &'static [Behaviour],
    /// Whether a replica may restart without a log ([`Particulars::forgets_safely`](crate::Particulars)).
    pub forgets_safely: bool,
}

impl DriverOptions {
    /// How long commands wait for others at the replica that orders them. Every protocol whose driver may wait
    /// lists it; adapters have nothing to do for it.
    pub const LINGER: Tunable = Tunable {
        name: "linger_us",
        role: Role::Linger,
        about: "commands wait so long for others at the replica that orders them, to go in one batch",
        range: (0.0, 1e6),
        scale: Scale::Logarithmic,
        default: 0.0,
        live: true,
        trades: None,
    };
    /// The setting behind [`largest_proposal`](DriverOptions::largest_proposal), for protocols that let it be
    /// chosen.
    pub const LARGEST_PROPOSAL: Tunable = Tunable {
        name: "largest_proposal_commands",
        role: Role::BatchSize,
        about: "commands in one proposal",
        range: (1.0, 65_536.0),
        scale: Scale::Logarithmic,
        default: 1_024.0,
        live: true,
        trades: None,
    };

    /// What a protocol's descriptor asks of its driver; all else as by default.
    pub fn of(protocol: &Descriptor) -> Self {
        let Descriptor { order, tunables, particulars, .. } = *protocol;
        let Particulars { behaviours, forgets_safely, .. } = particulars;
        DriverOptions { order, tunables, behaviours, forgets_safely, ..DriverOptions::default() }
    }
}

impl Default for DriverOptions {
    fn default() -> Self {
        DriverOptions {
            largest_proposal: 1024,
            clients: ClientRule::default(),
            seal: None,
            order: Order::default(),
            tunables: &[],
            behaviours: &[],
            forgets_safely: false,
        }
    }
}

type Factory<R> = dyn Fn(Boot<<R as Replica>::Record>) -> Result<R, LaunchError> + Send + Sync;

/// A cluster of sans-IO replicas on the current tokio runtime.
pub struct ReplicaCluster<R: Replica> {
    factory: Box<Factory<R>>,
    options: DriverOptions,
    storage: StorageSpec,
    epoch: Instant,
    nodes: Arc<Vec<Arc<Node<R>>>>,
    network: Network<R::Message>,
    client: Arc<SharedClient>,
    client_task: JoinHandle<()>,
    linger: Arc<Linger>,
    /// Whether logs are flushed in groups.
    group_commit: bool,
    /// Tunables that were changed since the launch.
    live: Mutex<BTreeMap<&'static str, f64>>,
    tasks: tokio::sync::Mutex<Vec<Option<JoinHandle<()>>>>,
}

impl<R: Replica> ReplicaCluster<R> {
    /// Opens network and logs, and starts every replica. `factory` makes a replica at its first
    /// start and again after each crash.
    pub async fn launch(
        spec: &LaunchSpec,
        options: DriverOptions,
        factory: impl Fn(Boot<R::Record>) -> Result<R, LaunchError> + Send + Sync + 'static,
    ) -> Result<Arc<dyn Cluster>, LaunchError> {
        let nodes: Arc<Vec<Arc<Node<R>>>> =
            Arc::new((0..spec.replicas).map(|_| Arc::new(Node::new())).collect());
        let inboxes = nodes.iter().map(|node| inbox_of(node.clone())).collect();
        let counters = nodes.iter().map(|node| node.counters.clone()).collect();
        let link = if R::FIFO { spec.network.link.connection() } else { spec.network.link };
        let network = NetworkSpec { link, ..spec.network };
        let network = Network::open(&network, inboxes, counters, spec.seed).await?;
        let offer = offer_to(nodes.clone());
        let (client, client_task) =
            SharedClient::start(spec.replicas, options.clients, options.seal.clone(), offer);
        let epoch = Instant::now();
        let wakers = nodes.clone();
        let wake = move |id: ReplicaId| drop(wakers[id.index()].post(Event::Wake));
        let linger = Linger::start(spec.settings.get(&DriverOptions::LINGER), epoch, wake)
            .map_err(|error| LaunchError::Library(format!("the thread that ends lingering: {error}")))?;
        let cluster = ReplicaCluster {
            factory: Box::new(factory),
            options,
            storage: spec.storage.clone(),
            epoch,
            nodes,
            network,
            client,
            client_task,
            linger: Arc::new(linger),
            group_commit: spec.settings.get(&StorageSpec::GROUP_COMMIT) != 0.0,
            live: Mutex::default(),
            tasks: tokio::sync::Mutex::new((0..spec.replicas).map(|_| None).collect()),
        };
        let mut tasks = cluster.tasks.lock().await;
        for id in ReplicaId::all(spec.replicas) {
            tasks[id.index()] = Some(cluster.boot(id)?);
        }
        drop(tasks);
        Ok(Arc::new(cluster))
    }

    /// Starts one replica from its log.
    fn boot(&self, id: ReplicaId) -> Result<JoinHandle<()>, LaunchError> {
        let node = self.nodes[id.index()].clone();
        let application = Application::new(self.options.order);
        let (wal, records) = self.open_log(id)?;
        let boot = Boot { id, replicas: self.nodes.len(), application: application.clone(), records };
        let replica = (self.factory)(boot)?;
        let mut events = node
            .events
            .clone()
            .try_lock_owned()
            .map_err(|_| LaunchError::Library(format!("replica {id} has not ended its last life")))?;
        *held(&node.application) = application.clone();
        *held(&node.failure) = None;
        held(&node.suspects).clear();
        // What came while the replica was down is lost, but clients' requests are not.
        refuse_all(id, &mut events, &self.client);
        let life = node.lives.fetch_add(1, Relaxed);
        node.live.store(true, Relaxed);
        for (&name, &value) in held(&self.live).iter() {
            node.post(Event::Tune(name, value)).ok();
        }
        let driver = Driver {
            id,
            replica,
            effects: Default::default(),
            epoch: self.epoch,
            application,
            network: self.network.clone(),
            node: node.clone(),
            client: self.client.clone(),
            wal,
            life,
            timers: Vec::new(),
            waiting: Waiting::default(),
            delivered: Vec::new(),
            held: VecDeque::new(),
            led_by_another: true,
            requests: Vec::new(),
            linger: self.linger.clone(),
            lingers_until: None,
            largest_proposal: self.options.largest_proposal.max(1),
        };
        Ok(tokio::spawn(driver.run(events)))
    }

    fn open_log(&self, id: ReplicaId) -> Result<(Option<Wal>, Vec<R::Record>), LaunchError> {
        let StorageSpec::Wal { folder } = &self.storage else { return Ok((None, Vec::new())) };
        let path: PathBuf = folder.join(format!("replica-{id}.wal"));
        match Wal::open(&path) {
            Ok((wal, recovered)) => {
                wal.commit_in_groups(self.group_commit);
                Ok((Some(wal), recovered.records))
            }
            Err(source) => Err(LaunchError::Storage { path, source }),
        }
    }

    fn tell_links(&self, from: ReplicaId, to: ReplicaId, up: bool) {
        self.nodes[to.index()].post(Event::Link(from, up)).ok();
    }

    async fn crash(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        let Some(task) = self.tasks.lock().await[id.index()].take() else {
            return Err(FaultError::is_down(fault, id));
        };
        let node = &self.nodes[id.index()];
        node.live.store(false, Relaxed);
        node.corrupted.store(false, Relaxed);
        node.leader.store(NO_LEADER, Relaxed);
        task.abort();
        // Waits until the task is gone, and its log closed. Its error is the abort itself.
        task.await.ok();
        node.pace.resume();
        refuse_all(id, &mut *node.events.lock().await, &self.client);
        for peer in ReplicaId::all(self.nodes.len()).filter(|&peer| peer != id) {
            self.tell_links(id, peer, false);
        }
        Ok(())
    }

    async fn restart(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if self.storage == StorageSpec::Memory && !self.options.forgets_safely {
            return Err(FaultError::forgotten(fault));
        }
        let mut tasks = self.tasks.lock().await;
        if tasks[id.index()].is_some() {
            return Err(FaultError::is_running(fault, id));
        }
        if R::FIFO {
            // A connection ends with either end. What the last life sent arrived up to now, what it was sent
            // no longer does.
            ReplicaId::all(self.nodes.len()).for_each(|peer| self.network.reconnect(id, peer));
        }
        let task =
            self.boot(id).map_err(|error| FaultError::NotApplicable { fault, why: error.to_string() })?;
        tasks[id.index()] = Some(task);
        for peer in ReplicaId::all(self.nodes.len()).filter(|&peer| peer != id) {
            self.tell_links(id, peer, true);
        }
        Ok(())
    }

    /// The tasks are held meanwhile, so that no crash and no restart comes in between.
    async fn pause(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        let tasks = self.tasks.lock().await;
        let node = &self.nodes[id.index()];
        if tasks[id.index()].is_none() || !node.live.load(Relaxed) {
            return Err(FaultError::is_down(fault, id));
        }
        if !node.pace.pause() {
            return Err(FaultError::is_paused(fault, id));
        }
        if node.post(Event::Wake).is_err() {
            node.pace.resume();
            return Err(FaultError::is_down(fault, id));
        }
        node.pace.stands().await;
        Ok(())
    }

    async fn resume(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        let tasks = self.tasks.lock().await;
        if tasks[id.index()].is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        if !self.nodes[id.index()].pace.resume() {
            return Err(FaultError::is_running(fault, id));
        }
        Ok(())
    }
}

fn inbox_of<R: Replica>(node: Arc<Node<R>>) -> Inbox<R::Message> {
    // A message to a replica that is down is lost, as it would be on a real network.
    Box::new(move |from, message| drop(node.post(Event::Message(Box::new((from, message))))))
}

fn offer_to<R: Replica>(nodes: Arc<Vec<Arc<Node<R>>>>) -> Box<crate::client::Offer> {
    Box::new(move |to, request| match nodes[to.index()].post(Event::Request(request)) {
        Ok(()) => Ok(()),
        Err(Event::Request(request)) => Err(request),
        Err(_) => unreachable!("an inbox gives back what it was given"),
    })
}

#[async_trait]
impl<R: Replica> Cluster for ReplicaCluster<R> {
    fn submit(&self, request: Request) {
        self.client.submit(request);
    }

    async fn inject(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check(self.nodes.len())?;
        match fault {
            Fault::Crash(id) => self.crash(fault, id).await,
            Fault::Restart(id) => self.restart(fault, id).await,
            Fault::Cut { from, to } => {
                self.network.cut(from, to);
                self.tell_links(from, to, false);
                Ok(())
            }
            Fault::Degrade { from, to, extra_delay, loss } => self
                .network
                .degrade(from, to, Degradation { extra_delay, loss })
                .map_err(|error| FaultError::no_delay_line(fault, &error)),
            Fault::Heal => {
                for (from, to) in self.network.heal() {
                    // A connection carries both directions, and a new one has two ends.
                    if R::FIFO {
                        self.network.reconnect(from, to);
                        self.tell_links(to, from, true);
                    }
                    self.tell_links(from, to, true);
                }
                Ok(())
            }
            Fault::Pause(id) => self.pause(fault, id).await,
            Fault::Resume(id) => self.resume(fault, id).await,
            Fault::Corrupt(id, behaviour) => {
                FaultError::check_behaviour(fault, behaviour, self.options.behaviours)?;
                let node = &self.nodes[id.index()];
                node.post(Event::Corrupt(behaviour)).map_err(|_| FaultError::is_down(fault, id))?;
                node.corrupted.store(behaviour != Behaviour::Honest, Relaxed);
                Ok(())
            }
        }
    }

    fn set_live(&self, name: &str, value: f64) -> Result<(), LiveError> {
        let tunable = LiveError::check(self.options.tunables, name, value)?;
        if tunable.name == DriverOptions::LINGER.name {
            let refused = |error: std::io::Error| LiveError::Refused {
                name: name.into(),
                value,
                why: format!("the thread that ends lingering: {error}"),
            };
            return self.linger.set(value).map_err(refused);
        }
        held(&self.live).insert(tunable.name, value);
        // One that is down is told when it comes back.
        self.nodes.iter().for_each(|node| drop(node.post(Event::Tune(tunable.name, value))));
        Ok(())
    }

    fn observe(&self) -> Observation {
        let newest = self
            .nodes
            .iter()
            .filter(|node| node.leader.load(Relaxed) != NO_LEADER)
            .max_by_key(|node| node.view.load(Relaxed));
        Observation {
            leader: newest.map(|node| ReplicaId(node.leader.load(Relaxed) as u32)),
            view: newest.map(|node| View(node.view.load(Relaxed))),
            replicas: self.nodes.iter().map(|node| node.status()).collect(),
            resubmissions: self.client.resubmissions(),
        }
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        ReplicaId::all(self.nodes.len())
            .zip(self.nodes.iter())
            .filter(|(_, node)| node.live.load(Relaxed) && !node.corrupted.load(Relaxed))
            .map(|(id, node)| (id, held(&node.application).log().clone()))
            .collect()
    }

    async fn stop(&self) {
        self.client_task.abort();
        let nodes = ReplicaId::all(self.nodes.len()).zip(self.nodes.iter());
        for (task, (id, node)) in self.tasks.lock().await.iter_mut().zip(nodes) {
            node.live.store(false, Relaxed);
            if let Some(task) = task.take() {
                task.abort();
                task.await.ok();
            }
            // Requests may have waited here for long, when the replica was paused.
            refuse_all(id, &mut *node.events.lock().await, &self.client);
        }
        self.network.close();
    }
}
