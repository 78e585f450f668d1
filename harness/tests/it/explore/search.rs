//! The search tried on a small Raft whose faults are known, because they were planted.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use consensus_bench::explore::{Plan, Schedule, Sweep, run, shrink, sweep};
use protocol_core::{
    Cluster, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError, LaunchSpec, Protocol,
    Settings, SimulatedCluster, Simulation, SimulationSpec,
};

use super::planted::{MiniRaft, Planted};

/// The first seed below 1,000 that finds each fault, and in a cluster of which size. Runs are repeatable, so
/// this holds until schedules are drawn differently; `how_often_each_fault_shows` then finds the new ones.
const FIRST_FOUND: [(Planted, usize, u64); 6] = [
    (Planted::AcknowledgeBeforeQuorum, 3, 2),
    (Planted::ForgetVote, 3, 172),
    (Planted::SkipSync, 3, 16),
    (Planted::ApplyTwice, 3, 0),
    (Planted::CountStaleMessage, 3, 844),
    (Planted::CommitOldTerm, 5, 84),
];

struct Quarry(Planted);

#[async_trait]
impl Protocol for Quarry {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "mini-raft",
            family: Family::Raft,
            implementation: "tests",
            fault_model: FaultModel::Crash,
            tolerates: |replicas, _| (replicas - 1) / 2,
            cluster_sizes: (1, 9),
            order: protocol_core::Order::Total,
            operation: protocol_core::Operation::append,
            commit_means: "durable on a majority",
            quorums: protocol_core::no_quorums,
            floors: |_| Floors::without_cryptography(4.0, 2.0),
            tunables: &[],
            constraints: &[],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, _spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        Err(LaunchError::Library("virtual time only".into()))
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        let (timing, planted, seed) = (spec.timing, self.0, spec.seed);
        let options = DriverOptions::default();
        SimulatedCluster::launch(spec, options, move |boot| Ok(MiniRaft::new(boot, timing, planted, seed)))
    }
}

fn plan(seed: u64) -> Plan {
    Plan { seed, ..Plan::default() }
}

#[test]
fn the_correct_protocol_keeps_its_promises() {
    for (replicas, seeds) in [(3, 60), (5, 20)] {
        let options = Sweep { plan: Plan { replicas, ..plan(0) }, seeds, shrink_budget: 0 };
        let report = sweep(&Quarry(Planted::None), &Settings::default(), &options, || {}).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.acknowledged, seeds * (options.plan.commands as u64 + 3));
    }
}

#[test]
fn each_planted_fault_is_found_and_its_schedule_shrinks() {
    assert_eq!(FIRST_FOUND.map(|(fault, ..)| fault), Planted::FAULTS);
    for (fault, replicas, seed) in FIRST_FOUND {
        let (protocol, settings) = (Quarry(fault), Settings::default());
        let outcome = |schedule: &Schedule| run(&protocol, &settings, schedule).unwrap();
        let schedule = Schedule::draw(&Plan { replicas, ..plan(seed) });
        let found = outcome(&schedule);
        assert!(!found.violations.is_empty(), "{fault:?} is not found by seed {seed}");
        let promise = found.violations[0].promise;
        let shrunk = shrink(&schedule, 4, |candidate| outcome(candidate).breaks(promise)).schedule;
        assert!(outcome(&shrunk).breaks(promise), "{fault:?}: {shrunk}");
        assert!(shrunk.size() <= schedule.size(), "{fault:?}");
        assert_eq!(outcome(&schedule), found, "{fault:?}: the same schedule, the same outcome");
        // Without the fault the same schedule is survived.
        let correct = run(&Quarry(Planted::None), &settings, &schedule).unwrap();
        assert_eq!(correct.violations, [], "{fault:?}");
    }
}

#[test]
#[ignore = "prints how often each fault shows, for whoever tunes schedules"]
fn how_often_each_fault_shows() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let only = std::env::var("ONLY").unwrap_or_default();
    let all = [Planted::None].into_iter().chain(Planted::FAULTS);
    for fault in all.filter(|fault| format!("{fault:?}").contains(&only)) {
        for replicas in [3, 5] {
            let options = Sweep { plan: Plan { replicas, ..plan(0) }, seeds, shrink_budget: 0 };
            let report = sweep(&Quarry(fault), &Settings::default(), &options, || {}).unwrap();
            let mut promises = BTreeMap::<_, u64>::new();
            for finding in &report.findings {
                *promises.entry(finding.violations[0].promise).or_default() += 1;
            }
            let first = report.findings.first().map(|finding| finding.seed);
            let (found, seconds) = (report.findings.len(), report.elapsed_s);
            println!(
                "{fault:?} n={replicas}: {found}/{seeds}, first {first:?}, {promises:?}, {seconds:.1} s"
            );
        }
    }
}
