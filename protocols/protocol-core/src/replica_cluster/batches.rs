//! Batches of requests that a replica took up together, and when they passed which milestone.
//!
//! Stamps are kept per batch and not per request, which costs a clock reading per round and a few
//! bytes per batch. Batches are numbered densely and leave in the order they came, so this is an array
//! with an offset.

use std::collections::VecDeque;

use crate::phases::{Flush, Milestones};
use crate::replica::{SyncToken, Time};

/// What is known of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    taken_up: Time,
    replicated: Option<Time>,
    flush: Flush,
}

impl Stamps {
    /// The milestones of one of the batch's requests.
    pub(super) fn milestones(&self, sent: Time, committed: Time, applied: Time) -> Milestones {
        Milestones {
            sent: sent.0,
            taken_up: self.taken_up.0,
            replicated: self.replicated.map(|at| at.0),
            flush: self.flush,
            committed: committed.0,
            applied: applied.0,
        }
    }
}

#[derive(Debug)]
struct Batch {
    stamps: Stamps,
    /// Requests of it that still wait.
    waiting: usize,
}

/// The batches of which a request still waits, and those in between.
#[derive(Debug, Default)]
pub(super) struct Batches {
    first: u64,
    batches: VecDeque<Batch>,
    /// The last so many batches have yet to be sent.
    unsent: usize,
    /// Batches whose round asked for a sync that has not come back, with its token; both increase.
    flushing: VecDeque<(SyncToken, u64)>,
}

impl Batches {
    /// Begins a batch.
    pub(super) fn begin(&mut self, taken_up: Time) {
        self.drop_ended();
        let stamps = Stamps { taken_up, replicated: None, flush: Flush::None };
        self.batches.push_back(Batch { stamps, waiting: 0 });
        self.unsent += 1;
    }

    /// Enters one request into the latest batch, and returns the batch's number.
    pub(super) fn enter(&mut self) -> u64 {
        let latest = self.batches.len() - 1;
        self.batches[latest].waiting += 1;
        self.first + latest as u64
    }

    /// One request that was entered into this batch waits no more; what is known of the batch.
    pub(super) fn leave(&mut self, number: u64) -> Stamps {
        // A batch stays for as long as one of its requests waits.
        let batch = &mut self.batches[(number - self.first) as usize];
        batch.waiting -= 1;
        batch.stamps
    }

    /// Whether a batch has yet to be sent.
    pub(super) fn any_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// The replica has handed everything to the network and to the log, which is flushing it when
    /// there is a token.
    pub(super) fn sent(&mut self, now: Time, sync: Option<SyncToken>) {
        let known = self.batches.len() - self.unsent.min(self.batches.len());
        self.unsent = 0;
        for (number, batch) in (self.first..).zip(&mut self.batches).skip(known) {
            batch.stamps.replicated = Some(now);
            if let Some(token) = sync {
                batch.stamps.flush = Flush::Pending;
                self.flushing.push_back((token, number));
            }
        }
    }

    /// Everything up to this token was durable at this time.
    pub(super) fn flushed(&mut self, token: SyncToken, at: Time) {
        while let Some(&(waited_for, number)) = self.flushing.front()
            && waited_for <= token
        {
            self.flushing.pop_front();
            let index = number.checked_sub(self.first);
            if let Some(batch) = index.and_then(|index| self.batches.get_mut(index as usize)) {
                batch.stamps.flush = Flush::Done(at.0);
            }
        }
    }

    /// Only sent batches end, so that the last `unsent` ones are always there.
    fn drop_ended(&mut self) {
        while self.batches.len() > self.unsent && self.batches.front().is_some_and(|batch| batch.waiting == 0)
        {
            self.batches.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(batches: &mut Batches, taken_up: u64, requests: usize) -> u64 {
        batches.begin(Time(taken_up));
        let numbers: Vec<u64> = (0..requests).map(|_| batches.enter()).collect();
        assert!(numbers.iter().all(|number| number == &numbers[0]));
        numbers[0]
    }

    fn left(batches: &mut Batches, number: u64) -> (u64, Option<u64>, Flush) {
        let milestones = batches.leave(number).milestones(Time(0), Time(99), Time(99));
        (milestones.taken_up, milestones.replicated, milestones.flush)
    }

    #[test]
    fn all_batches_of_a_round_are_sent_together_and_flushed_by_their_token() {
        let mut batches = Batches::default();
        let (a, b) = (begin(&mut batches, 1, 2), begin(&mut batches, 2, 1));
        assert!(batches.any_unsent());
        assert_eq!(left(&mut batches, a), (1, None, Flush::None));
        batches.sent(Time(5), Some(SyncToken(7)));
        assert!(!batches.any_unsent());
        let c = begin(&mut batches, 6, 1);
        batches.sent(Time(8), Some(SyncToken(9)));
        batches.flushed(SyncToken(6), Time(10));
        assert_eq!(left(&mut batches, a), (1, Some(5), Flush::Pending));
        batches.flushed(SyncToken(8), Time(11));
        assert_eq!(left(&mut batches, b), (2, Some(5), Flush::Done(11)));
        assert_eq!(left(&mut batches, c), (6, Some(8), Flush::Pending));
    }

    #[test]
    fn batches_without_waiting_requests_are_forgotten() {
        let mut batches = Batches::default();
        let slow = begin(&mut batches, 0, 1);
        batches.sent(Time(0), Some(SyncToken(1)));
        for round in 1..100 {
            let number = begin(&mut batches, round, 1);
            batches.sent(Time(round), None);
            assert_eq!(left(&mut batches, number).0, round);
        }
        assert_eq!(batches.batches.len(), 100, "the slow one holds those behind it");
        assert_eq!(left(&mut batches, slow).0, 0);
        let number = begin(&mut batches, 100, 1);
        assert_eq!(batches.batches.len(), 1);
        // The flush of a batch that was forgotten concerns no other.
        batches.flushed(SyncToken(1), Time(101));
        assert_eq!(left(&mut batches, number), (100, None, Flush::None));
    }
}
