//! The log of one replica: entries in memory, and a write-ahead log behind them when they have to
//! survive a crash.
//!
//! Appends return at once and report when they are durable, so that one flush serves all appends
//! that queue up behind it. Votes wait: the library answers a candidate once the vote is durable.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use protocol_core::{CounterCell, Recovered, ReplicaId, Wal, Wire, WireError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::environment::{Environment, Journal, RealTime};
use crate::marks::Marks;
use crate::types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote, decode, encode, entries_len, serde_len};

/// A snapshot as it is kept and sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedSnapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Bytes,
}

/// What a replica writes to its write-ahead log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    Entries(Vec<Entry>),
    TruncateAfter(Option<LogId>),
    Purge(LogId),
    Vote(Vote),
    Snapshot(SavedSnapshot),
}

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        encode(self, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        decode("record of openraft's log", &bytes)
    }

    fn encoded_len(&self) -> usize {
        match self {
            Record::Entries(entries) => 1 + entries_len(entries.len(), entries),
            other => serde_len(other),
        }
    }
}

/// The log of one replica. Clones share it.
#[derive(Clone)]
pub struct LogStore<E: Environment = RealTime> {
    id: u64,
    counters: Arc<CounterCell>,
    log: Arc<Mutex<Log<E>>>,
    /// Entries that this replica appended as leader and that are durable.
    flushed: Arc<Marks>,
}

struct Log<E: Environment> {
    entries: VecDeque<Entry>,
    /// How many entries at the front are purged already. They are freed a few with each append:
    /// thousands at once would show as a pause of the replica, and one of ours.
    doomed: usize,
    purged: Option<LogId>,
    vote: Option<Vote>,
    snapshot: Option<SavedSnapshot>,
    disk: Disk<E::Journal>,
}

impl<E: Environment> Default for Log<E> {
    fn default() -> Self {
        Log {
            entries: VecDeque::new(),
            doomed: 0,
            purged: None,
            vote: None,
            snapshot: None,
            disk: Disk::Memory,
        }
    }
}

enum Disk<J> {
    Memory,
    Wal(J),
    /// The replica crashed. What the library still writes is lost.
    Closed,
}

impl LogStore {
    /// A log that forgets everything in a crash. `counters` count what would have been written.
    pub fn in_memory(id: ReplicaId, counters: Arc<CounterCell>) -> Self {
        LogStore::forgetful(id, counters)
    }

    /// Opens or creates the write-ahead log at `path`, and recovers what it holds.
    pub fn open(id: ReplicaId, counters: Arc<CounterCell>, path: &Path) -> io::Result<Self> {
        let (wal, Recovered { records, .. }) = Wal::open(path)?;
        LogStore::recovered(id, counters, wal, records)
    }

    /// Whether appends that queue up behind a flush share the next one; nothing in memory.
    pub fn commit_in_groups(&self, group: bool) {
        if let Disk::Wal(wal) = &self.log().disk {
            wal.commit_in_groups(group);
        }
    }
}

impl<E: Environment> LogStore<E> {
    pub(crate) fn forgetful(id: ReplicaId, counters: Arc<CounterCell>) -> Self {
        LogStore { id: u64::from(id.0), counters, log: Arc::default(), flushed: Arc::default() }
    }

    /// The log that a journal held.
    pub(crate) fn recovered(
        id: ReplicaId,
        counters: Arc<CounterCell>,
        journal: E::Journal,
        records: Vec<Record>,
    ) -> io::Result<Self> {
        let mut log = Log::default();
        for record in records {
            log.replay(record)?;
        }
        log.disk = Disk::Wal(journal);
        let (id, log) = (u64::from(id.0), Arc::new(Mutex::new(log)));
        Ok(LogStore { id, counters, log, flushed: Arc::default() })
    }

    /// Whether the log holds nothing, as before a cluster's first launch.
    pub(crate) fn is_pristine(&self) -> bool {
        let log = self.log();
        log.next_index() == 0 && log.vote.is_none()
    }

