//! What every adapter that spreads updates in no order ([`Order::Set`](protocol_core::Order::Set)) is
//! checked for. Stands by itself, so that its tests include it without the checks of ordered logs.

use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Answered, Cluster, Command, CommandId, Fault, LaunchSpec, NetworkSpec, Observation, Protocol, ReplicaId,
    Simulation, SimulationSpec, SubmitError, Time, submit_and_wait,
};

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;

/// Within this, an update that reaches all replicas at all has reached them.
const PATIENCE: u64 = 5 * SECOND;
/// Within this, an overlay has got over a fault.
const MENDED_AFTER: u64 = 60 * SECOND;

/// Replicas with 10 ± 2 ms between any two.
pub fn spec(replicas: usize, seed: u64) -> SimulationSpec {
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(8), seed);
    for link in spec.links.iter_mut().flatten() {
        link.jitter = Duration::from_millis(4);
    }
    spec
}

pub fn launch(protocol: &dyn Protocol, replicas: usize, seed: u64) -> Box<dyn Simulation> {
    protocol.simulate(&spec(replicas, seed)).unwrap()
}

/// Gives a cluster updates one after the other, so many milliseconds apart; how each ended.
pub fn updates(
    simulation: &mut dyn Simulation,
    ids: impl IntoIterator<Item = u64>,
    apart_ms: u64,
) -> Vec<Answered> {
    let one = |id: u64| {
        let now = simulation.now();
        simulation.submit(now, Command::new(CommandId(id), &[7; 128]), Time(now.0 + PATIENCE));
        assert!(simulation.run_until_answer(Time(now.0 + 2 * PATIENCE)), "update {id} has no end");
        let answers = simulation.take_answers();
        simulation.run_until(Time(now.0 + apart_ms * MILLISECOND).max(simulation.now()));
        answers
    };
    ids.into_iter().flat_map(one).collect()
}

/// How long each update took that reached all, ascending.
pub fn times(answers: &[Answered]) -> Vec<u64> {
    let reached = answers.iter().filter(|answered| answered.outcome.is_ok());
    let mut times: Vec<u64> = reached.map(|answered| answered.answered.0 - answered.submitted.0).collect();
    times.sort_unstable();
    times
}

/// Sends updates until some number in a row reached all, and returns the first id not used.
fn until_mended(simulation: &mut dyn Simulation, mut id: u64) -> u64 {
    let (end, mut in_a_row) = (simulation.now().0 + MENDED_AFTER, 0);
    while in_a_row < 5 {
        assert!(simulation.now().0 < end, "updates {id} before did not reach all");
        let reached = updates(simulation, [id], 100)[0].outcome.is_ok();
        in_a_row = if reached { in_a_row + 1 } else { 0 };
        id += 1;
    }
    id
}

fn assert_sound(simulation: &dyn Simulation) {
    for (id, log) in simulation.audit() {
        assert_eq!(log.violations(), [] as [String; 0], "replica {id}");
        assert_eq!(log.duplicates(), 0, "replica {id} delivered an update twice");
    }
}

/// What is acknowledged is on every replica, once; and at least so many of the updates are.
pub async fn every_replica_gets_updates(protocol: &dyn Protocol, count: u64, at_least: usize) {
    for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
        let spec = LaunchSpec { network, ..LaunchSpec::in_memory(5) };
        let cluster = protocol.launch(spec).await.unwrap();
        let reached = commit(&cluster, 0..count).await;
        assert!(reached.len() >= at_least, "{} of {count}", reached.len());
        for (id, log) in &cluster.audit() {
            assert!(reached.iter().all(|&update| log.ids().contains(CommandId(update))), "replica {id}");
            assert_eq!(log.duplicates(), 0, "replica {id}");
        }
        cluster.stop().await;
    }
}

/// No one promised to remember anything, so a replica may come back without a log.
pub async fn a_replica_comes_back_empty(protocol: &dyn Protocol) {
    let cluster = protocol.launch(LaunchSpec::in_memory(5)).await.unwrap();
    let victim = ReplicaId(2);
    assert!(!commit(&cluster, 0..20).await.is_empty());
    assert!(cluster.audit()[2].1.delivered() > 0);
    cluster.inject(Fault::Crash(victim)).await.unwrap();
    assert!(!commit(&cluster, 20..40).await.is_empty(), "the others go on without it");
    cluster.inject(Fault::Restart(victim)).await.unwrap();
    let observation = cluster.observe();
    assert_eq!((observation.replicas[2].live, observation.replicas[2].restarts), (true, 1));
    assert_eq!(cluster.audit()[2].1.delivered(), 0);
    cluster.stop().await;
}

/// Gives a cluster updates all at once; those that reached all replicas.
async fn commit(cluster: &Arc<dyn Cluster>, ids: std::ops::Range<u64>) -> Vec<u64> {
    let submit = |id: u64| {
        let cluster = cluster.clone();
        tokio::spawn(async move { submit_and_wait(&*cluster, Command::new(CommandId(id), &[7; 128])).await })
    };
    let tasks: Vec<_> = ids.map(|id| (id, submit(id))).collect();
    let mut reached = Vec::new();
    for (id, task) in tasks {
        if task.await.unwrap().is_ok() {
            reached.push(id);
        }
    }
    reached
}

