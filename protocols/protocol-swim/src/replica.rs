//! One member of the library's cluster as a [`Replica`].

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use foca::{AccumulatingRuntime, Config, Foca, OwnedNotification, PeriodicParams, PostcardCodec, Timer};
use protocol_core::{
    Boot, Command, Effects, Input, Replica, ReplicaId, Settings, Slot, Time, TimerId, Timers, Timing,
};
use rand_gossip::rngs::StdRng;
use rand_gossip::{RngExt, SeedableRng};

use crate::identity::Member;
use crate::packet::Packet;
use crate::updates::{Received, Updates};
use crate::{FANOUT, PACKET, PUSH, SUSPICION};

const CLOCK: TimerId = TimerId(0);
/// A replica that comes back later than this after the launch is in another life.
const FIRST_LIFE: Time = Time(1_000_000_000);

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct SwimSetup {
    /// Failure detection: gossip goes out with the heartbeat, and a member is probed once per longest
    /// election time-out.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Seed of all randomness.
    pub seed: u64,
}

impl SwimSetup {
    fn config(&self, replicas: usize) -> Config {
        let size = NonZeroU32::new(replicas as u32).unwrap_or(NonZeroU32::MIN);
        let period = self.timing.election_max;
        let periods = self.settings.get(&SUSPICION) * f64::max(1.0, f64::from(size.get()).log10());
        let every = |frequency: Duration, members: usize| {
            let num_members = NonZeroUsize::new(members).unwrap_or(NonZeroUsize::MIN);
            Some(PeriodicParams { frequency, num_members })
        };
        let packet = NonZeroUsize::new(self.settings.get(&PACKET) as usize);
        Config {
            probe_period: period,
            probe_rtt: period / 3,
            suspect_to_down_after: period.mul_f64(periods),
            max_packet_size: packet.unwrap_or(NonZeroUsize::MIN),
            notify_down_members: true,
            periodic_announce: every(period * 10, 1),
            periodic_announce_to_down_members: every(period * 10, 2),
            periodic_gossip: every(self.timing.heartbeat, self.settings.get(&FANOUT) as usize),
            ..Config::new_lan(size)
        }
    }
}

/// What runs out.
#[derive(Debug)]
enum Alarm {
    /// A timer of the library.
    Library(Timer<Member>),
    /// Whoever was not accepted by now, or does not know of all, asks someone for members.
    Join,
    /// Members had the time to get to know each other.
    Formed,
}

type Node = Foca<Member, PostcardCodec, StdRng, Updates>;

/// One member of a `foca` cluster.
pub struct SwimReplica {
    id: ReplicaId,
    replicas: usize,
    node: Node,
    runtime: AccumulatingRuntime<Member>,
    received: Received,
    rng: StdRng,
    timing: Timing,
    fanout: f64,
    push: bool,
    timers: Timers<Alarm>,
    formed: bool,
    /// Whether some member has accepted this one under the identity it has now. The library keeps the members
    /// it knew when it takes a new identity, so how many it knows does not tell.
    accepted: bool,
    /// Commands that came before there was anyone to send them to.
    queue: Vec<Command>,
    deliveries: u64,
}

