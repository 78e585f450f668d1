//! Whether a protocol met what is asked of it: fast enough, with room on the machine, and without growing.

use crate::results::{Resource, ScenarioResult};
use crate::scenario::{Measure, Target};
use crate::table::{quantity, shows_numbers};

/// Share of the machine's CPU that a load may take, at most.
const CPU_AT_MOST: f64 = 0.8;

/// One target and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What is asked: `p99 < 100 ms`.
    pub target: String,
    /// Whether it was met; none when nothing measured it.
    pub met: Option<bool>,
    /// What was measured and where.
    pub evidence: String,
}

/// All targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets(pub [Held; 3]);

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

/// The worst of a metric, with its scenario.
fn worst<'a>(results: &[&'a ScenarioResult], metric: &str) -> Option<(f64, &'a str)> {
    let values = results.iter().filter_map(|result| {
        let found = result.metric(metric).filter(|metric| metric.value.is_finite())?;
        Some((found.value, result.scenario.name.as_str()))
    });
    values.max_by(|a, b| a.0.total_cmp(&b.0))
}

fn held(target: String, measured: Option<(bool, String)>) -> Held {
    match measured {
        Some((met, evidence)) => Held { target, met: Some(met), evidence },
        None => Held { target, met: None, evidence: "not measured in this run".into() },
    }
}

fn latency(steady: &[&ScenarioResult]) -> Held {
    let limit_ms =
        steady.first().map_or_else(Target::default, |result| result.scenario.target).response_p99_ms;
    let measured = worst(steady, "response_ns_p99").map(|(value, scenario)| {
        (value < limit_ms * 1e6, format!("{} in {scenario}", quantity::in_unit(value, "ns")))
    });
    held(format!("p99 < {limit_ms} ms"), measured)
}

fn cpu(steady: &[&ScenarioResult]) -> Held {
    let measured = worst(steady, "cpu_machine_share").map(|(value, scenario)| {
        (
            value < CPU_AT_MOST,
            format!("{} of the machine in {scenario}, other programs included", quantity::share(value)),
        )
    });
    held(format!("CPU < {}", quantity::share(CPU_AT_MOST)), measured)
}

fn memory(steady: &[&ScenarioResult]) -> Held {
    let measured = worst(steady, "memory_growth_bytes_per_s").map(|(value, scenario)| {
        let grows = steady
            .iter()
            .filter_map(|result| result.resources.as_ref())
            .any(|resources| resources.bottlenecks.iter().any(|found| found.resource == Resource::Memory));
        (!grows, format!("{} at most, in {scenario}", quantity::in_unit(value, "bytes/s")))
    });
    held("memory stable".into(), measured)
}
