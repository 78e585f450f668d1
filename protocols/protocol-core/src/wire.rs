//! What travels between replicas and into the log has a byte encoding, and so a size.

use bytes::Bytes;
use thiserror::Error;

/// A value with a byte encoding. `decode(encode(x)) == x`, and `encoded_len` is exact: the channel
/// network never encodes, it only counts.
pub trait Wire: Sized + Send + 'static {
    /// Appends the encoding to `buffer`.
    fn encode(&self, buffer: &mut Vec<u8>);

    /// Reads one value that takes all of `bytes`; slices of `bytes` may be kept without copying.
    fn decode(bytes: Bytes) -> Result<Self, WireError>;

    /// Bytes that [`encode`](Wire::encode) appends.
    fn encoded_len(&self) -> usize;
}

/// A message between replicas. Clones are made for broadcasts and by links that duplicate.
pub trait Message: Wire + Clone {
    /// What the message is for; decides under which count it appears.
    fn kind(&self) -> MessageKind {
        MessageKind::Protocol
    }
}

/// What a message is for. Heartbeats are counted apart, because they cost per second and not per
/// commit; so is what only prepares or saves the sending of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// Agreement on commands, elections included.
    Protocol,
    /// Liveness only, sent whether or not there are commands.
    Heartbeat,
    /// Snapshots and catch-up of a replica that fell behind.
    StateTransfer,
    /// What gossip sends beside the updates themselves: announcements of updates, requests for those
    /// missed, and the upkeep of its overlay.
    Control,
}

impl MessageKind {
    /// All kinds, in the order of their index.
    pub const ALL: [MessageKind; 4] =
        [MessageKind::Protocol, MessageKind::Heartbeat, MessageKind::StateTransfer, MessageKind::Control];

    /// Position in [`MessageKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Bytes that are no encoding of the expected type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than the type takes.
    #[error("{what}: {have} bytes where at least {need} are needed")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// The bytes are there, but mean nothing.
    #[error("{what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
