//! The throughput measurement: how fast, and how fast for good; then latency against rate.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of, shown_rows};
use crate::results::{CurvePoint, KneeLimit, ScenarioResult, ThroughputSummary};

const SUMMARY_HEADS: [&str; 6] =
    ["protocol", "average", "maximum", "optimal", "sustainable", "next rate tried,\nand why not"];
const CURVE_HEADS: [&str; 7] = ["protocol", "offered", "achieved", "success", "p50", "p99", "target"];

/// The summaries of rows that have one, and their curves; nothing when none has.
pub fn throughput_table(rows: &[&ScenarioResult]) -> String {
    let rows: Vec<(String, &ThroughputSummary)> = shown_rows(rows)
        .filter_map(|result| Some((result.row_name(), result.throughput.as_ref()?)))
        .collect();
    let Some((_, first)) = rows.first() else { return String::new() };
    let mut summary = empty_table(&SUMMARY_HEADS, false);
    summary.add_rows(rows.iter().map(|(name, found)| summary_row(name, found)));
    let mut curve = empty_table(&CURVE_HEADS, false);
    for (name, found) in &rows {
        curve.add_rows(found.curve.iter().map(|point| curve_row(name, point)));
    }
    format!(
        "Commits per second\n{}\nSustainable: the highest rate at which p99 ≤ {} ms and {} succeed, by bisection, confirmed; the knee \
         lies\nbetween it and the next rate tried. Optimal: the best interval of the ramp with that success.\n\n\
         Latency against throughput\n{}",
        lines_of(&summary),
        first.knee.target_p99_ms,
        quantity::share(first.knee.target_success),
        lines_of(&curve)
    )
}

fn summary_row(name: &str, found: &ThroughputSummary) -> Vec<String> {
    let knee = &found.knee;
    let sustainable = knee.sustainable_per_s.map_or_else(|| NOTHING.into(), quantity::count);
    let at_least = knee.limit != KneeLimit::Target;
    let why_not = match (knee.limit, knee.broke_at_per_s) {
        (KneeLimit::Target, Some(broke)) => format!("{}: target broke", quantity::count(broke)),
        (KneeLimit::Target, None) => NOTHING.into(),
        (KneeLimit::Generator, _) => "generator's limit".into(),
        (KneeLimit::HighestRate, _) => "highest rate allowed".into(),
    };
    vec![
        name.into(),
        quantity::count(found.average_per_s),
        quantity::count(found.maximum_per_s),
        found.optimal_per_s.map_or_else(|| NOTHING.into(), quantity::count),
        if at_least { format!("≥ {sustainable}") } else { sustainable },
        why_not,
    ]
}

fn curve_row(name: &str, point: &CurvePoint) -> Vec<String> {
    let time = |nanos: u64| quantity::in_unit(nanos as f64, "ns");
    let verdict = match point {
        CurvePoint { generator_kept_up: false, .. } => "not sent",
        CurvePoint { held: false, .. } => "broke",
        CurvePoint { confirming: true, .. } => "confirmed",
        _ => "held",
    };
    vec![
        name.into(),
        quantity::count(point.offered_per_s),
        quantity::count(point.achieved_per_s),
        quantity::share(point.success),
        time(point.p50_ns),
        time(point.p99_ns),
        verdict.into(),
    ]
}
