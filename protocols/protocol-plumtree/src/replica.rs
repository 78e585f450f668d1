//! One node of the library as a [`Replica`]: its inputs, its effects, and how it joins the overlay.

use std::time::Duration;

use bytes::Bytes;
use iroh_gossip::proto::{
    Command as Order, Config, Event, HyparviewConfig, InEvent, OutEvent, PlumtreeConfig, Scope, State, Timer,
    TopicId,
};
use protocol_core::{
    Application, Boot, Command, Effects, Input, Replica, ReplicaId, Settings, Slot, Time, TimerId, Timers,
    Timing,
};
use rand_gossip::rngs::StdRng;
use rand_gossip::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::messages::GossipMessage;
use crate::{ACTIVE_VIEW, DISPATCH_DELAY, OPTIMIZATION_THRESHOLD, PASSIVE_VIEW};

const CLOCK: TimerId = TimerId(0);
/// The one topic that all replicas are in.
const TOPIC: [u8; 32] = [7; 32];

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct GossipSetup {
    /// Failure detection; what it says of round trips scales the library's time-outs.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Seed of all randomness.
    pub seed: u64,
}

impl GossipSetup {
    /// The library's configuration. Its defaults are for links of a few milliseconds; with slower ones its
    /// time-outs grow as the heartbeat does, which is never shorter than two round trips.
    fn config(&self) -> Config {
        let heartbeat = self.timing.heartbeat;
        let membership = HyparviewConfig {
            active_view_capacity: self.settings.get(&ACTIVE_VIEW) as usize,
            passive_view_capacity: self.settings.get(&PASSIVE_VIEW) as usize,
            neighbor_request_timeout: heartbeat * 10,
            ..HyparviewConfig::default()
        };
        let broadcast = PlumtreeConfig {
            graft_timeout_1: heartbeat * 8 / 5,
            graft_timeout_2: heartbeat * 4 / 5,
            dispatch_timeout: Duration::from_secs_f64(self.settings.get(&DISPATCH_DELAY) / 1e3),
            optimization_threshold: (self.settings.get(&OPTIMIZATION_THRESHOLD) as u16).into(),
            ..PlumtreeConfig::default()
        };
        Config { membership, broadcast, ..Config::default() }
    }
}

/// What runs out.
#[derive(Debug)]
enum Alarm {
    /// A timer of the library.
    Library(Timer<u32>),
    /// Whoever has no neighbour by now asks someone for one.
    Join,
    /// The overlay had its time to form.
    Formed,
}

/// One node of `iroh-gossip`.
pub struct GossipReplica {
    id: ReplicaId,
    replicas: usize,
    state: State<u32, StdRng>,
    rng: StdRng,
    /// What the library takes the cluster's launch to be.
    epoch: Instant,
    timing: Timing,
    view: usize,
    timers: Timers<Alarm>,
    application: Application,
    formed: bool,
    /// Commands that came before there was an overlay to send them over.
    queue: Vec<Command>,
    deliveries: u64,
}

