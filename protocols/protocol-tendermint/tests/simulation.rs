//! The protocol in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use protocol_core::{
    Command, CommandId, Fault, MessageKind, Observation, Protocol, ReplicaId, Simulation, SimulationSpec,
    Time,
};
use protocol_tendermint::Tendermint;

const NEVER: Time = Time(u64::MAX);
const BOTH: [Tendermint; 2] = [Tendermint::SIGNATURES, Tendermint::CODES];

/// Sends commands one after the other, each when the last is answered; their latencies.
fn closed_loop(simulation: &mut dyn Simulation, ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.map(|id| {
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(id), &[7; 128]), NEVER);
        assert!(simulation.run_until_answer(Time(now.0 + 60_000_000_000)), "command {id}");
        let answers = simulation.take_answers();
        answers[0].outcome.unwrap();
        answers[0].answered.0 - answers[0].submitted.0
    })
    .collect()
}

fn pass(simulation: &mut dyn Simulation, time: Duration) {
    let until = simulation.now() + time;
    simulation.run_until(until);
}

/// Checks that so many replicas applied the same, and these many commands.
fn agree(simulation: &dyn Simulation, replicas: usize, commands: u64) {
    let logs = simulation.audit();
    assert_eq!(logs.len(), replicas);
    for (id, log) in &logs {
        assert_eq!(log.ids().len(), commands, "replica {id}");
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "replica {id}");
        assert_eq!(log.violations(), [] as [String; 0], "replica {id}");
        assert_eq!(log.duplicates(), 0, "replica {id}");
    }
}

fn run(protocol: Tendermint, seed: u64) -> (Vec<u64>, Observation, u64) {
    let mut spec = SimulationSpec::uniform(4, Duration::from_millis(10), seed);
    spec.durable = true;
    for row in &mut spec.links {
        for link in row {
            link.jitter = Duration::from_millis(3);
            link.loss = 0.01;
        }
    }
    let mut simulation = protocol.simulate(&spec).unwrap();
    let mut latencies = closed_loop(&mut *simulation, 0..100);
    simulation.inject(Fault::Crash(ReplicaId(1))).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 100..120));
    simulation.inject(Fault::Restart(ReplicaId(1))).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 120..200));
    (latencies, simulation.observe(), simulation.events())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for protocol in BOTH {
        let first = run(protocol, 7);
        assert_eq!(first, run(protocol, 7));
        assert_ne!(first.0, run(protocol, 8).0);
    }
}

/// Three delays: the proposal, the prevotes, the precommits. Messages: the proposal to all others, and
/// from each replica two votes to all others.
#[test]
fn a_commit_costs_three_delays_and_the_floor_of_messages() {
    for protocol in BOTH {
        for replicas in [4_u64, 7] {
            let spec = SimulationSpec::uniform(replicas as usize, Duration::from_millis(10), 1);
            let mut simulation = protocol.simulate(&spec).unwrap();
            closed_loop(&mut *simulation, 0..10);
            pass(&mut *simulation, Duration::from_millis(50));
            let before = simulation.observe().total();
            let latencies = closed_loop(&mut *simulation, 10..110);
            assert!(latencies.iter().all(|&latency| latency == 30_000_000), "{latencies:?}");
            pass(&mut *simulation, Duration::from_millis(50));
            let spent = simulation.observe().total() - before;
            assert_eq!(spent.of(MessageKind::Protocol).messages, 100 * (replicas - 1) * (2 * replicas + 1));
            let floors = (protocol.descriptor().floors)(replicas as usize);
            assert_eq!(floors.messages_per_batch, ((replicas - 1) * (2 * replicas + 1)) as f64);
            println!("{replicas}: signed {} verified {} maced {}", spent.signatures, spent.verifications, spent.macs);
            agree(&*simulation, replicas as usize, 110);
        }
    }
}
