//! Whether a protocol met what is asked of it: fast enough, with room on the machine, and without growing.

use crate::results::{Metric, Resource, ScenarioResult};
use crate::scenario::{Measure, Target};
use crate::table::{quantity, shows_numbers};
use crate::threshold::{Kept, kept};

/// Share of the machine's CPU that a load may take, at most.
const CPU_AT_MOST: f64 = 0.8;

/// One target and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What is asked: `p99 ≤ 100 ms`.
    pub target: String,
    /// Whether it was met; none when nothing measured it.
    pub met: Option<Kept>,
    /// What was measured and where.
    pub evidence: String,
}

/// All targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets(pub [Held; 3]);

/// What one result says about a target.
struct Judged<'a> {
    met: Kept,
    /// Its limit, in the metric's unit; infinite where it has none.
    limit: f64,
    value: f64,
    result: &'a ScenarioResult,
}

impl Targets {
    /// Looks at all results of one protocol. Loads that rise until something breaks, and faults, are no test
    /// of a target: they are meant to break it.
    pub fn of(results: &[&ScenarioResult]) -> Targets {
        let steady: Vec<&ScenarioResult> = results
            .iter()
            .copied()
            .filter(|result| shows_numbers(result))
            .filter(|result| {
                matches!(result.scenario.measure, Measure::Load | Measure::Latency | Measure::Resources)
            })
            .filter(|result| result.scenario.phases.iter().all(|phase| phase.ramp.is_none()))
            .collect();
        Targets([latency(&steady), cpu(&steady), memory(&steady)])
    }
}

/// The worst verdict of those that measured a metric, each judged by itself; of equal ones the one that is nearest to
/// its limit, or farthest beyond it.
fn worst<'a>(
    steady: &[&'a ScenarioResult],
    metric: &str,
    judge: impl Fn(&'a ScenarioResult, &Metric) -> (Kept, f64),
) -> Option<Judged<'a>> {
    let judged = steady.iter().filter_map(|result| {
        let found = result.metric(metric).filter(|metric| metric.value.is_finite())?;
        let (met, limit) = judge(result, found);
        Some(Judged { met, limit, value: found.value, result })
    });
    let share = |one: &Judged| if one.limit.is_finite() { one.value / one.limit } else { one.value };
    judged.max_by(|a, b| a.met.cmp(&b.met).then(share(a).total_cmp(&share(b))))
}

fn held(target: String, judged: Option<&Judged>, evidence: impl Fn(&Judged, &str) -> String) -> Held {
    let Some(judged) = judged else {
        return Held { target, met: None, evidence: "not measured in this run".into() };
    };
    let why = match judged.met {
        Kept::Unknown if !judged.result.disturbed.is_empty() => ", but something disturbed it",
        Kept::Unknown => ", and the limit is within its interval",
        Kept::Yes | Kept::No => "",
    };
    let evidence = evidence(judged, &judged.result.scenario.name) + why;
    Held { target, met: Some(judged.met), evidence }
}

fn latency(steady: &[&ScenarioResult]) -> Held {
    let judged = worst(steady, "response_ns_p99", |result, metric| {
        let limit = result.scenario.target.response_p99_ms * 1e6;
        (kept(result, metric, f64::NEG_INFINITY, limit), limit)
    });
    let limit_ms = judged.as_ref().map_or(Target::default(), |worst| worst.result.scenario.target);
    held(format!("p99 ≤ {} ms", limit_ms.response_p99_ms), judged.as_ref(), |worst, scenario| {
        format!("{} in {scenario}", quantity::in_unit(worst.value, "ns"))
    })
}

fn cpu(steady: &[&ScenarioResult]) -> Held {
    let judged = worst(steady, "cpu_machine_share", |result, metric| {
        (kept(result, metric, f64::NEG_INFINITY, CPU_AT_MOST), CPU_AT_MOST)
    });
    held(format!("CPU ≤ {}", quantity::share(CPU_AT_MOST)), judged.as_ref(), |worst, scenario| {
        format!("{} of the machine in {scenario}, other programs included", quantity::share(worst.value))
    })
}

/// Growth is told from noise where resources are judged.
fn memory(steady: &[&ScenarioResult]) -> Held {
    let grows = |result: &ScenarioResult| {
        let found = result.resources.iter().flat_map(|resources| &resources.bottlenecks);
        found.into_iter().any(|found| found.resource == Resource::Memory)
    };
    let judged = worst(steady, "memory_growth_bytes_per_s", |result, _| {
        let met = match (result.disturbed.is_empty(), grows(result)) {
            (false, _) => Kept::Unknown,
            (true, true) => Kept::No,
            (true, false) => Kept::Yes,
        };
        (met, f64::INFINITY)
    });
    held("memory stable".into(), judged.as_ref(), |worst, scenario| {
        format!("{} at most, in {scenario}", quantity::in_unit(worst.value, "bytes/s"))
    })
}
