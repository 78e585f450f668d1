//! The cluster and its loop of events. What a replica does in a round is in `round`, what its clients do in
//! `asking`, and what befalls it in `faults`.

use std::collections::VecDeque;

use super::client::{Clients, Pending};
use super::cores::Cores;
use super::disk::{Disk, Flushes};
use super::events::Events;
use super::links::Links;
use super::node::{Item, Node};
use super::{Answered, Costs, Simulation, SimulationSpec};
use crate::applied::{Application, AppliedLog, Order};
use crate::byzantine::Behaviour;
use crate::client::Seal;
use crate::cluster::{Fault, FaultError, Observation};
use crate::command::{Command, CommandId};
use crate::network::{Degradation, LinkSpec};
use crate::protocol::LaunchError;
use crate::replica::{Input, Replica, ReplicaId, Time, TimerId, View};
use crate::replica_cluster::{Boot, DriverOptions};
use crate::storage::StorageSpec;

pub(super) enum Event<M> {
    /// A client sends a command for the first time.
    Submit(Pending),
    /// A client's command reaches a replica.
    Request(ReplicaId, Pending),
    /// A refusal is back at the client.
    Refused(ReplicaId, Pending, Option<ReplicaId>),
    /// A message arrives, with its bytes on the wire and the connection that carries it.
    Message { from: ReplicaId, to: ReplicaId, message: M, bytes: u32, connection: u32 },
    /// A replica looks into its inbox.
    Wake(ReplicaId, u32),
    /// A replica that shares its core is through with a round; true when it let others of the same
    /// moment go first.
    RoundOver(ReplicaId, u32, bool),
    /// A timer runs out, if this is still its latest setting.
    Timer(ReplicaId, u32, TimerId, u64),
    /// A flush is over.
    Flushed(ReplicaId, u32),
    /// Clients' commands have waited long enough for others, if this is still the wait.
    LingerOver(ReplicaId, u32),
    /// An answer is back at the client.
    Answered(Answered),
    /// A client stops waiting for a command that every replica had to deliver.
    GivenUp(CommandId),
}

type Factory<R> = dyn Fn(Boot<<R as Replica>::Record>) -> Result<R, LaunchError> + Send + Sync;

/// A cluster of sans-IO replicas in virtual time.
pub struct SimulatedCluster<R: Replica> {
    pub(super) factory: Box<Factory<R>>,
    pub(super) largest_proposal: usize,
    /// How long clients' commands wait for others, at whoever orders them.
    pub(super) linger_ns: u64,
    pub(super) seal: Option<Seal>,
    pub(super) order: Order,
    pub(super) behaviours: &'static [Behaviour],
    pub(super) forgets_safely: bool,
    pub(super) costs: Costs,
    /// None when each replica has a core of its own.
    pub(super) cores: Option<Cores>,
    pub(super) flushes: Flushes,
    pub(super) durable: bool,
    pub(super) now: u64,
    pub(super) handled: u64,
    /// Nothing more happens after so many events.
    pub(super) most_events: u64,
    pub(super) events: Events<Event<R::Message>>,
    pub(super) nodes: Vec<Node<R>>,
    pub(super) links: Links,
    pub(super) clients: Clients,
    pub(super) answers: VecDeque<Answered>,
    /// Clients' commands of the round at hand; kept for its memory.
    pub(super) requests: Vec<Pending>,
}

