//! What work costs one protocol: closed loops on its real cluster, and what its CPU time went into.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol_core::{LaunchError, Observation, Settings, SharedCores, SimulationSpec};

use super::{FittedCell, ProtocolCosts, WorkCosts, fit};
use crate::machine::CpuTimes;
use crate::progress::Progress;
use crate::run::{ClosedStage, RunError, VirtualCluster, complete};
use crate::scenario::{Phase, PhaseKind, Scenario, StorageConfig};
use crate::suite::{Microbenchmark, Primitive, Registration};

/// A round may take this long before the cluster counts as hung.
const ROUND_LIMIT: Duration = Duration::from_secs(30);
/// Commands of the round that shows how fast a cell is, per client and at least.
const PROBE_PER_CLIENT: u64 = 4;
const PROBE_AT_LEAST: u64 = 500;
/// Requests per second that find the cluster asleep, and how long they are sent in each round.
const SPARSE_PER_S: f64 = 1_000.0;
const SPARSE_S: f64 = 0.5;
/// Commits that show what one takes without sleep.
const AWAKE_COMMITS: u64 = 200;
/// A primitive is timed over batches of at least this long, and the fastest of so many counts.
const BATCH: Duration = Duration::from_millis(10);
const BATCHES: usize = 7;

/// Which closed loops are measured.
#[derive(Clone, Debug)]
pub struct Design {
    /// Sizes of the cluster.
    pub replicas: Vec<usize>,
    /// Numbers of clients, each with one request in flight.
    pub clients: Vec<usize>,
    /// Bytes of every payload.
    pub payloads: Vec<usize>,
    /// Rounds of each.
    pub rounds: usize,
    /// Length of a round, about.
    pub round_s: f64,
}

impl Default for Design {
    /// Loads that no validation runs: another number of clients and another payload each.
    fn default() -> Self {
        Design {
            replicas: vec![3, 5],
            clients: vec![2, 8, 32, 128, 512, 2048],
            payloads: vec![16, 1024],
            rounds: 5,
            round_s: 0.12,
        }
    }
}

impl Design {
    /// The same in a second: it shows that everything runs.
    pub fn brief() -> Self {
        Design {
            replicas: vec![3, 5],
            clients: vec![2, 32, 512],
            payloads: vec![16, 1024],
            rounds: 2,
            round_s: 0.02,
        }
    }
}

