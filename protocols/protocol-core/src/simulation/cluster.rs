//! The loop of events.

use std::collections::VecDeque;

use super::client::{Clients, Pending};
use super::cores::Cores;
use super::disk::Flushes;
use super::events::Events;
use super::links::Links;
use super::node::{Item, Node};
use super::{Answered, Costs, Simulation, SimulationSpec};
use crate::applied::{Application, AppliedLog, Order};
use crate::byzantine::Behaviour;
use crate::client::{ClientRule, Seal};
use crate::cluster::{Fault, FaultError, Observation, SubmitError};
use crate::command::{Command, CommandId};
use crate::network::{Degradation, FRAME_HEADER_BYTES, LinkSpec};
use crate::protocol::LaunchError;
use crate::replica::{
    Delivery, EffectQueues, Input, Rejection, Replica, ReplicaId, SyncToken, Time, TimerChange, TimerId, View,
};
use crate::replica_cluster::{Boot, DriverOptions};
use crate::wire::{Message, Wire};

/// Items handed over at one wake-up, at most.
const WAKE_UP_ITEMS: usize = 1024;

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
    /// An answer is back at the client.
    Answered(Answered),
    /// A client stops waiting for a command that every replica had to deliver.
    GivenUp(CommandId),
}

type Factory<R> = dyn Fn(Boot<<R as Replica>::Record>) -> Result<R, LaunchError> + Send + Sync;

