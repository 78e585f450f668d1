//! What replicas show each other as proof, signed so that it convinces whoever it is relayed to:
//! checkpoints, and what a view change is made of.

use std::sync::Arc;

use protocol_core::{ReplicaId, WireError};

use crate::authenticator::Claim;
use crate::authenticator::{Digest, Keyring, Signature};
use crate::encoding::{Put, Reader};
use crate::messages::Statement;
use crate::quorums::Quorums;

/// Tells the statements of signatures from each other, and from those of messages.
const CHECKPOINT: u8 = 240;
const VIEW_CHANGE: u8 = 241;
const NEW_VIEW: u8 = 242;

/// A replica's word for its state after executing a sequence number (OSDI '99 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointVote {
    /// Sequence number.
    pub seq: u64,
    /// Digest of the application's snapshot.
    pub state: Digest,
    /// Who says so.
    pub replica: ReplicaId,
    /// Its signature.
    pub signature: Signature,
}

impl CheckpointVote {
    pub(crate) const BYTES: usize = 8 + Digest::BYTES + 4 + 64;

    pub(crate) fn new(seq: u64, state: Digest, keys: &Keyring) -> Self {
        let signature = keys.sign(checkpoint_statement(seq, &state).bytes());
        CheckpointVote { seq, state, replica: keys.id(), signature }
    }

    pub(crate) fn is_signed(&self, keys: &Keyring) -> bool {
        keys.verify(self.replica, checkpoint_statement(self.seq, &self.state).bytes(), &self.signature)
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.number(self.seq);
        buffer.digest(&self.state);
        buffer.short(self.replica.0);
        buffer.signature(&self.signature);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(CheckpointVote {
            seq: reader.number()?,
            state: reader.digest()?,
            replica: reader.replica()?,
            signature: reader.signature()?,
        })
    }
}

fn checkpoint_statement(seq: u64, state: &Digest) -> Statement {
    let mut bytes = vec![CHECKPOINT];
    bytes.number(seq);
    bytes.digest(state);
    Statement::of(&bytes)
}

/// Proof that a checkpoint is stable: a quorum's signatures of the same state (OSDI '99 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Sequence number.
    pub seq: u64,
    /// Digest of the application's snapshot there.
    pub state: Digest,
    /// Who signed that, ascending.
    pub votes: Vec<(ReplicaId, Signature)>,
}

impl Certificate {
    /// Whether exactly a quorum of replicas signed. All signatures are checked as one batch, so that all
    /// replicas come to the same result.
    pub(crate) fn is_proof(&self, quorums: &Quorums, keys: &Keyring) -> bool {
        let ascending = self.votes.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if self.votes.len() != quorums.certificate() || !ascending {
            return false;
        }
        let statement = checkpoint_statement(self.seq, &self.state);
        let claims: Vec<Claim<'_>> = self
            .votes
            .iter()
            .map(|(by, signature)| Claim { by: *by, statement: statement.bytes(), signature })
            .collect();
        keys.verify_all(&claims)
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.number(self.seq);
        buffer.digest(&self.state);
        buffer.short(self.votes.len() as u32);
        for (replica, signature) in &self.votes {
            buffer.short(replica.0);
            buffer.signature(signature);
        }
    }

    pub(crate) fn encoded_len(&self) -> usize {
        8 + Digest::BYTES + 4 + 68 * self.votes.len()
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, WireError> {
        let (seq, state) = (reader.number()?, reader.digest()?);
        let votes = reader.list(68, |reader| Ok((reader.replica()?, reader.signature()?)))?;
        Ok(Certificate { seq, state, votes })
    }
}

/// That a replica saw a batch at a sequence number in a view: an element of the sets P and Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Sequence number.
    pub seq: u64,
    /// View.
    pub view: u64,
    /// Digest of the batch.
    pub digest: Digest,
}

/// A VIEW-CHANGE message: what a replica brings into a new view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewChange {
    /// The view that it wants to enter.
    pub view: u64,
    /// Its last stable checkpoint with the proof; none at the very beginning.
    pub stable: Option<Arc<Certificate>>,
    /// The set P: for each sequence number above that, what it prepared last. Ascending.
    pub prepared: Vec<Seen>,
    /// The set Q: every batch that it pre-prepared there, with the last view in which it did. Ascending.
    pub preprepared: Vec<Seen>,
    /// Who says so.
    pub replica: ReplicaId,
    /// Its signature.
    pub signature: Signature,
}

impl ViewChange {
    pub(crate) fn signed(mut self, keys: &Keyring) -> Self {
        self.signature = keys.sign(self.statement().bytes());
        self
    }

