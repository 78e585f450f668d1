//! From a run in virtual time to its metrics. Nothing is sampled, so nothing has an interval.

use std::collections::BTreeMap;

use protocol_core::{Answered, Counters, Floors, MessageKind, Observation};

use crate::results::{Better, Class, Metric};

/// Times by how often they occurred: exact, and small where a simulation repeats itself.
#[derive(Clone, Debug, Default)]
pub struct Times {
    by_value: BTreeMap<u64, u64>,
    count: u64,
}

impl Times {
    pub(super) fn record(&mut self, ns: u64) {
        *self.by_value.entry(ns).or_default() += 1;
        self.count += 1;
    }

    /// The nearest-rank percentile; not a number when there is no time.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        let rank = ((quantile * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.by_value.iter().find(|&(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map_or(f64::NAN, |(&ns, _)| ns as f64)
    }
}

/// How long commands took, at the replica that took them up and at the client.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    at_leader: Times,
    at_client: Times,
}

impl Latencies {
    /// Records the end of one command.
    pub fn record(&mut self, answered: &Answered) {
        self.at_leader.record(answered.decided.0 - answered.taken_up.0);
        self.at_client.record(answered.answered.0 - answered.submitted.0);
    }

    /// Commands recorded.
    pub fn count(&self) -> u64 {
        self.at_client.count
    }
}

/// What was counted of one combination.
pub struct ExactRecord<'a> {
    /// How long the commands took that count.
    pub latencies: &'a Latencies,
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
    let commits = record.latencies.count() as f64;
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
    let Latencies { at_leader, at_client } = record.latencies;
    for (place, times) in [("leader", at_leader), ("client", at_client)] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("{place}_latency_ns_{name}");
            metrics.push(exact(&name, "ns", less, times.quantile(quantile)));
        }
    }
    if let Some(one_way) = record.one_way_ns.filter(|&one_way| one_way > 0) {
        let delays = at_leader.quantile(0.5) / one_way as f64;
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

pub(super) fn exact(name: &str, unit: &str, better: Better, value: f64) -> Metric {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut times = Times::default();
        assert!(times.quantile(0.5).is_nan());
        [50, 15, 40, 20, 35].into_iter().for_each(|ns| times.record(ns));
        // The example of the nearest-rank method: 15, 20, 35, 40, 50.
        for (quantile, expected) in [(0.05, 15.0), (0.3, 20.0), (0.4, 20.0), (0.5, 35.0), (1.0, 50.0)] {
            assert_eq!(times.quantile(quantile), expected, "{quantile}");
        }
    }
}
