//! Where things are on disk: runs and local baselines in the target folder, committed baselines in
//! the workspace; and how a name on the command line is turned into results.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compare::ExactValues;
use crate::files::{self, FileError};
use crate::results::RunResults;

mod baselines;
mod run_folder;

pub(crate) use baselines::reason_not_to_compare;
pub use baselines::{BaselineEntry, NotSaved, Place, SaveReport, check_name};
pub use run_folder::RunFolder;

/// The results of a run, within its folder.
pub const RESULTS_FILE: &str = "results.json";

/// The history of all runs, within the home.
const HISTORY_FILE: &str = "history.sqlite";

/// Exact metrics, within the committed baselines.
const EXACT_FILE: &str = "exact.json";
/// Instructions and allocations, within the committed baselines of a machine.
const INSTRUCTIONS_FILE: &str = "instructions.json";
/// What the committed exact metrics are called on the command line.
pub const EXACT_BASELINE: &str = "exact";

/// How many runs an error lists.
const RUNS_LISTED: usize = 5;
/// Where mere tests leave what they measured.
const TESTS_FOLDER: &str = "tests";

/// The folders that hold runs and baselines.
#[derive(Clone, Debug)]
pub struct Store {
    /// Runs, local baselines and the history: `target/consensus-bench`, or `CONSENSUS_BENCH_HOME`.
    pub home: PathBuf,
    /// The committed `baselines` folder of the workspace we are in; none outside one.
    pub committed: Option<PathBuf>,
    /// This machine's fingerprint: only its committed baselines are looked at.
    pub fingerprint: String,
}

/// Results under one name. A baseline has a run per row, because its rows may have been saved by
/// different runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// What to call it: a run's id, a baseline's name, or a path.
    pub name: String,
    /// The results, each under the manifest it was measured with.
    pub runs: Vec<RunResults>,
}

/// Why something was not stored or found. One line that says how to go on.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file was not written or not understood.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder could not be made, listed or removed.
    #[error("{}: can't {doing} this folder: {source}", path.display())]
    Folder {
        /// What was tried.
        doing: &'static str,
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Not a name for a baseline.
    #[error(
        "`{name}` is no name for a baseline: use letters, digits, `.`, `_` and `-`, not `.` first, \
         and neither `latest` nor `exact`"
    )]
    BadName {
        /// Asked for.
        name: String,
    },
    /// No such baseline.
    #[error("no baseline `{name}`; {known}")]
    UnknownBaseline {
        /// Asked for.
        name: String,
        /// All names, as half a sentence.
        known: String,
    },
    /// Neither a path, nor a baseline, nor a run.
    #[error("`{reference}` is no results file, run's folder, baseline or run; {baselines}; {runs}")]
    UnknownReference {
        /// Asked for.
        reference: String,
        /// All baselines, as half a sentence.
        baselines: String,
        /// The last runs, as half a sentence.
        runs: String,
    },
    /// There is no run yet.
    #[error("no run with readable results in {}; `cargo consensus-bench run` makes one", home.display())]
    NoRuns {
        /// Where runs are looked for.
        home: PathBuf,
    },
    /// A file of a baseline holds none or several results.
    #[error("{}: a baseline's file holds one result, this one holds {found}; save it again", path.display())]
    NotOneResult {
        /// File.
        path: PathBuf,
        /// Results in it.
        found: usize,
    },
    /// A row that was measured elsewhere, or before this machine's kernel or compiler changed.
    #[error(
        "{}: measured on another machine ({measured_on}, this one is {here}): measure it again here",
        path.display()
    )]
    OtherMachine {
        /// File.
        path: PathBuf,
        /// Fingerprint in it.
        measured_on: String,
        /// This machine's.
        here: String,
    },
    /// There is no workspace to commit to.
    #[error(
        "no workspace here to commit a baseline to: go to a folder below a Cargo.toml with \
         [workspace] and a `baselines` folder beside it"
    )]
    NoWorkspace,
    /// There is no workspace with committed counts.
    #[error(
        "no workspace here with a `baselines/exact.json` to compare with: go to a folder below a Cargo.toml \
         with [workspace] and a `baselines` folder beside it"
    )]
    NoExactBaseline,
    /// Only local baselines are removed.
    #[error("baseline `{name}` is committed: remove it with `git rm -r {}`", path.display())]
    Committed {
        /// Asked for.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
}

