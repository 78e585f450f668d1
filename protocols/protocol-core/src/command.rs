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

    /// The command with a seal behind its payload, in a copy.
    pub fn sealed(&self, seal: &[u8]) -> Command {
        let mut buffer = BytesMut::with_capacity(self.encoded.len() + seal.len());
        buffer.put_slice(&self.encoded);
        buffer.put_slice(seal);
        Command { encoded: buffer.freeze() }
    }

    /// The command without the last `seal_bytes` of its payload, and those; no copies. An error when it
    /// is too short to have them.
    pub fn unsealed(&self, seal_bytes: usize) -> Result<(Command, Bytes), WireError> {
        let need = Self::HEADER_BYTES + seal_bytes;
        let Some(end) = self.encoded.len().checked_sub(seal_bytes).filter(|&end| end >= Self::HEADER_BYTES)
        else {
            return Err(WireError::Truncated { what: "sealed command", need, have: self.encoded.len() });
        };
        Ok((Command { encoded: self.encoded.slice(..end) }, self.encoded.slice(end..)))
    }

    /// A 64-bit digest of id and payload (XXH3), equal on every machine.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.encoded)
    }
}

/// Makes commands out of large shared buffers, so that a load generator asks for memory once per some
/// hundred commands and not twice per command. A buffer is freed with the last command in it.
#[derive(Debug, Default)]
pub struct CommandSource {
    buffer: BytesMut,
}

impl CommandSource {
    const BUFFER_BYTES: usize = 64 << 10;

    /// A command with its own copy of `payload`.
    pub fn command(&mut self, id: CommandId, payload: &[u8]) -> Command {
        let bytes = Command::HEADER_BYTES + payload.len();
        if self.buffer.capacity() < bytes {
            self.buffer = BytesMut::with_capacity(bytes.max(Self::BUFFER_BYTES));
        }
        self.buffer.put_u64_le(id.0);
        self.buffer.put_slice(payload);
        Command { encoded: self.buffer.split().freeze() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_source_are_those_made_one_by_one() {
        let mut source = CommandSource::default();
        let payload = |id: u64| vec![id as u8; (id * 37 % 200_000) as usize];
        let made: Vec<Command> = (0..2_000).map(|id| source.command(CommandId(id), &payload(id))).collect();
        for (id, command) in (0..).zip(made) {
            assert_eq!(command, Command::new(CommandId(id), &payload(id)));
            assert_eq!(command.id(), CommandId(id));
        }
    }

    #[test]
    fn a_seal_comes_off_as_it_was_put_on() {
        let command = Command::new(CommandId(7), b"payload");
        let sealed = command.sealed(b"seal");
        assert_eq!(sealed.id(), command.id());
        let (unsealed, seal) = sealed.unsealed(4).unwrap();
        assert_eq!((unsealed, &seal[..]), (command, &b"seal"[..]));
        assert!(sealed.unsealed(12).is_err());
    }

    #[test]
    fn an_entry_too_short_for_an_id_is_no_command() {
        assert!(Command::from_encoded(Bytes::from_static(b"seven..")).is_err());
        assert_eq!(Command::from_encoded(Bytes::from_static(&[0; 8])).unwrap().payload(), b"");
    }
}
