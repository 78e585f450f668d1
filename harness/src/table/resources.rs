//! What runs took from their machine, per second and per commit, and what held them back.

use super::{NoNumbers, empty_table, lines_of, no_numbers, quantity, with_spread};
use crate::results::{Bottleneck, MemoryLevel, Metric, ScenarioResult};

/// Heads of the first table: what is taken while time passes.
const PER_SECOND: [&str; 10] = [
    "protocol",
    "cores,\nprocess",
    "cores,\ncluster",
    "cores,\nload",
    "resident\nmax",
    "heap\nmax",
    "memory\ngrowth/s",
    "network\nB/s",
    "log\nB/s",
    "syncs/s",
];

/// Heads of the second: what a commit takes.
const PER_COMMIT: [&str; 7] =
    ["per commit", "CPU", "allocations", "allocated\nbytes", "sent\nbytes", "syncs", "log\nbytes"];

/// What the runs of one scenario took, as two tables with the bottlenecks below; empty without runs.
pub fn resources_table(rows: &[&ScenarioResult]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = table(&PER_SECOND, rows, per_second) + "\n\n" + &table(&PER_COMMIT, rows, per_commit);
    let mut note = |line: &str| text += &format!("\n{line}");
    if rows.iter().any(|result| no_numbers(result).is_none()) {
        note(
            "Means of the measured phase; below a value its 95 % interval (± its wider side); - is not measured.",
        );
        note(
            "Cores are CPU time over time: of this process, of the one thread that runs all replicas, of the",
        );
        note("load generator. Network is what replicas sent each other; CPU and allocations are without the");
        note("generator's own.");
    }
    for result in rows {
        notes(result).iter().for_each(|line| note(line));
    }
    text
}

fn table(heads: &[&str], rows: &[&ScenarioResult], cells: fn(&ScenarioResult) -> Vec<String>) -> String {
    let mut table = empty_table(heads, true);
    for result in rows {
        let mut row = vec![result.row_name()];
        match no_numbers(result) {
            None => row.extend(cells(result)),
            Some(NoNumbers::Withheld(_)) => row.push("withheld".into()),
            Some(NoNumbers::Failed(_)) => row.push("failed".into()),
            Some(NoNumbers::NotMeasured(_)) => row.push("not measured".into()),
        }
        row.resize(heads.len(), quantity::NOTHING.into());
        table.add_row(row);
    }
    lines_of(&table)
}

fn per_second(result: &ScenarioResult) -> Vec<String> {
    vec![
        shown(result, "cpu_process_cores"),
        shown(result, "cluster_thread_cores"),
        shown(result, "generator_thread_cores"),
        shown(result, "rss_bytes_max"),
        shown(result, "heap_live_bytes_max"),
        result.metric("memory_growth_bytes_per_s").map_or_else(nothing, growth),
        shown(result, "transport_bytes_per_s"),
        shown(result, "log_bytes_per_s"),
        shown(result, "syncs_per_s"),
    ]
}

fn per_commit(result: &ScenarioResult) -> Vec<String> {
    let cpu = |metric: &Metric| with_spread(quantity::in_unit(metric.value, "ns"), metric);
    vec![
        result.metric("cpu_ns_per_commit").map_or_else(nothing, cpu),
        shown(result, "allocations_per_commit"),
        shown(result, "allocated_bytes_per_commit"),
        shown(result, "bytes_per_commit"),
        shown(result, "syncs_per_commit"),
        shown(result, "log_bytes_per_commit"),
    ]
}

fn shown(result: &ScenarioResult, name: &str) -> String {
    let number = |metric: &Metric| with_spread(quantity::count(metric.value), metric);
    result.metric(name).map_or_else(nothing, number)
}

/// A slope with the ends of its interval themselves: it may be near 0, and then per cent of it say
/// nothing.
fn growth(metric: &Metric) -> String {
    let value = quantity::count(metric.value);
    match metric.lower.zip(metric.upper) {
        Some((lower, upper)) => format!("{value}\n{} to {}", quantity::count(lower), quantity::count(upper)),
        None => value,
    }
}

