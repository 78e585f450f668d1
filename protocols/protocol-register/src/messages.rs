//! What replicas say to each other and write to their logs, and its encoding: integers in little endian,
//! lists and values with their length in front.

use bytes::{Buf, Bytes};
use protocol_core::{Command, Message, Wire, WireError};

use crate::tag::Tag;

/// A question for the tag of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The register.
    pub key: u64,
    /// Whether its value is wanted too: a read needs it, a write does not.
    pub value: bool,
}

/// A register as a replica has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its tag.
    pub tag: Tag,
    /// Its value; none when it was not asked for, or no one wrote.
    pub value: Option<Command>,
}

/// A value for a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The register.
    pub key: u64,
    /// Orders it among the values of this register.
    pub tag: Tag,
    /// The command that wrote it.
    pub value: Command,
}

/// A message for a whole batch of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterMessage {
    /// What a coordinator asks of all replicas at once.
    Ask {
        /// Names the round trip, among all of this coordinator.
        trip: u64,
        /// Registers that it wants to know.
        queries: Vec<Query>,
        /// Values to store, unless newer ones are there.
        stores: Vec<Stored>,
    },
    /// All of it is durable here.
    Answer {
        /// Of the question.
        trip: u64,
        /// One for each query, in their order.
        found: Vec<Found>,
    },
    /// Newer values than the receiver answered with. There is no answer to it.
    Repair {
        /// Those.
        stores: Vec<Stored>,
    },
}

impl Message for RegisterMessage {}

impl Wire for RegisterMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            RegisterMessage::Ask { trip, queries, stores } => {
                buffer.push(0);
                buffer.extend_from_slice(&trip.to_le_bytes());
                encode_length(queries.len(), buffer);
                for query in queries {
                    buffer.extend_from_slice(&query.key.to_le_bytes());
                    buffer.push(u8::from(query.value));
                }
                encode_stores(stores, buffer);
            }
            RegisterMessage::Answer { trip, found } => {
                buffer.push(1);
                buffer.extend_from_slice(&trip.to_le_bytes());
                encode_length(found.len(), buffer);
                for Found { tag, value } in found {
                    encode_tag(*tag, buffer);
                    buffer.push(u8::from(value.is_some()));
                    value.iter().for_each(|value| encode_value(value, buffer));
                }
            }
            RegisterMessage::Repair { stores } => {
                buffer.push(2);
                encode_stores(stores, buffer);
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "register message", bytes };
        let message = match reader.u8()? {
            0 => {
                let trip = reader.u64()?;
                let query = |reader: &mut Reader| Ok(Query { key: reader.u64()?, value: reader.flag()? });
                let queries = reader.list(QUERY_BYTES, query)?;
                RegisterMessage::Ask { trip, queries, stores: reader.stores()? }
            }
            1 => {
                let trip = reader.u64()?;
                let found = |reader: &mut Reader| {
                    let tag = reader.tag()?;
                    let value = if reader.flag()? { Some(reader.value()?) } else { None };
                    Ok(Found { tag, value })
                };
                RegisterMessage::Answer { trip, found: reader.list(TAG_BYTES + 1, found)? }
            }
            2 => RegisterMessage::Repair { stores: reader.stores()? },
            other => return Err(reader.malformed(format!("unknown kind {other}"))),
        };
        reader.end(message)
    }

    fn encoded_len(&self) -> usize {
        match self {
            RegisterMessage::Ask { queries, stores, .. } => {
                1 + 8 + LENGTH_BYTES + QUERY_BYTES * queries.len() + stores_len(stores)
            }
            RegisterMessage::Answer { found, .. } => {
                let value = |value: &Command| LENGTH_BYTES + value.encoded_len();
                let one = |found: &Found| TAG_BYTES + 1 + found.value.as_ref().map_or(0, value);
                1 + 8 + LENGTH_BYTES + found.iter().map(one).sum::<usize>()
            }
            RegisterMessage::Repair { stores } => 1 + stores_len(stores),
        }
    }
}

/// What a replica writes to its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The number of a life that begins.
    Incarnation(u32),
    /// A value that replaced an older one.
    Stored(Stored),
}

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Record::Incarnation(number) => {
                buffer.push(0);
                buffer.extend_from_slice(&number.to_le_bytes());
            }
            Record::Stored(stored) => {
                buffer.push(1);
                encode_stored(stored, buffer);
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "register log record", bytes };
        let record = match reader.u8()? {
            0 => Record::Incarnation(reader.u32()?),
            1 => Record::Stored(reader.stored()?),
            other => return Err(reader.malformed(format!("unknown kind {other}"))),
        };
        reader.end(record)
    }

    fn encoded_len(&self) -> usize {
        match self {
            Record::Incarnation(_) => 1 + 4,
            Record::Stored(stored) => 1 + stored_len(stored),
        }
    }
}

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
const QUERY_BYTES: usize = 9;

fn stored_len(stored: &Stored) -> usize {
    8 + TAG_BYTES + LENGTH_BYTES + stored.value.encoded_len()
}

fn stores_len(stores: &[Stored]) -> usize {
    LENGTH_BYTES + stores.iter().map(stored_len).sum::<usize>()
}

/// Lists and values are far shorter than 2^32: a batch has 1,024 commands.
fn encode_length(length: usize, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(length as u32).to_le_bytes());
}

