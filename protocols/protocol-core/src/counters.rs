//! What a replica did, counted. Counts are monotonic; a measurement is the difference of two.

use std::ops::{AddAssign, Sub};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::wire::MessageKind;

/// Messages of one kind and their bytes on the wire, frame headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// Everything counted for one replica, as the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent, by [`MessageKind::index`].
    pub traffic: [Traffic; MessageKind::ALL.len()],
    /// Flushes to stable storage asked for and done.
    pub syncs: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Proposals made (one consensus instance, append or block).
    pub proposals: u64,
    /// Commands inside those proposals.
    pub proposed_commands: u64,
    /// Times the driver woke the replica; 0 where a library owns its runtime.
    pub wake_ups: u64,
    /// Messages handed over at those wake-ups.
    pub drained_messages: u64,
    /// Signatures made.
    pub signatures: u64,
    /// Signatures checked.
    pub verifications: u64,
    /// Message authentication codes made or checked.
    pub macs: u64,
}

impl Counters {
    /// Traffic of one kind.
    pub fn of(&self, kind: MessageKind) -> Traffic {
        self.traffic[kind.index()]
    }

    /// Applies `combine` to every count of the two.
    fn zip(self, other: Counters, combine: impl Fn(u64, u64) -> u64) -> Counters {
        let mut traffic = self.traffic;
        for (mine, theirs) in traffic.iter_mut().zip(other.traffic) {
            mine.messages = combine(mine.messages, theirs.messages);
            mine.bytes = combine(mine.bytes, theirs.bytes);
        }
        Counters {
            traffic,
            syncs: combine(self.syncs, other.syncs),
            log_bytes: combine(self.log_bytes, other.log_bytes),
            proposals: combine(self.proposals, other.proposals),
            proposed_commands: combine(self.proposed_commands, other.proposed_commands),
            wake_ups: combine(self.wake_ups, other.wake_ups),
            drained_messages: combine(self.drained_messages, other.drained_messages),
            signatures: combine(self.signatures, other.signatures),
            verifications: combine(self.verifications, other.verifications),
            macs: combine(self.macs, other.macs),
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        *self = self.zip(other, u64::wrapping_add);
    }
}

impl Sub for Counters {
    type Output = Counters;

    fn sub(self, earlier: Counters) -> Counters {
        self.zip(earlier, u64::saturating_sub)
    }
}

/// One replica's counts while it runs; written by its own tasks, read by anyone.
#[derive(Debug, Default)]
pub struct CounterCell {
    messages: [AtomicU64; MessageKind::ALL.len()],
    bytes: [AtomicU64; MessageKind::ALL.len()],
    syncs: AtomicU64,
    log_bytes: AtomicU64,
    proposals: AtomicU64,
    proposed_commands: AtomicU64,
    wake_ups: AtomicU64,
    drained_messages: AtomicU64,
    cryptography: [AtomicU64; 3],
}

impl CounterCell {
    /// Counts one message of `bytes` on the wire.
    pub fn sent(&self, kind: MessageKind, bytes: usize) {
        self.messages[kind.index()].fetch_add(1, Relaxed);
        self.bytes[kind.index()].fetch_add(bytes as u64, Relaxed);
    }

    /// Counts one flush to stable storage.
    pub fn synced(&self) {
        self.syncs.fetch_add(1, Relaxed);
    }

    /// Counts bytes written to the log.
    pub fn logged(&self, bytes: usize) {
        self.log_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts proposals and the commands inside them.
    pub fn proposed(&self, proposals: u64, commands: u64) {
        self.proposals.fetch_add(proposals, Relaxed);
        self.proposed_commands.fetch_add(commands, Relaxed);
    }

    /// Counts one wake-up and the messages it drained.
    pub fn woke(&self, messages: u64) {
        self.wake_ups.fetch_add(1, Relaxed);
        self.drained_messages.fetch_add(messages, Relaxed);
    }

    /// Counts signatures made, signatures checked, and authentication codes made or checked.
    pub fn computed(&self, cryptography: [u64; 3]) {
        for (count, more) in self.cryptography.iter().zip(cryptography) {
            count.fetch_add(more, Relaxed);
        }
    }

    /// The counts now.
    pub fn read(&self) -> Counters {
        let traffic = std::array::from_fn(|kind| Traffic {
            messages: self.messages[kind].load(Relaxed),
            bytes: self.bytes[kind].load(Relaxed),
        });
        Counters {
            traffic,
            syncs: self.syncs.load(Relaxed),
            log_bytes: self.log_bytes.load(Relaxed),
            proposals: self.proposals.load(Relaxed),
            proposed_commands: self.proposed_commands.load(Relaxed),
            wake_ups: self.wake_ups.load(Relaxed),
            drained_messages: self.drained_messages.load(Relaxed),
            signatures: self.cryptography[0].load(Relaxed),
            verifications: self.cryptography[1].load(Relaxed),
            macs: self.cryptography[2].load(Relaxed),
        }
    }
}
