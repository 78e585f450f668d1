//! What the fault-tolerance measurement found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;

/// One fault, given again and again under load: in real time to one cluster, in virtual time to one for
/// each seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultResult {
    /// Name: `crash_leader`.
    pub fault: String,
    /// Whether the cluster tolerates it. One beyond tolerance must stop it, without a lie.
    pub tolerated: bool,
    /// Why it was not given, or did not come to its end; none when it did.
    pub not_measured: Option<String>,
    /// Medians over the cycles, with intervals in real time; in virtual time with the least and the most.
    pub metrics: Vec<Metric>,
    /// Each time it was given.
    pub cycles: Vec<FaultCycle>,
    /// Acknowledged commands that a replica did not apply. Anything but 0 is a violation.
    pub lost: u64,
    /// Commands that took effect twice. Anything but 0 is a violation.
    pub applied_twice: u64,
}

impl FaultResult {
    /// Nothing measured yet.
    pub fn empty(fault: String, tolerated: bool) -> Self {
        FaultResult {
            fault,
            tolerated,
            not_measured: None,
            metrics: Vec::new(),
            cycles: Vec::new(),
            lost: 0,
            applied_twice: 0,
        }
    }
}

/// One time that a fault was given: before, during and after. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultCycle {
    /// Replicas that were hit.
    pub replicas: Vec<u32>,
    /// How long the fault lasted.
    pub fault_ns: u64,
    /// Commits per second before it.
    pub rate_before_per_s: f64,
    /// The longest time without a commit, counted from the fault.
    pub unavailability_ns: u64,
    /// From the fault (of one beyond tolerance: from its end) to the first commit of a command
    /// that was due after it; none when none came.
    pub first_commit_ns: Option<u64>,
    /// From the fault to when commits are back at 95 % of the rate before; none when they did not
    /// come back while it was watched.
    pub recovered_ns: Option<u64>,
    /// From the first commit until no more requests are open than before the fault.
    pub backlog_drain_ns: Option<u64>,
    /// 99th percentile of the response time before the fault.
    pub p99_before_ns: u64,
    /// Of requests due during the fault.
    pub p99_during_ns: u64,
    /// Requests that failed, from the fault on.
    pub failed: u64,
    /// Commands due during the fault that were acknowledged while it lasted. With a fault beyond
    /// tolerance anything but 0 is a lie.
    pub acknowledged_during: u64,
    /// Times that the cluster entered a new view (term) from the fault on.
    pub views: u64,
    /// Seed of its cluster and load, in virtual time; none in real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// In virtual time, from the fault's end until every replica had applied what any of them had applied
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_up_ns: Option<u64>,
    /// Commits around the fault. Kept for one cycle of a fault: the one whose outage is the middle of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<FaultTimeline>,
}

/// Commits around a fault, counted in bins of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultTimeline {
    /// Start of the first bin in seconds from the fault on: negative, as it lies before the fault.
    pub from_s: f64,
    /// Length of a bin in seconds.
    pub bin_s: f64,
    /// Commits in each bin.
    pub commits: Vec<u64>,
}
