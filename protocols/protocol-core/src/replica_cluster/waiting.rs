//! Requests that wait at one replica for their command to be delivered.

use std::collections::VecDeque;

use super::batches::{Batches, Stamps};
use crate::cluster::Request;
use crate::command::CommandId;

/// A window over command ids: ids are dense and mostly leave in the order they came, so this is an
/// array with an offset, without hashing.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    first: u64,
    slots: VecDeque<Option<Waiter>>,
    count: usize,
    /// The batches that the requests were taken up in.
    pub(super) batches: Batches,
}

#[derive(Debug)]
struct Waiter {
    request: Request,
    /// Number of its batch.
    batch: u64,
}

impl Waiting {
    /// Adds a request to the latest batch, and gives back the one that had the same id (a client that
    /// asked twice).
    pub(super) fn insert(&mut self, request: Request) -> Option<Request> {
        let id = request.command.id().0;
        if self.slots.is_empty() {
            self.first = id;
        }
        while id < self.first {
            self.slots.push_front(None);
            self.first -= 1;
        }
        let index = (id - self.first) as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let waiter = Waiter { request, batch: self.batches.enter() };
        let before = self.slots[index].replace(waiter);
        self.count += usize::from(before.is_none());
        before.map(|waiter| {
            self.batches.leave(waiter.batch);
            waiter.request
        })
    }

    /// Takes the request for a command, if one waits here, and what is known of its batch.
    pub(super) fn take(&mut self, id: CommandId) -> Option<(Request, Stamps)> {
        let index = id.0.checked_sub(self.first)?;
        let waiter = self.slots.get_mut(usize::try_from(index).ok()?)?.take()?;
        self.count -= 1;
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        Some((waiter.request, self.batches.leave(waiter.batch)))
    }

    /// Takes every request, oldest id first.
    pub(super) fn take_all(&mut self) -> Vec<Request> {
        self.count = 0;
        let waiters = std::mem::take(&mut self.slots).into_iter().flatten();
        waiters
            .map(|waiter| {
                self.batches.leave(waiter.batch);
                waiter.request
            })
            .collect()
    }

    /// Takes the requests whose deadline passed.
    pub(super) fn take_expired(&mut self, now: std::time::Instant) -> Vec<Request> {
        if self.count == 0 {
            return Vec::new();
        }
        let expired: Vec<CommandId> = self
            .slots
            .iter()
            .flatten()
            .filter(|waiter| waiter.request.deadline <= now)
            .map(|waiter| waiter.request.command.id())
            .collect();
        expired.into_iter().filter_map(|id| self.take(id)).map(|(request, _)| request).collect()
    }

    /// Whether no one waits.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "deadlines of the real clock")]
mod tests {
    use super::*;
    use crate::cluster::{Answers, Committed, Reply, SubmitError};
    use crate::command::Command;
    use crate::replica::Time;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    struct Ignore;

    impl Answers for Ignore {
        fn answer(&self, _: CommandId, _: Result<Committed, SubmitError>) {}
    }

    fn request(id: u64, deadline: Instant) -> Request {
        let id = CommandId(id);
        let reply = Reply::new(id, Arc::new(Ignore));
        Request::new(Command::new(id, b""), deadline, deadline, reply)
    }

    #[test]
    fn takes_by_id_in_any_order_and_expires_by_deadline() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.batches.begin(Time(0));
        for id in [10, 14, 12, 9] {
            let late = now + Duration::from_secs(u64::from(id != 12));
            assert!(waiting.insert(request(id, late)).is_none());
        }
        assert!(waiting.insert(request(14, now + Duration::from_secs(1))).is_some());
        assert!(waiting.take(CommandId(11)).is_none() && waiting.take(CommandId(100)).is_none());
        assert!(waiting.take(CommandId(9)).is_some() && waiting.take(CommandId(9)).is_none());
        let ids = |taken: Vec<Request>| taken.iter().map(|one| one.command.id().0).collect::<Vec<_>>();
        assert_eq!(ids(waiting.take_expired(now)), [12]);
        assert_eq!(ids(waiting.take_all()), [10, 14]);
        assert!(waiting.is_empty());
    }
}
