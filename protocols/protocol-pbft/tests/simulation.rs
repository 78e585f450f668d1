//! PBFT in virtual time: what it costs, that it agrees, and that it goes on after every fault that it is to
//! bear.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{
    Behaviour, Command, CommandId, Counters, Fault, MessageKind, Observation, Protocol, ReplicaId, Settings,
    Simulation, SimulationSpec, Time, View,
};
use protocol_pbft::{Pbft, SignatureScheme};

const NEVER: Time = Time(u64::MAX);
const BOTH: [Pbft; 2] = [Pbft::MAC, Pbft::SIGNED];

fn uniform(replicas: usize, one_way_ms: u64, seed: u64) -> SimulationSpec {
    SimulationSpec::uniform(replicas, Duration::from_millis(one_way_ms), seed)
}

fn set(spec: &mut SimulationSpec, protocol: Pbft, values: &[(&str, f64)]) {
    let values: BTreeMap<String, f64> =
        values.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    spec.settings = Settings::checked(values, &protocol.descriptor()).unwrap();
}

/// Statuses so rare that none is sent while something is counted.
fn without_statuses(spec: &mut SimulationSpec) {
    spec.timing.heartbeat = Duration::from_secs(1_000);
    spec.timing.election_min = Duration::from_secs(10_000);
    spec.timing.election_max = Duration::from_secs(20_000);
}

/// Sends commands one after the other, each when the last is answered; their latencies.
fn closed_loop(simulation: &mut dyn Simulation, ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.map(|id| {
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(id), &[7; 128]), NEVER);
        assert!(
            simulation.run_until_answer(Time(now.0 + 300_000_000_000)),
            "command {id}: {:#?}",
            simulation.observe()
        );
        let answers = simulation.take_answers();
        answers[0].outcome.unwrap();
        answers[0].answered.0 - answers[0].submitted.0
    })
    .collect()
}

fn run_for(simulation: &mut dyn Simulation, seconds: u64) {
    let now = simulation.now().0;
    simulation.run_until(Time(now + seconds * 1_000_000_000));
}

/// Every live replica applied so many commands, and the same.
fn assert_agree(simulation: &dyn Simulation, live: usize, commands: u64) {
    let logs = simulation.audit();
    assert_eq!(logs.len(), live);
    for (id, log) in &logs {
        assert_eq!(log.ids().len(), commands, "replica {id}: {:#?}", simulation.observe());
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "replica {id}");
        assert!(log.violations().is_empty(), "replica {id}: {:?}", log.violations());
        assert_eq!(log.duplicates(), 0, "a request takes effect once");
    }
}

fn assert_no_one_accused(observation: &Observation) {
    for replica in &observation.replicas {
        assert!(replica.misbehaviour.is_empty(), "{:?}", replica.misbehaviour);
    }
}

fn counted(simulation: &mut dyn Simulation, ids: std::ops::Range<u64>) -> (Counters, Vec<u64>) {
    let before = simulation.observe().total();
    let latencies = closed_loop(simulation, ids);
    // The answer comes before the last COMMITs.
    run_for(simulation, 1);
    (simulation.observe().total() - before, latencies)
}

#[test]
fn a_batch_costs_what_the_paper_says() {
    for (protocol, replicas) in BOTH.into_iter().flat_map(|protocol| [4, 7, 10].map(|n| (protocol, n))) {
        let mut spec = uniform(replicas, 10, 1);
        without_statuses(&mut spec);
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        run_for(&mut *simulation, 1);
        let (cost, latencies) = counted(&mut *simulation, 10..60);
        // PRE-PREPARE n − 1, PREPARE (n − 1)², COMMIT n (n − 1); requests and replies are the clients'.
        let n = replicas as u64;
        assert_eq!(cost.of(MessageKind::Protocol).messages, 50 * 2 * n * (n - 1));
        assert_eq!(cost.of(MessageKind::StateTransfer).messages, 0);
        assert!(latencies.iter().all(|&latency| latency == 30_000_000), "{latencies:?}");
        let floors = (protocol.descriptor().floors)(replicas);
        assert_eq!(cost.of(MessageKind::Protocol).messages as f64, 50.0 * floors.messages_per_batch);
        assert_eq!(cost.signatures as f64, 50.0 * floors.signatures_per_batch);
        let most = |floor: f64| 50.0 * (floor + if floor > n as f64 { n as f64 } else { 0.0 });
        // Batches of one command.
        let macs = floors.macs_per_batch + floors.macs_per_command;
        for (count, floor) in [(cost.verifications, floors.verifications_per_batch), (cost.macs, macs)] {
            // A vote may be checked before this replica's own one makes it unnecessary.
            assert!(count as f64 >= 50.0 * floor && count as f64 <= most(floor), "{count} against {floor}");
        }
        assert_eq!((cost.proposals, cost.proposed_commands), (50, 50));
        assert_agree(&*simulation, replicas, 60);
        assert_no_one_accused(&simulation.observe());
    }
}

