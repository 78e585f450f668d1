//! What a replica writes to its log: what it and others said at the height at hand, and what was decided.

use bytes::Bytes;
use malachitebft_core_consensus::Input;
use malachitebft_core_types::{
    PolkaCertificate, Round, SignedMessage, SignedProposal, SignedVote, Timeout, TimeoutKind,
};
use protocol_core::{ReplicaId, Wire, WireError};

use crate::codec::{Reader, U8, U32, U64, Writer, bytes_len, proposal_len, vote_len};
use crate::context::{BatchId, Chain, Height};
use crate::messages::{
    Decision, Snapshot, polka_len, read_certificate, read_polka, write_certificate, write_polka,
};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A vote, this replica's own or one that it counted.
    Vote(SignedVote<Chain>),
    /// A proposal, this replica's own or one that it accepted.
    Proposal(SignedProposal<Chain>),
    /// A certificate of prevotes that it accepted.
    Polka(PolkaCertificate<Chain>),
    /// A step that took too long.
    Timeout(Height, Timeout),
    /// The batch of a proposal of this height, which is in the log, was decided.
    Decided {
        /// Where.
        height: Height,
        /// The round of the precommits.
        round: Round,
        /// What.
        batch: BatchId,
        /// As in [`Decision`].
        certificate: Vec<(ReplicaId, Bytes)>,
    },
    /// A batch was decided, as another replica told.
    Learned(Decision),
    /// The application's state, in place of everything up to its height.
    Snapshot(Snapshot),
}

impl Record {
    /// What the library wants to have in its log; nothing for what this log has in another form. The
    /// batch that a replica proposes is in its proposal, written in the same round.
    pub(crate) fn of_input(height: Height, input: &Input<Chain>) -> Option<Record> {
        match input {
            Input::Vote(vote) => Some(Record::Vote(vote.clone())),
            Input::Proposal(proposal) => Some(Record::Proposal(proposal.clone())),
            Input::PolkaCertificate(certificate) => Some(Record::Polka(certificate.clone())),
            Input::TimeoutElapsed(timeout) => Some(Record::Timeout(height, *timeout)),
            _ => None,
        }
    }

    /// The height that it is about.
    pub(crate) fn height(&self) -> Height {
        match self {
            Record::Vote(vote) => vote.message.height,
            Record::Proposal(proposal) => proposal.message.height,
            Record::Polka(certificate) => certificate.height,
            Record::Timeout(height, _) | Record::Decided { height, .. } => *height,
            Record::Learned(decision) => decision.height,
            Record::Snapshot(snapshot) => snapshot.height,
        }
    }

    /// What to give the library again after a restart.
    pub(crate) fn into_input(self) -> Option<Input<Chain>> {
        match self {
            Record::Vote(vote) => Some(Input::Vote(vote)),
            Record::Proposal(proposal) => Some(Input::Proposal(proposal)),
            Record::Polka(certificate) => Some(Input::PolkaCertificate(certificate)),
            Record::Timeout(_, timeout) => Some(Input::TimeoutElapsed(timeout)),
            Record::Decided { .. } | Record::Learned(_) | Record::Snapshot(_) => None,
        }
    }
}

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match self {
            Record::Vote(vote) => {
                writer.u8(0);
                writer.vote(vote);
                writer.bytes(&vote.signature);
            }
            Record::Proposal(proposal) => {
                writer.u8(1);
                writer.proposal(proposal);
                writer.bytes(&proposal.signature);
            }
            Record::Polka(certificate) => {
                writer.u8(2);
                write_polka(certificate, &mut writer);
            }
            Record::Timeout(height, timeout) => {
                writer.u8(3);
                writer.u64(height.0);
                writer.u8(step_number(timeout.kind));
                writer.round(timeout.round);
            }
            Record::Decided { height, round, batch, certificate } => {
                writer.u8(4);
                writer.u64(height.0);
                writer.round(*round);
                writer.batch_id(*batch);
                write_certificate(certificate, &mut writer);
            }
            Record::Learned(decision) => {
                writer.u8(5);
                decision.write(&mut writer);
            }
            Record::Snapshot(snapshot) => {
                writer.u8(6);
                writer.u64(snapshot.height.0);
                writer.bytes(&snapshot.state);
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "tendermint log record", bytes };
        let record = match reader.u8()? {
            0 => Record::Vote(SignedMessage::new(reader.vote()?, reader.bytes()?)),
            1 => Record::Proposal(SignedMessage::new(reader.proposal()?, reader.bytes()?)),
            2 => Record::Polka(read_polka(&mut reader)?),
            3 => {
                let (height, kind) = (reader.height()?, read_step(&mut reader)?);
                Record::Timeout(height, Timeout::new(reader.round()?, kind))
            }
            4 => {
                let (height, round, batch) = (reader.height()?, reader.round()?, reader.batch_id()?);
                Record::Decided { height, round, batch, certificate: read_certificate(&mut reader)? }
            }
            5 => Record::Learned(Decision::read(&mut reader)?),
            6 => {
                let (height, state) = (reader.height()?, reader.bytes()?);
                Record::Snapshot(Snapshot { height, state })
            }
            other => return Err(reader.malformed(format!("unknown tag {other}"))),
        };
        reader.end(record)
    }

    fn encoded_len(&self) -> usize {
        U8 + match self {
            Record::Vote(vote) => vote_len(vote) + bytes_len(&vote.signature),
            Record::Proposal(proposal) => proposal_len(proposal) + bytes_len(&proposal.signature),
            Record::Polka(certificate) => polka_len(certificate),
            Record::Timeout(..) => U64 + U8 + U32,
            Record::Decided { certificate, .. } => {
                let signatures: usize = certificate.iter().map(|(_, proof)| U32 + bytes_len(proof)).sum();
                U64 + U32 + BatchId::BYTES + U32 + signatures
            }
            Record::Learned(decision) => decision.encoded_len(),
            Record::Snapshot(snapshot) => U64 + bytes_len(&snapshot.state),
        }
    }
}

