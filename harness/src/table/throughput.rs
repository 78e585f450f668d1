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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::Knee;

    fn point(offered_per_s: f64, held: bool, generator_kept_up: bool, confirming: bool) -> CurvePoint {
        CurvePoint {
            offered_per_s,
            achieved_per_s: offered_per_s * 0.99,
            success: if held { 1.0 } else { 0.91 },
            p50_ns: 40_000,
            p99_ns: if held { 900_000 } else { 150_000_000 },
            held,
            generator_kept_up,
            confirming,
        }
    }

    #[test]
    fn the_knee_stands_with_its_bracket_or_with_what_ended_the_search() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        for (result, limit) in results.iter_mut().zip([KneeLimit::Target, KneeLimit::Generator]) {
            let at_target = limit == KneeLimit::Target;
            result.throughput = Some(ThroughputSummary {
                average_per_s: 162_000.0,
                maximum_per_s: 299_000.0,
                optimal_per_s: at_target.then_some(298_000.0),
                knee: Knee {
                    target_p99_ms: 100.0,
                    target_success: 0.95,
                    sustainable_per_s: Some(566_000.0),
                    broke_at_per_s: at_target.then_some(617_000.0),
                    limit,
                },
                curve: vec![
                    point(100_000.0, true, true, false),
                    point(566_000.0, true, true, true),
                    point(617_000.0, false, at_target, false),
                ],
            });
        }
        insta::assert_snapshot!(throughput_table(&results.iter().collect::<Vec<_>>()));
        assert_eq!(throughput_table(&[]), "");
    }
}
