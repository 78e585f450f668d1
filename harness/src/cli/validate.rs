//! `consensus-bench validate`: virtual time against real time.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thiserror::Error;

use super::calibrate::exit_code_of_calibration;
use super::step_line;
use crate::calibration::{self, CalibrationError, costs_path, read_for};
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE, exit_code_of};
use crate::files::{FileError, write_atomically};
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::run::RunError;
use crate::store::{Store, StoreError};
use crate::suite::{Suite, SuiteError};
use crate::validate::{Effort, Load, Validation, loads, markdown, text, validate};

/// The results of a validation, within its run's folder.
const VALIDATION_FILE: &str = "validation.json";
const BRIEF: Effort = Effort { blocks: 2, block_s: 0.2 };

#[derive(Args)]
pub(super) struct Validate {
    /// Protocols to validate, by name; all when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Loads, by name; all when none is given
    #[arg(long, value_delimiter = ',')]
    load: Vec<String>,
    /// Real runs of each load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    blocks: u64,
    /// Length of each real run in seconds
    #[arg(long, default_value_t = 1.0)]
    block_s: f64,
    /// Two real runs of 0.2 s each: shows that everything runs
    #[arg(long, conflicts_with_all = ["blocks", "block_s"])]
    brief: bool,
    /// Costs to simulate with, in place of `baselines/<machine>/costs.json`
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// A table
    Text,
    /// For machines
    Json,
    /// A table for a document
    Markdown,
}

/// Why nothing was validated.
#[derive(Debug, Error)]
pub(super) enum ValidateError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("no load `{name}`; there are: {known}")]
    UnknownLoad { name: String, known: String },
    #[error("--block-s = {0} is outside 0.05 to 3600")]
    BlockLength(f64),
    #[error(transparent)]
    Costs(#[from] CalibrationError),
    #[error(transparent)]
    Run(RunError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("results as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<RunError> for ValidateError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Calibration(error) => ValidateError::Costs(error),
            error => ValidateError::Run(error),
        }
    }
}

impl ValidateError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            ValidateError::Suite(_) | ValidateError::UnknownLoad { .. } | ValidateError::BlockLength(_) => {
                EXIT_USAGE
            }
            ValidateError::Costs(error) => exit_code_of_calibration(error),
            ValidateError::Run(RunError::Unsafe(_)) => EXIT_UNSAFE,
            ValidateError::Store(error) => exit_code_of(error),
            ValidateError::Run(_) | ValidateError::File(_) | ValidateError::Json(_) => EXIT_TOOL,
        }
    }
}

impl Validate {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, ValidateError> {
        let suite = suite.select(&self.protocol)?;
        let loads = self.chosen_loads()?;
        let effort = match self.brief {
            true => BRIEF,
            false => Effort { blocks: self.blocks as usize, block_s: self.block_s },
        };
        if !(0.05..=3_600.0).contains(&effort.block_s) {
            return Err(ValidateError::BlockLength(effort.block_s));
        }
        let fingerprint = machine::describe().fingerprint;
        let store = Store::from_environment(&fingerprint);
        let path = self.costs.clone().unwrap_or_else(|| costs_path(&store));
        let costs: calibration::Calibration = read_for(&path, &fingerprint)?;
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose results: {error}");
        }
        let folder = store.create_run("validate")?;
        let line = step_line();
        let step = |what: &str| line.set_message(what.to_string());
        let found = validate(suite.all(), &loads, &costs, effort, &folder.path, step)?;
        line.finish_and_clear();
        let json = serde_json::to_string_pretty(&found)?;
        write_atomically(&folder.path.join(VALIDATION_FILE), (json.clone() + "\n").as_bytes())?;
        self.print(&found, &json);
        Ok(EXIT_OK)
    }

    fn print(&self, found: &Validation, json: &str) {
        match self.format {
            ReportFormat::Text => say!("{}", text(found)),
            ReportFormat::Json => say!("{json}"),
            ReportFormat::Markdown => say!("{}", markdown(found)),
        }
    }

    fn chosen_loads(&self) -> Result<Vec<Load>, ValidateError> {
        let all = loads();
        if self.load.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            all.iter().find(|load| load.name == name).cloned().ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|load| load.name).collect();
                ValidateError::UnknownLoad { name: name.clone(), known: known.join(", ") }
            })
        };
        self.load.iter().map(find).collect()
    }
}
