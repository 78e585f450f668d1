//! The two formats that github-action-benchmark has for tools that it does not know: `customSmallerIsBetter`
//! and `customBiggerIsBetter`, each an array of named values with their units.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ExportError, ExportedFile, Number, Remark};
use crate::results::{Better, Class};

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    unit: &'a str,
    value: f64,
    /// Shown beside the value, and scaled with it when the unit changes: that works for one number alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

pub(super) fn files(
    numbers: &[Number<'_>],
    output: &Path,
) -> Result<(Vec<ExportedFile>, Vec<Remark>), ExportError> {
    let mut files = Vec::new();
    for (better, direction) in [(Better::Lower, "smaller"), (Better::Higher, "bigger")] {
        let entries: Vec<_> =
            numbers.iter().filter(|number| number.metric.better == better).map(entry).collect();
        // The action takes a file without values for a failure.
        if !entries.is_empty() {
            let text = serde_json::to_string_pretty(&entries)? + "\n";
            files.push(ExportedFile { path: called_after(output, direction), text, numbers: entries.len() });
        }
    }
    let neither = numbers.iter().filter(|number| number.metric.better == Better::Neither);
    let left_out = neither.map(|number| number.without("neither more nor less of it is better")).collect();
    Ok((files, left_out))
}

fn entry<'a>(number: &Number<'a>) -> Entry<'a> {
    let metric = number.metric;
    let wider = number.interval().map(|(lower, upper)| (metric.value - lower).max(upper - metric.value));
    Entry {
        name: number.id(),
        // A unit is asked for, and shown.
        unit: if metric.unit.is_empty() { "1" } else { &metric.unit },
        value: metric.value,
        range: wider.map(|wider| format!("± {wider}")),
        extra: extra(number),
    }
}

/// What a reader of the chart should know, a line each.
fn extra(number: &Number<'_>) -> String {
    let class = match number.metric.class {
        Class::Exact => "a count, the same in every repetition",
        Class::Cpu => "CPU time",
        Class::Wall => "depends on the clock",
        Class::Slo => "a target",
    };
    let mut lines = vec![class.to_string(), format!("n = {}", number.metric.n)];
    lines.push(number.result.implementation.clone());
    if !number.result.disturbed.is_empty() {
        lines.push(format!("disturbed: {}", number.result.disturbed.join("; ")));
    }
    lines.join("\n")
}

/// `numbers.json` becomes `numbers.smaller.json`.
fn called_after(output: &Path, direction: &str) -> PathBuf {
    let stem = output.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let extension = output.extension().map_or("json".into(), |extension| extension.to_string_lossy());
    output.with_file_name(format!("{stem}.{direction}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_called_after_the_one_asked_for() {
        let called = |name: &str| called_after(Path::new(name), "bigger").display().to_string();
        assert_eq!(called("out/numbers.json"), "out/numbers.bigger.json");
        assert_eq!(called("numbers"), "numbers.bigger.json");
        assert_eq!(called("v1.2.json"), "v1.2.bigger.json");
    }
}
