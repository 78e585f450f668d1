//! Every kind of measurement, in brief, for one protocol of each kind that the harness drives in a way of its own:
//! a state machine with a leader, a library with its own runtime, clients who believe only f + 1, and replicas that
//! all coordinate; and what has a meaning without an order, for gossip.
#![allow(clippy::unwrap_used)]

use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::Limits;
use consensus_bench::scenario::{self, Measure, Scenario, StorageConfig};
use protocol_core::Order;

/// One of each kind. Those left out differ in what replicas do, which their conformance tests are about.
const KINDS: [&str; 6] = ["raft-rs", "openraft", "pbft", "abd", "plumtree", "swim"];

fn built_in(name: &str) -> Scenario {
    scenario::find(&scenario::profile("quick").unwrap(), name).unwrap().clone()
}

/// The result of each kind of protocol that orders commands; they are safe and complete.
fn results(scenario: &Scenario) -> Vec<ScenarioResult> {
    results_of(Order::Total, scenario)
}

fn results_of(order: Order, scenario: &Scenario) -> Vec<ScenarioResult> {
    scenario.check("test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pairs =
        consensus_bench_suite::suite().pairs(std::slice::from_ref(scenario), Limits::default()).unwrap();
    let pairs = pairs.iter().filter(|pair| KINDS.contains(&pair.name.as_str()));
    let pairs = pairs.filter(|pair| pair.protocol.descriptor().order == order);
    let results = pairs.map(|pair| pair.run(folder.path(), &Progress::default())).collect();
    checked(results)
}

/// As [`results`], of all kinds at the same time: for what mostly waits, and asks for no times.
fn results_at_once(scenario: &Scenario) -> Vec<ScenarioResult> {
    let names: Vec<String> = consensus_bench_suite::suite()
        .all()
        .iter()
        .filter(|one| KINDS.contains(&one.name.as_str()))
        .filter(|one| one.protocol.descriptor().order == Order::Total)
        .map(|one| one.name.clone())
        .collect();
    scenario.check("test").unwrap();
    let run = |name: &String| {
        let suite = consensus_bench_suite::suite().select(std::slice::from_ref(name)).unwrap();
        let pair = suite.pairs(std::slice::from_ref(scenario), Limits::default()).unwrap().remove(0);
        pair.run(tempfile::tempdir().unwrap().path(), &Progress::default())
    };
    let results = std::thread::scope(|scope| {
        let running: Vec<_> = names.iter().map(|name| scope.spawn(move || run(name))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    checked(results)
}

fn checked(results: Vec<ScenarioResult>) -> Vec<ScenarioResult> {
    assert!(!results.is_empty());
    for result in &results {
        assert_eq!(result.outcome, Outcome::Completed, "{}", result.protocol);
        assert!(result.safety.checked && result.safety.violations.is_empty(), "{:?}", result.safety);
    }
    results
}

/// Whether its commands read and write registers, and any replica coordinates.
fn is_register(result: &ScenarioResult) -> bool {
    result.safety.registers.is_some()
}

/// Of one protocol, whose numbers are known.
fn results_of_raft_rs(scenario: &Scenario) -> ScenarioResult {
    scenario.check("test").unwrap();
    let suite = consensus_bench_suite::suite().select(&["raft-rs".to_string()]).unwrap();
    let pairs = suite.pairs(std::slice::from_ref(scenario), Limits::default()).unwrap();
    let result = pairs[0].run(std::path::Path::new("unused"), &Progress::default());
    assert_eq!(result.outcome, Outcome::Completed);
    assert!(result.safety.checked && result.safety.violations.is_empty(), "{:?}", result.safety);
    result
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
            // An abd write is flushed in its second round trip, when its batch was sent long ago.
            if storage == StorageConfig::Memory || result.protocol != "abd" {
                assert_eq!(mean("fsync") > 0.0, storage == StorageConfig::Wal, "{}", result.protocol);
            }
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
        // A commit is in the logs of at least two of three replicas, payload and all; of registers, if it is
        // a write, as half of them are, about.
        let logged = if is_register(&result) { 0.8 } else { 2.0 };
        assert!(value(&result, "log_bytes_per_commit") > logged * scenario.payload_bytes as f64);
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
    for result in results_at_once(&scenario) {
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
            // Where no one leads, no one is elected, and the others go on.
            if fault.fault == "crash_leader" && !is_register(&result) {
                // No one else can be elected before the shortest silence is over.
                let shortest = result.timing.election_min_ms * 1e6;
                assert!(cycle.unavailability_ns as f64 > shortest / 2.0, "{name}: {cycle:?}");
                assert!(cycle.views > 0, "{name}");
            }
        }
        value(&result, "crash_leader_unavailability_ns");
    }
}

#[test]
fn every_fault_is_survived_in_virtual_time_too() {
    let mut scenario = built_in("virtual_fault_tolerance");
    let Measure::VirtualFaultTolerance(plan) = &mut scenario.measure else { panic!() };
    plan.seeds = 2;
    plan.rate_per_s = 200.0;
    let faults = plan.faults.len();
    for result in [results_of_raft_rs(&scenario)] {
        assert_eq!(result.faults.len(), faults);
        for fault in &result.faults {
            let name = format!("{} {}", result.protocol, fault.fault);
            assert_eq!((&fault.not_measured, fault.lost, fault.applied_twice), (&None, 0, 0), "{name}");
            let seeds: Vec<_> = fault.cycles.iter().map(|cycle| cycle.seed).collect();
            assert_eq!(seeds, [Some(1), Some(2)], "{name}");
            for cycle in &fault.cycles {
                assert!(cycle.first_commit_ns.is_some() && cycle.caught_up_ns.is_some(), "{name}");
                assert_eq!(cycle.acknowledged_during > 0, fault.tolerated, "{name}: {cycle:?}");
            }
        }
        // No one else can be elected before the shortest silence is over, less what passed of it.
        let shortest = (result.timing.election_min_ms - result.timing.heartbeat_ms) * 1e6;
        assert!(value(&result, "crash_leader_unavailability_ns_min") > shortest);
        // Without costs, two rounds and the clients' ways are all that a healthy follower's crash leaves.
        assert_eq!(value(&result, "crash_follower_response_ns_p99_during"), 1e6);
    }
}

#[test]
fn a_hundred_and_one_sites_are_simulated_and_growth_is_fitted() {
    const SITES: usize = 101;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sites.toml");
    let names: Vec<String> = (0..SITES).map(|site| format!("\"s{site}\"")).collect();
    let delays = vec![format!("[{}]", vec!["1"; SITES].join(", ")); SITES].join(", ");
    let text = format!("name = \"sites\"\nregions = [{}]\none_way_ms = [{delays}]\n", names.join(", "));
    std::fs::write(&file, text).unwrap();
    let mut scenario = built_in("virtual_scalability").brief();
    let Measure::Exact(plan) = &mut scenario.measure else { panic!() };
    plan.topologies = vec![file.display().to_string()];
    (plan.replicas, plan.clients) = (vec![3, 31, SITES], vec![64]);
    // The first clients were refused until someone led, and come back one by one.
    (plan.warm_up_commits, plan.commits) = (256, 128);
    for result in [results_of_raft_rs(&scenario)] {
        let found = result.exact.unwrap();
        assert_eq!(found.cells.len(), 3);
        let fit = found.growth.iter().find(|fit| fit.cost == "messages_per_batch").unwrap();
        assert!(fit.r_squared > 0.99 && fit.exponent >= fit.floor_exponent.unwrap() - 0.01, "{fit:?}");
        let last = &found.cells[2];
        assert_eq!(last.metric("client_latency_ns_p99").unwrap().value, 4e6, "two rounds, and the clients'");
        for counted in ["allocations_per_commit", "allocated_bytes_per_commit"] {
            assert!(last.metric(counted).unwrap().value > 0.0, "{counted}");
        }
    }
}

/// At a rate that any of them carries; what a replica missed counts as failed.
#[test]
fn updates_without_an_order_are_measured_too() {
    let mut scenario = built_in("low_load").brief();
    scenario.phases.iter_mut().for_each(|phase| phase.rate_per_s = 20.0);
    for result in results_of(Order::Set, &scenario) {
        assert!(value(&result, "success_ratio") > 0.5, "{}", result.protocol);
        assert!(value(&result, "messages_per_commit") >= 1.0, "{}", result.protocol);
    }
}

#[test]
fn faults_of_leaders_and_majorities_are_not_given_to_those_who_have_none() {
    let scenario = built_in("fault_tolerance");
    for result in results_of(Order::Set, &scenario) {
        assert!(result.faults.iter().all(|fault| fault.not_measured.is_some()), "{}", result.protocol);
    }
}
