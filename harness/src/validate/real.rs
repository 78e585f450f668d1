//! One block of a load in real time.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Effort, Load, LoadKind, Quantity};
use crate::machine::run_delay_ns;
use crate::progress::Progress;
use crate::results::{Outcome, ScenarioResult};
use crate::run::{ClosedStage, RunError};
use crate::scenario::{
    FaultConfig, FaultKind, FaultPlan, FaultTarget, Measure, Phase, PhaseKind, Scenario,
};
use crate::suite::Registration;

const ROUND_LIMIT: Duration = Duration::from_secs(60);
const WARM_UP_S: f64 = 0.3;
/// Commands that show how fast a closed loop is, per client and at least.
const PROBE_PER_CLIENT: u64 = 8;
const PROBE_AT_LEAST: u64 = 200;
/// Share of the time that threads may wait for a core before a closed loop counts as disturbed.
const RUN_DELAY_AT_MOST: f64 = 0.02;
/// Crashes of one block.
const CRASHES: usize = 2;

/// What one block gave.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) values: Vec<(Quantity, f64)>,
    /// Whether the machine disturbed it.
    pub(super) disturbed: bool,
}

pub(super) fn run(
    registration: &Registration,
    load: &Load,
    effort: Effort,
    folder: &Path,
    progress: &Progress,
) -> Result<Block, RunError> {
    let scenario = load.scenario();
    let measured = |scenario: Scenario| {
        let result = registration.pair(&scenario, Default::default()).run(folder, progress);
        complete(result)
    };
    match load.kind {
        LoadKind::Open(rate_per_s) => {
            let phase = |kind, duration_s| Phase { kind, duration_s, requests: None, rate_per_s, ramp: None };
            let phases =
                vec![phase(PhaseKind::WarmUp, WARM_UP_S), phase(PhaseKind::Steady, effort.block_s)];
            Ok(open_block(&measured(Scenario { phases, ..scenario })?))
        }
        LoadKind::Closed(clients) => closed_block(registration, &scenario, clients, effort, folder),
        LoadKind::LeaderCrash(rate_per_s) => {
            let result = measured(Scenario { measure: crash_plan(rate_per_s), ..scenario })?;
            let cycles = result.faults.iter().flat_map(|fault| &fault.cycles);
            let mut times: Vec<u64> = cycles.filter_map(|cycle| cycle.first_commit_ns).collect();
            times.sort_unstable();
            let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
            let values = if times.is_empty() { Vec::new() } else { vec![(Quantity::Recovery, mean)] };
            Ok(Block { values, disturbed: !result.disturbed.is_empty() })
        }
    }
}

fn complete(result: ScenarioResult) -> Result<ScenarioResult, RunError> {
    match &result.outcome {
        Outcome::Failed { reason } => Err(RunError::ReplicaStopped(reason.clone())),
        Outcome::Unsafe => Err(RunError::Unsafe(result.safety.violations.join("; "))),
        Outcome::Completed | Outcome::Interrupted => Ok(result),
    }
}

fn open_block(result: &ScenarioResult) -> Block {
    let value = |name: &str| result.metric(name).map(|metric| metric.value);
    let named = [
        (Quantity::Throughput, "throughput_per_s"),
        (Quantity::P50, "response_ns_p50"),
        (Quantity::P99, "response_ns_p99"),
    ];
    let values = named.into_iter().filter_map(|(quantity, name)| Some((quantity, value(name)?)));
    Block { values: values.collect(), disturbed: !result.disturbed.is_empty() }
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
    let (started, waited) = (Instant::now(), run_delay_ns());
    let took = closed.round(clients, commands, ROUND_LIMIT)?;
    let elapsed = started.elapsed().as_nanos() as f64;
    let waited = run_delay_ns().zip(waited).map(|(after, before)| after.saturating_sub(before));
    let safety = closed.check()?;
    if !safety.violations.is_empty() {
        return Err(RunError::Unsafe(safety.violations.join("; ")));
    }
    Ok(Block {
        values: vec![(Quantity::Throughput, commands as f64 / took.as_secs_f64())],
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
