//! Tunables take effect: the same seed gives another run when one is set otherwise, and a good one.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{
    Answered, Descriptor, Fault, LaunchError, Observation, Protocol, ReplicaId, Settings, Simulation,
    SimulationSpec, Situation, Timing, Tunable,
};

use super::virtual_time::{crash, leader, lossy, restart, run_for, submit};
use super::{agree, size};

/// Values to try, of those in a tunable's range, beside its ends and the size of the cluster.
pub const TRIED: [f64; 3] = [1.0, 2.0, 16.0];
/// Ways of setting all other tunables together.
const TOGETHER: usize = 3;
/// Commands that clients send at nearly once.
const BURST: u64 = 30;
/// By now all is answered, however long settings have it wait.
const PATIENCE: Duration = Duration::from_secs(300);
/// By now all is answered that can be under a fault.
const SETTLED: Duration = Duration::from_secs(1);

type Seen = (Vec<Answered>, Observation, u64);

/// Each tunable has two values that runs tell apart, while the others are at what brings it out. Those that
/// `quiet` lists have none, while the others are at their defaults or at their ends. A protocol whose virtual
/// time is slow may have fewer values tried than [`TRIED`], as long as its tunables still show.
pub fn every_setting_takes_effect(protocol: &dyn Protocol, quiet: &[&str], tried: &[f64]) {
    let (descriptor, replicas) = (protocol.descriptor(), size(protocol) as f64);
    let shows = |tunable: &&Tunable| {
        let most = if quiet.contains(&tunable.name) { TOGETHER } else { usize::MAX };
        let mut backgrounds = backgrounds(&descriptor, tunable, replicas).take(most);
        backgrounds.any(|background| differs(protocol, tunable, tried, &background))
    };
    let hidden = descriptor.tunables.iter().filter(|tunable| !shows(tunable)).map(|tunable| tunable.name);
    assert_eq!(hidden.collect::<Vec<_>>(), quiet, "settings that change nothing");
}

/// The times of failure detection are held against each other and against links, so they stay near those that
/// the links ask for, in every background.
fn is_time(tunable: &Tunable) -> bool {
    Timing::default().in_force_ms(tunable).is_some()
}

/// Values to tell apart, the ends of the range first: the same run would only repeat itself.
fn values(tunable: &Tunable, tried: &[f64], replicas: f64) -> Vec<f64> {
    if let Some(usual) = Timing::default().in_force_ms(tunable) {
        return vec![0.0, usual * 1.5];
    }
    let (low, high) = tunable.range;
    let between = tried.iter().copied().chain([replicas]).filter(|&value| low < value && value < high);
    [low, high].into_iter().chain(between).collect()
}

/// All other tunables at their defaults; all at an end of their ranges; and one of them at an end, or, for
/// quorums, at the size of the cluster.
fn backgrounds<'a>(
    descriptor: &'a Descriptor,
    tunable: &'a Tunable,
    replicas: f64,
) -> impl Iterator<Item = BTreeMap<String, f64>> {
    let others = || descriptor.tunables.iter().filter(|other| other.name != tunable.name && !is_time(other));
    let low = others().map(|other| (other.name.to_string(), other.range.0));
    let high = others().map(|other| (other.name.to_string(), other.range.1));
    let whole =
        others().map(move |other| (other.name.to_string(), replicas.clamp(other.range.0, other.range.1)));
    let alone = high.clone().chain(whole).chain(low.clone()).map(|one| BTreeMap::from([one]));
    let together: [_; TOGETHER] = [BTreeMap::new(), low.collect(), high.collect()];
    together.into_iter().chain(alone)
}

/// Whether runs that differ in a tunable alone can be told apart.
fn differs(
    protocol: &dyn Protocol,
    tunable: &Tunable,
    tried: &[f64],
    background: &BTreeMap<String, f64>,
) -> bool {
    let mut first: Option<Seen> = None;
    values(tunable, tried, size(protocol) as f64).into_iter().any(|value| {
        let mut values = background.clone();
        values.insert(tunable.name.into(), value);
        let Some(seen) = run(protocol, values) else { return false };
        *first.get_or_insert_with(|| seen.clone()) != seen
    })
}

/// Bursts of commands, a leader that crashes and one that is cut off; none where the values contradict each
/// other.
fn run(protocol: &dyn Protocol, values: BTreeMap<String, f64>) -> Option<Seen> {
    let replicas = size(protocol);
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(2), 1);
    lossy(&mut spec, Duration::from_micros(500), 0.01);
    (spec.durable, spec.costs.fsync_ns) = (true, 2_000_000.0);
    spec.settings = Settings::checked(values, &protocol.descriptor()).unwrap();
    spec.timing = spec.timing.set_by(&spec.settings);
    let situation = Situation { replicas, timing: spec.timing, settings: &spec.settings };
    if situation.check(&protocol.descriptor()).is_err() {
        return None;
    }
    let mut simulation = match protocol.simulate(&spec) {
        Ok(simulation) => simulation,
        Err(LaunchError::Settings(_)) => return None,
        Err(refused) => panic!("{:?}: {refused}", spec.settings),
    };
    let mut seen = Vec::new();
    burst(&mut *simulation, 0, &mut seen);
    let victim = leader(&*simulation);
    crash(&mut *simulation, [victim]);
    burst(&mut *simulation, 1, &mut seen);
    restart(&mut *simulation, [victim]);
    let victim = leader(&*simulation);
    for peer in ReplicaId::all(replicas).filter(|&peer| peer != victim) {
        simulation.inject(Fault::Cut { from: victim, to: peer }).unwrap();
        simulation.inject(Fault::Cut { from: peer, to: victim }).unwrap();
    }
    burst(&mut *simulation, 2, &mut seen);
    simulation.inject(Fault::Heal).unwrap();
    let until = simulation.now() + PATIENCE;
    while (seen.len() as u64) < 3 * BURST && simulation.run_until_answer(until) {
        seen.extend(simulation.take_answers());
    }
    assert_eq!(seen.len() as u64, 3 * BURST, "{:?}: {:#?}", spec.settings, simulation.observe());
    if protocol.descriptor().order.shows_in_logs() {
        assert!(seen.iter().all(|answer| answer.outcome.is_ok()), "{:?}: {seen:?}", spec.settings);
        agree(protocol, &mut *simulation, replicas, 3 * BURST);
    }
    Some((seen, simulation.observe(), simulation.events()))
}

/// Commands that come faster than they can be agreed on, and what was answered of them soon.
fn burst(simulation: &mut dyn Simulation, number: u64, seen: &mut Vec<Answered>) {
    for part in 0..3 {
        let first = number * BURST + part * BURST / 3;
        submit(simulation, first..first + BURST / 3);
        run_for(simulation, Duration::from_millis(1));
    }
    run_for(simulation, SETTLED);
    seen.extend(simulation.take_answers());
}