/// Measures one protocol, or refuses one that virtual time is not for. `folder` is for scratch files;
/// `now_unix_s` goes into the result.
pub fn measure_protocol(
    registration: &Registration,
    design: &Design,
    folder: &Path,
    now_unix_s: u64,
) -> Result<ProtocolCosts, RunError> {
    let sizes = registration.sizes_near(&design.replicas);
    let smallest = sizes.first().copied().unwrap_or(1);
    registration.protocol.simulate(&SimulationSpec::uniform(smallest, Duration::ZERO, 1))?;
    let known = measure_primitives(&registration.microbenchmarks);
    let mut cells = Vec::new();
    for replicas in sizes {
        for &payload_bytes in &design.payloads {
            let scenario = Scenario { replicas, payload_bytes, ..closed_scenario() };
            let pair = registration.pair(&scenario, Default::default());
            let closed = ClosedStage::launch(&pair, &scenario, folder)?;
            closed.round(1, 1, pair.limits.start)?;
            for &clients in &design.clients {
                let cell = FittedCell { replicas, clients, payload_bytes, ..FittedCell::default() };
                cells.push(measure_cell(&closed, cell, design)?);
            }
            let safety = closed.check()?;
            if let Some(violation) = safety.violations.first() {
                return Err(RunError::Unsafe(violation.clone()));
            }
        }
    }
    let costs = fit(&mut cells, &known).ok_or(RunError::NotFitted)?;
    let resume_ns = measure_resume(registration, &costs, design.rounds, folder)?;
    let mut errors: Vec<f64> =
        cells.iter().map(|cell| (cell.fitted_ns / cell.measured_ns - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    let descriptor = registration.protocol.descriptor();
    Ok(ProtocolCosts {
        protocol: registration.name.clone(),
        implementation: descriptor.implementation.into(),
        calibrated_unix_s: now_unix_s,
        disturbed: Vec::new(),
        costs,
        resume_ns,
        fit_error_median: errors.get(errors.len() / 2).copied().unwrap_or(0.0),
        fit_error_max: errors.last().copied().unwrap_or(0.0),
        cells,
    })
}

/// A scenario without phases, for closed loops in memory over perfect links.
fn closed_scenario() -> Scenario {
    Scenario { storage: StorageConfig::Memory, ..Scenario::named("calibrate") }
}

fn measure_cell(closed: &ClosedStage, cell: FittedCell, design: &Design) -> Result<FittedCell, RunError> {
    let probe = (cell.clients as u64 * PROBE_PER_CLIENT).max(PROBE_AT_LEAST);
    let took = closed.round(cell.clients, probe, ROUND_LIMIT)?.as_secs_f64();
    let commands = ((probe as f64 * design.round_s / took) as u64).max(2 * cell.clients as u64);
    let mut per_commit = Vec::with_capacity(design.rounds);
    let before = closed.stage().observe()?;
    for _ in 0..design.rounds {
        let started = CpuTimes::now();
        let took = closed.round(cell.clients, commands, ROUND_LIMIT)?;
        // The calling thread only waits. Where the system counts no CPU time, wall time stands for it:
        // in a closed loop in memory the cluster's thread never sleeps.
        let spent = CpuTimes::now().zip(started).map(|(now, before)| now - before);
        let spent_ns = spent.map_or(took.as_nanos() as u64, |spent| spent.others_ns());
        per_commit.push(spent_ns as f64 / commands as f64);
    }
    let after = closed.stage().observe()?;
    per_commit.sort_by(f64::total_cmp);
    let delivered = |seen: &Observation| seen.replicas.iter().map(|replica| replica.delivered).sum::<u64>();
    let cell = FittedCell { measured_ns: per_commit[per_commit.len() / 2], ..cell };
    let commits = commands * design.rounds as u64;
    let deliveries = delivered(&after) - delivered(&before);
    Ok(cell.with_work(&(after.total() - before.total()), deliveries, commits))
}

/// How much longer a request takes that finds the cluster asleep than its work does in virtual time: the
/// smallest cluster of the protocol under a sparse load, where there is least of anything else. In it are
/// the kernel's wake-up, and caches that went cold meanwhile.
fn measure_resume(
    registration: &Registration,
    costs: &WorkCosts,
    rounds: usize,
    folder: &Path,
) -> Result<f64, RunError> {
    let (replicas, _) = registration.protocol.descriptor().cluster_sizes;
    let phase =
        |kind, duration_s| Phase { kind, duration_s, requests: None, rate_per_s: SPARSE_PER_S, ramp: None };
    let phases = vec![phase(PhaseKind::WarmUp, SPARSE_S / 5.0), phase(PhaseKind::Steady, SPARSE_S)];
    let scenario = Scenario { replicas, phases, ..closed_scenario() };
    let mut medians = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let result = registration.pair(&scenario, Default::default()).run(folder, &Progress::default());
        let result = complete(result)?;
        medians.extend(result.metric("service_ns_p50").map(|metric| metric.value));
    }
    medians.sort_by(f64::total_cmp);
    let slept_ns = medians.get(medians.len() / 2).copied().unwrap_or(0.0);
    let settings = Settings::checked(registration.settings.clone(), &registration.protocol.descriptor())?;
    let spec = SimulationSpec {
        costs: (*costs).into(),
        cores: Some(SharedCores { count: 1, resume_ns: 0 }),
        timing: scenario.timing().set_by(&settings),
        settings,
        ..SimulationSpec::uniform(replicas, Duration::ZERO, 1)
    };
    let mut cluster = VirtualCluster::start(&*registration.protocol, &spec, scenario.payload_bytes)?;
    let awake_ns = 1e9 / cluster.closed(1, AWAKE_COMMITS)?.throughput_per_s();
    Ok((slept_ns - awake_ns).max(0.0))
}

/// Times the primitives that a protocol computes with; those that it has none of cost nothing.
fn measure_primitives(microbenchmarks: &[Microbenchmark]) -> WorkCosts {
    let mut costs = WorkCosts::default();
    for microbenchmark in microbenchmarks {
        let ns = measure_primitive(microbenchmark.run);
        match microbenchmark.primitive {
            Primitive::Sign => costs.sign_ns = ns,
            Primitive::Verify => costs.verify_ns = ns,
            Primitive::Mac => costs.mac_ns = ns,
        }
    }
    costs
}

/// Nanoseconds that one of `run(n)`'s n repetitions takes: of the fastest batch, because whatever disturbs
/// a computation makes it slower.
pub fn measure_primitive(run: fn(u64)) -> f64 {
    let time = |repetitions| {
        let started = Instant::now();
        run(repetitions);
        started.elapsed()
    };
    let mut repetitions = 1;
    while time(repetitions) < BATCH && repetitions < 1 << 40 {
        repetitions *= 2;
    }
    let fastest = (0..BATCHES).map(|_| time(repetitions)).min().unwrap_or_default();
    fastest.as_nanos() as f64 / repetitions as f64
}

/// Whether an error only says that there is no virtual time for a protocol.
pub(crate) fn is_not_simulated(error: &RunError) -> bool {
    matches!(error, RunError::Settings(LaunchError::NotSimulated { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primitive_that_does_ten_times_as_much_takes_longer() {
        fn hash(rounds: u64) {
            let mut state = 1_u64;
            for round in 0..rounds {
                state = std::hint::black_box(state.wrapping_mul(0x0100_0000_01b3) ^ round);
            }
        }
        let (once, often) = (measure_primitive(hash), measure_primitive(|count| hash(count * 10)));
        assert!(once > 0.0 && often > 3.0 * once, "{once} {often}");
    }
}
