//! What the scalability measurement found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Throughput by size of the cluster and number of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scalability {
    /// Every combination that was measured, sizes first.
    pub cells: Vec<ScalabilityCell>,
    /// The Universal Scalability Law over the number of clients, for each size.
    pub fits: Vec<UslFit>,
}

/// A closed loop of some clients on a cluster of some size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScalabilityCell {
    /// Replicas.
    pub replicas: usize,
    /// Clients, each with one request in flight.
    pub clients: usize,
    /// Commits per second.
    pub throughput_per_s: f64,
    /// 95 % interval over the rounds.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Throughput of each round: the blocks of the intervals.
    pub rounds_per_s: Vec<f64>,
    /// Throughput over that of the fewest clients at the same size.
    pub speed_up: f64,
    /// Speed-up over the ratio of clients.
    pub efficiency: f64,
    /// Throughput over that of the smallest cluster with as many clients: what more replicas cost.
    pub against_smallest: f64,
}

/// X(c) = λc / (1 + σ(c − 1) + κc(c − 1)), fitted to the cells of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UslFit {
    /// Replicas of the cells.
    pub replicas: usize,
    /// λ, commits per second of one client.
    pub lambda_per_s: Estimate,
    /// σ, the share that is serial: contention.
    pub sigma: Estimate,
    /// κ, the cost of agreement between clients: coherency.
    pub kappa: Estimate,
    /// Clients at which throughput peaks; none when it rises without end (κ = 0).
    pub peak_clients: Option<Estimate>,
    /// Throughput there, or what it rises towards.
    pub peak_per_s: Estimate,
    /// Share of the variance that the law explains.
    pub r_squared: f64,
}

/// A parameter with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Best fit.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}
