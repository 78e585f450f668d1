//! Symptoms of the whole system: that something is wrong, and not what.

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, time};
use crate::results::{Confidence, Resource, Severity};

/// Commands wait before a replica takes them up when that takes more than so many times what consensus takes …
const TIMES_CONSENSUS: f64 = 2.0;
/// … and more than a thread takes to wake up.
const LEAST_NS: f64 = 1e6;
/// Of the highest throughput, the share that has to be reached while the target holds.
const OPTIMAL: f64 = 0.8;
/// The 99th percentile over the median.
const TAIL: f64 = 10.0;

pub(super) fn queueing_before_leader(facts: &Facts) -> Option<Finding> {
    let (submission, consensus) = (facts.submission_ns?, facts.consensus_ns?);
    if submission <= TIMES_CONSENSUS * consensus || submission <= LEAST_NS {
        return None;
    }
    let reason = format!(
        "a command waits {} before a replica takes it up, and then takes {}: it is the queue that takes the time",
        time(submission),
        time(consensus)
    );
    Some(
        Finding::new("queueing-before-leader", Resource::System, Severity::Medium, reason)
            .impact(submission / (submission + consensus))
            .confidence(Confidence::Medium)
            .seen(facts, "submission_ns_mean", submission, Some(TIMES_CONSENSUS * consensus), "ns"),
    )
}

pub(super) fn throughput_degradation(facts: &Facts) -> Option<Finding> {
    let (optimal, maximum) = (facts.optimal_per_s?, facts.maximum_per_s.filter(|&maximum| maximum > 0.0)?);
    let share = optimal / maximum;
    if share >= OPTIMAL {
        return None;
    }
    let reason = format!(
        "the highest throughput is {maximum:.0}/s, but only {optimal:.0}/s of it while the target holds: beyond that \
         requests wait"
    );
    Some(
        Finding::new("throughput-degradation", Resource::System, Severity::Medium, reason)
            .impact(1.0 - share)
            .seen(facts, "optimal_over_maximum", share, Some(OPTIMAL), "1"),
    )
}

pub(super) fn latency_tail(facts: &Facts) -> Option<Finding> {
    let (median, tail) = (facts.response_ns_p50.filter(|&median| median > 0.0)?, facts.response_ns_p99?);
    let times = tail / median;
    if times <= TAIL {
        return None;
    }
    let reason =
        format!("one response in a hundred takes {} or more, {times:.0} times the median", time(tail));
    Some(
        Finding::new("latency-tail", Resource::System, Severity::Low, reason)
            .impact(1.0 - TAIL / times)
            .seen(facts, "response_ns_p99_over_p50", times, Some(TAIL), "1"),
    )
}
