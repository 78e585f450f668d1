//! The library in virtual time: the same seed gives the same bytes, and costs what it must.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

use protocol_core::{
    Answered, Fault, FaultError, LaunchError, MessageKind, Protocol, ReplicaId, Simulation, SimulationSpec,
    Time,
};
use protocol_openraft::Openraft;
use virtual_time::{NEVER, assert_agree, closed_loop, command};

const SECOND: u64 = 1_000_000_000;

fn rest(simulation: &mut dyn Simulation, seconds: u64) {
    let now = simulation.now().0;
    simulation.run_until(Time(now + seconds * SECOND));
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

#[test]
fn a_batch_costs_as_many_messages_as_one_command() {
    let mut simulation = quiet(5);
    let before = simulation.observe().total();
    let now = simulation.now();
    (10..110).for_each(|id| simulation.submit(now, command(id), NEVER));
    rest(&mut *simulation, 1);
    let answers = simulation.take_answers();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer.answered.0 - answer.submitted.0 == 20_000_000));
    let spent = simulation.observe().total() - before;
    assert_eq!((spent.proposals, spent.proposed_commands), (1, 100));
    assert_eq!(spent.of(MessageKind::Protocol).messages, 4 * 4);
}

#[test]
fn a_crashed_leader_is_replaced_within_its_time_and_catches_up() {
    let mut spec = SimulationSpec::uniform(5, Duration::from_millis(1), 11);
    spec.durable = true;
    let mut simulation = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..100);
    let leader = simulation.observe().leader.unwrap();
    simulation.inject(Fault::Crash(leader)).unwrap();
    let outage = closed_loop(&mut *simulation, 100..101)[0];
    // The silence before an election, and twice as much for votes that split.
    let longest = u64::try_from(spec.timing.election_max.as_nanos()).unwrap();
    assert!((longest / 3..3 * longest).contains(&outage), "{outage} ns without a leader");
    simulation.inject(Fault::Restart(leader)).unwrap();
    closed_loop(&mut *simulation, 101..150);
    rest(&mut *simulation, 5);
    assert_agree(&*simulation, 5, 150);
}

#[test]
fn only_what_a_flush_made_durable_survives_a_crash_of_all() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 5);
    spec.durable = true;
    spec.costs.fsync_ns = 5_000_000.0;
    let mut simulation = Openraft.simulate(&spec).unwrap();
    // A commit waits for a flush at the leader and at a follower, which overlap.
    let latencies = closed_loop(&mut *simulation, 0..20);
    assert!(latencies[10..].iter().all(|&latency| latency >= 6_000_000), "{latencies:?}");
    let now = simulation.now();
    simulation.submit(now, command(20), NEVER);
    // The entry is written everywhere and durable nowhere.
    simulation.run_until(Time(now.0 + 3_000_000));
    for id in ReplicaId::all(3) {
        simulation.inject(Fault::Crash(id)).unwrap();
    }
    for id in ReplicaId::all(3) {
        simulation.inject(Fault::Restart(id)).unwrap();
    }
    rest(&mut *simulation, 10);
    // The client sent the lost command again; all that was acknowledged before is there.
    assert_eq!(simulation.take_answers().len(), 1);
    assert_agree(&*simulation, 3, 21);
}

#[test]
fn a_busy_leader_bounds_throughput_and_messages_are_charged() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 2);
    spec.costs.request_ns = 10_000.0;
    spec.costs.delivery_ns = 10_000.0;
    let mut simulation = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    let start = simulation.now();
    (10..2010).for_each(|id| simulation.submit(start, command(id), NEVER));
    let mut last = 0;
    let mut ended = 0;
    while ended < 2000 {
        assert!(simulation.run_until_answer(Time(start.0 + 10 * SECOND)));
        let answers: Vec<Answered> = simulation.take_answers();
        ended += answers.len();
        last = answers.iter().map(|answer| answer.answered.0).max().unwrap();
    }
    // 2000 commands, each taken up for 10 us and delivered for 10 us by the leader.
    let busy = 2000 * 20_000;
    let took = last - start.0;
    assert!((busy..busy + 20_000_000).contains(&took), "{took} ns for {busy} ns of work");

    spec.costs.message_ns = 100_000.0;
    let mut charged = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *charged, 0..10);
    let latencies = closed_loop(&mut *charged, 10..20);
    // Sent, received, answered and received: four messages, behind which others may queue.
    assert!(latencies.iter().all(|&latency| latency >= 2_000_000 + 4 * 100_000), "{latencies:?}");
}

