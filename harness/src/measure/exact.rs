//! From a run in virtual time to its metrics. Nothing is sampled, so nothing has an interval.

use protocol_core::{Answered, Counters, Floors, MessageKind, Observation};

use crate::results::{Better, Class, Metric};

/// What was counted of one combination.
pub struct ExactRecord<'a> {
    /// The ends of the commands that count.
    pub answers: &'a [Answered],
    /// The cluster before the first of them.
    pub before: &'a Observation,
    /// The cluster after the last.
    pub after: &'a Observation,
    /// Virtual time in between, in nanoseconds.
    pub virtual_ns: u64,
    /// From the leader's crash to the next commit, in nanoseconds; none when it did not crash.
    pub recovery_ns: Option<u64>,
    /// The least that is possible.
    pub floors: Floors,
    /// One-way delay of every link, when they have the same.
    pub one_way_ns: Option<u64>,
}

/// The metrics of one combination.
pub fn exact_metrics(record: &ExactRecord) -> Vec<Metric> {
    let commits = record.answers.len() as f64;
    let seconds = record.virtual_ns as f64 / 1e9;
    let spent = record.after.total() - record.before.total();
    let protocol = spent.of(MessageKind::Protocol);
    let batch = spent.proposed_commands as f64 / spent.proposals as f64;
    let (less, neither) = (Better::Lower, Better::Neither);
    let mut metrics = vec![
        exact("throughput_per_s", "1/s", Better::Higher, commits / seconds),
        exact("messages_per_commit", "1", less, protocol.messages as f64 / commits),
        exact(
            "messages_per_commit_over_floor",
            "1",
            less,
            protocol.messages as f64 / commits / (record.floors.messages_per_batch / batch),
        ),
        exact("bytes_per_commit", "bytes", less, protocol.bytes as f64 / commits),
        exact("leader_bytes_share", "1", neither, leader_share(record)),
        exact("commands_per_proposal", "1", neither, batch),
        exact("syncs_per_commit", "1", less, spent.syncs as f64 / commits),
        exact("signatures_per_commit", "1", less, spent.signatures as f64 / commits),
        exact("verifications_per_commit", "1", less, spent.verifications as f64 / commits),
        exact("heartbeats_per_s", "1/s", neither, spent.of(MessageKind::Heartbeat).messages as f64 / seconds),
    ];
    let at_leader = sorted(record.answers.iter().map(|one| one.decided.0 - one.taken_up.0));
    let at_client = sorted(record.answers.iter().map(|one| one.answered.0 - one.submitted.0));
    for (place, times) in [("leader", &at_leader), ("client", &at_client)] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("{place}_latency_ns_{name}");
            metrics.push(exact(&name, "ns", less, nearest_rank(times, quantile)));
        }
    }
    if let Some(one_way) = record.one_way_ns.filter(|&one_way| one_way > 0) {
        let delays = nearest_rank(&at_leader, 0.5) / one_way as f64;
        metrics.push(exact("delays_per_commit", "1", less, delays));
        metrics.push(exact("delays_per_commit_over_floor", "1", less, delays / record.floors.delays));
    }
    metrics.extend(record.recovery_ns.map(|ns| exact("recovery_ns", "ns", less, ns as f64)));
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

/// The share of all bytes that the busiest replica sent: of a protocol with a leader, the leader.
fn leader_share(record: &ExactRecord) -> f64 {
    let bytes = |counters: Counters| MessageKind::ALL.map(|kind| counters.of(kind).bytes).iter().sum::<u64>();
    let pairs = record.after.replicas.iter().zip(&record.before.replicas);
    let sent: Vec<u64> = pairs.map(|(after, before)| bytes(after.counters - before.counters)).collect();
    let most = sent.iter().max().copied().unwrap_or(0);
    most as f64 / sent.iter().sum::<u64>() as f64
}

fn sorted(times: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times
}

fn nearest_rank(sorted: &[u64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |&time| time as f64)
}

fn exact(name: &str, unit: &str, better: Better, value: f64) -> Metric {
    Metric {
        name: name.into(),
        value,
        lower: None,
        upper: None,
        unit: unit.into(),
        better,
        class: Class::Exact,
        n: 1,
    }
}
