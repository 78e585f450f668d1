//! Rules that say what held a run back. Pure: numbers in, findings out.

use std::cmp::Reverse;

use protocol_core::{MessageKind, Observation};

use crate::measure::{ACHIEVED_AT_LEAST, RUN_DELAY_AT_MOST};
use crate::results::{Bottleneck, Metric, Resource, Severity};

/// Above this share of all cores, whatever else runs there is in the way.
const MACHINE_CPU: f64 = 0.8;
/// Above this share of a core, the cluster's thread is about to saturate.
const CLUSTER_CORES: f64 = 0.8;
/// Bytes per second that memory may grow.
const MEMORY_GROWTH: f64 = 1024.0 * 1024.0;
/// Share of a link's bandwidth.
const BANDWIDTH: f64 = 0.8;
/// Share of the median response that a round trip takes.
const ROUND_TRIP: f64 = 0.5;
/// Share of consensus time that flushes take.
const FSYNC_MEDIUM: f64 = 0.5;
const FSYNC_HIGH: f64 = 0.8;
/// Share of time that threads wait for a core; the medium one also calls a run disturbed.
const RUN_DELAY_HIGH: f64 = 0.1;

/// What the rules look at. A rule whose numbers are not known finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// Share of all cores that were busy.
    pub cpu_machine_share: Option<f64>,
    /// CPU time of this process over time.
    pub cpu_process_cores: Option<f64>,
    /// CPU time of the cluster's thread over time.
    pub cluster_thread_cores: Option<f64>,
    /// Lower end of the interval of memory's growth, in bytes per second.
    pub memory_growth_lower_bytes_per_s: Option<f64>,
    /// Bytes per second over the busiest link: see [`busiest_link_bytes_per_s`].
    pub busiest_link_bytes_per_s: Option<f64>,
    /// What one link can carry, in bytes per second; none without a limit.
    pub bandwidth_bytes_per_s: Option<f64>,
    /// There and back over a link, in nanoseconds, as the scenario sets it.
    pub round_trip_ns: Option<f64>,
    /// Median response in nanoseconds.
    pub response_ns_p50: Option<f64>,
    /// Mean time of a flush that a commit waits for, in nanoseconds.
    pub fsync_ns_mean: Option<f64>,
    /// Mean time from when a replica took a command up until it knew of its commit, in nanoseconds.
    pub consensus_ns_mean: Option<f64>,
    /// Time that threads of this process waited for a core, over time.
    pub run_delay_share: Option<f64>,
    /// Share of the offered load that the generator sent.
    pub achieved_over_offered: Option<f64>,
}

impl Facts {
    /// As far as a phase's metrics know them. Links and flushes are not among those.
    pub fn of_metrics(metrics: &[Metric]) -> Self {
        let metric = |name: &str| metrics.iter().find(|metric| metric.name == name);
        let value = |name: &str| metric(name).map(|metric| metric.value);
        Facts {
            cpu_machine_share: value("cpu_machine_share"),
            cpu_process_cores: value("cpu_process_cores"),
            cluster_thread_cores: value("cluster_thread_cores"),
            memory_growth_lower_bytes_per_s: metric("memory_growth_bytes_per_s")
                .and_then(|metric| metric.lower),
            response_ns_p50: value("response_ns_p50"),
            // The phase's own is exact over the phase; samples cover what lies within it.
            run_delay_share: value("run_delay_ratio").or_else(|| value("run_delay_share")),
            achieved_over_offered: value("achieved_over_offered"),
            ..Facts::default()
        }
    }
}

/// Bytes per second over the busiest link, from two looks at a cluster that lie `seconds` apart: the
/// replica that sent most, over its links to all others. It takes replicas to send alike to each of
/// their peers, as leaders do; one that favours a peer has a busier link than this says. None without
/// links or time.
pub fn busiest_link_bytes_per_s(before: &Observation, after: &Observation, seconds: f64) -> Option<f64> {
    let links = after.replicas.len().checked_sub(1).filter(|&links| links > 0 && seconds > 0.0)?;
    let sent = before.replicas.iter().zip(&after.replicas).map(|(before, after)| {
        let spent = after.counters - before.counters;
        MessageKind::ALL.into_iter().map(|kind| spent.of(kind).bytes).sum::<u64>()
    });
    Some(sent.max()? as f64 / links as f64 / seconds)
}

