//! The protocol in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

use protocol_core::{
    Behaviour, Fault, MessageKind, Observation, Protocol, ReplicaId, Simulation, SimulationSpec,
};
use protocol_tendermint::Tendermint;
use virtual_time::{assert_agree_once, closed_loop, run_for};

const BOTH: [Tendermint; 2] = [Tendermint::SIGNATURES, Tendermint::CODES];

fn lossy(seed: u64) -> SimulationSpec {
    let mut spec = SimulationSpec::uniform(4, Duration::from_millis(10), seed);
    spec.durable = true;
    for row in &mut spec.links {
        for link in row {
            link.jitter = Duration::from_millis(3);
            link.loss = 0.01;
        }
    }
    spec
}

fn run(mut simulation: Box<dyn Simulation>) -> (Vec<u64>, Observation, u64) {
    let mut latencies = closed_loop(&mut *simulation, 0..100);
    simulation.inject(Fault::Crash(ReplicaId(1))).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 100..120));
    simulation.inject(Fault::Restart(ReplicaId(1))).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 120..200));
    (latencies, simulation.observe(), simulation.events())
}

/// With votes, certificates and commands that are signed, a restart, and a liar whose signatures don't hold.
#[test]
fn ideal_signatures_count_weigh_and_convict_as_ed25519_does() {
    let (protocol, spec) = (Tendermint::SIGNATURES, lossy(7));
    let lied_to = |mut simulation: Box<dyn Simulation>| {
        simulation.inject(Fault::Corrupt(ReplicaId(3), Behaviour::CorruptSignatures)).unwrap();
        let latencies = closed_loop(&mut *simulation, 0..20);
        (latencies, simulation.observe(), simulation.events())
    };
    let ideal = || protocol.simulate(&spec).unwrap();
    let real = || protocol.simulate_with_real_signatures(&spec).unwrap();
    assert_eq!(run(ideal()), run(real()));
    let (latencies, observation, events) = lied_to(ideal());
    assert!(observation.total().verifications > 0);
    assert!(observation.replicas[0].misbehaviour.iter().any(|found| found.replica == ReplicaId(3)));
    assert_eq!((latencies, observation, events), lied_to(real()));
}

/// Three delays: the proposal, the prevotes, the precommits. Messages: the proposal to all others, and
/// from each replica two votes to all others. It signs twice, and the proposal's author once more.
#[test]
fn a_commit_costs_three_delays_and_the_floor_of_messages() {
    for protocol in BOTH {
        for replicas in [4_u64, 7] {
            let spec = SimulationSpec::uniform(replicas as usize, Duration::from_millis(10), 1);
            let mut simulation = protocol.simulate(&spec).unwrap();
            closed_loop(&mut *simulation, 0..10);
            run_for(&mut *simulation, Duration::from_millis(50));
            let before = simulation.observe().total();
            let latencies = closed_loop(&mut *simulation, 10..110);
            assert!(latencies.iter().all(|&latency| latency == 30_000_000), "{latencies:?}");
            run_for(&mut *simulation, Duration::from_millis(50));
            let spent = simulation.observe().total() - before;
            let floor = (protocol.descriptor().floors)(replicas as usize).messages_per_batch;
            assert_eq!(floor, [27.0, 90.0][usize::from(replicas == 7)]);
            assert_eq!(spent.of(MessageKind::Protocol).messages, 100 * floor as u64);
            let signs = protocol.descriptor().name == "tendermint";
            assert_eq!(spent.signatures, if signs { 100 * (2 * replicas + 1) } else { 0 });
            // Each replica checks the client's seal, and no more proofs than messages came.
            let checks = 100 * (replicas + floor as u64);
            assert!(spent.verifications <= if signs { checks } else { 0 });
            assert_eq!(spent.macs == 0, signs);
            assert_agree_once(&*simulation, replicas as usize, 110);
        }
    }
}

#[test]
fn while_no_one_wants_anything_nothing_is_proposed_and_no_round_fails() {
    for protocol in BOTH {
        let spec = SimulationSpec::uniform(4, Duration::from_millis(1), 1);
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..3);
        run_for(&mut *simulation, Duration::from_millis(10));
        let before = simulation.observe();
        run_for(&mut *simulation, Duration::from_secs(60));
        let after = simulation.observe();
        let spent = after.total() - before.total();
        assert_eq!(spent.of(MessageKind::Protocol).messages, 0);
        assert_eq!(after.view, before.view);
        // Each replica tells one other its height at each heartbeat.
        assert_eq!(spent.of(MessageKind::Heartbeat).messages, 4 * 60 * 20);
    }
}

/// More heights than are kept, so that the replica is sent a snapshot and what follows it. Then it
/// restarts from the log that it has of that.
#[test]
fn a_replica_beyond_the_kept_heights_gets_a_snapshot() {
    for protocol in BOTH {
        let mut spec = SimulationSpec::uniform(4, Duration::from_millis(1), 5);
        spec.durable = true;
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        simulation.inject(Fault::Crash(ReplicaId(2))).unwrap();
        closed_loop(&mut *simulation, 10..1_300);
        for _ in 0..2 {
            simulation.inject(Fault::Restart(ReplicaId(2))).unwrap();
            run_for(&mut *simulation, Duration::from_secs(2));
            assert_agree_once(&*simulation, 4, 1_300);
            simulation.inject(Fault::Crash(ReplicaId(2))).unwrap();
        }
        let sent = simulation.observe().total().of(MessageKind::StateTransfer);
        assert!(sent.messages > 0);
        simulation.inject(Fault::Restart(ReplicaId(2))).unwrap();
        closed_loop(&mut *simulation, 1_300..1_310);
        run_for(&mut *simulation, Duration::from_secs(2));
        assert_agree_once(&*simulation, 4, 1_310);
    }
}
