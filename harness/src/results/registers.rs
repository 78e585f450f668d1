//! What the reads of a register protocol showed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every answered operation on every register, checked for linearizability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterCheck {
    /// Whether the protocol promises it. If it does, a violated key makes the run unsafe.
    pub linearizable: bool,
    /// Operations that were answered, and checked.
    pub operations: u64,
    /// Registers that they went to.
    pub keys: u64,
    /// Registers whose operations no order explains.
    pub violated_keys: u64,
    /// Reads, at the least, that returned an old value although a newer write had been answered before
    /// they began.
    pub stale_reads: u64,
}

impl RegisterCheck {
    /// Takes in the check of another cluster.
    pub fn include(&mut self, other: RegisterCheck) {
        self.linearizable |= other.linearizable;
        self.operations += other.operations;
        self.keys += other.keys;
        self.violated_keys += other.violated_keys;
        self.stale_reads += other.stale_reads;
    }
}
