//! The latency measurement: every percentile, and the parts that a request's time is made of.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of, shown_rows, with_spread};
use crate::load::Part;
use crate::results::ScenarioResult;

const PERCENTILES: [(&str, &str); 9] = [
    ("mean", "mean"),
    ("sd", "sd"),
    ("p50", "p50"),
    ("p75", "p75"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
    ("p99.9", "p999"),
    ("p99.99", "p9999"),
];
const PART_HEADS: [&str; 8] = [
    "protocol",
    "submission",
    "replication",
    "quorum\nwait",
    "application",
    "answer",
    "sum =\nservice",
    "of the wait:\nfsync",
];

/// Percentiles and parts of the rows that have them; nothing when none has.
pub fn latency_table(rows: &[&ScenarioResult]) -> String {
    let rows: Vec<&ScenarioResult> =
        shown_rows(rows).filter(|result| result.metric("response_ns_mean").is_some()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = std::iter::once("protocol").chain(PERCENTILES.map(|(head, _)| head)).collect();
    let mut percentiles = empty_table(&heads, true);
    let mut parts = empty_table(&PART_HEADS, false);
    for result in &rows {
        let shown = |name: &str| match result.metric(name) {
            Some(metric) => with_spread(quantity::in_unit(metric.value, "ns"), metric),
            None => NOTHING.into(),
        };
        let cells = PERCENTILES.map(|(_, name)| shown(&format!("response_ns_{name}")));
        percentiles.add_row(std::iter::once(result.row_name()).chain(cells));
        parts.add_row(part_row(result));
    }
    let samples = rows[0].metric("response_ns_mean").map_or(0, |metric| metric.n);
    format!(
        "Response time, {samples} samples\n{}\n\nWhere the time of a request goes, mean\n{}",
        lines_of(&percentiles),
        lines_of(&parts)
    )
}

fn part_row(result: &ScenarioResult) -> Vec<String> {
    let mean = |name: &str| {
        let metric = result.metric(&format!("{name}_ns_mean"));
        metric.map_or_else(|| NOTHING.into(), |metric| quantity::in_unit(metric.value, "ns"))
    };
    let addends = Part::ALL.iter().filter(|&&part| part != Part::Fsync).map(|part| mean(part.name()));
    let mut row = vec![result.row_name()];
    row.extend(addends);
    row.push(mean("service"));
    // In memory there is nothing to flush.
    let on_disk = result.fsync.is_some();
    row.push(if on_disk { mean(Part::Fsync.name()) } else { NOTHING.into() });
    row
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::{FsyncCalibration, Metric};

    #[test]
    fn percentiles_and_parts_stand_in_two_tables() {
        let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results;
        results[1].fsync = Some(FsyncCalibration { p50_ns: 110_000, p99_ns: 300_000, n: 40 });
        for result in &mut results {
            let like = result.metric("response_ns_p99").unwrap().clone();
            let names = PERCENTILES.iter().map(|(_, name)| format!("response_ns_{name}"));
            let parts = Part::ALL.iter().map(|part| format!("{}_ns_mean", part.name()));
            let names = names.chain(parts).chain(["service_ns_mean".to_string()]);
            for (index, name) in names.enumerate() {
                let value = 1_000.0 * 1.7f64.powi(index as i32);
                let bounds = (Some(0.9 * value), Some(1.2 * value));
                result.metrics.push(Metric { name, value, lower: bounds.0, upper: bounds.1, ..like.clone() });
            }
        }
        insta::assert_snapshot!(latency_table(&results.iter().collect::<Vec<_>>()));
        assert_eq!(latency_table(&[]), "");
    }
}
