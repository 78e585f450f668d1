//! `consensus-bench export`: the numbers of a run for other tools.

use std::path::PathBuf;

use clap::Args;
use thiserror::Error;

use super::store;
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_USAGE, exit_code_of};
use crate::export::{ExportError, ToolFormat, export};
use crate::files::{FileError, write_atomically};
use crate::output::say;
use crate::store::StoreError;

#[derive(Args)]
pub(super) struct Export {
    /// A run's id, `latest` (the newest run: one target of a `cargo bench`), a baseline, or a path
    run: String,
    /// For which tool
    #[arg(long, value_enum)]
    format: ToolFormat,
    /// Where to; with action-benchmark, NAME.json makes NAME.smaller.json and NAME.bigger.json
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Why nothing was exported.
#[derive(Debug, Error)]
pub(super) enum ExportCommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("--output {} names no file", path.display())]
    NoFile { path: PathBuf },
}

impl ExportCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            ExportCommandError::Store(error) => exit_code_of(error),
            ExportCommandError::Export(ExportError::Nothing { .. }) => EXIT_BASELINE,
            ExportCommandError::Export(ExportError::Twice { .. }) | ExportCommandError::NoFile { .. } => {
                EXIT_USAGE
            }
            ExportCommandError::Export(ExportError::Json(_)) | ExportCommandError::File(_) => EXIT_TOOL,
        }
    }
}

impl Export {
    pub(super) fn run(&self) -> Result<u8, ExportCommandError> {
        if self.output.file_name().is_none() {
            return Err(ExportCommandError::NoFile { path: self.output.clone() });
        }
        let exported = export(&store().load(&self.run)?, self.format, &self.output)?;
        for file in &exported.files {
            write_atomically(&file.path, file.text.as_bytes())?;
            say!("{}: {} numbers", file.path.display(), file.numbers);
        }
        for left in &exported.left_out {
            eprintln!("left out: {}: {}", left.name, left.reason);
        }
        for row in &exported.disturbed {
            eprintln!("not to be trusted: {}: disturbed: {}", row.name, row.reason);
        }
        Ok(EXIT_OK)
    }
}
