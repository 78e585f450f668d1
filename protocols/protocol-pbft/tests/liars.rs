//! Honest replicas agree and go on, whatever f others do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use protocol_core::{
    AppliedLog, Behaviour, Command, CommandId, Fault, Protocol, ReplicaId, Settings, Simulation,
    SimulationSpec, Time,
};
use protocol_pbft::{Pbft, SignatureScheme};

const IDEAL: SignatureScheme = SignatureScheme::Ideal;

/// What came out of a run.
struct Outcome {
    answered: usize,
    asked: usize,
    /// Honest replicas' logs.
    logs: Vec<(ReplicaId, AppliedLog)>,
    /// Who was accused by an honest replica.
    accused: BTreeSet<ReplicaId>,
    liars: BTreeSet<ReplicaId>,
}

impl Outcome {
    fn disagreement(&self) -> Option<String> {
        for (a, log) in &self.logs {
            if let Some(violation) = log.violations().first() {
                return Some(format!("replica {a}: {violation}"));
            }
            for (b, other) in &self.logs {
                if let Err(range) = log.agrees_with(other) {
                    return Some(format!("replicas {a} and {b} part in deliveries {range:?}"));
                }
            }
        }
        None
    }

    fn assert_good(&self, what: &str) {
        assert_eq!(self.disagreement(), None, "{what}");
        assert_eq!(self.answered, self.asked, "{what}: unanswered commands");
        for (id, log) in &self.logs {
            assert_eq!(log.ids().len(), self.asked as u64, "{what}: replica {id} lacks some");
        }
        assert!(self.accused.is_subset(&self.liars), "{what}: honest replicas among {:?}", self.accused);
    }
}

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*random ^ (*random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

/// Commands at random times, small batches, links that reorder and lose, liars that are primaries early on, and
/// an honest replica that is cut off for a while.
fn run(protocol: Pbft, replicas: usize, behaviour: Behaviour, seed: u64, scheme: SignatureScheme) -> Outcome {
    let mut random = seed;
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(2), seed);
    for row in &mut spec.links {
        for link in row {
            link.jitter = Duration::from_millis(4);
            link.loss = 0.01;
            link.fifo = false;
        }
    }
    let settings = [
        ("checkpoint_interval_batches", 4.0),
        ("log_window_batches", 8.0),
        ("largest_batch_commands", (1 + next(&mut random) % 4) as f64),
        ("window_batches", (1 + next(&mut random) % 4) as f64),
    ];
    let settings = settings.map(|(name, value)| (name.to_string(), value)).into();
    spec.settings = Settings::checked(settings, &protocol.descriptor()).unwrap();
    let setup = protocol.simulated_setup(&spec, scheme).unwrap();
    let mut simulation = protocol.simulate_with(&spec, setup).unwrap();
    simulation.limit_events(3_000_000);
    let first = (next(&mut random) % 2) as u32;
    let liars: BTreeSet<ReplicaId> = (first..first + (replicas as u32 - 1) / 3).map(ReplicaId).collect();
    for &liar in &liars {
        simulation.inject(Fault::Corrupt(liar, behaviour)).unwrap();
    }
    let asked = 40;
    for id in 0..asked as u64 {
        let at = Time(next(&mut random) % 2_000_000_000);
        simulation.submit(at, Command::new(CommandId(id), &id.to_le_bytes()), Time(u64::MAX));
    }
    let victim = ReplicaId(replicas as u32 - 1);
    simulation.run_until(Time(300_000_000));
    for peer in ReplicaId::all(replicas).filter(|&peer| peer != victim) {
        simulation.inject(Fault::Cut { from: peer, to: victim }).unwrap();
        simulation.inject(Fault::Cut { from: victim, to: peer }).unwrap();
    }
    simulation.run_until(Time(1_200_000_000));
    simulation.inject(Fault::Heal).unwrap();
    // Failed views double the patience, so that some runs take long; most are done at once.
    for seconds in (5..=120).step_by(5) {
        simulation.run_until(Time(seconds * 1_000_000_000));
        if simulation.audit().iter().all(|(_, log)| log.ids().len() == asked as u64) {
            break;
        }
    }
    outcome(&mut *simulation, asked, liars)
}

fn outcome(simulation: &mut dyn Simulation, asked: usize, liars: BTreeSet<ReplicaId>) -> Outcome {
    let observed = simulation.observe();
    let honest = ReplicaId::all(observed.replicas.len()).filter(|id| !liars.contains(id));
    let accused = honest
        .flat_map(|id| &observed.replicas[id.index()].misbehaviour)
        .map(|misbehaviour| misbehaviour.replica)
        .collect();
    let answers = simulation.take_answers();
    let answered = answers.iter().filter(|answer| answer.outcome.is_ok()).count();
    let logs = simulation.audit().into_iter().filter(|(id, _)| !liars.contains(id)).collect();
    Outcome { answered, asked, logs, accused, liars }
}

/// `SOAK_SEEDS=1000` makes it longer.
fn seeds() -> u64 {
    std::env::var("SOAK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)
}

#[test]
fn honest_replicas_agree_and_answer_whatever_one_of_four_does() {
    for behaviour in Behaviour::LIES {
        for seed in 0..seeds() {
            run(Pbft::MAC, 4, behaviour, seed, IDEAL).assert_good(&format!("{behaviour:?}, seed {seed}"));
        }
    }
}

#[test]
fn honest_replicas_agree_and_answer_whatever_two_of_seven_do() {
    for behaviour in Behaviour::LIES {
        for seed in 0..seeds().div_ceil(3) {
            run(Pbft::MAC, 7, behaviour, seed, IDEAL).assert_good(&format!("{behaviour:?}, seed {seed}"));
        }
    }
}

#[test]
fn signed_votes_are_no_worse() {
    for behaviour in Behaviour::LIES {
        for seed in 0..seeds() {
            let what = format!("{behaviour:?}, signed, seed {seed}");
            run(Pbft::SIGNED, 4, behaviour, seed, IDEAL).assert_good(&what);
        }
    }
}

#[test]
fn lies_that_can_be_seen_are_reported() {
    for (protocol, scheme) in
        [(Pbft::MAC, IDEAL), (Pbft::SIGNED, IDEAL), (Pbft::SIGNED, SignatureScheme::Ed25519)]
    {
        let outcome = run(protocol, 4, Behaviour::CorruptSignatures, 2, scheme);
        outcome.assert_good(&format!("{scheme:?}"));
        assert_eq!(outcome.accused, outcome.liars);
    }
    // What each half was told shows to neither, but the liar's own words meet when messages are sent again.
    let found = (0..20).any(|seed| !run(Pbft::MAC, 4, Behaviour::Equivocate, seed, IDEAL).accused.is_empty());
    assert!(found);
}
