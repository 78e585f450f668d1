//! What a new view begins with: a pure function of the view changes that its primary collected.
//!
//! The sets P and Q inside a view change are claims, signed by whoever makes them and proved by nothing
//! else: with authentication codes there are no PREPAREs that could be shown to others. The procedure is
//! that of the TOCS 2002 paper, which lets such claims stand only where enough replicas agree; what the
//! paper does with VIEW-CHANGE-ACKs, to have all replicas see the same view changes, signatures do here.
//!
//! # Why a committed batch is never lost
//!
//! Let `d` be committed at `n` in view `v`: 2f + 1 replicas voted to commit it, so at least f + 1 honest ones
//! have `(n, d, v)` in P, or a later view in its place, until `n` is below their stable checkpoint. Take the
//! first later view that begins with anything but `d` at `n`.
//!
//! - A checkpoint at or above `n` was chosen: it is proved, so a quorum executed `n`.
//! - Nothing was prepared (condition B): 2f + 1 view changes say so, one of them by an honest replica
//!   that prepared `d`.
//! - Another batch `e`, prepared in view `w`: by A1, 2f + 1 view changes have nothing later than `w`, and
//!   nothing else in `w`, one of them by an honest replica that prepared `d` in `v` or later: so `w > v`. By
//!   A2, f + 1 replicas pre-prepared `e` in view `w` or later, one of them honest. But views after `v` and
//!   before this one began with `d`, and an honest replica accepts no second batch there.
//!
//! # Why a decision is reached
//!
//! Once the view changes of all 2f + 1 honest replicas are there: take the latest batch that one of them
//! prepared. It meets A1; and 2f + 1 replicas accepted it before, so f + 1 honest ones have it in Q. If none
//! prepared any, B is met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authenticator::Digest;
use crate::batch::Batch;
use crate::certificates::{Certificate, ViewChange};
use crate::quorums::Quorums;

/// What a new view begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The latest stable checkpoint of all.
    pub(crate) stable: Option<Arc<Certificate>>,
    /// The batch of each sequence number above that, up to the last that is not null.
    pub(crate) chosen: Vec<(u64, Digest)>,
}

/// Decides, or finds that it takes more view changes. They are of different replicas, and well formed.
pub(crate) fn decide(changes: &[Arc<ViewChange>], quorums: &Quorums) -> Option<Decision> {
    if changes.len() < quorums.certificate() {
        return None;
    }
    let stable = changes.iter().filter_map(|change| change.stable.clone()).max_by_key(|stable| stable.seq);
    let low = stable.as_ref().map_or(0, |stable| stable.seq);
    let mut claims: BTreeMap<u64, BTreeSet<(u64, Digest)>> = BTreeMap::new();
    for seen in changes.iter().flat_map(|change| &change.prepared).filter(|seen| seen.seq > low) {
        claims.entry(seen.seq).or_default().insert((seen.view, seen.digest));
    }
    let null = Batch::null().digest();
    let mut chosen = Vec::new();
    let last = claims.last_key_value().map_or(low, |(&seq, _)| seq);
    for seq in low + 1..=last {
        let candidates = claims.get(&seq).into_iter().flatten().rev();
        let batch = candidates.copied().find(|&candidate| is_supported(seq, candidate, changes, quorums));
        let digest = match batch {
            Some((_, digest)) => digest,
            None if nothing_prepared(seq, changes) >= quorums.certificate() => null,
            None => return None,
        };
        chosen.push((seq, digest));
    }
    while chosen.last().is_some_and(|&(_, digest)| digest == null) {
        chosen.pop();
    }
    Some(Decision { stable, chosen })
}

/// Conditions A1 and A2.
fn is_supported(
    seq: u64,
    (view, digest): (u64, Digest),
    changes: &[Arc<ViewChange>],
    quorums: &Quorums,
) -> bool {
    let nothing_against = |change: &&Arc<ViewChange>| {
        prepared_at(change, seq).is_none_or(|(other, what)| other < view || (other == view && what == digest))
    };
    let vouches = |change: &&Arc<ViewChange>| {
        let first = change.preprepared.partition_point(|seen| seen.seq < seq);
        let here = change.preprepared[first..].iter().take_while(|seen| seen.seq == seq);
        here.into_iter().any(|seen| seen.digest == digest && seen.view >= view)
    };
    changes.iter().filter(nothing_against).count() >= quorums.certificate()
        && changes.iter().filter(vouches).count() >= quorums.honest()
}

