//! From a run in virtual time to its metrics. Nothing is sampled, so nothing has an interval.

use std::collections::BTreeMap;

use protocol_core::{Answered, Counters, Floors, MessageKind, Observation};

use crate::resources::ThreadHeapCounts;
use crate::results::{Better, Class, ExactCell, GrowthFit, Metric};
use crate::stats::power_law;

/// Sizes of a cluster below which growth is not fitted.
const FEWEST_SIZES: usize = 3;

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

    /// The nearest-rank percentile at the client, in nanoseconds; not a number when there is none.
    pub fn client_ns(&self, quantile: f64) -> f64 {
        self.at_client.quantile(quantile)
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
    /// What the simulation took from the heap in between; none where it is not counted.
    pub heap: Option<ThreadHeapCounts>,
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
        exact("bytes_per_commit", "bytes", less, protocol.bytes as f64 / commits),
        exact("leader_bytes_share", "1", neither, leader_share(record)),
        exact("commands_per_proposal", "1", neither, batch),
        exact("syncs_per_commit", "1", less, spent.syncs as f64 / commits),
        exact("heartbeats_per_s", "1/s", neither, spent.of(MessageKind::Heartbeat).messages as f64 / seconds),
    ];
    let floors = &record.floors;
    for (name, count, floor) in [
        ("messages_per_commit", protocol.messages, floors.messages_per_batch / batch),
        ("signatures_per_commit", spent.signatures, floors.signatures_per_batch / batch),
        ("verifications_per_commit", spent.verifications, floors.verifications_per_batch / batch),
        ("macs_per_commit", spent.macs, floors.macs_per_batch / batch + floors.macs_per_command),
    ] {
        metrics.extend(over_floor(name, count as f64 / commits, floor));
    }
    if let Some(heap) = record.heap {
        let bytes = heap.allocated_bytes as f64 / commits;
        metrics.push(exact("allocations_per_commit", "1", less, heap.allocations as f64 / commits));
        metrics.push(exact("allocated_bytes_per_commit", "bytes", less, bytes));
    }
    let Latencies { at_leader, at_client } = record.latencies;
    for (place, times) in [("leader", at_leader), ("client", at_client)] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("{place}_latency_ns_{name}");
            metrics.push(exact(&name, "ns", less, times.quantile(quantile)));
        }
    }
    if let Some(one_way) = record.one_way_ns.filter(|&one_way| one_way > 0) {
        let rounds = at_leader.quantile(0.5) / one_way as f64;
        metrics.extend(over_floor("rounds_per_commit", rounds, floors.delays));
    }
    metrics.extend(record.recovery_ns.map(|ns| exact("recovery_ns", "ns", less, ns as f64)));
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

/// A cost and, where it has a floor, how many times that it is.
fn over_floor(name: &str, value: f64, floor: f64) -> Vec<Metric> {
    let mut metrics = vec![exact(name, "1", Better::Lower, value)];
    if floor > 0.0 {
        metrics.push(exact(&format!("{name}_over_floor"), "1", Better::Lower, value / floor));
    }
    metrics
}

