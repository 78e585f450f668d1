//! What [`MiniRaft`](super::MiniRaft) sends and writes, as bytes: tag, then integers in little endian,
//! then entries, each with its length.

use bytes::{Buf, BufMut, Bytes};
use protocol_core::{Command, Message, MessageKind, ReplicaId, Wire, WireError};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The leader's term when it appended the entry.
    pub term: u64,
    /// What clients asked for, or nothing in a leader's first entry (§8).
    pub command: Option<Command>,
}

/// Figure 2's remote procedure calls, calls and results apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaftMessage {
    /// A candidate asks for a vote.
    RequestVote {
        /// The candidate's term.
        term: u64,
        /// Index of its last entry.
        last_index: u64,
        /// Term of its last entry.
        last_term: u64,
    },
    /// The answer to it.
    Vote {
        /// The voter's term.
        term: u64,
        /// Whether the candidate has the vote.
        granted: bool,
    },
    /// A leader's entries; without any, its heartbeat.
    Append {
        /// The leader's term.
        term: u64,
        /// Index of the entry before these.
        prev_index: u64,
        /// Term of the entry before these.
        prev_term: u64,
        /// The leader's commit index.
        commit: u64,
        /// What follows.
        entries: Vec<Entry>,
    },
    /// The entries of an append are in the log, durably.
    Accepted {
        /// The follower's term.
        term: u64,
        /// Index of the append's last entry.
        matched: u64,
    },
    /// The entry before those of an append is missing, or of another term, or the leader is deposed.
    Refused {
        /// The follower's term.
        term: u64,
        /// Index of the entry before those of the append.
        prev_index: u64,
        /// Where to try next.
        next: u64,
    },
}

impl RaftMessage {
    /// The sender's term when it sent this.
    pub fn term(&self) -> u64 {
        match *self {
            RaftMessage::RequestVote { term, .. }
            | RaftMessage::Vote { term, .. }
            | RaftMessage::Append { term, .. }
            | RaftMessage::Accepted { term, .. }
            | RaftMessage::Refused { term, .. } => term,
        }
    }
}

impl Message for RaftMessage {
    fn kind(&self) -> MessageKind {
        match self {
            RaftMessage::Append { entries, .. } if entries.is_empty() => MessageKind::Heartbeat,
            _ => MessageKind::Protocol,
        }
    }
}

impl Wire for RaftMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let (tag, words, entries): (u8, &[u64], &[Entry]) = match self {
            RaftMessage::RequestVote { term, last_index, last_term } => {
                (0, &[*term, *last_index, *last_term], &[])
            }
            RaftMessage::Vote { term, granted } => (1, &[*term, u64::from(*granted)], &[]),
            RaftMessage::Append { term, prev_index, prev_term, commit, entries } => {
                (2, &[*term, *prev_index, *prev_term, *commit], entries)
            }
            RaftMessage::Accepted { term, matched } => (3, &[*term, *matched], &[]),
            RaftMessage::Refused { term, prev_index, next } => (4, &[*term, *prev_index, *next], &[]),
        };
        buffer.put_u8(tag);
        words.iter().for_each(|&word| buffer.put_u64_le(word));
        entries.iter().for_each(|entry| entry.encode(buffer));
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "mini-raft message", bytes };
        Ok(match reader.tag()? {
            0 => {
                let (term, last_index, last_term) = (reader.word()?, reader.word()?, reader.word()?);
                RaftMessage::RequestVote { term, last_index, last_term }
            }
            1 => RaftMessage::Vote { term: reader.word()?, granted: reader.word()? != 0 },
            2 => RaftMessage::Append {
                term: reader.word()?,
                prev_index: reader.word()?,
                prev_term: reader.word()?,
                commit: reader.word()?,
                entries: reader.entries()?,
            },
            3 => RaftMessage::Accepted { term: reader.word()?, matched: reader.word()? },
            4 => {
                let (term, prev_index, next) = (reader.word()?, reader.word()?, reader.word()?);
                RaftMessage::Refused { term, prev_index, next }
            }
            other => return Err(reader.unknown(other)),
        })
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            RaftMessage::RequestVote { .. } | RaftMessage::Refused { .. } => 24,
            RaftMessage::Vote { .. } | RaftMessage::Accepted { .. } => 16,
            RaftMessage::Append { entries, .. } => 32 + entries.iter().map(Entry::encoded_len).sum::<usize>(),
        }
    }
}

