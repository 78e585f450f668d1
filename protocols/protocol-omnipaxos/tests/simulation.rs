//! The library in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

use protocol_core::{Command, CommandId, Fault, MessageKind, Protocol, ReplicaId, SimulationSpec, Time};
use protocol_omnipaxos::Omnipaxos;
use virtual_time::{MILLISECOND, NEVER, assert_agree, closed_loop, quiet, run_for, settings};

#[test]
fn a_commit_costs_one_round_trip_and_three_messages_per_follower() {
    let spec = quiet(SimulationSpec::uniform(5, Duration::from_millis(10), 1));
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    run_for(&mut *simulation, Duration::from_secs(1));
    let before = simulation.observe().total();
    let latencies = closed_loop(&mut *simulation, 10..110);
    assert!(latencies.iter().all(|&latency| latency == 20 * MILLISECOND), "{latencies:?}");
    run_for(&mut *simulation, Duration::from_secs(1));
    let traffic = simulation.observe().total() - before;
    // The entry, its acceptance, and the decision.
    assert_eq!(traffic.of(MessageKind::Protocol).messages, 100 * 3 * 4);
    assert_eq!(traffic.of(MessageKind::Heartbeat).messages, 0);
}

#[test]
fn heartbeats_go_from_each_to_each_once_a_round() {
    let spec = SimulationSpec::uniform(5, Duration::from_millis(1), 1);
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    run_for(&mut *simulation, Duration::from_secs(1));
    let before = simulation.observe().total();
    run_for(&mut *simulation, 10 * spec.timing.election_min / 2);
    let traffic = simulation.observe().total() - before;
    // A request and its answer for each of the ordered pairs.
    assert_eq!(traffic.of(MessageKind::Heartbeat).messages, 10 * 2 * 5 * 4);
    assert_eq!(traffic.of(MessageKind::Protocol).messages, 0);
}

/// The leader's write comes before its followers': the library counts what it has written.
#[test]
fn a_durable_commit_waits_for_two_flushes_in_a_row() {
    let mut spec = quiet(SimulationSpec::uniform(3, Duration::from_millis(10), 1));
    (spec.durable, spec.costs.fsync_ns) = (true, 1e6);
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    let latencies = closed_loop(&mut *simulation, 10..60);
    assert!(latencies.iter().all(|&latency| latency == 22 * MILLISECOND), "{latencies:?}");
}

#[test]
fn the_nearest_write_quorum_decides_the_latency() {
    let latency = |values: &[(&str, f64)]| {
        let mut spec = quiet(SimulationSpec::uniform(5, Duration::from_millis(10), 1));
        spec.settings = settings(&Omnipaxos, values);
        // Replica 1 is near to the leader and the others are far from it.
        for (from, to) in [(0, 1), (1, 0)] {
            spec.links[from][to].delay = Duration::from_millis(1);
        }
        let mut simulation = Omnipaxos.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        closed_loop(&mut *simulation, 10..11)[0]
    };
    assert_eq!(latency(&[]), 20 * MILLISECOND);
    let two = [("write_quorum_replicas", 2.0), ("read_quorum_replicas", 4.0)];
    assert_eq!(latency(&two), 2 * MILLISECOND);
}

#[test]
fn a_batch_of_the_library_waits_until_it_is_full_or_flushed() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    spec.settings = settings(&Omnipaxos, &[("batch_commands", 4.0), ("flush_batch_ticks", 1.0)]);
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    let alone = closed_loop(&mut *simulation, 0..10);
    // The leader keeps it back until its tick, and the followers until theirs, ten milliseconds later.
    assert!(alone.iter().all(|latency| (20..=21).contains(&(latency / MILLISECOND))), "{alone:?}");
    let now = simulation.now();
    for id in 10..14 {
        simulation.submit(now, Command::new(CommandId(id), b""), NEVER);
    }
    assert!(simulation.run_until_answer(Time(now.0 + 1_000 * MILLISECOND)));
    assert_eq!(simulation.take_answers()[0].answered.0 - now.0, 2 * MILLISECOND, "a full one goes at once");
    run_for(&mut *simulation, Duration::from_secs(1));
    assert_agree(&*simulation, 3, 14);
}

/// Without a message after the lost one, nothing tells the library but the new connection.
#[test]
fn what_a_healed_link_had_lost_is_asked_for_at_both_ends() {
    let spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    for loss in [None, Some(1.0)] {
        let mut simulation = Omnipaxos.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        let leader = simulation.observe().leader.unwrap();
        for peer in ReplicaId::all(3).filter(|&peer| peer != leader) {
            // Only the followers' answers are lost, so only they have something to say again.
            let (from, to) = (peer, leader);
            simulation
                .inject(match loss {
                    None => Fault::Cut { from, to },
                    Some(loss) => Fault::Degrade { from, to, extra_delay: Duration::ZERO, loss },
                })
                .unwrap();
        }
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(10), b""), NEVER);
        // Shorter than any election.
        run_for(&mut *simulation, Duration::from_millis(50));
        assert_eq!(simulation.take_answers(), []);
        simulation.inject(Fault::Heal).unwrap();
        assert!(simulation.run_until_answer(simulation.now() + Duration::from_millis(20)));
        run_for(&mut *simulation, Duration::from_millis(20));
        assert_agree(&*simulation, 3, 11);
    }
}

#[test]
fn a_replica_beyond_the_kept_log_gets_the_application_s_state() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    spec.durable = true;
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    simulation.inject(Fault::Crash(ReplicaId(2))).unwrap();
    for chunk in 0..50 {
        let now = simulation.now();
        for id in 10 + chunk * 1_000..10 + (chunk + 1) * 1_000 {
            simulation.submit(now, Command::new(CommandId(id), &[7; 8]), NEVER);
        }
        run_for(&mut *simulation, Duration::from_millis(20));
    }
    let before = simulation.observe().total();
    simulation.inject(Fault::Restart(ReplicaId(2))).unwrap();
    run_for(&mut *simulation, Duration::from_secs(2));
    assert_agree(&*simulation, 3, 50_010);
    let transfer = (simulation.observe().total() - before).of(MessageKind::StateTransfer);
    assert!(transfer.messages > 0);
    // Less than half of the entries are left to be sent one by one.
    assert!(transfer.bytes < 25_000 * 17, "{transfer:?}");
    // What it was given it finds again in its own log.
    simulation.inject(Fault::Crash(ReplicaId(2))).unwrap();
    simulation.inject(Fault::Restart(ReplicaId(2))).unwrap();
    run_for(&mut *simulation, Duration::from_secs(2));
    assert_agree(&*simulation, 3, 50_010);
}

/// Enough bytes for the logs to be rewritten.
#[test]
fn a_rewritten_log_brings_the_whole_cluster_back() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    spec.durable = true;
    let mut simulation = Omnipaxos.simulate(&spec).unwrap();
    let payload = vec![7; 100_000];
    for id in 0..720 {
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(id), &payload), NEVER);
        assert!(simulation.run_until_answer(now + Duration::from_secs(10)));
        simulation.take_answers();
    }
    run_for(&mut *simulation, Duration::from_secs(1));
    ReplicaId::all(3).for_each(|id| simulation.inject(Fault::Crash(id)).unwrap());
    ReplicaId::all(3).for_each(|id| simulation.inject(Fault::Restart(id)).unwrap());
    closed_loop(&mut *simulation, 720..730);
    run_for(&mut *simulation, Duration::from_secs(2));
    assert_agree(&*simulation, 3, 730);
}
