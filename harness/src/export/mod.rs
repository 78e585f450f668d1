//! The numbers of a run in the files of other tools: trackers of benchmarks over time, and critcmp.
//!
//! A metric is called `scenario/protocol` and its own name everywhere. What a tool has no place for is left
//! out, and said to be.

mod action_benchmark;
mod bencher;
mod critcmp;
mod open_metrics;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use thiserror::Error;

use crate::results::{Metric, ScenarioResult};
use crate::store::{Recorded, reason_not_to_compare};

/// For which tool numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ToolFormat {
    /// Bencher's metric format, for its adapter `json`
    Bencher,
    /// github-action-benchmark: a file of which less is better, and one of which more is
    ActionBenchmark,
    /// critcmp: times and throughputs, each with its standard error
    Critcmp,
    /// OpenMetrics text, for Prometheus
    #[value(name = "openmetrics")]
    OpenMetrics,
}

/// Files that are yet to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// What goes where.
    pub files: Vec<ExportedFile>,
    /// What has no place in them.
    pub left_out: Vec<Remark>,
    /// What goes in, but is not to be trusted: rows that something disturbed, and by what.
    pub disturbed: Vec<Remark>,
}

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedFile {
    /// Where.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Numbers in it.
    pub numbers: usize,
}

/// A row or a metric, and what is the matter with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Row, or row and metric.
    pub name: String,
    /// Why, as half a sentence.
    pub reason: String,
}

/// Why nothing is exported. One line that says how to go on.
#[derive(Debug, Error)]
pub enum ExportError {
    /// No number is fit for it.
    #[error("nothing of `{name}` can be exported: {reason}")]
    Nothing {
        /// What was to be exported.
        name: String,
        /// The first reason.
        reason: String,
    },
    /// Two rows would have one name.
    #[error(
        "`{name}` has {row} twice, and other tools know a row by this name alone: export a run that has it \
         once"
    )]
    Twice {
        /// What was to be exported.
        name: String,
        /// Scenario and protocol.
        row: String,
    },
    /// The numbers are no JSON.
    #[error("numbers as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// One metric of one row.
struct Number<'a> {
    row: String,
    result: &'a ScenarioResult,
    metric: &'a Metric,
}

impl Number<'_> {
    /// Row and metric, by which a tool knows it.
    fn id(&self) -> String {
        format!("{}/{}", self.row, self.metric.name)
    }

    /// The 95 % interval, where there is one.
    fn interval(&self) -> Option<(f64, f64)> {
        let (lower, upper) = self.metric.lower.zip(self.metric.upper)?;
        (lower.is_finite() && upper.is_finite()).then_some((lower, upper))
    }

    fn without(&self, reason: &str) -> Remark {
        Remark { name: self.id(), reason: reason.into() }
    }
}

/// What a run or a baseline measured, in the files of another tool. `output` names the file; where there are
/// two, they are called after it.
pub fn export(recorded: &Recorded, format: ToolFormat, output: &Path) -> Result<Export, ExportError> {
    let (numbers, mut left_out, disturbed) = numbers(recorded)?;
    let (files, unfit) = match format {
        ToolFormat::Bencher => bencher::files(&numbers, output)?,
        ToolFormat::ActionBenchmark => action_benchmark::files(&numbers, output)?,
        ToolFormat::Critcmp => critcmp::files(&numbers, output)?,
        ToolFormat::OpenMetrics => open_metrics::files(&numbers, output),
    };
    left_out.extend(unfit);
    if files.iter().all(|file| file.numbers == 0) {
        let first = left_out.first().map(|left| format!("{}: {}", left.name, left.reason));
        let reason = first.unwrap_or_else(|| "it has no numbers".into());
        return Err(ExportError::Nothing { name: recorded.name.clone(), reason });
    }
    Ok(Export { files, left_out, disturbed })
}

type Numbers<'a> = (Vec<Number<'a>>, Vec<Remark>, Vec<Remark>);

/// All numbers that may be shown, and the rows that have none or disturbed ones.
fn numbers(recorded: &Recorded) -> Result<Numbers<'_>, ExportError> {
    let mut rows: BTreeMap<String, &ScenarioResult> = BTreeMap::new();
    let (mut numbers, mut left_out, mut disturbed) = (Vec::new(), Vec::new(), Vec::new());
    for result in recorded.runs.iter().flat_map(|run| &run.results) {
        let row = format!("{}/{}", result.scenario.name, result.protocol);
        if let Some(reason) = reason_not_to_compare(result) {
            left_out.push(Remark { name: row, reason });
            continue;
        }
        if rows.insert(row.clone(), result).is_some() {
            return Err(ExportError::Twice { name: recorded.name.clone(), row });
        }
        if !result.disturbed.is_empty() {
            disturbed.push(Remark { name: row.clone(), reason: result.disturbed.join("; ") });
        }
        for metric in &result.metrics {
            let number = Number { row: row.clone(), result, metric };
            match metric.value.is_finite() {
                true => numbers.push(number),
                false => left_out.push(number.without("it is no finite number")),
            }
        }
    }
    Ok((numbers, left_out, disturbed))
}

#[cfg(test)]
pub(crate) mod installed;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
