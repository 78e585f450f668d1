//! A constant load on one cluster whose tunable is changed between intervals, by whoever looks at them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol_core::{Floors, SimulationSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::phases::{await_first_commit, drain};
use super::stage::Stage;
use super::virtual_cluster::{VirtualCluster, VirtualOpenLoop};
use super::{Pair, RunError};
use crate::interrupt;
use crate::load::{Book, OpenLoop, Pacer, run_phase};
use crate::machine::{Side, keep_to_cores_of};
use crate::measure::phase_metrics;
use crate::progress::Progress;
use crate::results::Safety;
use crate::safety::Claims;
use crate::scenario::{Phase, PhaseKind, Ramp};
use crate::stats::nearest_rank;

/// The load, and the tunable that is changed under it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiveLoad {
    /// Tunable.
    pub tunable: &'static str,
    /// Its value in the first interval.
    pub start: f64,
    /// Requests per second.
    pub rate_per_s: f64,
    /// Intervals.
    pub intervals: usize,
    /// Length of one in seconds.
    pub interval_s: f64,
}

/// An interval with the value that held in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveInterval {
    /// Start, in seconds since the first.
    pub from_s: f64,
    /// Value of the tunable.
    pub value: f64,
    /// Commits per second.
    pub throughput_per_s: f64,
    /// Median response time in nanoseconds; not a number when nothing ended.
    pub response_ns_p50: f64,
    /// 99th percentile of the response time, failures counted with the time-out.
    pub response_ns_p99: f64,
}

impl LiveInterval {
    /// Whether its 99th percentile is below a limit. Nothing that ended holds nothing.
    pub fn holds(&self, below_ns: f64) -> bool {
        self.response_ns_p99 < below_ns
    }
}

/// Says which value comes next, after an interval.
pub type Adapt = dyn FnMut(&LiveInterval) -> f64 + Send;

/// In real time.
pub fn live_real(
    pair: &Pair,
    load: &LiveLoad,
    folder: &Path,
    mut adapt: Box<Adapt>,
) -> Result<Vec<LiveInterval>, RunError> {
    let stage = Stage::launch(pair, &pair.scenario, folder)?;
    let (scenario, plan, start) = (pair.scenario.clone(), *load, pair.limits.start);
    let registers = pair.registers()?;
    let running = stage.start_load(move |cluster| {
        let pacer = Pacer::start();
        keep_to_cores_of(Side::Generator);
        let book = Book::new(pacer.epoch(), scenario.timeout(), scenario.max_in_flight).watched(registers);
        let book = Arc::new(book);
        let payload = vec![0x5A; scenario.payload_bytes];
        cluster.set_live(plan.tunable, plan.start)?;
        await_first_commit(&pacer, cluster, &book, &payload, start)?;
        let (mut value, mut intervals) = (plan.start, Vec::with_capacity(plan.intervals));
        for index in 0..plan.intervals {
            if interrupt::requested() {
                break;
            }
            let open = OpenLoop {
                cluster,
                book: &book,
                arrivals: scenario.arrivals,
                payload: &payload,
                timeout: scenario.timeout(),
                seed: scenario.seed.wrapping_add((index as u64) << 32),
                progress: &Progress::default(),
            };
            // In one piece.
            let whole = Some(Ramp { increment_per_s: 0.0, interval_s: plan.interval_s });
            let phase = Phase {
                kind: PhaseKind::Steady,
                duration_s: plan.interval_s,
                requests: None,
                rate_per_s: plan.rate_per_s,
                ramp: whole,
            };
            let record = run_phase(&pacer, &open, &phase);
            let metrics = phase_metrics(&record, Floors::without_cryptography(0.0, 0.0), 1);
            let metric = |name: &str| {
                metrics.iter().find(|metric| metric.name == name).map_or(f64::NAN, |metric| metric.value)
            };
            let interval = LiveInterval {
                from_s: index as f64 * plan.interval_s,
                value,
                throughput_per_s: metric("throughput_per_s"),
                response_ns_p50: metric("response_ns_p50"),
                response_ns_p99: metric("response_ns_p99"),
            };
            value = adapt(&interval);
            cluster.set_live(plan.tunable, value)?;
            intervals.push(interval);
        }
        drain(&pacer, &book);
        Ok((book, intervals))
    })?;
    let lasts = Duration::from_secs_f64(2.0 * load.interval_s * load.intervals as f64);
    let limit = lasts + pair.scenario.timeout() * 2 + pair.limits.start + pair.limits.grace;
    let (book, intervals) = running.wait(limit).map_err(|error| stage.cause_of(error))?;
    let claims = Claims { submitted: book.submitted(), acknowledged: book.acknowledged() };
    let mut safety = stage.check(claims)?;
    if let Some(registers) = book.take_registers() {
        registers.judge(&mut safety);
    }
    safe(safety, intervals)
}

/// In virtual time, where every interval's requests end before the next begins.
pub fn live_virtual(
    pair: &Pair,
    spec: &SimulationSpec,
    load: &LiveLoad,
    adapt: &mut dyn FnMut(&LiveInterval) -> f64,
) -> Result<Vec<LiveInterval>, RunError> {
    let mut cluster = VirtualCluster::start(&*pair.protocol, spec, pair.scenario.payload_bytes)?;
    let (mut value, mut intervals) = (load.start, Vec::with_capacity(load.intervals));
    for index in 0..load.intervals {
        cluster.set_live(load.tunable, value)?;
        let record = cluster.open(&VirtualOpenLoop {
            arrivals: pair.scenario.arrivals,
            rate_per_s: load.rate_per_s,
            duration_s: load.interval_s,
            timeout: pair.scenario.timeout(),
            seed: pair.scenario.seed.wrapping_add(index as u64),
            lateness: None,
        });
        let at = |quantile| nearest_rank(&record.response_ns, quantile).map_or(f64::NAN, |ns| ns as f64);
        let interval = LiveInterval {
            from_s: index as f64 * load.interval_s,
            value,
            throughput_per_s: record.throughput_per_s(),
            response_ns_p50: at(0.5),
            response_ns_p99: at(0.99),
        };
        value = adapt(&interval);
        intervals.push(interval);
    }
    safe(cluster.check(), intervals)
}

fn safe(safety: Safety, intervals: Vec<LiveInterval>) -> Result<Vec<LiveInterval>, RunError> {
    if safety.violations.is_empty() {
        return Ok(intervals);
    }
    Err(RunError::Unsafe(safety.violations.join("; ")))
}