/// Signed votes and commands, checkpoints, a primary that crashes, and a liar whose signatures don't hold.
#[test]
fn ideal_signatures_count_weigh_and_convict_as_ed25519_does() {
    let protocol = Pbft::SIGNED;
    let run = |scheme| {
        let mut spec = uniform(7, 5, 1);
        let settings = [
            ("client_signatures_flag", 1.0),
            ("checkpoint_interval_batches", 8.0),
            ("log_window_batches", 16.0),
        ];
        set(&mut spec, protocol, &settings);
        let setup = protocol.simulated_setup(&spec, scheme).unwrap();
        let mut simulation = protocol.simulate_with(&spec, setup).unwrap();
        simulation.inject(Fault::Corrupt(ReplicaId(3), Behaviour::CorruptSignatures)).unwrap();
        let mut latencies = closed_loop(&mut *simulation, 0..20);
        simulation.inject(Fault::Crash(ReplicaId(0))).unwrap();
        latencies.extend(closed_loop(&mut *simulation, 20..30));
        run_for(&mut *simulation, 1);
        (simulation.observe(), simulation.events(), latencies)
    };
    let ideal = run(SignatureScheme::Ideal);
    assert_eq!(ideal, run(SignatureScheme::Ed25519));
    let (observation, ..) = ideal;
    assert!(observation.total().verifications > 0 && observation.leader == Some(ReplicaId(1)));
    assert!(observation.replicas[1].misbehaviour.iter().any(|found| found.replica == ReplicaId(3)));
}

#[test]
fn tentative_answers_save_a_delay() {
    let mut spec = uniform(4, 10, 1);
    without_statuses(&mut spec);
    set(&mut spec, Pbft::MAC, &[("tentative_flag", 1.0)]);
    let mut simulation = Pbft::MAC.simulate(&spec).unwrap();
    let latencies = closed_loop(&mut *simulation, 0..50);
    assert!(latencies.iter().all(|&latency| latency == 20_000_000), "{latencies:?}");
    run_for(&mut *simulation, 1);
    assert_agree(&*simulation, 4, 50);
}

#[test]
fn primaries_that_crash_one_after_the_other_are_replaced() {
    for protocol in BOTH {
        let mut simulation = protocol.simulate(&uniform(7, 5, 1)).unwrap();
        closed_loop(&mut *simulation, 0..20);
        for primary in 0..2 {
            simulation.inject(Fault::Crash(ReplicaId(primary))).unwrap();
            let first = 20 + u64::from(primary) * 20;
            closed_loop(&mut *simulation, first..first + 20);
            assert_eq!(simulation.observe().leader, Some(ReplicaId(primary + 1)));
        }
        run_for(&mut *simulation, 2);
        assert_agree(&*simulation, 5, 60);
        assert_no_one_accused(&simulation.observe());
    }
}

