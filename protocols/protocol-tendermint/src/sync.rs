//! How a replica that fell behind learns what was decided.
//!
//! Every replica tells another one its height now and then, a different one each time, and is sent what
//! it lacks. A decided batch is believed for its certificate, in which a replica checks signatures, or the
//! codes that were made for it. A liar's codes may hold for some replicas and not for others, so without
//! signatures a certificate can fail that is good. Then, and for snapshots, something is believed when
//! f + 1 replicas say the same: one of them is honest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use malachitebft_core_types::Value;
use protocol_core::{ReplicaId, Time};

use crate::certificates::is_decided;
use crate::context::Height;
use crate::keys::{Authentication, Keyring};
use crate::ledger::{Ledger, Queues};
use crate::messages::{Decision, Snapshot, TendermintMessage};

/// Decided batches sent in one answer, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// Heights ahead of which decisions are kept until it is their turn.
const WINDOW: u64 = 4_096;

/// What others say about heights.
pub(crate) struct Sync {
    me: ReplicaId,
    replicas: usize,
    /// By replica, the height that it is to decide next, as far as it said.
    known: Vec<Height>,
    /// By replica, which height it was last helped from, and when.
    helped: Vec<(Height, Time)>,
    /// Decisions to be believed, by height.
    believed: BTreeMap<Height, Arc<Decision>>,
    /// Decisions that some replicas claim, by height.
    claims: BTreeMap<Height, BTreeMap<ReplicaId, Arc<Decision>>>,
    snapshots: BTreeMap<ReplicaId, Snapshot>,
    ticks: u64,
    last_tick: Height,
}

impl Sync {
    pub(crate) fn new(me: ReplicaId, replicas: usize) -> Self {
        Sync {
            me,
            replicas,
            known: vec![Height(0); replicas],
            helped: vec![(Height(0), Time(0)); replicas],
            believed: BTreeMap::new(),
            claims: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            ticks: 0,
            last_tick: Height(0),
        }
    }

    /// A peer spoke of a height, so it has decided those before.
    pub(crate) fn heard(&mut self, from: ReplicaId, height: Height) {
        let known = &mut self.known[from.index()];
        *known = height.max(*known);
    }

    /// Time to tell someone; or everyone, when others are ahead and nothing moved since the last time.
    pub(crate) fn tick(&mut self, next: Height, effects: &mut Queues) {
        let stuck = self.last_tick == next && self.is_behind(next);
        (self.last_tick, self.ticks) = (next, self.ticks + 1);
        if stuck {
            return self.ask(next, effects);
        }
        let others = self.replicas as u64 - 1;
        let distance = 1 + self.ticks % others;
        let to = (u64::from(self.me.0) + distance) % self.replicas as u64;
        effects.send(ReplicaId(to as u32), TendermintMessage::Status(next));
    }

    /// Tells everyone, who send what this replica lacks.
    pub(crate) fn ask(&self, next: Height, effects: &mut Queues) {
        effects.broadcast(self.me, self.replicas, &TendermintMessage::Status(next));
    }

    /// Whether anyone says that it is further.
    pub(crate) fn is_behind(&self, next: Height) -> bool {
        self.known.iter().any(|&known| known > next)
    }

    /// Sends a peer what it lacks, once in so much time as long as it lacks the same.
    pub(crate) fn help(
        &mut self,
        peer: ReplicaId,
        height: Height,
        ledger: &Ledger,
        pause: (Time, Duration),
        effects: &mut Queues,
    ) {
        let (now, pause) = pause;
        let (last, at) = self.helped[peer.index()];
        if height >= ledger.next() || (last == height && now < at + pause) {
            return;
        }
        let message = match ledger.from(height, ANSWER_BYTES) {
            Some(decisions) => TendermintMessage::Decisions(decisions),
            None => match ledger.snapshot() {
                Some(snapshot) => TendermintMessage::Snapshot(snapshot.clone()),
                None => return,
            },
        };
        self.helped[peer.index()] = (height, now);
        effects.send(peer, message);
    }

