//! A block in real time: a fresh cluster under a closed or an open loop, for about as long as asked.

use std::path::Path;
use std::time::Duration;

use super::Sample;
use crate::machine::{CpuTimes, run_delay_ns};
use crate::measure::disturbances;
use crate::progress::Progress;
use crate::results::{Better, Class, Metric};
use crate::run::{ClosedStage, Pair, RunError, complete};
use crate::scenario::{Hooks, Measure, Phase, PhaseKind, Scenario};
use crate::stats::nearest_rank;

/// Of a block's length, what comes on top of it to warm up.
const WARM_UP_SHARE: f64 = 0.25;
/// The first commands, of which the cluster's speed is guessed.
const PILOT_PER_CLIENT: u64 = 4;
/// Commands of a block for each client, at least: with fewer some clients would wait for nothing.
const FEWEST_PER_CLIENT: u64 = 8;
/// A block that takes this much longer than its length hangs.
const PATIENCE: u32 = 20;

/// A block of a closed loop.
pub(super) fn closed(
    pair: &Pair,
    clients: usize,
    length: Duration,
    folder: &Path,
) -> Result<Sample, RunError> {
    let closed = ClosedStage::launch(pair, &pair.scenario, folder)?;
    let limit = length * PATIENCE + pair.limits.grace;
    closed.round(1, 1, pair.limits.start)?;
    let pilot = clients as u64 * PILOT_PER_CLIENT;
    let took = closed.round(clients, pilot, limit)?;
    let commands_in =
        |seconds: f64, per_s: f64| ((seconds * per_s) as u64).max(clients as u64 * FEWEST_PER_CLIENT);
    let per_s = |commands: u64, took: Duration| commands as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
    let warm_up = commands_in(length.as_secs_f64() * WARM_UP_SHARE, per_s(pilot, took));
    let took = closed.round(clients, warm_up, limit)?;
    let commands = commands_in(length.as_secs_f64(), per_s(warm_up, took));
    let (cpu_before, waited_before) = (CpuTimes::now(), run_delay_ns());
    let (took, times) = closed.timed_round(clients, commands, limit)?;
    // The calling thread only waits.
    let cpu = CpuTimes::now().zip(cpu_before).map(|(now, before)| (now - before).others_ns());
    let waited = run_delay_ns().zip(waited_before).map(|(now, before)| now.saturating_sub(before));
    let safety = closed.check()?;
    if !safety.violations.is_empty() {
        return Err(RunError::Unsafe(safety.violations.join("; ")));
    }
    let mut times: Vec<u64> = times.iter().map(|took| took.as_nanos() as u64).collect();
    times.sort_unstable();
    let at = |quantile| nearest_rank(&times, quantile).map_or(f64::NAN, |ns| ns as f64);
    let ratio = waited.map(|waited| waited as f64 / took.as_nanos().max(1) as f64);
    Ok(Sample {
        throughput_per_s: per_s(commands, took),
        response_ns_p50: at(0.5),
        response_ns_p99: at(0.99),
        cpu_ns_per_commit: cpu.map(|cpu| cpu as f64 / commands as f64),
        // A closed loop ends only when every command was acknowledged.
        success: 1.0,
        disturbed: disturbances(&ratio.map(run_delay).into_iter().collect::<Vec<_>>()),
    })
}

fn run_delay(ratio: f64) -> Metric {
    Metric {
        name: "run_delay_ratio".into(),
        value: ratio,
        lower: None,
        upper: None,
        unit: "1".into(),
        better: Better::Neither,
        class: Class::Wall,
        n: 1,
    }
}

/// A block of an open loop, by the run that any scenario gets.
pub(super) fn open(
    pair: &Pair,
    rate_per_s: f64,
    length: Duration,
    folder: &Path,
) -> Result<Sample, RunError> {
    let phase = |kind, duration_s| Phase { kind, duration_s, requests: None, rate_per_s, ramp: None };
    let seconds = length.as_secs_f64();
    let scenario = Scenario {
        measure: Measure::Load,
        phases: vec![phase(PhaseKind::WarmUp, seconds * WARM_UP_SHARE), phase(PhaseKind::Steady, seconds)],
        // They are for runs whose results are kept.
        hooks: Hooks::default(),
        ..pair.scenario.clone()
    };
    let pair = Pair { scenario, ..pair.clone() };
    let result = complete(pair.run(folder, &Progress::default()))?;
    let metric = |name: &str| result.metric(name).map(|metric| metric.value);
    Ok(Sample {
        throughput_per_s: metric("throughput_per_s").unwrap_or(f64::NAN),
        response_ns_p50: metric("response_ns_p50").unwrap_or(f64::NAN),
        response_ns_p99: metric("response_ns_p99").unwrap_or(f64::NAN),
        cpu_ns_per_commit: metric("cpu_ns_per_commit"),
        success: metric("success_ratio").unwrap_or(0.0),
        disturbed: result.disturbed,
    })
}
