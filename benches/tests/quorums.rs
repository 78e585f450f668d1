//! Quorums are as large as descriptors say: with so many replicas left a protocol goes on, and with one less it
//! stops. In virtual time, for every protocol that has quorums.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use protocol_core::{
    CommandId, Descriptor, Fault, Operation, Order, Protocol, Quorums, ReplicaId, Settings, Simulation,
    SimulationSpec, Time,
};

/// Longer than any protocol here takes for a new leader, ones that are down as well in between.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a command has to do; in an election the leader is the first to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Commit,
    Election,
    Read,
    Write,
}

impl Step {
    fn is_of(self, operation: Operation) -> bool {
        match self {
            Step::Read => matches!(operation, Operation::Read { .. }),
            Step::Write => matches!(operation, Operation::Write { .. }),
            Step::Commit | Step::Election => true,
        }
    }
}

struct Trial<'a> {
    protocol: &'a dyn Protocol,
    settings: Settings,
    replicas: usize,
}

impl Trial<'_> {
    fn quorums(&self) -> Quorums {
        (self.protocol.descriptor().quorums)(self.replicas, &self.settings).unwrap()
    }

    /// Whether the step is still done with so many replicas left, after it was done by all.
    fn is_done_by(&self, live: usize, step: Step) -> bool {
        let descriptor = self.protocol.descriptor();
        let mut ids =
            (0..).map(CommandId).filter(|&id| step.is_of((descriptor.operation)(id, &self.settings)));
        let spec = SimulationSpec {
            settings: self.settings.clone(),
            ..SimulationSpec::uniform(self.replicas, Duration::from_millis(1), 1)
        };
        let mut simulation = self.protocol.simulate(&spec).unwrap();
        assert!(is_done(&mut *simulation, ids.next().unwrap()), "{} with all", descriptor.name);
        let leader = simulation.observe().leader.unwrap_or(ReplicaId(0));
        let mut doomed: Vec<ReplicaId> = ReplicaId::all(self.replicas).filter(|&id| id != leader).collect();
        doomed.insert(if step == Step::Election { 0 } else { doomed.len() }, leader);
        for &id in doomed.iter().take(self.replicas - live) {
            simulation.inject(Fault::Crash(id)).unwrap();
        }
        is_done(&mut *simulation, ids.next().unwrap())
    }

    fn check(&self) {
        let Descriptor { name, order, .. } = self.protocol.descriptor();
        let (quorums, n) = (self.quorums(), self.replicas);
        // A step and the quorums that it needs, as far as a protocol knows them.
        let steps: &[(Step, &[&str])] = match order {
            Order::Total => {
                &[(Step::Commit, &["commit"]), (Step::Election, &["commit", "election", "view_change"])]
            }
            Order::Reads => &[(Step::Read, &["read"]), (Step::Write, &["read", "write"])],
            Order::Eventual => &[(Step::Read, &["read"]), (Step::Write, &["write"])],
            Order::Set => panic!("{name} has no quorums"),
        };
        for &(step, needs) in steps {
            let size = needs.iter().filter_map(|&step| quorums.get(step)).copied().max().unwrap();
            assert!(self.is_done_by(size, step), "{name}: {step:?} by {size} of {n}, {quorums:?}");
            assert!(!self.is_done_by(size - 1, step), "{name}: {step:?} by {} of {n}, {quorums:?}", size - 1);
        }
    }
}

fn is_done(simulation: &mut dyn Simulation, id: CommandId) -> bool {
    let now = simulation.now();
    let deadline = now + PATIENCE;
    simulation.submit(now, protocol_core::Command::new(id, b"payload"), deadline);
    simulation.run_until(Time(deadline.0 + 1));
    simulation.take_answers().iter().any(|answered| answered.id == id && answered.outcome.is_ok())
}

#[test]
fn every_protocol_goes_on_with_a_quorum_and_stops_with_one_less() {
    for registration in consensus_bench_suite::suite().all() {
        let descriptor = registration.protocol.descriptor();
        let sizes = [3, 4, 5].into_iter().filter(|&replicas| descriptor.fits(replicas));
        for replicas in sizes {
            let trial = Trial { protocol: &*registration.protocol, settings: Settings::default(), replicas };
            match descriptor.order {
                Order::Set => assert_eq!(trial.quorums(), Quorums::new()),
                _ => trial.check(),
            }
        }
    }
}

#[test]
fn quorums_that_are_set_are_those_that_count() {
    let cases = [
        ("omnipaxos", [("write_quorum_replicas", 2.0), ("read_quorum_replicas", 4.0)]),
        ("abd", [("read_quorum", 2.0), ("write_quorum", 4.0)]),
        ("dynamo", [("read_quorum", 1.0), ("write_quorum", 2.0)]),
        ("dynamo", [("read_quorum", 5.0), ("write_quorum", 1.0)]),
    ];
    let replicas = 5;
    let suite = consensus_bench_suite::suite();
    for (name, set) in cases {
        let protocol = &*suite.get(name).unwrap().protocol;
        let set: BTreeMap<String, f64> = set.map(|(name, value)| (name.into(), value)).into();
        let settings = Settings::checked(set, &protocol.descriptor()).unwrap();
        let trial = Trial { protocol, settings, replicas };
        assert_ne!(trial.quorums(), (protocol.descriptor().quorums)(replicas, &Settings::default()).unwrap());
        trial.check();
    }
}

#[test]
fn the_list_of_protocols_shows_quorums_of_the_sizes_that_each_can_have() {
    let command = || Command::new(env!("CARGO_BIN_EXE_consensus-bench"));
    let listed = String::from_utf8(command().arg("list").output().unwrap().stdout).unwrap();
    let expected = [
        "quorums, in replicas: of 3: commit 2, election 2; of 5: commit 3, election 3",
        "quorums, in replicas: of 4: checkpoint 3, commit 3, prepare 3, reply 2, view change 3; of 7: checkpoint 5",
        "quorums, in replicas: of 3: read 2, write 2; of 5: read 3, write 3",
        "quorums, in replicas: none\n",
    ];
    for line in expected {
        assert!(listed.contains(line), "{line}\n{listed}");
    }
    let json = command().args(["list", "--format", "json"]).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let of = |name: &str| {
        let protocols = json["protocols"].as_array().unwrap();
        protocols.iter().find(|one| one["name"] == name).unwrap()["quorums"].clone()
    };
    assert_eq!(of("tendermint")[1]["replicas"], 5);
    assert_eq!(of("tendermint")[1]["steps"]["commit"], 4, "more than two thirds of 5");
}

#[test]
fn liars_make_clients_wait_for_more_equal_answers() {
    let suite = consensus_bench_suite::suite();
    let replies = |name: &str, replicas, tentative| {
        let protocol = suite.get(name).unwrap().protocol.descriptor();
        let set = if tentative { BTreeMap::from([("tentative_flag".into(), 1.0)]) } else { BTreeMap::new() };
        (protocol.quorums)(replicas, &Settings::checked(set, &protocol).unwrap()).unwrap()["reply"]
    };
    assert_eq!((replies("pbft", 7, false), replies("pbft", 7, true)), (3, 5));
    assert_eq!((replies("tendermint", 4, false), replies("tendermint", 6, false)), (2, 2));
}
