//! Commands: what clients ask a cluster to agree on.
//!
//! A command is one shared buffer, `id (8 bytes, little endian) ++ payload`, so that an adapter can
//! put it into the library's log entry and get it back without copying.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Wire, WireError};

/// Names one command of one run. Ids are dense: a run hands out 0, 1, 2, … in order of issue, so
/// that sets of ids are bit sets. A command that is sent again keeps its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// One command: an id and an opaque payload. Cloning shares the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    encoded: Bytes,
}

impl Command {
    /// Bytes that the id takes in front of the payload.
    pub const HEADER_BYTES: usize = 8;

    /// A command with its own copy of `payload`.
    pub fn new(id: CommandId, payload: &[u8]) -> Self {
        let mut buffer = BytesMut::with_capacity(Self::HEADER_BYTES + payload.len());
        buffer.put_u64_le(id.0);
        buffer.put_slice(payload);
        Command { encoded: buffer.freeze() }
    }

    /// The command inside a log entry, or an error when the entry is too short to be one.
    pub fn from_encoded(encoded: Bytes) -> Result<Self, WireError> {
        if encoded.len() < Self::HEADER_BYTES {
            return Err(WireError::Truncated {
                what: "command",
                need: Self::HEADER_BYTES,
                have: encoded.len(),
            });
        }
        Ok(Command { encoded })
    }

    /// The id.
    pub fn id(&self) -> CommandId {
        let mut id = [0; Self::HEADER_BYTES];
        id.copy_from_slice(&self.encoded[..Self::HEADER_BYTES]);
        CommandId(u64::from_le_bytes(id))
    }

    /// The payload, without the id.
    pub fn payload(&self) -> &[u8] {
        &self.encoded[Self::HEADER_BYTES..]
    }

    /// Id and payload as they stand in a log entry.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Id and payload as they stand in a log entry, without a copy.
    pub fn into_encoded(self) -> Bytes {
        self.encoded
    }

    /// A 64-bit digest of id and payload (XXH3), equal on every machine.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.encoded)
    }
}

impl Wire for Command {
    fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.encoded);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Command::from_encoded(bytes)
    }

    fn encoded_len(&self) -> usize {
        self.encoded.len()
    }
}
