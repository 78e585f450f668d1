//! A small, correct Raft, and six slips to plant in it: the quarry of the exploration.
//!
//! References are to D. Ongaro and J. Ousterhout, *In Search of an Understandable Consensus Algorithm
//! (Extended Version)*, 2014; "thesis" is D. Ongaro, *Consensus: Bridging Theory and Practice*, 2014.

mod log;
mod messages;
mod mini_raft;
mod progress;

pub use mini_raft::MiniRaft;

/// The fault planted in a [`MiniRaft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// None: the protocol is correct.
    None,
    /// The leader takes an entry for committed as soon as it has appended it. Shows when that leader is
    /// lost before a majority has the entry.
    AcknowledgeBeforeQuorum,
    /// A restart restores the term but not the vote. Shows when a replica restarts between two
    /// candidates of one term.
    ForgetVote,
    /// Votes and answers to appends leave before their records are durable. Shows when a crash takes the
    /// records.
    SkipSync,
    /// A follower takes every entry of an append for new, and applies those that it had applied before
    /// again, in the next slots. Shows when an append comes twice, or so late that it was sent again.
    ApplyTwice,
    /// A vote, or a success, of an older term counts like one of this term. Shows when an answer
    /// outlasts an election.
    CountStaleMessage,
    /// A leader commits an entry of an earlier term by counting replicas, as in figure 8.
    CommitOldTerm,
}

impl Planted {
    /// All but [`Planted::None`].
    pub const FAULTS: [Planted; 6] = [
        Planted::AcknowledgeBeforeQuorum,
        Planted::ForgetVote,
        Planted::SkipSync,
        Planted::ApplyTwice,
        Planted::CountStaleMessage,
        Planted::CommitOldTerm,
    ];
}
