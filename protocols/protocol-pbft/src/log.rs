//! The log between the watermarks: what is known of each sequence number that is not yet part of a stable
//! checkpoint.

use std::collections::VecDeque;

use protocol_core::{Command, IdSet, ReplicaId};

use crate::authenticator::Digest;
use crate::batch::{Batch, Entry};
use crate::records::Record;

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// It counts.
    Counted,
    /// It was there, or its sender voted in a later view.
    Known,
    /// Its sender voted for another batch in the same view.
    Contradiction,
}

/// Votes for one sequence number. A replica has one vote, that of its latest view: so liars can't fill
/// memory, and votes of a view that this replica has yet to enter are not lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Votes {
    ballots: Vec<Ballot>,
}

#[derive(Clone, Debug)]
struct Ballot {
    view: u64,
    digest: Digest,
    /// A bit per replica.
    voters: u128,
}

impl Votes {
    pub(crate) fn cast(&mut self, view: u64, digest: Digest, voter: ReplicaId) -> Cast {
        let bit = 1 << voter.0;
        if let Some(earlier) = self.ballots.iter_mut().find(|ballot| ballot.voters & bit != 0) {
            if earlier.view == view && earlier.digest != digest {
                return Cast::Contradiction;
            }
            if earlier.view >= view {
                return Cast::Known;
            }
            earlier.voters &= !bit;
            self.ballots.retain(|ballot| ballot.voters != 0);
        }
        match self.ballots.iter_mut().find(|ballot| ballot.view == view && ballot.digest == digest) {
            Some(ballot) => ballot.voters |= bit,
            None => self.ballots.push(Ballot { view, digest, voters: bit }),
        }
        Cast::Counted
    }

    /// Votes for this batch in this view.
    pub(crate) fn count(&self, view: u64, digest: &Digest) -> usize {
        let ballot = self.ballots.iter().find(|ballot| ballot.view == view && ballot.digest == *digest);
        ballot.map_or(0, |ballot| ballot.voters.count_ones() as usize)
    }

    /// The batch that so many replicas voted for in one view.
    pub(crate) fn elected(&self, quorum: usize) -> Option<Digest> {
        let elected = self.ballots.iter().find(|ballot| ballot.voters.count_ones() as usize >= quorum);
        elected.map(|ballot| ballot.digest)
    }

    /// Replicas that voted for this batch in any view.
    pub(crate) fn backers(&self, digest: &Digest) -> u128 {
        let for_it = self.ballots.iter().filter(|ballot| ballot.digest == *digest);
        for_it.fold(0, |all, ballot| all | ballot.voters)
    }
}

/// A request of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Whether its client's authenticator convinced this replica.
    pub(crate) authentic: bool,
}

/// A batch with as many of its requests as are here.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) batch: Batch,
    pub(crate) requests: Vec<Option<Request>>,
    /// Places of the requests that are not here.
    pub(crate) missing: Vec<u32>,
}

impl Content {
    pub(crate) fn new(batch: Batch) -> Self {
        let length = batch.len();
        Content { batch, requests: vec![None; length], missing: (0..length as u32).collect() }
    }

    /// Puts requests that `find` knows in their places. Those executed earlier are needed no more.
    pub(crate) fn fill(&mut self, executed: &IdSet, mut find: impl FnMut(u32, &Entry) -> Option<Request>) {
        let Content { batch, requests, missing } = self;
        if missing.len() == batch.len() {
            // Nothing is here yet: go through the list once.
            missing.clear();
            for (place, entry) in (0..).zip(batch.entries()) {
                requests[place as usize] = find(place, &entry);
                if requests[place as usize].is_none() && !executed.contains(entry.id) {
                    missing.push(place);
                }
            }
            return;
        }
        missing.retain(|&place| {
            let Some(entry) = batch.entry(place as usize) else { return false };
            requests[place as usize] = find(place, &entry);
            requests[place as usize].is_none() && !executed.contains(entry.id)
        });
    }

    /// Whether every request is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether every request is here that was not executed earlier.
    pub(crate) fn is_executable(&self, executed: &IdSet) -> bool {
        let is_done =
            |&place: &u32| self.batch.entry(place as usize).is_some_and(|entry| executed.contains(entry.id));
        self.missing.iter().all(is_done)
    }

    /// What of it goes into the log on disk.
    pub(crate) fn record(&self, seq: u64) -> Record {
        let requests = (0..).zip(&self.requests);
        let requests =
            requests.filter_map(|(place, request)| Some((place, request.as_ref()?.command.clone())));
        Record::Content(seq, self.batch.clone(), requests.collect())
    }

    /// Whether every request's client convinced this replica.
    pub(crate) fn is_authentic(&self) -> bool {
        self.requests.iter().flatten().all(|request| request.authentic)
    }
}

