//! A report of the gate for people and for other tools: a terminal, a comment on a pull request, a program, a
//! CI system. All of them say the same in the same words, which `wording` has.

mod json;
mod junit;
mod markdown;
mod text;
mod wording;

#[cfg(test)]
mod samples;

use std::path::Path;

use clap::ValueEnum;
use thiserror::Error;

use super::report::GateReport;
use crate::files::{FileError, write_atomically};

pub use json::ReportError;
pub use markdown::{LONGEST_COMMENT, MARKER};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For a terminal
    Text,
    /// For a comment on a pull request
    Markdown,
    /// For programs
    Json,
    /// For CI systems: JUnit XML
    Junit,
}

/// Why a report was not written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// It would not read back as it is.
    #[error(transparent)]
    Json(#[from] ReportError),
    /// It is no XML.
    #[error("the report as JUnit XML: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The system doesn't let us write it.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A report as text in the given format, with a line break at its end.
pub fn render(report: &GateReport, format: OutputFormat) -> Result<String, OutputError> {
    let mut text = match format {
        OutputFormat::Text => text::text(report),
        OutputFormat::Markdown => markdown::markdown(report),
        OutputFormat::Json => json::json(report)?,
        OutputFormat::Junit => junit::junit(report)?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Writes a report into a file, whole or not at all.
pub fn write(report: &GateReport, format: OutputFormat, path: &Path) -> Result<(), OutputError> {
    Ok(write_atomically(path, render(report, format)?.as_bytes())?)
}
