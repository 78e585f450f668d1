//! Every kind of measurement, in brief, for every protocol of the suite.
#![allow(clippy::unwrap_used)]

use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::Limits;
use consensus_bench::scenario::{self, Measure, Scenario, StorageConfig};

fn built_in(name: &str) -> Scenario {
    scenario::find(&scenario::profile("quick").unwrap(), name).unwrap().clone()
}

/// The result of each protocol; they are safe and complete.
fn results(scenario: &Scenario) -> Vec<ScenarioResult> {
    scenario.check("test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pairs =
        consensus_bench_suite::suite().pairs(std::slice::from_ref(scenario), Limits::default()).unwrap();
    let results: Vec<ScenarioResult> =
        pairs.iter().map(|pair| pair.run(folder.path(), &Progress::default())).collect();
    for result in &results {
        assert_eq!(result.outcome, Outcome::Completed, "{}", result.protocol);
        assert!(result.safety.checked && result.safety.violations.is_empty(), "{:?}", result.safety);
    }
    results
}

fn value(result: &ScenarioResult, name: &str) -> f64 {
    result.metric(name).unwrap_or_else(|| panic!("{}: no {name}", result.protocol)).value
}

#[test]
fn the_parts_of_a_request_add_up_to_its_time() {
    for storage in [StorageConfig::Memory, StorageConfig::Wal] {
        let scenario = Scenario { storage, ..built_in("latency").brief() };
        for result in results(&scenario) {
            let mean = |part: &str| value(&result, &format!("{part}_ns_mean"));
            let parts = ["submission", "replication", "quorum_wait", "application", "answer"];
            let sum: f64 = parts.map(mean).iter().sum();
            let service = mean("service");
            assert!((sum / service - 1.0).abs() < 1e-9, "{}: {sum} and {service}", result.protocol);
            assert!((mean("replication") + mean("quorum_wait")) / mean("consensus") - 1.0 < 1e-9);
            assert!(parts.iter().all(|part| mean(part) >= 0.0));
            assert!(mean("fsync") <= mean("quorum_wait"));
            assert_eq!(mean("fsync") > 0.0, storage == StorageConfig::Wal, "{}", result.protocol);
            for percentile in ["p50", "p75", "p90", "p95", "p99", "p999", "p9999", "mean", "sd"] {
                value(&result, &format!("response_ns_{percentile}"));
            }
        }
    }
}

#[test]
fn a_link_of_five_milliseconds_is_waited_for_and_not_submitted() {
    let mut scenario = built_in("latency").brief();
    scenario.network.delay_ms = 5.0;
    for result in results(&scenario) {
        // There and back, by causality, and none of it while the command was being taken up.
        assert!(value(&result, "consensus_ns_mean") >= 10e6, "{}", result.protocol);
    }
}

#[test]
fn throughput_gives_a_bracket_and_a_curve() {
    let scenario = built_in("throughput").brief();
    let Measure::Throughput(search) = &scenario.measure else { panic!() };
    for result in results(&scenario) {
        let found = result.throughput.as_ref().unwrap();
        assert!(found.maximum_per_s >= found.average_per_s && found.average_per_s > 0.0);
        assert!(!found.curve.is_empty());
        assert!(found.curve.windows(2).all(|pair| pair[0].offered_per_s <= pair[1].offered_per_s));
        let sustainable = found.knee.sustainable_per_s.unwrap_or(0.0);
        assert!(sustainable <= search.highest_per_s);
        assert!(found.knee.broke_at_per_s.is_none_or(|broke| broke > sustainable));
        assert!(!result.resources.as_ref().unwrap().samples.is_empty());
    }
}

#[test]
fn resources_are_counted_per_commit_and_sampled_per_second() {
    let mut scenario = built_in("resources_wal").brief();
    scenario.phases[1].duration_s = 0.6;
    for result in results(&scenario) {
        for metric in
            ["allocations_per_commit", "log_bytes_per_commit", "syncs_per_commit", "bytes_per_commit"]
        {
            assert!(value(&result, metric) > 0.0, "{metric}");
        }
        // A commit is in the logs of at least two of three replicas, payload and all.
        assert!(value(&result, "log_bytes_per_commit") > 2.0 * scenario.payload_bytes as f64);
        if cfg!(target_os = "linux") {
            for metric in
                ["cpu_process_cores", "cluster_thread_cores", "generator_thread_cores", "rss_bytes_max"]
            {
                assert!(value(&result, metric) > 0.0, "{metric}");
            }
            assert!(value(&result, "cpu_process_cores") >= value(&result, "cluster_thread_cores"));
        }
        assert!(result.resources.unwrap().samples.len() > 3);
    }
}

#[test]
fn scalability_fits_a_law_for_every_size() {
    let mut scenario = built_in("scalability").brief();
    if let Measure::Scalability(sweep) = &mut scenario.measure {
        sweep.replicas = vec![4, 5];
    }
    for result in results(&scenario) {
        let found = result.scalability.as_ref().unwrap();
        assert_eq!(found.cells.len(), 6);
        assert_eq!(found.fits.len() + found.not_fitted.len(), 2);
        assert!(found.cells.iter().all(|cell| cell.throughput_per_s > 0.0 && cell.rounds_per_s.len() == 2));
        value(&result, "replicas_4_clients_4_throughput_per_s");
    }
}

#[test]
fn phases_end_in_a_recovery() {
    let mut scenario = built_in("stress").brief();
    scenario.phases[4].duration_s = 0.5;
    for result in results(&scenario) {
        assert_eq!(result.phases.len(), 5);
        assert_eq!(result.phases[4].intervals.len(), 40);
    }
}

/// All faults of the plan, once each and for as long as an election may take.
#[test]
fn every_fault_is_survived_without_losing_anything() {
    let mut scenario = built_in("fault_tolerance");
    let Measure::FaultTolerance(plan) = &mut scenario.measure else { panic!() };
    plan.cycles = 1;
    plan.rate_per_s = 500.0;
    for fault in &mut plan.faults {
        fault.cycles = None;
        fault.for_s = fault.for_s.map(|for_s| for_s.min(1.0));
    }
    let count = plan.faults.len();
    for result in results(&scenario) {
        assert_eq!(result.faults.len(), count);
        for fault in &result.faults {
            let name = format!("{} {}", result.protocol, fault.fault);
            assert_eq!(fault.not_measured, None, "{name}");
            assert_eq!((fault.lost, fault.applied_twice, fault.cycles.len()), (0, 0, 1), "{name}");
            let cycle = &fault.cycles[0];
            assert!(cycle.first_commit_ns.is_some(), "{name}");
            if !fault.tolerated {
                assert_eq!(cycle.acknowledged_during, 0, "{name}");
            }
            if fault.fault == "crash_leader" {
                // No one else can be elected before the shortest silence is over.
                let shortest = result.timing.election_min_ms * 1e6;
                assert!(cycle.unavailability_ns as f64 > shortest / 2.0, "{name}: {cycle:?}");
                assert!(cycle.views > 0, "{name}");
            }
        }
        value(&result, "crash_leader_unavailability_ns");
    }
}
