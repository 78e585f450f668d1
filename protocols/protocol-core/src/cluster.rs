//! What the benchmark drives: a running cluster, whoever owns its runtime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use thiserror::Error;

use crate::applied::AppliedLog;
use crate::byzantine::Behaviour;
use crate::command::{Command, CommandId};
use crate::counters::Counters;
use crate::phases::Phases;
use crate::replica::{Misbehaviour, ReplicaId, Slot, View};
use crate::settings::LiveError;

/// A command took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where in the agreed order.
    pub slot: Slot,
    /// What the command gave back, as far as the protocol's commands give something back; else 0.
    pub output: u64,
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
    /// The replica that took it went down, and took the answer with it.
    #[error("the replica that took the command went down with it")]
    Lost,
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

    /// Whether an answer still matters. A request whose answer does not need not be sent again.
    fn is_wanted(&self) -> bool {
        true
    }
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

    /// Whether anyone still waits for it.
    pub fn is_wanted(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.is_wanted())
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
    /// Whether this replica is only to say when it has delivered the command, which another one was
    /// given ([`ClientRule::Broadcast`](crate::ClientRule::Broadcast)).
    pub watches: bool,
    /// The way back.
    pub reply: Reply,
}

impl Request {
    /// A command for whoever is to order it.
    pub fn new(command: Command, sent: Instant, deadline: Instant, reply: Reply) -> Self {
        Request { command, sent, deadline, watches: false, reply }
    }
}

/// Something to do to a running cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Messages one way are delayed further, or lost by chance, in place of an earlier degradation of
    /// this link.
    Degrade {
        /// Sender whose messages are slow or lost.
        from: ReplicaId,
        /// Receiver that waits for them.
        to: ReplicaId,
        /// Added to the link's one-way delay.
        extra_delay: Duration,
        /// Share of messages lost, 0 to 1.
        loss: f64,
    },
    /// All cuts and all degradations end.
    Heal,
    /// The replica's process stands still (as after SIGSTOP, or in a long garbage collection): it
    /// handles nothing, its timers don't run, what is sent to it waits; its clock goes on without it.
    /// A crash ends this too.
    Pause(ReplicaId),
    /// A replica that stands still goes on.
    Resume(ReplicaId),
    /// The replica begins to lie in this way, or stops. While it lies, what it applied counts as nothing.
    /// A crash makes it honest.
    Corrupt(ReplicaId, Behaviour),
}

impl Fault {
    /// Refuses a fault of replicas that a cluster of `replicas` does not have, and one whose numbers
    /// mean nothing.
    pub fn check(self, replicas: usize) -> Result<(), FaultError> {
        let concerned = match self {
            Fault::Crash(id) | Fault::Restart(id) | Fault::Pause(id) | Fault::Resume(id) => [id, id],
            Fault::Corrupt(id, _) => [id, id],
            Fault::Cut { from, to } | Fault::Degrade { from, to, .. } => [from, to],
            Fault::Heal => return Ok(()),
        };
        let refused = |why| Err(FaultError::NotApplicable { fault: self, why });
        if let Some(id) = concerned.into_iter().find(|id| id.index() >= replicas) {
            return refused(format!("there is no replica {id}; ids are 0 to {}", replicas.saturating_sub(1)));
        }
        match self {
            Fault::Degrade { loss, .. } if !(0.0..=1.0).contains(&loss) => {
                refused(format!("a loss of {loss} is no share of messages; shares are 0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

/// Why a fault was not given. Never silently nothing.
#[derive(Clone, Debug, PartialEq, Error)]
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
    /// A crash, a pause or a resumption of a replica that is down.
    pub fn is_down(fault: Fault, id: ReplicaId) -> Self {
        FaultError::NotApplicable { fault, why: format!("replica {id} is down") }
    }

    /// A pause of a replica that stands still.
    pub fn is_paused(fault: Fault, id: ReplicaId) -> Self {
        FaultError::NotApplicable { fault, why: format!("replica {id} stands still already") }
    }

    /// A degradation for which the system gave no thread.
    pub fn no_delay_line(fault: Fault, error: &std::io::Error) -> Self {
        let why = format!("the thread that holds delayed messages can't be started: {error}");
        FaultError::NotApplicable { fault, why }
    }

    /// A restart or a resumption of a replica that runs.
    pub fn is_running(fault: Fault, id: ReplicaId) -> Self {
        FaultError::NotApplicable { fault, why: format!("replica {id} is running") }
    }

    /// Refuses a behaviour that the protocol's replicas can't be made to show.
    pub fn check_behaviour(fault: Fault, wanted: Behaviour, known: &[Behaviour]) -> Result<(), Self> {
        if wanted == Behaviour::Honest || known.contains(&wanted) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(|behaviour| behaviour.name()).collect();
        let why = if known.is_empty() {
            "this protocol trusts its replicas, and has no behaviours but honesty".to_string()
        } else {
            format!("this protocol's replicas can be made {}", known.join(", "))
        };
        Err(FaultError::Unsupported { fault, why })
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
    /// Whether it is made to lie.
    pub corrupted: bool,
    /// Deliveries so far.
    pub delivered: u64,
    /// Digest after those.
    pub digest: u64,
    /// What it did.
    pub counters: Counters,
    /// Times it came back after a crash.
    pub restarts: u64,
    /// Peers that its failure detector holds to have failed, in order of id; none without a detector.
    pub suspects: Vec<ReplicaId>,
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

    /// Changes a tunable while the cluster runs, on every replica that lives and on those that come back. It
    /// holds for what is handled from then on.
    fn set_live(&self, name: &str, _value: f64) -> Result<(), LiveError> {
        Err(LiveError::Unsupported { name: name.into(), live: "nothing".into() })
    }

    /// Who leads, how far each replica is, what each did.
    fn observe(&self) -> Observation;

    /// Everything each live replica applied. Copies sets of ids: for the end of a run.
    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)>;

    /// Ends all tasks and frees ports and files. Submissions after this are answered
    /// [`SubmitError::Unavailable`].
    async fn stop(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_strangers_and_meaningless_numbers_are_refused() {
        let (known, stranger) = (ReplicaId(2), ReplicaId(3));
        let degrade =
            |from, to, loss| Fault::Degrade { from, to, extra_delay: Duration::from_millis(1), loss };
        let sensible = [
            Fault::Heal,
            Fault::Pause(known),
            Fault::Resume(known),
            degrade(known, ReplicaId(0), 0.0),
            degrade(ReplicaId(0), known, 1.0),
        ];
        for fault in sensible {
            assert_eq!(fault.check(3), Ok(()));
        }
        let senseless = [
            Fault::Crash(stranger),
            Fault::Restart(stranger),
            Fault::Pause(stranger),
            Fault::Resume(stranger),
            Fault::Cut { from: known, to: stranger },
            degrade(stranger, known, 0.5),
            degrade(known, ReplicaId(0), -0.1),
            degrade(known, ReplicaId(0), 1.1),
            degrade(known, ReplicaId(0), f64::NAN),
        ];
        for fault in senseless {
            assert!(matches!(fault.check(3), Err(FaultError::NotApplicable { .. })), "{fault:?}");
        }
    }
}
