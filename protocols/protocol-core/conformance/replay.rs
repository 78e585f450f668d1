//! Virtual time repeats itself, and agrees with itself after faults.

use std::time::Duration;

use protocol_core::{AppliedLog, Fault, Observation, Protocol, ReplicaId, Simulation, SimulationSpec};

use super::virtual_time::{all_answered, closed_loop, crash, leader, lossy, restart, run_for, submit};
use super::{agree, keeps_its_leader, size};

type Run = (Vec<u64>, Observation, u64, Vec<(ReplicaId, AppliedLog)>);

/// Everything that can be seen of a run with all that is drawn by chance, and a crash.
fn run(protocol: &dyn Protocol, seed: u64) -> Run {
    let replicas = protocol.descriptor().size_for(5);
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(10), seed);
    lossy(&mut spec, Duration::from_millis(3), 0.01);
    for link in spec.links.iter_mut().flatten() {
        (link.duplication, link.fifo) = (0.01, false);
    }
    (spec.durable, spec.costs.fsync_ns, spec.costs.message_ns) = (true, 100_000.0, 1_000.0);
    spec.clock_skew_ppm = vec![200, -300, 0, 77, -1];
    let mut simulation = protocol.simulate(&spec).unwrap();
    let mut latencies = closed_loop(&mut *simulation, 0..60);
    let victim = leader(&*simulation);
    crash(&mut *simulation, [victim]);
    latencies.extend(closed_loop(&mut *simulation, 60..90));
    restart(&mut *simulation, [victim]);
    latencies.extend(closed_loop(&mut *simulation, 90..120));
    if protocol.descriptor().order.shows_in_logs() {
        agree(protocol, &mut *simulation, replicas, 120);
    }
    (latencies, simulation.observe(), simulation.events(), simulation.audit())
}

pub fn the_same_seed_gives_the_same_run_and_another_seed_another(protocol: &dyn Protocol) {
    let first = run(protocol, 7);
    assert_eq!(first, run(protocol, 7));
    assert_ne!(first.0, run(protocol, 8).0);
}

pub fn replicas_agree_after_a_crash_a_pause_and_a_cut(protocol: &dyn Protocol) {
    let replicas = size(protocol);
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(1), 3);
    spec.durable = true;
    let mut simulation = protocol.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..100);
    let first = leader(&*simulation);
    simulation.inject(Fault::Pause(first)).unwrap();
    let stands = |simulation: &dyn Simulation| simulation.observe().replicas[first.index()].delivered;
    let delivered = stands(&*simulation);
    // Where clients ask the leader alone, these wait at one that stands still while the others elect another.
    submit(&mut *simulation, 100..110);
    run_for(&mut *simulation, Duration::from_secs(5));
    assert_eq!(stands(&*simulation), delivered, "a replica that stands still applies nothing");
    if keeps_its_leader(protocol) {
        assert_eq!(simulation.take_answers(), []);
        closed_loop(&mut *simulation, 110..200);
        assert_ne!(leader(&*simulation), first);
        simulation.inject(Fault::Resume(first)).unwrap();
        all_answered(&mut *simulation, 100..110);
    } else {
        all_answered(&mut *simulation, 100..110);
        closed_loop(&mut *simulation, 110..200);
        simulation.inject(Fault::Resume(first)).unwrap();
    }
    let second = leader(&*simulation);
    let other = ReplicaId::all(replicas).find(|&id| id != second).unwrap();
    simulation.inject(Fault::Cut { from: second, to: other }).unwrap();
    crash(&mut *simulation, [other]);
    closed_loop(&mut *simulation, 200..300);
    simulation.inject(Fault::Heal).unwrap();
    restart(&mut *simulation, [other]);
    agree(protocol, &mut *simulation, replicas, 300);
}
