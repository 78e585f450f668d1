//! The clients of a simulated cluster: they follow redirects and try again by the rules of
//! [`LeaderClient`](crate::LeaderClient), in virtual time.

use std::time::Duration;

use crate::command::Command;
use crate::replica::ReplicaId;

/// How long clients wait before they ask again when no one knows a leader.
const BACKOFF_NS: u64 = 5_000_000;

/// A command on its way.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) command: Command,
    pub(super) submitted: u64,
    pub(super) taken_up: u64,
    pub(super) deadline: u64,
    /// Redirects without a pause. Replicas that point to each other must not hold time still.
    pub(super) redirects: usize,
}

/// What all clients believe together, and how far they are from each replica.
pub(super) struct Clients {
    delays: Vec<u64>,
    leader: ReplicaId,
    pub(super) resubmissions: u64,
}

impl Clients {
    pub(super) fn new(delays: &[Duration]) -> Self {
        let nanos = |delay: &Duration| u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Clients { delays: delays.iter().map(nanos).collect(), leader: ReplicaId(0), resubmissions: 0 }
    }

    /// One way between the clients and a replica.
    pub(super) fn delay_to(&self, replica: ReplicaId) -> u64 {
        self.delays[replica.index()]
    }

    /// Whom to send a command to.
    pub(super) fn believed(&self) -> ReplicaId {
        self.leader
    }

    /// Clients learn of a leader without having been refused.
    pub(super) fn leader_is(&mut self, leader: ReplicaId) {
        self.leader = leader;
    }

    /// Whom to ask next after a refusal, and after which pause.
    pub(super) fn refused(
        &mut self,
        by: ReplicaId,
        pending: &mut Pending,
        hint: Option<ReplicaId>,
    ) -> (ReplicaId, u64) {
        self.resubmissions += 1;
        pending.redirects += 1;
        match hint {
            Some(leader) if leader != by && pending.redirects < self.delays.len() => {
                self.leader = leader;
                (leader, 0)
            }
            _ => {
                pending.redirects = 0;
                if self.leader == by {
                    self.leader = ReplicaId((by.0 + 1) % self.delays.len() as u32);
                }
                (self.leader, BACKOFF_NS)
            }
        }
    }
}
