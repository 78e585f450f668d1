//! How a cluster behaved while it was measured, beyond what a commit cost and took: what advice looks at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TimingUsed;

/// The cluster of a measured phase, or of one combination in virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterConduct {
    /// Times that the cluster entered a new view (term) meanwhile. Nothing was done to it that asks for one.
    pub view_changes: u64,
    /// Submissions that were sent on to another replica, or again to the same one.
    pub resubmissions: u64,
    /// The replica that led in the end; none where no one leads.
    pub leader: Option<u32>,
    /// Failure-detection times in force.
    pub timing: TimingUsed,
    /// There and back over the slowest link, in nanoseconds, as the links are set; 0 without delays.
    pub round_trip_ns_max: f64,
    /// The least time over these links from a replica taking a command up until it knows of its commit, in
    /// nanoseconds: the protocol's floor in delays, or where links differ the leader's nearest majority. None
    /// where neither is known.
    pub consensus_floor_ns: Option<f64>,
    /// There and back between clients and the leader, in nanoseconds.
    pub client_round_trip_ns: f64,
    /// Each replica, in order of id.
    pub replicas: Vec<ReplicaConduct>,
}

/// One replica's part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaConduct {
    /// Messages of all kinds that it sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flushes of its log.
    pub syncs: u64,
    /// Deliveries that it was behind the replica furthest ahead, mean over all looks.
    pub behind_commands: f64,
}
