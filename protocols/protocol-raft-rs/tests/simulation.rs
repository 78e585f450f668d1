//! The library in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

use protocol_core::{
    Command, CommandId, Fault, MessageKind, Protocol, ReplicaId, SharedCores, Simulation, SimulationSpec,
    Time,
};
use protocol_raft_rs::RaftRs;
use virtual_time::{NEVER, closed_loop};

#[test]
fn a_commit_costs_one_round_trip_and_two_messages_per_follower_and_round() {
    let mut spec = SimulationSpec::uniform(5, Duration::from_millis(10), 1);
    // The answer to a heartbeat has the leader send again what is under way.
    spec.timing.heartbeat = Duration::from_secs(100);
    spec.timing.election_min = Duration::from_secs(1_000);
    spec.timing.election_max = Duration::from_secs(2_000);
    let mut simulation = RaftRs.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    let before = simulation.observe().total();
    let latencies = closed_loop(&mut *simulation, 10..110);
    assert!(latencies.iter().all(|&latency| latency == 20_000_000), "{latencies:?}");
    // The append and its answer; the commit index and the answer to that.
    let sent = (simulation.observe().total() - before).of(MessageKind::Protocol).messages;
    assert_eq!(sent, 100 * 4 * 4);
}

/// Nanoseconds of virtual time per commit, of so many clients with one command in flight each.
fn per_commit(spec: &SimulationSpec, clients: u64, commits: u64) -> f64 {
    let mut simulation = RaftRs.simulate(spec).unwrap();
    closed_loop(&mut *simulation, 0..1);
    let started = simulation.now();
    let mut next = 1;
    let mut send = |simulation: &mut dyn Simulation| {
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(next), &[7; 128]), NEVER);
        next += 1;
    };
    (0..clients).for_each(|_| send(&mut *simulation));
    let mut done = 0;
    while done < commits {
        assert!(simulation.run_until_answer(NEVER));
        for answered in simulation.take_answers() {
            answered.outcome.unwrap();
            done += 1;
            send(&mut *simulation);
        }
    }
    (simulation.now().0 - started.0) as f64 / done as f64
}

#[test]
fn replicas_that_share_a_core_work_one_after_the_other() {
    let mut spec = SimulationSpec::uniform(3, Duration::ZERO, 1);
    spec.costs.delivery_ns = 10_000.0;
    // Each of three replicas applies every command: in parallel, two on a core, or all on one.
    let near =
        |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.02, "{found} {expected}");
    near(per_commit(&spec, 256, 20_000), 10_000.0);
    for (count, expected) in [(1, 30_000.0), (2, 15_000.0), (3, 10_000.0), (8, 10_000.0)] {
        spec.cores = Some(SharedCores { count, resume_ns: 0 });
        near(per_commit(&spec, 256, 20_000), expected);
    }
}

#[test]
fn a_core_that_sleeps_takes_its_time_and_one_that_works_does_not() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    spec.cores = Some(SharedCores { count: 1, resume_ns: 50_000 });
    let latencies = closed_loop(&mut *RaftRs.simulate(&spec).unwrap(), 0..50);
    // The client asks at once and finds it awake; it sleeps while the append and the answer are under way.
    assert_eq!(latencies[40], 2_000_000 + 2 * 50_000);
    spec.links.iter_mut().flatten().for_each(|link| link.delay = Duration::ZERO);
    let latencies = closed_loop(&mut *RaftRs.simulate(&spec).unwrap(), 0..50);
    assert_eq!(latencies[40], 0, "a client that asks at once finds the core awake");
}

#[test]
fn shared_cores_outlive_crashes_and_pauses_of_those_who_have_them() {
    let mut spec = SimulationSpec::uniform(5, Duration::from_millis(1), 3);
    spec.durable = true;
    spec.costs.wake_up_ns = 30_000.0;
    spec.costs.message_ns = 20_000.0;
    spec.cores = Some(SharedCores { count: 1, resume_ns: 10_000 });
    let run = || {
        let mut simulation = RaftRs.simulate(&spec).unwrap();
        let mut ids = 0..;
        for round in 0..40_u64 {
            let leader = simulation.observe().leader.unwrap_or(ReplicaId(0));
            let now = simulation.now();
            for id in ids.by_ref().take(20) {
                simulation.submit(now, Command::new(CommandId(id), &[7; 16]), NEVER);
            }
            // In the midst of a round, whoever has the core.
            simulation.run_until(Time(now.0 + 15_000 + round * 7_000));
            let (give, take_back) = match round % 2 {
                0 => (Fault::Crash(leader), Fault::Restart(leader)),
                _ => (Fault::Pause(leader), Fault::Resume(leader)),
            };
            simulation.inject(give).unwrap();
            let now = simulation.now();
            simulation.run_until(Time(now.0 + 2_000_000_000));
            simulation.inject(take_back).unwrap();
            let now = simulation.now();
            simulation.run_until(Time(now.0 + 2_000_000_000));
        }
        let acknowledged =
            simulation.take_answers().iter().filter(|answered| answered.outcome.is_ok()).count();
        assert_eq!(acknowledged, 800, "a core was lost");
        let logs = simulation.audit();
        assert!(logs.windows(2).all(|pair| pair[0].1.digest() == pair[1].1.digest()));
        simulation.events()
    };
    assert_eq!(run(), run());
}