    /// A peer's answer. False when it is a lie for sure.
    pub(crate) fn learn(
        &mut self,
        from: ReplicaId,
        decisions: &[Arc<Decision>],
        next: Height,
        keys: &mut Keyring,
    ) -> bool {
        let wanted = |decision: &&Arc<Decision>| (next.0..next.0 + WINDOW).contains(&decision.height.0);
        for decision in decisions.iter().filter(wanted) {
            if self.believed.contains_key(&decision.height) {
                continue;
            }
            if is_decided(keys, self.replicas, decision) {
                self.believed.insert(decision.height, decision.clone());
            } else if keys.authentication() == Authentication::Codes && decision.batch.is_genuine() {
                self.claim(from, decision);
            } else {
                return false;
            }
        }
        true
    }

    fn claim(&mut self, from: ReplicaId, decision: &Arc<Decision>) {
        let enough = self.honest();
        let claims = self.claims.entry(decision.height).or_default();
        claims.insert(from, decision.clone());
        let same = claims.values().filter(|claim| claim.batch.id() == decision.batch.id()).count();
        if same >= enough {
            self.believed.insert(decision.height, decision.clone());
        }
    }

    /// A peer's snapshot; gives it back once enough replicas sent the same.
    pub(crate) fn learn_snapshot(
        &mut self,
        from: ReplicaId,
        snapshot: Snapshot,
        next: Height,
    ) -> Option<Snapshot> {
        if snapshot.height < next {
            return None;
        }
        self.snapshots.insert(from, snapshot.clone());
        let same = self.snapshots.values().filter(|claim| **claim == snapshot).count();
        (same >= self.honest()).then_some(snapshot)
    }

    /// The decision of a height, if it is to be believed.
    pub(crate) fn take(&mut self, height: Height) -> Option<Arc<Decision>> {
        self.believed.remove(&height)
    }

    /// Forgets what lies before a height.
    pub(crate) fn forget_before(&mut self, next: Height) {
        self.believed.retain(|&height, _| height >= next);
        self.claims.retain(|&height, _| height >= next);
        self.snapshots.retain(|_, snapshot| snapshot.height >= next);
    }

    /// So many that one of them is honest.
    fn honest(&self) -> usize {
        (self.replicas - 1) / 3 + 1
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use malachitebft_core_types::Round;
    use protocol_core::{Command, CommandId};

    use super::*;
    use crate::context::Batch;

    const NEXT: Height = Height(1);

    /// A decision without a certificate: its sender's word.
    fn word(id: u64) -> Arc<Decision> {
        let batch = Batch::new(vec![Command::new(CommandId(id), b"payload")]);
        Arc::new(Decision { height: NEXT, round: Round::new(0), batch, certificate: Vec::new() })
    }

    #[test]
    fn a_word_is_believed_when_enough_say_the_same_and_never_where_there_are_signatures() {
        let mut keys = Keyring::new(Authentication::Codes, ReplicaId(0), 7, 1);
        let mut sync = Sync::new(ReplicaId(0), 7);
        for (from, id, believed) in
            [(1, 5, false), (2, 6, false), (1, 5, false), (3, 5, false), (4, 6, false), (5, 5, true)]
        {
            assert!(sync.learn(ReplicaId(from), &[word(id)], NEXT, &mut keys));
            assert_eq!(sync.believed.contains_key(&NEXT), believed, "{from} says {id}");
        }
        assert_eq!(sync.take(NEXT), Some(word(5)));
        let mut keys = Keyring::new(Authentication::Signatures, ReplicaId(0), 7, 1);
        let mut sync = Sync::new(ReplicaId(0), 7);
        for from in 1..7 {
            assert!(!sync.learn(ReplicaId(from), &[word(5)], NEXT, &mut keys));
            assert_eq!(sync.take(NEXT), None);
        }
    }

    #[test]
    fn a_snapshot_is_believed_when_enough_send_the_same() {
        let mut sync = Sync::new(ReplicaId(0), 4);
        let snapshot = |state| Snapshot { height: Height(9), state: Bytes::from_static(state) };
        assert_eq!(sync.learn_snapshot(ReplicaId(1), snapshot(b"lie"), NEXT), None);
        assert_eq!(sync.learn_snapshot(ReplicaId(2), snapshot(b"truth"), NEXT), None);
        assert_eq!(sync.learn_snapshot(ReplicaId(2), snapshot(b"truth"), NEXT), None, "once each");
        assert_eq!(sync.learn_snapshot(ReplicaId(3), snapshot(b"truth"), NEXT), Some(snapshot(b"truth")));
        assert_eq!(sync.learn_snapshot(ReplicaId(3), snapshot(b"truth"), Height(10)), None, "long past");
    }
}