/// Figure 2's persistent state, as a journal of its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaftRecord {
    /// The current term, and whom the replica voted for in it.
    Ballot {
        /// The term.
        term: u64,
        /// The vote.
        voted_for: Option<ReplicaId>,
    },
    /// Entries from an index on, in place of all that was there.
    Entries {
        /// Index of the first.
        first: u64,
        /// The entries.
        entries: Vec<Entry>,
    },
}

impl Wire for RaftRecord {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            RaftRecord::Ballot { term, voted_for } => {
                buffer.put_u8(0);
                buffer.put_u64_le(*term);
                // 0 is no vote.
                buffer.put_u64_le(voted_for.map_or(0, |replica| u64::from(replica.0) + 1));
            }
            RaftRecord::Entries { first, entries } => {
                buffer.put_u8(1);
                buffer.put_u64_le(*first);
                entries.iter().for_each(|entry| entry.encode(buffer));
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader { what: "mini-raft record", bytes };
        match reader.tag()? {
            0 => {
                let (term, vote) = (reader.word()?, reader.word()?);
                let voted_for = vote.checked_sub(1).map(|id| ReplicaId(id as u32));
                Ok(RaftRecord::Ballot { term, voted_for })
            }
            1 => Ok(RaftRecord::Entries { first: reader.word()?, entries: reader.entries()? }),
            other => Err(reader.unknown(other)),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            RaftRecord::Ballot { .. } => 17,
            RaftRecord::Entries { entries, .. } => 9 + entries.iter().map(Entry::encoded_len).sum::<usize>(),
        }
    }
}

impl Entry {
    const HEADER_BYTES: usize = 12;

    fn encode(&self, buffer: &mut Vec<u8>) {
        let command = self.command.as_ref().map_or(&[][..], |command| command.encoded());
        buffer.put_u64_le(self.term);
        // A command has at least the bytes of its id, so none is empty.
        buffer.put_u32_le(command.len() as u32);
        buffer.put_slice(command);
    }

    fn encoded_len(&self) -> usize {
        Self::HEADER_BYTES + self.command.as_ref().map_or(0, Command::encoded_len)
    }
}

struct Reader {
    what: &'static str,
    bytes: Bytes,
}

impl Reader {
    fn truncated(&self, need: usize) -> WireError {
        WireError::Truncated { what: self.what, need, have: self.bytes.len() }
    }

    fn unknown(&self, tag: u8) -> WireError {
        WireError::Malformed { what: self.what, reason: format!("unknown tag {tag}") }
    }

    fn tag(&mut self) -> Result<u8, WireError> {
        self.bytes.try_get_u8().map_err(|_| self.truncated(1))
    }

    fn word(&mut self) -> Result<u64, WireError> {
        self.bytes.try_get_u64_le().map_err(|_| self.truncated(8))
    }

    fn entries(&mut self) -> Result<Vec<Entry>, WireError> {
        let mut entries = Vec::new();
        while !self.bytes.is_empty() {
            let term = self.word()?;
            let length = self.bytes.try_get_u32_le().map_err(|_| self.truncated(4))? as usize;
            if length > self.bytes.len() {
                return Err(self.truncated(length));
            }
            let command = self.bytes.split_to(length);
            let command = (length > 0).then(|| Command::from_encoded(command)).transpose()?;
            entries.push(Entry { term, command });
        }
        Ok(entries)
    }
}
