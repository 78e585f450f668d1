//! One block of a load in real time.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Effort, Load, LoadKind, Quantity};
use crate::calibration::measure_flushes;
use crate::machine::CpuTimes;
use crate::machine::run_delay_ns;
use crate::progress::Progress;
use crate::results::ScenarioResult;
use crate::run::{ClosedStage, RunError, complete};
use crate::scenario::{
    FaultConfig, FaultKind, FaultPlan, FaultTarget, Measure, Phase, PhaseKind, Scenario, StorageConfig,
};
use crate::stats::Spread;
use crate::suite::Registration;

const ROUND_LIMIT: Duration = Duration::from_secs(60);
const WARM_UP_S: f64 = 0.3;
/// Commands that show how fast a closed loop is, per client and at least.
const PROBE_PER_CLIENT: u64 = 8;
const PROBE_AT_LEAST: u64 = 200;
/// Share of the time that threads may wait for a core before a closed loop counts as disturbed.
const RUN_DELAY_AT_MOST: f64 = 0.02;
/// Rounds of flushes before a block that has logs.
const FLUSHES: usize = 30;
/// Crashes of one block.
const CRASHES: usize = 2;

/// What one block gave.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) values: Vec<(Quantity, f64)>,
    /// Whether the machine disturbed it.
    pub(super) disturbed: bool,
    /// How long flushes took just before; none without logs.
    pub(super) flush: Option<Spread>,
}

pub(super) fn run(
    registration: &Registration,
    load: &Load,
    effort: Effort,
    (number, resume_ns): (usize, f64),
    folder: &Path,
) -> Result<Block, RunError> {
    // Blocks must not repeat each other's arrivals.
    let scenario = Scenario { seed: number as u64 + 1, ..load.scenario(registration) };
    let flush = match scenario.storage {
        StorageConfig::Memory => None,
        StorageConfig::Wal => Some(measure_flushes(folder, FLUSHES, resume_ns)?),
    };
    let block = match load.kind {
        LoadKind::Open(rate_per_s) => open_block(registration, scenario, rate_per_s, effort, folder),
        LoadKind::Closed(clients) => closed_block(registration, &scenario, clients, effort, folder),
        LoadKind::LeaderCrash(rate_per_s) => crash_block(registration, scenario, rate_per_s, folder),
    };
    Ok(Block { flush, ..block? })
}

fn measured(
    registration: &Registration,
    scenario: &Scenario,
    folder: &Path,
) -> Result<ScenarioResult, RunError> {
    complete(registration.pair(scenario, Default::default()).run(folder, &Progress::default()))
}

fn crash_block(
    registration: &Registration,
    scenario: Scenario,
    rate_per_s: f64,
    folder: &Path,
) -> Result<Block, RunError> {
    let scenario = Scenario { measure: crash_plan(rate_per_s), ..scenario };
    let result = measured(registration, &scenario, folder)?;
    let cycles = result.faults.iter().flat_map(|fault| &fault.cycles);
    let times: Vec<u64> = cycles.filter_map(|cycle| cycle.first_commit_ns).collect();
    let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
    let values = if times.is_empty() { Vec::new() } else { vec![(Quantity::Recovery, mean)] };
    Ok(Block { values, disturbed: !result.disturbed.is_empty(), flush: None })
}

fn open_block(
    registration: &Registration,
    scenario: Scenario,
    rate_per_s: f64,
    effort: Effort,
    folder: &Path,
) -> Result<Block, RunError> {
    let phase = |kind, duration_s| Phase { kind, duration_s, requests: None, rate_per_s, ramp: None };
    let phases = vec![phase(PhaseKind::WarmUp, WARM_UP_S), phase(PhaseKind::Steady, effort.block_s)];
    let result = measured(registration, &Scenario { phases, ..scenario }, folder)?;
    let value = |name: &str| result.metric(name).map(|metric| metric.value);
    let named = [(Quantity::P50, "response_ns_p50"), (Quantity::P99, "response_ns_p99")];
    let values = named.into_iter().filter_map(|(quantity, name)| Some((quantity, value(name)?)));
    Ok(Block { values: values.collect(), disturbed: !result.disturbed.is_empty(), flush: None })
}

fn closed_block(
    registration: &Registration,
    scenario: &Scenario,
    clients: usize,
    effort: Effort,
    folder: &Path,
) -> Result<Block, RunError> {
    let pair = registration.pair(scenario, Default::default());
    let closed = ClosedStage::launch(&pair, scenario, folder)?;
    closed.round(1, 1, pair.limits.start)?;
    let probe = (clients as u64 * PROBE_PER_CLIENT).max(PROBE_AT_LEAST);
    let took = closed.round(clients, probe, ROUND_LIMIT)?.as_secs_f64();
    let commands = ((probe as f64 * effort.block_s / took) as u64).max(2 * clients as u64);
    let (started, waited, cpu) = (Instant::now(), run_delay_ns(), CpuTimes::now());
    let took = closed.round(clients, commands, ROUND_LIMIT)?;
    let cpu = CpuTimes::now().zip(cpu).map(|(now, before)| now - before);
    let elapsed = started.elapsed().as_nanos() as f64;
    let waited = run_delay_ns().zip(waited).map(|(after, before)| after.saturating_sub(before));
    let safety = closed.check()?;
    if !safety.violations.is_empty() {
        return Err(RunError::Unsafe(safety.violations.join("; ")));
    }
    let mut values = vec![(Quantity::Throughput, commands as f64 / took.as_secs_f64())];
    // The calling thread only waits.
    let spent_ns = cpu.map(|cpu| cpu.others_ns() as f64);
    values.extend(spent_ns.map(|spent_ns| (Quantity::PerCpuSecond, commands as f64 * 1e9 / spent_ns)));
    Ok(Block {
        values,
        flush: None,
        disturbed: waited.is_some_and(|waited| waited as f64 / elapsed > RUN_DELAY_AT_MOST),
    })
}

fn crash_plan(rate_per_s: f64) -> Measure {
    Measure::FaultTolerance(FaultPlan {
        rate_per_s,
        before_s: 0.3,
        for_s: 0.9,
        after_s: 0.3,
        cycles: CRASHES,
        faults: vec![FaultConfig {
            kind: FaultKind::Crash,
            target: FaultTarget::Leader,
            for_s: None,
            replicas: None,
            cycles: None,
            loss: 0.0,
            extra_delay_ms: 0.0,
        }],
    })
}
