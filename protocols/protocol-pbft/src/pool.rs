//! Clients' requests that wait to be executed, and what became of the last ones.

use std::collections::{BTreeMap, VecDeque};

use protocol_core::{Command, CommandId, Slot};

use crate::authenticator::Digest;
use crate::batch::Entry;
use crate::log::Request;

/// A request that is not executed; its client's seal convinced this replica.
#[derive(Clone, Debug)]
struct Waiting {
    command: Command,
    digest: Digest,
}

/// All requests that this replica knows of.
#[derive(Debug)]
pub(crate) struct Pool {
    waiting: BTreeMap<CommandId, Waiting>,
    /// Requests that this replica, as primary, has yet to propose. Some may be executed already.
    queue: VecDeque<CommandId>,
    /// The slots of the last executed requests, for clients that ask late: one per remainder of the id.
    answers: Vec<Option<(CommandId, Slot)>>,
}

impl Pool {
    /// Executed requests whose slots are remembered, at most.
    const KEPT_ANSWERS: usize = 1 << 14;

    pub(crate) fn new() -> Self {
        Pool { waiting: BTreeMap::new(), queue: VecDeque::new(), answers: Vec::new() }
    }

    /// Takes a request in; false when one of this id waits already.
    pub(crate) fn insert(&mut self, command: Command, digest: Digest) -> bool {
        let id = command.id();
        if self.waiting.contains_key(&id) {
            return false;
        }
        self.waiting.insert(id, Waiting { command, digest });
        true
    }

    /// The request of this name.
    pub(crate) fn find(&self, entry: &Entry) -> Option<Request> {
        let waiting = self.waiting.get(&entry.id).filter(|waiting| waiting.digest == entry.digest)?;
        Some(Request { command: waiting.command.clone(), authentic: true })
    }

    pub(crate) fn executed(&mut self, id: CommandId, slot: Slot) {
        self.waiting.remove(&id);
        if self.answers.is_empty() {
            self.answers.resize(Self::KEPT_ANSWERS, None);
        }
        self.answers[id.0 as usize % Self::KEPT_ANSWERS] = Some((id, slot));
    }

    /// Where a request was executed, if it is remembered.
    pub(crate) fn answer(&self, id: CommandId) -> Option<Slot> {
        let kept = self.answers.get(id.0 as usize % Self::KEPT_ANSWERS).copied().flatten();
        kept.filter(|&(known, _)| known == id).map(|(_, slot)| slot)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(CommandId) -> bool) {
        self.waiting.retain(|&id, _| keep(id));
    }

    pub(crate) fn waits(&self, id: CommandId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// The one that waits with the smallest id, which is about the oldest.
    pub(crate) fn oldest(&self) -> Option<CommandId> {
        self.waiting.first_key_value().map(|(&id, _)| id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has a request proposed by this replica, in its turn.
    pub(crate) fn enqueue(&mut self, id: CommandId) {
        self.queue.push_back(id);
    }

    /// Has all that wait proposed again, but those for which `under_way` holds.
    pub(crate) fn requeue(&mut self, mut under_way: impl FnMut(CommandId) -> bool) {
        self.queue.clear();
        self.queue.extend(self.waiting.keys().copied().filter(|&id| !under_way(id)));
    }

    pub(crate) fn clear_queue(&mut self) {
        self.queue.clear();
    }

    /// The next requests to propose, at most so many.
    pub(crate) fn next_batch(&mut self, most: usize) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(most.min(self.queue.len()));
        while entries.len() < most {
            let Some(id) = self.queue.pop_front() else { break };
            if let Some(waiting) = self.waiting.get(&id) {
                entries.push(Entry { id, digest: waiting.digest });
            }
        }
        entries
    }
}
