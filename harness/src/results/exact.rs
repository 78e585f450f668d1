//! What was counted in virtual time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterConduct, Metric};

/// Counts and latencies of every combination; the same on every machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactResult {
    /// Why the protocol was not simulated; none when it was.
    pub not_simulated: Option<String>,
    /// Every combination, topologies first, then sizes.
    pub cells: Vec<ExactCell>,
    /// How costs grow with the cluster, where there are three sizes or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<GrowthFit>,
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
    /// How the cluster behaved meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conduct: Option<ClusterConduct>,
}

/// How one cost grows with the number of replicas n: as n^exponent, by least squares on logarithms over the
/// sizes of one topology and number of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrowthFit {
    /// Where replicas and clients are.
    pub topology: String,
    /// Clients.
    pub clients: usize,
    /// Which cost: `messages_per_batch` or `bytes_per_commit`.
    pub cost: String,
    /// Sizes it was fitted to.
    pub sizes: usize,
    /// The exponent, to six decimals: logarithms of different machines differ in the last digits.
    pub exponent: f64,
    /// Share of the variance of the cost's logarithm that the law explains, to six decimals.
    pub r_squared: f64,
    /// The exponent that the floor has over the same sizes; none where there is no floor.
    pub floor_exponent: Option<f64>,
}

impl ExactCell {
    /// One of the metrics.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// What its metrics' names begin with in the list of the whole result.
    pub fn prefix(&self) -> String {
        let load = match self.offered_per_s {
            Some(rate) => format!("rate_{rate:.0}"),
            None => format!("clients_{}", self.clients),
        };
        format!("{}_replicas_{}_{load}", plain(&self.topology), self.replicas)
    }
}

impl GrowthFit {
    /// The name of its metric.
    pub fn name(&self) -> String {
        format!("{}_clients_{}_{}_growth_exponent", plain(&self.topology), self.clients, self.cost)
    }
}

/// A topology of one's own may be called by its path.
fn plain(topology: &str) -> String {
    topology.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
