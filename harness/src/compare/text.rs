//! A comparison for people.

use std::fmt;

use super::{Change, ComparedMetric, ComparedRow, Comparison, Reading, SettingDifference, Verdict};
use crate::results::Class;
use crate::table::quantity::{self, NOTHING};
use crate::table::{empty_table, lines_of};

/// Said once with every comparison of rows.
const CAVEAT: &str = "\
Runs made at different times also differ by what else the machine did, and intervals from within one
run don't cover that. On a noisy virtual machine, comparisons with a stored baseline raised false
alarms often. So these verdicts are for orientation, not for gating.";

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A = {}, B = {}; changes are from A to B", self.a, self.b)?;
        for row in &self.rows {
            write!(f, "\n\n{}", of_row(row))?;
        }
        if self.rows.is_empty() {
            write!(f, "\n\nNothing could be compared.")?;
        }
        for refused in &self.refused {
            write!(f, "\n\nnot compared: {}: {}", refused.name, refused.reason)?;
        }
        for (side, names) in [("A", &self.only_in_a), ("B", &self.only_in_b)] {
            if !names.is_empty() {
                write!(f, "\n\nonly in {side}: {}", names.join("; "))?;
            }
        }
        if !self.rows.is_empty() {
            write!(f, "\n\n{CAVEAT}")?;
        }
        Ok(())
    }
}

fn of_row(row: &ComparedRow) -> String {
    let mut lines = vec![row.name.clone()];
    if !row.disturbed.is_empty() {
        lines[0] += " (disturbed)";
        lines.push(format!("  disturbed: {}", row.disturbed.join("; ")));
    }
    lines.extend(row.settings.iter().map(of_setting));
    lines.extend(row.notes.iter().map(|note| format!("  {note}")));
    let mut table = empty_table(&["metric", "A", "B", "change (95 % interval)", "verdict"], false);
    for metric in &row.metrics {
        table.add_row(of_metric(metric));
    }
    lines.push(lines_of(&table));
    lines.join("\n")
}

fn of_setting(setting: &SettingDifference) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "default".into(), |value| value.to_string());
    format!("  setting {}: {} → {}", setting.name, shown(setting.a), shown(setting.b))
}

fn of_metric(metric: &ComparedMetric) -> Vec<String> {
    let verdict = match (metric.verdict, metric.class) {
        (Verdict::Better, _) => "better",
        (Verdict::Worse, _) => "worse",
        (Verdict::Differs, _) => "differs",
        (Verdict::Same, Class::Exact) => "equal",
        (Verdict::Same, _) => "no difference seen",
        (Verdict::Unknown, _) => "unknown: no interval",
    };
    let of = |reading| of_reading(reading, metric);
    vec![metric.name.clone(), of(metric.a), of(metric.b), of_change(metric), verdict.into()]
}

fn of_reading(reading: Reading, metric: &ComparedMetric) -> String {
    // Rounding would make numbers look equal that are compared for equality.
    let value = match metric.class {
        Class::Exact => reading.value.to_string(),
        _ => quantity::of_metric(&metric.name, reading.value, &metric.unit),
    };
    let interval = reading.lower.zip(reading.upper);
    match interval.and_then(|(lower, upper)| quantity::spread(reading.value, lower, upper)) {
        Some(spread) => format!("{value} {spread}"),
        None => value,
    }
}

fn of_change(metric: &ComparedMetric) -> String {
    let change = metric.ratio.map(|ratio| quantity::change(ratio - 1.0));
    match (change, metric.change) {
        (Some(change), Some(Change { lower, upper })) => {
            format!("{change} ({} to {})", quantity::change(lower), quantity::change(upper))
        }
        (Some(change), None) => change,
        (None, _) => NOTHING.into(),
    }
}
