//! One block: what a process measures of one protocol before it ends.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol_core::Order;
use serde::{Deserialize, Serialize};

use crate::load::burn;
use crate::machine::{CpuTimes, run_delay_ns};
use crate::run::{ClosedStage, Limits, RunError};
use crate::scenario::Scenario;
use crate::stats;
use crate::suite::Registration;

/// Version of the line that a block prints.
pub const BLOCK_VERSION: u32 = 1;
/// Parts of a block that are timed apart: their median is the block's number.
const PARTS: u64 = 5;
/// Of the block's commits, those that only warm up, and those that a single client sends.
const WARM_UP_SHARE: u64 = 5;
const SINGLE_SHARE: u64 = 20;
/// A block takes a fraction of a second; this means that it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What a block measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSpec {
    /// The protocol, by its name in the suite.
    pub protocol: String,
    /// Clients of the closed loop.
    pub clients: usize,
    /// Commits that are measured.
    pub commits: u64,
    /// Iterations of an empty loop that every commit costs more: a slow-down on purpose.
    pub burn: u64,
}

/// What a block found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// [`BLOCK_VERSION`] of the writer.
    pub version: u32,
    /// CPU time of all threads but the waiting one, per commit, in nanoseconds: the median over the parts.
    /// None where the system does not tell.
    pub cpu_ns_per_commit: Option<f64>,
    /// Commits per second: the median over the parts.
    pub throughput_per_s: f64,
    /// Median latency of a single client, in nanoseconds.
    pub response_ns_p50: f64,
    /// Share of the block's time in which a thread was ready to run and had no core; none where the system
    /// does not tell.
    pub run_delay: Option<f64>,
}

impl Block {
    /// The value of a metric by its name; none when it was not measured, or the name is not one of them.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "cpu_ns_per_commit" => self.cpu_ns_per_commit,
            "throughput_per_s" => Some(self.throughput_per_s),
            "response_ns_p50" => Some(self.response_ns_p50),
            _ => None,
        }
    }
}

/// Measures a block of a protocol in a closed loop, in memory and in one process; checks its safety.
pub fn measure_block(
    registration: &Registration,
    spec: &BlockSpec,
    folder: &Path,
) -> Result<Block, RunError> {
    if registration.protocol.descriptor().order == Order::Set {
        return Err(RunError::Failed("updates may miss a replica, so no closed loop ends".into()));
    }
    let scenario = Scenario { timeout_ms: 10_000.0, ..Scenario::named("commit") };
    let pair = registration.pair(&scenario, Limits::default());
    let closed = ClosedStage::launch(&pair, &pair.scenario, folder)?;
    closed.burn(spec.burn);
    closed.round(1, 1, pair.limits.start)?;
    let per_part = (spec.commits / PARTS).max(1);
    closed.round(spec.clients, (spec.commits / WARM_UP_SHARE).max(1), LIMIT)?;
    let (mut cpu, mut throughput) = (Vec::new(), Vec::new());
    let (mut lasted, waited_before) = (Duration::ZERO, run_delay_ns());
    for _ in 0..PARTS {
        let before = CpuTimes::now();
        let took = closed.round(spec.clients, per_part, LIMIT)?;
        let spent = CpuTimes::now().zip(before).map(|(now, before)| now - before);
        // The calling thread only waits.
        cpu.extend(spent.map(|spent| spent.others_ns() as f64 / per_part as f64));
        throughput.push(per_part as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE));
        lasted += took;
    }
    let waited = run_delay_ns().zip(waited_before).map(|(now, before)| now.saturating_sub(before) as f64);
    let (_, single) = closed.timed_round(1, (spec.commits / SINGLE_SHARE).max(1), LIMIT)?;
    let mut single: Vec<f64> = single.iter().map(|took| took.as_nanos() as f64).collect();
    let safety = closed.check()?;
    if let Some(violation) = safety.violations.first() {
        return Err(RunError::Unsafe(violation.clone()));
    }
    Ok(Block {
        version: BLOCK_VERSION,
        cpu_ns_per_commit: stats::median(&mut cpu),
        throughput_per_s: stats::median(&mut throughput).unwrap_or_default(),
        response_ns_p50: stats::median(&mut single).unwrap_or_default(),
        run_delay: waited.map(|waited| waited / lasted.as_nanos().max(1) as f64),
    })
}

/// Nanoseconds that an iteration of the loop takes by which blocks are slowed down on purpose: the fastest of a
/// few tries.
pub fn burn_ns() -> f64 {
    const ITERATIONS: u64 = 2_000_000;
    let timed = |_| {
        let started = Instant::now();
        burn(ITERATIONS);
        started.elapsed().as_nanos() as f64 / ITERATIONS as f64
    };
    (0..5).map(timed).fold(f64::INFINITY, f64::min)
}
