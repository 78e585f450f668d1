//! Work that a commit takes beside the protocol: the heap and encoding.

use protocol_core::Order;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic};
use crate::results::{Change, Confidence, Evidence, Resource, Severity};

/// Share of CPU time in the allocator, and in encoding, from a profile.
const ALLOCATION_SHARE: f64 = 0.25;
const ENCODING_SHARE: f64 = 0.3;
/// Allocations that a message may take, made, sent, received and answered: those of this workspace take 2 to 24 …
const PER_MESSAGE: f64 = 30.0;
const FEWEST_PER_MESSAGE: f64 = 2.0;
/// … and those that a command may take of its own on each replica.
const PER_REPLICA: f64 = 10.0;
/// Times what earlier runs of the same took.
const TIMES_USUAL: f64 = 1.5;

pub(super) fn allocation_heavy(facts: &Facts) -> Option<Finding> {
    let (impact, expected, found) =
        by_profile(facts).or_else(|| by_count(facts)).or_else(|| by_history(facts))?;
    let places = &facts.places;
    // Without the sites: what takes most of the time need not be what takes memory.
    let (functions, find) = match places.allocations.as_slice() {
        [] => (&places.protocol, "find the sites by a profile of allocations, and "),
        _ => (&places.allocations, ""),
    };
    let action = format!("{find}reuse buffers: one for each batch in place of one for each command");
    let change = Change::Code { place: place(&places.allocations, facts), action };
    Some(found.impact(impact).change(change).expected(expected).functions(functions))
}

/// The library, and the first of these functions.
fn place(functions: &[Evidence], facts: &Facts) -> String {
    match functions.first() {
        Some(first) => format!("{}, first {}", facts.implementation, first.what),
        None => facts.implementation.clone(),
    }
}

type Found = (f64, Option<crate::results::Effect>, Finding);

fn by_profile(facts: &Facts) -> Option<Found> {
    let share = *facts.work_shares.get("allocation").filter(|&&share| share > ALLOCATION_SHARE)?;
    let reason = format!("{:.0} % of the CPU time is spent in the allocator", share * 100.0);
    let found = start(reason).confidence(Confidence::High);
    let basis = "Amdahl's law: half to all of the allocator's share of a profile is saved";
    let expected = by_arithmetic("cpu_ns_per_commit", (1.0 - share, 1.0 - share / 2.0), basis);
    Some((share, expected, found.seen(facts, "allocation_share", share, Some(ALLOCATION_SHARE), "1")))
}

fn by_count(facts: &Facts) -> Option<Found> {
    let count = facts.allocations_per_commit?;
    let messages = facts.messages_per_commit?;
    let limit = PER_MESSAGE * messages + PER_REPLICA * facts.replicas as f64;
    // Gossip has messages that belong to no command.
    if facts.order == Some(Order::Set) || count <= limit {
        return None;
    }
    let reason = format!(
        "a commit takes {count:.0} allocations; its {messages:.1} messages and {} replicas explain {limit:.0} of them",
        facts.replicas
    );
    let found = start(reason)
        .confidence(Confidence::Medium)
        .seen(facts, "allocations_per_commit", count, Some(limit), "1")
        .seen(facts, "messages_per_commit", messages, None, "1");
    let basis = "down to what messages and replicas explain at most, or to two for each message";
    Some((
        1.0 - limit / count,
        by_arithmetic(
            "allocations_per_commit",
            (FEWEST_PER_MESSAGE * messages / count, limit / count),
            basis,
        ),
        found,
    ))
}

fn by_history(facts: &Facts) -> Option<Found> {
    let (count, usual) = (facts.allocations_per_commit?, facts.allocations_usual?);
    // A small count may grow by half when batches come out smaller.
    if count <= TIMES_USUAL * usual || count - usual < PER_REPLICA * facts.replicas as f64 {
        return None;
    }
    let reason = format!("a commit takes {count:.0} allocations, and took {usual:.0} in earlier runs");
    let found = start(reason).confidence(Confidence::Medium).seen(
        facts,
        "allocations_per_commit",
        count,
        Some(TIMES_USUAL * usual),
        "1",
    );
    let basis = "back to the median of earlier runs, to a tenth";
    let ratio = usual / count;
    Some((1.0 - ratio, by_arithmetic("allocations_per_commit", (ratio / 1.1, ratio * 1.1), basis), found))
}

fn start(reason: String) -> Finding {
    Finding::new("allocation-heavy", Resource::Memory, Severity::Medium, reason)
}

pub(super) fn serialisation_heavy(facts: &Facts) -> Option<Finding> {
    let share = *facts.work_shares.get("encoding").filter(|&&share| share > ENCODING_SHARE)?;
    let reason = format!("{:.0} % of the CPU time is spent on encoding and decoding messages", share * 100.0);
    let action = "encode a message once for all its receivers, and hand payloads on as shared bytes";
    let basis = "Amdahl's law: half to all of encoding's share of a profile is saved";
    let functions = &facts.places.encoding;
    Some(
        Finding::new("serialisation-heavy", Resource::Cpu, Severity::Medium, reason)
            .impact(share)
            .confidence(Confidence::High)
            .seen(facts, "encoding_share", share, Some(ENCODING_SHARE), "1")
            .functions(functions)
            .change(Change::Code { place: place(functions, facts), action: action.into() })
            .expected(by_arithmetic("cpu_ns_per_commit", (1.0 - share, 1.0 - share / 2.0), basis)),
    )
}