fn nothing() -> String {
    quantity::NOTHING.into()
}

/// What a reader must know about a row, its bottlenecks first.
fn notes(result: &ScenarioResult) -> Vec<String> {
    let name = result.row_name();
    let (None, Some(resources)) = (no_numbers(result), &result.resources) else { return Vec::new() };
    let mut notes = Vec::new();
    if resources.bottlenecks.is_empty() {
        notes.push(format!("{name}: nothing is known to have held it back"));
    } else {
        notes.push(format!("{name}: held back by"));
    }
    let line = |found: &Bottleneck| {
        format!("  - {} ({}): {}", found.resource.name(), found.severity.name(), found.evidence)
    };
    notes.extend(resources.bottlenecks.iter().map(line));
    if resources.memory_growth_of == Some(MemoryLevel::Rss) {
        notes.push(format!("{name}: memory growth is that of resident memory; the heap is not counted"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::advice::{Facts, Finding, find};
    use crate::files;
    use crate::results::{Better, Class, Outcome, ResourceUse};

    fn sample() -> Vec<ScenarioResult> {
        files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results
    }

    /// Name, value and interval of a metric.
    type Number = (&'static str, f64, Option<(f64, f64)>);

    fn with_metrics(mut result: ScenarioResult, metrics: &[Number]) -> ScenarioResult {
        result.metrics.extend(metrics.iter().map(|&(name, value, bounds)| Metric {
            name: name.into(),
            value,
            lower: bounds.map(|bounds| bounds.0),
            upper: bounds.map(|bounds| bounds.1),
            unit: String::new(),
            better: Better::Neither,
            class: Class::Wall,
            n: 60,
        }));
        result
    }

    #[test]
    fn what_runs_took_stands_side_by_side_with_what_held_them_back() {
        let mut results = sample();
        let mut full = with_metrics(
            results[0].clone(),
            &[
                ("cpu_process_cores", 1.31, Some((1.28, 1.33))),
                ("cluster_thread_cores", 0.942, Some((0.93, 0.95))),
                ("generator_thread_cores", 0.21, Some((0.20, 0.24))),
                ("rss_bytes_max", 93_400_000.0, None),
                ("heap_live_bytes_max", 61_200_000.0, None),
                ("memory_growth_bytes_per_s", 9.41e6, Some((8.9e6, 9.9e6))),
                ("transport_bytes_per_s", 12.4e6, Some((12.1e6, 12.6e6))),
                ("log_bytes_per_s", 0.0, Some((0.0, 0.0))),
                ("syncs_per_s", 0.0, Some((0.0, 0.0))),
                ("allocations_per_commit", 3.21, Some((3.2, 3.25))),
                ("allocated_bytes_per_commit", 812.0, Some((800.0, 820.0))),
                ("syncs_per_commit", 0.0, Some((0.0, 0.0))),
            ],
        );
        let facts = Facts {
            cluster_thread_cores: Some(0.942),
            memory_growth_lower_bytes_per_s: Some(8.9e6),
            ..Facts::default()
        };
        let bottlenecks = find(&facts).iter().map(Finding::bottleneck).collect();
        full.resources = Some(ResourceUse { bottlenecks, ..ResourceUse::default() });
        let mut elsewhere = with_metrics(
            results[1].clone(),
            &[
                ("rss_bytes_max", 40_000_000.0, None),
                ("memory_growth_bytes_per_s", -1_200.0, Some((-9_000.0, 15_000.0))),
            ],
        );
        elsewhere.resources =
            Some(ResourceUse { memory_growth_of: Some(MemoryLevel::Rss), ..ResourceUse::default() });
        let before = results.remove(1);
        let mut failed = full.clone();
        failed.outcome = Outcome::Failed { reason: "no leader within 10 s".into() };
        let mut broken = full.clone();
        broken.outcome = Outcome::Unsafe;
        let text = resources_table(&[&full, &elsewhere, &before, &failed, &broken]);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_runs_have_no_table() {
        assert_eq!(resources_table(&[]), "");
    }
}
