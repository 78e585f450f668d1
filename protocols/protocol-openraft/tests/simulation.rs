//! The library in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use protocol_core::{
    Answered, Command, CommandId, Counters, Fault, FaultError, LaunchError, MessageKind, Observation,
    Protocol, ReplicaId, Simulation, SimulationSpec, Time,
};
use protocol_openraft::Openraft;

const NEVER: Time = Time(u64::MAX);
const SECOND: u64 = 1_000_000_000;

fn command(id: u64) -> Command {
    Command::new(CommandId(id), &[7; 128])
}

/// Sends commands one after the other, each when the last is answered; their latencies.
fn closed_loop(simulation: &mut dyn Simulation, ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.map(|id| {
        let now = simulation.now();
        simulation.submit(now, command(id), NEVER);
        assert!(simulation.run_until_answer(Time(now.0 + 60 * SECOND)), "command {id}");
        let answers = simulation.take_answers();
        answers[0].outcome.unwrap();
        answers[0].answered.0 - answers[0].submitted.0
    })
    .collect()
}

fn rest(simulation: &mut dyn Simulation, seconds: u64) {
    let now = simulation.now().0;
    simulation.run_until(Time(now + seconds * SECOND));
}

fn assert_agreement(simulation: &dyn Simulation, replicas: usize, commands: u64) {
    let logs = simulation.audit();
    assert_eq!(logs.len(), replicas);
    for (id, log) in &logs {
        assert_eq!(log.ids().len(), commands, "replica {id}");
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "replica {id}");
    }
}

fn run(seed: u64) -> (Vec<u64>, Observation, u64) {
    let mut spec = SimulationSpec::uniform(5, Duration::from_millis(10), seed);
    spec.durable = true;
    spec.costs.fsync_ns = 100_000.0;
    spec.costs.message_ns = 1_000.0;
    spec.clock_skew_ppm = vec![200, -300, 0, 77, -1];
    for row in &mut spec.links {
        for link in row {
            link.jitter = Duration::from_millis(3);
            link.loss = 0.01;
            link.duplication = 0.01;
            link.fifo = false;
        }
    }
    let mut simulation = Openraft.simulate(&spec).unwrap();
    let mut latencies = closed_loop(&mut *simulation, 0..200);
    let leader = simulation.observe().leader.unwrap();
    simulation.inject(Fault::Crash(leader)).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 200..300));
    simulation.inject(Fault::Restart(leader)).unwrap();
    latencies.extend(closed_loop(&mut *simulation, 300..400));
    rest(&mut *simulation, 10);
    assert_agreement(&*simulation, 5, 400);
    (latencies, simulation.observe(), simulation.events())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first.0, run(8).0);
}

/// A cluster that is past its election, and whose leader sends no heartbeats for long.
fn quiet(replicas: usize) -> Box<dyn Simulation> {
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(10), 1);
    spec.timing.heartbeat = Duration::from_secs(100);
    spec.timing.election_min = Duration::from_secs(1_000);
    spec.timing.election_max = Duration::from_secs(2_000);
    let mut simulation = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    rest(&mut *simulation, 1);
    simulation
}

#[test]
fn a_commit_costs_one_round_trip_and_two_messages_per_follower_and_round() {
    for replicas in [3, 5] {
        let mut simulation = quiet(replicas);
        let before = simulation.observe().total();
        let latencies: Vec<u64> = (10..110)
            .flat_map(|id| {
                let latency = closed_loop(&mut *simulation, id..id + 1);
                // Followers are told of the commit before the next command.
                rest(&mut *simulation, 1);
                latency
            })
            .collect();
        assert!(latencies.iter().all(|&latency| latency == 20_000_000), "{latencies:?}");
        // The append and its answer; the commit index and the answer to that.
        let sent = (simulation.observe().total() - before).of(MessageKind::Protocol).messages;
        assert_eq!(sent, 100 * 4 * (replicas as u64 - 1));
    }
}
