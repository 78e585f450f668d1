//! A replica's log as the library wants it: in memory, behind a snapshot. Every change is kept as a record
//! until the adapter takes it to the disk.
//!
//! The library owns its storage and hands it back to no one, so it shares it with the adapter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{StopSign, Storage, StorageOp, StorageResult};

use crate::messages::{Change, Proposal, Record, State};

/// The log of one replica. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogStore(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: usize,
    /// Entries that the snapshot covers.
    compacted: usize,
    snapshot: Option<State>,
    entries: VecDeque<Proposal>,
    /// Whether changes become records.
    recording: bool,
    records: Vec<Record>,
    /// What the snapshot that the library is about to make becomes.
    compacting: Option<State>,
}

impl LogStore {
    /// A log that continues where its records end. Changes become records only when they are to outlive
    /// a crash.
    pub fn recover(records: Vec<Record>, durable: bool) -> Self {
        let mut log = Log::default();
        for change in records.into_iter().flat_map(|record| record.0) {
            log.apply(change);
        }
        // Decided indices are written without a sync of their own, so one may outlive its entries.
        log.decided = log.decided.min(log.end());
        log.recording = durable;
        LogStore(Arc::new(Mutex::new(log)))
    }

    /// The changes since the last call.
    pub(crate) fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.log().records)
    }

    /// The ballot in which entries were last accepted.
    pub(crate) fn accepted_round(&self) -> Option<Ballot> {
        self.log().accepted_round
    }

    /// Has the next snapshot of the library be this state of the application, which covers so many
    /// entries. A log on disk keeps those entries until it is rewritten, so nothing is recorded.
    pub(crate) fn compact_to(&self, from: usize, application: Bytes) {
        self.log().compacting = Some(State { from, application, after: Vec::new() });
    }

    /// What a restart needs.
    pub(crate) fn checkpoint(&self) -> Vec<Record> {
        let log = self.log();
        let snapshot = log.snapshot.clone().map(|state| Change::Snapshot(log.compacted, state));
        let ballots =
            log.promise.map(Change::Promise).into_iter().chain(log.accepted_round.map(Change::AcceptedRound));
        let entries = Change::Entries(log.compacted, log.entries.iter().cloned().collect());
        vec![
            Record(snapshot.into_iter().collect()),
            Record(vec![entries]),
            Record(ballots.chain([Change::Decided(log.decided)]).collect()),
        ]
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes changes that belong together.
    fn change(&self, changes: Vec<Change>) -> StorageResult<()> {
        let mut log = self.log();
        if log.recording && !changes.is_empty() {
            log.records.push(Record(changes.clone()));
        }
        changes.into_iter().for_each(|change| log.apply(change));
        Ok(())
    }
}

impl Log {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Promise(ballot) => self.promise = Some(ballot),
            Change::AcceptedRound(ballot) => self.accepted_round = Some(ballot),
            Change::Decided(decided) => self.decided = decided,
            Change::Entries(from, entries) => {
                assert!(from <= self.end(), "a gap between {} and {from}", self.end());
                // Entries that the snapshot covers may come again when a log is replayed.
                let known = self.compacted.saturating_sub(from).min(entries.len());
                self.entries.truncate(from.saturating_sub(self.compacted));
                self.entries.extend(entries.into_iter().skip(known));
            }
            Change::Snapshot(compacted, state) => {
                let covered = compacted.saturating_sub(self.compacted).min(self.entries.len());
                self.entries.drain(..covered);
                self.compacted = compacted;
                self.snapshot = Some(state);
            }
        }
    }

    fn end(&self) -> usize {
        self.compacted + self.entries.len()
    }

    /// The entries from one index to another, each with its own. Where the log ends before, the library
    /// wants none at all; but then it would merge a snapshot from what it has not, so it gets those that
    /// are here (see [`State`]).
    fn between(&self, from: usize, to: usize) -> Vec<Proposal> {
        let to = to.min(self.end());
        if from < self.compacted || from > to {
            return Vec::new();
        }
        let entries = self.entries.range(from - self.compacted..to - self.compacted);
        entries.zip(from..).map(|(entry, index)| Proposal { index, ..entry.clone() }).collect()
    }
}

