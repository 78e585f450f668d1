//! Messages in bytes.

use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Command, Wire, WireError};

use crate::authenticator::{Digest, Proof};
use crate::batch::Batch;
use crate::certificates::{Certificate, CheckpointVote, NewView, ViewChange};
use crate::encoding::{Put, Reader};
use crate::messages::{Body, PbftMessage, Statement, Status, Vote};

impl Body {
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Body::PrePrepare { view, seq, batch } => {
                buffer.push(Self::PRE_PREPARE);
                buffer.number(*view);
                buffer.number(*seq);
                put_batch(batch, buffer);
            }
            Body::Prepare(vote) => put_vote(Self::PREPARE, vote, buffer),
            Body::Commit(vote) => put_vote(Self::COMMIT, vote, buffer),
            Body::Committed { seq, digest } => {
                buffer.push(Self::COMMITTED);
                buffer.number(*seq);
                buffer.digest(digest);
            }
            Body::Checkpoint(vote) => {
                buffer.push(Self::CHECKPOINT);
                vote.encode(buffer);
            }
            Body::ViewChange(change) => {
                buffer.push(Self::VIEW_CHANGE);
                change.encode(buffer);
            }
            Body::NewView(new_view) => {
                buffer.push(Self::NEW_VIEW);
                new_view.encode(buffer);
            }
            Body::Status(status) => {
                buffer.push(Self::STATUS);
                buffer.number(status.view);
                buffer.number(status.stable);
                buffer.number(status.executed);
                buffer.push(u8::from(status.active) | u8::from(status.stuck) << 1);
            }
            Body::Stable(certificate) => {
                buffer.push(Self::STABLE);
                certificate.encode(buffer);
            }
            Body::Fetch { seq, digest, missing } => {
                buffer.push(Self::FETCH);
                buffer.number(*seq);
                buffer.digest(digest);
                buffer.short(missing.len() as u32);
                missing.iter().for_each(|&place| buffer.short(place));
            }
            Body::Content { seq, batch, requests } => {
                buffer.push(Self::CONTENT);
                buffer.number(*seq);
                put_batch(batch, buffer);
                buffer.short(requests.len() as u32);
                for (place, command) in requests {
                    buffer.short(*place);
                    buffer.short(command.encoded_len() as u32);
                    command.encode(buffer);
                }
            }
            Body::FetchState { seq } => {
                buffer.push(Self::FETCH_STATE);
                buffer.number(*seq);
            }
            Body::State { certificate, snapshot } => {
                buffer.push(Self::STATE);
                certificate.encode(buffer);
                buffer.block(snapshot);
            }
        }
    }

    pub(crate) fn encoded_len(&self) -> usize {
        const VOTE: usize = 48;
        1 + match self {
            Body::PrePrepare { batch, .. } => 16 + batch_len(batch),
            Body::Prepare(_) | Body::Commit(_) => VOTE,
            Body::Committed { .. } => 8 + Digest::BYTES,
            Body::Checkpoint(_) => CheckpointVote::BYTES,
            Body::ViewChange(change) => change.encoded_len(),
            Body::NewView(new_view) => new_view.encoded_len(),
            Body::Status(_) => 25,
            Body::Stable(certificate) => certificate.encoded_len(),
            Body::Fetch { missing, .. } => 44 + 4 * missing.len(),
            Body::Content { batch, requests, .. } => {
                let requests = requests.iter().map(|(_, command)| 8 + command.encoded_len());
                12 + batch_len(batch) + requests.sum::<usize>()
            }
            Body::FetchState { .. } => 8,
            Body::State { certificate, snapshot } => certificate.encoded_len() + 4 + snapshot.len(),
        }
    }

    fn decode(reader: &mut Reader) -> Result<Body, WireError> {
        Ok(match reader.byte()? {
            Self::PRE_PREPARE => {
                Body::PrePrepare { view: reader.number()?, seq: reader.number()?, batch: get_batch(reader)? }
            }
            Self::PREPARE => Body::Prepare(get_vote(reader)?),
            Self::COMMIT => Body::Commit(get_vote(reader)?),
            Self::COMMITTED => Body::Committed { seq: reader.number()?, digest: reader.digest()? },
            Self::CHECKPOINT => Body::Checkpoint(CheckpointVote::decode(reader)?),
            Self::VIEW_CHANGE => Body::ViewChange(Arc::new(ViewChange::decode(reader)?)),
            Self::NEW_VIEW => Body::NewView(Arc::new(NewView::decode(reader)?)),
            Self::STATUS => {
                let (view, stable, executed) = (reader.number()?, reader.number()?, reader.number()?);
                let flags = reader.byte()?;
                let (active, stuck) = (flags & 1 != 0, flags & 2 != 0);
                Body::Status(Status { view, active, stable, executed, stuck })
            }
            Self::STABLE => Body::Stable(Arc::new(Certificate::decode(reader)?)),
            Self::FETCH => Body::Fetch {
                seq: reader.number()?,
                digest: reader.digest()?,
                missing: reader.list(4, Reader::short)?,
            },
            Self::CONTENT => {
                let (seq, batch) = (reader.number()?, get_batch(reader)?);
                let request = |reader: &mut Reader| Ok((reader.short()?, Command::decode(reader.block()?)?));
                Body::Content { seq, batch, requests: reader.list(8, request)? }
            }
            Self::FETCH_STATE => Body::FetchState { seq: reader.number()? },
            Self::STATE => {
                Body::State { certificate: Arc::new(Certificate::decode(reader)?), snapshot: reader.block()? }
            }
            other => return Err(reader.malformed(format!("unknown kind {other}"))),
        })
    }
}

