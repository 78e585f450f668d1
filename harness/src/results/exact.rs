//! What was counted in virtual time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;

/// Counts and latencies of every combination; the same on every machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactResult {
    /// Why the protocol was not simulated; none when it was.
    pub not_simulated: Option<String>,
    /// Every combination, topologies first, then sizes.
    pub cells: Vec<ExactCell>,
    /// Events of the simulator for all of them.
    pub events: u64,
}

/// A closed loop of some clients on a cluster of some size in some place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactCell {
    /// Where replicas and clients are.
    pub topology: String,
    /// Replicas.
    pub replicas: usize,
    /// Clients, each with one request in flight; 0 in an open loop.
    pub clients: usize,
    /// Requests per second that an open loop offers; none in a closed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_per_s: Option<f64>,
    /// Commits that were counted.
    pub commits: u64,
    /// What they cost and how long they took.
    pub metrics: Vec<Metric>,
}

impl ExactCell {
    /// One of the metrics.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// What its metrics' names begin with in the list of the whole result.
    pub fn prefix(&self) -> String {
        // A topology of one's own may be called by its path.
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let topology: String = self.topology.chars().map(plain).collect();
        let load = match self.offered_per_s {
            Some(rate) => format!("rate_{rate:.0}"),
            None => format!("clients_{}", self.clients),
        };
        format!("{topology}_replicas_{}_{load}", self.replicas)
    }
}
