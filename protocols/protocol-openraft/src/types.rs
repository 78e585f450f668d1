//! The library's type parameters, and what its replicas send each other.
//!
//! Messages are the library's own serde types in postcard's encoding. Their size is asked for with
//! every message, also on the channel network, so the size of log entries is computed without
//! walking them through serde.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use bytes::Bytes;
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::{EntryPayload, OptionalSend, RaftTypeConfig};
use protocol_core::{Command, Message, MessageKind, Wire, WireError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::environment::{Environment, RealTime};
use crate::responder::Responder;
use crate::state_machine::StateMachine;

/// The library's type parameters: standard Raft (one leader per term) with our commands as data. `E` is
/// where it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig<E = RealTime>(PhantomData<E>);

impl<E: Environment> RaftTypeConfig for TypeConfig<E> {
    type D = Proposal;
    type R = AppliedAt<E::Moment>;
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Proposal, u64, ()>;
    type Entry = openraft::impls::Entry<openraft::alias::CommittedLeaderIdOf<Self>, Self::Payload>;
    type AsyncRuntime = E::Runtime;
    type Responder<T>
        = Responder<T, E>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A replica of the library.
pub type Raft<E = RealTime> = openraft::Raft<TypeConfig<E>, StateMachine<E>>;
/// An entry of the log.
pub type Entry = EntryOf<TypeConfig>;
/// Position of an entry, with the term of its leader.
pub type LogId = LogIdOf<TypeConfig>;
/// What a replica promised: a candidate it voted for, or the leader it follows.
pub type Vote = VoteOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = SnapshotMetaOf<TypeConfig>;
/// A snapshot as the library passes it around.
pub type Snapshot = SnapshotOf<TypeConfig, Bytes>;
/// The members, and the entry that made them so.
pub type StoredMembership = StoredMembershipOf<TypeConfig>;

/// A command inside a log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal(pub Command);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {}", self.0.id().0)
    }
}

impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.encoded())
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Bytes::deserialize(deserializer)?;
        Command::from_encoded(encoded).map(Proposal).map_err(D::Error::custom)
    }
}

/// What the state machine answers: when it applied the command. Never leaves the process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct AppliedAt<M = Instant> {
    /// Nothing where it was decoded.
    #[serde(skip)]
    pub time: Option<M>,
}

/// A message between replicas.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Rpc<E: Environment = RealTime> {
    /// The next request of a replication stream.
    Append {
        /// Which stream of the sender; later streams have larger numbers.
        stream: u64,
        /// Position in the stream, from 0.
        sequence: u64,
        /// The entries.
        request: AppendEntriesRequest<TypeConfig<E>>,
    },
    /// The answer to one request of a stream.
    Appended {
        /// Which stream.
        stream: u64,
        /// Which request; a success also holds for all requests before it.
        sequence: u64,
        /// What became of it.
        result: StreamAppendResult<TypeConfig<E>>,
    },
    /// The receiver of a stream misses a request; the sender starts another stream.
    Broken {
        /// Which stream.
        stream: u64,
    },
    /// A request that stands alone.
    Ask {
        /// Matches the answer to it.
        number: u64,
        /// The request.
        question: Question<E>,
    },
    /// The answer to [`Rpc::Ask`].
    Answer {
        /// The number asked under.
        number: u64,
        /// The answer.
        answer: Answer<E>,
    },
}

/// Requests that stand alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Question<E: Environment> {
    /// A leader without news shows that it lives.
    Heartbeat(AppendEntriesRequest<TypeConfig<E>>),
    /// Entries outside a stream.
    Append(AppendEntriesRequest<TypeConfig<E>>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<TypeConfig<E>>),
    /// A replica asks whether it would be voted for.
    PreVote(VoteRequest<TypeConfig<E>>),
    /// The state of the leader's application, for a follower too far behind the log.
    Snapshot {
        /// The leader.
        vote: Vote,
        /// What the snapshot covers.
        meta: SnapshotMeta,
        /// From [`Application::snapshot`](protocol_core::Application::snapshot).
        state: Bytes,
    },
}

/// Answers to [`Question`]s.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Answer<E: Environment> {
    /// To [`Question::Heartbeat`].
    Heartbeat(AppendEntriesResponse<TypeConfig<E>>),
    /// To [`Question::Append`].
    Append(AppendEntriesResponse<TypeConfig<E>>),
    /// To [`Question::Vote`] and [`Question::PreVote`].
    Vote(VoteResponse<TypeConfig<E>>),
    /// To [`Question::Snapshot`].
    Snapshot(SnapshotResponse<TypeConfig<E>>),
}

impl<E: Environment> Message for Rpc<E> {
    fn kind(&self) -> MessageKind {
        match self {
            Rpc::Ask { question: Question::Heartbeat(_), .. }
            | Rpc::Answer { answer: Answer::Heartbeat(_), .. } => MessageKind::Heartbeat,
            Rpc::Ask { question: Question::Snapshot { .. }, .. }
            | Rpc::Answer { answer: Answer::Snapshot(_), .. } => MessageKind::StateTransfer,
            _ => MessageKind::Protocol,
        }
    }
}

