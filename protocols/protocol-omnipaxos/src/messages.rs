//! The library's messages and a replica's log records on the wire: the library's own serde types in
//! postcard's encoding.
//!
//! The size of a message is asked for with every one, also on the channel network, so the commands in it
//! are added up and not walked through serde.

use bytes::Bytes;
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::{AcceptDecide, PaxosMessage, PaxosMsg};
use omnipaxos::util::LogSync;
use protocol_core::{Command, MessageKind, Wire, WireError};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of an enum's tag; no enum here has as many as 128 variants.
const TAG: usize = 1;

/// A command as an entry of the library's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The command.
    pub command: Command,
    /// Where it stands in the log that it was read from. It does not travel.
    pub index: usize,
}

impl Proposal {
    /// A command that stands nowhere yet.
    pub fn new(command: Command) -> Self {
        Proposal { command, index: 0 }
    }
}

impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.command.encoded())
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Bytes::deserialize(deserializer)?;
        Command::from_encoded(encoded).map(Proposal::new).map_err(D::Error::custom)
    }
}

impl omnipaxos::storage::Entry for Proposal {
    type Snapshot = State;
}

/// Everything decided up to some point: the application's state, and the commands after it.
///
/// The library makes snapshots from entries, by a function without a context, and merges them. So a
/// snapshot of its making is a list of commands; when the log is compacted, the
/// [store](crate::LogStore) puts the application's state in their place.
///
/// A replica that is brought up to date merges what its own log holds up to the *new* decided index
/// with what it was sent from its old one on (`InternalStorage::sync_log` in 0.2.4). The first part may
/// hold entries that were never decided. Here snapshots know where they begin, and the later one wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Commands before the first of `after`, which `application` covers. A difference covers none of
    /// them: it goes on top of another snapshot.
    pub from: usize,
    /// From [`Application::snapshot`](protocol_core::Application::snapshot); empty in a difference, and when
    /// `from` is 0.
    pub application: Bytes,
    /// The commands that follow, in order.
    pub after: Vec<Proposal>,
}

impl omnipaxos::storage::Snapshot<Proposal> for State {
    fn create(entries: &[Proposal]) -> Self {
        let from = entries.first().map_or(0, |first| first.index);
        State { from, application: Bytes::new(), after: entries.to_vec() }
    }

    fn merge(&mut self, delta: Self) {
        if delta.after.is_empty() {
            return;
        }
        let end = self.from + self.after.len();
        assert!((self.from..=end).contains(&delta.from), "{} is not in {}..={end}", delta.from, self.from);
        self.after.truncate(delta.from - self.from);
        self.after.extend(delta.after);
    }

    fn use_snapshots() -> bool {
        true
    }
}

/// One message of the library.
#[derive(Clone, Debug)]
pub struct OmniMessage(pub Message<Proposal>);

impl Wire for OmniMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        write(&self.0, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        read("omnipaxos message", &bytes).map(OmniMessage)
    }

    fn encoded_len(&self) -> usize {
        match &self.0 {
            Message::SequencePaxos(PaxosMessage { from, to, msg: PaxosMsg::AcceptDecide(accept) }) => {
                let AcceptDecide { n, seq_num, decided_idx, entries } = accept;
                TAG + TAG + serde_len(&(from, to, n, seq_num, decided_idx)) + proposals_len(entries)
            }
            other => serde_len(other),
        }
    }
}

impl protocol_core::Message for OmniMessage {
    fn kind(&self) -> MessageKind {
        let snapshot = |sync: &LogSync<Proposal>| sync.decided_snapshot.is_some();
        match &self.0 {
            Message::BLE(_) => MessageKind::Heartbeat,
            Message::SequencePaxos(PaxosMessage { msg, .. }) => match msg {
                PaxosMsg::AcceptSync(accept) if snapshot(&accept.log_sync) => MessageKind::StateTransfer,
                PaxosMsg::Promise(promise) if promise.log_sync.as_ref().is_some_and(snapshot) => {
                    MessageKind::StateTransfer
                }
                _ => MessageKind::Protocol,
            },
        }
    }
}

