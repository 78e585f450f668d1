//! The phases of a scenario that goes through stress and back, with the breaking point and the time of
//! recovery.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of, shown_rows};
use crate::measure::generator_kept_up;
use crate::results::{Interval, PhaseResult, ScenarioResult};
use crate::scenario::PhaseKind;

const HEADS: [&str; 8] = ["protocol", "phase", "seconds", "offered/s", "commits/s", "p50", "p99", "success"];

/// One row per phase; nothing for rows without stress or recovery beside a steady phase.
pub fn phases_table(rows: &[&ScenarioResult]) -> String {
    let has = |result: &ScenarioResult, kind| result.phases.iter().any(|phase| phase.phase == kind);
    let rows: Vec<&ScenarioResult> = shown_rows(rows)
        .filter(|result| has(result, PhaseKind::Stress) || has(result, PhaseKind::Recovery))
        .filter(|result| has(result, PhaseKind::Steady))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = empty_table(&HEADS, false);
    for result in &rows {
        table.add_rows(result.phases.iter().map(|phase| row(result, phase)));
    }
    let findings: Vec<String> = rows.iter().map(|result| findings(result)).collect();
    format!("Phases\n{}\n{}", lines_of(&table), findings.join("\n"))
}

fn row(result: &ScenarioResult, phase: &PhaseResult) -> Vec<String> {
    let metric = |name: &str| phase.metrics.iter().find(|metric| metric.name == name);
    let count = |name: &str| metric(name).map_or_else(|| NOTHING.into(), |one| quantity::count(one.value));
    let time =
        |name: &str| metric(name).map_or_else(|| NOTHING.into(), |one| quantity::in_unit(one.value, "ns"));
    let offered = phase.intervals.iter().map(|interval| interval.offered_per_s);
    let (low, high) =
        offered.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), rate| (low.min(rate), high.max(rate)));
    let offered = match phase.intervals.is_empty() {
        true => NOTHING.into(),
        false if low == high => quantity::count(low),
        false => format!("{} to {}", quantity::count(low), quantity::count(high)),
    };
    vec![
        result.row_name(),
        phase.phase.name().into(),
        format!("{:.1}", phase.duration_s),
        offered,
        count("throughput_per_s"),
        time("response_ns_p50"),
        time("response_ns_p99"),
        metric("success_ratio").map_or_else(|| NOTHING.into(), |one| quantity::share(one.value)),
    ]
}

fn findings(result: &ScenarioResult) -> String {
    let target = &result.scenario.target;
    let broke = match result.metric("breaking_point_per_s") {
        Some(point) => format!(
            "breaks at {}/s (held {}/s)",
            quantity::count(point.value),
            quantity::count(point.lower.unwrap_or(0.0))
        ),
        None => {
            let stress = result.phases.iter().filter(|phase| phase.phase == PhaseKind::Stress);
            let intervals: Vec<&Interval> = stress.flat_map(|phase| &phase.intervals).collect();
            let sent = intervals.iter().take_while(|interval| generator_kept_up(interval));
            let highest = sent.map(|interval| interval.offered_per_s).fold(0.0, f64::max);
            let all = intervals.iter().all(|interval| generator_kept_up(interval));
            let limit = if all { "" } else { ", the generator's limit," };
            format!("did not break up to {}/s{limit}", quantity::count(highest))
        }
    };
    let recovers = result.phases.iter().any(|phase| phase.phase == PhaseKind::Recovery);
    let back = match result.metric("recovery_ns") {
        Some(time) => format!(
            "; p99 back within 10 % of steady {} to {} after the overload",
            quantity::in_unit(time.value, "ns"),
            quantity::in_unit(time.upper.unwrap_or(time.value), "ns")
        ),
        None if recovers => "; p99 not back within 10 % of steady while it was watched".into(),
        None => String::new(),
    };
    format!(
        "{}: {broke} by p99 ≤ {} ms and {} success{back}",
        result.row_name(),
        target.response_p99_ms,
        quantity::share(target.success)
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::Metric;

    #[test]
    fn phases_stand_in_order_with_where_it_broke_and_how_it_came_back() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        for result in &mut results {
            let steady = result.phases[1].clone();
            for kind in [PhaseKind::Stress, PhaseKind::Recovery] {
                result.phases.push(PhaseResult { phase: kind, ..steady.clone() });
            }
        }
        let like = results[0].metric("throughput_per_s").unwrap().clone();
        let metric = |name: &str, value, lower, upper| Metric {
            name: name.into(),
            value,
            lower: Some(lower),
            upper: Some(upper),
            ..like.clone()
        };
        results[0].metrics.push(metric("breaking_point_per_s", 575e3, 500e3, 575e3));
        results[0].metrics.push(metric("recovery_ns", 350e6, 350e6, 400e6));
        insta::assert_snapshot!(phases_table(&results.iter().collect::<Vec<_>>()));
        assert_eq!(phases_table(&[]), "");
    }
}
