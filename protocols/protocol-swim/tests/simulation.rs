//! Gossip and failure detection in virtual time.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "the checks in the same file are called elsewhere")]

#[path = "../../protocol-core/conformance/dissemination.rs"]
mod dissemination;

use dissemination::{MILLISECOND, SECOND, launch, times, updates};
use protocol_core::{Fault, MessageKind, ReplicaId, Simulation, Time};
use protocol_swim::Swim;

/// One update after the other. Which of them reach all is up to chance; that nearly all do is not.
#[test]
fn nearly_every_update_reaches_all() {
    for (replicas, median_ms) in [(5, 30..150), (25, 100..300), (100, 150..400)] {
        let mut simulation = launch(&Swim, replicas, 1);
        updates(&mut *simulation, 0..10, 500);
        let before = simulation.observe();
        let times = times(&updates(&mut *simulation, 10..110, 1_000));
        let after = simulation.observe();
        let delivered: u64 = after
            .replicas
            .iter()
            .zip(&before.replicas)
            .map(|(after, before)| after.delivered - before.delivered)
            .sum();
        let packets = (after.total() - before.total()).of(MessageKind::Protocol).messages;
        let median = times[times.len() / 2] / MILLISECOND;
        println!(
            "{replicas} replicas: {} of 100, p50 {median} ms, p99 {} ms, {:.1} packets per delivery",
            times.len(),
            times[times.len() * 99 / 100] / MILLISECOND,
            packets as f64 / (delivered - 100) as f64
        );
        assert!(times.len() >= 80, "{replicas} replicas: {} of 100", times.len());
        assert!(median_ms.contains(&median), "{replicas} replicas: {median} ms");
    }
}

fn is_suspected(simulation: &dyn Simulation, peer: ReplicaId) -> Vec<bool> {
    let observation = simulation.observe();
    observation
        .replicas
        .iter()
        .filter(|replica| replica.live)
        .map(|one| one.suspects.contains(&peer))
        .collect()
}

/// The detector finds a crash within its period and the time a suspect has, and no one who lives.
#[test]
fn a_crash_is_detected_by_all_and_taken_back() {
    let mut simulation = launch(&Swim, 9, 1);
    simulation.run_until(Time(30 * SECOND));
    assert!(simulation.observe().replicas.iter().all(|replica| replica.suspects.is_empty()));
    let victim = ReplicaId(4);
    simulation.inject(Fault::Crash(victim)).unwrap();
    let crashed = simulation.now().0;
    while !is_suspected(&*simulation, victim).into_iter().all(|suspected| suspected) {
        assert!(simulation.now().0 < crashed + 30 * SECOND);
        simulation.run_until(Time(simulation.now().0 + 10 * MILLISECOND));
    }
    let took = simulation.now().0 - crashed;
    println!("9 replicas: detected after {} ms", took / MILLISECOND);
    // A suspect has four periods of 600 ms.
    assert!((2_400 * MILLISECOND..15 * SECOND).contains(&took), "{took} ns");
    simulation.inject(Fault::Restart(victim)).unwrap();
    simulation.run_until(Time(simulation.now().0 + 20 * SECOND));
    assert!(is_suspected(&*simulation, victim).into_iter().all(|suspected| !suspected));
}

/// Faster than packets can carry, the library drops what it has sent often enough; that shows, and hangs no
/// one.
#[test]
fn too_many_updates_do_not_all_arrive() {
    let mut simulation = launch(&Swim, 25, 1);
    simulation.run_until(Time(10 * SECOND));
    let (start, count) = (simulation.now().0, 1_000);
    for id in 0..count {
        let at = start + id * MILLISECOND;
        let command = protocol_core::Command::new(protocol_core::CommandId(id), &[7; 128]);
        simulation.submit(Time(at), command, Time(at + 2 * SECOND));
    }
    simulation.run_until(Time(start + 10 * SECOND));
    let answers = simulation.take_answers();
    assert_eq!(answers.len() as u64, count, "each has an end");
    let reached = times(&answers).len();
    println!("25 replicas, 1000 updates/s: {reached} of {count} reached all within 2 s");
    assert!(reached < answers.len());
}