impl SwimReplica {
    /// A member that knows no other yet.
    pub fn new(boot: Boot<Command>, setup: &SwimSetup) -> Self {
        let seed = setup.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(boot.id.0));
        let mut rng = StdRng::seed_from_u64(seed);
        let own = StdRng::from_rng(&mut rng);
        let (member, updates) = (Member { replica: boot.id.0, life: 0 }, Updates::default());
        let (config, received) = (setup.config(boot.replicas), updates.received());
        SwimReplica {
            id: boot.id,
            replicas: boot.replicas,
            node: Foca::with_custom_broadcast(member, config, own, PostcardCodec, updates),
            runtime: AccumulatingRuntime::new(),
            received,
            rng,
            timing: setup.timing,
            fanout: setup.settings.get(&FANOUT),
            push: setup.settings.get(&PUSH) != 0.0,
            timers: Timers::default(),
            formed: false,
            accepted: false,
            queue: Vec::new(),
            deliveries: 0,
        }
    }

    /// Replicas join one round trip apart, and commands wait until the last one had the time to become
    /// known.
    fn start(&mut self, now: Time) {
        if now >= FIRST_LIFE {
            let life = u32::try_from(now.0 / 1_000_000).unwrap_or(u32::MAX);
            let member = Member { replica: self.id.0, life };
            // It is another than the one it was made with, which is all that is asked.
            self.node.change_identity(member, &mut self.runtime).ok();
        }
        let apart = self.timing.heartbeat / 2;
        let settles = self.timing.heartbeat * 10;
        let formed = Time::default() + apart * self.replicas as u32 + settles;
        if now >= formed {
            self.join_anyone(now);
            return self.timers.set(now + settles, Alarm::Formed);
        }
        // The first has no one to join; if no one comes, it tries all the same.
        let joins = if self.id == ReplicaId(0) { formed } else { Time::default() + apart * self.id.0 };
        self.timers.set(joins.max(now), Alarm::Join);
        self.timers.set(formed, Alarm::Formed);
    }

    /// Asks a replica for the members it knows, and looks later whether that has to be done again.
    fn join_anyone(&mut self, now: Time) {
        self.timers.set(now + self.timing.heartbeat * 10, Alarm::Join);
        let missing = self.missing();
        if !missing.is_empty() {
            let chosen = self.rng.random_range(0..missing.len());
            self.announce(missing[chosen]);
        }
    }

    /// The configured replicas that this one has reason to ask, ascending. The library does none of this by
    /// itself: until a member was accepted it neither probes nor gossips, and it tells three others at most,
    /// once, of a new identity; and those it never heard of it can't announce itself to.
    fn missing(&self) -> Vec<u32> {
        if !self.formed && self.id.0 > 0 {
            // Until all have joined only those before this one are there.
            return if self.accepted { Vec::new() } else { (0..self.id.0).collect() };
        }
        let others = (0..self.replicas as u32).filter(|&replica| replica != self.id.0);
        if !self.accepted {
            return others.collect();
        }
        // The library keeps one entry per replica, held to be down or not.
        let heard_of = || {
            let members = self.node.iter_membership_state().map(|member| member.id().replica);
            members.filter(|&replica| replica != self.id.0)
        };
        if heard_of().count() == self.replicas - 1 {
            return Vec::new();
        }
        let heard_of: BTreeSet<u32> = heard_of().collect();
        others.filter(|replica| !heard_of.contains(replica)).collect()
    }

    /// Asks a replica for the members it knows. The life it is in is not known and does not matter.
    fn announce(&mut self, replica: u32) {
        self.node.announce(Member { replica, life: 0 }, &mut self.runtime).ok();
    }

    /// Some of those to whom a link comes back say so to the other end, so that halves of a cluster which
    /// hold each other to be down do not wait for the library's rare announcements.
    fn link_is_up(&mut self, peer: ReplicaId) {
        let chance = self.fanout / self.replicas.saturating_sub(1).max(1) as f64;
        if self.rng.random_bool(chance.min(1.0)) {
            self.announce(peer.0);
        }
    }

    /// Hands the library what clients gave, once it knows someone to send it to.
    fn broadcast_queue(&mut self, effects: &mut Effects<Self>) {
        if self.queue.is_empty() || !self.formed || !(self.accepted || self.replicas == 1) {
            return;
        }
        for command in std::mem::take(&mut self.queue) {
            match self.node.add_broadcast(command.encoded()) {
                Ok(true) => {
                    effects.proposed();
                    self.deliver(command, effects);
                }
                // Another replica had it from the client first, and died after it had sent it here.
                Ok(false) => effects.reply(command.id(), Slot(0), 0),
                Err(_) => effects.reject(protocol_core::Rejection { command: command.id(), leader: None }),
            }
        }
        self.push();
    }

    /// Sends new updates at once instead of with the next gossip, if that is what was set.
    fn push(&mut self) {
        if self.push {
            self.node.broadcast(&mut self.runtime).ok();
        }
    }

    fn deliver(&mut self, command: Command, effects: &mut Effects<Self>) {
        effects.deliver(Slot(self.deliveries), command);
        self.deliveries += 1;
    }

    /// Carries out what the library asks for.
    fn carry_out(&mut self, now: Time, effects: &mut Effects<Self>) {
        let received = self.received.take();
        if !received.is_empty() {
            self.push();
        }
        received.into_iter().for_each(|command| self.deliver(command, effects));
        while let Some((to, data)) = self.runtime.to_send() {
            effects.send(ReplicaId(to.replica), Packet(data));
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.set(now + after, Alarm::Library(timer));
        }
        while let Some(notification) = self.runtime.to_notify() {
            match notification {
                OwnedNotification::MemberDown(member) => effects.suspect(ReplicaId(member.replica)),
                OwnedNotification::MemberUp(member) => effects.clear(ReplicaId(member.replica)),
                OwnedNotification::Active => self.accepted = true,
                OwnedNotification::Idle | OwnedNotification::Defunct | OwnedNotification::Rejoin(_) => {
                    self.accepted = false;
                }
                OwnedNotification::Rename(..) => {}
            }
        }
        if let Some(due) = self.timers.to_ask() {
            effects.set_timer(CLOCK, Duration::from_nanos(due.0.saturating_sub(now.0)));
        }
    }
}

impl Replica for SwimReplica {
    type Message = Packet;
    /// Nothing is written: no one promises anything of an earlier life.
    type Record = Command;

    fn step(&mut self, now: Time, input: Input<Packet>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => self.start(now),
            // The library refuses what does not concern it, such as a packet for an earlier life.
            Input::Message { message, .. } => {
                self.node.handle_data(&message.0, &mut self.runtime).ok();
            }
            Input::Timer(_) => {
                self.timers.rang();
                while let Some(alarm) = self.timers.take_due(now) {
                    match alarm {
                        // An error says that a probe began late, and the library has seen to it.
                        Alarm::Library(timer) => drop(self.node.handle_timer(timer, &mut self.runtime)),
                        Alarm::Join => self.join_anyone(now),
                        Alarm::Formed => self.formed = true,
                    }
                }
            }
            Input::Requests(commands) => {
                self.queue.extend(commands);
                self.broadcast_queue(effects);
            }
            Input::Link { peer, up: true } => self.link_is_up(peer),
            // A failure detector does not need to be told.
            Input::Link { up: false, .. } | Input::Synced(_) | Input::Corrupt(_) | Input::Tune { .. } => {}
        }
    }

    fn flush(&mut self, now: Time, effects: &mut Effects<Self>) {
        self.broadcast_queue(effects);
        self.carry_out(now, effects);
    }
}
