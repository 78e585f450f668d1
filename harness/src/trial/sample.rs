//! What one block found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::results::Better;

/// What one block found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Commits per second.
    pub throughput_per_s: f64,
    /// Median response time in nanoseconds; in an open loop requests that failed count with the time-out.
    pub response_ns_p50: f64,
    /// 99th percentile of the response time.
    pub response_ns_p99: f64,
    /// CPU time per commit in nanoseconds, without that of the load's own thread; in virtual time what the cost
    /// model says. None where the system does not tell, or nothing costs anything.
    pub cpu_ns_per_commit: Option<f64>,
    /// Share of the requests that were acknowledged in time.
    pub success: f64,
    /// Why the clock's numbers are not to be trusted by themselves; never in virtual time.
    pub disturbed: Vec<String>,
}

impl Sample {
    /// The metrics of a sample, and which way each is better.
    pub const METRICS: [(&'static str, Better); 4] = [
        ("throughput_per_s", Better::Higher),
        ("response_ns_p50", Better::Lower),
        ("response_ns_p99", Better::Lower),
        ("cpu_ns_per_commit", Better::Lower),
    ];

    /// A metric by its name; none when it was not measured.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "throughput_per_s" => Some(self.throughput_per_s),
            "response_ns_p50" => Some(self.response_ns_p50),
            "response_ns_p99" => Some(self.response_ns_p99),
            "cpu_ns_per_commit" => self.cpu_ns_per_commit,
            _ => None,
        }
        .filter(|value| value.is_finite())
    }
}
