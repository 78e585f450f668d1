//! The library's view of a replica's log: entries in memory behind a snapshot point.
//!
//! The snapshot itself is taken from the application when a peer asks for one, so compaction costs
//! nothing but the dropped entries.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol_core::{Application, Slot};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error, Result, StorageError, util};

use crate::messages::Record;

/// Entries of one replica.
#[derive(Debug)]
pub struct LogStore {
    /// Index and term of the last entry that is no longer here.
    truncated: (u64, u64),
    entries: VecDeque<Entry>,
    hard_state: HardState,
    members: ConfState,
    application: Application,
}

impl LogStore {
    /// An empty log of a cluster of `replicas`.
    pub fn new(replicas: usize, application: Application) -> Self {
        LogStore {
            truncated: (0, 0),
            entries: VecDeque::new(),
            hard_state: HardState::default(),
            members: ConfState::from(((1..=replicas as u64).collect::<Vec<_>>(), Vec::new())),
            application,
        }
    }

    /// Replays records into an empty log; returns the application's state of the last snapshot.
    pub(crate) fn recover(&mut self, records: Vec<Record>) -> Option<Bytes> {
        let mut state = None;
        for record in records {
            match record {
                Record::Entries(entries) => self.append(entries),
                Record::HardState(hard_state) => self.hard_state = hard_state,
                Record::Snapshot(snapshot) => {
                    self.install(&snapshot);
                    state = Some(snapshot.data);
                }
            }
        }
        // Commit indices are written without a sync of their own, so one may outlive its entries.
        self.hard_state.commit = self.hard_state.commit.min(self.last());
        state
    }

    /// Index of the snapshot point, 0 when there is none.
    pub(crate) fn snapshot_index(&self) -> u64 {
        self.truncated.0
    }

    /// Appends, in place of any entries from the first new index on.
    pub(crate) fn append(&mut self, mut entries: Vec<Entry>) {
        let Some(first) = entries.first().map(|first| first.index) else { return };
        assert!(first <= self.last() + 1, "a gap between {} and {first}", self.last());
        // Entries up to the snapshot point may come again when a log is replayed.
        let known = (self.truncated.0 + 1).saturating_sub(first) as usize;
        entries.drain(..known.min(entries.len()));
        let Some(first) = entries.first().map(|first| first.index) else { return };
        self.entries.truncate(self.position(first));
        self.entries.extend(entries);
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    /// Starts over after a snapshot of another replica.
    pub(crate) fn install(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        self.truncated = (metadata.index, metadata.term);
        self.entries.clear();
        self.hard_state.commit = self.hard_state.commit.max(metadata.index);
        self.hard_state.term = self.hard_state.term.max(metadata.term);
    }

    /// Drops entries up to `index`, but none that the application has not applied yet.
    pub(crate) fn compact(&mut self, index: u64) {
        let applied = self.application.log().last_slot().map_or(0, |slot| slot.0);
        let index = index.min(applied);
        while self.entries.front().is_some_and(|entry| entry.index <= index) {
            if let Some(entry) = self.entries.pop_front() {
                self.truncated = (entry.index, entry.term);
            }
        }
    }

    /// What a restart needs: the application's state, the hard state and the entries after.
    /// None while nothing was applied.
    pub(crate) fn checkpoint(&self) -> Option<Vec<Record>> {
        let snapshot = self.snapshot_now()?;
        let index = snapshot.get_metadata().index;
        let rest = self.entries.iter().filter(|entry| entry.index > index).cloned().collect();
        Some(vec![
            Record::Snapshot(snapshot),
            Record::HardState(self.hard_state.clone()),
            Record::Entries(rest),
        ])
    }

    fn snapshot_now(&self) -> Option<Snapshot> {
        let (slot, data) = self.application.snapshot();
        let Slot(index) = slot?;
        let mut snapshot = Snapshot { data, ..Snapshot::default() };
        let metadata = snapshot.mut_metadata();
        metadata.index = index;
        metadata.term = self.term(index).ok()?;
        metadata.set_conf_state(self.members.clone());
        Some(snapshot)
    }

    fn last(&self) -> u64 {
        self.truncated.0 + self.entries.len() as u64
    }

    fn position(&self, index: u64) -> usize {
        (index - self.truncated.0 - 1) as usize
    }
}

impl Storage for LogStore {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.clone(), conf_state: self.members.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.truncated.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let range = self.position(low)..self.position(high);
        let mut entries: Vec<Entry> = self.entries.range(range).cloned().collect();
        util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        if index < self.truncated.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        let entry = self.entries.get(self.position(index));
        entry.map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.truncated.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        self.snapshot_now()
            .filter(|snapshot| snapshot.get_metadata().index >= request_index)
            .ok_or(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
