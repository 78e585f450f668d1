//! Batches that are too small, that wait too long to fill, or too few of which are under way.

use std::collections::BTreeMap;

use protocol_core::Role;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic, time};
use crate::advice::tunables::Knob;
use crate::results::{Confidence, Resource, Severity};

/// A batch of this many commands shares what a batch costs well enough: doubling it saves at most 1 in 128 of that.
const ENOUGH_COMMANDS: f64 = 64.0;
/// Requests under way for each one that a batch may carry, below which the limit is not felt.
const WAITING: f64 = 2.0;
/// Messages over the floor, at most, of a proposal that goes out in one piece: protocols that tell followers of a
/// commit by messages of their own have 2.
const WHOLE: f64 = 2.0;
/// Of the limit, how much larger batches may come out and still be held by it.
const HELD: f64 = 1.25;
/// Share of the response that a time a command waited must have, to be worth mending.
const WAIT_SHARE: f64 = 0.25;
/// Of the linger that is set, the share by which responses must exceed what the links take. On average a command
/// that comes at any time waits for half of it.
const LINGER_SEEN: f64 = 0.4;
/// A window of more proposals than this delays a proposal by less than a thirtieth of a round trip.
const WIDE_WINDOW: f64 = 16.0;

pub(super) fn too_small(facts: &Facts) -> Option<Finding> {
    let (in_flight, batch) = (facts.in_flight?, facts.commands_per_proposal?);
    let room = |knob: &Knob| knob.commands(facts.payload_bytes);
    let small = facts.knobs_of(Role::BatchSize).filter(|knob| room(knob) <= ENOUGH_COMMANDS);
    let mut small: Vec<&Knob> = small.filter(|knob| in_flight >= WAITING * room(knob)).collect();
    small.sort_by(|a, b| room(a).total_cmp(&room(b)));
    let &tightest = small.first()?;
    let limit = room(tightest);
    // Proposals are no larger than the limit, or are cut into messages that are.
    let in_a_message = facts.messages_over_floor.map_or(batch, |over| batch * (WHOLE / over).min(1.0));
    if in_a_message > HELD * limit {
        return None;
    }
    let carried = in_a_message.min(limit);
    let reason = format!(
        "{} lets {limit:.0} {} share a batch while {in_flight:.0} requests are under way",
        tightest.name,
        if limit == 1.0 { "command" } else { "commands" }
    );
    let to = enough(tightest, in_flight, facts.payload_bytes);
    let shared = in_flight.min(Knob { value: to, ..tightest.clone() }.commands(facts.payload_bytes));
    // Of what is under way, half to all is at hand when a batch is made.
    let basis = "half to all of the requests under way share a batch's messages";
    let with: BTreeMap<String, f64> = small[1..]
        .iter()
        .map(|knob| (knob.name.clone(), enough(knob, in_flight, facts.payload_bytes)))
        .collect();
    let mut found = Finding::new("batch-too-small", Resource::Network, Severity::High, reason)
        .impact(1.0 - carried / shared)
        .confidence(Confidence::High)
        .seen(facts, "commands_per_message", in_a_message, Some(HELD * limit), "1")
        .seen(facts, "commands_per_proposal", batch, None, "1")
        .set(&tightest.name, tightest.value)
        .seen(facts, "requests_in_flight", in_flight, Some(WAITING * limit), "1")
        .change(tightest.change_to(to))
        .expected(by_arithmetic(
            "messages_per_commit",
            (carried / shared, (2.0 * carried / shared).min(1.0)),
            basis,
        ));
    found.with = with;
    Some(match facts.messages_over_floor {
        Some(over) => found.seen(facts, "messages_per_commit_over_floor", over, None, "1"),
        None => found,
    })
}

/// The default where that is room enough, else the next power of two that is.
fn enough(knob: &Knob, in_flight: f64, payload_bytes: f64) -> f64 {
    let default = Knob { value: knob.default, ..knob.clone() };
    if default.commands(payload_bytes) >= in_flight.min(2.0 * ENOUGH_COMMANDS) {
        return knob.default;
    }
    let each = if knob.name.ends_with("_bytes") { payload_bytes.max(1.0) } else { 1.0 };
    knob.within((in_flight.max(ENOUGH_COMMANDS).log2().ceil()).exp2() * each)
}