impl<R: Replica> SimulatedCluster<R> {
    /// Starts every replica at time zero. `factory` makes a replica at its first start and again after
    /// each crash.
    ///
    /// # Panics
    ///
    /// When the spec's tables of links and delays are not of the cluster's size.
    pub fn launch(
        spec: &SimulationSpec,
        options: DriverOptions,
        factory: impl Fn(Boot<R::Record>) -> Result<R, LaunchError> + Send + Sync + 'static,
    ) -> Result<Box<dyn Simulation>, LaunchError> {
        spec.assert_tables();
        let DriverOptions { largest_proposal, clients, seal, order, behaviours, forgets_safely } = options;
        let link = |spec: &LinkSpec| if R::FIFO { spec.connection() } else { *spec };
        let links: Vec<Vec<LinkSpec>> = spec.links.iter().map(|row| row.iter().map(link).collect()).collect();
        let group = spec.settings.get(&StorageSpec::GROUP_COMMIT) != 0.0;
        let disk = || spec.durable.then(|| Disk::grouped(group));
        let mut cluster = SimulatedCluster {
            factory: Box::new(factory),
            largest_proposal: largest_proposal.max(1),
            linger_ns: (spec.settings.get(&DriverOptions::LINGER) * 1e3) as u64,
            seal,
            order,
            behaviours,
            forgets_safely,
            costs: spec.costs,
            cores: spec.cores.map(Cores::new),
            flushes: Flushes::new(spec),
            durable: spec.durable,
            now: 0,
            handled: 0,
            most_events: u64::MAX,
            events: Events::default(),
            nodes: (0..spec.replicas).map(|index| Node::new(disk(), spec.skew_ppm(index))).collect(),
            links: Links::new(&links, spec.seed),
            clients: Clients::new(&spec.client_delays, clients),
            answers: VecDeque::new(),
            requests: Vec::new(),
        };
        for id in ReplicaId::all(spec.replicas) {
            cluster.boot(id)?;
        }
        Ok(Box::new(cluster))
    }

    pub(super) fn boot(&mut self, id: ReplicaId) -> Result<(), LaunchError> {
        let replicas = self.nodes.len();
        let records = match &self.nodes[id.index()].disk {
            Some(disk) => disk.recover().map_err(|error| LaunchError::Library(error.to_string()))?,
            None => Vec::new(),
        };
        let application = Application::new(self.order);
        let replica = (self.factory)(Boot { id, replicas, application: application.clone(), records })?;
        let node = &mut self.nodes[id.index()];
        node.begin(replica, application);
        node.busy_until = self.now;
        let now = Time(node.clock(self.now));
        if let Some(replica) = &mut node.replica {
            replica.step(now, Input::Start, &mut node.effects);
        }
        self.finish_round(id, self.now);
        Ok(())
    }

    /// Handles the next event; false when the time came first.
    pub(super) fn handle_next(&mut self, until: Time) -> bool {
        if self.handled >= self.most_events {
            return false;
        }
        if self.events.next_at().is_none_or(|at| at > until.0) {
            self.now = self.now.max(until.0);
            return false;
        }
        if let Some((at, event)) = self.events.pop() {
            self.now = at;
            self.handled += 1;
            self.handle(event);
        }
        true
    }

    pub(super) fn handle(&mut self, event: Event<R::Message>) {
        match event {
            Event::Submit(pending) => self.ask(pending),
            Event::Request(to, pending) => self.arrive(to, Item::Request(pending)),
            Event::Refused(by, pending, hint) => self.refused(by, pending, hint),
            Event::Message { from, to, message, bytes, connection } => {
                if connection == self.links.connection(from, to) {
                    self.arrive(to, Item::Message(from, message, bytes));
                }
            }
            Event::Wake(id, life) if self.nodes[id.index()].life == life => {
                let ran = self.wake(id);
                if self.cores.is_some() {
                    self.keep_core(id, ran);
                }
            }
            Event::Timer(id, life, timer, setting) => {
                let node = &mut self.nodes[id.index()];
                let latest = node.timers.iter().position(|&set| set == (timer, setting));
                if let (Some(index), true) = (latest, node.life == life) {
                    node.timers.swap_remove(index);
                    self.arrive(id, Item::Timer(timer));
                }
            }
            Event::Flushed(id, life) if self.nodes[id.index()].life == life => self.flushed(id),
            Event::Answered(answered) => self.answers.extend(self.clients.heard(answered)),
            Event::GivenUp(id) => self.give_up(id),
            Event::LingerOver(id, wait) => {
                if self.nodes[id.index()].lingers.is_some_and(|(_, latest)| latest == wait) {
                    self.arrive(id, Item::LingerOver);
                }
            }
            Event::RoundOver(id, life, yielded) => self.round_over(id, life, yielded),
            // The core was for a life that is over.
            Event::Wake(..) => self.pass_core_on(),
            Event::Flushed(..) => {}
        }
    }