/// How costs grow with the cluster, for every topology and number of clients with three sizes or more.
///
/// Messages are those of a batch, because they don't depend on how many commands share it; bytes are
/// those of a commit.
pub fn growth_fits(cells: &[ExactCell], floors: impl Fn(usize) -> Floors) -> Vec<GrowthFit> {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for cell in cells {
        let group = (cell.topology.as_str(), cell.clients);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let value = |cell: &ExactCell, name: &str| cell.metric(name).map_or(f64::NAN, |metric| metric.value);
    let messages =
        |cell: &ExactCell| value(cell, "messages_per_commit") * value(cell, "commands_per_proposal");
    let bytes = |cell: &ExactCell| value(cell, "bytes_per_commit");
    let floor = |cell: &ExactCell| floors(cell.replicas).messages_per_batch;
    let mut fits = Vec::new();
    for (topology, clients) in groups {
        let of_group: Vec<&ExactCell> = cells
            .iter()
            .filter(|cell| (cell.topology.as_str(), cell.clients) == (topology, clients))
            .collect();
        if of_group.len() < FEWEST_SIZES {
            continue;
        }
        let fit = |of: &dyn Fn(&ExactCell) -> f64| {
            power_law(&of_group.iter().map(|cell| (cell.replicas as f64, of(cell))).collect::<Vec<_>>())
        };
        let floor_exponent = fit(&floor).map(|law| six_decimals(law.exponent));
        for (cost, law, floor_exponent) in
            [("messages_per_batch", fit(&messages), floor_exponent), ("bytes_per_commit", fit(&bytes), None)]
        {
            fits.extend(law.map(|law| GrowthFit {
                topology: topology.into(),
                clients,
                cost: cost.into(),
                sizes: of_group.len(),
                exponent: six_decimals(law.exponent),
                r_squared: six_decimals(law.r_squared),
                floor_exponent,
            }));
        }
    }
    fits
}

/// The exponents as metrics.
pub fn growth_metrics(fits: &[GrowthFit]) -> impl Iterator<Item = Metric> {
    fits.iter()
        .map(|fit| Metric { n: fit.sizes as u64, ..exact(&fit.name(), "1", Better::Lower, fit.exponent) })
}

/// Logarithms of different machines differ in the last digits, and exact metrics must not.
fn six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
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
    use protocol_core::{CommandId, ReplicaStatus, Slot, Time, Traffic};

    use super::*;

    /// Ten commits in five batches on two replicas.
    fn metrics(heap: Option<ThreadHeapCounts>, floors: Floors) -> Vec<Metric> {
        let mut latencies = Latencies::default();
        for id in 0..10 {
            let (submitted, taken_up, decided, answered) = (Time(0), Time(5), Time(505), Time(510));
            let outcome = Ok(Slot(id));
            latencies.record(&Answered {
                id: CommandId(id),
                submitted,
                taken_up,
                decided,
                answered,
                outcome,
                output: 0,
                spread: None,
            });
        }
        let replica = |messages: u64, bytes: u64| {
            let mut counters = Counters { proposals: 5, proposed_commands: 10, ..Counters::default() };
            counters.traffic[MessageKind::Protocol.index()] = Traffic { messages, bytes };
            counters.traffic[MessageKind::Heartbeat.index()] = Traffic { messages: 7, bytes: 0 };
            (counters.signatures, counters.macs) = (10, 3);
            ReplicaStatus { counters, ..ReplicaStatus::default() }
        };
        let started = [replica(0, 0), replica(0, 0)].map(|mut replica| {
            replica.counters = Counters::default();
            replica
        });
        let at_rest = Observation { replicas: started.into(), ..Observation::default() };
        let mut at_end = Observation { replicas: vec![replica(15, 300), replica(5, 100)], ..at_rest.clone() };
        at_end.replicas[1].counters.proposals = 0;
        at_end.replicas[1].counters.proposed_commands = 0;
        exact_metrics(&ExactRecord {
            latencies: &latencies,
            before: &at_rest,
            after: &at_end,
            virtual_ns: 1_000_000_000,
            recovery_ns: None,
            heap,
            floors,
            one_way_ns: Some(250),
        })
    }

    fn value(metrics: &[Metric], name: &str) -> Option<f64> {
        metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    #[test]
    fn counts_are_per_commit_and_over_their_floors_where_there_are_some() {
        let floors = Floors { signatures_per_batch: 2.0, ..Floors::without_cryptography(2.0, 2.0) };
        let heap = ThreadHeapCounts { allocations: 25, allocated_bytes: 1_000 };
        let found = metrics(Some(heap), floors);
        for (name, expected) in [
            ("messages_per_commit", 2.0),
            ("messages_per_commit_over_floor", 2.0),
            ("bytes_per_commit", 40.0),
            ("leader_bytes_share", 0.75),
            ("heartbeats_per_s", 14.0),
            ("signatures_per_commit", 2.0),
            ("signatures_per_commit_over_floor", 2.0),
            ("macs_per_commit", 0.6),
            ("verifications_per_commit", 0.0),
            ("rounds_per_commit", 2.0),
            ("rounds_per_commit_over_floor", 1.0),
            ("allocations_per_commit", 2.5),
            ("allocated_bytes_per_commit", 100.0),
        ] {
            assert_eq!(value(&found, name), Some(expected), "{name}");
        }
        for absent in ["macs_per_commit_over_floor", "verifications_per_commit_over_floor", "recovery_ns"] {
            assert_eq!(value(&found, absent), None, "{absent}");
        }
    }

    #[test]
    fn what_is_not_counted_is_absent_and_not_nothing() {
        let found = metrics(None, Floors::without_cryptography(0.0, 0.0));
        for absent in [
            "allocations_per_commit",
            "allocated_bytes_per_commit",
            "messages_per_commit_over_floor",
            "rounds_per_commit_over_floor",
        ] {
            assert_eq!(value(&found, absent), None, "{absent}");
        }
    }

    #[test]
    fn growth_is_fitted_to_batches_and_set_beside_the_floors() {
        let cell = |replicas: usize, clients: usize| {
            let n = replicas as f64;
            let metrics = vec![
                // The square of n in a batch, whatever the number of commands in it.
                exact("messages_per_commit", "1", Better::Lower, n * n / clients as f64),
                exact("commands_per_proposal", "1", Better::Neither, clients as f64),
                exact("bytes_per_commit", "bytes", Better::Lower, 100.0 * n),
            ];
            ExactCell { topology: "lan".into(), replicas, clients, offered_per_s: None, commits: 1, metrics }
        };
        let cells = [cell(3, 1), cell(3, 64), cell(5, 1), cell(5, 64), cell(9, 64)];
        let fits = growth_fits(&cells, |n| Floors::without_cryptography(n as f64, 2.0));
        let found: Vec<_> =
            fits.iter().map(|fit| (fit.name(), fit.sizes, fit.exponent, fit.floor_exponent)).collect();
        assert_eq!(
            found,
            [
                ("lan_clients_64_messages_per_batch_growth_exponent".into(), 3, 2.0, Some(1.0)),
                ("lan_clients_64_bytes_per_commit_growth_exponent".into(), 3, 1.0, None),
            ],
            "two sizes are too few"
        );
        assert!(fits.iter().all(|fit| fit.r_squared == 1.0));
    }

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
