//! How values are laid out in bytes: fixed-width little-endian numbers, and a length before what varies.

use bytes::{Buf, Bytes};
use malachitebft_core_types::{NilOrVal, Round, Value, VoteType};
use protocol_core::{Command, ReplicaId, WireError};

use crate::context::{Address, Batch, BatchId, Height, Proposal, Vote};

pub(crate) const U8: usize = 1;
pub(crate) const U32: usize = 4;
pub(crate) const U64: usize = 8;
/// What [`vote`](Writer::vote) appends when the vote is for no batch.
const NIL_VOTE: usize = U8 + U64 + U32 + U32;

/// Bytes of what varies in length.
pub(crate) fn bytes_len(bytes: &Bytes) -> usize {
    U32 + bytes.len()
}

pub(crate) fn batch_len(batch: &Batch) -> usize {
    BatchId::BYTES + commands_len(batch.commands().len(), batch.command_bytes())
}

pub(crate) fn commands_len(count: usize, bytes: usize) -> usize {
    U32 + count * U32 + bytes
}

pub(crate) fn vote_len(vote: &Vote) -> usize {
    NIL_VOTE + if vote.batch.is_val() { BatchId::BYTES } else { 0 }
}

pub(crate) fn proposal_len(proposal: &Proposal) -> usize {
    U64 + 3 * U32 + batch_len(&proposal.batch)
}

/// Appends to a buffer.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    /// A round, or the highest number for none.
    pub(crate) fn round(&mut self, round: Round) {
        self.u32(round.as_u32().unwrap_or(u32::MAX));
    }

    pub(crate) fn batch_id(&mut self, id: BatchId) {
        self.0.extend_from_slice(&id.0);
    }

    pub(crate) fn commands(&mut self, commands: &[Command]) {
        self.u32(commands.len() as u32);
        commands.iter().for_each(|command| self.bytes(command.encoded()));
    }

    pub(crate) fn batch(&mut self, batch: &Batch) {
        self.batch_id(batch.id());
        self.commands(batch.commands());
    }

    pub(crate) fn vote(&mut self, vote: &Vote) {
        let precommit = u8::from(vote.kind == VoteType::Precommit);
        self.u8(precommit | u8::from(vote.batch.is_val()) << 1);
        self.u64(vote.height.0);
        self.round(vote.round);
        self.u32(vote.voter.0.0);
        if let NilOrVal::Val(id) = vote.batch {
            self.batch_id(id);
        }
    }

    pub(crate) fn proposal(&mut self, proposal: &Proposal) {
        self.u64(proposal.height.0);
        self.round(proposal.round);
        self.round(proposal.pol_round);
        self.u32(proposal.proposer.0.0);
        self.batch(&proposal.batch);
    }
}

/// Takes from a buffer, without copies.
pub(crate) struct Reader {
    pub(crate) what: &'static str,
    pub(crate) bytes: Bytes,
}

impl Reader {
    fn take(&mut self, need: usize) -> Result<Bytes, WireError> {
        let have = self.bytes.len();
        if have < need {
            return Err(WireError::Truncated { what: self.what, need, have });
        }
        Ok(self.bytes.split_to(need))
    }

    pub(crate) fn malformed(&self, reason: String) -> WireError {
        WireError::Malformed { what: self.what, reason }
    }

    /// The value, if nothing is left over.
    pub(crate) fn end<T>(self, value: T) -> Result<T, WireError> {
        match self.bytes.len() {
            0 => Ok(value),
            left => Err(self.malformed(format!("{left} bytes too many"))),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.take(U8)?.get_u8())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(self.take(U32)?.get_u32_le())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(self.take(U64)?.get_u64_le())
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, WireError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(crate) fn height(&mut self) -> Result<Height, WireError> {
        self.u64().map(Height)
    }

    pub(crate) fn round(&mut self) -> Result<Round, WireError> {
        Ok(match self.u32()? {
            u32::MAX => Round::Nil,
            round => Round::new(round),
        })
    }

    pub(crate) fn replica(&mut self) -> Result<ReplicaId, WireError> {
        self.u32().map(ReplicaId)
    }

    pub(crate) fn batch_id(&mut self) -> Result<BatchId, WireError> {
        let mut id = [0; BatchId::BYTES];
        id.copy_from_slice(&self.take(BatchId::BYTES)?);
        Ok(BatchId(id))
    }

    pub(crate) fn commands(&mut self) -> Result<Vec<Command>, WireError> {
        // A length that lies must not make room for what does not come.
        let count = self.u32()? as usize;
        let mut commands = Vec::with_capacity(count.min(self.bytes.len() / U32));
        for _ in 0..count {
            commands.push(Command::from_encoded(self.bytes()?)?);
        }
        Ok(commands)
    }

    pub(crate) fn batch(&mut self) -> Result<Batch, WireError> {
        let id = self.batch_id()?;
        Ok(Batch::claimed(id, self.commands()?))
    }

    pub(crate) fn vote(&mut self) -> Result<Vote, WireError> {
        let flags = self.u8()?;
        let kind = if flags & 1 == 1 { VoteType::Precommit } else { VoteType::Prevote };
        let (height, round, voter) = (self.height()?, self.round()?, Address(self.replica()?));
        let batch = match flags >> 1 {
            0 => NilOrVal::Nil,
            1 => NilOrVal::Val(self.batch_id()?),
            _ => return Err(self.malformed(format!("unknown vote flags {flags}"))),
        };
        Ok(Vote { kind, height, round, batch, voter })
    }

    pub(crate) fn proposal(&mut self) -> Result<Proposal, WireError> {
        let (height, round, pol_round) = (self.height()?, self.round()?, self.round()?);
        let proposer = Address(self.replica()?);
        Ok(Proposal { height, round, batch: self.batch()?, pol_round, proposer })
    }
}
