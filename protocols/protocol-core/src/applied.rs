//! The application above every protocol: it applies commands, remembers which and in which order,
//! and so proves agreement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut, Bytes};

use crate::command::{Command, CommandId};
use crate::id_set::IdSet;
use crate::replica::Slot;
use crate::wire::WireError;

/// What applying a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It took effect.
    New,
    /// The same id was applied in an earlier slot: a client had sent it again. No effect.
    Duplicate,
}

/// What replicas agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The same commands in the same slots.
    #[default]
    Total,
    /// The same commands, each replica in an order of its own; slots mean nothing. Gossip.
    Set,
    /// Nothing that their logs could show: a replica applies what reached it, and reads decide. Quorum
    /// registers.
    Reads,
}

/// Everything a replica applied, as a digest chain, a bit per id, and the rules it broke.
///
/// The digest chains `xxh3(id ++ payload)` with the slot, so two replicas with the same digest after
/// the same number of deliveries applied the same commands in the same slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedLog {
    order: Order,
    last_slot: Option<Slot>,
    delivered: u64,
    digest: u64,
    checkpoints: Vec<u64>,
    ids: IdSet,
    duplicates: u64,
    violations: Vec<String>,
}

impl AppliedLog {
    /// The chain's digest is kept after every so many deliveries, to find where two logs part.
    pub const CHECKPOINT_EVERY: u64 = 1024;
    const KEPT_VIOLATIONS: usize = 8;

    /// An empty log of a protocol with this order.
    pub fn new(order: Order) -> Self {
        AppliedLog { order, ..AppliedLog::default() }
    }

    /// What it has in common with other replicas' logs.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Applies the command that the protocol put into `slot`.
    pub fn apply(&mut self, slot: Slot, command: &Command) -> Applied {
        if self.order == Order::Total {
            self.chain(slot, command);
        } else {
            self.digest = self.digest.wrapping_add(command.digest());
        }
        self.delivered += 1;
        let id = command.id();
        if self.ids.insert(id) {
            return Applied::New;
        }
        if id.0 >= IdSet::LIMIT {
            self.violate(format!("slot {} holds command id {}, which no run hands out", slot.0, id.0));
        }
        self.duplicates += 1;
        Applied::Duplicate
    }

    fn chain(&mut self, slot: Slot, command: &Command) {
        if self.last_slot.is_some_and(|last| slot <= last) {
            self.violate(format!(
                "slot {} delivered after slot {}",
                slot.0,
                self.last_slot.map_or(0, |last| last.0)
            ));
        }
        self.last_slot = Some(slot);
        self.digest = chain(self.digest, slot, command.digest());
        if (self.delivered + 1).is_multiple_of(Self::CHECKPOINT_EVERY) {
            self.checkpoints.push(self.digest);
        }
    }

    /// Records that a rule was broken; kept up to a few.
    pub fn violate(&mut self, what: String) {
        if self.violations.len() < Self::KEPT_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// Slot of the latest delivery.
    pub fn last_slot(&self) -> Option<Slot> {
        self.last_slot
    }

    /// Deliveries so far, duplicates included.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Digest after [`delivered`](AppliedLog::delivered) deliveries: of the chain, or where there is no
    /// order, of the commands.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The ids that took effect.
    pub fn ids(&self) -> &IdSet {
        &self.ids
    }

    /// Deliveries without effect, because a client had sent the command again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Rules broken on this replica alone.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Compares the common prefix with another log's. `Ok(true)` when both end at the same point,
    /// `Ok(false)` when one is ahead but no difference shows, and the range of deliveries within
    /// which they part otherwise. Logs that reads decide about have nothing to disagree on.
    pub fn agrees_with(&self, other: &AppliedLog) -> Result<bool, std::ops::Range<u64>> {
        match self.order {
            Order::Total => self.chains_with(other),
            // Either may still get what the other has, so long as they differ.
            Order::Set if self.ids != other.ids => Ok(false),
            Order::Set if self.digest == other.digest || self.duplicates + other.duplicates > 0 => Ok(true),
            Order::Set => Err(0..self.delivered),
            Order::Reads => Ok(true),
        }
    }

    fn chains_with(&self, other: &AppliedLog) -> Result<bool, std::ops::Range<u64>> {
        let parted = self.checkpoints.iter().zip(&other.checkpoints).position(|(a, b)| a != b);
        if let Some(index) = parted {
            let start = index as u64 * Self::CHECKPOINT_EVERY;
            return Err(start..start + Self::CHECKPOINT_EVERY);
        }
        if self.delivered != other.delivered {
            return Ok(false);
        }
        if self.digest == other.digest {
            return Ok(true);
        }
        let start = self.checkpoints.len() as u64 * Self::CHECKPOINT_EVERY;
        Err(start..self.delivered)
    }

    fn encode(&self) -> Bytes {
        let (full, words) = self.ids.parts();
        let mut buffer = Vec::with_capacity(64 + 8 * (self.checkpoints.len() + words.len()));
        buffer.put_u64_le(self.last_slot.map_or(u64::MAX, |slot| slot.0));
        buffer.put_u64_le(self.delivered);
        buffer.put_u64_le(self.digest);
        buffer.put_u64_le(self.duplicates);
        buffer.put_u64_le(full);
        for list in [&self.checkpoints, &words] {
            buffer.put_u64_le(list.len() as u64);
            list.iter().for_each(|&word| buffer.put_u64_le(word));
        }
        buffer.into()
    }

    fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let what = "snapshot of the application";
        let mut word = || {
            bytes.try_get_u64_le().map_err(|short| WireError::Truncated {
                what,
                need: short.requested,
                have: short.available,
            })
        };
        let last_slot = word()?;
        let (delivered, digest, duplicates, full) = (word()?, word()?, word()?, word()?);
        let mut list = || -> Result<Vec<u64>, WireError> {
            let length = word()?;
            (0..length).map(|_| word()).collect()
        };
        let (checkpoints, words) = (list()?, list()?);
        Ok(AppliedLog {
            order: Order::Total,
            last_slot: (last_slot != u64::MAX).then_some(Slot(last_slot)),
            delivered,
            digest,
            checkpoints,
            ids: IdSet::from_parts(full, words),
            duplicates,
            violations: Vec::new(),
        })
    }
}

