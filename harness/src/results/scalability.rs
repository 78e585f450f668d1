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
    /// Sizes that the law was not fitted to.
    pub not_fitted: Vec<NotFitted>,
}

/// A size of the cluster without a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotFitted {
    /// Replicas.
    pub replicas: usize,
    /// Why, on one line.
    pub reason: String,
}

/// A closed loop of some clients on a cluster of some size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScalabilityCell {
    /// Replicas.
    pub replicas: usize,
    /// Clients, each with one request in flight.
    pub clients: usize,
    /// Commits per second of all rounds together. Every round commits the same number of commands,
    /// so this is the harmonic mean of the rounds.
    pub throughput_per_s: f64,
    /// Lower end of the 95 % interval over the rounds; none with less than two.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Throughput of each round: the blocks of the intervals.
    pub rounds_per_s: Vec<f64>,
    /// Throughput over that of the fewest clients at the same size; none when that is zero.
    pub speed_up: Option<f64>,
    /// Speed-up over the ratio of clients: 1 when every client adds as much as the first.
    pub efficiency: Option<f64>,
    /// Throughput over that of the smallest cluster with as many clients: what more replicas cost.
    /// None when that is zero.
    pub against_smallest: Option<f64>,
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
    /// Clients at which throughput peaks; none when it rises on: without end (κ = 0), or to more
    /// than 100 times the most clients measured.
    pub peak_clients: Option<Estimate>,
    /// Throughput there, or what it rises towards; none when that is more than 100 times the highest
    /// throughput measured, of which the data say nothing.
    pub peak_per_s: Option<Estimate>,
    /// Share of the variance that the law explains; negative when the mean would explain more.
    pub r_squared: f64,
}

/// A parameter with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Best fit.
    pub value: f64,
    /// Lower end; none without two rounds in every cell, and none when it is beyond belief itself.
    pub lower: Option<f64>,
    /// Upper end; none as well when there is a lower end and the interval is open above.
    pub upper: Option<f64>,
}
