//! Bencher's metric format: for each benchmark its measures, each with a value and the ends of its interval.
//! <https://bencher.dev/docs/reference/bencher-metric-format>

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{ExportError, ExportedFile, Number, Remark};

/// The longest name of a benchmark.
const LONGEST_BENCHMARK: usize = 1_024;
/// The longest name of a measure.
const LONGEST_MEASURE: usize = 64;

#[derive(Serialize)]
struct Value {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

pub(super) fn files(
    numbers: &[Number<'_>],
    output: &Path,
) -> Result<(Vec<ExportedFile>, Vec<Remark>), ExportError> {
    let mut benchmarks: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    let (mut count, mut left_out) = (0, Vec::new());
    for number in numbers {
        let measure = number.metric.name.as_str();
        if let Err(reason) = check(&number.row, LONGEST_BENCHMARK).and(check(measure, LONGEST_MEASURE)) {
            left_out.push(number.without(&reason));
            continue;
        }
        let (lower_value, upper_value) = number.interval().unzip();
        let value = Value { value: number.metric.value, lower_value, upper_value };
        benchmarks.entry(&number.row).or_default().insert(measure, value);
        count += 1;
    }
    let text = serde_json::to_string_pretty(&benchmarks)? + "\n";
    Ok((vec![ExportedFile { path: output.into(), text, numbers: count }], left_out))
}

fn check(name: &str, longest: usize) -> Result<(), String> {
    match name.chars().count() {
        0 => Err("Bencher wants a name".into()),
        length if length > longest => Err(format!("Bencher has no names of more than {longest} characters")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_bencher_would_refuse_are() {
        assert_eq!(check(&"ä".repeat(64), LONGEST_MEASURE), Ok(()));
        assert!(check(&"a".repeat(65), LONGEST_MEASURE).is_err());
        assert!(check("", LONGEST_BENCHMARK).is_err());
    }
}
