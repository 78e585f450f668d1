//! The shared client of leader-based protocols: it remembers who leads, follows redirects, and
//! tries elsewhere until a command's deadline. All such protocols use this one, so none can look
//! faster by a client of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::{Request, SubmitError};
use crate::replica::ReplicaId;

/// How long the client waits before it asks again when no one knows a leader.
const BACKOFF: Duration = Duration::from_millis(5);

/// Hands a request to one replica, or gives it back when that replica is down.
pub type Offer = dyn Fn(ReplicaId, Request) -> Result<(), Request> + Send + Sync;

/// A client that sends every command to the leader it believes in.
pub struct LeaderClient {
    replicas: u32,
    leader: AtomicU32,
    resubmissions: AtomicU64,
    offer: Box<Offer>,
    later: mpsc::UnboundedSender<(Instant, ReplicaId, Request)>,
}

impl std::fmt::Debug for LeaderClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderClient").field("leader", &self.leader).finish_non_exhaustive()
    }
}

impl LeaderClient {
    /// Starts the client and the task that holds back retries; abort the task to stop it.
    pub fn start(replicas: usize, offer: Box<Offer>) -> (Arc<Self>, JoinHandle<()>) {
        let (later, mut due) = mpsc::unbounded_channel::<(Instant, ReplicaId, Request)>();
        let client = Arc::new(LeaderClient {
            replicas: replicas as u32,
            leader: AtomicU32::new(0),
            resubmissions: AtomicU64::new(0),
            offer,
            later,
        });
        // The task must not keep the client alive, nor the client wait for the task.
        let weak = Arc::downgrade(&client);
        let task = tokio::spawn(async move {
            while let Some((at, to, request)) = due.recv().await {
                tokio::time::sleep_until(at.into()).await;
                match weak.upgrade() {
                    Some(client) => client.offer_to(to, request),
                    None => break,
                }
            }
        });
        (client, task)
    }

    /// Sends a command to the leader.
    pub fn submit(&self, request: Request) {
        self.offer_to(ReplicaId(self.leader.load(Relaxed)), request);
    }

    /// The leader became known from elsewhere than a refusal.
    pub fn leader_is(&self, leader: ReplicaId) {
        self.leader.store(leader.0, Relaxed);
    }

    /// A replica refused or lost a request; it is sent to the hinted leader at once, or to the next
    /// replica after a pause.
    pub fn refused(&self, by: ReplicaId, request: Request, hint: Option<ReplicaId>) {
        if expired(&request) {
            request.reply.answer(Err(SubmitError::Redirected { leader: hint }));
            return;
        }
        self.resubmissions.fetch_add(1, Relaxed);
        match hint {
            Some(leader) if leader != by => {
                self.leader_is(leader);
                self.offer_to(leader, request);
            }
            _ => self.retry_after(by, request),
        }
    }

    /// Times a command was sent on or sent again.
    pub fn resubmissions(&self) -> u64 {
        self.resubmissions.load(Relaxed)
    }

    fn offer_to(&self, to: ReplicaId, request: Request) {
        if let Err(request) = (self.offer)(to, request) {
            if expired(&request) {
                request.reply.answer(Err(SubmitError::Unavailable));
            } else {
                self.resubmissions.fetch_add(1, Relaxed);
                self.retry_after(to, request);
            }
        }
    }

    fn retry_after(&self, failed: ReplicaId, request: Request) {
        let believed = self.leader.load(Relaxed);
        let next = if believed == failed.0 { (failed.0 + 1) % self.replicas } else { believed };
        self.leader.compare_exchange(failed.0, next, Relaxed, Relaxed).ok();
        // A closed channel drops the request, which answers it as unavailable.
        self.later.send((now() + BACKOFF, ReplicaId(next), request)).ok();
    }
}

fn expired(request: &Request) -> bool {
    now() >= request.deadline
}

#[allow(clippy::disallowed_methods, reason = "a client of the real clock, not a replica")]
fn now() -> Instant {
    Instant::now()
}