    /// Something reaches a replica's inbox. What reaches one that is down is lost, but clients are
    /// told.
    pub(super) fn arrive(&mut self, id: ReplicaId, item: Item<R::Message>) {
        let node = &mut self.nodes[id.index()];
        if node.replica.is_none() {
            if let Item::Request(pending) = item {
                self.send_back(id, self.now, pending, None);
            }
            return;
        }
        node.inbox.push_back(item);
        self.wake_up(id);
    }

    pub(super) fn wake_up(&mut self, id: ReplicaId) {
        let node = &mut self.nodes[id.index()];
        if !node.woken && !node.paused && !node.inbox.is_empty() {
            node.woken = true;
            let ready = node.busy_until.max(self.now);
            match self.cores {
                None => self.events.push(ready, Event::Wake(id, node.life)),
                Some(_) => self.ask_for_core(id, ready),
            }
        }
    }
}

impl<R: Replica> Simulation for SimulatedCluster<R> {
    fn now(&self) -> Time {
        Time(self.now)
    }

    fn submit(&mut self, at: Time, command: Command, deadline: Time) {
        let at = at.0.max(self.now);
        let command = match &self.seal {
            Some(seal) => seal.apply(&command),
            None => command,
        };
        let pending = Pending::new(command, at, deadline.0);
        self.events.push(at, Event::Submit(pending));
    }

    fn inject(&mut self, fault: Fault) -> Result<(), FaultError> {
        fault.check(self.nodes.len())?;
        match fault {
            Fault::Crash(id) => self.crash(fault, id)?,
            Fault::Restart(id) => self.restart(fault, id)?,
            Fault::Pause(id) => self.pause(fault, id, true)?,
            Fault::Resume(id) => self.pause(fault, id, false)?,
            Fault::Corrupt(id, behaviour) => self.corrupt(fault, id, behaviour)?,
            Fault::Degrade { from, to, extra_delay, loss } => {
                self.links.degrade(from, to, Degradation { extra_delay, loss });
            }
            Fault::Cut { from, to } => {
                self.links.cut(from, to);
                self.arrive(to, Item::Link(from, false));
            }
            Fault::Heal => {
                for (from, to) in self.links.heal() {
                    self.arrive(to, Item::Link(from, true));
                    // A connection carries both directions, and a new one has two ends.
                    if R::FIFO {
                        self.links.reconnect(from, to);
                        self.arrive(from, Item::Link(to, true));
                    }
                }
            }
        }
        Ok(())
    }

    fn run_until(&mut self, until: Time) {
        while self.handle_next(until) {}
    }

    fn run_until_answer(&mut self, until: Time) -> bool {
        while self.answers.is_empty() {
            if !self.handle_next(until) {
                return false;
            }
        }
        true
    }

    fn limit_events(&mut self, most: u64) {
        self.most_events = most;
    }

    fn take_answers(&mut self) -> Vec<Answered> {
        self.answers.drain(..).collect()
    }

    fn events(&self) -> u64 {
        self.handled
    }

    fn observe(&self) -> Observation {
        let known = self.nodes.iter().filter(|node| node.replica.is_some() && node.leader.is_some());
        let newest = known.max_by_key(|node| node.view);
        Observation {
            leader: newest.and_then(|node| node.leader),
            view: newest.map(|node| View(node.view)),
            replicas: self.nodes.iter().map(Node::status).collect(),
            resubmissions: self.clients.resubmissions,
        }
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        let nodes = ReplicaId::all(self.nodes.len()).zip(&self.nodes);
        let live = nodes.filter(|(_, node)| node.replica.is_some() && !node.corrupted);
        live.map(|(id, node)| (id, node.application.log().clone())).collect()
    }
}