/// What held a run back, the gravest first.
pub fn bottlenecks(facts: &Facts) -> Vec<Bottleneck> {
    let rules: [fn(&Facts) -> Option<Bottleneck>; 8] =
        [generator, cluster_thread, machine_cpu, run_queue, fsync, bandwidth, round_trip, memory];
    let mut found: Vec<Bottleneck> = rules.into_iter().filter_map(|rule| rule(facts)).collect();
    // Stable: within a severity, in the order of the rules.
    found.sort_by_key(|found| Reverse(found.severity));
    found
}

fn generator(facts: &Facts) -> Option<Bottleneck> {
    let value = facts.achieved_over_offered.filter(|&achieved| achieved < ACHIEVED_AT_LEAST)?;
    let evidence = format!(
        "the generator sent {:.1} % of the offered load: it, not the system, was the limit",
        value * 100.0
    );
    Some(found(Resource::Generator, Severity::High, (value, ACHIEVED_AT_LEAST, "1"), evidence))
}

fn cluster_thread(facts: &Facts) -> Option<Bottleneck> {
    let value = facts.cluster_thread_cores.filter(|&cores| cores > CLUSTER_CORES)?;
    let evidence = format!(
        "the one thread that runs all replicas took {:.0} % of a core; the machine has more",
        value * 100.0
    );
    Some(found(Resource::ClusterThread, Severity::High, (value, CLUSTER_CORES, "cores"), evidence))
}

fn machine_cpu(facts: &Facts) -> Option<Bottleneck> {
    let value = facts.cpu_machine_share.filter(|&share| share > MACHINE_CPU)?;
    let mut evidence = format!("the machine's cores were busy for {:.0} % of the time", value * 100.0);
    if let Some(cores) = facts.cpu_process_cores {
        evidence += &format!("; this process took {cores:.2} of them");
    }
    Some(found(Resource::Cpu, Severity::High, (value, MACHINE_CPU, "1"), evidence))
}

fn run_queue(facts: &Facts) -> Option<Bottleneck> {
    let value = facts.run_delay_share.filter(|&share| share > RUN_DELAY_AT_MOST)?;
    let evidence =
        format!("threads were ready and waited for a core during {:.1} % of the time", value * 100.0);
    Some(found(
        Resource::RunQueue,
        if value > RUN_DELAY_HIGH { Severity::High } else { Severity::Medium },
        (value, if value > RUN_DELAY_HIGH { RUN_DELAY_HIGH } else { RUN_DELAY_AT_MOST }, "1"),
        evidence,
    ))
}

fn fsync(facts: &Facts) -> Option<Bottleneck> {
    let (fsync, consensus) = (facts.fsync_ns_mean?, facts.consensus_ns_mean?);
    let value = Some(fsync / consensus).filter(|&share| share.is_finite() && share > FSYNC_MEDIUM)?;
    let is_high = value > FSYNC_HIGH;
    let evidence = format!(
        "a flush to stable storage takes {:.3} ms of the {:.3} ms that consensus takes",
        fsync / 1e6,
        consensus / 1e6
    );
    Some(found(
        Resource::Fsync,
        if is_high { Severity::High } else { Severity::Medium },
        (value, if is_high { FSYNC_HIGH } else { FSYNC_MEDIUM }, "1"),
        evidence,
    ))
}

fn bandwidth(facts: &Facts) -> Option<Bottleneck> {
    let (carried, limit) = (facts.busiest_link_bytes_per_s?, facts.bandwidth_bytes_per_s?);
    let threshold = BANDWIDTH * limit;
    if carried.is_nan() || carried <= threshold {
        return None;
    }
    let evidence = format!(
        "the busiest link carried {:.3} MB/s, {:.0} % of its bandwidth",
        carried / 1e6,
        carried / limit * 100.0
    );
    Some(found(Resource::Network, Severity::High, (carried, threshold, "bytes/s"), evidence))
}

fn round_trip(facts: &Facts) -> Option<Bottleneck> {
    let (round_trip, response) = (facts.round_trip_ns?, facts.response_ns_p50?);
    let value = Some(round_trip / response).filter(|&share| share.is_finite() && share > ROUND_TRIP)?;
    let evidence = format!(
        "a round trip of {:.3} ms is {:.0} % of the median response: bound by the network's delay",
        round_trip / 1e6,
        value * 100.0
    );
    Some(found(Resource::Network, Severity::Medium, (value, ROUND_TRIP, "1"), evidence))
}

