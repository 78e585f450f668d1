//! A load in virtual time, with the costs of this machine.

use std::time::Duration;

use protocol_core::{Settings, SimulationSpec};

use super::{Load, LoadKind, Quantity};
use crate::calibration::Calibration;
use crate::run::{RunError, VirtualCluster, VirtualOpenLoop};
use crate::scenario::{Arrivals, StorageConfig};
use crate::stats::{Spread, nearest_rank};
use crate::suite::Registration;

const WARM_UP_COMMITS: u64 = 200;
/// Times of flushes that stand for one spread of them.
const TIMES_PER_SPREAD: usize = 200;
/// Requests of an open loop, and commits of a closed one for each of its clients and at least.
const REQUESTS: f64 = 20_000.0;
const COMMITS_PER_CLIENT: u64 = 40;
const COMMITS_AT_LEAST: u64 = 5_000;
/// Crashes, each with another seed; the mean counts, as in real time.
const CRASHES: u64 = 12;
/// When the leader crashes, and how long the crashed cluster is watched.
const CRASH_AFTER_S: f64 = 0.3;
const WATCHED_S: f64 = 5.0;

/// Whether a protocol can be simulated, and its costs were measured; in this order, because what has no
/// virtual time has no costs either.
pub(super) fn check(registration: &Registration, calibration: &Calibration) -> Result<(), RunError> {
    let smallest = registration.sizes_near(&[3]).first().copied().unwrap_or(3);
    registration.protocol.simulate(&SimulationSpec::uniform(smallest, Duration::ZERO, 1))?;
    calibration.of(&registration.name)?;
    Ok(())
}

/// Runs one load. Flushes take as long as `flushes`, which were timed beside the real runs, if there are any.
pub(super) fn run(
    registration: &Registration,
    load: &Load,
    calibration: &Calibration,
    flushes: &[&Spread],
) -> Result<Vec<(Quantity, f64)>, RunError> {
    let start = |seed: u64| {
        let mut spec = spec(registration, load, calibration, seed)?;
        spec.flushes_ns = match flushes {
            [] => calibration.machine_times.flush.times(TIMES_PER_SPREAD),
            measured => measured.iter().flat_map(|spread| spread.times(TIMES_PER_SPREAD)).collect(),
        };
        let mut cluster =
            VirtualCluster::start(&*registration.protocol, &spec, load.scenario(registration).payload_bytes)?;
        cluster.closed(1, WARM_UP_COMMITS)?;
        Ok::<_, RunError>(cluster)
    };
    let open = |rate_per_s, duration_s, seed| VirtualOpenLoop {
        arrivals: Arrivals::Poisson,
        rate_per_s,
        duration_s,
        timeout: load.scenario(registration).timeout(),
        seed,
        lateness: Some(&calibration.machine_times.hand_over),
    };
    match load.kind {
        LoadKind::Open(rate_per_s) => {
            let mut cluster = start(1)?;
            let record = cluster.open(&open(rate_per_s, REQUESTS / rate_per_s, 1));
            check_safety(&mut cluster)?;
            let at = |quantile| nearest_rank(&record.response_ns, quantile).unwrap_or(0) as f64;
            Ok(vec![(Quantity::P50, at(0.5)), (Quantity::P99, at(0.99))])
        }
        LoadKind::Closed(clients) => {
            let mut cluster = start(1)?;
            let commits = (clients as u64 * COMMITS_PER_CLIENT).max(COMMITS_AT_LEAST);
            let record = cluster.closed(clients, commits)?;
            check_safety(&mut cluster)?;
            let throughput = (Quantity::Throughput, record.throughput_per_s());
            // Over perfect links, in memory, someone always has work, and its time is CPU time.
            let busy = load.delay_ms == 0.0 && load.storage == StorageConfig::Memory;
            let per_cpu_second = busy.then_some((Quantity::PerCpuSecond, record.throughput_per_s()));
            Ok(std::iter::once(throughput).chain(per_cpu_second).collect())
        }
        LoadKind::LeaderCrash(rate_per_s) => {
            let mut sum = 0.0;
            for seed in 0..CRASHES {
                let mut cluster = start(seed)?;
                let load = open(rate_per_s, CRASH_AFTER_S + WATCHED_S, seed);
                let took = cluster.crash_leader(&load, CRASH_AFTER_S)?;
                sum += took.ok_or(RunError::NotServed(Duration::from_secs_f64(WATCHED_S)))? as f64;
            }
            Ok(vec![(Quantity::Recovery, sum / CRASHES as f64)])
        }
    }
}

fn spec(
    registration: &Registration,
    load: &Load,
    calibration: &Calibration,
    seed: u64,
) -> Result<SimulationSpec, RunError> {
    let scenario = load.scenario(registration);
    let settings = Settings::checked(registration.settings.clone(), &registration.protocol.descriptor())?;
    let link = calibration.machine_times.link(scenario.network_spec().link);
    let spec = SimulationSpec {
        timing: scenario.timing().set_by(&settings),
        settings,
        links: vec![vec![link; scenario.replicas]; scenario.replicas],
        durable: scenario.storage == StorageConfig::Wal,
        ..SimulationSpec::uniform(scenario.replicas, Duration::ZERO, seed)
    };
    let model = calibration.model(&registration.name)?;
    Ok(SimulationSpec { costs: model.costs, cores: model.cores, ..spec })
}

fn check_safety(cluster: &mut VirtualCluster) -> Result<(), RunError> {
    let safety = cluster.check();
    if safety.violations.is_empty() {
        return Ok(());
    }
    Err(RunError::Unsafe(safety.violations.join("; ")))
}
