//! How response times of a queue grow with its load: the shapes that an open loop is fitted with.

use serde::{Deserialize, Serialize};

use super::closed::CycleLaw;
use crate::stats::{congestion, mg1_mean_wait, mm1_response_quantile};

/// How waits grow with the utilisation ρ = rate ÷ capacity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "queue", rename_all = "snake_case")]
pub enum Shape {
    /// A fixed time, and the response time of an M/M/1 queue.
    Mm1,
    /// A fixed time, a wake-up with probability 1 − ρ, and the wait of an M/D/1 queue.
    Md1,
    /// The same with a wait in proportion to ρ^k/(1 − ρ): a server that takes all that waits as one batch
    /// keeps up until close to saturation.
    Batching {
        /// k.
        sharpness: f64,
    },
    /// A fixed time, a wake-up, and the cycle of a closed loop that commits at the same rate: what batches do
    /// to one they do to the other.
    ClosedLoop,
    /// In cycles of a single client: a share for itself, shares that grow with the commits under way as √ρ, more
    /// of them on a larger cluster, and the wait of a queue. Of protocols in which each of the few
    /// commands that come between two others makes a batch, and costs all of its messages.
    BatchesOfFew,
}

/// The shapes that are tried, the simplest first.
pub(super) const SHAPES: [Shape; 7] = [
    Shape::Mm1,
    Shape::Md1,
    Shape::Batching { sharpness: 2.0 },
    Shape::Batching { sharpness: 4.0 },
    Shape::Batching { sharpness: 8.0 },
    Shape::ClosedLoop,
    Shape::BatchesOfFew,
];

impl Shape {
    pub(super) fn name(self) -> String {
        match self {
            Shape::Mm1 => "M/M/1 beside a fixed time".into(),
            Shape::Md1 => "M/D/1 beside a fixed time and wake-ups".into(),
            Shape::Batching { sharpness } => {
                format!("batching queue, ρ^{sharpness}/(1 − ρ), beside the same")
            }
            Shape::ClosedLoop => "the closed loop of equal throughput, beside the same".into(),
            Shape::BatchesOfFew => "batches of few commands, √ρ, beside ρ/(1 − ρ)".into(),
        }
    }

    /// Whether it is made of the closed loops' law.
    pub(super) fn is_of_closed_loops(self) -> bool {
        matches!(self, Shape::ClosedLoop | Shape::BatchesOfFew)
    }

    /// Weights that a law of this shape has.
    pub(super) fn terms(self) -> usize {
        if self == Shape::Mm1 { 3 } else { 4 }
    }

    /// The terms of a quantile's time, in nanoseconds. Each is one second or one service time in size, so
    /// that weights are comparable.
    pub(super) fn row(self, load: &QueueLoad, quantile: f64) -> Option<Vec<f64>> {
        let QueueLoad { replicas, service_ns, utilisation, .. } = *load;
        let n = replicas as f64;
        let row = match self {
            Shape::Mm1 => vec![1.0, n, mm1_response_quantile(service_ns, utilisation, quantile)],
            Shape::Md1 => vec![1.0, n, 1.0 - utilisation, mg1_mean_wait(service_ns, 0.0, utilisation)],
            Shape::Batching { sharpness } => {
                vec![1.0, n, 1.0 - utilisation, service_ns * congestion(utilisation, sharpness)]
            }
            Shape::ClosedLoop => vec![1.0, n, (1.0 - utilisation).max(0.0), load.cycle_ns?],
            Shape::BatchesOfFew => {
                let batches = utilisation.sqrt();
                [1.0, batches, n * batches, congestion(utilisation, 1.0)]
                    .map(|term| term * load.alone_ns)
                    .into()
            }
        };
        Some(row)
    }
}

/// A load as a queue sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLoad {
    replicas: usize,
    /// Time of a commit at capacity, in nanoseconds.
    service_ns: f64,
    /// Rate ÷ capacity.
    utilisation: f64,
    /// The cycle of a closed loop that commits at the same rate; none without a law of them, or beyond its peak.
    cycle_ns: Option<f64>,
    /// The cycle of a single client; 1 without a law of closed loops.
    alone_ns: f64,
}

/// A rate as the queue of a size sees it, whose capacity was taken for `known` and is corrected.
pub(super) fn queue_load(
    shape: Shape,
    replicas: usize,
    per_s: f64,
    known: f64,
    correction: f64,
    cycle: Option<&CycleLaw>,
) -> Option<QueueLoad> {
    let service_ns = 1e9 / (known * correction);
    // What lies beyond the peak of the closed loops' law has no cycle, and then no shape that is made of it.
    let cycle_ns = cycle
        .filter(|_| shape == Shape::ClosedLoop)
        .and_then(|law| law.cycle_at_rate(replicas, per_s / correction));
    let alone_ns = cycle.map_or(1.0, |law| law.alone_ns(replicas));
    Some(QueueLoad { replicas, service_ns, utilisation: per_s * service_ns / 1e9, cycle_ns, alone_ns })
}
