//! Drives any [`Replica`](crate::Replica) in virtual time: one loop of events in integer nanoseconds,
//! seeded and ordered, so that the same seed gives the same bytes on any machine.
//!
//! What real time takes from the machine, virtual time takes from the [`SimulationSpec`]: delays from
//! its links, work from its [`Costs`]. A replica is a server with a queue: it is woken when something
//! reaches its inbox, handles all that is there as one round, as the real driver does, and is busy for
//! what the round costs. Replicas may share cores, as those of one runtime do. With all costs zero what remains is the pure protocol.
//!
//! The loop stands beside [`ReplicaCluster`](crate::ReplicaCluster), its twin in real time, because
//! types are erased once per run and never per message: whoever runs it sees a [`dyn
//! Simulation`](Simulation).
//!
//! A library that owns its runtime implements [`Simulation`] itself, from the pieces that
//! [`SimulatedCluster`] is made of: [`Events`], [`Links`], [`Clients`], [`Disk`].

mod asking;
mod client;
mod cluster;
mod cores;
mod disk;
mod events;
mod faults;
mod links;
mod node;
mod round;

use std::time::Duration;

pub use client::{Clients, Pending};
pub use cluster::SimulatedCluster;
pub use cores::SharedCores;
pub use disk::{Disk, Flushes};
pub use events::Events;
pub use links::Links;
pub use node::skewed;

use crate::applied::AppliedLog;
use crate::cluster::{Fault, FaultError, Observation, SubmitError};
use crate::command::{Command, CommandId};
use crate::network::LinkSpec;
use crate::replica::{ReplicaId, Slot, Time};
use crate::settings::Settings;
use crate::timing::Timing;

/// What work costs a replica, in nanoseconds. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Each time that it is woken.
    pub wake_up_ns: f64,
    /// Each message sent or received.
    pub message_ns: f64,
    /// Each byte of those.
    pub byte_ns: f64,
    /// Each client's command taken up.
    pub request_ns: f64,
    /// Each command applied.
    pub delivery_ns: f64,
    /// Each signature made.
    pub sign_ns: f64,
    /// Each signature checked.
    pub verify_ns: f64,
    /// Each message authentication code made or checked.
    pub mac_ns: f64,
    /// Each flush of the log. It takes the disk's time and not the replica's; appends that come
    /// meanwhile share the next one.
    pub fsync_ns: f64,
}

/// A cluster to simulate.
#[derive(Clone, Debug)]
pub struct SimulationSpec {
    /// Number of replicas.
    pub replicas: usize,
    /// Failure detection, as [`Timing::set_by`] has it: what the settings say is in it already.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Seed of all randomness.
    pub seed: u64,
    /// Links, by sender and receiver.
    pub links: Vec<Vec<LinkSpec>>,
    /// One-way delay between the clients and each replica.
    pub client_delays: Vec<Duration>,
    /// What work costs.
    pub costs: Costs,
    /// Cores that all replicas share; none gives each replica one of its own. Woken replicas get one in
    /// the order in which they were woken.
    pub cores: Option<SharedCores>,
    /// Times of flushes in nanoseconds to draw from, each as likely, in place of [`Costs::fsync_ns`]; empty
    /// takes that.
    pub flushes_ns: Vec<u64>,
    /// Whether replicas keep logs, and so can restart after a crash. What was not flushed is lost.
    pub durable: bool,
    /// How much faster than true each replica's clock runs, in parts per million; those missing run
    /// true.
    pub clock_skew_ppm: Vec<i64>,
}

impl SimulationSpec {
    /// Replicas with the same delay between any two, clients beside the leader, no costs and no logs.
    pub fn uniform(replicas: usize, one_way: Duration, seed: u64) -> Self {
        let link = LinkSpec { delay: one_way, fifo: true, ..LinkSpec::default() };
        SimulationSpec {
            replicas,
            timing: Timing::for_delay(one_way),
            settings: Settings::default(),
            seed,
            links: vec![vec![link; replicas]; replicas],
            client_delays: vec![Duration::ZERO; replicas],
            costs: Costs::default(),
            cores: None,
            flushes_ns: Vec::new(),
            durable: false,
            clock_skew_ppm: Vec::new(),
        }
    }

    /// Asserts that there is a link for each pair of replicas, and a client delay for each replica.
    ///
    /// # Panics
    ///
    /// When one is missing or there are too many.
    pub fn assert_tables(&self) {
        let square = self.links.len() == self.replicas
            && self.links.iter().all(|row| row.len() == self.replicas)
            && self.client_delays.len() == self.replicas;
        assert!(square, "links and client delays for each of {} replicas", self.replicas);
    }

    /// How much faster than true the clock of replica `index` runs, in parts per million.
    pub fn skew_ppm(&self, index: usize) -> i64 {
        self.clock_skew_ppm.get(index).copied().unwrap_or(0)
    }
}

/// The end of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which.
    pub id: CommandId,
    /// When the client sent it first.
    pub submitted: Time,
    /// When a replica took it up for good: the one that answered.
    pub taken_up: Time,
    /// When that replica had applied it, or refused it for the last time.
    pub decided: Time,
    /// When the client knew.
    pub answered: Time,
    /// Where it stands in the agreed order, or why it has no place.
    pub outcome: Result<Slot, SubmitError>,
    /// What it gave back, as [`Committed::output`](crate::Committed::output).
    pub output: u64,
    /// How it spread, of a command that every replica had to deliver
    /// ([`ClientRule::Broadcast`](crate::ClientRule::Broadcast)).
    pub spread: Option<Spread>,
}

/// When so many of all replicas had delivered a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Half of them.
    pub half: Time,
    /// 90 %.
    pub most: Time,
    /// 99 %.
    pub nearly_all: Time,
}

/// A cluster in virtual time.
pub trait Simulation: Send {
    /// The time that the simulation has reached.
    fn now(&self) -> Time;

    /// Has a client send a command at a time that is not past. It tries until it is answered or the
    /// deadline passed.
    fn submit(&mut self, at: Time, command: Command, deadline: Time);

    /// Gives a fault now.
    fn inject(&mut self, fault: Fault) -> Result<(), FaultError>;

    /// Runs until the time comes, whatever ends meanwhile.
    fn run_until(&mut self, until: Time);

    /// Runs until there is an answer to take or the time comes; false when it was the time. Commands that ended
    /// are in [`take_answers`](Simulation::take_answers).
    fn run_until_answer(&mut self, until: Time) -> bool;

    /// Has nothing happen any more, time included, after so many events in all: a protocol whose messages
    /// beget messages would keep a run for ever.
    fn limit_events(&mut self, most: u64);

    /// The ends of commands since the last call, in order of time.
    fn take_answers(&mut self) -> Vec<Answered>;

    /// Events handled so far.
    fn events(&self) -> u64;

    /// Who leads, how far each replica is, what each did.
    fn observe(&self) -> Observation;

    /// Everything each live replica applied.
    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)>;
}
