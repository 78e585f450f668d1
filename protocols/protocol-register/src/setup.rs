//! What a replica is told when it is made.

use protocol_core::{Quorums, Settings, Timing};

/// How a register is read and written. The protocols of this crate allow only some combinations; others
/// are for tests that must see them fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Answers that a read, or the query of a write, waits for.
    pub read_quorum: usize,
    /// Replicas that must have stored a value.
    pub write_quorum: usize,
    /// Whether a write first asks for the newest tag. Otherwise it goes by the coordinator's own clock.
    pub writes_query: bool,
    /// Whether a read stores what it saw before it answers.
    pub writes_back: bool,
    /// Whether it need not when a write quorum has that already.
    pub one_round_reads: bool,
    /// Whether replicas that answered a read with an old value are sent the new one.
    pub read_repair: bool,
}

impl Rules {
    /// Their quorums, for the descriptor. The query of a write takes a read quorum.
    pub(crate) fn quorums(&self) -> Quorums {
        Quorums::from([("read", self.read_quorum), ("write", self.write_quorum)])
    }
}

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct RegisterSetup {
    /// How registers are read and written.
    pub rules: Rules,
    /// Questions are asked again every heartbeat or so; an election's shortest time-out is how long a
    /// command may wait for a quorum before the client is sent elsewhere.
    pub timing: Timing,
    /// Which commands read and which write what.
    pub settings: Settings,
    /// Whether records survive a crash.
    pub durable: bool,
}
