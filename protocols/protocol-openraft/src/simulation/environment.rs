//! The environment of simulated replicas: what the adapter's shared code asks of the machine, asked of
//! the [`World`].

use std::io;
use std::sync::Arc;

use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use protocol_core::{ReplicaId, Slot, Time};

use super::runtime::VirtualRuntime;
use super::world::{Here, World};
use crate::environment::{Carrier, Environment, Journal, Tasks, Ticket};
use crate::log_store::Record;
use crate::types::{Rpc, TypeConfig};

/// A simulated world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualTime;

impl Environment for VirtualTime {
    type Runtime = VirtualRuntime;
    type Network = Arc<World>;
    type Tasks = Here;
    type Journal = VirtualJournal;
    type Ticket = VirtualTicket;
    type Moment = Time;

    const NOTES_PHASES: bool = false;

    fn moment() -> Time {
        Here::current().now()
    }

    fn applied_one() -> Option<Time> {
        Some(Here::current().apply_one())
    }
}

impl Carrier<VirtualTime> for Arc<World> {
    fn send(&self, from: ReplicaId, to: ReplicaId, message: Rpc<VirtualTime>) {
        self.state().send(from, to, message);
    }
}

impl Tasks for Here {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.run(task);
    }
}

/// The log on the simulated disk of one replica.
pub struct VirtualJournal(pub(super) Here);

impl Journal for VirtualJournal {
    fn append(&self, record: Record) -> usize {
        self.0.with_disk(|disk| disk.append(record))
    }

    fn replace(&self, records: Vec<Record>) -> usize {
        self.0.with_disk(|disk| disk.replace(records))
    }

    fn sync(&self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.0.sync(Box::new(done));
    }
}

/// A client's command that waits inside the library.
pub struct VirtualTicket {
    here: Here,
    number: u64,
}

impl VirtualTicket {
    pub(super) fn new(here: Here, number: u64) -> Self {
        VirtualTicket { here, number }
    }
}

impl Ticket<VirtualTime> for VirtualTicket {
    fn committed(&mut self) {}

    fn complete(self, result: ClientWriteResult<TypeConfig<VirtualTime>>) {
        match result {
            Ok(written) => {
                let applied = written.data.time.unwrap_or_else(|| self.here.now());
                self.here.answer(self.number, applied, Slot(written.log_id.index));
            }
            Err(error) => {
                let leader = match error {
                    ClientWriteError::ForwardToLeader(forward)
                    | ClientWriteError::LogEntryDiscarded(forward) => forward.leader_id,
                    _ => None,
                };
                self.here.refuse(self.number, leader.map(|leader| ReplicaId(leader as u32)));
            }
        }
    }
}

impl Drop for VirtualTicket {
    fn drop(&mut self) {
        // Without effect once the request was answered or handed back.
        self.here.refuse(self.number, None);
    }
}