    /// When entries were durable, if the log is on disk.
    pub(crate) fn flushed(&self) -> Option<Arc<Marks>> {
        matches!(self.log().disk, Disk::Wal(_)).then(|| self.flushed.clone())
    }

    /// Closes the write-ahead log once it wrote what it was given; later writes are lost.
    pub(crate) fn close(&self) {
        let open = std::mem::replace(&mut self.log().disk, Disk::Closed);
        // Dropped here, without the lock: this waits for the log's thread.
        drop(open);
    }

    pub(crate) fn snapshot(&self) -> Option<SavedSnapshot> {
        self.log().snapshot.clone()
    }

    /// Keeps a snapshot, durably, in place of an older one.
    pub(crate) async fn save_snapshot(&self, snapshot: SavedSnapshot) -> io::Result<()> {
        {
            let mut log = self.log();
            // One that was being built may come after one from the leader that covers more.
            if log.snapshot.as_ref().is_some_and(|kept| kept.meta.last_log_id >= snapshot.meta.last_log_id) {
                return Ok(());
            }
            log.snapshot = Some(snapshot.clone());
        }
        self.write_durably(Record::Snapshot(snapshot)).await
    }

    async fn write_durably(&self, record: Record) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        {
            let log = self.log();
            self.write(&log, record);
            self.counters.synced();
            match &log.disk {
                Disk::Memory => return Ok(()),
                Disk::Wal(wal) => wal.sync(move |result| drop(done.send(result))),
                Disk::Closed => return Err(closed()),
            }
        }
        durable.await.unwrap_or_else(|_| Err(closed()))
    }

    fn write(&self, log: &Log<E>, record: Record) {
        match &log.disk {
            // Nothing is written, so nothing is counted.
            Disk::Memory | Disk::Closed => {}
            Disk::Wal(wal) => self.counters.logged(wal.append(record)),
        }
    }

    /// Counts the commands of an append that this replica makes as leader. Returns the last entry of
    /// such an append.
    fn count_proposal<'a>(
        &self,
        vote: Option<&Vote>,
        mut entries: impl DoubleEndedIterator<Item = &'a Entry> + Clone,
    ) -> Option<LogId> {
        vote.filter(|vote| vote.committed && vote.leader_id.voted_for == self.id)?;
        let is_command = |entry: &&Entry| matches!(entry.payload, EntryPayload::Normal(_));
        let commands = entries.clone().filter(is_command).count();
        if commands > 0 {
            self.counters.proposed(1, commands as u64);
        }
        entries.next_back().map(|entry| entry.log_id)
    }

    fn log(&self) -> MutexGuard<'_, Log<E>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Environment> Debug for LogStore<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStore").field("id", &self.id).finish_non_exhaustive()
    }
}

fn closed() -> io::Error {
    io::Error::other("the log was closed by a crash of its replica")
}

impl<E: Environment> Log<E> {
    /// Index of the first entry that is kept, or would be.
    fn first_index(&self) -> u64 {
        match self.entries.get(self.doomed) {
            Some(first) => first.log_id.index,
            None => self.purged.map_or(0, |purged| purged.index + 1),
        }
    }

    fn next_index(&self) -> u64 {
        self.first_index() + (self.entries.len() - self.doomed) as u64
    }

