//! The sans-IO contract: time, messages and randomness go in as data, effects come out as data.

use std::ops::Add;
use std::time::Duration;

use bytes::Bytes;

use crate::byzantine::Behaviour;
use crate::command::{Command, CommandId};
use crate::wire::{Message, Wire};

/// Index of a replica, from 0 to n − 1. Adapters map it to whatever their library wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

impl ReplicaId {
    /// The id as an index into per-replica tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The ids of a cluster of `replicas`.
    pub fn all(replicas: usize) -> impl Iterator<Item = ReplicaId> {
        (0..replicas as u32).map(ReplicaId)
    }
}

impl std::fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds since the cluster was launched, in whichever clock drives the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Position in the agreed order. Strictly increasing on each replica, one per command, and equal on
/// all replicas for the same command. Gaps are allowed (Raft's own no-op entries leave some).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// Names a timer of one replica. Setting a timer that is already set moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(pub u32);

/// Names a durable prefix of a replica's records. Tokens of one replica increase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncToken(pub u64);

/// A term, view, ballot or epoch: whatever the protocol numbers its leaders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View(pub u64);

/// What happens to a replica.
#[derive(Debug)]
pub enum Input<M> {
    /// The replica starts, for the first time or after a crash. Always the first input.
    Start,
    /// A peer's message arrived.
    Message {
        /// Who sent it.
        from: ReplicaId,
        /// What it says.
        message: M,
    },
    /// A timer set by [`Effects::set_timer`] ran out.
    Timer(TimerId),
    /// Clients' commands, batched by the driver. Each must lead to a delivery or an
    /// [`Effects::reject`].
    Requests(Vec<Command>),
    /// The link to a peer went down or came up.
    Link {
        /// The peer at the other end.
        peer: ReplicaId,
        /// Whether messages get through again.
        up: bool,
    },
    /// Every record persisted up to this token is durable.
    Synced(SyncToken),
    /// A tunable has another value from now on. Given only for those whose descriptor says that they change
    /// live, but for those that the driver answers itself.
    Tune {
        /// The tunable's name.
        name: &'static str,
        /// Its value, within its range.
        value: f64,
    },
    /// From now on the replica behaves so. Given only to protocols whose descriptor lists it.
    Corrupt(Behaviour),
}

/// A deterministic state machine that takes part in a protocol.
///
/// The driver calls [`step`](Replica::step) for every input at hand and then
/// [`flush`](Replica::flush) once; it then carries out the effects. Protocols that work in batches
/// (Raft's *ready* loop) do so in `flush`.
///
/// An implementation reads no clock, draws from no global random source, starts no thread, opens no
/// socket and iterates over nothing unordered: all it knows comes in through `step`, and the same
/// inputs give the same effects. Then the same replica runs in real time and in a simulator.
pub trait Replica: Send + Sized + 'static {
    /// What replicas tell each other.
    type Message: Message;
    /// What a replica writes to its log, and gets back after a crash.
    type Record: Wire;

    /// Whether the protocol is made for links that keep order, such as TCP's. The drivers then give it
    /// [connections](crate::LinkSpec::connection), whatever the run asks for: messages keep their order,
    /// none arrives twice, a loss costs a retransmission, and both ends of a link are told when it comes
    /// up. A replica that starts again and a link that is healed have new connections: nothing of the old
    /// ones arrives any more.
    const FIFO: bool = false;

    /// Takes one input.
    fn step(&mut self, now: Time, input: Input<Self::Message>, effects: &mut Effects<Self>);

    /// Ends a round of inputs.
    fn flush(&mut self, _now: Time, _effects: &mut Effects<Self>) {}
}

/// What the driver applies, in order.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A committed command.
    Command(Slot, Command),
    /// The application's state as another replica had it, from [`Application::snapshot`].
    ///
    /// [`Application::snapshot`]: crate::Application::snapshot
    Snapshot(Bytes),
}