fn encode_tag(tag: Tag, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&tag.counter.to_le_bytes());
    buffer.extend_from_slice(&tag.writer.to_le_bytes());
    buffer.extend_from_slice(&tag.incarnation.to_le_bytes());
}

fn encode_value(value: &Command, buffer: &mut Vec<u8>) {
    encode_length(value.encoded_len(), buffer);
    value.encode(buffer);
}

fn encode_stored(stored: &Stored, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&stored.key.to_le_bytes());
    encode_tag(stored.tag, buffer);
    encode_value(&stored.value, buffer);
}

fn encode_stores(stores: &[Stored], buffer: &mut Vec<u8>) {
    encode_length(stores.len(), buffer);
    stores.iter().for_each(|stored| encode_stored(stored, buffer));
}

struct Reader {
    what: &'static str,
    bytes: Bytes,
}

impl Reader {
    fn truncated(&self, need: usize) -> WireError {
        WireError::Truncated { what: self.what, need, have: self.bytes.len() }
    }

    fn malformed(&self, reason: String) -> WireError {
        WireError::Malformed { what: self.what, reason }
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.bytes.try_get_u8().map_err(|_| self.truncated(1))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.bytes.try_get_u32_le().map_err(|_| self.truncated(4))
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.bytes.try_get_u64_le().map_err(|_| self.truncated(8))
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.malformed(format!("{other} is neither yes nor no"))),
        }
    }

    fn tag(&mut self) -> Result<Tag, WireError> {
        Ok(Tag { counter: self.u64()?, writer: self.u32()?, incarnation: self.u32()? })
    }

    fn value(&mut self) -> Result<Command, WireError> {
        let length = self.u32()? as usize;
        if length > self.bytes.len() {
            return Err(self.truncated(length));
        }
        Command::from_encoded(self.bytes.split_to(length))
    }

    fn stored(&mut self) -> Result<Stored, WireError> {
        Ok(Stored { key: self.u64()?, tag: self.tag()?, value: self.value()? })
    }

    fn stores(&mut self) -> Result<Vec<Stored>, WireError> {
        self.list(8 + TAG_BYTES + LENGTH_BYTES + Command::HEADER_BYTES, Reader::stored)
    }

    /// A list of items that take at least so many bytes each: a length that the rest can't hold must not
    /// ask for memory.
    fn list<T>(
        &mut self,
        least: usize,
        item: impl Fn(&mut Reader) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.u32()? as usize;
        if length.saturating_mul(least) > self.bytes.len() {
            return Err(self.truncated(length.saturating_mul(least)));
        }
        (0..length).map(|_| item(self)).collect()
    }

    fn end<T>(&self, value: T) -> Result<T, WireError> {
        match self.bytes.len() {
            0 => Ok(value),
            left => Err(self.malformed(format!("{left} bytes too many"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use protocol_core::CommandId;

    fn command() -> impl Strategy<Value = Command> {
        (any::<u64>(), vec(any::<u8>(), 0..40))
            .prop_map(|(id, payload)| Command::new(CommandId(id), &payload))
    }

    fn tag() -> impl Strategy<Value = Tag> {
        (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(counter, writer, incarnation)| Tag {
            counter,
            writer,
            incarnation,
        })
    }

    fn stored() -> impl Strategy<Value = Stored> {
        (any::<u64>(), tag(), command()).prop_map(|(key, tag, value)| Stored { key, tag, value })
    }

    fn message() -> impl Strategy<Value = RegisterMessage> {
        let query = (any::<u64>(), any::<bool>()).prop_map(|(key, value)| Query { key, value });
        let found = (tag(), proptest::option::of(command())).prop_map(|(tag, value)| Found { tag, value });
        prop_oneof![
            (any::<u64>(), vec(query, 0..5), vec(stored(), 0..5))
                .prop_map(|(trip, queries, stores)| RegisterMessage::Ask { trip, queries, stores }),
            (any::<u64>(), vec(found, 0..5))
                .prop_map(|(trip, found)| RegisterMessage::Answer { trip, found }),
            vec(stored(), 0..5).prop_map(|stores| RegisterMessage::Repair { stores }),
        ]
    }

    fn encoded(value: &impl Wire) -> Vec<u8> {
        let mut buffer = Vec::new();
        value.encode(&mut buffer);
        assert_eq!(buffer.len(), value.encoded_len());
        buffer
    }

    proptest! {
        #[test]
        fn messages_decode_to_themselves_and_a_part_is_an_error(message in message(), cut in any::<u16>()) {
            let bytes = encoded(&message);
            prop_assert_eq!(RegisterMessage::decode(bytes.clone().into()).unwrap(), message);
            let part = Bytes::copy_from_slice(&bytes[..usize::from(cut) % bytes.len()]);
            prop_assert!(RegisterMessage::decode(part).is_err());
        }

        #[test]
        fn records_decode_to_themselves(stored in stored(), number in any::<u32>()) {
            for record in [Record::Stored(stored.clone()), Record::Incarnation(number)] {
                prop_assert_eq!(Record::decode(encoded(&record).into()).unwrap(), record);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100)) {
            if let Ok(message) = RegisterMessage::decode(bytes.clone().into()) {
                prop_assert_eq!(encoded(&message), bytes);
            }
        }
    }
}
