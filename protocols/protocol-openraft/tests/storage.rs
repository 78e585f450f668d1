//! The library's own test suite for logs and state machines, and what it leaves out: recovery.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{EntryPayload, RaftLogReader, StorageError};
use protocol_core::{Application, Command, CommandId, CounterCell, ReplicaId};
use protocol_openraft::{Entry, LogId, LogStore, Proposal, StateMachine, TypeConfig, Vote};
use tempfile::TempDir;

struct InMemory;

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let log = LogStore::in_memory(ReplicaId(0), Arc::new(CounterCell::default()));
        Ok(((), log.clone(), StateMachine::new(Application::default(), log)))
    }
}

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica-0.wal");
        let log = LogStore::open(ReplicaId(0), Arc::new(CounterCell::default()), &path).unwrap();
        Ok((folder, log.clone(), StateMachine::new(Application::default(), log)))
    }
}

#[tokio::test]
async fn the_librarys_suite_passes_in_memory() {
    Suite::test_all(InMemory).await.unwrap();
}

#[tokio::test]
async fn the_librarys_suite_passes_on_disk() {
    Suite::test_all(OnDisk).await.unwrap();
}

fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |index| Entry {
        log_id: log_id(index),
        payload: EntryPayload::Normal(Proposal(Command::new(CommandId(index), b"payload"))),
    };
    range.map(entry).collect()
}

fn log_id(index: u64) -> LogId {
    LogId { leader_id: CommittedLeaderId::new(1), index }
}

/// What a log shows of itself: its bounds, its vote and its entries.
async fn contents(log: &mut LogStore) -> (Option<LogId>, Option<LogId>, Option<Vote>, Vec<Entry>) {
    let state = log.get_log_state().await.unwrap();
    let vote = log.read_vote().await.unwrap();
    let entries = log.try_get_log_entries(..).await.unwrap();
    (state.last_purged_log_id, state.last_log_id, vote, entries)
}

#[tokio::test]
async fn a_log_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica-0.wal");
    let open = || LogStore::open(ReplicaId(0), Arc::new(CounterCell::default()), &path).unwrap();
    let mut log = open();
    log.save_vote(&Vote::new(1, 2)).await.unwrap();
    log.append(entries(0..100), IOFlushed::noop()).await.unwrap();
    for (purged, truncated) in [(9, 90), (79, 80), (100, 100)] {
        log.purge(log_id(purged)).await.unwrap();
        log.truncate_after(Some(log_id(truncated))).await.unwrap();
        log.append(entries(truncated + 1..truncated + 12), IOFlushed::noop()).await.unwrap();
        log.save_vote(&Vote::new_committed(purged, 1)).await.unwrap();
        let expected = (
            Some(log_id(purged)),
            Some(log_id(truncated + 11)),
            Some(Vote::new_committed(purged, 1)),
            entries(purged + 1..truncated + 12),
        );
        assert_eq!(contents(&mut log).await, expected);
        drop(log);
        log = open();
        assert_eq!(contents(&mut log).await, expected);
        let part = log.try_get_log_entries(truncated + 1..truncated + 3).await.unwrap();
        assert_eq!(part, entries(truncated + 1..truncated + 3));
        assert_eq!(log.try_get_log_entries(0..purged + 1).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_purged_log_takes_little_space() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica-0.wal");
    let mut log = LogStore::open(ReplicaId(0), Arc::new(CounterCell::default()), &path).unwrap();
    log.append(entries(0..10_000), IOFlushed::noop()).await.unwrap();
    log.save_vote(&Vote::new(1, 0)).await.unwrap();
    let before = path.metadata().unwrap().len();
    log.purge(log_id(9_899)).await.unwrap();
    log.save_vote(&Vote::new(2, 0)).await.unwrap();
    let after = path.metadata().unwrap().len();
    assert!(after * 50 < before, "{after} of {before} bytes are left for 1 % of the entries");
}
