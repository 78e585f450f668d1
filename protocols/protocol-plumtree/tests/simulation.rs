//! What trees cost, in virtual time.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "the checks in the same file are called elsewhere")]

#[path = "../../protocol-core/conformance/dissemination.rs"]
mod dissemination;

use dissemination::{MILLISECOND, SECOND, launch, times, updates};
use protocol_core::{
    Command, CommandId, Fault, MessageKind, Observation, Protocol, ReplicaId, SimulationSpec, Time,
};
use protocol_plumtree::Plumtree;

/// Payload and control messages per delivery from another replica.
fn redundancy(before: &Observation, after: &Observation, updates: u64) -> (f64, f64) {
    let delivered = |observation: &Observation| -> u64 {
        observation.replicas.iter().map(|replica| replica.delivered).sum()
    };
    let deliveries = (delivered(after) - delivered(before) - updates) as f64;
    let spent = after.total() - before.total();
    let messages = |kind| spent.of(kind).messages as f64;
    (messages(MessageKind::Protocol) / deliveries, messages(MessageKind::Control) / deliveries)
}

/// Fifty updates to shape the tree, then a hundred that count, from one replica or from all by turns.
fn measure(replicas: usize, one_source: bool, seed: u64) -> (Vec<u64>, f64, f64) {
    let mut simulation = launch(&Plumtree, replicas, seed);
    let ids = |range: std::ops::Range<u64>| {
        range.map(move |number| if one_source { number * replicas as u64 } else { number })
    };
    updates(&mut *simulation, ids(0..50), 200);
    simulation.run_until(Time(simulation.now().0 + 2 * SECOND));
    let before = simulation.observe();
    let found = times(&updates(&mut *simulation, ids(50..150), 300));
    simulation.run_until(Time(simulation.now().0 + 2 * SECOND));
    let (payload, control) = redundancy(&before, &simulation.observe(), 100);
    (found, payload, control)
}

/// From one source PlumTree's tree is the one its first update found, and as deep as the overlay; with as
/// many sources as replicas an update has to cross it from leaf to leaf.
#[test]
fn every_update_reaches_all_over_a_tree() {
    for (replicas, one_source, median_ms) in [
        (5, true, 10..30),
        (25, true, 20..50),
        (100, true, 30..65),
        (5, false, 10..50),
        (25, false, 40..100),
        (100, false, 90..140),
    ] {
        let (times, payload, control) = measure(replicas, one_source, 1);
        println!(
            "{replicas} replicas, one source: {one_source}: p50 {:.1} ms, p99 {:.1} ms, payload {payload:.3}, \
             control {control:.2} per delivery",
            times[49] as f64 / 1e6,
            times[98] as f64 / 1e6
        );
        assert_eq!(times.len(), 100, "{replicas} replicas: some updates did not reach all");
        assert!(median_ms.contains(&(times[49] / MILLISECOND)), "{replicas} replicas: {} ns", times[49]);
        assert!((1.0..=1.05).contains(&payload), "{replicas} replicas: {payload} payloads per delivery");
        assert!(control < 4.0, "{replicas} replicas: {control} control messages per delivery");
    }
}

/// Views of five replicas have room for all, but only the first shuffle, after a minute, fills them.
#[test]
fn a_minute_later_few_replicas_are_all_neighbours() {
    let mut simulation = launch(&Plumtree, 5, 1);
    simulation.run_until(Time(130 * SECOND));
    let from_one = |number: u64| number * 5;
    updates(&mut *simulation, (0..20).map(from_one), 200);
    let times = times(&updates(&mut *simulation, (20..70).map(from_one), 200));
    println!("5 replicas after a shuffle: p50 {:.1} ms", times[25] as f64 / 1e6);
    assert!(times[25] < 12 * MILLISECOND, "{times:?}");
}

/// Whatever the seed, no replica is left outside the overlay.
#[test]
fn overlays_form_whole() {
    for seed in 0..20 {
        for replicas in [2, 3, 5, 13, 25] {
            let mut simulation = launch(&Plumtree, replicas, seed);
            let found = times(&updates(&mut *simulation, 0..5, 0));
            assert_eq!(found.len(), 5, "seed {seed}, {replicas} replicas");
        }
    }
}

#[test]
fn commands_that_come_at_once_wait_for_the_overlay() {
    let mut simulation = launch(&Plumtree, 25, 1);
    for id in 0..100 {
        simulation.submit(Time(0), Command::new(CommandId(id), &[7; 128]), Time(60 * SECOND));
    }
    simulation.run_until(Time(60 * SECOND));
    assert_eq!(times(&simulation.take_answers()).len(), 100);
}

#[test]
fn a_replica_alone_has_its_own_updates() {
    let mut simulation = launch(&Plumtree, 1, 1);
    assert_eq!(times(&updates(&mut *simulation, 0..5, 0)).len(), 5);
}

#[test]
fn a_third_of_a_hundred_replicas_come_and_go() {
    let mut simulation = launch(&Plumtree, 100, 5);
    updates(&mut *simulation, 0..20, 50);
    let victims: Vec<ReplicaId> = (0..33).map(|number| ReplicaId(number * 3)).collect();
    for &victim in &victims {
        simulation.inject(Fault::Crash(victim)).unwrap();
    }
    simulation.run_until(Time(simulation.now().0 + 5 * SECOND));
    let without = times(&updates(&mut *simulation, 1_000..1_050, 50)).len();
    for &victim in &victims {
        simulation.inject(Fault::Restart(victim)).unwrap();
    }
    simulation.run_until(Time(simulation.now().0 + 5 * SECOND));
    let with = times(&updates(&mut *simulation, 2_000..2_050, 50)).len();
    assert_eq!((without, with), (50, 50));
}

#[test]
fn the_largest_payload_fits_the_largest_message() {
    let largest = Plumtree.descriptor().particulars.largest_payload_bytes.unwrap();
    let mut simulation =
        Plumtree.simulate(&SimulationSpec::uniform(2, std::time::Duration::ZERO, 1)).unwrap();
    simulation.run_until(Time(5 * SECOND));
    let before = simulation.observe().total();
    simulation.submit(simulation.now(), Command::new(CommandId(0), &vec![7; largest]), Time(10 * SECOND));
    simulation.run_until(Time(10 * SECOND));
    let sent = (simulation.observe().total() - before).of(MessageKind::Protocol);
    assert_eq!(sent.messages, 1);
    let bytes = sent.bytes as usize - protocol_core::FRAME_HEADER_BYTES;
    // Hops beyond 16,383 would take two bytes more.
    assert!((4_090..=4_094).contains(&bytes), "{bytes}");
}
