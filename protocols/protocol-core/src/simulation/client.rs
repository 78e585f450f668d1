//! The clients of a simulated cluster: they follow redirects and try again by the rules of
//! [`LeaderClient`](crate::LeaderClient), in virtual time.

use std::time::Duration;

use super::Answered;
use crate::cluster::SubmitError;
use crate::command::Command;
use crate::replica::{ReplicaId, Slot, Time};

/// How long clients wait before they ask again when no one knows a leader.
const BACKOFF_NS: u64 = 5_000_000;

/// A command on its way. Times are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What to agree on.
    pub command: Command,
    /// When the client sent it first.
    pub submitted: u64,
    /// When a replica took it up last.
    pub taken_up: u64,
    /// When the client stops trying.
    pub deadline: u64,
    /// Redirects without a pause. Replicas that point to each other must not hold time still.
    redirects: usize,
}

impl Pending {
    /// A command that a client sends at `at`.
    pub fn new(command: Command, at: u64, deadline: u64) -> Self {
        Pending { command, submitted: at, taken_up: at, deadline, redirects: 0 }
    }

    /// Its end: a replica knew at `decided`, the client at `answered`.
    pub fn answer(&self, decided: u64, answered: u64, outcome: Result<Slot, SubmitError>) -> Answered {
        Answered {
            id: self.command.id(),
            submitted: Time(self.submitted),
            taken_up: Time(self.taken_up),
            decided: Time(decided),
            answered: Time(answered),
            outcome,
        }
    }
}

/// What all clients believe together, and how far they are from each replica.
#[derive(Debug)]
pub struct Clients {
    delays: Vec<u64>,
    leader: ReplicaId,
    /// Times a command was sent on or sent again.
    pub resubmissions: u64,
}

impl Clients {
    /// Clients at these one-way delays from each replica; they believe that the first one leads.
    pub fn new(delays: &[Duration]) -> Self {
        let nanos = |delay: &Duration| u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Clients { delays: delays.iter().map(nanos).collect(), leader: ReplicaId(0), resubmissions: 0 }
    }

    /// Nanoseconds one way between the clients and a replica.
    pub fn delay_to(&self, replica: ReplicaId) -> u64 {
        self.delays[replica.index()]
    }

    /// Whom to send a command to.
    pub fn believed(&self) -> ReplicaId {
        self.leader
    }

    /// Clients learn of a leader without having been refused.
    pub fn leader_is(&mut self, leader: ReplicaId) {
        self.leader = leader;
    }

    /// Whom to ask next after a refusal, and after which pause, in nanoseconds.
    pub fn refused(
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
