//! What the throughput measurement found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Throughput under a rising load, and the highest rate that holds a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputSummary {
    /// Commits per second over the whole ramp.
    pub average_per_s: f64,
    /// Commits per second in the best interval of the ramp, whatever its success.
    pub maximum_per_s: f64,
    /// The same among intervals whose success was at least the target; none when there was none.
    pub optimal_per_s: Option<f64>,
    /// The highest rate that holds the target.
    pub knee: Knee,
    /// Latency against throughput: every probe of the search, by offered rate.
    pub curve: Vec<CurvePoint>,
}

/// The highest rate that holds a target, by bisection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// The 99th percentile of the response time that had to hold, in milliseconds.
    pub target_p99_ms: f64,
    /// The share of requests that had to succeed.
    pub target_success: f64,
    /// The highest rate that held in a probe and again in a confirming one; none when no rate held.
    pub sustainable_per_s: Option<f64>,
    /// The lowest rate above it that did not hold: the other end of the bracket.
    pub broke_at_per_s: Option<f64>,
    /// What ended the search.
    pub limit: KneeLimit,
}

/// What ended the search for the knee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KneeLimit {
    /// The target broke: the bracket holds the knee.
    Target,
    /// The load generator could not send faster: the system may sustain more.
    Generator,
    /// The highest rate that the scenario allows held: the system may sustain more.
    HighestRate,
}

/// One probe: a fixed rate for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Requests per second that were to be sent.
    pub offered_per_s: f64,
    /// Commits per second.
    pub achieved_per_s: f64,
    /// Share of requests that succeeded.
    pub success: f64,
    /// Median of the response time, in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile of the response time.
    pub p99_ns: u64,
    /// Whether the target held.
    pub held: bool,
    /// Whether the generator kept up; a probe where it did not says nothing about the system.
    pub generator_kept_up: bool,
    /// Whether it was the longer probe that confirms the knee.
    pub confirming: bool,
}
