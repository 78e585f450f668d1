//! The rules: each a pure function from facts to a finding, or to none.

mod batching;
mod elections;
mod generator;
mod heap;
mod heartbeats;
mod machine;
mod messages;
mod network;
mod replicas;
mod storage;
mod symptoms;

use super::facts::Facts;
use super::finding::Finding;

pub use generator::GENERATOR_LIMITED;

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, which is that of its page too. Several may share one.
    pub name: &'static str,
    /// What it finds.
    pub find: fn(&Facts) -> Option<Finding>,
}

const fn rule(name: &'static str, find: fn(&Facts) -> Option<Finding>) -> Rule {
    Rule { name, find }
}

/// All rules. Where two find equally much, the earlier comes first.
pub const RULES: [Rule; 23] = [
    rule(GENERATOR_LIMITED, generator::generator_limited),
    rule("election-too-twitchy", elections::too_twitchy),
    rule("election-too-slow", elections::too_slow),
    rule("heartbeat-storm", heartbeats::storm),
    rule("batch-too-small", batching::too_small),
    rule("linger-too-long", batching::linger_too_long),
    rule("window-too-small", batching::window_too_small),
    rule("group-commit-off", storage::group_commit_off),
    rule("fsync-bound", storage::fsync_bound),
    rule("message-amplification", messages::amplification),
    rule("slow-replica", replicas::slow),
    rule("imbalance", replicas::imbalance),
    rule("allocation-heavy", heap::allocation_heavy),
    rule("serialisation-heavy", heap::serialisation_heavy),
    rule("leader-bandwidth", network::leader_bandwidth),
    rule("resource-constraint", network::delay_bound),
    rule("resource-constraint", machine::cluster_thread),
    rule("resource-constraint", machine::cores),
    rule("resource-constraint", machine::run_queue),
    rule("resource-constraint", machine::memory),
    rule("queueing-before-leader", symptoms::queueing_before_leader),
    rule("throughput-degradation", symptoms::throughput_degradation),
    rule("latency-tail", symptoms::latency_tail),
];

/// What all rules find in these facts. A generator that did not keep up leaves nothing to say about the protocol.
pub fn find(facts: &Facts) -> Vec<Finding> {
    let found = match generator::generator_limited(facts) {
        Some(found) => vec![found],
        None => RULES.iter().filter_map(|rule| (rule.find)(facts)).collect(),
    };
    found.into_iter().map(|one| Finding { cell: facts.cell.clone(), ..one }).collect()
}

#[cfg(test)]
mod tests;