fn memory(facts: &Facts) -> Option<Bottleneck> {
    let value = facts.memory_growth_lower_bytes_per_s.filter(|&growth| growth > MEMORY_GROWTH)?;
    let evidence = format!(
        "memory grew by at least {:.1} MiB/s; logs that replicas keep in memory are in it",
        value / MEMORY_GROWTH
    );
    Some(found(Resource::Memory, Severity::Medium, (value, MEMORY_GROWTH, "bytes/s"), evidence))
}

fn found(
    resource: Resource,
    severity: Severity,
    (value, threshold, unit): (f64, f64, &str),
    evidence: String,
) -> Bottleneck {
    Bottleneck { resource, severity, value, threshold, unit: unit.into(), evidence }
}

#[cfg(test)]
mod tests {
    use protocol_core::{Counters, ReplicaStatus};

    use super::*;
    use crate::results::{Better, Class};

    /// What the rules find in the facts that `set` sets, as resource and severity.
    fn found_with(set: impl Fn(&mut Facts)) -> Vec<(Resource, Severity)> {
        let mut facts = Facts::default();
        set(&mut facts);
        bottlenecks(&facts).iter().map(|found| (found.resource, found.severity)).collect()
    }

    /// A rule over one fact: nothing at the threshold, something beyond it.
    fn check(set: impl Fn(&mut Facts, f64), at: f64, beyond: f64, expected: (Resource, Severity)) {
        assert_eq!(found_with(|facts| set(facts, at)), [], "{expected:?} at {at}");
        assert_eq!(found_with(|facts| set(facts, beyond)), [expected], "{expected:?} at {beyond}");
        assert_eq!(found_with(|facts| set(facts, f64::NAN)), [], "{expected:?} of no number");
    }

    #[test]
    fn each_rule_holds_beyond_its_threshold_and_not_at_it() {
        use Resource::{ClusterThread, Cpu, Fsync, Generator, Memory, Network, RunQueue};
        use Severity::{High, Medium};
        check(|facts, value| facts.cpu_machine_share = Some(value), 0.8, 0.81, (Cpu, High));
        check(|facts, value| facts.cluster_thread_cores = Some(value), 0.8, 0.81, (ClusterThread, High));
        let grows = |facts: &mut Facts, value| facts.memory_growth_lower_bytes_per_s = Some(value);
        check(grows, 1_048_576.0, 1_048_577.0, (Memory, Medium));
        check(|facts, value| facts.run_delay_share = Some(value), 0.02, 0.021, (RunQueue, Medium));
        check(|facts, value| facts.achieved_over_offered = Some(value), 0.995, 0.9949, (Generator, High));
        let carries = |facts: &mut Facts, value| {
            (facts.busiest_link_bytes_per_s, facts.bandwidth_bytes_per_s) = (Some(value), Some(1e6));
        };
        check(carries, 8e5, 8.1e5, (Network, High));
        let travels = |facts: &mut Facts, value| {
            (facts.round_trip_ns, facts.response_ns_p50) = (Some(value), Some(100.0));
        };
        check(travels, 50.0, 50.1, (Network, Medium));
        let flushes = |facts: &mut Facts, value| {
            (facts.fsync_ns_mean, facts.consensus_ns_mean) = (Some(value), Some(100.0));
        };
        check(flushes, 50.0, 50.1, (Fsync, Medium));
    }

    #[test]
    fn two_rules_have_a_second_step() {
        let flushes = |value| {
            found_with(|facts| {
                (facts.fsync_ns_mean, facts.consensus_ns_mean) = (Some(value), Some(100.0));
            })
        };
        assert_eq!(flushes(80.0), [(Resource::Fsync, Severity::Medium)]);
        assert_eq!(flushes(80.1), [(Resource::Fsync, Severity::High)]);
        let waits = |value| found_with(|facts| facts.run_delay_share = Some(value));
        assert_eq!(waits(0.1), [(Resource::RunQueue, Severity::Medium)]);
        assert_eq!(waits(0.11), [(Resource::RunQueue, Severity::High)]);
    }

