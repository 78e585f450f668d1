//! What a tunable does to a protocol, so that advice can be given on protocols that it does not know by name.

/// What a tunable is for. Its unit is at the end of its name, and says what its values count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The most that one proposal, message or write may carry: commands, entries or bytes.
    BatchSize,
    /// How much is collected before a batch that may be smaller goes on by itself.
    MinimumBatch,
    /// How long a command may wait for others to share a batch with.
    Linger,
    /// Proposals or messages under way at once without an answer.
    Window,
    /// Time between heartbeats.
    Heartbeat,
    /// The shortest silence before an election.
    ElectionMin,
    /// The longest silence before an election.
    ElectionMax,
    /// How much happens between two snapshots or checkpoints.
    SnapshotInterval,
    /// Replicas that a read or an election takes.
    ReadQuorum,
    /// Replicas that a write or a commit takes.
    WriteQuorum,
    /// Peers that each replica sends the same to.
    Fanout,
    /// How long a view may last without a decision.
    ViewTimeout,
    /// 1: appends that come while the log flushes share the next flush.
    GroupCommit,
    /// None of these.
    #[default]
    Other,
}