pub(crate) fn put_batch(batch: &Batch, buffer: &mut Vec<u8>) {
    buffer.digest(&batch.digest());
    buffer.block(batch.bytes());
}

pub(crate) fn get_batch(reader: &mut Reader) -> Result<Batch, WireError> {
    let (digest, entries) = (reader.digest()?, reader.block()?);
    let length = entries.len();
    Batch::claimed(digest, entries)
        .ok_or_else(|| reader.malformed(format!("{length} bytes are no whole number of entries")))
}

pub(crate) fn batch_len(batch: &Batch) -> usize {
    Digest::BYTES + 4 + batch.bytes().len()
}

fn put_vote(tag: u8, vote: &Vote, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(Statement::of_vote(tag, vote).bytes());
}

fn get_vote(reader: &mut Reader) -> Result<Vote, WireError> {
    Ok(Vote { view: reader.number()?, seq: reader.number()?, digest: reader.digest()? })
}

impl Wire for PbftMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match &self.proof {
            Proof::Inside => buffer.push(0),
            Proof::Tag(tag) => {
                buffer.push(1);
                buffer.extend_from_slice(tag);
            }
            Proof::Signature(signature) => {
                buffer.push(2);
                buffer.signature(signature);
            }
        }
        self.body.encode(buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new("pbft message", bytes);
        let proof = match reader.byte()? {
            0 => Proof::Inside,
            1 => Proof::Tag(reader.array()?),
            2 => Proof::Signature(reader.signature()?),
            other => return Err(reader.malformed(format!("unknown kind of proof {other}"))),
        };
        let body = Body::decode(&mut reader)?;
        reader.end()?;
        Ok(PbftMessage { body, proof })
    }

    fn encoded_len(&self) -> usize {
        let proof = match &self.proof {
            Proof::Inside => 0,
            Proof::Tag(tag) => tag.len(),
            Proof::Signature(_) => 64,
        };
        1 + proof + self.body.encoded_len()
    }
}

#[cfg(test)]
mod tests {
    use protocol_core::{CommandId, ReplicaId};

    use super::*;
    use crate::authenticator::{KeySource, Signature, SignatureScheme};
    use crate::batch::Entry;
    use crate::certificates::Seen;

    /// One message of every kind.
    pub(crate) fn examples() -> Vec<Body> {
        let keys = KeySource::new(SignatureScheme::Ed25519, 1, 4).keyring(ReplicaId(2));
        let digest = Digest::of(b"state");
        let batch = Batch::of((0..3).map(|id| Entry { id: CommandId(id), digest }));
        let vote = Vote { view: 3, seq: 4, digest };
        let checkpoint = CheckpointVote::new(128, digest, &keys);
        let votes = vec![(ReplicaId(2), checkpoint.signature); 3];
        let certificate = Arc::new(Certificate { seq: 128, state: digest, votes });
        let seen = Seen { seq: 129, view: 2, digest };
        let change = ViewChange {
            view: 3,
            stable: Some(certificate.clone()),
            prepared: vec![seen],
            preprepared: vec![seen, seen],
            replica: ReplicaId(2),
            signature: Signature::from_bytes(&[0; 64]),
        };
        let first = Arc::new(ViewChange { stable: None, ..change.clone() }.signed(&keys));
        let changes = vec![first, Arc::new(change.signed(&keys))];
        let signature = Signature::from_bytes(&[0; 64]);
        let new_view = NewView { view: 3, changes: changes.clone(), chosen: vec![(129, digest)], signature };
        vec![
            Body::PrePrepare { view: 3, seq: 4, batch: batch.clone() },
            Body::Prepare(vote),
            Body::Commit(vote),
            Body::Committed { seq: 4, digest },
            Body::Checkpoint(checkpoint),
            Body::ViewChange(changes[0].clone()),
            Body::ViewChange(changes[1].clone()),
            Body::NewView(Arc::new(new_view.signed(&keys))),
            Body::Status(Status { view: 3, active: true, stable: 128, executed: 130, stuck: false }),
            Body::Stable(certificate.clone()),
            Body::Fetch { seq: 4, digest, missing: vec![0, 2] },
            Body::Content { seq: 4, batch, requests: vec![(1, Command::new(CommandId(1), b"payload"))] },
            Body::FetchState { seq: 128 },
            Body::State { certificate, snapshot: Bytes::from_static(b"state") },
        ]
    }

    #[test]
    fn messages_decode_to_themselves_know_their_length_and_bear_no_cut() {
        let keys = KeySource::new(SignatureScheme::Ed25519, 1, 4).keyring(ReplicaId(2));
        let proofs = [Proof::Inside, Proof::Tag([7; 16]), Proof::Signature(keys.sign(b"x"))];
        for (body, proof) in examples().into_iter().flat_map(|body| proofs.map(|proof| (body.clone(), proof)))
        {
            let message = PbftMessage { body, proof };
            let mut buffer = Vec::new();
            message.encode(&mut buffer);
            assert_eq!(buffer.len(), message.encoded_len(), "{message:?}");
            for cut in 0..buffer.len() {
                let cut = PbftMessage::decode(Bytes::copy_from_slice(&buffer[..cut]));
                assert!(cut.is_err(), "{message:?}");
            }
            let longer = [&buffer[..], &[0]].concat();
            assert!(PbftMessage::decode(longer.into()).is_err());
            assert_eq!(PbftMessage::decode(buffer.into()).unwrap(), message);
        }
    }

    #[test]
    fn no_two_messages_are_authenticated_by_the_same_bytes() {
        let statements: std::collections::BTreeSet<Vec<u8>> =
            examples().iter().map(|body| body.statement().bytes().to_vec()).collect();
        assert_eq!(statements.len(), examples().len());
    }
}