/// The steps whose time-outs are logged, in the order of their numbers.
const STEPS: [TimeoutKind; 3] = [TimeoutKind::Propose, TimeoutKind::Prevote, TimeoutKind::Precommit];

/// The library logs no other time-outs than those.
fn step_number(kind: TimeoutKind) -> u8 {
    STEPS.iter().position(|&step| step == kind).unwrap_or(STEPS.len()) as u8
}

fn read_step(reader: &mut Reader) -> Result<TimeoutKind, WireError> {
    let number = reader.u8()?;
    let kind = STEPS.get(usize::from(number)).copied();
    kind.ok_or_else(|| reader.malformed(format!("unknown step {number}")))
}

#[cfg(test)]
mod tests {
    use malachitebft_core_types::{NilOrVal, PolkaSignature, VoteType};
    use protocol_core::{Command, CommandId};

    use super::*;
    use crate::context::{Address, Batch, Proposal, Vote};

    fn records() -> Vec<Record> {
        let (height, round, proof) = (Height(7), Round::new(2), Bytes::from_static(b"proof"));
        let commands = (0..3).map(|id| Command::new(CommandId(id), &[id as u8; 20])).collect();
        let batch = Batch::new(commands);
        let id = malachitebft_core_types::Value::id(&batch);
        let voter = Address(ReplicaId(3));
        let vote = |kind, batch| {
            let vote = Vote { kind, height, round, batch, voter };
            Record::Vote(SignedMessage::new(vote, proof.clone()))
        };
        let proposal =
            Proposal { height, round, batch: batch.clone(), pol_round: Round::Nil, proposer: voter };
        let certificate = vec![(ReplicaId(0), proof.clone()), (ReplicaId(1), proof.clone())];
        let polka_signatures = vec![PolkaSignature::new(voter, proof.clone())];
        vec![
            vote(VoteType::Prevote, NilOrVal::Nil),
            vote(VoteType::Precommit, NilOrVal::Val(id)),
            Record::Proposal(SignedMessage::new(proposal, proof.clone())),
            Record::Polka(PolkaCertificate { height, round, value_id: id, polka_signatures }),
            Record::Timeout(height, Timeout::precommit(round)),
            Record::Decided { height, round, batch: id, certificate: certificate.clone() },
            Record::Learned(Decision { height, round, batch, certificate }),
            Record::Snapshot(Snapshot { height, state: proof }),
        ]
    }

    #[test]
    fn records_decode_to_themselves_and_know_their_length() {
        for record in records() {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            assert_eq!(buffer.len(), record.encoded_len(), "{record:?}");
            assert_eq!(Record::decode(buffer.into()).unwrap(), record);
        }
    }

    #[test]
    fn a_record_cut_short_or_with_a_tail_is_an_error() {
        for record in records() {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            for cut in 0..buffer.len() {
                assert!(
                    Record::decode(Bytes::copy_from_slice(&buffer[..cut])).is_err(),
                    "{record:?} at {cut}"
                );
            }
            buffer.push(0);
            assert!(Record::decode(buffer.into()).is_err(), "{record:?}");
        }
    }
}
