//! Whom clients ask, and what they take for an answer.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Command, CommandId};
use crate::replica::ReplicaId;

/// Whom clients ask, and what they take for an answer. One client for all protocols of a kind, so that
/// none looks faster by a client of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientRule {
    /// The replica that leads, and its answer; redirects are followed. Raft and Paxos.
    #[default]
    Leader,
    /// One replica, by turns, and its answer; another one while that is down. Quorum protocols.
    Coordinator,
    /// All replicas, and so many equal answers: f + 1 where f may lie.
    Everyone {
        /// Answers of the same slot and output.
        matching: usize,
    },
    /// One replica, by turns; answered once every live replica has delivered the command. This client
    /// sees all replicas, which none on a network could: it measures dissemination. Gossip.
    Broadcast,
}

impl ClientRule {
    /// The replica whose turn it is with a command.
    pub(crate) fn home(id: CommandId, replicas: usize) -> ReplicaId {
        ReplicaId((id.0 % replicas as u64) as u32)
    }
}

/// What a client appends to its commands to prove that they are its own. Commands reach replicas sealed;
/// a replica takes the seal off by [`Command::unsealed`] before it delivers.
#[derive(Clone)]
pub struct Seal(Arc<dyn Fn(&Command) -> Bytes + Send + Sync>);

impl Seal {
    /// A seal made by a function of the command, the same number of bytes each time.
    pub fn new(seal: impl Fn(&Command) -> Bytes + Send + Sync + 'static) -> Self {
        Seal(Arc::new(seal))
    }

    /// The command with its seal.
    pub fn apply(&self, command: &Command) -> Command {
        command.sealed(&(self.0)(command))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}