/// The primary is cut off. The replicas `late` get the commands, and so suspect it, later than the others by
/// so much; with `pause` they also stand still meanwhile. Yet all stay in the view that the first ask for.
fn assert_that_the_next_view_is_given_its_time(replicas: usize, late: &[u32], late_by_ms: u64, pause: bool) {
    for protocol in BOTH {
        let mut spec = uniform(replicas, 5, 1);
        for &id in late {
            spec.client_delays[id as usize] = Duration::from_millis(late_by_ms);
        }
        let patience = spec.timing.election_min.as_nanos() as u64;
        let mut simulation = protocol.simulate(&spec).unwrap();
        submit_at_once(&mut *simulation, 0..100);
        run_for(&mut *simulation, 1);
        for peer in (1..replicas as u32).map(ReplicaId) {
            simulation.inject(Fault::Cut { from: ReplicaId(0), to: peer }).unwrap();
            simulation.inject(Fault::Cut { from: peer, to: ReplicaId(0) }).unwrap();
        }
        let start = simulation.now().0;
        submit_at_once(&mut *simulation, 100..300);
        // The first ones suspect the primary at `patience`, and their VIEW-CHANGEs take 5 ms.
        simulation.run_until(Time(start + patience + 1_000_000));
        if pause {
            late.iter().for_each(|&id| simulation.inject(Fault::Pause(ReplicaId(id))).unwrap());
            simulation.run_until(Time(start + patience + (late_by_ms + 1) * 1_000_000));
            late.iter().for_each(|&id| simulation.inject(Fault::Resume(ReplicaId(id))).unwrap());
        }
        run_for(&mut *simulation, 10);
        assert_eq!(simulation.take_answers().len(), 300);
        assert_eq!(simulation.observe().view, Some(View(1)), "no other view was needed");
        assert_eq!(simulation.observe().replicas[0].delivered, 100);
        simulation.inject(Fault::Heal).unwrap();
        run_for(&mut *simulation, 10);
        assert_agree(&*simulation, replicas, 300);
    }
}

fn submit_at_once(simulation: &mut dyn Simulation, ids: std::ops::Range<u64>) {
    let now = simulation.now();
    ids.for_each(|id| simulation.submit(now, Command::new(CommandId(id), &[7; 128]), NEVER));
}

/// In one round it hears those whom it follows, and then its own timer, set in the view that is over.
#[test]
fn a_timer_that_runs_out_as_its_view_ends_does_not_end_the_next_one() {
    assert_that_the_next_view_is_given_its_time(4, &[3], 20, true);
}

/// f + 1 ask for the view; while less than 2f + 1 do, those who follow them wait for that alone.
#[test]
fn a_timer_of_a_view_that_ended_is_off_while_view_changes_are_awaited() {
    assert_that_the_next_view_is_given_its_time(7, &[4, 5, 6], 7, false);
}

#[test]
fn two_primaries_that_crash_at_once_take_two_view_changes() {
    let mut simulation = Pbft::MAC.simulate(&uniform(7, 5, 1)).unwrap();
    closed_loop(&mut *simulation, 0..20);
    simulation.inject(Fault::Crash(ReplicaId(0))).unwrap();
    simulation.inject(Fault::Crash(ReplicaId(1))).unwrap();
    closed_loop(&mut *simulation, 20..40);
    assert_eq!(simulation.observe().leader, Some(ReplicaId(2)));
    run_for(&mut *simulation, 2);
    assert_agree(&*simulation, 5, 40);
}

#[test]
fn a_replica_cut_off_for_long_gets_the_state() {
    for protocol in BOTH {
        let mut spec = uniform(4, 1, 1);
        set(&mut spec, protocol, &[("checkpoint_interval_batches", 8.0), ("log_window_batches", 16.0)]);
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..20);
        for peer in 0..3 {
            simulation.inject(Fault::Cut { from: ReplicaId(peer), to: ReplicaId(3) }).unwrap();
            simulation.inject(Fault::Cut { from: ReplicaId(3), to: ReplicaId(peer) }).unwrap();
        }
        closed_loop(&mut *simulation, 20..220);
        simulation.inject(Fault::Heal).unwrap();
        run_for(&mut *simulation, 5);
        assert_agree(&*simulation, 4, 220);
        let transfer = simulation.observe().total().of(MessageKind::StateTransfer);
        assert!(transfer.messages > 0);
        closed_loop(&mut *simulation, 220..240);
        run_for(&mut *simulation, 5);
        assert_agree(&*simulation, 4, 240);
        assert_no_one_accused(&simulation.observe());
    }
}

fn lossy(seed: u64) -> SimulationSpec {
    let mut spec = uniform(4, 5, seed);
    spec.durable = true;
    for row in &mut spec.links {
        for link in row {
            link.jitter = Duration::from_millis(3);
            link.loss = 0.05;
            link.fifo = false;
        }
    }
    spec
}