/// The adapter never reconfigures.
fn fixed_membership<T>() -> StorageResult<T> {
    Err("the membership of a cluster is fixed".into())
}

impl Storage<Proposal> for LogStore {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Proposal>>) -> StorageResult<()> {
        let compacting = self.log().compacting.take();
        let (mut changes, mut compacted) = (Vec::new(), self.get_compacted_idx()?);
        let mut end = self.log().end();
        for operation in operations {
            changes.push(match operation {
                StorageOp::AppendEntry(entry) => {
                    end += 1;
                    Change::Entries(end - 1, vec![entry])
                }
                StorageOp::AppendEntries(entries) => {
                    end += entries.len();
                    Change::Entries(end - entries.len(), entries)
                }
                StorageOp::AppendOnPrefix(from, entries) => {
                    end = from + entries.len();
                    Change::Entries(from, entries)
                }
                StorageOp::SetPromise(ballot) => Change::Promise(ballot),
                StorageOp::SetDecidedIndex(decided) => Change::Decided(decided),
                StorageOp::SetAcceptedRound(ballot) => Change::AcceptedRound(ballot),
                StorageOp::SetSnapshot(Some(state)) => Change::Snapshot(compacted, state),
                // The snapshot that follows in the same transaction drops the entries it covers.
                StorageOp::SetCompactedIdx(index) => {
                    (compacted, end) = (index, end.max(index));
                    continue;
                }
                StorageOp::Trim(_) | StorageOp::SetSnapshot(None) | StorageOp::SetStopsign(None) => continue,
                StorageOp::SetStopsign(Some(_)) => return fixed_membership(),
            });
        }
        match compacting {
            Some(state) => {
                self.log().apply(Change::Snapshot(compacted, state));
                Ok(())
            }
            None => self.change(changes),
        }
    }

    fn append_entry(&mut self, entry: Proposal) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Proposal>) -> StorageResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let end = self.log().end();
        self.append_on_prefix(end, entries)
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Proposal>) -> StorageResult<()> {
        self.change(vec![Change::Entries(from, entries)])
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        // The library says again at its start what it has just read.
        if self.log().promise.unwrap_or_default() == ballot {
            return Ok(());
        }
        self.change(vec![Change::Promise(ballot)])
    }

    fn set_decided_idx(&mut self, decided: usize) -> StorageResult<()> {
        self.change(vec![Change::Decided(decided)])
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.log().decided)
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.change(vec![Change::AcceptedRound(ballot)])
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.log().accepted_round)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Proposal>> {
        Ok(self.log().between(from, to))
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.log().entries.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Proposal>> {
        let log = self.log();
        Ok(log.between(from, log.end()))
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.log().promise)
    }

    fn set_stopsign(&mut self, stop_sign: Option<StopSign>) -> StorageResult<()> {
        if stop_sign.is_some() { fixed_membership() } else { Ok(()) }
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, index: usize) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::Trim(index)])
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetCompactedIdx(index)])
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(self.log().compacted)
    }

    fn set_snapshot(&mut self, snapshot: Option<State>) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetSnapshot(snapshot)])
    }

    fn get_snapshot(&self) -> StorageResult<Option<State>> {
        Ok(self.log().snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::{Command, CommandId};

    fn proposals(ids: std::ops::Range<u64>) -> Vec<Proposal> {
        ids.map(|id| Proposal::new(Command::new(CommandId(id), b"x"))).collect()
    }

    fn ids(proposals: Vec<Proposal>) -> Vec<u64> {
        proposals.iter().map(|proposal| proposal.command.id().0).collect()
    }

    fn recovered(records: &[Record]) -> LogStore {
        LogStore::recover(records.to_vec(), true)
    }

    #[test]
    fn a_log_is_recovered_from_its_records_however_often_they_are_replayed() {
        let mut store = LogStore::recover(Vec::new(), true);
        let ballot = Ballot::with(1, 4, 0, 2);
        store.set_promise(ballot).unwrap();
        store.append_entries(proposals(0..10)).unwrap();
        let sync = vec![
            StorageOp::SetAcceptedRound(ballot),
            StorageOp::SetDecidedIndex(6),
            StorageOp::AppendOnPrefix(7, proposals(20..22)),
        ];
        store.write_atomically(sync).unwrap();
        let mut records = store.take_records();
        assert_eq!(records.len(), 3, "what belongs together is one record");
        assert!(store.take_records().is_empty());
        for _ in 0..2 {
            let store = recovered(&records);
            let entries = store.get_suffix(0).unwrap();
            assert!(entries.iter().zip(0..).all(|(entry, index)| entry.index == index));
            assert_eq!(ids(entries), [0, 1, 2, 3, 4, 5, 6, 20, 21]);
            assert_eq!(store.get_promise().unwrap(), Some(ballot));
            assert_eq!(store.get_accepted_round().unwrap(), Some(ballot));
            assert_eq!(store.get_decided_idx().unwrap(), 6);
            assert!(store.take_records().is_empty(), "what was read is not written again");
            records.extend(records.clone());
        }
    }

    #[test]
    fn a_compacted_log_is_recovered_from_its_checkpoint_and_what_came_after() {
        let mut store = LogStore::recover(Vec::new(), true);
        store.append_entries(proposals(0..10)).unwrap();
        store.set_decided_idx(8).unwrap();
        store.take_records();
        store.compact_to(6, Bytes::from_static(b"six"));
        let made_of_entries = StorageOp::SetSnapshot(Some(State::default()));
        let operations = vec![StorageOp::Trim(6), StorageOp::SetCompactedIdx(6), made_of_entries];
        store.write_atomically(operations).unwrap();
        assert!(store.take_records().is_empty(), "a compaction of memory is not written");
        store.append_entries(proposals(10..12)).unwrap();
        let mut records = store.checkpoint();
        // Records of the same round come after the checkpoint, which covers them already.
        records.extend(store.take_records());
        let again = recovered(&records);
        let state = State { from: 6, application: Bytes::from_static(b"six"), after: Vec::new() };
        assert_eq!(again.get_snapshot().unwrap(), Some(state));
        assert_eq!((again.get_compacted_idx().unwrap(), again.get_log_len().unwrap()), (6, 6));
        assert_eq!(ids(again.get_suffix(6).unwrap()), [6, 7, 8, 9, 10, 11]);
        assert_eq!(again.get_entries(5, 8).unwrap(), [], "entries that the snapshot covers are gone");
        assert_eq!(ids(again.get_entries(10, 15).unwrap()), [10, 11]);
        assert_eq!(again.get_decided_idx().unwrap(), 8);
    }

    #[test]
    fn a_snapshot_of_another_replica_takes_the_place_of_the_log() {
        let mut store = LogStore::recover(Vec::new(), true);
        store.append_entries(proposals(0..3)).unwrap();
        let state = State { from: 50, application: Bytes::from_static(b"far"), after: proposals(50..60) };
        let sync = vec![
            StorageOp::SetDecidedIndex(60),
            StorageOp::Trim(60),
            StorageOp::SetCompactedIdx(60),
            StorageOp::SetSnapshot(Some(state.clone())),
            StorageOp::AppendOnPrefix(60, proposals(60..61)),
        ];
        store.write_atomically(sync).unwrap();
        let again = recovered(&store.take_records());
        for store in [store, again] {
            assert_eq!(store.get_snapshot().unwrap(), Some(state.clone()));
            assert_eq!(ids(store.get_suffix(60).unwrap()), [60]);
            assert_eq!(store.get_log_len().unwrap(), 1);
        }
    }

    #[test]
    fn without_a_disk_there_are_no_records() {
        let mut store = LogStore::recover(Vec::new(), false);
        store.append_entries(proposals(0..3)).unwrap();
        store.set_promise(Ballot::with(1, 1, 0, 1)).unwrap();
        assert!(store.take_records().is_empty());
    }
}
