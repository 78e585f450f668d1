//! What replicas tell each other.

use std::sync::Arc;

use bytes::Bytes;
use malachitebft_core_types::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, SignedProposal, SignedVote, VoteType,
};
use protocol_core::{Command, Message, MessageKind, ReplicaId, Wire, WireError};

use crate::codec::{
    Reader, U8, U32, U64, Writer, batch_len, bytes_len, commands_len, proposal_len, vote_len,
};
use crate::context::{Address, Batch, BatchId, Chain, Height};

/// A batch that was decided, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where.
    pub height: Height,
    /// The round of the precommits.
    pub round: Round,
    /// What.
    pub batch: Batch,
    /// Proofs of precommits of +2/3 of the replicas.
    pub certificate: Vec<(ReplicaId, Bytes)>,
}

impl Decision {
    pub(crate) fn encoded_len(&self) -> usize {
        let signatures: usize = self.certificate.iter().map(|(_, proof)| U32 + bytes_len(proof)).sum();
        U64 + U32 + batch_len(&self.batch) + U32 + signatures
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u64(self.height.0);
        writer.round(self.round);
        writer.batch(&self.batch);
        write_certificate(&self.certificate, writer);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let (height, round, batch) = (reader.height()?, reader.round()?, reader.batch()?);
        Ok(Decision { height, round, batch, certificate: read_certificate(reader)? })
    }
}

pub(crate) fn write_certificate(certificate: &[(ReplicaId, Bytes)], writer: &mut Writer<'_>) {
    writer.u32(certificate.len() as u32);
    for (signer, proof) in certificate {
        writer.u32(signer.0);
        writer.bytes(proof);
    }
}

pub(crate) fn read_certificate(reader: &mut Reader) -> Result<Vec<(ReplicaId, Bytes)>, WireError> {
    (0..reader.u32()?).map(|_| Ok((reader.replica()?, reader.bytes()?))).collect()
}

/// The application's state after a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last height whose commands are in it.
    pub height: Height,
    /// The state.
    pub state: Bytes,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TendermintMessage {
    /// A prevote or precommit.
    Vote(SignedVote<Chain>),
    /// A proposal with its batch.
    Proposal(SignedProposal<Chain>),
    /// That +2/3 prevoted for a batch, for a replica that missed it.
    Polka(Arc<PolkaCertificate<Chain>>),
    /// That a round is over, or that enough are in a later one.
    Round(Arc<RoundCertificate<Chain>>),
    /// Commands that wait here while a round makes no progress: others may not have them.
    Relay(Arc<[Command]>),
    /// The height that the sender is to decide next.
    Status(Height),
    /// Decided batches in order of height, for a replica that fell behind.
    Decisions(Arc<[Arc<Decision>]>),
    /// State for a replica that fell further behind.
    Snapshot(Snapshot),
}

