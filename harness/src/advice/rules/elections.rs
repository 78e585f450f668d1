//! Election time-outs that do not fit the links.

use std::collections::BTreeMap;

use protocol_core::Role;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic, time};
use crate::results::{Change, Confidence, Resource, Severity, TimingUsed};

/// A time-out this many times the heartbeat interval, and the round trip, outlasts a lost heartbeat or two; etcd's
/// tuning guide asks for ten round trips.
const HEARTBEATS: f64 = 6.0;
const ROUND_TRIPS: f64 = 12.0;
/// Beyond this many of both, waiting longer no longer makes a false alarm rarer.
const TOO_MANY: f64 = 20.0;

pub(super) fn too_twitchy(facts: &Facts) -> Option<Finding> {
    let timing = facts.timing?;
    let round_trip = facts.round_trip_ns_max.filter(|&ns| ns > 0.0)?;
    let election = timing.election_min_ms * 1e6;
    // A heartbeat is heard one interval and one way after the last, and a vote is back after both ways.
    let needed = round_trip + timing.heartbeat_ms * 1e6;
    let elections = facts.conduct.as_ref().map_or(0, |conduct| conduct.view_changes);
    if election >= needed || (elections == 0 && facts.not_served.is_none()) {
        return None;
    }
    let happened = match &facts.not_served {
        Some(_) => "no command was served".to_string(),
        None => format!("{elections} elections in a run without a fault"),
    };
    let reason = format!(
        "an election starts after {} of silence, but a heartbeat takes up to {} over these links: {happened}",
        time(election),
        time(needed)
    );
    let lost = elections as f64 * timing.election_max_ms / 1e3 / facts.measured_s.unwrap_or(f64::INFINITY);
    let impact = if facts.not_served.is_some() { 1.0 } else { lost.max(0.5) };
    let found = Finding::new("election-too-twitchy", Resource::Network, Severity::High, reason)
        .impact(impact)
        .confidence(if facts.not_served.is_some() { Confidence::Medium } else { Confidence::High })
        .seen(facts, "election_min_ms", timing.election_min_ms, Some(needed / 1e6), "ms")
        .seen(facts, "view_changes", elections as f64, Some(0.0), "1")
        .seen(facts, "round_trip_ns_max", round_trip, None, "ns");
    Some(with_timing(facts, found, fitting(round_trip, timing)))
}

pub(super) fn too_slow(facts: &Facts) -> Option<Finding> {
    let (timing, recovery) = (facts.timing?, facts.recovery_ns?);
    // Over links that are not known, no time-out is too long.
    let round_trip = facts.round_trip_ns_max?;
    let election = timing.election_min_ms * 1e6;
    let enough = TOO_MANY * round_trip.max(timing.heartbeat_ms * 1e6);
    // What is served again before the time-out is over did not wait for it.
    if election <= enough || recovery < election {
        return None;
    }
    let to = fitting(round_trip, timing);
    let reason = format!(
        "no one was served for {} after the leader was lost, of which {} passed before an election: {:.0} times \
         the heartbeat interval",
        time(recovery),
        time(election),
        timing.election_min_ms / timing.heartbeat_ms
    );
    let saved = (timing.election_min_ms - to.election_min_ms) * 1e6;
    // The silence that starts it lies between the shortest and the longest time-out.
    let saved_most = (timing.election_max_ms - to.election_max_ms) * 1e6;
    let ratio = |saved: f64| ((recovery - saved) / recovery).max(to.election_min_ms * 1e6 / recovery);
    let basis = "the time-outs' difference taken off the measured outage";
    let found = Finding::new("election-too-slow", Resource::Network, Severity::Medium, reason)
        .impact(saved / recovery)
        .confidence(Confidence::High)
        .seen(facts, "election_min_ms", timing.election_min_ms, Some(enough / 1e6), "ms")
        .seen(facts, "recovery_ns", recovery, None, "ns")
        .expected(by_arithmetic("recovery_ns", (ratio(saved_most), ratio(saved)), basis));
    Some(with_timing(facts, found, to))
}

/// Times that fit the links, with the heartbeat as it is if that fits.
fn fitting(round_trip_ns: f64, timing: TimingUsed) -> TimingUsed {
    // An answer to a heartbeat has to be back before the next ones are due.
    let round_trip_ms = round_trip_ns / 1e6;
    let heartbeat_ms = timing.heartbeat_ms.max(2.0 * round_trip_ms).ceil();
    let election_min_ms = (HEARTBEATS * heartbeat_ms).max(ROUND_TRIPS * round_trip_ms).ceil();
    TimingUsed { heartbeat_ms, election_min_ms, election_max_ms: 2.0 * election_min_ms }
}

/// The change to these times, by the protocol's tunables or else by the scenario's.
fn with_timing(facts: &Facts, found: Finding, to: TimingUsed) -> Finding {
    let knob = |role| facts.knobs_of(role).find(|knob| knob.nanoseconds().is_some());
    let Some(election) = knob(Role::ElectionMin) else {
        let action = format!(
            "set the scenario's timing to a heartbeat of {} ms and elections after {} to {} ms",
            to.heartbeat_ms, to.election_min_ms, to.election_max_ms
        );
        return found.change(Change::Surroundings { action });
    };
    let others = [(Role::Heartbeat, to.heartbeat_ms), (Role::ElectionMax, to.election_max_ms)];
    let with = others.into_iter().filter_map(|(role, ms)| {
        let knob = knob(role)?;
        Some((knob.name.clone(), knob.of_nanoseconds(ms * 1e6)?))
    });
    let with: BTreeMap<String, f64> = with.collect();
    let in_force = facts.timing.map_or(election.value, |timing| timing.election_min_ms);
    let to = election.of_nanoseconds(to.election_min_ms * 1e6).unwrap_or(to.election_min_ms);
    let change = Change::Setting { name: election.name.clone(), from: in_force, to };
    Finding { with, ..found.change(change) }
}
