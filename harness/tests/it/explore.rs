//! Safety sweeps from outside: what is found, told, shrunk and refused.

mod planted;
mod search;

use std::sync::Arc;

use async_trait::async_trait;
use consensus_bench::explore::{ExploreError, Plan, Promise, Schedule, Sweep, run, shrink, sweep};
use protocol_core::{
    Cluster, Descriptor, Family, FaultModel, Floors, LaunchError, LaunchSpec, Protocol, Settings, Simulation,
    SimulationSpec,
};

/// A protocol that panics when it is simulated, or can't be simulated at all.
struct Toy {
    panics: bool,
}

#[async_trait]
impl Protocol for Toy {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "toy",
            family: Family::Raft,
            implementation: "tests",
            fault_model: FaultModel::Crash,
            tolerates: |_, _| 0,
            cluster_sizes: (3, 3),
            order: protocol_core::Order::Total,
            operation: protocol_core::Operation::append,
            commit_means: "nothing",
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
        assert!(!self.panics, "no cluster of seed {}", spec.seed);
        Err(LaunchError::NotSimulated { protocol: "toy", why: "it is a toy" })
    }
}

fn options(replicas: usize) -> Sweep {
    Sweep { plan: Plan { replicas, ..Plan::default() }, seeds: 20, shrink_budget: 100 }
}

#[test]
fn a_protocol_without_virtual_time_and_a_wrong_size_are_refused_by_name() {
    let toy = Toy { panics: false };
    let refused = |replicas| sweep(&toy, &Settings::default(), &options(replicas), || {}).unwrap_err();
    assert!(matches!(refused(3), ExploreError::Launch(LaunchError::NotSimulated { .. })));
    assert!(matches!(refused(4), ExploreError::Launch(LaunchError::ClusterSize { .. })));
}

#[test]
fn a_panic_is_a_violation_in_order_of_seed_and_shrinks_to_nothing() {
    let toy = Toy { panics: true };
    let report = sweep(&toy, &Settings::default(), &options(3), || {}).unwrap();
    let seeds: Vec<u64> = report.findings.iter().map(|finding| finding.seed).collect();
    assert_eq!(seeds, (0..20).collect::<Vec<_>>());
    let first = &report.findings[0];
    assert_eq!(first.violations[0].promise, Promise::Health);
    assert!(first.violations[0].what.ends_with("no cluster of seed 0"), "{:?}", first.violations);
    let (shrunk, _) = first.shrunk.as_ref().unwrap();
    assert_eq!(shrunk.size(), 0);
    assert!(report.findings[1..].iter().all(|finding| finding.shrunk.is_none()));
}

#[test]
fn the_same_schedule_gives_the_same_outcome_and_a_shrunk_one_still_fails() {
    let (toy, settings) = (Toy { panics: true }, Settings::default());
    let schedule = Schedule::draw(&Plan::default());
    let outcome = run(&toy, &settings, &schedule).unwrap();
    assert_eq!(outcome, run(&toy, &settings, &schedule).unwrap());
    let fails = |it: &Schedule| run(&toy, &settings, it).unwrap().breaks(Promise::Health);
    let shrunk = shrink(&schedule, 50, fails).schedule;
    assert!(fails(&shrunk) && shrunk.size() <= schedule.size());
}