impl Delivery {
    /// The command, if it is one.
    pub fn command(&self) -> Option<&Command> {
        match self {
            Delivery::Command(_, command) => Some(command),
            Delivery::Snapshot(_) => None,
        }
    }
}

/// A command that the replica will not order; the client tries elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which command.
    pub command: CommandId,
    /// Who could order it, as far as this replica knows.
    pub leader: Option<ReplicaId>,
}

/// Changes to a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerChange {
    /// Runs out after this long; replaces an earlier setting.
    Set(TimerId, Duration),
    /// Does not run out.
    Cancel(TimerId),
}

/// Proof or suspicion that a peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaviour {
    /// The accused.
    pub replica: ReplicaId,
    /// What it did.
    pub what: String,
}

/// What a replica wants done, collected during [`Replica::step`] and [`Replica::flush`].
///
/// Within one kind of effect, order is kept. Between kinds the driver guarantees only this: records
/// are written before the messages held for them are sent, and before `Synced` is given.
pub type Effects<R> = EffectQueues<<R as Replica>::Message, <R as Replica>::Record>;

/// [`Effects`] by the types of messages and records, so that a replica can hand its own to another one
/// that it wraps.
#[derive(Debug)]
pub struct EffectQueues<Message, Record> {
    pub(crate) sends: Vec<(ReplicaId, Message)>,
    pub(crate) held: Vec<(SyncToken, ReplicaId, Message)>,
    pub(crate) records: Vec<Record>,
    pub(crate) checkpoint: Option<Vec<Record>>,
    pub(crate) sync: Option<SyncToken>,
    pub(crate) timers: Vec<TimerChange>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) replies: Vec<(CommandId, Slot, u64)>,
    /// Whether clients get no answers.
    pub(crate) mute: bool,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) view: Option<(View, Option<ReplicaId>)>,
    pub(crate) misbehaviour: Vec<Misbehaviour>,
    /// Peers, and whether they are now held to have failed.
    pub(crate) suspicions: Vec<(ReplicaId, bool)>,
    pub(crate) proposals: u64,
    /// Proposals that the replica put together by itself, and the commands in them.
    pub(crate) batches: [u64; 2],
    /// Signatures made, signatures checked, authentication codes made or checked.
    pub(crate) cryptography: [u64; 3],
}

impl<Message, Record> Default for EffectQueues<Message, Record> {
    fn default() -> Self {
        EffectQueues {
            sends: Vec::new(),
            held: Vec::new(),
            records: Vec::new(),
            checkpoint: None,
            sync: None,
            timers: Vec::new(),
            deliveries: Vec::new(),
            replies: Vec::new(),
            mute: false,
            rejections: Vec::new(),
            view: None,
            misbehaviour: Vec::new(),
            suspicions: Vec::new(),
            proposals: 0,
            batches: [0; 2],
            cryptography: [0; 3],
        }
    }
}

impl<Message: Clone, Record> EffectQueues<Message, Record> {
    /// Sends now.
    pub fn send(&mut self, to: ReplicaId, message: Message) {
        self.sends.push((to, message));
    }

    /// Takes out the messages that are to be sent now. For whoever drives a replica without a driver.
    pub fn take_sends(&mut self) -> Vec<(ReplicaId, Message)> {
        std::mem::take(&mut self.sends)
    }

    /// The commands that are to be delivered.
    pub fn delivered(&self) -> impl Iterator<Item = (Slot, &Command)> {
        self.deliveries.iter().filter_map(|delivery| match delivery {
            Delivery::Command(slot, command) => Some((*slot, command)),
            Delivery::Snapshot(_) => None,
        })
    }

    /// Proposals that were counted by [`proposed_batch`](Effects::proposed_batch).
    pub fn batches(&self) -> u64 {
        self.batches[0]
    }