impl Store {
    /// The store of this process, from its environment, executable and working folder.
    pub fn from_environment(fingerprint: &str) -> Store {
        let executable = std::env::current_exe().ok();
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Store::located(|name| std::env::var_os(name), executable.as_deref(), &here, fingerprint)
    }

    /// The same with everything it depends on as arguments.
    fn located(
        variable: impl Fn(&str) -> Option<OsString>,
        executable: Option<&Path>,
        here: &Path,
        fingerprint: &str,
    ) -> Store {
        let path_in = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let workspace = path_in("CARGO_MANIFEST_DIR")
            .and_then(|package| workspace_above(&package))
            .or_else(|| workspace_above(here));
        let home = match path_in("CONSENSUS_BENCH_HOME") {
            Some(home) => here.join(home),
            None => target_folder(path_in("CARGO_TARGET_DIR"), executable, here).join("consensus-bench"),
        };
        let committed = workspace.map(|root| root.join("baselines"));
        Store { home, committed, fingerprint: fingerprint.into() }
    }

    /// Makes the folder of a run that starts now.
    pub fn create_run(&self, label: &str) -> Result<RunFolder, StoreError> {
        RunFolder::create(&self.home, label)
    }

    /// The same for a mere test: apart from the runs, so that no name finds it.
    pub fn create_test(&self, label: &str) -> Result<RunFolder, StoreError> {
        RunFolder::create(&self.home.join(TESTS_FOLDER), label)
    }

    /// The committed file of exact metrics, which are the same on every machine.
    pub fn exact_baseline(&self) -> Result<ExactValues, StoreError> {
        let folder = self.committed.as_ref().ok_or(StoreError::NoExactBaseline)?;
        Ok(ExactValues::read(&folder.join(EXACT_FILE))?)
    }

    /// Replaces the committed file of exact metrics.
    pub fn write_exact_baseline(&self, values: &ExactValues) -> Result<PathBuf, StoreError> {
        let folder = self.committed.as_ref().ok_or(StoreError::NoExactBaseline)?;
        let path = folder.join(EXACT_FILE);
        values.write(&path)?;
        Ok(path)
    }

    /// The committed counts of instructions and allocations of this machine: the compiler decides them, so
    /// others have their own. None when there are none yet.
    pub fn instructions_baseline(&self) -> Result<Option<ExactValues>, StoreError> {
        match ExactValues::read(&self.machine_file(INSTRUCTIONS_FILE)) {
            Ok(values) => Ok(Some(values)),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the committed counts of instructions and allocations of this machine.
    pub fn write_instructions_baseline(&self, values: &ExactValues) -> Result<PathBuf, StoreError> {
        let path = self.machine_file(INSTRUCTIONS_FILE);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| folder_error("make", folder, source))?;
        }
        values.write(&path)?;
        Ok(path)
    }

    /// A file about this machine: committed beside its baselines, or in the target folder outside a workspace.
    pub fn machine_file(&self, name: &str) -> PathBuf {
        self.committed.as_ref().unwrap_or(&self.home).join(&self.fingerprint).join(name)
    }

    /// Where the history of all runs is.
    pub fn history_path(&self) -> PathBuf {
        self.home.join(HISTORY_FILE)
    }