/// One change of a replica's log. Each says what holds after it, so a change made twice is made once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The ballot promised.
    Promise(Ballot),
    /// The ballot in which entries were last accepted.
    AcceptedRound(Ballot),
    /// Entries decided, from the first on.
    Decided(usize),
    /// Entries that follow, or replace from this index on, those before.
    Entries(usize, Vec<Proposal>),
    /// What stands in place of all entries up to this index.
    Snapshot(usize, State),
}

/// What a replica writes to its log: changes that are made together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Vec<Change>);

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        write(&self.0, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        read("omnipaxos log record", &bytes).map(Record)
    }

    fn encoded_len(&self) -> usize {
        let change = |change: &Change| match change {
            Change::Entries(from, entries) => TAG + serde_len(from) + proposals_len(entries),
            other => serde_len(other),
        };
        varint_len(self.0.len()) + self.0.iter().map(change).sum::<usize>()
    }
}

fn write<T: Serialize>(value: &T, buffer: &mut Vec<u8>) {
    let written = postcard::to_io(value, buffer);
    assert!(written.is_ok(), "memory takes every message, and every message has an encoding");
}

fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    let malformed = |reason| WireError::Malformed { what, reason };
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| malformed(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes too many", rest.len()))) }
}

/// Bytes of a value's encoding, by a walk through serde.
fn serde_len<T: Serialize>(value: &T) -> usize {
    let counted = postcard::experimental::serialized_size(value);
    assert!(counted.is_ok(), "every message has an encoding");
    counted.unwrap_or(0)
}

fn proposals_len(proposals: &[Proposal]) -> usize {
    let each = |proposal: &Proposal| {
        let bytes = proposal.command.encoded_len();
        varint_len(bytes) + bytes
    };
    varint_len(proposals.len()) + proposals.iter().map(each).sum::<usize>()
}

