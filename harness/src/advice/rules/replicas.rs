//! Replicas that differ from the others.

use protocol_core::Order;

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, time};
use crate::results::{Change, Confidence, Resource, Severity};

/// A replica is slow when it is behind for this many times as long as the other followers …
const TIMES_THE_OTHERS: f64 = 4.0;
/// … longer than so many round trips over the slowest link …
const ROUND_TRIPS: f64 = 3.0;
/// … and by more commands than are under way, or in one batch of them …
const TIMES_IN_FLIGHT: f64 = 2.0;
/// … and longer than this, which threads that wait for a core may take.
const LEAST_NS: f64 = 5e6;
/// Of leaderless protocols, the share of messages of the busiest replica over an equal one.
const TIMES_AN_EQUAL_SHARE: f64 = 1.8;

pub(super) fn slow(facts: &Facts) -> Option<Finding> {
    if facts.order != Some(Order::Total) || facts.replicas < 3 {
        return None;
    }
    let (conduct, rate) = (facts.conduct.as_ref()?, facts.commits_per_s.filter(|&rate| rate > 0.0)?);
    let mut behind: Vec<(usize, f64)> =
        conduct.replicas.iter().map(|replica| replica.behind_commands / rate * 1e9).enumerate().collect();
    behind.sort_by(|a, b| a.1.total_cmp(&b.1));
    // The one furthest ahead is first; of the others, the middle one without the last.
    let (&(index, lag), others) = behind.get(1..)?.split_last()?;
    let usual = others.get(others.len() / 2).map_or(0.0, |other| other.1);
    let under_way = facts.in_flight.unwrap_or(0.0) / rate * 1e9;
    let threshold = (TIMES_THE_OTHERS * usual)
        .max(ROUND_TRIPS * facts.round_trip_ns_max.unwrap_or(0.0))
        .max(TIMES_IN_FLIGHT * under_way)
        .max(LEAST_NS);
    if !lag.is_finite() || lag <= threshold {
        return None;
    }
    let reason = format!(
        "replica {index} is {} behind, the other followers {}: it is no longer a spare, so the next failure makes \
         everyone wait for it",
        time(lag),
        time(usual)
    );
    let action = format!(
        "look at the machine, the disk and the links of replica {index}, or put another one in its place"
    );
    Some(
        Finding::new("slow-replica", Resource::Network, Severity::Medium, reason)
            .impact(0.5)
            .confidence(Confidence::High)
            .seen(facts, "replica_behind_ns", lag, Some(threshold), "ns")
            .seen(facts, "other_followers_behind_ns", usual, None, "ns")
            .change(Change::Surroundings { action }),
    )
}

pub(super) fn imbalance(facts: &Facts) -> Option<Finding> {
    if !matches!(facts.order, Some(Order::Reads | Order::Eventual)) || facts.replicas < 3 {
        return None;
    }
    let replicas = &facts.conduct.as_ref()?.replicas;
    let all: u64 = replicas.iter().map(|replica| replica.messages).sum();
    let (index, busiest) = replicas.iter().enumerate().max_by_key(|(_, replica)| replica.messages)?;
    let times = busiest.messages as f64 / all as f64 * facts.replicas as f64;
    if !times.is_finite() || times <= TIMES_AN_EQUAL_SHARE {
        return None;
    }
    let reason =
        format!("replica {index} sends {times:.1} times its share of messages, and no one has to lead here");
    let action = "spread clients over the replicas, so that each coordinates its share of commands";
    Some(
        Finding::new("imbalance", Resource::Network, Severity::Low, reason)
            .impact(1.0 - 1.0 / times)
            .confidence(Confidence::Medium)
            .seen(facts, "messages_over_equal_share", times, Some(TIMES_AN_EQUAL_SHARE), "1")
            .change(Change::Surroundings { action: action.into() }),
    )
}
