//! Seeded schedules of faults: the shipped protocol survives them, and slips that are planted in it are
//! found. The shipped adapters can't be made to slip: these build replicas by rules that they refuse, or
//! take records away before a restart.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use consensus_bench::explore::{Plan, Promise, Schedule, Sweep, run, shrink, sweep};
use protocol_core::{
    ClientRule, Cluster, Descriptor, DriverOptions, LaunchError, LaunchSpec, Protocol, Settings,
    SimulatedCluster, Simulation, SimulationSpec,
};
use protocol_register::{Abd, Record, RegisterReplica, RegisterSetup, Rules};

/// A slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    /// None: the protocol as it is shipped.
    None,
    /// Reads answer without writing back. Shows when a read meets a write that only some replicas have,
    /// and a later read others.
    NoWriteBack,
    /// Quorums of reads and writes need not meet: r + w = n.
    QuorumsMiss,
    /// A write is answered as soon as its coordinator has stored it: w = 1.
    WritesOne,
    /// A restart forgets every value.
    ForgetValues,
    /// A restart forgets which life it is, and hands out tags again.
    ForgetIncarnation,
}

/// The first seed that finds each slip. Runs are repeatable, so this holds until schedules are drawn
/// differently; `how_often_each_slip_shows` then finds the new ones.
const FIRST_FOUND: [(Planted, u64); 5] = [
    (Planted::NoWriteBack, 31),
    (Planted::QuorumsMiss, 6),
    (Planted::WritesOne, 4),
    (Planted::ForgetValues, 2),
    (Planted::ForgetIncarnation, 34),
];

impl Planted {
    fn rules(self, settings: &Settings, replicas: usize) -> Result<Rules, LaunchError> {
        let correct = Abd::rules(settings, replicas)?;
        Ok(match self {
            Planted::NoWriteBack => Rules { writes_back: false, ..correct },
            Planted::QuorumsMiss => Rules { read_quorum: replicas - correct.write_quorum, ..correct },
            Planted::WritesOne => Rules { write_quorum: 1, ..correct },
            Planted::None | Planted::ForgetValues | Planted::ForgetIncarnation => correct,
        })
    }

    fn keeps(self, record: &Record) -> bool {
        match self {
            Planted::ForgetValues => matches!(record, Record::Incarnation(_)),
            Planted::ForgetIncarnation => matches!(record, Record::Stored(_)),
            _ => true,
        }
    }
}

struct Quarry(Planted);

#[async_trait]
impl Protocol for Quarry {
    fn descriptor(&self) -> Descriptor {
        Abd.descriptor()
    }

    async fn launch(&self, _spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        Err(LaunchError::Library("virtual time only".into()))
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        let planted = self.0;
        let setup = RegisterSetup {
            rules: planted.rules(&spec.settings, spec.replicas)?,
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.durable,
        };
        let clients = ClientRule::Coordinator;
        let options = DriverOptions { clients, ..DriverOptions::of(&self.descriptor()) };
        SimulatedCluster::launch(spec, options, move |mut boot| {
            boot.records.retain(|record| planted.keeps(record));
            Ok(RegisterReplica::new(boot, setup.clone()))
        })
    }
}

#[test]
fn the_shipped_protocol_keeps_its_promises() {
    for (replicas, seeds) in [(1, 5), (2, 10), (3, 60), (5, 30)] {
        let options = Sweep { plan: Plan { replicas, ..Plan::default() }, seeds, shrink_budget: 0 };
        let report = sweep(&Abd, &Settings::default(), &options, || {}).unwrap();
        assert_eq!(report.findings, [], "{replicas} replicas");
    }
}

#[test]
fn each_planted_slip_is_found_and_its_schedule_shrinks() {
    for (slip, seed) in FIRST_FOUND {
        let (protocol, settings) = (Quarry(slip), Settings::default());
        let outcome = |schedule: &Schedule| run(&protocol, &settings, schedule).unwrap();
        let schedule = Schedule::draw(&Plan { seed, ..Plan::default() });
        let found = outcome(&schedule);
        assert!(found.breaks(Promise::Linearizability), "{slip:?} is not found by seed {seed}");
        let fails = |candidate: &Schedule| outcome(candidate).breaks(Promise::Linearizability);
        let shrunk = shrink(&schedule, 20, fails).schedule;
        assert!(fails(&shrunk) && shrunk.size() <= schedule.size(), "{slip:?}");
        // Without the slip the same schedule is survived.
        assert_eq!(run(&Quarry(Planted::None), &settings, &schedule).unwrap().violations, [], "{slip:?}");
    }
}

#[test]
#[ignore = "prints how often each slip shows, for whoever tunes schedules"]
fn how_often_each_slip_shows() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000);
    let only = std::env::var("ONLY").unwrap_or_default();
    let slips = FIRST_FOUND.map(|(slip, _)| slip);
    for slip in slips.into_iter().filter(|slip| format!("{slip:?}").contains(&only)) {
        let options = Sweep { plan: Plan::default(), seeds, shrink_budget: 0 };
        let report = sweep(&Quarry(slip), &Settings::default(), &options, || {}).unwrap();
        let first = report.findings.first().map(|finding| (finding.seed, &finding.violations));
        println!("{slip:?}: {}/{seeds}, first {first:?}", report.findings.len());
    }
}
