//! Up to f replicas lie, and the others agree, answer, and accuse no one else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use protocol_core::{
    Behaviour, ClientRule, Command, CommandId, DriverOptions, Fault, Protocol, ReplicaId, Seal,
    SimulatedCluster, SimulationSpec, Time, Timing,
};
use protocol_tendermint::{Authentication, Tendermint, TendermintSetup, client_seal};

const COMMANDS: u64 = 8;
const SECOND: u64 = 1_000_000_000;

/// Runs when the environment says nothing.
fn seeds(otherwise: u64) -> u64 {
    match std::env::var("LIAR_SEEDS") {
        Ok(number) => number.parse().expect("LIAR_SEEDS is a number"),
        Err(_) => otherwise,
    }
}

/// Links that reorder and lose a little.
fn spec(replicas: usize, seed: u64) -> SimulationSpec {
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(2), seed);
    for link in spec.links.iter_mut().flatten() {
        (link.jitter, link.loss, link.fifo) = (Duration::from_millis(2), 0.01, false);
    }
    spec
}

/// Runs a cluster with f liars; whom the honest ones accuse.
fn lie(protocol: Tendermint, behaviour: Behaviour, replicas: usize, seed: u64) -> BTreeSet<String> {
    let case = format!("{behaviour:?}, {replicas} replicas, seed {seed}");
    let mut simulation = protocol.simulate(&spec(replicas, seed)).unwrap();
    let faulty = (protocol.descriptor().tolerates)(replicas, &Default::default());
    let liars: BTreeSet<ReplicaId> =
        (0..faulty).map(|index| ReplicaId(((seed as usize + 2 * index) % replicas) as u32)).collect();
    assert_eq!(liars.len(), faulty);
    for &liar in &liars {
        simulation.inject(Fault::Corrupt(liar, behaviour)).unwrap();
    }
    for id in 0..COMMANDS {
        let at = Time(id * SECOND / 20);
        simulation.submit(at, Command::new(CommandId(id), &seed.to_le_bytes()), Time(u64::MAX));
    }
    let mut answered = 0;
    while answered < COMMANDS && simulation.run_until_answer(Time(60 * SECOND)) {
        for answer in simulation.take_answers() {
            assert!(answer.outcome.is_ok(), "{case}: {answer:?}");
            answered += 1;
        }
    }
    assert_eq!(answered, COMMANDS, "{case}");
    let until = simulation.now() + Duration::from_secs(5);
    simulation.run_until(until);
    let logs = simulation.audit();
    assert_eq!(logs.len(), replicas - faulty, "{case}");
    for (id, log) in &logs {
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "{case}, replica {id}");
        assert_eq!(log.ids().len(), COMMANDS, "{case}, replica {id}");
        assert_eq!(log.violations(), [] as [String; 0], "{case}, replica {id}");
    }
    let observation = simulation.observe();
    let honest = ReplicaId::all(replicas).filter(|id| !liars.contains(id));
    let accusations = honest.flat_map(|id| observation.replicas[id.index()].misbehaviour.clone());
    accusations
        .map(|accusation| {
            assert!(liars.contains(&accusation.replica), "{case}: {accusation:?}");
            accusation.what
        })
        .collect()
}

/// Runs many seeds; everything that anyone was accused of.
fn lie_often(behaviour: Behaviour) -> BTreeSet<String> {
    let mut accusations = BTreeSet::new();
    for replicas in [4, 7] {
        for seed in 0..seeds(100) {
            accusations.extend(lie(Tendermint::CODES, behaviour, replicas, seed));
        }
        for seed in 0..seeds(100) / 5 {
            accusations.extend(lie(Tendermint::SIGNATURES, behaviour, replicas, seed));
        }
    }
    accusations
}

fn accuses(what: &str) -> BTreeSet<String> {
    BTreeSet::from([what.to_string()])
}

#[test]
fn silent_replicas_are_passed_over() {
    assert_eq!(lie_often(Behaviour::Silent), BTreeSet::new());
}

#[test]
fn slow_replicas_are_waited_for_or_passed_over() {
    assert_eq!(lie_often(Behaviour::Slow), BTreeSet::new());
}

#[test]
fn replicas_that_say_two_things_are_found_out() {
    let accusations = lie_often(Behaviour::Equivocate);
    assert!(accusations.is_superset(&accuses("two votes in one step of a round")), "{accusations:?}");
}

#[test]
fn proofs_that_do_not_hold_are_noticed() {
    let accusations = lie_often(Behaviour::CorruptSignatures);
    assert!(accusations.is_superset(&accuses("a message whose proof does not hold")), "{accusations:?}");
}

#[test]
fn invented_rounds_change_nothing() {
    lie_often(Behaviour::LyingViewChange);
}

#[test]
fn old_messages_are_ignored() {
    assert_eq!(lie_often(Behaviour::Replay), BTreeSet::new());
}

#[test]
fn replicas_that_talk_to_some_only_hold_no_one_up() {
    assert_eq!(lie_often(Behaviour::SelectiveSending), BTreeSet::new());
}

fn setup(authentication: Authentication) -> TendermintSetup {
    TendermintSetup {
        authentication,
        timing: Timing::default(),
        settings: Default::default(),
        durable: false,
        seed: 1,
    }
}

/// Clients that seal some commands as others than themselves: those are never decided.
#[test]
fn forged_commands_are_refused_everywhere() {
    for authentication in [Authentication::Signatures, Authentication::IdealSignatures, Authentication::Codes]
    {
        let (genuine, forged) = (client_seal(authentication, 4, 1), client_seal(authentication, 4, 2));
        let length = genuine.apply(&Command::new(CommandId(0), b"")).payload().len();
        let seal = Seal::new(move |command| {
            let seal = if command.id().0.is_multiple_of(2) { &genuine } else { &forged };
            let (_, seal) = seal.apply(command).unsealed(length).unwrap();
            seal
        });
        let clients = ClientRule::Everyone { matching: 2 };
        let options = DriverOptions { clients, seal: Some(seal), ..DriverOptions::default() };
        let setup = setup(authentication);
        let mut simulation =
            SimulatedCluster::launch(&spec(4, 3), options, move |boot| setup.replica(boot)).unwrap();
        for id in 0..10 {
            simulation.submit(Time(0), Command::new(CommandId(id), b"payload"), Time(SECOND));
        }
        simulation.run_until(Time(3 * SECOND));
        for answer in simulation.take_answers() {
            assert_eq!(answer.outcome.is_ok(), answer.id.0.is_multiple_of(2), "{answer:?}");
        }
        for (_, log) in simulation.audit() {
            assert_eq!(log.ids().len(), 5);
        }
    }
}
