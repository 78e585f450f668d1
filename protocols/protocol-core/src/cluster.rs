//! What the benchmark drives: a running cluster, whoever owns its runtime.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use thiserror::Error;

use crate::applied::AppliedLog;
use crate::command::{Command, CommandId};
use crate::counters::Counters;
use crate::phases::Phases;
use crate::replica::{Misbehaviour, ReplicaId, Slot, View};

/// A command took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where in the agreed order.
    pub slot: Slot,
    /// Where the time went.
    pub phases: Phases,
}

/// A command that was not acknowledged. It may still take effect later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// The replica asked does not lead; the shared client follows the hint and reports this only
    /// when its deadline passed on the way.
    #[error("redirected to {leader:?} until the deadline passed")]
    Redirected {
        /// The latest hint.
        leader: Option<ReplicaId>,
    },
    /// No replica took the command before its deadline.
    #[error("no replica took the command")]
    Unavailable,
    /// A replica took it, but no answer came before the deadline.
    #[error("timed out")]
    TimedOut,
    /// The protocol has no such operation.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
}

/// Takes answers. Called on whichever thread the answer arises, so it must not block.
pub trait Answers: Send + Sync {
    /// The outcome of one submission.
    fn answer(&self, id: CommandId, outcome: Result<Committed, SubmitError>);
}

/// The way back to the client of one submission. Exactly one answer is given: a reply that is
/// dropped unanswered answers [`SubmitError::Unavailable`].
pub struct Reply {
    id: CommandId,
    answers: Option<Arc<dyn Answers>>,
}

impl Reply {
    /// A reply for command `id`, given to `answers`.
    pub fn new(id: CommandId, answers: Arc<dyn Answers>) -> Self {
        Reply { id, answers: Some(answers) }
    }

    /// Answers.
    pub fn answer(mut self, outcome: Result<Committed, SubmitError>) {
        if let Some(answers) = self.answers.take() {
            answers.answer(self.id, outcome);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(answers) = self.answers.take() {
            answers.answer(self.id, Err(SubmitError::Unavailable));
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reply").field(&self.id).finish()
    }
}

/// One submission of one command.
#[derive(Debug)]
pub struct Request {
    /// What to agree on.
    pub command: Command,
    /// When the client sent it.
    pub sent: Instant,
    /// When the client stops waiting; no one need try after that.
    pub deadline: Instant,
    /// The way back.
    pub reply: Reply,
}

/// Something to do to a running cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The replica's process dies: memory is lost, its log stays.
    Crash(ReplicaId),
    /// The replica comes back with what its log holds.
    Restart(ReplicaId),
    /// Messages one way are lost, without a word to either side.
    Cut {
        /// Sender whose messages are lost.
        from: ReplicaId,
        /// Receiver that misses them.
        to: ReplicaId,
    },
    /// All cuts end.
    Heal,
}

impl Fault {
    /// Refuses a fault of replicas that a cluster of `replicas` does not have.
    pub fn check(self, replicas: usize) -> Result<(), FaultError> {
        let (Fault::Crash(first) | Fault::Restart(first) | Fault::Cut { from: first, .. }) = self else {
            return Ok(());
        };
        let second = if let Fault::Cut { to, .. } = self { to } else { first };
        match [first, second].into_iter().find(|id| id.index() >= replicas) {
            None => Ok(()),
            Some(id) => {
                let why = format!("there is no replica {id}; ids are 0 to {}", replicas.saturating_sub(1));
                Err(FaultError::NotApplicable { fault: self, why })
            }
        }
    }
}

/// Why a fault was not given. Never silently nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultError {
    /// This cluster can't be given this fault.
    #[error("{fault:?} is unsupported: {why}")]
    Unsupported {
        /// The fault.
        fault: Fault,
        /// The reason, and what would make it possible.
        why: String,
    },
    /// There is no such replica, or it is in no state for the fault.
    #[error("{fault:?} does not apply: {why}")]
    NotApplicable {
        /// The fault.
        fault: Fault,
        /// The reason.
        why: String,
    },
}

impl FaultError {
    /// A crash of a replica that is down.
    pub fn is_down(fault: Fault, id: ReplicaId) -> Self {
        FaultError::NotApplicable { fault, why: format!("replica {id} is down already") }
    }

    /// A restart of a replica that runs.
    pub fn is_running(fault: Fault, id: ReplicaId) -> Self {
        FaultError::NotApplicable { fault, why: format!("replica {id} is running") }
    }

    /// A restart without a log.
    pub fn forgotten(fault: Fault) -> Self {
        let why = "memory storage forgets what a replica promised; use wal storage".to_string();
        FaultError::Unsupported { fault, why }
    }
}

/// A cheap look at a running cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The replica that leads in the highest view known, if any.
    pub leader: Option<ReplicaId>,
    /// The highest view known.
    pub view: Option<View>,
    /// Per replica, in order of id.
    pub replicas: Vec<ReplicaStatus>,
    /// Submissions that were sent on to another replica, or again to the same one.
    pub resubmissions: u64,
}

impl Observation {
    /// Sum of all replicas' counts.
    pub fn total(&self) -> Counters {
        let mut total = Counters::default();
        self.replicas.iter().for_each(|replica| total += replica.counters);
        total
    }
}

/// One replica's part of an [`Observation`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Whether it runs.
    pub live: bool,
    /// Deliveries so far.
    pub delivered: u64,
    /// Digest after those.
    pub digest: u64,
    /// What it did.
    pub counters: Counters,
    /// Peers it caught breaking the protocol.
    pub misbehaviour: Vec<Misbehaviour>,
    /// Why it stopped by itself, such as a full disk.
    pub failure: Option<String>,
}

/// A running cluster.
///
/// Object safe: the harness sees a `dyn Cluster`. Types are erased once per run, never per message.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Hands a command to the cluster's client, which finds the replica to ask, follows redirects
    /// and tries again until the deadline. Does not block; the answer goes to the request's reply.
    fn submit(&self, request: Request);

    /// Gives a fault, and returns once it took hold.
    async fn inject(&self, fault: Fault) -> Result<(), FaultError>;

    /// Who leads, how far each replica is, what each did.
    fn observe(&self) -> Observation;

    /// Everything each live replica applied. Copies sets of ids: for the end of a run.
    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)>;

    /// Ends all tasks and frees ports and files. Submissions after this are answered
    /// [`SubmitError::Unavailable`].
    async fn stop(&self);
}
