//! Tags order the writes of a register.

/// What a write is ordered by: a counter, and who wrote, to tell apart two writers that chose the same
/// counter (Lynch and Shvartsman 1997).
///
/// The writer is a replica in one of its lives. A coordinator that crashed can't know which tags it had
/// handed out, and asking a quorum does not tell: the one replica that a store reached may not be in it.
/// So each life has a number of its own, durable before its first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Higher than all that the writer had heard of.
    pub counter: u64,
    /// The replica that wrote.
    pub writer: u32,
    /// Which life of it; the first is 1.
    pub incarnation: u32,
}

impl Tag {
    /// Of a register that no one wrote.
    pub const NONE: Tag = Tag { counter: 0, writer: 0, incarnation: 0 };
}
