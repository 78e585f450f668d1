//! What outsiders know of one replica, and how they reach it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::pace::Pace;
use crate::applied::Application;
use crate::byzantine::Behaviour;
use crate::cluster::{ReplicaStatus, Request};
use crate::counters::CounterCell;
use crate::replica::{Misbehaviour, Replica, ReplicaId, SyncToken, Time};

/// What happens to a replica, from outside its task.
pub(super) enum Event<R: Replica> {
    /// In a box, because a message may be several times larger than a request, and there are more of
    /// those.
    Message(Box<(ReplicaId, R::Message)>),
    Request(Request),
    /// Which life asked, what is durable, and since when.
    Synced(u64, SyncToken, Result<Time, String>),
    Link(ReplicaId, bool),
    Corrupt(Behaviour),
    /// A tunable has another value.
    Tune(&'static str, f64),
    /// Nothing happened, but the task should look up.
    Wake,
}

/// What outsiders know of one replica.
pub(super) struct Node<R: Replica> {
    /// One channel for all lives of the replica, so that posting takes no lock.
    pub(super) inbox: mpsc::UnboundedSender<Event<R>>,
    /// Held by the task of the current life.
    pub(super) events: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Event<R>>>>,
    pub(super) lives: AtomicU64,
    pub(super) application: Mutex<Application>,
    pub(super) counters: Arc<CounterCell>,
    pub(super) view: AtomicU64,
    pub(super) leader: AtomicU64,
    pub(super) live: AtomicBool,
    /// Whether it lies; what it applied proves nothing then.
    pub(super) corrupted: AtomicBool,
    pub(super) pace: Pace,
    pub(super) misbehaviour: Mutex<Vec<Misbehaviour>>,
    pub(super) suspects: Mutex<BTreeSet<ReplicaId>>,
    pub(super) failure: Mutex<Option<String>>,
}

pub(super) const NO_LEADER: u64 = u64::MAX;
const KEPT_ACCUSATIONS: usize = 64;

impl<R: Replica> Node<R> {
    pub(super) fn new() -> Self {
        let (inbox, events) = mpsc::unbounded_channel();
        Node {
            inbox,
            events: Arc::new(tokio::sync::Mutex::new(events)),
            lives: AtomicU64::new(0),
            application: Mutex::default(),
            counters: Arc::default(),
            view: AtomicU64::new(0),
            leader: AtomicU64::new(NO_LEADER),
            live: AtomicBool::new(false),
            corrupted: AtomicBool::new(false),
            pace: Pace::default(),
            misbehaviour: Mutex::default(),
            suspects: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(super) fn post(&self, event: Event<R>) -> Result<(), Event<R>> {
        if !self.live.load(Relaxed) {
            return Err(event);
        }
        self.inbox.send(event).map_err(|error| error.0)
    }

    pub(super) fn set_view(&self, view: u64, leader: Option<ReplicaId>) {
        self.view.store(view, Relaxed);
        self.leader.store(leader.map_or(NO_LEADER, |leader| u64::from(leader.0)), Relaxed);
    }

    pub(super) fn accuse(&self, accusations: &mut Vec<Misbehaviour>) {
        let mut kept = held(&self.misbehaviour);
        let room = KEPT_ACCUSATIONS.saturating_sub(kept.len());
        kept.extend(accusations.drain(..).take(room));
    }

    /// Takes over what the replica's failure detector found.
    pub(super) fn suspect(&self, suspicions: &mut Vec<(ReplicaId, bool)>) {
        let mut suspects = held(&self.suspects);
        for (peer, failed) in suspicions.drain(..) {
            if failed {
                suspects.insert(peer);
            } else {
                suspects.remove(&peer);
            }
        }
    }

    pub(super) fn fail(&self, failure: String) {
        self.live.store(false, Relaxed);
        *held(&self.failure) = Some(failure);
    }

    pub(super) fn status(&self) -> ReplicaStatus {
        let application = held(&self.application).clone();
        let log = application.log();
        ReplicaStatus {
            live: self.live.load(Relaxed),
            corrupted: self.corrupted.load(Relaxed),
            delivered: log.delivered(),
            digest: log.digest(),
            counters: self.counters.read(),
            restarts: self.lives.load(Relaxed).saturating_sub(1),
            suspects: held(&self.suspects).iter().copied().collect(),
            misbehaviour: held(&self.misbehaviour).clone(),
            failure: held(&self.failure).clone(),
        }
    }
}

pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
