//! Heartbeats that are more than anyone needs.

use protocol_core::Role;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic};
use crate::results::{Change, Confidence, Resource, Severity};

/// An election's time-out holds no more heartbeats than this; six outlast the loss of several.
const PER_ELECTION: f64 = 20.0;
const ENOUGH_PER_ELECTION: f64 = 6.0;
/// Heartbeats that are a smaller share of all messages cost next to nothing.
const SHARE: f64 = 0.2;

pub(super) fn storm(facts: &Facts) -> Option<Finding> {
    let timing = facts.timing?;
    let (heartbeats, rate) = (facts.heartbeats_per_s?, facts.commits_per_s?);
    let per_election = timing.election_min_ms / timing.heartbeat_ms;
    let share = heartbeats / (heartbeats + rate * facts.messages_per_commit?);
    if per_election <= PER_ELECTION || !share.is_finite() || share <= SHARE {
        return None;
    }
    // The round trip bounds it from below: an answer has to be back before the next is due.
    let round_trip_ms = facts.round_trip_ns_max.unwrap_or(0.0) / 1e6;
    let to_ms = (timing.election_min_ms / ENOUGH_PER_ELECTION).max(2.0 * round_trip_ms).floor();
    let to_ms = to_ms.min(timing.election_min_ms / 2.0);
    let reason = format!(
        "{:.0} heartbeats a second are {:.0} % of all messages: {per_election:.0} of them fit into the shortest \
         election time-out, and {ENOUGH_PER_ELECTION:.0} are enough",
        heartbeats,
        share * 100.0
    );
    let fewer = timing.heartbeat_ms / to_ms;
    let basis = "heartbeats are sent by the clock: the ratio of the intervals, to a tenth";
    let found = Finding::new("heartbeat-storm", Resource::Network, Severity::Medium, reason)
        .impact(share)
        .confidence(Confidence::High)
        .seen(facts, "heartbeats_per_s", heartbeats, None, "1/s")
        .seen(facts, "heartbeats_per_election", per_election, Some(PER_ELECTION), "1")
        .seen(facts, "heartbeat_share_of_messages", share, Some(SHARE), "1")
        .expected(by_arithmetic("heartbeats_per_s", (fewer / 1.1, fewer * 1.1), basis));
    let knob = facts.knobs_of(Role::Heartbeat).find(|knob| knob.nanoseconds().is_some());
    Some(match knob {
        Some(knob) => {
            let to = knob.of_nanoseconds(to_ms * 1e6).unwrap_or(to_ms);
            found.change(Change::Setting { name: knob.name.clone(), from: timing.heartbeat_ms, to })
        }
        None => {
            let action = format!("set the scenario's heartbeat to {to_ms} ms");
            found.change(Change::Surroundings { action })
        }
    })
}