pub fn the_same_seed_gives_the_same_run(protocol: &dyn Protocol) {
    let first = eventful(protocol, 7);
    assert_eq!(first, eventful(protocol, 7));
    assert_ne!(first.0, eventful(protocol, 8).0);
}

fn eventful(protocol: &dyn Protocol, seed: u64) -> (Vec<Answered>, Observation, u64) {
    let mut spec = spec(9, seed);
    for link in spec.links.iter_mut().flatten() {
        link.loss = 0.01;
    }
    let mut simulation = protocol.simulate(&spec).unwrap();
    let mut answers = updates(&mut *simulation, 0..30, 50);
    simulation.inject(Fault::Crash(ReplicaId(3))).unwrap();
    answers.extend(updates(&mut *simulation, 30..60, 50));
    simulation.inject(Fault::Restart(ReplicaId(3))).unwrap();
    answers.extend(updates(&mut *simulation, 60..90, 50));
    (answers, simulation.observe(), simulation.events())
}

pub fn a_replica_that_came_back_gets_what_is_new(protocol: &dyn Protocol) {
    let mut simulation = launch(protocol, 9, 3);
    assert!(!times(&updates(&mut *simulation, 0..20, 100)).is_empty());
    let victim = ReplicaId(4);
    simulation.inject(Fault::Crash(victim)).unwrap();
    until_mended(&mut *simulation, 1_000);
    simulation.inject(Fault::Restart(victim)).unwrap();
    let end = until_mended(&mut *simulation, 2_000);
    let (_, log) = &simulation.audit()[victim.index()];
    assert!((end - 5..end).all(|id| log.ids().contains(CommandId(id))));
    assert!(!log.ids().contains(CommandId(0)), "no one keeps what is old");
    assert_eq!(simulation.observe().replicas[victim.index()].restarts, 1);
    assert_sound(&*simulation);
}

/// An update ends as late, and not as done, while a live replica can't have it.
pub fn a_replica_cut_off_is_waited_for_in_vain(protocol: &dyn Protocol) {
    let mut simulation = launch(protocol, 5, 1);
    assert!(!times(&updates(&mut *simulation, 0..20, 100)).is_empty());
    let alone = ReplicaId(1);
    for peer in ReplicaId::all(5).filter(|&peer| peer != alone) {
        simulation.inject(Fault::Cut { from: alone, to: peer }).unwrap();
        simulation.inject(Fault::Cut { from: peer, to: alone }).unwrap();
    }
    let late = updates(&mut *simulation, [100, 101, 102], 100);
    assert!(late.iter().all(|answered| answered.outcome == Err(SubmitError::TimedOut)), "{late:?}");
    assert!(late.iter().all(|answered| answered.answered.0 - answered.submitted.0 == PATIENCE));
    simulation.inject(Fault::Heal).unwrap();
    until_mended(&mut *simulation, 200);
    assert_sound(&*simulation);
}

/// Replicas that came to know each other, and lost each other, over links that lose most messages become one
/// cluster once the links are good, without a link that comes up or a replica that starts again to tell them.
pub fn bad_links_leave_no_split(protocol: &dyn Protocol) {
    for seed in 0..10 {
        let mut simulation = launch(protocol, 5, seed);
        let pairs = ReplicaId::all(5).flat_map(|from| ReplicaId::all(5).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to) {
            let (extra_delay, loss) = (Duration::ZERO, 0.8);
            simulation.inject(Fault::Degrade { from, to, extra_delay, loss }).unwrap();
        }
        simulation.run_until(Time(30 * SECOND));
        simulation.inject(Fault::Heal).unwrap();
        until_mended(&mut *simulation, 0);
        assert_sound(&*simulation);
    }
}

/// An update whose first replica dies reaches all the others, or none and is late; and no one twice.
pub fn an_origin_that_dies_leaves_one_update_or_none(protocol: &dyn Protocol) {
    let mut simulation = launch(protocol, 5, 2);
    assert!(!times(&updates(&mut *simulation, 0..20, 100)).is_empty());
    // The replica with the id 22 mod 5 takes the update up, and has sent it when it dies.
    let now = simulation.now().0;
    simulation.submit(Time(now), Command::new(CommandId(22), &[7; 128]), Time(now + PATIENCE));
    simulation.run_until(Time(now + 5 * MILLISECOND));
    simulation.inject(Fault::Crash(ReplicaId(2))).unwrap();
    assert!(simulation.run_until_answer(Time(now + 2 * PATIENCE)));
    let answered = simulation.take_answers()[0];
    for (id, log) in simulation.audit() {
        assert_eq!(log.ids().contains(CommandId(22)), answered.outcome.is_ok(), "replica {id}: {answered:?}");
        assert!(log.duplicates() <= simulation.observe().resubmissions, "replica {id}");
    }
}
