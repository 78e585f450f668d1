//! The registers in virtual time: what reads and writes cost, who has to answer, and what a restart keeps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{
    Answered, Command, CommandId, Fault, LaunchError, MessageKind, Observation, Operation, Protocol,
    ReplicaId, Settings, Simulation, SimulationSpec, Time,
};
use protocol_register::{Abd, Dynamo};

const NEVER: Time = Time(u64::MAX);
const ONE_WAY: Duration = Duration::from_millis(10);
const ROUND_TRIP_NS: u64 = 20_000_000;

fn settings(values: &[(&str, f64)], protocol: &dyn Protocol) -> Settings {
    let values: BTreeMap<String, f64> =
        values.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    Settings::checked(values, &protocol.descriptor()).unwrap()
}

fn spec(replicas: usize, values: &[(&str, f64)], protocol: &dyn Protocol) -> SimulationSpec {
    let settings = settings(values, protocol);
    SimulationSpec { settings, ..SimulationSpec::uniform(replicas, ONE_WAY, 1) }
}

/// Commands whose ids make them what they are: the next read, the next write.
struct Ids<'a> {
    settings: &'a Settings,
    next: u64,
}

impl Ids<'_> {
    fn next(&mut self, is: impl Fn(Operation) -> bool) -> u64 {
        loop {
            self.next += 1;
            if is(Operation::on_register(CommandId(self.next - 1), self.settings)) {
                return self.next - 1;
            }
        }
    }

    fn read(&mut self) -> u64 {
        self.next(|operation| matches!(operation, Operation::Read { .. }))
    }

    fn write(&mut self) -> u64 {
        self.next(|operation| matches!(operation, Operation::Write { .. }))
    }
}

/// Sends commands at once, and waits for all; by id.
fn batch(simulation: &mut dyn Simulation, ids: &[u64]) -> BTreeMap<u64, Answered> {
    let now = simulation.now();
    for &id in ids {
        simulation.submit(now, Command::new(CommandId(id), &[7; 128]), NEVER);
    }
    let mut answers = BTreeMap::new();
    while answers.len() < ids.len() {
        assert!(simulation.run_until_answer(Time(now.0 + 60_000_000_000)), "{ids:?}: {answers:?}");
        answers.extend(simulation.take_answers().into_iter().map(|answer| (answer.id.0, answer)));
    }
    // What is still on its way is part of the cost.
    let now = simulation.now();
    simulation.run_until(now + 4 * ONE_WAY);
    answers
}

fn messages(observation: &Observation) -> u64 {
    observation.total().of(MessageKind::Protocol).messages
}

/// Sends one command; messages that it took, nanoseconds, and its output.
fn cost(simulation: &mut dyn Simulation, id: u64) -> (u64, u64, u64) {
    let before = messages(&simulation.observe());
    let answer = batch(simulation, &[id])[&id];
    answer.outcome.unwrap();
    let took = answer.answered.0 - answer.submitted.0;
    (messages(&simulation.observe()) - before, took, answer.output)
}

#[test]
fn an_abd_write_takes_two_round_trips_and_a_quiet_read_one() {
    let spec = spec(5, &[("keys", 1.0)], &Abd);
    let mut simulation = Abd.simulate(&spec).unwrap();
    let mut ids = Ids { settings: &spec.settings, next: 0 };
    assert_eq!(cost(&mut *simulation, ids.read()), (8, ROUND_TRIP_NS, 0), "nothing is written");
    for _ in 0..20 {
        let write = ids.write();
        // A query, a store, and the answers of both, to and from each of four others.
        assert_eq!(cost(&mut *simulation, write), (16, 2 * ROUND_TRIP_NS, 0));
        assert_eq!(cost(&mut *simulation, ids.read()), (8, ROUND_TRIP_NS, write + 1));
    }
}

#[test]
fn without_the_flag_every_read_writes_back() {
    let spec = spec(5, &[("keys", 1.0), ("one_round_read_flag", 0.0)], &Abd);
    let mut simulation = Abd.simulate(&spec).unwrap();
    let mut ids = Ids { settings: &spec.settings, next: 0 };
    let write = ids.write();
    cost(&mut *simulation, write);
    assert_eq!(cost(&mut *simulation, ids.read()), (16, 2 * ROUND_TRIP_NS, write + 1));
}

#[test]
fn dynamo_takes_one_round_trip_for_either() {
    let spec = spec(5, &[("keys", 1.0)], &Dynamo);
    let mut simulation = Dynamo.simulate(&spec).unwrap();
    let mut ids = Ids { settings: &spec.settings, next: 0 };
    for _ in 0..20 {
        let write = ids.write();
        assert_eq!(cost(&mut *simulation, write), (8, ROUND_TRIP_NS, 0));
        assert_eq!(cost(&mut *simulation, ids.read()), (8, ROUND_TRIP_NS, write + 1));
    }
}

#[test]
fn a_batch_at_one_coordinator_costs_the_messages_of_one_command() {
    let ids: Vec<u64> = (0..500).map(|index| index * 5).collect();
    for (protocol, expected) in [(&Abd as &dyn Protocol, 16), (&Dynamo, 8)] {
        let spec = spec(5, &[], protocol);
        let mut simulation = protocol.simulate(&spec).unwrap();
        let answers = batch(&mut *simulation, &ids);
        assert!(answers.values().all(|answer| answer.outcome.is_ok()));
        let seen = simulation.observe();
        assert_eq!((messages(&seen), seen.total().proposals), (expected, 1));
    }
}