/// One link of the digest chain: a multiply-and-fold of the digest so far, the slot and the
/// command's own digest. Not cryptographic; it finds bugs, not attacks.
fn chain(digest: u64, slot: Slot, command: u64) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = u128::from(digest ^ command).wrapping_mul(u128::from(ODD))
        ^ u128::from(slot.0.wrapping_add(ODD)).wrapping_mul(u128::from(command | 1));
    ((mixed >> 64) as u64 ^ mixed as u64).rotate_left(23).wrapping_add(digest)
}

/// The application of one replica, shared between the replica (which takes snapshots of it) and
/// whoever applies and audits.
#[derive(Clone, Debug, Default)]
pub struct Application {
    log: Arc<Mutex<AppliedLog>>,
}

impl Application {
    /// An empty application of a protocol with this order.
    pub fn new(order: Order) -> Self {
        Application { log: Arc::new(Mutex::new(AppliedLog::new(order))) }
    }

    /// The log, for as long as the guard lives. A panic of another holder does not hide it.
    pub fn log(&self) -> MutexGuard<'_, AppliedLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot up to which commands were applied, and the state there as bytes for another
    /// replica's [`restore`](Application::restore).
    pub fn snapshot(&self) -> (Option<Slot>, Bytes) {
        let log = self.log();
        (log.last_slot(), log.encode())
    }

    /// Replaces the state by a snapshot. Violations already seen here are kept.
    pub fn restore(&self, snapshot: Bytes) -> Result<(), WireError> {
        let restored = AppliedLog::decode(snapshot)?;
        let mut log = self.log();
        let violations = std::mem::take(&mut log.violations);
        *log = AppliedLog { order: log.order, violations, ..restored };
        Ok(())
    }

    /// Whether the command took effect here.
    pub fn has_applied(&self, id: CommandId) -> bool {
        self.log().ids().contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(ids: impl IntoIterator<Item = u64>) -> AppliedLog {
        let mut log = AppliedLog::default();
        for (slot, id) in ids.into_iter().enumerate() {
            log.apply(Slot(slot as u64 + 1), &Command::new(CommandId(id), b"payload"));
        }
        log
    }

    #[test]
    fn equal_prefixes_agree_and_say_who_is_ahead() {
        assert_eq!(applied(0..3000).agrees_with(&applied(0..3000)), Ok(true));
        assert_eq!(applied(0..3000).agrees_with(&applied(0..2500)), Ok(false));
    }

    #[test]
    fn two_commands_swapped_are_found_within_one_checkpoint() {
        let swapped = (0..3000).map(|id| match id {
            1500 => 1501,
            1501 => 1500,
            other => other,
        });
        assert_eq!(applied(0..3000).agrees_with(&applied(swapped)), Err(1024..2048));
    }

    #[test]
    fn the_same_command_with_another_payload_does_not_agree() {
        let (mut a, mut b) = (AppliedLog::default(), AppliedLog::default());
        a.apply(Slot(1), &Command::new(CommandId(0), b"yes"));
        b.apply(Slot(1), &Command::new(CommandId(0), b"no"));
        assert_eq!(a.agrees_with(&b), Err(0..1));
    }

    #[test]
    fn a_resent_command_takes_effect_once() {
        let log = applied([7, 8, 7]);
        assert_eq!((log.delivered(), log.ids().len(), log.duplicates()), (3, 2, 1));
        assert!(log.violations().is_empty());
    }

    #[test]
    fn without_an_order_the_same_commands_are_enough() {
        let of = |ids: [u64; 3]| {
            let mut log = AppliedLog::new(Order::Set);
            for id in ids {
                log.apply(Slot(0), &Command::new(CommandId(id), b"payload"));
            }
            log
        };
        assert_eq!(of([1, 2, 3]).agrees_with(&of([3, 1, 2])), Ok(true));
        assert_eq!(of([1, 2, 3]).agrees_with(&of([1, 2, 4])), Ok(false));
        let mut other = of([1, 2, 4]);
        other.apply(Slot(0), &Command::new(CommandId(3), b"another payload"));
        let mut one = of([1, 2, 3]);
        one.apply(Slot(0), &Command::new(CommandId(4), b"payload"));
        assert_eq!(one.agrees_with(&other), Err(0..4));
        assert!(one.violations().is_empty());
    }

    #[test]
    fn a_slot_delivered_twice_is_a_violation() {
        let mut log = applied([0, 1]);
        log.apply(Slot(2), &Command::new(CommandId(1), b"payload"));
        assert_eq!(log.violations().len(), 1);
    }

    #[test]
    fn a_snapshot_carries_the_whole_state() {
        let (from, to) = (Application::default(), Application::default());
        *from.log() = applied((0..5000).chain([3]));
        let (slot, snapshot) = from.snapshot();
        assert_eq!(slot, Some(Slot(5001)));
        to.restore(snapshot.clone()).unwrap();
        assert_eq!(to.log().agrees_with(&from.log()), Ok(true));
        assert_eq!(to.log().duplicates(), 1);
        assert!(to.restore(snapshot.slice(..snapshot.len() - 1)).is_err());
    }
}