impl Wire for TendermintMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match self {
            TendermintMessage::Vote(vote) => {
                writer.u8(0);
                writer.vote(vote);
                writer.bytes(&vote.signature);
            }
            TendermintMessage::Proposal(proposal) => {
                writer.u8(1);
                writer.proposal(proposal);
                writer.bytes(&proposal.signature);
            }
            TendermintMessage::Polka(certificate) => {
                writer.u8(2);
                write_polka(certificate, &mut writer);
            }
            TendermintMessage::Round(certificate) => {
                writer.u8(3);
                write_round(certificate, &mut writer);
            }
            TendermintMessage::Relay(commands) => {
                writer.u8(4);
                writer.commands(commands);
            }
            TendermintMessage::Status(height) => {
                writer.u8(5);
                writer.u64(height.0);
            }
            TendermintMessage::Decisions(decisions) => {
                writer.u8(6);
                writer.u32(decisions.len() as u32);
                decisions.iter().for_each(|decision| decision.write(&mut writer));
            }
            TendermintMessage::Snapshot(snapshot) => {
                writer.u8(7);
                writer.u64(snapshot.height.0);
                writer.bytes(&snapshot.state);
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "tendermint message", bytes };
        let message = match reader.u8()? {
            0 => TendermintMessage::Vote(SignedMessage::new(reader.vote()?, reader.bytes()?)),
            1 => TendermintMessage::Proposal(SignedMessage::new(reader.proposal()?, reader.bytes()?)),
            2 => TendermintMessage::Polka(Arc::new(read_polka(&mut reader)?)),
            3 => TendermintMessage::Round(Arc::new(read_round(&mut reader)?)),
            4 => TendermintMessage::Relay(reader.commands()?.into()),
            5 => TendermintMessage::Status(reader.height()?),
            6 => {
                let decision = |reader: &mut Reader| Decision::read(reader).map(Arc::new);
                let decisions = (0..reader.u32()?).map(|_| decision(&mut reader));
                TendermintMessage::Decisions(decisions.collect::<Result<_, _>>()?)
            }
            7 => {
                let (height, state) = (reader.height()?, reader.bytes()?);
                TendermintMessage::Snapshot(Snapshot { height, state })
            }
            other => return Err(reader.malformed(format!("unknown tag {other}"))),
        };
        reader.end(message)
    }

    fn encoded_len(&self) -> usize {
        U8 + match self {
            TendermintMessage::Vote(vote) => vote_len(vote) + bytes_len(&vote.signature),
            TendermintMessage::Proposal(proposal) => proposal_len(proposal) + bytes_len(&proposal.signature),
            TendermintMessage::Polka(certificate) => polka_len(certificate),
            TendermintMessage::Round(certificate) => {
                let vote = |vote: &RoundSignature<Chain>| {
                    let id = if vote.value_id.is_val() { BatchId::BYTES } else { 0 };
                    U8 + id + U32 + bytes_len(&vote.signature)
                };
                U64 + U32 + U8 + U32 + certificate.round_signatures.iter().map(vote).sum::<usize>()
            }
            TendermintMessage::Relay(commands) => {
                commands_len(commands.len(), commands.iter().map(|command| command.encoded().len()).sum())
            }
            TendermintMessage::Status(_) => U64,
            TendermintMessage::Decisions(decisions) => {
                U32 + decisions.iter().map(|decision| decision.encoded_len()).sum::<usize>()
            }
            TendermintMessage::Snapshot(snapshot) => U64 + bytes_len(&snapshot.state),
        }
    }
}

impl Message for TendermintMessage {
    fn kind(&self) -> MessageKind {
        match self {
            TendermintMessage::Status(_) => MessageKind::Heartbeat,
            TendermintMessage::Decisions(_) | TendermintMessage::Snapshot(_) => MessageKind::StateTransfer,
            _ => MessageKind::Protocol,
        }
    }
}

pub(crate) fn polka_len(certificate: &PolkaCertificate<Chain>) -> usize {
    let signature = |signature: &PolkaSignature<Chain>| U32 + bytes_len(&signature.signature);
    U64 + U32 + BatchId::BYTES + U32 + certificate.polka_signatures.iter().map(signature).sum::<usize>()
}

pub(crate) fn write_polka(certificate: &PolkaCertificate<Chain>, writer: &mut Writer<'_>) {
    writer.u64(certificate.height.0);
    writer.round(certificate.round);
    writer.batch_id(certificate.value_id);
    writer.u32(certificate.polka_signatures.len() as u32);
    for signature in &certificate.polka_signatures {
        writer.u32(signature.address.0.0);
        writer.bytes(&signature.signature);
    }
}

pub(crate) fn read_polka(reader: &mut Reader) -> Result<PolkaCertificate<Chain>, WireError> {
    let (height, round, value_id) = (reader.height()?, reader.round()?, reader.batch_id()?);
    let signature =
        |reader: &mut Reader| Ok(PolkaSignature::new(Address(reader.replica()?), reader.bytes()?));
    let polka_signatures = (0..reader.u32()?).map(|_| signature(reader)).collect::<Result<_, _>>()?;
    Ok(PolkaCertificate { height, round, value_id, polka_signatures })
}

