//! Flushes of the log.

use protocol_core::Role;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic};
use crate::results::{Confidence, Resource, Severity};

/// Share of consensus time that flushes take.
const FSYNC_MEDIUM: f64 = 0.5;
const FSYNC_HIGH: f64 = 0.8;
/// Requests under way below which there is nothing to share a flush with.
const SHARING: f64 = 4.0;
/// Commands for each flush of a replica, below which flushes are not shared.
const UNSHARED: f64 = 1.5;

pub(super) fn fsync_bound(facts: &Facts) -> Option<Finding> {
    let (fsync, consensus) = (facts.fsync_ns?, facts.consensus_ns?);
    let share = Some(fsync / consensus).filter(|&share| share.is_finite() && share > FSYNC_MEDIUM)?;
    let is_high = share > FSYNC_HIGH;
    let reason = format!(
        "a flush to stable storage takes {:.3} ms of the {:.3} ms that consensus takes",
        fsync / 1e6,
        consensus / 1e6
    );
    let severity = if is_high { Severity::High } else { Severity::Medium };
    let threshold = if is_high { FSYNC_HIGH } else { FSYNC_MEDIUM };
    let found = Finding::new("fsync-bound", Resource::Fsync, severity, reason)
        .impact(share)
        .confidence(Confidence::High)
        .seen(facts, "fsync_share_of_consensus", share, Some(threshold), "1");
    Some(match commands_per_sync(facts) {
        Some(commands) => found.seen(facts, "commands_per_sync", commands, None, "1"),
        None => found,
    })
}

pub(super) fn group_commit_off(facts: &Facts) -> Option<Finding> {
    if !facts.has_log {
        return None;
    }
    let knob = facts.knobs_of(Role::GroupCommit).find(|knob| knob.value == 0.0)?;
    let in_flight = facts.in_flight.filter(|&in_flight| in_flight >= SHARING)?;
    let commands =
        commands_per_sync(facts).filter(|&commands| commands < UNSHARED.max(in_flight / SHARING))?;
    let reason = format!(
        "each replica flushes its log for every {commands:.1} commands while {in_flight:.0} requests are under way, \
         for {} is 0",
        knob.name
    );
    let basis = "half to all of the requests under way share a flush";
    let bounds = (commands / in_flight, (2.0 * commands / in_flight).min(1.0));
    Some(
        Finding::new("group-commit-off", Resource::Fsync, Severity::High, reason)
            .impact(1.0 - commands / in_flight)
            .confidence(Confidence::High)
            .seen(facts, "commands_per_sync", commands, Some(UNSHARED.max(in_flight / SHARING)), "1")
            .set(&knob.name, knob.value)
            .seen(facts, "requests_in_flight", in_flight, Some(SHARING), "1")
            .change(knob.change_to(1.0))
            .expected(by_arithmetic("syncs_per_commit", bounds, basis)),
    )
}

/// Commands for each flush of one replica.
fn commands_per_sync(facts: &Facts) -> Option<f64> {
    let per_commit = facts.syncs_per_commit.filter(|&syncs| syncs > 0.0)?;
    Some(facts.replicas as f64 / per_commit)
}
