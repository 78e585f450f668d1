//! Blocks of two rows that were measured under the same load: the pairs of a paired comparison.

use crate::results::{Interval, ScenarioResult};

/// With more than this share of the blocks left out, for a value that is zero or missing, the rest
/// does not speak for the phase: a row that stood still for a while would be judged by when it ran.
const LEFT_OUT_AT_MOST: f64 = 0.1;

/// The metric's values in the blocks of the measured phase, of both rows at the same offset. None
/// when blocks don't know the metric, or when the rows did not run under the same load: after an
/// adaptive ramp went different ways, or when they have different blocks.
pub(super) fn pairs(
    first: &ScenarioResult,
    second: &ScenarioResult,
    metric: &str,
) -> Option<Vec<(f64, f64)>> {
    let value = value_of(metric)?;
    let (first, second) = (measured_blocks(first)?, measured_blocks(second)?);
    let same_load = |(a, b): (&Interval, &Interval)| {
        (a.offered_per_s - b.offered_per_s).abs() <= 1e-9 * a.offered_per_s.abs()
    };
    if first.len() != second.len() || !first.iter().zip(second).all(same_load) {
        return None;
    }
    let usable = |value: &f64| *value > 0.0 && value.is_finite();
    let both = |(a, b)| Some(value(a).filter(usable)?).zip(value(b).filter(usable));
    let pairs: Vec<(f64, f64)> = first.iter().zip(second).filter_map(both).collect();
    let left_out = first.len() - pairs.len();
    (left_out as f64 <= LEFT_OUT_AT_MOST * first.len() as f64).then_some(pairs)
}

fn measured_blocks(row: &ScenarioResult) -> Option<&[Interval]> {
    let phase = row.phases.get(row.scenario.measured_phase()?)?;
    Some(&phase.intervals)
}

/// How a block shows a metric; none when it doesn't.
fn value_of(metric: &str) -> Option<fn(&Interval) -> Option<f64>> {
    Some(match metric {
        "throughput_per_s" => |block| Some(block.succeeded as f64 / block.duration_s),
        "response_ns_p50" => |block| Some(block.p50_ns as f64),
        "response_ns_p99" => |block| Some(block.p99_ns as f64),
        "success_ratio" => |block| Some(block.succeeded as f64 / (block.succeeded + block.failed) as f64),
        "cpu_ns_per_commit" => |block| Some(block.cpu_ns? as f64 / block.succeeded as f64),
        "messages_per_commit" => |block| Some(block.messages as f64 / block.succeeded as f64),
        "bytes_per_commit" => |block| Some(block.bytes as f64 / block.succeeded as f64),
        "syncs_per_commit" => |block| Some(block.syncs as f64 / block.succeeded as f64),
        _ => return None,
    })
}
