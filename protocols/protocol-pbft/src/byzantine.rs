//! What a PBFT replica that lies can make of its messages, with its own keys.

use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Corruptible, ReplicaId};

use crate::authenticator::{Authentication, Digest, Proof, Signature};
use crate::batch::Batch;
use crate::certificates::{CheckpointVote, NewView, Seen, ViewChange};
use crate::messages::{Body, PbftMessage, Vote};
use crate::replica::PbftReplica;

/// Names what never was.
const MADE_UP: &[u8] = b"made up";
/// Sequence numbers about which a view change lies.
const LIES: u64 = 4;

impl PbftReplica {
    /// Authenticates something else in place of a message, for the same receiver.
    fn instead_of(&self, message: &PbftMessage, body: Body) -> Option<PbftMessage> {
        let proof = match (&message.proof, self.options.authentication) {
            _ if body.proves_itself() => Proof::Inside,
            (Proof::Tag(tag), Authentication::Mac) => {
                Proof::Tag(self.keys.tag(self.receiver(&message.body, tag)?, body.statement().bytes()))
            }
            _ => Proof::Signature(self.keys.sign(body.statement().bytes())),
        };
        Some(PbftMessage { body, proof })
    }

    /// For whom a code was made. Only its maker can tell.
    fn receiver(&self, body: &Body, tag: &crate::authenticator::Tag) -> Option<ReplicaId> {
        let statement = body.statement();
        self.peers().find(|&to| self.keys.tag(to, statement.bytes()) == *tag)
    }

    /// What one half is told in place of a vote: the vote that goes with what it was told in place of the batch.
    fn other_vote(&self, vote: &Vote) -> Vote {
        let content = self.log.get(vote.seq).and_then(|slot| slot.content(&vote.digest));
        Vote { digest: content.map_or(Digest::of(MADE_UP), |content| twin(&content.batch).digest()), ..*vote }
    }

    /// A view change that keeps quiet about what was prepared last, or names something else in its place.
    fn other_past(&self, change: &ViewChange) -> ViewChange {
        let made_up = |seq| Seen { seq, view: change.view - 1, digest: Digest::of(MADE_UP) };
        let low = change.low();
        // In every other view nothing was ever prepared; in the rest, much that others know nothing of.
        let silent = (change.view / self.replicas as u64).is_multiple_of(2);
        let claims: Vec<Seen> = (low + 1..=low + LIES).filter(|_| !silent).map(made_up).collect();
        let lie = ViewChange { prepared: claims.clone(), preprepared: claims, ..change.clone() };
        lie.signed(&self.keys)
    }
}

/// The same requests in reverse; of a single one, none.
fn twin(batch: &Batch) -> Batch {
    let mut entries: Vec<_> = batch.entries().collect();
    entries.reverse();
    if entries.len() == 1 {
        entries.clear();
    }
    Batch::of(entries)
}

impl Corruptible for PbftReplica {
    fn contradict(&self, message: &PbftMessage) -> Option<PbftMessage> {
        let body = match &message.body {
            Body::PrePrepare { view, seq, batch } => {
                Body::PrePrepare { view: *view, seq: *seq, batch: twin(batch) }
            }
            Body::Prepare(vote) => Body::Prepare(self.other_vote(vote)),
            Body::Commit(vote) => Body::Commit(self.other_vote(vote)),
            Body::Committed { seq, .. } => Body::Committed { seq: *seq, digest: Batch::null().digest() },
            Body::Checkpoint(vote) => {
                Body::Checkpoint(CheckpointVote::new(vote.seq, Digest::of(MADE_UP), &self.keys))
            }
            Body::ViewChange(change) => Body::ViewChange(Arc::new(self.other_past(change))),
            Body::NewView(new_view) if new_view.changes.len() > self.quorums.certificate() => {
                let changes = new_view.changes[1..].to_vec();
                Body::NewView(Arc::new(NewView { changes, ..(**new_view).clone() }.signed(&self.keys)))
            }
            Body::State { certificate, snapshot } => {
                // The application's own digest is wrong in it; all else is in order.
                let mut bytes = snapshot.to_vec();
                bytes.iter_mut().skip(16).take(8).for_each(|byte| *byte ^= 1);
                Body::State { certificate: certificate.clone(), snapshot: Bytes::from(bytes) }
            }
            Body::Content { seq, batch, .. } => {
                Body::Content { seq: *seq, batch: batch.clone(), requests: Vec::new() }
            }
            Body::Status(status) => {
                let mut lie = *status;
                (lie.executed, lie.stable) = (u64::MAX, u64::MAX);
                Body::Status(lie)
            }
            _ => return None,
        };
        self.instead_of(message, body)
    }

    fn spoil(&self, message: &PbftMessage) -> Option<PbftMessage> {
        let spoilt = |signature: &Signature| {
            let mut bytes = signature.to_bytes();
            bytes[40] ^= 1;
            Signature::from_bytes(&bytes)
        };
        let mut message = message.clone();
        match &mut message.proof {
            Proof::Tag(tag) => tag[0] ^= 1,
            Proof::Signature(signature) => *signature = spoilt(signature),
            Proof::Inside => {}
        }
        match &mut message.body {
            Body::Checkpoint(vote) => vote.signature = spoilt(&vote.signature),
            Body::ViewChange(change) => {
                let change = Arc::make_mut(change);
                change.signature = spoilt(&change.signature);
            }
            Body::NewView(new_view) => {
                let new_view = Arc::make_mut(new_view);
                new_view.signature = spoilt(&new_view.signature);
            }
            Body::Stable(certificate) => {
                let first = Arc::make_mut(certificate).votes.first_mut()?;
                first.1 = spoilt(&first.1);
            }
            _ => {}
        }
        Some(message)
    }

    fn rewrite_history(&self, message: &PbftMessage) -> Option<PbftMessage> {
        let body = match &message.body {
            Body::ViewChange(change) => Body::ViewChange(Arc::new(self.other_past(change))),
            Body::NewView(new_view) => {
                let lie = NewView { chosen: Vec::new(), ..(**new_view).clone() };
                Body::NewView(Arc::new(lie.signed(&self.keys)))
            }
            _ => return None,
        };
        self.instead_of(message, body)
    }
}