/// Bytes of an integer: seven bits each, at least one.
fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use omnipaxos::messages::ballot_leader_election::{BLEMessage, HeartbeatMsg, HeartbeatRequest};
    use omnipaxos::messages::sequence_paxos::{AcceptSync, Accepted, Decide, Prepare, Promise};
    use omnipaxos::storage::{Snapshot, SnapshotType};
    use omnipaxos::util::SequenceNumber;
    use protocol_core::{CommandId, Message as _};

    use super::*;

    fn proposals(payload_bytes: &[usize]) -> Vec<Proposal> {
        let command = |(id, &bytes): (u64, &usize)| Command::new(CommandId(id), &vec![7; bytes]);
        (0..).zip(payload_bytes).map(command).map(Proposal::new).collect()
    }

    fn ballot(n: u32) -> Ballot {
        Ballot::with(1, n, 0, 3)
    }

    fn paxos(from: u64, msg: PaxosMsg<Proposal>) -> OmniMessage {
        OmniMessage(Message::SequencePaxos(PaxosMessage { from, to: 2, msg }))
    }

    fn log_sync(decided_snapshot: Option<SnapshotType<Proposal>>) -> LogSync<Proposal> {
        LogSync { decided_snapshot, suffix: proposals(&[3]), sync_idx: 9, stopsign: None }
    }

    fn accept_sync(snapshot: Option<SnapshotType<Proposal>>) -> OmniMessage {
        let seq_num = SequenceNumber { session: 2, counter: 1 };
        let accept = AcceptSync { n: ballot(1), seq_num, decided_idx: 9, log_sync: log_sync(snapshot) };
        paxos(1, PaxosMsg::AcceptSync(accept))
    }

    /// The encoding comes back as the same message, and has the length that was promised.
    fn travels(message: &OmniMessage) {
        let mut buffer = Vec::new();
        message.encode(&mut buffer);
        assert_eq!(buffer.len(), message.encoded_len(), "{message:?}");
        let decoded = OmniMessage::decode(buffer.clone().into()).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
        buffer.push(0);
        assert!(OmniMessage::decode(buffer.into()).is_err(), "a byte too many is an error");
    }

    #[test]
    fn messages_have_the_length_they_promise() {
        for shift in 0..=63 {
            let number = 1_u64 << shift;
            let n = ballot(number as u32);
            let seq_num = SequenceNumber { session: number, counter: number - 1 };
            let (decided_idx, entries) = (number as usize, proposals(&[0, 112, 119, 120, 20_000]));
            let accept = AcceptDecide { n, seq_num, decided_idx, entries };
            travels(&paxos(number, PaxosMsg::AcceptDecide(accept)));
            travels(&paxos(1, PaxosMsg::Accepted(Accepted { n, accepted_idx: decided_idx })));
            travels(&paxos(1, PaxosMsg::Decide(Decide { n, seq_num, decided_idx })));
        }
        travels(&accept_sync(Some(SnapshotType::Delta(State::create(&proposals(&[1, 2]))))));
        let round = HeartbeatMsg::Request(HeartbeatRequest { round: 300 });
        travels(&OmniMessage(Message::BLE(BLEMessage { from: 1, to: 2, msg: round })));
    }

    #[test]
    fn messages_are_counted_as_what_they_are_for() {
        let complete = || Some(SnapshotType::Complete(State::default()));
        assert_eq!(accept_sync(None).kind(), MessageKind::Protocol);
        assert_eq!(accept_sync(complete()).kind(), MessageKind::StateTransfer);
        let promise = |log_sync| {
            let promise =
                Promise { n: ballot(1), n_accepted: ballot(0), decided_idx: 1, accepted_idx: 2, log_sync };
            paxos(1, PaxosMsg::Promise(promise)).kind()
        };
        assert_eq!(promise(None), MessageKind::Protocol);
        assert_eq!(promise(Some(log_sync(complete()))), MessageKind::StateTransfer);
        let prepare = Prepare { n: ballot(1), decided_idx: 0, n_accepted: ballot(0), accepted_idx: 0 };
        assert_eq!(paxos(1, PaxosMsg::Prepare(prepare)).kind(), MessageKind::Protocol);
        let round = HeartbeatMsg::Request(HeartbeatRequest { round: 1 });
        let heartbeat = OmniMessage(Message::BLE(BLEMessage { from: 1, to: 2, msg: round }));
        assert_eq!(heartbeat.kind(), MessageKind::Heartbeat);
    }

    #[test]
    fn a_difference_takes_the_place_of_what_was_never_decided() {
        let read = |ids: std::ops::Range<u64>, first: usize| -> Vec<Proposal> {
            let stamped = |(index, id)| Proposal { command: Command::new(CommandId(id), b""), index };
            (first..).zip(ids).map(stamped).collect()
        };
        let mut state = State { from: 10, application: Bytes::from_static(b"ten"), after: read(10..12, 10) };
        state.merge(State::create(&[]));
        // Up to 14 decided, and three more that another leader did not keep.
        state.merge(State::create(&read(12..17, 12)));
        state.merge(State::create(&read(90..95, 14)));
        assert_eq!((state.from, &state.application[..]), (10, &b"ten"[..]));
        let ids: Vec<u64> = state.after.iter().map(|proposal| proposal.command.id().0).collect();
        assert_eq!(ids, [10, 11, 12, 13, 90, 91, 92, 93, 94]);
    }

    #[test]
    fn records_decode_to_themselves_and_know_their_length() {
        let state =
            State { from: 300, application: Bytes::from_static(b"state"), after: proposals(&[4, 200]) };
        let record = Record(vec![
            Change::Promise(ballot(700)),
            Change::AcceptedRound(ballot(3)),
            Change::Decided(40_000),
            Change::Snapshot(302, state),
            Change::Entries(302, proposals(&[0, 130, 20_000])),
        ]);
        for record in [record, Record(Vec::new())] {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            assert_eq!(buffer.len(), record.encoded_len());
            assert_eq!(Record::decode(buffer.clone().into()).unwrap(), record);
            assert!(Record::decode(Bytes::from(buffer).slice(1..)).is_err());
        }
    }
}