fn write_round(certificate: &RoundCertificate<Chain>, writer: &mut Writer<'_>) {
    writer.u64(certificate.height.0);
    writer.round(certificate.round);
    writer.u8(u8::from(certificate.cert_type == RoundCertificateType::Precommit));
    writer.u32(certificate.round_signatures.len() as u32);
    for vote in &certificate.round_signatures {
        let precommit = u8::from(vote.vote_type == VoteType::Precommit);
        writer.u8(precommit | u8::from(vote.value_id.is_val()) << 1);
        if let NilOrVal::Val(id) = vote.value_id {
            writer.batch_id(id);
        }
        writer.u32(vote.address.0.0);
        writer.bytes(&vote.signature);
    }
}

fn read_round(reader: &mut Reader) -> Result<RoundCertificate<Chain>, WireError> {
    let (height, round) = (reader.height()?, reader.round()?);
    let cert_type = match reader.u8()? {
        0 => RoundCertificateType::Skip,
        1 => RoundCertificateType::Precommit,
        other => return Err(reader.malformed(format!("unknown kind {other} of round certificates"))),
    };
    let round_signatures = (0..reader.u32()?).map(|_| read_round_vote(reader)).collect::<Result<_, _>>()?;
    Ok(RoundCertificate { height, round, cert_type, round_signatures })
}

fn read_round_vote(reader: &mut Reader) -> Result<RoundSignature<Chain>, WireError> {
    let flags = reader.u8()?;
    let kind = if flags & 1 == 1 { VoteType::Precommit } else { VoteType::Prevote };
    let batch = match flags >> 1 {
        0 => NilOrVal::Nil,
        1 => NilOrVal::Val(reader.batch_id()?),
        _ => return Err(reader.malformed(format!("unknown vote flags {flags}"))),
    };
    Ok(RoundSignature::new(kind, batch, Address(reader.replica()?), reader.bytes()?))
}

#[cfg(test)]
mod tests {
    use malachitebft_core_types::Value;
    use protocol_core::CommandId;

    use super::*;
    use crate::context::{Proposal, Vote};

    fn messages() -> Vec<TendermintMessage> {
        let (height, round, proof) = (Height(7), Round::new(2), Bytes::from_static(b"proof"));
        let commands: Vec<_> = (0..3).map(|id| Command::new(CommandId(id), &[id as u8; 20])).collect();
        let batch = Batch::new(commands.clone());
        let (id, voter) = (batch.id(), Address(ReplicaId(3)));
        let vote = Vote { kind: VoteType::Precommit, height, round, batch: NilOrVal::Val(id), voter };
        let proposal =
            Proposal { height, round, batch: batch.clone(), pol_round: Round::new(0), proposer: voter };
        let polka_signatures = vec![PolkaSignature::new(voter, proof.clone())];
        let polka = PolkaCertificate { height, round, value_id: id, polka_signatures };
        let signed = |kind, batch| RoundSignature::new(kind, batch, voter, proof.clone());
        let round_signatures =
            vec![signed(VoteType::Prevote, NilOrVal::Nil), signed(VoteType::Precommit, NilOrVal::Val(id))];
        let cert_type = RoundCertificateType::Skip;
        let rounds = RoundCertificate { height, round, cert_type, round_signatures };
        let decision = Decision { height, round, batch, certificate: vec![(ReplicaId(1), proof.clone())] };
        vec![
            TendermintMessage::Vote(SignedMessage::new(vote, proof.clone())),
            TendermintMessage::Proposal(SignedMessage::new(proposal, proof.clone())),
            TendermintMessage::Polka(Arc::new(polka)),
            TendermintMessage::Round(Arc::new(rounds)),
            TendermintMessage::Relay(commands.into()),
            TendermintMessage::Status(height),
            TendermintMessage::Decisions([Arc::new(decision)].into()),
            TendermintMessage::Snapshot(Snapshot { height, state: proof }),
        ]
    }

    #[test]
    fn messages_decode_to_themselves_and_know_their_length() {
        for message in messages() {
            let mut buffer = Vec::new();
            message.encode(&mut buffer);
            assert_eq!(buffer.len(), message.encoded_len(), "{message:?}");
            for cut in 0..buffer.len() {
                let short = Bytes::copy_from_slice(&buffer[..cut]);
                assert!(TendermintMessage::decode(short).is_err(), "{message:?} at {cut}");
            }
            assert_eq!(TendermintMessage::decode(buffer.into()).unwrap(), message);
        }
    }
}
