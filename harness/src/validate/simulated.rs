//! A load in virtual time, with the costs of this machine.

use std::time::Duration;

use protocol_core::{Settings, SimulationSpec};

use super::{Load, LoadKind, Quantity};
use crate::calibration::Calibration;
use crate::run::{RunError, VirtualCluster, VirtualOpenLoop};
use crate::scenario::{Arrivals, StorageConfig};
use crate::stats::nearest_rank;
use crate::suite::Registration;

const WARM_UP_COMMITS: u64 = 200;
/// Requests of an open loop, and commits of a closed one for each of its clients and at least.
const REQUESTS: f64 = 20_000.0;
const COMMITS_PER_CLIENT: u64 = 40;
const COMMITS_AT_LEAST: u64 = 5_000;
/// Crashes, each with another seed; the mean counts, as in real time.
const CRASHES: u64 = 12;
/// When the leader crashes, and how long the crashed cluster is watched.
const CRASH_AFTER_S: f64 = 0.3;
const WATCHED_S: f64 = 5.0;

pub(super) fn run(
    registration: &Registration,
    load: &Load,
    calibration: &Calibration,
) -> Result<Vec<(Quantity, f64)>, RunError> {
    let start = |seed: u64| {
        let spec = spec(registration, load, calibration, seed)?;
        let mut cluster =
            VirtualCluster::start(&*registration.protocol, &spec, load.scenario().payload_bytes)?;
        cluster.closed(1, WARM_UP_COMMITS)?;
        Ok::<_, RunError>(cluster)
    };
    let open = |rate_per_s, duration_s, seed| VirtualOpenLoop {
        arrivals: Arrivals::Poisson,
        rate_per_s,
        duration_s,
        timeout: load.scenario().timeout(),
        seed,
        lateness: Some(&calibration.machine_times.hand_over),
    };
    match load.kind {
        LoadKind::Open(rate_per_s) => {
            let mut cluster = start(1)?;
            let record = cluster.open(&open(rate_per_s, REQUESTS / rate_per_s, 1));
            check(&mut cluster)?;
            let at = |quantile| nearest_rank(&record.response_ns, quantile).unwrap_or(0) as f64;
            Ok(vec![
                (Quantity::Throughput, record.throughput_per_s()),
                (Quantity::P50, at(0.5)),
                (Quantity::P99, at(0.99)),
            ])
        }
        LoadKind::Closed(clients) => {
            let mut cluster = start(1)?;
            let commits = (clients as u64 * COMMITS_PER_CLIENT).max(COMMITS_AT_LEAST);
            let record = cluster.closed(clients, commits)?;
            check(&mut cluster)?;
            Ok(vec![(Quantity::Throughput, record.throughput_per_s())])
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
    let scenario = load.scenario();
    let settings = Settings::checked(registration.settings.clone(), &registration.protocol.descriptor())?;
    let link = calibration.machine_times.link(scenario.network_spec().link);
    let spec = SimulationSpec {
        timing: scenario.timing(),
        settings,
        links: vec![vec![link; scenario.replicas]; scenario.replicas],
        durable: scenario.storage == StorageConfig::Wal,
        ..SimulationSpec::uniform(scenario.replicas, Duration::ZERO, seed)
    };
    // Whether it can be simulated comes first: what can't has no costs.
    registration.protocol.simulate(&spec)?;
    let model = calibration.model(&registration.name)?;
    Ok(SimulationSpec { costs: model.costs, cores: model.cores, ..spec })
}

fn check(cluster: &mut VirtualCluster) -> Result<(), RunError> {
    let safety = cluster.check();
    if safety.violations.is_empty() {
        return Ok(());
    }
    Err(RunError::Unsafe(safety.violations.join("; ")))
}
