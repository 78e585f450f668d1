//! What was decided: executed in order of height, kept for replicas that lag, and cut off at checkpoints.
//!
//! A checkpoint comes when so many heights or bytes were decided since the last one. That is a function
//! of what was decided, so all replicas take the same ones, and their snapshots can be compared.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Application, CommandId, EffectQueues, IdSet, Slot, WireError};

use crate::context::Height;
use crate::mempool::Places;
use crate::messages::{Decision, Snapshot, TendermintMessage};
use crate::records::Record;

/// Decided since the last checkpoint when the next one comes.
const CHECKPOINT_BYTES: usize = 4 << 20;
const CHECKPOINT_HEIGHTS: usize = 512;

/// Effects by the types of this protocol's messages and records.
pub(crate) type Queues = EffectQueues<TendermintMessage, Record>;

/// One replica's decided batches and what came of them.
pub(crate) struct Ledger {
    application: Application,
    seal_bytes: usize,
    /// Bytes of a certificate of the fewest votes that will do. Those of real ones differ between replicas.
    certificate_bytes: usize,
    next: Height,
    executed: IdSet,
    last_slot: u64,
    places: Places,
    history: VecDeque<Arc<Decision>>,
    snapshot: Option<Snapshot>,
    since_checkpoint: (usize, usize),
}

impl Ledger {
    pub(crate) fn new(application: Application, seal_bytes: usize, certificate_bytes: usize) -> Self {
        Ledger {
            application,
            seal_bytes,
            certificate_bytes,
            next: Height(1),
            executed: IdSet::default(),
            last_slot: 0,
            places: Places::default(),
            history: VecDeque::new(),
            snapshot: None,
            since_checkpoint: (0, 0),
        }
    }

    /// The height to be decided next.
    pub(crate) fn next(&self) -> Height {
        self.next
    }

    pub(crate) fn has_executed(&self, id: CommandId) -> bool {
        self.executed.contains(id)
    }

    /// Where a command was executed, if that was not long ago.
    pub(crate) fn place_of(&self, id: CommandId) -> Option<Slot> {
        self.places.of(id)
    }

    /// Delivers the commands of the next height, without their seals.
    pub(crate) fn execute(&mut self, decision: Arc<Decision>, effects: &mut Queues) {
        assert_eq!(decision.height, self.next, "heights are decided in order");
        for command in decision.batch.commands() {
            let Ok((bare, _)) = command.unsealed(self.seal_bytes) else { continue };
            if self.executed.insert(bare.id()) {
                self.last_slot += 1;
                self.places.remember(bare.id(), Slot(self.last_slot));
                effects.deliver(Slot(self.last_slot), bare);
            }
        }
        self.next = Height(self.next.0 + 1);
        self.since_checkpoint.0 += 1;
        self.since_checkpoint.1 += decision.batch.command_bytes() + self.certificate_bytes;
        self.history.push_back(decision);
    }

    /// Whether nothing more may be executed before a checkpoint is taken.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.since_checkpoint.0 >= CHECKPOINT_HEIGHTS || self.since_checkpoint.1 >= CHECKPOINT_BYTES
    }

    /// Takes the checkpoint that is due, once the driver has applied what was delivered.
    pub(crate) fn take_checkpoint(&mut self) -> Option<Snapshot> {
        let (slot, state) = self.application.snapshot();
        if slot.map_or(0, |slot| slot.0) != self.last_slot {
            return None;
        }
        let snapshot = Snapshot { height: Height(self.next.0 - 1), state };
        let before = self.snapshot.replace(snapshot.clone()).map_or(0, |before| before.height.0);
        // Two intervals are kept, so that a snapshot is never all that a replica can offer for long.
        while self.history.front().is_some_and(|decision| decision.height.0 <= before) {
            self.history.pop_front();
        }
        self.since_checkpoint = (0, 0);
        Some(snapshot)
    }

    /// Passes over a checkpoint that was taken in an earlier life and is not in the log, so that later
    /// ones are still those of all replicas.
    pub(crate) fn pass_checkpoint(&mut self) {
        self.since_checkpoint = (0, 0);
    }

    /// Goes on from a snapshot; gives the application's state.
    pub(crate) fn install(&mut self, snapshot: Snapshot) -> Result<Bytes, WireError> {
        let restored = Application::default();
        restored.restore(snapshot.state.clone())?;
        let log = restored.log();
        self.executed = log.ids().clone();
        self.last_slot = log.last_slot().map_or(0, |slot| slot.0);
        self.next = Height(snapshot.height.0 + 1);
        self.history.clear();
        self.since_checkpoint = (0, 0);
        let state = snapshot.state.clone();
        self.snapshot = Some(snapshot);
        Ok(state)
    }

    /// Decided batches from a height on, so many bytes of them or the first one; none when they are not
    /// kept.
    pub(crate) fn from(&self, height: Height, bytes: usize) -> Option<Arc<[Arc<Decision>]>> {
        let first = self.history.front()?.height.0;
        let skipped = usize::try_from(height.0.checked_sub(first)?).ok()?;
        let mut room = bytes;
        let fits = |decision: &&Arc<Decision>| {
            let fits = room > 0;
            room = room.saturating_sub(decision.encoded_len());
            fits
        };
        let decisions: Vec<_> = self.history.iter().skip(skipped).take_while(fits).cloned().collect();
        (!decisions.is_empty()).then(|| decisions.into())
    }

    /// Notes a broken invariant where the safety check finds it.
    pub(crate) fn violate(&self, what: String) {
        self.application.log().violate(what);
    }

    /// The latest snapshot.
    pub(crate) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }
}