    /// Sends to every replica of a cluster of `replicas` but `me`.
    pub fn broadcast(&mut self, me: ReplicaId, replicas: usize, message: &Message) {
        for to in ReplicaId::all(replicas).filter(|&to| to != me) {
            self.send(to, message.clone());
        }
    }

    /// Sends once everything up to `token` is durable. The token is of this or an earlier call of
    /// [`sync`](Effects::sync).
    pub fn send_after_sync(&mut self, token: SyncToken, to: ReplicaId, message: Message) {
        self.held.push((token, to, message));
    }

    /// Appends a record to the log. Not durable until a [`sync`](Effects::sync) says so.
    pub fn persist(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Replaces the whole log by these records, atomically: what a restart needs and no more.
    /// Records persisted in the same round are appended after them.
    pub fn checkpoint(&mut self, records: Vec<Record>) {
        self.checkpoint = Some(records);
    }

    /// Makes everything persisted so far durable, and says so by [`Input::Synced`]. Syncs are
    /// grouped: one flush to disk may answer many tokens.
    pub fn sync(&mut self, token: SyncToken) {
        self.sync = Some(token);
    }

    /// Sets a timer, or moves it when it is set.
    pub fn set_timer(&mut self, timer: TimerId, after: Duration) {
        self.timers.push(TimerChange::Set(timer, after));
    }

    /// Cancels a timer.
    pub fn cancel_timer(&mut self, timer: TimerId) {
        self.timers.push(TimerChange::Cancel(timer));
    }

    /// Delivers a committed command. The driver applies it and answers the client that waits for it
    /// at this replica.
    pub fn deliver(&mut self, slot: Slot, command: Command) {
        self.deliveries.push(Delivery::Command(slot, command));
    }

    /// Answers the client that waits here for a command, if one does: before its delivery, long after
    /// it, or without one. A command that is delivered
    /// is answered by that, with no output, unless it has a reply of its own in the same round.
    pub fn reply(&mut self, command: CommandId, slot: Slot, output: u64) {
        self.replies.push((command, slot, output));
    }

    /// Replaces the application's state by another replica's.
    pub fn restore(&mut self, snapshot: Bytes) {
        self.deliveries.push(Delivery::Snapshot(snapshot));
    }

    /// Refuses a command, with a hint where to go.
    pub fn reject(&mut self, rejection: Rejection) {
        self.rejections.push(rejection);
    }

    /// Tells that the replica is in a new view, or learned who leads it.
    pub fn new_view(&mut self, view: View, leader: Option<ReplicaId>) {
        self.view = Some((view, leader));
    }

    /// Reports a peer that broke the protocol.
    pub fn misbehaviour(&mut self, misbehaviour: Misbehaviour) {
        self.misbehaviour.push(misbehaviour);
    }

    /// Tells that the replica now holds a peer to have failed, by a failure detector of its own.
    pub fn suspect(&mut self, peer: ReplicaId) {
        self.suspicions.push((peer, true));
    }

    /// Tells that the replica no longer holds a peer to have failed.
    pub fn clear(&mut self, peer: ReplicaId) {
        self.suspicions.push((peer, false));
    }

    /// Counts one proposal (one consensus instance, append or block), however many commands it holds.
    pub fn proposed(&mut self) {
        self.proposals += 1;
    }

    /// Counts one proposal of so many commands, by a replica that keeps commands and makes its own batches
    /// of them. [`proposed`](Effects::proposed) is for those that propose what they are given at once.
    pub fn proposed_batch(&mut self, commands: u64) {
        self.batches[0] += 1;
        self.batches[1] += commands;
    }

    /// Counts signatures made.
    pub fn signed(&mut self, signatures: u64) {
        self.cryptography[0] += signatures;
    }

    /// Counts signatures checked.
    pub fn verified(&mut self, signatures: u64) {
        self.cryptography[1] += signatures;
    }

    /// Counts message authentication codes made or checked.
    pub fn maced(&mut self, codes: u64) {
        self.cryptography[2] += codes;
    }
}
