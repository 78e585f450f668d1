//! `consensus-bench report`: a run, several runs as one, or two runs against each other, as a page.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use thiserror::Error;

use super::store;
use crate::bench::newest_runs;
use crate::compare::compare;
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_USAGE, exit_code_of, exit_code_of_file};
use crate::export::{ExportError, ToolFormat, export};
use crate::files::{FileError, write_atomically};
use crate::output::say;
use crate::report::material::Material;
use crate::report::page::{compare_page, page};
use crate::report::{DEFAULT_FILE, data, terminal};
use crate::store::{Recorded, Store, StoreError};

/// The page of what is not one run, in the home.
const TOGETHER_FILE: &str = "together.html";

#[derive(Args)]
pub(super) struct Report {
    /// Runs by id, `latest`, baselines, or paths; two are compared. When none is given the newest run, with all
    /// targets of the `cargo bench` that it is a part of
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Takes several runs as one, as those of all targets of one `cargo bench`
    #[arg(long)]
    together: bool,
    /// As what
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    format: ReportFormat,
    /// Where to; by default `report.html` in the run's folder, or beside the runs for all targets of a `cargo bench`
    /// (`compare.html` in B's folder of two, `together.html` beside the runs of several and of a baseline), and standard
    /// output for text
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes the data of every chart into this folder too, as CSV and JSON; of two runs into A and B in it
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// A page that needs nothing else
    Html,
    /// The same story in 80 columns
    Text,
    /// The data of every chart
    Json,
    /// Every metric as OpenMetrics text, for Prometheus
    #[value(name = "openmetrics")]
    OpenMetrics,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub(super) enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0} runs can't be compared: name two, or take them as one with --together")]
    TooMany(usize),
    #[error("--output {} names no file", path.display())]
    NoFile { path: PathBuf },
    #[error("--data {}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(
        "two runs side by side are a page; `cargo consensus-bench compare {a} {b}` says it in a terminal"
    )]
    OnlyPage { a: String, b: String },
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the data as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ReportError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // A run that is not there is a word on the command line that is wrong.
            ReportError::Store(StoreError::UnknownReference { .. } | StoreError::NoRuns { .. }) => EXIT_USAGE,
            ReportError::Store(error) => exit_code_of(error),
            ReportError::File(error) => exit_code_of_file(error),
            ReportError::Export(ExportError::Nothing { .. }) => EXIT_BASELINE,
            ReportError::Export(ExportError::Twice { .. })
            | ReportError::TooMany(_)
            | ReportError::NoFile { .. }
            | ReportError::OnlyPage { .. } => EXIT_USAGE,
            ReportError::Folder { .. } | ReportError::Json(_) | ReportError::Export(ExportError::Json(_)) => {
                EXIT_TOOL
            }
        }
    }
}

impl Report {
    pub(super) fn run(&self) -> Result<u8, ReportError> {
        if let Some(path) = self.output.as_ref().filter(|path| path.file_name().is_none()) {
            return Err(ReportError::NoFile { path: path.clone() });
        }
        let store = store();
        match self.runs.as_slice() {
            [a, b] if !self.together => self.compare(&store, a, b),
            [_, _, _, ..] if !self.together => Err(ReportError::TooMany(self.runs.len())),
            [] => match newest_runs(&store).as_slice() {
                [one] => self.one(&store, Material::load(&store, one)?),
                targets => {
                    let page = store.home.join(DEFAULT_FILE);
                    self.show(&Material::of_targets(&store, targets)?, &page)
                }
            },
            [one] => self.one(&store, Material::load(&store, one)?),
            several => {
                let parts =
                    several.iter().map(|run| Material::load(&store, run)).collect::<Result<_, _>>()?;
                self.one(&store, Material::together(parts))
            }
        }
    }

    fn one(&self, store: &Store, material: Material) -> Result<u8, ReportError> {
        self.show(&material, &self.page_path(store, &material))
    }

    /// In the format that was asked for; a page goes to this path unless another was asked for.
    fn show(&self, material: &Material, path: &Path) -> Result<u8, ReportError> {
        if let Some(folder) = &self.data {
            self.write_data(material, folder)?;
        }
        match self.format {
            ReportFormat::Html => self.write(&page(material), self.output.as_deref().unwrap_or(path))?,
            ReportFormat::Text => {
                // A file is no terminal, whatever standard output is.
                let colours = self.output.is_none() && terminal::colours();
                self.print(&terminal::summary(material, colours))?;
            }
            ReportFormat::Json => self.print(&data::json(material)?)?,
            ReportFormat::OpenMetrics => {
                let recorded = Recorded { name: material.name.clone(), runs: material.runs.clone() };
                let exported = export(&recorded, ToolFormat::OpenMetrics, Path::new(""))?;
                exported.files.iter().try_for_each(|file| self.print(&file.text))?;
            }
        }
        Ok(EXIT_OK)
    }

    fn compare(&self, store: &Store, a: &str, b: &str) -> Result<u8, ReportError> {
        if self.format != ReportFormat::Html {
            return Err(ReportError::OnlyPage { a: a.into(), b: b.into() });
        }
        let (a, b) = (Material::load(store, a)?, Material::load(store, b)?);
        if let Some(folder) = &self.data {
            self.write_data(&a, &folder.join("A"))?;
            self.write_data(&b, &folder.join("B"))?;
        }
        let recorded = |side: &Material| Recorded { name: side.name.clone(), runs: side.runs.clone() };
        let comparison = compare(&recorded(&a), &recorded(&b));
        let path = self.page_path(store, &b).with_file_name("compare.html");
        self.write(&compare_page(&a, &b, &comparison), self.output.as_ref().unwrap_or(&path))?;
        Ok(EXIT_OK)
    }

    /// In the run's folder. What is not one run has none, and no run's page is its.
    fn page_path(&self, store: &Store, material: &Material) -> PathBuf {
        match &material.folder {
            Some(folder) => folder.join(DEFAULT_FILE),
            None => {
                if self.output.is_none() {
                    // Baselines may be there without any run; what prevents it is told when the page is written.
                    std::fs::create_dir_all(&store.home).ok();
                }
                store.home.join(TOGETHER_FILE)
            }
        }
    }

    fn write(&self, page: &str, path: &Path) -> Result<(), ReportError> {
        write_atomically(path, page.as_bytes())?;
        self.notice(format_args!("report: {}", path.display()));
        Ok(())
    }

    /// Says what was written where; not among what a program reads from standard output.
    fn notice(&self, text: std::fmt::Arguments<'_>) {
        match self.format {
            ReportFormat::Html => say!("{text}"),
            ReportFormat::Text | ReportFormat::Json | ReportFormat::OpenMetrics => eprintln!("{text}"),
        }
    }

    fn print(&self, text: &str) -> Result<(), ReportError> {
        match &self.output {
            Some(path) => self.write(text, path),
            None => {
                // What ends with a line end of its own gets no second one: OpenMetrics knows no empty lines.
                say!("{}", text.strip_suffix('\n').unwrap_or(text));
                Ok(())
            }
        }
    }

    fn write_data(&self, material: &Material, folder: &Path) -> Result<(), ReportError> {
        let failed = |source| ReportError::Folder { path: folder.into(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let files = data::files(material)?;
        for (name, text) in &files {
            write_atomically(&folder.join(name), text.as_bytes())?;
        }
        self.notice(format_args!("data of {} charts: {}", files.len() / 2, folder.display()));
        Ok(())
    }
}