impl GossipReplica {
    /// A node that knows no other yet.
    pub fn new(boot: Boot<Command>, setup: &GossipSetup) -> Self {
        let seed = setup.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(boot.id.0));
        let mut rng = StdRng::seed_from_u64(seed);
        let own = StdRng::from_rng(&mut rng);
        GossipReplica {
            id: boot.id,
            replicas: boot.replicas,
            state: State::new(boot.id.0, Default::default(), setup.config(), own),
            rng,
            epoch: any_instant(),
            timing: setup.timing,
            view: setup.settings.get(&ACTIVE_VIEW) as usize,
            timers: Timers::default(),
            application: boot.application,
            formed: false,
            queue: Vec::new(),
            deliveries: 0,
        }
    }

    /// Replicas join one round trip apart, so that each finds an overlay to join, and commands wait until
    /// the last one had the time to get its neighbours.
    fn start(&mut self, now: Time, effects: &mut Effects<Self>) {
        // Prepares the state for those that join here.
        self.command(now, Order::Join(Vec::new()), effects);
        let apart = self.timing.heartbeat / 2;
        let joins = Time::default() + apart * self.id.0;
        let formed = Time::default() + apart * self.replicas as u32 + self.timing.heartbeat * 10;
        let came_back = now >= formed;
        match self.id {
            _ if came_back => self.join_anyone(now, effects),
            // There is no one to join; if no one comes, this is tried again.
            ReplicaId(0) => self.timers.set(formed, Alarm::Join),
            _ => self.timers.set(joins.max(now), Alarm::Join),
        }
        let settled = if came_back { now + self.timing.heartbeat * 10 } else { formed };
        self.timers.set(settled, Alarm::Formed);
    }

    /// Asks a replica for a place in its view, and looks later whether anyone gave one.
    fn join_anyone(&mut self, now: Time, effects: &mut Effects<Self>) {
        self.timers.set(now + self.timing.heartbeat * 10, Alarm::Join);
        if self.has_neighbours() || self.replicas == 1 {
            return;
        }
        // Until all have joined only those before this one are there.
        let others = self.replicas as u32 - 1;
        let first = !self.formed && self.id.0 > 0;
        let chosen = self.rng.random_range(0..if first { self.id.0 } else { others });
        let contact = if chosen >= self.id.0 { chosen + 1 } else { chosen };
        self.command(now, Order::Join(vec![contact]), effects);
    }

    fn has_neighbours(&self) -> bool {
        self.state.has_active_peers(&TopicId::from(TOPIC))
    }

    /// A link that comes up is a new connection: what the library held over an old one is gone, also at the
    /// end that was not told of a cut in one direction. Then both ends join what may be split, or no view
    /// would ever hear of the other side again. Where views are smaller than the cluster, each link does so
    /// with the chance that has a replica joined by as many as its view holds.
    fn link_is_up(&mut self, now: Time, peer: ReplicaId, effects: &mut Effects<Self>) {
        self.handle(now, InEvent::PeerDisconnected(peer.0), effects);
        let chance = self.view as f64 / self.replicas.saturating_sub(1).max(1) as f64;
        if self.rng.random_bool(chance.min(1.0)) {
            self.command(now, Order::Join(vec![peer.0]), effects);
        }
    }

    /// Sends out what clients gave, once there is someone to send it to.
    fn broadcast_queue(&mut self, now: Time, effects: &mut Effects<Self>) {
        if self.queue.is_empty() || !self.formed || !(self.has_neighbours() || self.replicas == 1) {
            return;
        }
        for command in std::mem::take(&mut self.queue) {
            // Another replica had it from the client first, and died after it had sent it here.
            if self.application.has_applied(command.id()) {
                effects.reply(command.id(), Slot(0), 0);
                continue;
            }
            effects.proposed();
            self.command(now, Order::Broadcast(command.encoded().clone(), Scope::Swarm), effects);
            self.deliver(command, effects);
        }
    }

    fn deliver(&mut self, command: Command, effects: &mut Effects<Self>) {
        effects.deliver(Slot(self.deliveries), command);
        self.deliveries += 1;
    }

    fn command(&mut self, now: Time, order: Order<u32>, effects: &mut Effects<Self>) {
        self.handle(now, InEvent::Command(TopicId::from(TOPIC), order), effects);
    }

    /// Passes an event to the library, and carries out what it asks for.
    fn handle(&mut self, now: Time, event: InEvent<u32>, effects: &mut Effects<Self>) {
        let instant = self.epoch + Duration::from_nanos(now.0);
        let mut received = Vec::new();
        for out in self.state.handle(event, instant, None) {
            match out {
                OutEvent::SendMessage(to, message) => effects.send(ReplicaId(to), GossipMessage(message)),
                OutEvent::ScheduleTimer(after, timer) => {
                    self.timers.set(now + after, Alarm::Library(timer));
                }
                OutEvent::EmitEvent(_, Event::Received(update)) => received.push(update.content),
                // Neighbours are asked for when they matter; links stay open; there is no data of peers.
                OutEvent::EmitEvent(..) | OutEvent::DisconnectPeer(_) | OutEvent::PeerData(..) => {}
            }
        }
        received.into_iter().for_each(|content| self.receive(content, effects));
    }

    fn receive(&mut self, content: Bytes, effects: &mut Effects<Self>) {
        // The library has checked the content against its hash, so it is what a replica broadcast.
        if let Ok(command) = Command::from_encoded(content) {
            self.deliver(command, effects);
        }
    }
}

/// The library wants to know the time as tokio's instants, and only ever compares them. Any one will do
/// for the launch: all others are this one and the driver's time.
#[expect(clippy::disallowed_methods, reason = "an instant can't be made in any other way")]
fn any_instant() -> Instant {
    std::time::Instant::now().into()
}

impl Replica for GossipReplica {
    type Message = GossipMessage;
    /// Nothing is written: no one promises anything of an earlier life.
    type Record = Command;
    /// The library's own network is QUIC. Its overlay asks once for a place in a view, and is told of a
    /// connection's end by both ends: a message lost on the way leaves a neighbour on one side only.
    const FIFO: bool = true;

    fn step(&mut self, now: Time, input: Input<GossipMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => self.start(now, effects),
            Input::Message { from, message } => {
                self.handle(now, InEvent::RecvMessage(from.0, message.0), effects);
            }
            Input::Timer(_) => {
                self.timers.rang();
                while let Some(alarm) = self.timers.take_due(now) {
                    match alarm {
                        Alarm::Library(timer) => self.handle(now, InEvent::TimerExpired(timer), effects),
                        Alarm::Join => self.join_anyone(now, effects),
                        Alarm::Formed => self.formed = true,
                    }
                }
            }
            Input::Requests(commands) => {
                self.queue.extend(commands);
                self.broadcast_queue(now, effects);
            }
            Input::Link { peer, up: false } => {
                self.handle(now, InEvent::PeerDisconnected(peer.0), effects);
            }
            Input::Link { peer, up: true } => self.link_is_up(now, peer, effects),
            Input::Synced(_) | Input::Corrupt(_) | Input::Tune { .. } => {}
        }
    }

    fn flush(&mut self, now: Time, effects: &mut Effects<Self>) {
        self.broadcast_queue(now, effects);
        if let Some(due) = self.timers.to_ask() {
            effects.set_timer(CLOCK, Duration::from_nanos(due.0.saturating_sub(now.0)));
        }
    }
}
