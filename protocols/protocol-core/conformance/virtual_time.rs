//! A cluster in virtual time and its clients. Stands by itself, so that an adapter's own tests of virtual time
//! include it without the checks.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking, and each takes what it needs"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use protocol_core::{
    Answered, AppliedLog, Command, CommandId, Fault, Protocol, ReplicaId, Settings, Simulation,
    SimulationSpec, Time,
};

/// A deadline that does not come.
pub const NEVER: Time = Time(u64::MAX);
pub const MILLISECOND: u64 = 1_000_000;
/// Bytes of each command's payload.
pub const PAYLOAD_BYTES: u64 = 128;
/// By now a command is answered that ever will be, whatever fault came before it.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what replicas applied.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A command with a payload of its own.
pub fn command(id: u64) -> Command {
    Command::new(CommandId(id), &id.to_be_bytes().repeat(PAYLOAD_BYTES as usize / 8))
}

/// Has clients send commands now.
pub fn submit(simulation: &mut dyn Simulation, ids: Range<u64>) {
    let now = simulation.now();
    ids.for_each(|id| simulation.submit(now, command(id), NEVER));
}

/// Sends commands one after the other, each when the last is answered; their answers, all of them good.
pub fn one_by_one(simulation: &mut dyn Simulation, ids: Range<u64>) -> Vec<Answered> {
    let one = |id| {
        submit(simulation, id..id + 1);
        let until = simulation.now() + PATIENCE;
        assert!(simulation.run_until_answer(until), "command {id}: {:#?}", simulation.observe());
        let answers = simulation.take_answers();
        assert!(answers.len() == 1 && answers[0].id == CommandId(id), "command {id}: {answers:?}");
        answers[0].outcome.unwrap();
        answers[0]
    };
    ids.map(one).collect()
}

/// As [`one_by_one`]; the commands' latencies in nanoseconds.
pub fn closed_loop(simulation: &mut dyn Simulation, ids: Range<u64>) -> Vec<u64> {
    let answers = one_by_one(simulation, ids);
    answers.iter().map(|answer| answer.answered.0 - answer.submitted.0).collect()
}

/// Lets time pass.
pub fn run_for(simulation: &mut dyn Simulation, time: Duration) {
    let until = simulation.now() + time;
    simulation.run_until(until);
}

/// Waits until these commands and no others are answered, all of them well and each once.
pub fn all_answered(simulation: &mut dyn Simulation, ids: Range<u64>) -> Vec<Answered> {
    let (until, mut answers) = (simulation.now() + PATIENCE, BTreeMap::new());
    while (answers.len() as u64) < ids.end - ids.start {
        assert!(simulation.run_until_answer(until), "{ids:?}: {:#?}", simulation.observe());
        for answer in simulation.take_answers() {
            assert!(ids.contains(&answer.id.0) && answer.outcome.is_ok(), "{ids:?}: {answer:?}");
            assert!(answers.insert(answer.id, answer).is_none(), "{:?} was answered twice", answer.id);
        }
    }
    answers.into_values().collect()
}

/// Lets time pass until all live replicas applied the same, and so many commands; at most until they ever will.
pub fn settle(simulation: &mut dyn Simulation, commands: u64) {
    let until = simulation.now() + PATIENCE;
    let same = |simulation: &dyn Simulation| {
        let logs = simulation.audit();
        let agree = |log: &AppliedLog| log.ids().len() >= commands && log.agrees_with(&logs[0].1) == Ok(true);
        logs.iter().all(|(_, log)| agree(log))
    };
    while simulation.now() < until && !same(simulation) {
        run_for(simulation, LOOK_INTERVAL);
    }
}

/// Who leads, as far as anyone does; else the first replica.
pub fn leader(simulation: &dyn Simulation) -> ReplicaId {
    simulation.observe().leader.unwrap_or(ReplicaId(0))
}

pub fn crash(simulation: &mut dyn Simulation, replicas: impl IntoIterator<Item = ReplicaId>) {
    replicas.into_iter().for_each(|id| simulation.inject(Fault::Crash(id)).unwrap());
}

pub fn restart(simulation: &mut dyn Simulation, replicas: impl IntoIterator<Item = ReplicaId>) {
    replicas.into_iter().for_each(|id| simulation.inject(Fault::Restart(id)).unwrap());
}

/// Asserts that so many live replicas applied the same, and so many commands; each once, except that one which
/// a client sent again may have been agreed on again.
pub fn assert_agree(simulation: &dyn Simulation, live: usize, commands: u64) {
    let (logs, resubmissions) = (simulation.audit(), simulation.observe().resubmissions);
    assert_eq!(logs.len(), live);
    for (id, log) in &logs {
        assert_eq!(log.ids().len(), commands, "replica {id}: {:#?}", simulation.observe());
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "replica {id}");
        assert_eq!(log.violations(), [] as [String; 0], "replica {id}");
        assert_eq!(log.delivered(), commands + log.duplicates(), "replica {id}");
        assert!(log.duplicates() <= resubmissions, "replica {id} delivered twice what was sent once");
    }
}

/// As [`assert_agree`], of a protocol that looks for repetitions itself: it agrees on no command again.
pub fn assert_agree_once(simulation: &dyn Simulation, live: usize, commands: u64) {
    assert_agree(simulation, live, commands);
    for (id, log) in simulation.audit() {
        assert_eq!(log.duplicates(), 0, "replica {id} delivered a command twice");
    }
}

pub fn assert_no_one_accused(simulation: &dyn Simulation) {
    for replica in simulation.observe().replicas {
        assert!(replica.misbehaviour.is_empty(), "{:?}", replica.misbehaviour);
    }
}

/// Has heartbeats and elections so rare that none happens while something is counted.
pub fn quiet(mut spec: SimulationSpec) -> SimulationSpec {
    spec.timing.heartbeat = Duration::from_secs(1_000);
    spec.timing.election_min = Duration::from_secs(10_000);
    spec.timing.election_max = Duration::from_secs(20_000);
    spec
}

/// Links that lose one message in so many.
pub fn lossy(spec: &mut SimulationSpec, jitter: Duration, loss: f64) {
    for link in spec.links.iter_mut().flatten() {
        (link.jitter, link.loss) = (jitter, loss);
    }
}

pub fn settings(protocol: &dyn Protocol, values: &[(&str, f64)]) -> Settings {
    let values = values.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    Settings::checked(values, &protocol.descriptor()).unwrap()
}
