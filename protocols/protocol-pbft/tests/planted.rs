//! Faults planted into the protocol are found by the search that finds nothing in the sound one, which is run
//! over `SOAK_SEEDS` seeds (100).
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use protocol_core::{
    Behaviour, Command, CommandId, Fault, Protocol, ReplicaId, Settings, SimulationSpec, Time,
};
use protocol_pbft::{Flaw, Pbft, SignatureScheme};

/// Seeds within which a planted fault has to show.
const SEEDS: u64 = 2_000;

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*random ^ (*random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

/// A short run with one liar of four and views that change often; what honest replicas disagree on.
fn disagreement(
    flaw: Option<Flaw>,
    behaviours: &[Behaviour],
    seed: u64,
    scheme: SignatureScheme,
) -> Option<String> {
    let mut random = seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
    let mut spec = SimulationSpec::uniform(4, Duration::from_millis(2), seed);
    spec.durable = true;
    spec.timing.heartbeat = Duration::from_millis(20);
    spec.timing.election_min = Duration::from_millis(30);
    for link in spec.links.iter_mut().flatten() {
        link.jitter = Duration::from_millis(6);
        link.loss = 0.05;
        link.fifo = false;
    }
    let settings =
        [("checkpoint_interval_batches", 4.0), ("log_window_batches", 8.0), ("largest_batch_commands", 2.0)];
    let settings = settings.map(|(name, value)| (name.to_string(), value)).into();
    spec.settings = Settings::checked(settings, &Pbft::MAC.descriptor()).unwrap();
    let mut setup = Pbft::MAC.simulated_setup(&spec, scheme).unwrap();
    if let Some(flaw) = flaw {
        setup = setup.with_flaw(flaw);
    }
    let mut simulation = Pbft::MAC.simulate_with(&spec, setup).unwrap();
    simulation.limit_events(200_000);
    let liar = ReplicaId((next(&mut random) % 4) as u32);
    simulation
        .inject(Fault::Corrupt(liar, behaviours[next(&mut random) as usize % behaviours.len()]))
        .unwrap();
    for id in 0..12 {
        let at = Time(next(&mut random) % 300_000_000);
        simulation.submit(at, Command::new(CommandId(id), &id.to_le_bytes()), Time(u64::MAX));
    }
    let mut down = None;
    for look in 1..=24 {
        let (from, to) =
            (ReplicaId((next(&mut random) % 4) as u32), ReplicaId((next(&mut random) % 4) as u32));
        match next(&mut random) % 6 {
            0 | 1 if from != to && look < 16 => simulation.inject(Fault::Cut { from, to }).unwrap(),
            2 | 3 => simulation.inject(Fault::Heal).unwrap(),
            // A crash makes a liar honest, and one that is down can't crash.
            4 if to != liar && down.is_none() => {
                simulation.inject(Fault::Crash(to)).unwrap();
                down = Some(to);
            }
            5 => {
                if let Some(id) = down.take() {
                    simulation.inject(Fault::Restart(id)).unwrap();
                }
            }
            _ => {}
        }
        simulation.run_until(Time(look * 50_000_000));
        let logs = simulation.audit();
        for (a, log) in &logs {
            if let Some(violation) = log.violations().first() {
                return Some(format!("replica {a}: {violation}"));
            }
            for (b, other) in &logs {
                if log.agrees_with(other).is_err() {
                    return Some(format!("replicas {a} and {b} part"));
                }
            }
        }
    }
    None
}

fn found(flaw: Flaw, behaviours: &[Behaviour]) {
    let fails = |flaw, seed, scheme| disagreement(flaw, behaviours, seed, scheme);
    let found = (0..SEEDS).find(|&seed| fails(Some(flaw), seed, SignatureScheme::Ideal).is_some());
    let seed = found.unwrap_or_else(|| panic!("{flaw:?} was not found within {SEEDS} seeds"));
    println!("{flaw:?}: found with seed {seed}");
    for scheme in [SignatureScheme::Ideal, SignatureScheme::Ed25519] {
        assert!(fails(Some(flaw), seed, scheme).is_some(), "{scheme:?} hides the flaw with seed {seed}");
        assert_eq!(fails(None, seed, scheme), None, "the sound protocol fails with seed {seed}, {scheme:?}");
    }
}

#[test]
fn quorums_that_are_one_too_small_are_found() {
    found(Flaw::SmallQuorum, &[Behaviour::Equivocate]);
}

#[test]
fn view_changes_that_drop_what_was_prepared_are_found() {
    found(
        Flaw::ForgottenPrepared,
        &[Behaviour::SelectiveSending, Behaviour::Silent, Behaviour::LyingViewChange],
    );
}

#[test]
fn believing_forged_certificates_is_found() {
    found(Flaw::ForgedCertificates, &[Behaviour::Equivocate]);
}

#[test]
fn without_a_flaw_nothing_is_found() {
    let seeds = std::env::var("SOAK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    for seed in 0..seeds {
        let found = disagreement(None, &Behaviour::LIES, seed, SignatureScheme::Ideal);
        assert_eq!(found, None, "seed {seed}");
    }
}