#[test]
fn lossy_links_slow_it_down_and_no_more() {
    for (protocol, seed) in BOTH.into_iter().flat_map(|protocol| (0..4).map(move |seed| (protocol, seed))) {
        let mut simulation = protocol.simulate(&lossy(seed)).unwrap();
        closed_loop(&mut *simulation, 0..100);
        run_for(&mut *simulation, 60);
        assert_agree(&*simulation, 4, 100);
        assert_no_one_accused(&simulation.observe());
    }
}

fn eventful(protocol: Pbft, seed: u64) -> (Vec<u64>, Observation, u64) {
    let mut spec = lossy(seed);
    set(&mut spec, protocol, &[("checkpoint_interval_batches", 16.0), ("log_window_batches", 32.0)]);
    let mut simulation = protocol.simulate(&spec).unwrap();
    let mut latencies = closed_loop(&mut *simulation, 0..50);
    for round in 0..4 {
        let leader = simulation.observe().leader.unwrap();
        simulation.inject(Fault::Crash(leader)).unwrap();
        let first = 50 + round * 50;
        latencies.extend(closed_loop(&mut *simulation, first..first + 30));
        simulation.inject(Fault::Restart(leader)).unwrap();
        latencies.extend(closed_loop(&mut *simulation, first + 30..first + 50));
    }
    run_for(&mut *simulation, 120);
    assert_agree(&*simulation, 4, 250);
    (latencies, simulation.observe(), simulation.events())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for protocol in BOTH {
        let first = eventful(protocol, 7);
        assert_eq!(first, eventful(protocol, 7));
        assert_ne!(first.0, eventful(protocol, 8).0);
        assert_no_one_accused(&first.1);
    }
}

#[test]
fn a_batch_that_some_prepared_survives_the_crash_of_its_primary() {
    // Crash the primary at every instant of the three phases.
    for moment in 0..40 {
        let mut spec = uniform(4, 10, moment);
        spec.durable = true;
        let mut simulation = Pbft::MAC.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..3);
        let now = simulation.now().0;
        for id in 3..13 {
            simulation.submit(Time(now + (id - 3) * 4_000_000), Command::new(CommandId(id), b"x"), NEVER);
        }
        simulation.run_until(Time(now + moment * 2_000_000));
        simulation.inject(Fault::Crash(ReplicaId(0))).unwrap();
        run_for(&mut *simulation, 30);
        assert_eq!(simulation.take_answers().len(), 10);
        assert_agree(&*simulation, 3, 13);
        simulation.inject(Fault::Restart(ReplicaId(0))).unwrap();
        run_for(&mut *simulation, 30);
        assert_agree(&*simulation, 4, 13);
    }
}

#[test]
fn all_replicas_restart_at_once_and_go_on() {
    let mut spec = uniform(4, 1, 1);
    spec.durable = true;
    set(&mut spec, Pbft::MAC, &[("checkpoint_interval_batches", 8.0), ("log_window_batches", 16.0)]);
    let mut simulation = Pbft::MAC.simulate(&spec).unwrap();
    closed_loop(&mut *simulation, 0..30);
    (0..4).for_each(|id| simulation.inject(Fault::Crash(ReplicaId(id))).unwrap());
    (0..4).for_each(|id| simulation.inject(Fault::Restart(ReplicaId(id))).unwrap());
    closed_loop(&mut *simulation, 30..60);
    run_for(&mut *simulation, 5);
    assert_agree(&*simulation, 4, 60);
}

#[test]
fn what_can_not_be_launched_says_so() {
    let refused = |replicas| match Pbft::MAC.simulate(&uniform(replicas, 1, 1)) {
        Ok(_) => panic!("{replicas} replicas were launched"),
        Err(error) => error.to_string(),
    };
    assert!(refused(3).contains("it takes 4 to 103"));
    assert!(refused(5).contains("nearest to it: 4 and 7"), "{}", refused(5));
    assert!(refused(9).contains("nearest to it: 7 and 10"), "{}", refused(9));
    let mut spec = uniform(4, 1, 1);
    set(&mut spec, Pbft::MAC, &[("log_window_batches", 16.0)]);
    let error = Pbft::MAC.simulate(&spec).err().unwrap().to_string();
    assert!(error.contains("checkpoint_interval_batches"), "{error}");
}