    /// Positions in `entries` of those whose index is in the range.
    fn positions(&self, range: &impl RangeBounds<u64>) -> Range<usize> {
        let start = match range.start_bound() {
            Bound::Included(&index) => index,
            Bound::Excluded(&index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index + 1,
            Bound::Excluded(&index) => index,
            Bound::Unbounded => u64::MAX,
        };
        let (first, next) = (self.first_index(), self.next_index());
        let position = |index: u64| self.doomed + (index.clamp(first, next) - first) as usize;
        position(start)..position(end).max(position(start))
    }

    fn truncate_after(&mut self, last: Option<LogId>) {
        let kept = last.map_or(0, |last| last.index + 1).saturating_sub(self.first_index());
        self.entries.truncate(self.doomed + kept as usize);
    }

    fn purge(&mut self, upto: LogId) {
        let purged = (upto.index + 1).saturating_sub(self.first_index()) as usize;
        self.doomed = self.entries.len().min(self.doomed + purged);
        self.purged = self.purged.max(Some(upto));
    }

    /// Appends, and frees what was purged at twice the pace. Returns the positions of the new
    /// entries, or the two indices between which they leave a gap.
    fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<Range<usize>, (u64, u64)> {
        let (known, next) = (self.entries.len(), self.next_index());
        self.entries.extend(entries);
        if let Some(first) = self.entries.get(known).map(|entry| entry.log_id.index)
            && first != next
            && known > self.doomed
        {
            return Err((next - 1, first));
        }
        let freed = self.doomed.min(2 * (self.entries.len() - known));
        self.entries.drain(..freed);
        self.doomed -= freed;
        Ok(known - freed..self.entries.len())
    }

    fn replay(&mut self, record: Record) -> io::Result<()> {
        match record {
            Record::Entries(entries) => {
                self.append(entries).map_err(|(last, first)| {
                    let gap = format!("entry {first} comes after entry {last}");
                    io::Error::new(io::ErrorKind::InvalidData, gap)
                })?;
            }
            Record::TruncateAfter(last) => self.truncate_after(last),
            Record::Purge(upto) => self.purge(upto),
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Snapshot(snapshot) => self.snapshot = Some(snapshot),
        }
        Ok(())
    }

    /// The records that a restart needs, and no more.
    fn records(&self) -> Vec<Record> {
        let vote = self.vote.map(Record::Vote);
        let snapshot = self.snapshot.clone().map(Record::Snapshot);
        let purged = self.purged.map(Record::Purge);
        let entries = Record::Entries(self.entries.range(self.doomed..).cloned().collect());
        vote.into_iter().chain(snapshot).chain(purged).chain([entries]).collect()
    }
}

impl<E: Environment> RaftLogReader<TypeConfig<E>> for LogStore<E> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let log = self.log();
        Ok(log.entries.range(log.positions(&range)).cloned().collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log().vote)
    }
}

impl<E: Environment> RaftLogStorage<TypeConfig<E>> for LogStore<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig<E>>, io::Error> {
        let log = self.log();
        let last = log.entries.range(log.doomed..).next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.log().vote = Some(*vote);
        self.write_durably(Record::Vote(*vote)).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig<E>>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut log = self.log();
        let added = match log.append(entries) {
            Ok(added) => log.entries.range(added),
            Err((last, first)) => unreachable!("the library appends entry {first} after entry {last}"),
        };
        let proposed = self.count_proposal(log.vote.as_ref(), added.clone());
        self.counters.synced();
        match &log.disk {
            Disk::Memory => {
                drop(log);
                callback.io_completed(Ok(()));
            }
            Disk::Wal(wal) => {
                self.counters.logged(wal.append(Record::Entries(added.cloned().collect())));
                let flushed = self.flushed.clone();
                wal.sync(move |result| {
                    if let (true, Some(last)) = (E::NOTES_PHASES, proposed) {
                        flushed.passed(last);
                    }
                    callback.io_completed(result);
                });
            }
            Disk::Closed => callback.io_completed(Err(closed())),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let mut log = self.log();
        log.truncate_after(last);
        // Not flushed: should this be lost in a crash, the entries come back and are truncated again.
        self.write(&log, Record::TruncateAfter(last));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut log = self.log();
        log.purge(upto);
        match &log.disk {
            // Only writing the log anew gives the space back.
            Disk::Wal(wal) => self.counters.logged(wal.replace(log.records())),
            _ => self.write(&log, Record::Purge(upto)),
        }
        Ok(())
    }
}