impl<E: Environment> Wire for Rpc<E> {
    fn encode(&self, buffer: &mut Vec<u8>) {
        encode(self, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        decode("message of openraft", &bytes)
    }

    fn encoded_len(&self) -> usize {
        match self {
            Rpc::Append { stream, sequence, request } => {
                let AppendEntriesRequest { vote, prev_log_id, entries, leader_commit } = request;
                TAG + varint_len(*stream)
                    + varint_len(*sequence)
                    + vote_len(vote)
                    + option_len(prev_log_id.as_ref())
                    + entries_len(entries.len(), entries)
                    + option_len(leader_commit.as_ref())
            }
            other => serde_len(other),
        }
    }
}

/// Bytes of an enum's tag, of a flag, and of the presence of an optional value.
const TAG: usize = 1;

/// Writes a value in postcard's encoding.
pub(crate) fn encode<T: Serialize>(value: &T, buffer: &mut Vec<u8>) {
    let written = postcard::to_io(value, buffer);
    assert!(written.is_ok(), "memory takes every message, and every message has an encoding");
}

/// Reads a value that takes all of `bytes`.
pub(crate) fn decode<'de, T: Deserialize<'de>>(what: &'static str, bytes: &'de [u8]) -> Result<T, WireError> {
    let malformed = |reason| WireError::Malformed { what, reason };
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| malformed(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes too many", rest.len()))) }
}

/// Bytes of a value's encoding, by a walk through serde.
pub(crate) fn serde_len<T: Serialize>(value: &T) -> usize {
    let counted = postcard::experimental::serialized_size(value);
    assert!(counted.is_ok(), "every message has an encoding");
    counted.unwrap_or(0)
}

/// Bytes of a list of entries.
pub(crate) fn entries_len<'a>(count: usize, entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    varint_len(count as u64) + entries.into_iter().map(entry_len).sum::<usize>()
}

fn entry_len(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Blank => 0,
        EntryPayload::Normal(proposal) => {
            let command = proposal.0.encoded().len();
            varint_len(command as u64) + command
        }
        EntryPayload::Membership(membership) => serde_len(membership),
    };
    log_id_len(&entry.log_id) + TAG + payload
}

fn log_id_len(id: &LogId) -> usize {
    varint_len(id.leader_id.term) + varint_len(id.index)
}

fn option_len(id: Option<&LogId>) -> usize {
    TAG + id.map_or(0, log_id_len)
}

fn vote_len(vote: &Vote) -> usize {
    // The library writes the node that was voted for as an optional value.
    varint_len(vote.leader_id.term) + TAG + varint_len(vote.leader_id.voted_for) + TAG
}

/// Bytes of an integer: seven bits each, at least one.
fn varint_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::Membership;
    use openraft::raft::StreamAppendError;
    use protocol_core::CommandId;

    use super::*;

    fn log_id(term: u64, index: u64) -> LogId {
        LogId { leader_id: openraft::vote::leader_id_std::CommittedLeaderId::new(term), index }
    }

    fn entries(from: u64, payload_bytes: &[usize]) -> Vec<Entry> {
        let members = Membership::from(BTreeMap::from([(0, ()), (1, ()), (300, ())]));
        let fixed = [EntryPayload::Blank, EntryPayload::Membership(members)];
        let commands = payload_bytes
            .iter()
            .map(|&bytes| EntryPayload::Normal(Proposal(Command::new(CommandId(from), &vec![7; bytes]))));
        let payloads = fixed.into_iter().chain(commands);
        payloads.zip(from..).map(|(payload, index)| Entry { log_id: log_id(from, index), payload }).collect()
    }

    /// The encoding comes back as the same message, and has the length that was promised.
    fn travels(message: Rpc) {
        let mut buffer = Vec::new();
        message.encode(&mut buffer);
        assert_eq!(buffer.len(), message.encoded_len(), "{message:?}");
        let decoded = <Rpc>::decode(buffer.clone().into()).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
        buffer.push(0);
        assert!(<Rpc>::decode(buffer.into()).is_err(), "a byte too many is an error");
    }

    #[test]
    fn messages_have_the_length_they_promise() {
        for shift in 0..=63 {
            let number = 1 << shift;
            let request = AppendEntriesRequest {
                vote: Vote::new_committed(number, number),
                prev_log_id: (shift % 2 == 0).then(|| log_id(number, number - 1)),
                entries: entries(number, &[0, 112, 119, 120, 20_000]),
                leader_commit: (shift % 3 == 0).then(|| log_id(number, number)),
            };
            travels(Rpc::Append { stream: number, sequence: number - 1, request: request.clone() });
            travels(Rpc::Ask { number, question: Question::Heartbeat(request) });
            travels(Rpc::Appended { stream: number, sequence: 0, result: Ok(Some(log_id(3, number))) });
        }
        let refused = Err(StreamAppendError::HigherVote(Vote::new(4, 2)));
        travels(Rpc::Appended { stream: 1, sequence: 9, result: refused });
        let snapshot = Question::Snapshot {
            vote: Vote::new_committed(1, 0),
            meta: SnapshotMeta { last_log_id: Some(log_id(1, 5)), ..SnapshotMeta::default() },
            state: Bytes::from(vec![1; 3000]),
        };
        travels(Rpc::Ask { number: 1, question: snapshot });
    }

    #[test]
    fn messages_are_counted_as_what_they_are_for() {
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(1, 0),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let ask = |question| Rpc::<RealTime>::Ask { number: 1, question }.kind();
        assert_eq!(ask(Question::Heartbeat(request.clone())), MessageKind::Heartbeat);
        assert_eq!(ask(Question::Append(request)), MessageKind::Protocol);
        let answer = Answer::<RealTime>::Snapshot(SnapshotResponse::new(Vote::new(1, 0)));
        assert_eq!(Rpc::Answer { number: 1, answer }.kind(), MessageKind::StateTransfer);
    }
}
