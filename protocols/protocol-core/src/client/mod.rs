//! The shared client of all protocols: it asks whom a protocol's [`ClientRule`] says, remembers who
//! leads, follows redirects, gathers answers, and tries again until a command's deadline. All
//! protocols use this one, so none can look faster by a client of its own.

mod gather;
mod rule;
mod votes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use rule::{ClientRule, Seal};
pub(crate) use votes::{Verdict, Votes};

use crate::cluster::{Request, SubmitError};
use crate::replica::ReplicaId;

/// How long the client waits before it asks again when no one knows a leader.
const BACKOFF: Duration = Duration::from_millis(5);

/// Hands a request to one replica, or gives it back when that replica is down.
pub type Offer = dyn Fn(ReplicaId, Request) -> Result<(), Request> + Send + Sync;

/// All clients of a cluster in one: what they believe, they believe together.
pub struct SharedClient {
    rule: ClientRule,
    seal: Option<Seal>,
    replicas: u32,
    leader: AtomicU32,
    resubmissions: AtomicU64,
    offer: Box<Offer>,
    later: mpsc::UnboundedSender<(Instant, ReplicaId, Request)>,
}

impl std::fmt::Debug for SharedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedClient").field("leader", &self.leader).finish_non_exhaustive()
    }
}

impl SharedClient {
    /// Starts a client that follows the rule, and the task that holds back retries; abort the task to
    /// stop it.
    pub fn start(
        replicas: usize,
        rule: ClientRule,
        seal: Option<Seal>,
        offer: Box<Offer>,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let (later, mut due) = mpsc::unbounded_channel::<(Instant, ReplicaId, Request)>();
        let client = Arc::new(SharedClient {
            rule,
            seal,
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

    /// Sends a command to whom the rule says.
    pub fn submit(&self, mut request: Request) {
        if let Some(seal) = &self.seal {
            request.command = seal.apply(&request.command);
        }
        let replicas = self.replicas as usize;
        let home = ClientRule::home(request.command.id(), replicas);
        match self.rule {
            ClientRule::Leader => self.offer_to(ReplicaId(self.leader.load(Relaxed)), request),
            ClientRule::Coordinator => self.offer_to(home, request),
            ClientRule::Everyone { .. } => {
                for (to, copy) in ReplicaId::all(replicas).zip(gather::copies(request, self.rule, replicas)) {
                    self.offer_to(to, copy);
                }
            }
            ClientRule::Broadcast => self.broadcast(home, request),
        }
    }

    /// Has every replica watch for the command before the first one gets it.
    fn broadcast(&self, home: ReplicaId, request: Request) {
        let replicas = self.replicas as usize;
        let mut origin = None;
        for (to, copy) in ReplicaId::all(replicas).zip(gather::copies(request, self.rule, replicas)) {
            if to == home {
                origin = Some(copy);
            } else {
                self.offer_to(to, Request { watches: true, ..copy });
            }
        }
        if let Some(origin) = origin {
            self.offer_to(home, origin);
        }
    }

    /// Whether a replica that no longer leads has to give its commands back.
    pub(crate) fn follows_leader(&self) -> bool {
        self.rule == ClientRule::Leader
    }

    /// Whether every replica orders what it is given, by turns.
    pub(crate) fn asks_by_turns(&self) -> bool {
        matches!(self.rule, ClientRule::Coordinator | ClientRule::Broadcast)
    }

    /// The leader became known from elsewhere than a refusal.
    pub fn leader_is(&self, leader: ReplicaId) {
        self.leader.store(leader.0, Relaxed);
    }

    /// A replica refused or lost a request. By the rule it is sent to the hinted leader at once, or to
    /// the next replica after a pause, or again to the same one.
    pub fn refused(&self, by: ReplicaId, request: Request, hint: Option<ReplicaId>) {
        if !request.reply.is_wanted() {
            return;
        }
        if expired(&request) || request.watches {
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

    /// A replica went down with a request that it had taken up. It is sent again, where that can't make it
    /// take effect twice.
    pub(crate) fn lost(&self, by: ReplicaId, request: Request) {
        match self.rule {
            ClientRule::Coordinator => request.reply.answer(Err(SubmitError::Lost)),
            _ => self.refused(by, request, None),
        }
    }

    /// Times a command was sent on or sent again.
    pub fn resubmissions(&self) -> u64 {
        self.resubmissions.load(Relaxed)
    }

    fn offer_to(&self, to: ReplicaId, request: Request) {
        if let Err(request) = (self.offer)(to, request) {
            if expired(&request) || request.watches || !request.reply.is_wanted() {
                request.reply.answer(Err(SubmitError::Unavailable));
            } else {
                self.resubmissions.fetch_add(1, Relaxed);
                self.retry_after(to, request);
            }
        }
    }

    fn retry_after(&self, failed: ReplicaId, request: Request) {
        let next = match self.rule {
            ClientRule::Leader => self.doubt(failed),
            ClientRule::Everyone { .. } => failed.0,
            ClientRule::Coordinator | ClientRule::Broadcast => (failed.0 + 1) % self.replicas,
        };
        // A closed channel drops the request, which answers it as unavailable.
        self.later.send((now() + BACKOFF, ReplicaId(next), request)).ok();
    }

    /// Believes in the next replica if it believed in this one; whom it believes in now.
    fn doubt(&self, failed: ReplicaId) -> u32 {
        let believed = self.leader.load(Relaxed);
        let next = if believed == failed.0 { (failed.0 + 1) % self.replicas } else { believed };
        self.leader.compare_exchange(failed.0, next, Relaxed, Relaxed).ok();
        next
    }
}

fn expired(request: &Request) -> bool {
    now() >= request.deadline
}

#[allow(clippy::disallowed_methods, reason = "a client of the real clock, not a replica")]
fn now() -> Instant {
    Instant::now()
}