    pub(crate) fn is_signed(&self, keys: &Keyring) -> bool {
        keys.verify(self.replica, self.statement().bytes(), &self.signature)
    }

    /// The sequence number of its stable checkpoint.
    pub fn low(&self) -> u64 {
        self.stable.as_ref().map_or(0, |stable| stable.seq)
    }

    /// Whether it makes sense by itself: sets in order, within the watermarks, of earlier views, and the
    /// checkpoint proved. What the sets claim is weighed by [`decide`](crate::decision::decide).
    pub(crate) fn is_well_formed(&self, log_window: u64, quorums: &Quorums, keys: &Keyring) -> bool {
        let low = self.low();
        let within = |seen: &Seen| {
            seen.seq > low && seen.seq <= low.saturating_add(log_window) && seen.view < self.view
        };
        let once = self.prepared.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        let ascending = self.preprepared.windows(2).all(|pair| pair[0].seq <= pair[1].seq);
        let proved =
            self.stable.as_ref().is_none_or(|stable| stable.seq > 0 && stable.is_proof(quorums, keys));
        once && ascending && self.prepared.iter().chain(&self.preprepared).all(within) && proved
    }

    fn statement(&self) -> Statement {
        let mut bytes = vec![VIEW_CHANGE];
        self.encode_content(&mut bytes);
        Statement::of(&bytes)
    }

    fn encode_content(&self, buffer: &mut Vec<u8>) {
        buffer.number(self.view);
        buffer.short(self.replica.0);
        buffer.push(u8::from(self.stable.is_some()));
        if let Some(stable) = &self.stable {
            stable.encode(buffer);
        }
        for set in [&self.prepared, &self.preprepared] {
            buffer.short(set.len() as u32);
            for seen in set {
                buffer.number(seen.seq);
                buffer.number(seen.view);
                buffer.digest(&seen.digest);
            }
        }
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        self.encode_content(buffer);
        buffer.signature(&self.signature);
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let stable = self.stable.as_ref().map_or(0, |stable| stable.encoded_len());
        8 + 4 + 1 + stable + 8 + 48 * (self.prepared.len() + self.preprepared.len()) + 64
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, WireError> {
        let (view, replica) = (reader.number()?, reader.replica()?);
        let stable = match reader.byte()? {
            0 => None,
            1 => Some(Arc::new(Certificate::decode(reader)?)),
            other => return Err(reader.malformed(format!("{other} is no flag"))),
        };
        let seen = |reader: &mut Reader| {
            Ok(Seen { seq: reader.number()?, view: reader.number()?, digest: reader.digest()? })
        };
        let (prepared, preprepared) = (reader.list(48, seen)?, reader.list(48, seen)?);
        Ok(ViewChange { view, stable, prepared, preprepared, replica, signature: reader.signature()? })
    }
}

/// A NEW-VIEW message: the view changes that a new primary has, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewView {
    /// The view that begins.
    pub view: u64,
    /// The set V: view changes of a quorum or more, by replica.
    pub changes: Vec<Arc<ViewChange>>,
    /// The set O: which batch each sequence number above the chosen checkpoint gets.
    pub chosen: Vec<(u64, Digest)>,
    /// The new primary's signature.
    pub signature: Signature,
}

impl NewView {
    pub(crate) fn signed(mut self, keys: &Keyring) -> Self {
        self.signature = keys.sign(self.statement().bytes());
        self
    }

    pub(crate) fn is_signed(&self, primary: ReplicaId, keys: &Keyring) -> bool {
        keys.verify(primary, self.statement().bytes(), &self.signature)
    }

    fn statement(&self) -> Statement {
        let mut bytes = vec![NEW_VIEW];
        self.encode_content(&mut bytes);
        Statement::of(&bytes)
    }

    fn encode_content(&self, buffer: &mut Vec<u8>) {
        buffer.number(self.view);
        buffer.short(self.changes.len() as u32);
        self.changes.iter().for_each(|change| change.encode(buffer));
        buffer.short(self.chosen.len() as u32);
        for (seq, digest) in &self.chosen {
            buffer.number(*seq);
            buffer.digest(digest);
        }
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        self.encode_content(buffer);
        buffer.signature(&self.signature);
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let changes = self.changes.iter().map(|change| change.encoded_len()).sum::<usize>();
        8 + 4 + changes + 4 + 40 * self.chosen.len() + 64
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, WireError> {
        let view = reader.number()?;
        let changes = reader.list(80, |reader| ViewChange::decode(reader).map(Arc::new))?;
        let chosen = reader.list(40, |reader| Ok((reader.number()?, reader.digest()?)))?;
        Ok(NewView { view, changes, chosen, signature: reader.signature()? })
    }
}
