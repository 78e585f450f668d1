//! One replica as the simulated world knows it: its inbox, its work, its timers, its disk.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::Waker;

use protocol_core::simulation::{Disk, Pending, skewed};
use protocol_core::{Application, CounterCell, ReplicaId, ReplicaStatus, SyncToken};

use super::environment::VirtualTime;
use crate::log_store::Record;
use crate::types::Rpc;

/// Clocks start one day in, so that the library may look back in time from the start.
const CLOCK_START_NS: u64 = 86_400_000_000_000;

/// What waits to be handled.
pub(super) enum Item {
    /// A message, with its bytes on the wire.
    Message(ReplicaId, Rpc<VirtualTime>, u32),
    /// A timer ran out.
    Timer(u64),
    Request(Pending),
    /// A flush is over.
    Synced(SyncToken),
}

/// Told when a write is durable.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One replica.
pub(super) struct Body {
    pub(super) live: bool,
    /// Which start of this replica it is; events of an earlier one are void.
    pub(super) life: u32,
    pub(super) paused: bool,
    /// Whether a wake-up is decided.
    pub(super) woken: bool,
    pub(super) busy_until: u64,
    pub(super) inbox: VecDeque<Item>,
    /// Tasks that wait for a time, by the number of their timer.
    pub(super) timers: BTreeMap<u64, Waker>,
    /// Clients' commands inside the library, by the number of their ticket.
    pub(super) waiting: BTreeMap<u64, Pending>,
    /// None without logs.
    pub(super) disk: Option<Disk<Record>>,
    /// Who waits for which flush.
    pub(super) flushes: VecDeque<(SyncToken, Done)>,
    pub(super) counters: Arc<CounterCell>,
    pub(super) application: Application,
    pub(super) failure: Option<String>,
    skew_ppm: i64,
}

impl Body {
    pub(super) fn new(disk: Option<Disk<Record>>, skew_ppm: i64) -> Self {
        Body {
            live: false,
            life: 0,
            paused: false,
            woken: false,
            busy_until: 0,
            inbox: VecDeque::new(),
            timers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            disk,
            flushes: VecDeque::new(),
            counters: Arc::default(),
            application: Application::default(),
            failure: None,
            skew_ppm,
        }
    }

    /// Ends the current life: what was in memory is gone. Returns the clients' commands that were, and
    /// the tasks whose timers had run out, which have to move to be stopped.
    pub(super) fn end(&mut self) -> (Vec<Pending>, Vec<Waker>) {
        self.live = false;
        self.life += 1;
        (self.woken, self.paused) = (false, false);
        self.flushes.clear();
        if let Some(disk) = &mut self.disk {
            disk.crash();
        }
        let (mut lost, mut wakers) = (Vec::new(), Vec::new());
        for item in std::mem::take(&mut self.inbox) {
            match item {
                Item::Request(pending) => lost.push(pending),
                Item::Timer(timer) => wakers.extend(self.timers.remove(&timer)),
                Item::Message(..) | Item::Synced(_) => {}
            }
        }
        lost.extend(std::mem::take(&mut self.waiting).into_values());
        (lost, wakers)
    }

    /// What the replica's own clock says at a true time.
    pub(super) fn clock(&self, true_ns: u64) -> u64 {
        CLOCK_START_NS + skewed(true_ns, self.skew_ppm)
    }

    /// How long something takes in truth that takes so long by the replica's own clock.
    pub(super) fn true_duration(&self, local_ns: u64) -> u64 {
        skewed(local_ns, -self.skew_ppm)
    }

    pub(super) fn status(&self) -> ReplicaStatus {
        let log = self.application.log();
        ReplicaStatus {
            live: self.live,
            restarts: u64::from(self.life) - u64::from(self.life > 0 && !self.live),
            delivered: log.delivered(),
            digest: log.digest(),
            counters: self.counters.read(),
            misbehaviour: Vec::new(),
            failure: self.failure.clone(),
            ..ReplicaStatus::default()
        }
    }
}