#[test]
fn lost_messages_cost_time_and_no_command() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 9);
    spec.links.iter_mut().flatten().for_each(|link| link.loss = 0.2);
    let mut simulation = Openraft.simulate(&spec).unwrap();
    let latencies = closed_loop(&mut *simulation, 0..300);
    // One lost on each way is made up for by the other follower; sometimes both are hit.
    assert!(latencies.iter().any(|&latency| latency > 2_000_000));
    for row in 0..3 {
        for to in (0..3).filter(|&to| to != row) {
            let (from, to) = (ReplicaId(row), ReplicaId(to));
            let degrade = Fault::Degrade { from, to, extra_delay: Duration::from_millis(5), loss: 0.0 };
            simulation.inject(degrade).unwrap();
        }
    }
    assert!(closed_loop(&mut *simulation, 300..320).iter().all(|&latency| latency >= 12_000_000));
    simulation.inject(Fault::Heal).unwrap();
    rest(&mut *simulation, 30);
    assert_agree(&*simulation, 3, 320);
}

#[test]
fn a_follower_far_behind_is_given_a_snapshot() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 4);
    let settings = [("snapshot_interval_entries", 50.0), ("kept_entries", 5.0)];
    let values = settings.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    spec.settings = protocol_core::Settings::checked(values, &Openraft.descriptor()).unwrap();
    spec.durable = true;
    let mut simulation = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    let leader = simulation.observe().leader.unwrap();
    let other = ReplicaId::all(3).find(|&id| id != leader).unwrap();
    simulation.inject(Fault::Crash(other)).unwrap();
    closed_loop(&mut *simulation, 10..300);
    simulation.inject(Fault::Restart(other)).unwrap();
    rest(&mut *simulation, 10);
    assert_agree(&*simulation, 3, 300);
    assert!(simulation.observe().total().of(MessageKind::StateTransfer).messages > 0);
    // What is in a snapshot is not in the log of one that restarts.
    simulation.inject(Fault::Crash(other)).unwrap();
    simulation.inject(Fault::Restart(other)).unwrap();
    rest(&mut *simulation, 10);
    assert_agree(&*simulation, 3, 300);
}

#[test]
fn a_limit_on_events_stops_time() {
    let spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    let mut simulation = Openraft.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..10);
    let (events, now) = (simulation.events(), simulation.now());
    assert!(events > 0);
    simulation.limit_events(events + 5);
    rest(&mut *simulation, 100);
    assert_eq!(simulation.events(), events + 5);
    assert!(simulation.now().0 < now.0 + 100 * SECOND);
}

#[test]
fn faults_and_settings_that_make_no_sense_are_refused() {
    let mut spec = SimulationSpec::uniform(3, Duration::from_millis(1), 1);
    let mut simulation = Openraft.simulate(&spec).unwrap();
    let id = ReplicaId(1);
    let not_applicable = |result| matches!(result, Err(FaultError::NotApplicable { .. }));
    assert!(not_applicable(simulation.inject(Fault::Resume(id))));
    simulation.inject(Fault::Pause(id)).unwrap();
    assert!(not_applicable(simulation.inject(Fault::Pause(id))));
    simulation.inject(Fault::Crash(id)).unwrap();
    assert!(not_applicable(simulation.inject(Fault::Crash(id))));
    assert!(not_applicable(simulation.inject(Fault::Pause(id))));
    assert!(not_applicable(simulation.inject(Fault::Crash(ReplicaId(3)))));
    assert!(matches!(simulation.inject(Fault::Restart(id)), Err(FaultError::Unsupported { .. })));
    spec.timing.heartbeat = Duration::from_millis(2);
    assert!(matches!(Openraft.simulate(&spec), Err(LaunchError::Settings(_))));
}

/// `cargo test --release -p protocol-openraft --test simulation -- --ignored --nocapture` tells how fast
/// virtual time is.
#[test]
#[ignore = "prints what wall-clock time a simulation takes"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn pace() {
    for clients in [1, 64] {
        let mut spec = SimulationSpec::uniform(5, Duration::from_micros(250), 1);
        spec.client_delays = vec![Duration::from_micros(250); 5];
        let mut simulation = Openraft.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        let (began, events, start) = (std::time::Instant::now(), simulation.events(), simulation.now());
        let mut next = 10;
        let submit = |simulation: &mut dyn Simulation, next: &mut u64| {
            let now = simulation.now();
            simulation.submit(now, command(*next), NEVER);
            *next += 1;
        };
        (0..clients).for_each(|_| submit(&mut *simulation, &mut next));
        let mut ended = 0;
        while ended < 20_000 {
            assert!(simulation.run_until_answer(NEVER));
            for _ in simulation.take_answers() {
                ended += 1;
                submit(&mut *simulation, &mut next);
            }
        }
        let wall = began.elapsed().as_secs_f64();
        println!(
            "{clients} clients: {:.0} commits/s, {:.0} events/s, {:.2} s of virtual time per second",
            f64::from(ended) / wall,
            (simulation.events() - events) as f64 / wall,
            (simulation.now().0 - start.0) as f64 / 1e9 / wall,
        );
    }
}
