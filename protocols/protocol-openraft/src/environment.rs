//! What the library and this adapter stand on: the machine's time, tasks, network and disks, or
//! simulated ones.
//!
//! The types that the library is given are generic over their [`Environment`], so that both are one
//! code, and so that neither costs the other anything.

use std::fmt::Debug;
use std::io;
use std::time::Instant;

use openraft::AsyncRuntime;
use openraft::raft::ClientWriteResult;
use protocol_core::{Network, ReplicaId, Wal};

use crate::gate::{GatedRuntime, GatedTasks};
use crate::log_store::Record;
use crate::responder::RequestTicket;
use crate::types::{Rpc, TypeConfig};

/// Where replicas run.
pub trait Environment: Copy + Debug + Default + Ord + Send + Sync + 'static {
    /// The library's runtime.
    type Runtime: AsyncRuntime;
    /// Carries messages between replicas.
    type Network: Carrier<Self>;
    /// Runs the adapter's own tasks of one life of a replica.
    type Tasks: Tasks;
    /// The log on a replica's disk.
    type Journal: Journal;
    /// The right to answer one request.
    type Ticket: Ticket<Self>;
    /// A point in time in what the state machine answers.
    type Moment: Copy + Debug + Send + Sync + 'static;

    /// Whether the times at which entries were sent and flushed are noted.
    const NOTES_PHASES: bool;

    /// This moment.
    fn moment() -> Self::Moment;

    /// The state machine applied a command: when, where applying takes time of its own.
    fn applied_one() -> Option<Self::Moment>;
}

/// Carries messages one way; they may be lost.
pub trait Carrier<E: Environment>: Clone + Send + Sync + 'static {
    /// Sends a message.
    fn send(&self, from: ReplicaId, to: ReplicaId, message: Rpc<E>);
}

/// Runs tasks of one life of a replica.
pub trait Tasks: Send + Sync + 'static {
    /// Runs a task.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// A log on disk. What is written is durable once a sync after it is done.
pub trait Journal: Send + 'static {
    /// Appends a record, and returns the bytes it takes.
    fn append(&self, record: Record) -> usize;

    /// Replaces the whole log, and returns the bytes it takes then.
    fn replace(&self, records: Vec<Record>) -> usize;

    /// Has everything written so far become durable, and then calls `done`.
    fn sync(&self, done: impl FnOnce(io::Result<()>) + Send + 'static);
}

/// The right to answer one request. Dropped unused (the library stopped), it hands the request back to
/// the client.
pub trait Ticket<E: Environment>: Send + 'static {
    /// The library called the request committed.
    fn committed(&mut self);

    /// The library is done with the request.
    fn complete(self, result: ClientWriteResult<TypeConfig<E>>);
}

/// The machine: tokio's clock and tasks, the shared network, a write-ahead log in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealTime;

impl Environment for RealTime {
    type Runtime = GatedRuntime;
    type Network = Network<Rpc>;
    type Tasks = GatedTasks;
    type Journal = Wal;
    type Ticket = RequestTicket;
    type Moment = Instant;

    const NOTES_PHASES: bool = true;

    #[expect(clippy::disallowed_methods, reason = "the adapter measures real time")]
    fn moment() -> Instant {
        Instant::now()
    }

    fn applied_one() -> Option<Instant> {
        None
    }
}

impl Carrier<RealTime> for Network<Rpc> {
    fn send(&self, from: ReplicaId, to: ReplicaId, message: Rpc) {
        Network::send(self, from, to, message);
    }
}

impl Journal for Wal {
    fn append(&self, record: Record) -> usize {
        Wal::append(self, &[record])
    }

    fn replace(&self, records: Vec<Record>) -> usize {
        Wal::replace(self, &records)
    }

    fn sync(&self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        Wal::sync(self, done);
    }
}