    #[test]
    fn half_of_what_a_rule_needs_finds_nothing() {
        for set in [
            (|facts| facts.round_trip_ns = Some(1e9)) as fn(&mut Facts),
            |facts| facts.response_ns_p50 = Some(1.0),
            |facts| facts.fsync_ns_mean = Some(1e9),
            |facts| facts.consensus_ns_mean = Some(1.0),
            |facts| facts.busiest_link_bytes_per_s = Some(1e12),
            |facts| facts.bandwidth_bytes_per_s = Some(1.0),
            |facts| (facts.round_trip_ns, facts.response_ns_p50) = (Some(1e6), Some(0.0)),
            |facts| facts.cpu_process_cores = Some(64.0),
        ] {
            assert_eq!(found_with(set), []);
        }
    }

    #[test]
    fn the_gravest_comes_first_with_what_was_seen() {
        let facts = Facts {
            cpu_machine_share: Some(0.87),
            cpu_process_cores: Some(1.604),
            memory_growth_lower_bytes_per_s: Some(3.5 * 1_048_576.0),
            run_delay_share: Some(0.05),
            cluster_thread_cores: Some(0.97),
            ..Facts::default()
        };
        let found = bottlenecks(&facts);
        assert!(found.is_sorted_by(|a, b| a.severity >= b.severity));
        let evidence: Vec<&str> = found.iter().map(|found| found.evidence.as_str()).collect();
        assert_eq!(
            evidence,
            [
                "the one thread that runs all replicas took 97 % of a core; the machine has more",
                "the machine's cores were busy for 87 % of the time; this process took 1.60 of them",
                "threads were ready and waited for a core during 5.0 % of the time",
                "memory grew by at least 3.5 MiB/s; logs that replicas keep in memory are in it",
            ]
        );
        assert_eq!((found[0].value, found[0].threshold, found[0].unit.as_str()), (0.97, 0.8, "cores"));
    }

    #[test]
    fn facts_come_from_the_metrics_of_their_names() {
        let metric = |name: &str, value| Metric {
            name: name.into(),
            value,
            lower: Some(value - 1.0),
            upper: None,
            unit: String::new(),
            better: Better::Neither,
            class: Class::Wall,
            n: 1,
        };
        let mut metrics = vec![
            metric("cpu_machine_share", 1.0),
            metric("cpu_process_cores", 2.0),
            metric("cluster_thread_cores", 3.0),
            metric("memory_growth_bytes_per_s", 5.0),
            metric("response_ns_p50", 6.0),
            metric("run_delay_share", 7.0),
            metric("achieved_over_offered", 8.0),
        ];
        let facts = Facts::of_metrics(&metrics);
        let expected = Facts {
            cpu_machine_share: Some(1.0),
            cpu_process_cores: Some(2.0),
            cluster_thread_cores: Some(3.0),
            memory_growth_lower_bytes_per_s: Some(4.0),
            response_ns_p50: Some(6.0),
            run_delay_share: Some(7.0),
            achieved_over_offered: Some(8.0),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
        metrics.push(metric("run_delay_ratio", 9.0));
        assert_eq!(Facts::of_metrics(&metrics).run_delay_share, Some(9.0));
    }

    #[test]
    fn the_busiest_link_is_one_of_the_replica_that_sent_most() {
        let cluster = |sent: &[u64]| Observation {
            replicas: sent
                .iter()
                .map(|&bytes| {
                    let mut counters = Counters::default();
                    counters.traffic[MessageKind::Protocol.index()].bytes = bytes;
                    counters.traffic[MessageKind::Heartbeat.index()].bytes = bytes / 10;
                    ReplicaStatus { counters, ..ReplicaStatus::default() }
                })
                .collect(),
            ..Observation::default()
        };
        let (before, after) = (cluster(&[1_000, 0, 500]), cluster(&[9_000, 4_000, 500]));
        // 8,000 bytes and a tenth of heartbeats, to two others, in two seconds.
        assert_eq!(busiest_link_bytes_per_s(&before, &after, 2.0), Some(2_200.0));
        assert_eq!(busiest_link_bytes_per_s(&before, &after, 0.0), None);
        assert_eq!(busiest_link_bytes_per_s(&cluster(&[1]), &cluster(&[9]), 1.0), None);
    }
}