/// A cluster of sans-IO replicas in virtual time.
pub struct SimulatedCluster<R: Replica> {
    factory: Box<Factory<R>>,
    largest_proposal: usize,
    seal: Option<Seal>,
    order: Order,
    behaviours: &'static [Behaviour],
    forgets_safely: bool,
    costs: Costs,
    /// None when each replica has a core of its own.
    pub(super) cores: Option<Cores>,
    flushes: Flushes,
    durable: bool,
    pub(super) now: u64,
    handled: u64,
    /// Nothing more happens after so many events.
    most_events: u64,
    pub(super) events: Events<Event<R::Message>>,
    pub(super) nodes: Vec<Node<R>>,
    links: Links,
    clients: Clients,
    answers: VecDeque<Answered>,
    /// Clients' commands of the round at hand; kept for its memory.
    requests: Vec<Pending>,
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
        let mut cluster = SimulatedCluster {
            factory: Box::new(factory),
            largest_proposal: largest_proposal.max(1),
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
            nodes: (0..spec.replicas).map(|index| Node::new(spec.durable, spec.skew_ppm(index))).collect(),
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

    fn boot(&mut self, id: ReplicaId) -> Result<(), LaunchError> {
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
    fn handle_next(&mut self, until: Time) -> bool {
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

    fn handle(&mut self, event: Event<R::Message>) {
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
            Event::RoundOver(id, life, yielded) => self.round_over(id, life, yielded),
            // The core was for a life that is over.
            Event::Wake(..) => self.pass_core_on(),
            Event::Flushed(..) => {}
        }
    }

    /// Something reaches a replica's inbox. What reaches one that is down is lost, but clients are
    /// told.
    fn arrive(&mut self, id: ReplicaId, item: Item<R::Message>) {
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

    fn wake_up(&mut self, id: ReplicaId) {
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

    /// One round: everything in the inbox, then clients' commands, then the effects. False when the
    /// replica stands still.
    fn wake(&mut self, id: ReplicaId) -> bool {
        let node = &mut self.nodes[id.index()];
        node.woken = false;
        let now = Time(node.clock(self.now));
        let paused = node.paused;
        let Node { replica: Some(replica), inbox, effects, held, counters, .. } = node else { return false };
        if paused {
            return false;
        }
        let mut work = self.costs.wake_up_ns;
        counters.wake_ups += 1;
        for item in inbox.drain(..inbox.len().min(WAKE_UP_ITEMS)) {
            let input = match item {
                Item::Request(pending) => {
                    self.requests.push(pending);
                    continue;
                }
                Item::Message(from, message, bytes) => {
                    counters.drained_messages += 1;
                    work += self.costs.message_ns + self.costs.byte_ns * f64::from(bytes);
                    Input::Message { from, message }
                }
                Item::Timer(timer) => Input::Timer(timer),
                Item::Link(peer, up) => Input::Link { peer, up },
                Item::Corrupt(behaviour) => Input::Corrupt(behaviour),
                Item::Synced(token) => {
                    release(held, effects, token);
                    Input::Synced(token)
                }
            };
            replica.step(now, input, effects);
        }
        work += self.costs.request_ns * self.requests.len() as f64;
        let at = self.now + work as u64;
        self.propose(id, at);
        self.finish_round(id, at);
        true
    }

    /// Passes waiting clients' commands on as one batch, or several when it is too large.
    fn propose(&mut self, id: ReplicaId, at: u64) {
        while !self.requests.is_empty() {
            let node = &mut self.nodes[id.index()];
            let batch = self.requests.len().min(self.largest_proposal);
            let mut commands = Vec::with_capacity(batch);
            for mut pending in self.requests.drain(..batch) {
                commands.push(pending.command.clone());
                // A client that asks again waits in place of itself, or of its watch.
                (pending.taken_up, pending.watches) = (self.now, false);
                let before = node.waiting.insert(pending.command.id(), pending);
                if let Some(watch) = before.filter(|before| before.watches) {
                    self.answers.extend(self.clients.heard(watch.lost(self.now)));
                }
            }
            let before = node.effects.proposals;
            let now = Time(node.clock(self.now));
            if let Some(replica) = &mut node.replica {
                replica.step(now, Input::Requests(commands), &mut node.effects);
            }
            let made = node.effects.proposals - before;
            let refused = node.effects.rejections.len().min(batch);
            node.counters.proposals += made;
            node.counters.proposed_commands += if made > 0 { (batch - refused) as u64 } else { 0 };
            self.pass_on_rejections(id, at);
        }
    }

    /// Flushes the replica until it wants nothing more, and has it busy until then.
    fn finish_round(&mut self, id: ReplicaId, mut at: u64) {
        loop {
            let node = &mut self.nodes[id.index()];
            let now = Time(node.clock(self.now));
            let Some(replica) = &mut node.replica else { return };
            replica.flush(now, &mut node.effects);
            let synced;
            (at, synced) = self.carry_out(id, at);
            // Memory is durable at once, so the replica goes on within the same round.
            let Some(token) = synced else { break };
            let Node { replica: Some(replica), effects, held, .. } = &mut self.nodes[id.index()] else {
                return;
            };
            release(held, effects, token);
            replica.step(now, Input::Synced(token), effects);
        }
        self.nodes[id.index()].busy_until = at;
        self.wake_up(id);
    }

    /// Carries out effects from `at` on, and returns when that is done, with a sync that took no time.
    fn carry_out(&mut self, id: ReplicaId, at: u64) -> (u64, Option<SyncToken>) {
        let at = at + self.charge_cryptography(id);
        let at = self.send_messages(id, at);
        let node = &mut self.nodes[id.index()];
        let (checkpoint, records) = (node.effects.checkpoint.take(), node.effects.records.drain(..));
        match &mut node.disk {
            None => drop(records),
            Some(disk) => {
                node.counters.log_bytes += checkpoint.map_or(0, |records| disk.replace(records)) as u64;
                node.counters.log_bytes += records.map(|record| disk.append(record)).sum::<usize>() as u64;
            }
        }
        node.held.extend(node.effects.held.drain(..));
        node.effects.proposals = 0;
        let [proposals, commands] = std::mem::take(&mut node.effects.batches);
        node.counters.proposals += proposals;
        node.counters.proposed_commands += commands;
        node.accuse();
        node.suspect();
        self.change_timers(id, at);
        if let Some((view, leader)) = self.nodes[id.index()].effects.view.take() {
            self.enter_view(id, at, view.0, leader);
        }
        self.pass_on_rejections(id, at);
        self.reply(id, at);
        let at = self.deliver(id, at);
        let node = &mut self.nodes[id.index()];
        let Some(token) = node.effects.sync.take() else { return (at, None) };
        node.counters.syncs += 1;
        let Some(disk) = &mut node.disk else { return (at, Some(token)) };
        if disk.sync(token) {
            self.events.push(at + self.flushes.next_ns(), Event::Flushed(id, node.life));
        }
        (at, None)
    }

    fn charge_cryptography(&mut self, id: ReplicaId) -> u64 {
        let Node { effects, counters, .. } = &mut self.nodes[id.index()];
        let [signed, verified, maced] = std::mem::take(&mut effects.cryptography);
        counters.signatures += signed;
        counters.verifications += verified;
        counters.macs += maced;
        let Costs { sign_ns, verify_ns, mac_ns, .. } = self.costs;
        (sign_ns * signed as f64 + verify_ns * verified as f64 + mac_ns * maced as f64) as u64
    }

    /// Sends one after the other; returns when the last one left.
    fn send_messages(&mut self, from: ReplicaId, start: u64) -> u64 {
        let Node { effects, counters, .. } = &mut self.nodes[from.index()];
        let (mut work, mut at) = (0.0, start);
        for (to, message) in effects.sends.drain(..) {
            let bytes = FRAME_HEADER_BYTES + message.encoded_len();
            let traffic = &mut counters.traffic[message.kind().index()];
            traffic.messages += 1;
            traffic.bytes += bytes as u64;
            work += self.costs.message_ns + self.costs.byte_ns * bytes as f64;
            at = start + work as u64;
            let fate = self.links.pass(from, to, at, bytes);
            let connection = self.links.connection(from, to);
            let bytes = bytes as u32;
            if let Some(due) = fate.again {
                let message = message.clone();
                self.events.push(due, Event::Message { from, to, message, bytes, connection });
            }
            if let Some(due) = fate.arrival {
                self.events.push(due, Event::Message { from, to, message, bytes, connection });
            }
        }
        at
    }

    fn change_timers(&mut self, id: ReplicaId, at: u64) {
        let node = &mut self.nodes[id.index()];
        for index in 0..node.effects.timers.len() {
            let change = node.effects.timers[index];
            let (TimerChange::Set(timer, _) | TimerChange::Cancel(timer)) = change;
            node.timers.retain(|&(set, _)| set != timer);
            if let TimerChange::Set(timer, after) = change {
                node.settings += 1;
                node.timers.push((timer, node.settings));
                let after = node.true_duration(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
                self.events.push(at.saturating_add(after), Event::Timer(id, node.life, timer, node.settings));
            }
        }
        node.effects.timers.clear();
    }

    fn enter_view(&mut self, id: ReplicaId, at: u64, view: u64, leader: Option<ReplicaId>) {
        let node = &mut self.nodes[id.index()];
        (node.view, node.leader) = (view, leader);
        let led = std::mem::replace(&mut node.leads, leader == Some(id));
        if node.leads {
            self.clients.leader_is(id);
        } else if led && self.clients.rule == ClientRule::Leader {
            // This replica may never learn the fate of what it proposed; the next leader decides it.
            for pending in std::mem::take(&mut node.waiting).into_values() {
                self.send_back(id, at, pending, leader);
            }
        }
    }

    fn pass_on_rejections(&mut self, id: ReplicaId, at: u64) {
        for Rejection { command, leader } in std::mem::take(&mut self.nodes[id.index()].effects.rejections) {
            if let Some(pending) = self.nodes[id.index()].waiting.remove(&command) {
                self.send_back(id, at, pending, leader);
            }
        }
    }

    /// Applies what is committed, and answers the clients that wait for it here.
    fn deliver(&mut self, id: ReplicaId, start: u64) -> u64 {
        let Node { effects, application, waiting, failure, .. } = &mut self.nodes[id.index()];
        let mute = effects.mute;
        let (mut work, mut at) = (0.0, start);
        for delivery in effects.deliveries.drain(..) {
            match delivery {
                Delivery::Command(slot, command) => {
                    work += self.costs.delivery_ns;
                    at = start + work as u64;
                    application.log().apply(slot, &command);
                    if let Some(pending) = waiting.remove(&command.id()).filter(|_| !mute) {
                        let answered = self.clients.hears(id, at);
                        let answer = pending.answer(at, answered, Ok(slot));
                        self.events.push(answered, Event::Answered(answer));
                    }
                }
                Delivery::Snapshot(bytes) => {
                    if let Err(error) = application.restore(bytes) {
                        *failure = Some(error.to_string());
                    }
                }
            }
        }
        at
    }

    /// Gives the answers that need no delivery.
    fn reply(&mut self, id: ReplicaId, at: u64) {
        let Node { effects, waiting, .. } = &mut self.nodes[id.index()];
        let mute = effects.mute;
        for (command, slot, output) in effects.replies.drain(..) {
            if let Some(pending) = waiting.remove(&command).filter(|_| !mute) {
                let answered = self.clients.hears(id, at);
                let answer = Answered { output, ..pending.answer(at, answered, Ok(slot)) };
                self.events.push(answered, Event::Answered(answer));
            }
        }
    }

    fn flushed(&mut self, id: ReplicaId) {
        let node = &mut self.nodes[id.index()];
        let Some((token, another)) = node.disk.as_mut().and_then(|disk| disk.flushed()) else { return };
        if another {
            self.events.push(self.now + self.flushes.next_ns(), Event::Flushed(id, node.life));
        }
        self.arrive(id, Item::Synced(token));
    }

    /// A client turns to whom its rule says.
    fn ask(&mut self, pending: Pending) {
        let id = pending.command.id();
        match self.clients.rule {
            ClientRule::Leader | ClientRule::Coordinator => self.send(self.clients.believed(id), pending),
            ClientRule::Everyone { .. } => {
                self.clients.gather(id, pending.submitted);
                ReplicaId::all(self.nodes.len()).for_each(|to| self.send(to, pending.clone()));
            }
            ClientRule::Broadcast => {
                self.clients.gather(id, pending.submitted);
                if pending.deadline != u64::MAX {
                    self.events.push(pending.deadline.max(self.now), Event::GivenUp(id));
                }
                let home = self.clients.believed(id);
                ReplicaId::all(self.nodes.len())
                    .filter(|&to| to != home)
                    .for_each(|to| self.watch(to, &pending));
                self.send(home, pending);
            }
        }
    }

    /// Ends a command that did not reach every replica in time.
    fn give_up(&mut self, id: CommandId) {
        if let Some(answered) = self.clients.give_up(id, Time(self.now)) {
            self.nodes.iter_mut().for_each(|node| drop(node.waiting.remove(&id)));
            self.answers.push_back(answered);
        }
    }

    /// Has a replica say when it has delivered a command.
    fn watch(&mut self, id: ReplicaId, pending: &Pending) {
        let watch = Pending { watches: true, taken_up: u64::MAX, ..pending.clone() };
        let node = &mut self.nodes[id.index()];
        if node.replica.is_some() {
            node.waiting.insert(watch.command.id(), watch);
        } else {
            self.answers.extend(self.clients.heard(watch.lost(self.now)));
        }
    }

    fn send(&mut self, to: ReplicaId, pending: Pending) {
        match self.clients.delay_to(to) {
            0 => self.arrive(to, Item::Request(pending)),
            delay => self.events.push(self.now.saturating_add(delay), Event::Request(to, pending)),
        }
    }

    fn send_back(&mut self, by: ReplicaId, at: u64, pending: Pending, hint: Option<ReplicaId>) {
        let back = at.saturating_add(self.clients.delay_to(by));
        self.events.push(back, Event::Refused(by, pending, hint));
    }

    fn refused(&mut self, by: ReplicaId, mut pending: Pending, hint: Option<ReplicaId>) {
        if !self.clients.awaits(pending.command.id()) {
            return;
        }
        if self.now >= pending.deadline || pending.watches {
            let outcome = Err(SubmitError::Redirected { leader: hint });
            let answered = pending.answer(self.now, self.now, outcome);
            return self.answers.extend(self.clients.heard(answered));
        }
        let (to, pause) = self.clients.refused(by, &mut pending, hint);
        let arrives = self.now.saturating_add(pause).saturating_add(self.clients.delay_to(to));
        self.events.push(arrives, Event::Request(to, pending));
    }

    fn crash(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if self.nodes[id.index()].replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        let (queued, taken_up) = self.nodes[id.index()].end();
        queued.into_iter().for_each(|pending| self.send_back(id, self.now, pending, None));
        for pending in taken_up {
            if self.clients.rule == ClientRule::Coordinator {
                let answered = self.clients.hears(id, self.now);
                let answer = pending.answer(self.now, answered, Err(SubmitError::Lost));
                self.events.push(answered, Event::Answered(answer));
            } else {
                self.send_back(id, self.now, pending, None);
            }
        }
        self.tell_peers(id, false);
        Ok(())
    }

    fn restart(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if !self.durable && !self.forgets_safely {
            return Err(FaultError::forgotten(fault));
        }
        if self.nodes[id.index()].replica.is_some() {
            return Err(FaultError::is_running(fault, id));
        }
        if R::FIFO {
            // A connection ends with either end. What the last life sent arrived up to now, what it was sent
            // no longer does.
            ReplicaId::all(self.nodes.len()).for_each(|peer| self.links.reconnect(id, peer));
        }
        self.boot(id).map_err(|error| FaultError::NotApplicable { fault, why: error.to_string() })?;
        self.tell_peers(id, true);
        Ok(())
    }

    fn pause(&mut self, fault: Fault, id: ReplicaId, paused: bool) -> Result<(), FaultError> {
        let node = &mut self.nodes[id.index()];
        if node.replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        match (node.paused, paused) {
            (true, true) => return Err(FaultError::is_paused(fault, id)),
            (false, false) => return Err(FaultError::is_running(fault, id)),
            _ => node.paused = paused,
        }
        // One that was woken and then paused sleeps on; there is nothing to undo.
        self.wake_up(id);
        Ok(())
    }

    fn corrupt(&mut self, fault: Fault, id: ReplicaId, behaviour: Behaviour) -> Result<(), FaultError> {
        FaultError::check_behaviour(fault, behaviour, self.behaviours)?;
        let node = &mut self.nodes[id.index()];
        if node.replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        node.corrupted = behaviour != Behaviour::Honest;
        self.arrive(id, Item::Corrupt(behaviour));
        Ok(())
    }

    fn tell_peers(&mut self, id: ReplicaId, up: bool) {
        for peer in ReplicaId::all(self.nodes.len()).filter(|&peer| peer != id) {
            if !self.links.is_cut(id, peer) {
                self.arrive(peer, Item::Link(id, up));
            }
        }
    }
}

/// Sends what waited for a flush.
fn release<M: Clone, Record>(
    held: &mut VecDeque<(SyncToken, ReplicaId, M)>,
    effects: &mut EffectQueues<M, Record>,
    token: SyncToken,
) {
    while held.front().is_some_and(|held| held.0 <= token) {
        if let Some((_, to, message)) = held.pop_front() {
            effects.send(to, message);
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
