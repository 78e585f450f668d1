//! The application above one replica, as the library sees it.

use std::io;

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use protocol_core::{Application, Slot};

use crate::environment::{Environment, RealTime};
use crate::log_store::{LogStore, SavedSnapshot};
use crate::types::{AppliedAt, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// Applies committed entries to an [`Application`]. It keeps nothing durable but snapshots, in the
/// replica's log; after a restart the library delivers the entries behind the snapshot again.
#[derive(Debug)]
pub struct StateMachine<E: Environment = RealTime> {
    application: Application,
    log: LogStore<E>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

/// The responder of an applied entry, and when that was if applying took time.
type Applied<E> = (ApplyResponder<TypeConfig<E>>, Option<<E as Environment>::Moment>);

impl<E: Environment> StateMachine<E> {
    /// A state machine for an empty application, with snapshots kept in `log`.
    pub fn new(application: Application, log: LogStore<E>) -> Self {
        StateMachine { application, log, last_applied: None, membership: StoredMembership::default() }
    }

    /// Applies `first` and all entries that are ready behind it, under one lock.
    fn apply_ready<S>(
        &mut self,
        first: EntryResponder<TypeConfig<E>>,
        entries: &mut S,
        applied: &mut Vec<Applied<E>>,
    ) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig<E>>>> + Unpin,
    {
        let mut log = self.application.log();
        let mut next = Some(first);
        while let Some((entry, responder)) = next {
            let mut at = None;
            match entry.payload {
                EntryPayload::Normal(proposal) => {
                    log.apply(Slot(entry.log_id.index), &proposal.0);
                    at = E::applied_one();
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
                EntryPayload::Blank => {}
            }
            self.last_applied = Some(entry.log_id);
            applied.extend(responder.map(|responder| (responder, at)));
            next = match entries.try_next().now_or_never() {
                Some(ready) => ready?,
                None => None,
            };
        }
        Ok(())
    }
}

impl<E: Environment> RaftStateMachine<TypeConfig<E>> for StateMachine<E> {
    type SnapshotData = Bytes;
    type SnapshotBuilder = SnapshotBuilder<E>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig<E>>, io::Error>> + Unpin + OptionalSend,
    {
        let mut entries = entries.fuse();
        let mut applied = Vec::new();
        while let Some(first) = entries.try_next().await? {
            self.apply_ready(first, &mut entries, &mut applied)?;
            let now = E::moment();
            for (responder, at) in applied.drain(..) {
                responder.send(AppliedAt { time: Some(at.unwrap_or(now)) });
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<E> {
        // The state is copied here, between two calls of `apply`, and so fits the log id.
        let (_, state) = self.application.snapshot();
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        SnapshotBuilder { log: self.log.clone(), snapshot: SavedSnapshot { meta, state } }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, state: Bytes) -> Result<(), io::Error> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        self.application.restore(state.clone()).map_err(invalid)?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.log.save_snapshot(SavedSnapshot { meta: meta.clone(), state }).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self.log.snapshot().map(|SavedSnapshot { meta, state }| Snapshot { meta, snapshot: state }))
    }
}

/// A snapshot on its way into the log.
#[derive(Debug)]
pub struct SnapshotBuilder<E: Environment = RealTime> {
    log: LogStore<E>,
    snapshot: SavedSnapshot,
}

impl<E: Environment> RaftSnapshotBuilder<TypeConfig<E>> for SnapshotBuilder<E> {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        self.log.save_snapshot(self.snapshot.clone()).await?;
        let SavedSnapshot { meta, state } = self.snapshot.clone();
        Ok(Snapshot { meta, snapshot: state })
    }
}