    /// The folders of all runs, oldest first; none when they can't be listed.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let ids = run_folder::ids_in(&self.home).unwrap_or_default();
        ids.iter().map(|id| self.home.join(id)).collect()
    }

    /// The newest run with readable results. Runs that were killed before they wrote any are passed over.
    pub fn latest(&self) -> Result<RunResults, StoreError> {
        Ok(self.newest()?.0)
    }

    fn newest(&self) -> Result<(RunResults, PathBuf), StoreError> {
        let readable = |id: &String| {
            let folder = self.home.join(id);
            Some((files::read_results(&folder.join(RESULTS_FILE)).ok()?, folder))
        };
        let runs = run_folder::ids_in(&self.home)?;
        runs.iter().rev().find_map(readable).ok_or_else(|| StoreError::NoRuns { home: self.home.clone() })
    }

    /// Whether something is called as a run is, wherever its folder may be.
    pub fn is_run(reference: &str) -> bool {
        run_folder::is_id(reference)
    }

    /// The runs' files of this path within a run's folder, the newest first.
    pub fn files_of_runs(&self, file: &Path) -> Vec<PathBuf> {
        let runs = run_folder::ids_in(&self.home).unwrap_or_default();
        let paths = runs.iter().rev().map(|id| self.home.join(id).join(file));
        paths.filter(|path| path.is_file()).collect()
    }

    /// Results by a path (of a results file or a run's folder), `latest`, a baseline's name or a run's id;
    /// the first that fits, in this order.
    pub fn load(&self, reference: &str) -> Result<Recorded, StoreError> {
        Ok(self.locate(reference)?.0)
    }

    /// As [`Store::load`], with the folder of the run that was read; none for a baseline, and for a file that has
    /// another name than a run's results.
    pub fn locate(&self, reference: &str) -> Result<(Recorded, Option<PathBuf>), StoreError> {
        let path = Path::new(reference);
        let in_home = self.home.join(reference);
        let one = |file: &Path, folder: Option<&Path>| {
            let runs = vec![files::read_results(file)?];
            Ok((Recorded { name: reference.into(), runs }, folder.map(Path::to_path_buf)))
        };
        let in_folder = |folder: &Path| one(&folder.join(RESULTS_FILE), Some(folder));
        if reference.is_empty() {
            Err(self.unknown(reference))
        } else if path.is_file() {
            let is_results = path.file_name().is_some_and(|name| name == RESULTS_FILE);
            one(path, path.parent().filter(|_| is_results))
        } else if path.join(RESULTS_FILE).is_file() {
            in_folder(path)
        } else if reference == "latest" {
            let (run, folder) = self.newest()?;
            Ok((Recorded { name: run.run_id.clone(), runs: vec![run] }, Some(folder)))
        } else if self.baseline_folder(reference).is_some() {
            Ok((self.load_baseline(reference)?, None))
        } else if run_folder::is_id(reference) && in_home.join(RESULTS_FILE).is_file() {
            in_folder(&in_home)
        } else {
            Err(self.unknown(reference))
        }
    }

    /// The folder of a run by its id; none when it is not there any more, or the id is none.
    pub fn folder_of(&self, run: &RunResults) -> Option<PathBuf> {
        let folder = self.home.join(&run.run_id);
        (run_folder::is_id(&run.run_id) && folder.join(RESULTS_FILE).is_file()).then_some(folder)
    }

    fn unknown(&self, reference: &str) -> StoreError {
        let ids = run_folder::ids_in(&self.home).unwrap_or_default();
        let last: Vec<&str> = ids.iter().rev().take(RUNS_LISTED).map(String::as_str).collect();
        let runs = if last.is_empty() {
            "there are no runs yet".to_string()
        } else {
            format!("last runs: {}", last.join(", "))
        };
        StoreError::UnknownReference { reference: reference.into(), baselines: self.known_baselines(), runs }
    }
}

/// Cargo's target folder.
///
/// The folder that the executable is in comes before a relative `CARGO_TARGET_DIR`: that one is
/// meant from where cargo was called, and benches run in their package's folder.
fn target_folder(from_cargo: Option<PathBuf>, executable: Option<&Path>, here: &Path) -> PathBuf {
    let is_target = |folder: &&Path| {
        folder.join("CACHEDIR.TAG").is_file() || folder.file_name().is_some_and(|name| name == "target")
    };
    match from_cargo {
        Some(folder) if folder.is_absolute() => folder,
        relative => executable
            .and_then(|path| path.ancestors().skip(1).find(is_target))
            .map(Path::to_path_buf)
            .unwrap_or_else(|| here.join(relative.unwrap_or_else(|| "target".into()))),
    }
}

/// The nearest workspace that keeps baselines.
fn workspace_above(start: &Path) -> Option<PathBuf> {
    let is_workspace = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        folder.join("baselines").is_dir() && manifest.lines().any(|line| line.trim() == "[workspace]")
    };
    start.ancestors().find(is_workspace).map(Path::to_path_buf)
}

/// Whether a name can be a file's or a folder's without meaning anything else.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(allowed)
}

fn folder_error(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder { doing, path: path.into(), source }
}

/// The names in a folder, sorted. A folder that is not there has none.
fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| folder_error("list", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is no text is none of ours.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