/// Replicas that prepared nothing here: condition B.
fn nothing_prepared(seq: u64, changes: &[Arc<ViewChange>]) -> usize {
    changes.iter().filter(|change| prepared_at(change, seq).is_none()).count()
}

fn prepared_at(change: &ViewChange, seq: u64) -> Option<(u64, Digest)> {
    let index = change.prepared.binary_search_by_key(&seq, |seen| seen.seq).ok()?;
    let seen = &change.prepared[index];
    Some((seen.view, seen.digest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol_core::ReplicaId;

    use super::*;
    use crate::authenticator::Signature;
    use crate::certificates::Seen;

    fn digest(name: u8) -> Digest {
        Digest([name; 32])
    }

    /// What a replica brings: pairs of view and name that it prepared and pre-prepared at sequence number 1.
    fn change(replica: u32, prepared: Option<(u64, u8)>, preprepared: &[(u64, u8)]) -> Arc<ViewChange> {
        let seen = |&(view, name): &(u64, u8)| Seen { seq: 1, view, digest: digest(name) };
        Arc::new(ViewChange {
            view: 9,
            stable: None,
            prepared: prepared.iter().map(seen).collect(),
            preprepared: preprepared.iter().map(seen).collect(),
            replica: ReplicaId(replica),
            signature: Signature::from_bytes(&[0; 64]),
        })
    }

    fn chosen(changes: &[Arc<ViewChange>]) -> Option<Vec<(u64, Digest)>> {
        decide(changes, &Quorums::of(4)).map(|decision| decision.chosen)
    }

    #[test]
    fn what_one_honest_replica_prepared_and_two_saw_is_kept() {
        let (a, b, c) =
            (change(0, Some((0, 1)), &[(0, 1)]), change(1, None, &[(0, 1)]), change(2, None, &[]));
        assert_eq!(chosen(&[a.clone(), b.clone(), c.clone()]), Some(vec![(1, digest(1))]));
        assert_eq!(chosen(&[a, b]), None, "two of four decide nothing");
    }

    #[test]
    fn what_only_one_claims_to_have_seen_takes_more_view_changes() {
        let liar = change(3, Some((5, 9)), &[(5, 9)]);
        let nothing = |replica| change(replica, None, &[]);
        assert_eq!(chosen(&[nothing(0), nothing(1), liar.clone()]), None, "it may be true");
        assert_eq!(chosen(&[nothing(0), nothing(1), nothing(2), liar]), Some(vec![]));
    }

    #[test]
    fn of_two_prepared_batches_the_later_view_has_it() {
        let early = change(0, Some((0, 1)), &[(0, 1)]);
        let late = |replica| change(replica, Some((3, 2)), &[(3, 2)]);
        assert_eq!(chosen(&[early.clone(), late(1), late(2)]), Some(vec![(1, digest(2))]));
        let vouched = change(3, None, &[(0, 1), (3, 2)]);
        assert_eq!(chosen(&[early, late(1), vouched]), Some(vec![(1, digest(2))]));
    }

    proptest! {
        /// Batch 1 was committed in view 2: three of four prepared it there, one of whom may lie about it; any
        /// later claim is the liar's alone. No three or four view changes may choose anything else.
        #[test]
        fn a_committed_batch_is_never_lost(
            lie in proptest::option::of((0u64..9, 1u8..4)),
            seen in proptest::collection::vec((0u64..9, 1u8..4), 0..3),
            earlier in proptest::option::of((0u64..2, 1u8..4)),
            left_out in 0usize..5,
        ) {
            let honest = |replica| change(replica, Some((2, 1)), &[(2, 1)]);
            let fourth: Vec<(u64, u8)> = earlier.into_iter().collect();
            let mut changes =
                vec![honest(0), honest(1), change(2, earlier, &fourth), change(3, lie, &seen)];
            if left_out < 4 {
                changes.remove(left_out);
            }
            if let Some(chosen) = chosen(&changes) {
                prop_assert_eq!(chosen, vec![(1, digest(1))]);
            } else {
                prop_assert!(left_out != 3 && left_out < 4, "with all honest ones there must be a decision");
            }
        }
    }
}
