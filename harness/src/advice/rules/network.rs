//! Links as the limit.

use crate::advice::facts::Facts;
use crate::advice::finding::Finding;
use crate::results::{Change, Confidence, Resource, Severity};

/// Share of a link's bandwidth.
const BANDWIDTH: f64 = 0.8;
/// Share of the median response that a round trip takes.
const ROUND_TRIP: f64 = 0.5;

pub(super) fn leader_bandwidth(facts: &Facts) -> Option<Finding> {
    let limit = facts.bandwidth_bytes_per_s?;
    let threshold = BANDWIDTH * limit;
    let carried = facts.busiest_link_bytes_per_s().filter(|&carried| carried > threshold)?;
    let reason = format!(
        "the busiest link carried {:.3} MB/s, {:.0} % of its bandwidth",
        carried / 1e6,
        carried / limit * 100.0
    );
    let action = "give the leader's links more bandwidth, or send less over them: smaller payloads, fewer replicas, \
                  payloads that spread from follower to follower";
    Some(
        Finding::new("leader-bandwidth", Resource::Network, Severity::High, reason)
            .impact(carried / limit)
            .confidence(Confidence::High)
            .seen(facts, "busiest_link_bytes_per_s", carried, Some(threshold), "bytes/s")
            .change(Change::Surroundings { action: action.into() }),
    )
}

pub(super) fn delay_bound(facts: &Facts) -> Option<Finding> {
    let (round_trip, response) = (facts.round_trip_ns_max?, facts.response_ns_p50?);
    let share = Some(round_trip / response).filter(|&share| share.is_finite() && share > ROUND_TRIP)?;
    let reason = format!(
        "a round trip of {:.3} ms is {:.0} % of the median response: bound by the network's delay",
        round_trip / 1e6,
        share * 100.0
    );
    Some(
        Finding::new("resource-constraint", Resource::Network, Severity::Medium, reason)
            .impact(share)
            .confidence(Confidence::High)
            .seen(facts, "round_trip_over_response", share, Some(ROUND_TRIP), "1"),
    )
}
