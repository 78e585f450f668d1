//! What replicas tell each other, and what of it is authenticated.

use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Command, Message, MessageKind, ReplicaId};

use crate::authenticator::{Digest, Proof};
use crate::batch::Batch;
use crate::certificates::{Certificate, CheckpointVote, NewView, ViewChange};

/// A message with the proof that it is its sender's.
#[derive(Clone, Debug, PartialEq)]
pub struct PbftMessage {
    /// What it says.
    pub body: Body,
    /// Why to believe who said it.
    pub proof: Proof,
}

/// That the sender votes for a batch at a sequence number in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// View.
    pub view: u64,
    /// Sequence number.
    pub seq: u64,
    /// Digest of the batch.
    pub digest: Digest,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its view.
    pub view: u64,
    /// Whether it has entered that view; it waits for a NEW-VIEW otherwise.
    pub active: bool,
    /// Its last stable checkpoint.
    pub stable: u64,
    /// The last sequence number that it executed.
    pub executed: u64,
    /// It has something to do and got nowhere since its last status: others are to send what it may lack.
    pub stuck: bool,
}

/// What a message says. Sections are those of the OSDI '99 paper.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The primary puts a batch at a sequence number (§4.2).
    PrePrepare {
        /// View.
        view: u64,
        /// Sequence number.
        seq: u64,
        /// The requests' names; the requests come from the clients.
        batch: Batch,
    },
    /// A backup accepted that (§4.2).
    Prepare(Vote),
    /// A replica knows that a quorum accepted that (§4.2).
    Commit(Vote),
    /// The sender knows that this batch is committed, in whichever view: with f + 1 such messages, one of them
    /// of an honest replica, a replica that missed the phases knows it too.
    Committed {
        /// Sequence number.
        seq: u64,
        /// Digest of the batch.
        digest: Digest,
    },
    /// A replica's state after a sequence number (§4.3).
    Checkpoint(CheckpointVote),
    /// A replica wants another primary (§4.4).
    ViewChange(Arc<ViewChange>),
    /// The new primary begins its view (§4.4).
    NewView(Arc<NewView>),
    /// How far the sender is (§5.2 of the TOCS paper: retransmission by the receiver's status).
    Status(Status),
    /// A checkpoint is stable: whoever is behind it has to fetch its state.
    Stable(Arc<Certificate>),
    /// Asks for a batch and for some of its requests.
    Fetch {
        /// Sequence number.
        seq: u64,
        /// The batch's digest.
        digest: Digest,
        /// Places of the requests that are missed; without any, only the names are asked for.
        missing: Vec<u32>,
    },
    /// The answer to that.
    Content {
        /// Sequence number.
        seq: u64,
        /// The batch.
        batch: Batch,
        /// Requests by their places.
        requests: Vec<(u32, Command)>,
    },
    /// Asks for the state at a stable checkpoint, this one or a later one.
    FetchState {
        /// The checkpoint.
        seq: u64,
    },
    /// The answer to that.
    State {
        /// Proof of what the state's digest is.
        certificate: Arc<Certificate>,
        /// The application's state.
        snapshot: Bytes,
    },
}

/// The bytes that a proof is about: the message, or its digest when it is long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    bytes: [u8; Statement::LONGEST],
    length: usize,
}

impl Statement {
    /// One block of the hash function.
    const LONGEST: usize = 64;
    /// Before a digest; no message begins with it.
    pub(crate) const DIGESTED: u8 = 255;

    pub(crate) fn of(encoded: &[u8]) -> Self {
        let mut bytes = [0; Self::LONGEST];
        if encoded.len() <= Self::LONGEST {
            bytes[..encoded.len()].copy_from_slice(encoded);
            return Statement { bytes, length: encoded.len() };
        }
        bytes[0] = Self::DIGESTED;
        bytes[1..=Digest::BYTES].copy_from_slice(&Digest::of(encoded).0);
        Statement { bytes, length: 1 + Digest::BYTES }
    }

    pub(crate) fn of_vote(tag: u8, vote: &Vote) -> Self {
        let mut bytes = [0; Self::LONGEST];
        bytes[0] = tag;
        bytes[1..9].copy_from_slice(&vote.view.to_le_bytes());
        bytes[9..17].copy_from_slice(&vote.seq.to_le_bytes());
        bytes[17..49].copy_from_slice(&vote.digest.0);
        Statement { bytes, length: 49 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Body {
    pub(crate) const PRE_PREPARE: u8 = 0;
    pub(crate) const PREPARE: u8 = 1;
    pub(crate) const COMMIT: u8 = 2;
    pub(crate) const CHECKPOINT: u8 = 3;
    pub(crate) const VIEW_CHANGE: u8 = 4;
    pub(crate) const NEW_VIEW: u8 = 5;
    pub(crate) const STATUS: u8 = 6;
    pub(crate) const STABLE: u8 = 7;
    pub(crate) const FETCH: u8 = 8;
    pub(crate) const CONTENT: u8 = 9;
    pub(crate) const FETCH_STATE: u8 = 10;
    pub(crate) const STATE: u8 = 11;
    pub(crate) const COMMITTED: u8 = 12;

    /// Whether it carries the signatures that make it believable, whoever passes it on.
    pub fn proves_itself(&self) -> bool {
        use Body::{Checkpoint, NewView, Stable, ViewChange};
        matches!(self, Checkpoint(_) | ViewChange(_) | NewView(_) | Stable(_))
    }

    /// Whether the sender is bound by it, so that a restart must not make it forget.
    pub(crate) fn is_promise(&self) -> bool {
        use Body::{Checkpoint, Commit, NewView, PrePrepare, Prepare, ViewChange};
        matches!(
            self,
            PrePrepare { .. } | Prepare(_) | Commit(_) | Checkpoint(_) | ViewChange(_) | NewView(_)
        )
    }

    /// What the sender's proof is about. A batch is in it by its digest, which the receiver checks.
    pub(crate) fn statement(&self) -> Statement {
        match self {
            Body::PrePrepare { view, seq, batch } => {
                let vote = Vote { view: *view, seq: *seq, digest: batch.digest() };
                Statement::of_vote(Self::PRE_PREPARE, &vote)
            }
            Body::Prepare(vote) => Statement::of_vote(Self::PREPARE, vote),
            Body::Commit(vote) => Statement::of_vote(Self::COMMIT, vote),
            _ => {
                let mut encoded = Vec::with_capacity(self.encoded_len());
                self.encode(&mut encoded);
                Statement::of(&encoded)
            }
        }
    }
}

impl Message for PbftMessage {
    fn kind(&self) -> MessageKind {
        match self.body {
            Body::Status(_) => MessageKind::Heartbeat,
            Body::Committed { .. }
            | Body::Stable(_)
            | Body::Fetch { .. }
            | Body::Content { .. }
            | Body::FetchState { .. }
            | Body::State { .. } => MessageKind::StateTransfer,
            _ => MessageKind::Protocol,
        }
    }
}

/// Who leads a view (§4.1 of the paper: p = v mod |R|).
pub(crate) fn primary_of(view: u64, replicas: usize) -> ReplicaId {
    ReplicaId((view % replicas as u64) as u32)
}