pub(super) fn linger_too_long(facts: &Facts) -> Option<Finding> {
    let (response, in_flight) = (facts.response_ns_p50?, facts.in_flight?);
    let excess = response - facts.response_floor_ns().unwrap_or(0.0);
    if excess < WAIT_SHARE * response {
        return None;
    }
    let (knob, linger, to) =
        waits_to_fill(facts, in_flight, excess).or_else(|| waits_by_clock(facts, excess))?;
    let reason = format!(
        "a response takes {} where the links take {}, and {} makes commands wait for others to share a batch with",
        time(response),
        facts.response_floor_ns().map_or("no time that is set".into(), time),
        knob.name
    );
    let left = |waited: f64| ((response - waited) / response).max(1e-3);
    let basis = "the measured wait taken off the response: all of it, or the part that the linger must have";
    let also =
        facts.knobs_of(Role::Linger).filter(|other| other.name != knob.name && other.value > other.default);
    let with: BTreeMap<String, f64> = also.map(|other| (other.name.clone(), other.default)).collect();
    let found = Finding::new("linger-too-long", Resource::Network, Severity::High, reason)
        .impact(linger.min(excess) / response)
        .confidence(Confidence::High)
        .seen(facts, "response_ns_p50", response, Some(response - excess), "ns")
        .set(&knob.name, knob.value)
        .seen(facts, "requests_in_flight", in_flight, None, "1")
        .change(knob.change_to(to))
        .expected(by_arithmetic(
            "response_ns_p50",
            (left(excess), left(LINGER_SEEN * linger.min(excess))),
            basis,
        ));
    Some(Finding { with, ..found })
}

/// A batch that waits for more commands than are under way never fills, and waits its time in full.
fn waits_to_fill(facts: &Facts, in_flight: f64, excess: f64) -> Option<(&Knob, f64, f64)> {
    let unfilled = |knob: &&Knob| knob.value > knob.range.0.max(1.0) && knob.value > in_flight;
    let knob = facts.knobs_of(Role::MinimumBatch).find(unfilled)?;
    Some((knob, excess, knob.within(knob.default.min(in_flight.floor()).max(1.0))))
}

/// Commands wait for a time that is set.
fn waits_by_clock(facts: &Facts, excess: f64) -> Option<(&Knob, f64, f64)> {
    let seen = |knob: &&Knob| {
        let linger = knob.nanoseconds().unwrap_or(0.0);
        linger > 0.0 && excess >= LINGER_SEEN * linger && linger >= WAIT_SHARE * (excess + linger) / 2.0
    };
    let knob = facts.knobs_of(Role::Linger).find(seen)?;
    let to = if knob.default < knob.value { knob.default } else { knob.within(knob.value / 10.0) };
    (to < knob.value).then_some((knob, knob.nanoseconds()?, to))
}

pub(super) fn window_too_small(facts: &Facts) -> Option<Finding> {
    let (rate, batch) = (facts.commits_per_s?, facts.commands_per_proposal.filter(|&batch| batch > 0.0)?);
    let (floor, response) = (facts.consensus_floor_ns?, facts.response_ns_p50?);
    let whole_floor = facts.response_floor_ns()?;
    let knob = facts.knobs_of(Role::Window).min_by(|a, b| a.value.total_cmp(&b.value))?;
    let window = knob.value;
    // Proposals under way at once, by Little's law over the time that one needs at least.
    let under_way = rate / batch * floor / 1e9;
    let waited = response - whole_floor;
    let is_full = under_way >= 0.7 * window && facts.in_flight? >= WAITING * window;
    if window > WIDE_WINDOW || !is_full || waited < 0.1 * response {
        return None;
    }
    // As if each command were proposed by itself: then none waits for the window.
    let all = (rate * floor / 1e9).max(WIDE_WINDOW).log2().ceil().exp2();
    let to = if knob.default >= 2.0 * window { knob.default } else { knob.within(all) };
    let reason = format!(
        "{} of {window:.0} is full: {under_way:.1} proposals are under way over links that take {}, and responses \
         take {}",
        knob.name,
        time(floor),
        time(response)
    );
    // A proposal is next after half of what lies between two, on average; in a queue, after more.
    let left = |share: f64| (response - share * waited) / response;
    let basis = "half to all of what responses take beyond the links' time";
    (to > window).then(|| {
        Finding::new("window-too-small", Resource::Network, Severity::High, reason)
            .impact(waited / response)
            .confidence(Confidence::High)
            .seen(facts, "proposals_under_way", under_way, Some(0.7 * window), "1")
            .set(&knob.name, window)
            .seen(facts, "response_ns_p50", response, Some(whole_floor), "ns")
            .change(knob.change_to(to))
            .expected(by_arithmetic("response_ns_p50", (left(1.0), left(0.5)), basis))
    })
}
