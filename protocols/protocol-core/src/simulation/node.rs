//! One replica of a simulated cluster: its state machine, its inbox, its timers, its log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::client::Pending;
use super::disk::Disk;
use crate::applied::Application;
use crate::byzantine::Behaviour;
use crate::cluster::ReplicaStatus;
use crate::command::CommandId;
use crate::counters::Counters;
use crate::replica::{Effects, Misbehaviour, Replica, ReplicaId, SyncToken, TimerId};

const KEPT_ACCUSATIONS: usize = 64;

/// What waits to be handled.
pub(super) enum Item<M> {
    /// A message, with its bytes on the wire.
    Message(ReplicaId, M, u32),
    Timer(TimerId),
    Request(Pending),
    Synced(SyncToken),
    Link(ReplicaId, bool),
    Corrupt(Behaviour),
    /// Clients' commands have waited long enough for others.
    LingerOver,
}

/// One replica.
pub(super) struct Node<R: Replica> {
    /// None while it is down.
    pub(super) replica: Option<R>,
    /// Which start of this replica it is; events of an earlier one are void.
    pub(super) life: u32,
    pub(super) effects: Effects<R>,
    pub(super) inbox: VecDeque<Item<R::Message>>,
    /// Clients' commands that wait for others to be handed over with.
    pub(super) lingering: Vec<Pending>,
    /// Until when they wait, and which wait it is, by number.
    pub(super) lingers: Option<(u64, u32)>,
    pub(super) waits: u32,
    /// Whether a wake-up is decided.
    pub(super) woken: bool,
    /// Whether it has a core of those that are shared, or is about to.
    pub(super) has_core: bool,
    pub(super) busy_until: u64,
    pub(super) paused: bool,
    /// Whether it lies; what it applied proves nothing then.
    pub(super) corrupted: bool,
    /// Timers that are set, each with the number of its latest setting.
    pub(super) timers: Vec<(TimerId, u64)>,
    pub(super) settings: u64,
    pub(super) waiting: BTreeMap<CommandId, Pending>,
    /// Messages that wait for a flush.
    pub(super) held: VecDeque<(SyncToken, ReplicaId, R::Message)>,
    /// None without logs.
    pub(super) disk: Option<Disk<R::Record>>,
    pub(super) application: Application,
    pub(super) counters: Counters,
    pub(super) view: u64,
    pub(super) leader: Option<ReplicaId>,
    pub(super) leads: bool,
    pub(super) misbehaviour: Vec<Misbehaviour>,
    suspects: BTreeSet<ReplicaId>,
    pub(super) failure: Option<String>,
    skew_ppm: i64,
}

impl<R: Replica> Node<R> {
    pub(super) fn new(disk: Option<Disk<R::Record>>, skew_ppm: i64) -> Self {
        Node {
            replica: None,
            life: 0,
            effects: Default::default(),
            inbox: VecDeque::new(),
            lingering: Vec::new(),
            lingers: None,
            waits: 0,
            woken: false,
            has_core: false,
            busy_until: 0,
            paused: false,
            corrupted: false,
            timers: Vec::new(),
            settings: 0,
            waiting: BTreeMap::new(),
            held: VecDeque::new(),
            disk,
            application: Application::default(),
            counters: Counters::default(),
            view: 0,
            leader: None,
            leads: false,
            misbehaviour: Vec::new(),
            suspects: BTreeSet::new(),
            failure: None,
            skew_ppm,
        }
    }

    /// Starts another life, with an application that is empty.
    pub(super) fn begin(&mut self, replica: R, application: Application) {
        self.replica = Some(replica);
        self.application = application;
        self.failure = None;
        self.leads = false;
    }

    /// Ends the current life: what was in memory is gone. Returns the clients' commands that were: those
    /// not taken up, and those that were.
    pub(super) fn end(&mut self) -> (Vec<Pending>, Vec<Pending>) {
        self.replica = None;
        self.life += 1;
        self.effects = Default::default();
        self.timers.clear();
        self.held.clear();
        self.suspects.clear();
        (self.woken, self.paused, self.leads, self.leader) = (false, false, false, None);
        self.corrupted = false;
        self.has_core = false;
        if let Some(disk) = &mut self.disk {
            disk.crash();
        }
        self.lingers = None;
        let queued = self.inbox.drain(..).filter_map(|item| match item {
            Item::Request(pending) => Some(pending),
            _ => None,
        });
        (
            self.lingering.drain(..).chain(queued).collect(),
            std::mem::take(&mut self.waiting).into_values().collect(),
        )
    }

    /// What the replica's own clock says at a true time.
    pub(super) fn clock(&self, true_ns: u64) -> u64 {
        skewed(true_ns, self.skew_ppm)
    }

    /// How long something takes in truth that takes so long by the replica's own clock.
    pub(super) fn true_duration(&self, local_ns: u64) -> u64 {
        skewed(local_ns, -self.skew_ppm)
    }

    pub(super) fn accuse(&mut self) {
        let room = KEPT_ACCUSATIONS.saturating_sub(self.misbehaviour.len());
        self.misbehaviour.extend(self.effects.misbehaviour.drain(..).take(room));
        self.effects.misbehaviour.clear();
    }

    /// Takes over what the replica's failure detector found.
    pub(super) fn suspect(&mut self) {
        for (peer, failed) in self.effects.suspicions.drain(..) {
            if failed {
                self.suspects.insert(peer);
            } else {
                self.suspects.remove(&peer);
            }
        }
    }

    pub(super) fn status(&self) -> ReplicaStatus {
        let log = self.application.log();
        ReplicaStatus {
            live: self.replica.is_some(),
            corrupted: self.corrupted,
            delivered: log.delivered(),
            digest: log.digest(),
            counters: self.counters,
            // Each life but the first began with a restart; one that is down has not come back yet.
            restarts: u64::from(self.life) - u64::from(self.life > 0 && self.replica.is_none()),
            suspects: self.suspects.iter().copied().collect(),
            misbehaviour: self.misbehaviour.clone(),
            failure: self.failure.clone(),
        }
    }
}

/// What a clock that runs `ppm` parts per million fast counts in `ns` nanoseconds of truth. In whole
/// numbers, so that every machine agrees. A clock is off by little, so its inverse is taken to be off by
/// as much the other way.
pub fn skewed(ns: u64, ppm: i64) -> u64 {
    if ppm == 0 {
        return ns;
    }
    let off = i128::from(ns) * i128::from(ppm) / 1_000_000;
    u64::try_from(i128::from(ns) + off).unwrap_or(0)
}