/// One sequence number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    /// What the primary of the current view put here.
    pub(crate) proposal: Option<Digest>,
    /// Whether that came with the NEW-VIEW, which f + 1 replicas' sets Q stand behind.
    pub(crate) chosen: bool,
    /// A PRE-PREPARE of a view that this replica has yet to enter.
    pub(crate) early: Option<(u64, Batch)>,
    /// Batches that were proposed here and are known; more than one only after a view change.
    pub(crate) contents: Vec<Content>,
    /// This replica's part of the set Q.
    pub(crate) preprepared: Vec<(Digest, u64)>,
    /// This replica's part of the set P.
    pub(crate) prepared: Option<(u64, Digest)>,
    pub(crate) prepares: Votes,
    pub(crate) commits: Votes,
    /// What others say to be committed.
    pub(crate) claims: Votes,
    /// Whether this replica's PRE-PREPARE or PREPARE of the current view is out.
    pub(crate) sent_prepare: bool,
    /// Whether its COMMIT of the current view is out.
    pub(crate) sent_commit: bool,
    pub(crate) committed: Option<Digest>,
    /// Whether clients were answered before the commit.
    pub(crate) tentative: bool,
}

impl Slot {
    /// Elements of Q per sequence number. Leaving out old ones can't break agreement: a smaller Q only
    /// makes the next primary wait for more view changes.
    const KEPT_PREPREPARED: usize = 8;

    pub(crate) fn content(&self, digest: &Digest) -> Option<&Content> {
        self.contents.iter().find(|content| content.batch.digest() == *digest)
    }

    pub(crate) fn content_mut(&mut self, digest: &Digest) -> Option<&mut Content> {
        self.contents.iter_mut().find(|content| content.batch.digest() == *digest)
    }

    /// The batch that this sequence number needs now: what was committed, or else proposed.
    pub(crate) fn wanted(&self) -> Option<Digest> {
        self.committed.or(self.proposal)
    }

    /// Enters a batch into Q.
    pub(crate) fn preprepare(&mut self, view: u64, digest: Digest) {
        self.preprepared.retain(|(known, _)| *known != digest);
        if self.preprepared.len() == Self::KEPT_PREPREPARED {
            self.preprepared.remove(0);
        }
        self.preprepared.push((digest, view));
    }

    /// Forgets what belongs to the view that ends. P, Q, contents and votes stay.
    pub(crate) fn leave_view(&mut self) {
        (self.proposal, self.chosen) = (None, false);
        (self.sent_prepare, self.sent_commit) = (false, false);
    }
}

/// The slots above the low watermark h, up to h + L (OSDI '99 §4.2).
#[derive(Clone, Debug)]
pub(crate) struct Log {
    low: u64,
    window: u64,
    slots: VecDeque<Slot>,
}

impl Log {
    pub(crate) fn new(window: u64) -> Self {
        Log { low: 0, window, slots: VecDeque::new() }
    }

    /// h.
    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    /// h + L.
    pub(crate) fn high(&self) -> u64 {
        self.low + self.window
    }

    /// The last sequence number of which anything is known.
    pub(crate) fn last(&self) -> u64 {
        self.low + self.slots.len() as u64
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Slot> {
        self.slots.get(seq.checked_sub(self.low + 1)? as usize)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Slot> {
        self.slots.get_mut(seq.checked_sub(self.low + 1)? as usize)
    }

    /// The slot, made when it is between the watermarks.
    pub(crate) fn entry(&mut self, seq: u64) -> Option<&mut Slot> {
        let index = seq.checked_sub(self.low + 1)?;
        if index >= self.window {
            return None;
        }
        if index as usize >= self.slots.len() {
            self.slots.resize_with(index as usize + 1, Slot::default);
        }
        self.slots.get_mut(index as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Slot)> {
        (self.low + 1..).zip(&self.slots)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Slot)> {
        (self.low + 1..).zip(&mut self.slots)
    }

    /// Raises the low watermark, and forgets what is below.
    pub(crate) fn advance(&mut self, low: u64) {
        let below = low.saturating_sub(self.low).min(self.slots.len() as u64);
        self.slots.drain(..below as usize);
        self.low = self.low.max(low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    #[test]
    fn a_replica_has_one_vote_that_of_its_latest_view() {
        let mut votes = Votes::default();
        assert_eq!(votes.cast(1, A, ReplicaId(0)), Cast::Counted);
        assert_eq!(votes.cast(1, A, ReplicaId(0)), Cast::Known);
        assert_eq!(votes.cast(1, B, ReplicaId(0)), Cast::Contradiction);
        assert_eq!(votes.cast(0, B, ReplicaId(0)), Cast::Known);
        votes.cast(1, A, ReplicaId(1));
        assert_eq!((votes.count(1, &A), votes.elected(2), votes.elected(3)), (2, Some(A), None));
        assert_eq!(votes.cast(2, A, ReplicaId(1)), Cast::Counted);
        assert_eq!((votes.count(1, &A), votes.count(2, &A)), (1, 1));
        assert_eq!(votes.elected(2), None, "votes of two views make no quorum");
        assert_eq!(votes.backers(&A), 0b11);
    }

    #[test]
    fn the_log_holds_what_is_between_the_watermarks() {
        let mut log = Log::new(4);
        assert!(log.entry(0).is_none() && log.entry(5).is_none());
        log.entry(3).unwrap().sent_commit = true;
        assert_eq!((log.last(), log.high()), (3, 4));
        log.advance(2);
        assert!(log.get(2).is_none() && log.get(3).unwrap().sent_commit);
        assert!(log.entry(6).is_some() && log.entry(7).is_none());
        log.advance(20);
        assert_eq!((log.low(), log.last()), (20, 20));
    }
}
