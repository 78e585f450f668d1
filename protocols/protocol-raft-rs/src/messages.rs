//! The library's messages and log entries on the wire, in its own protobuf encoding.

use bytes::{Buf, Bytes};
use protobuf::Message as _;
use protocol_core::{MessageKind, Wire, WireError};
use raft::eraftpb::{Entry, HardState, Message, MessageType, Snapshot};

/// One message of the library.
#[derive(Clone, Debug)]
pub struct RaftMessage(pub Message);

impl Wire for RaftMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        write(&self.0, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        read("raft message", &bytes).map(RaftMessage)
    }

    fn encoded_len(&self) -> usize {
        self.0.compute_size() as usize
    }
}

impl protocol_core::Message for RaftMessage {
    fn kind(&self) -> MessageKind {
        match self.0.get_msg_type() {
            MessageType::MsgHeartbeat | MessageType::MsgHeartbeatResponse => MessageKind::Heartbeat,
            MessageType::MsgSnapshot | MessageType::MsgSnapStatus => MessageKind::StateTransfer,
            _ => MessageKind::Protocol,
        }
    }
}

/// What a node writes to its log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Entries that follow, or replace from their first index on, those before.
    Entries(Vec<Entry>),
    /// Term, vote and commit index.
    HardState(HardState),
    /// The application's state, in place of all entries up to its index.
    Snapshot(Snapshot),
}

impl Record {
    const TAG_BYTES: usize = 1;
    const LENGTH_BYTES: usize = 4;
}

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Record::Entries(entries) => {
                buffer.push(0);
                for entry in entries {
                    buffer.extend_from_slice(&entry.compute_size().to_le_bytes());
                    write(entry, buffer);
                }
            }
            Record::HardState(state) => {
                buffer.push(1);
                write(state, buffer);
            }
            Record::Snapshot(snapshot) => {
                buffer.push(2);
                write(snapshot, buffer);
            }
        }
    }

    fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let what = "raft log record";
        let truncated = |need, have| WireError::Truncated { what, need, have };
        let tag = bytes.try_get_u8().map_err(|_| truncated(Self::TAG_BYTES, 0))?;
        match tag {
            0 => {
                let mut entries = Vec::new();
                while !bytes.is_empty() {
                    let have = bytes.len();
                    let length =
                        bytes.try_get_u32_le().map_err(|_| truncated(Self::LENGTH_BYTES, have))? as usize;
                    if length > bytes.len() {
                        return Err(truncated(length, bytes.len()));
                    }
                    entries.push(read(what, &bytes.split_to(length))?);
                }
                Ok(Record::Entries(entries))
            }
            1 => read(what, &bytes).map(Record::HardState),
            2 => read(what, &bytes).map(Record::Snapshot),
            other => Err(WireError::Malformed { what, reason: format!("unknown tag {other}") }),
        }
    }

    fn encoded_len(&self) -> usize {
        Self::TAG_BYTES
            + match self {
                Record::Entries(entries) => {
                    entries.iter().map(|entry| Self::LENGTH_BYTES + entry.compute_size() as usize).sum()
                }
                Record::HardState(state) => state.compute_size() as usize,
                Record::Snapshot(snapshot) => snapshot.compute_size() as usize,
            }
    }
}

fn write(message: &impl protobuf::Message, buffer: &mut Vec<u8>) {
    // Fails only for messages without a required field, and these have none.
    let written = message.write_to_vec(buffer);
    debug_assert!(written.is_ok(), "{written:?}");
}

fn read<M: protobuf::Message>(what: &'static str, bytes: &Bytes) -> Result<M, WireError> {
    M::parse_from_carllerche_bytes(bytes)
        .map_err(|error| WireError::Malformed { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> Entry {
        Entry { index, term: 3, data: Bytes::from(vec![index as u8; 50]), ..Entry::default() }
    }

    #[test]
    fn records_decode_to_themselves_and_know_their_length() {
        let mut snapshot = Snapshot { data: Bytes::from_static(b"state"), ..Snapshot::default() };
        snapshot.mut_metadata().index = 9;
        for record in [
            Record::Entries(vec![entry(1), entry(2)]),
            Record::Entries(Vec::new()),
            Record::HardState(HardState { term: 3, vote: 1, commit: 2, ..HardState::default() }),
            Record::Snapshot(snapshot),
        ] {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            assert_eq!(buffer.len(), record.encoded_len());
            assert_eq!(Record::decode(buffer.into()).unwrap(), record);
        }
    }

    #[test]
    fn a_record_cut_short_is_an_error() {
        let mut buffer = Vec::new();
        Record::Entries(vec![entry(1)]).encode(&mut buffer);
        for cut in [0, 3, buffer.len() - 1] {
            assert!(Record::decode(Bytes::copy_from_slice(&buffer[..cut])).is_err(), "cut at {cut}");
        }
    }
}