#[test]
fn read_repair_brings_a_replica_up_to_date() {
    let values = [("keys", 1.0), ("write_quorum", 2.0), ("read_quorum", 3.0)];
    let spec = spec(3, &values, &Dynamo);
    let mut simulation = Dynamo.simulate(&spec).unwrap();
    let mut ids = Ids { settings: &spec.settings, next: 0 };
    let missed = ReplicaId(2);
    let by_another = |ids: &mut Ids, write: bool| loop {
        let id = if write { ids.write() } else { ids.read() };
        if id % 3 != 2 {
            return id;
        }
    };
    for from in [ReplicaId(0), ReplicaId(1)] {
        simulation.inject(Fault::Cut { from, to: missed }).unwrap();
    }
    let write = by_another(&mut ids, true);
    cost(&mut *simulation, write);
    // Two of three are enough, and no one tells the third any more.
    let delivered = |simulation: &dyn Simulation| simulation.observe().replicas[2].delivered;
    assert_eq!(delivered(&*simulation), 0);
    simulation.inject(Fault::Heal).unwrap();
    let now = simulation.now();
    simulation.run_until(now + Duration::from_secs(10));
    assert_eq!(delivered(&*simulation), 0);
    let read = by_another(&mut ids, false);
    assert_eq!(cost(&mut *simulation, read).2, write + 1);
    assert_eq!(delivered(&*simulation), 1, "the read has brought it");
}

#[test]
fn a_restart_keeps_what_was_acknowledged() {
    for protocol in [&Abd as &dyn Protocol, &Dynamo] {
        let spec = SimulationSpec { durable: true, ..spec(3, &[("keys", 50.0)], protocol) };
        let mut simulation = protocol.simulate(&spec).unwrap();
        let mut ids = Ids { settings: &spec.settings, next: 0 };
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for _ in 0..200 {
            let write = ids.write();
            assert!(cost(&mut *simulation, write).1 > 0);
            if let Operation::Write { key } = Operation::on_register(CommandId(write), &spec.settings) {
                newest.insert(key, write + 1);
            }
        }
        for replica in ReplicaId::all(3) {
            simulation.inject(Fault::Crash(replica)).unwrap();
        }
        for replica in ReplicaId::all(3) {
            simulation.inject(Fault::Restart(replica)).unwrap();
        }
        for _ in 0..200 {
            let read = ids.read();
            let (_, _, output) = cost(&mut *simulation, read);
            if let Operation::Read { key } = Operation::on_register(CommandId(read), &spec.settings) {
                assert_eq!(output, newest.get(&key).copied().unwrap_or(0), "key {key}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let run = |seed| {
        let mut spec = spec(5, &[("keys", 3.0)], &Abd);
        (spec.seed, spec.durable) = (seed, true);
        for link in spec.links.iter_mut().flatten() {
            (link.jitter, link.loss) = (Duration::from_millis(3), 0.01);
        }
        let mut simulation = Abd.simulate(&spec).unwrap();
        let answers: Vec<_> = (0..20)
            .map(|round| batch(&mut *simulation, &Vec::from_iter(round * 20..(round + 1) * 20)))
            .collect();
        (answers, simulation.observe(), simulation.events())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn quorums_that_can_miss_each_other_are_refused_with_the_nearest_that_can_not() {
    let why = |protocol: &dyn Protocol, values: &[(&str, f64)]| {
        let refused = protocol.simulate(&spec(5, values, protocol));
        match refused.map(drop) {
            Err(LaunchError::Settings(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let told = why(&Abd, &[("read_quorum", 2.0), ("write_quorum", 3.0)]);
    assert!(told.contains("2 + write_quorum 3 must be more than the 5 replicas"), "{told}");
    assert!(told.contains("write_quorum = 4 or read_quorum = 3"), "{told}");
    for protocol in [&Abd as &dyn Protocol, &Dynamo] {
        assert!(why(protocol, &[("write_quorum", 6.0)]).contains("at most 5"));
    }
    for sum_of_six in [(1.0, 5.0), (5.0, 1.0), (3.0, 3.0)] {
        let values = [("read_quorum", sum_of_six.0), ("write_quorum", sum_of_six.1), ("keys", 5.0)];
        let mut simulation = Abd.simulate(&spec(5, &values, &Abd)).unwrap();
        assert_eq!(batch(&mut *simulation, &Vec::from_iter(0..100)).len(), 100);
    }
    assert!(Dynamo.simulate(&spec(5, &[("read_quorum", 1.0), ("write_quorum", 1.0)], &Dynamo)).is_ok());
}

#[test]
fn a_coordinator_that_is_cut_off_gives_its_commands_back() {
    let spec = spec(3, &[], &Abd);
    let mut simulation = Abd.simulate(&spec).unwrap();
    let alone = ReplicaId(0);
    for peer in [ReplicaId(1), ReplicaId(2)] {
        simulation.inject(Fault::Cut { from: alone, to: peer }).unwrap();
        simulation.inject(Fault::Cut { from: peer, to: alone }).unwrap();
    }
    // Each of these begins at the one that is cut off.
    let answers = batch(&mut *simulation, &[0, 3, 6, 9]);
    for answer in answers.values() {
        answer.outcome.unwrap();
        let took = Duration::from_nanos(answer.answered.0 - answer.submitted.0);
        assert!(took >= spec.timing.election_min && took < 2 * spec.timing.election_min, "{took:?}");
    }
}
