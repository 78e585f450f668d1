//! One run from start to end: its folder, its results on disk after every pair, its tables, and the
//! baseline that it saves or compares with.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::bench::BenchArgs;
use crate::compare::compare;
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, print_violations};
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::results::{Manifest, Outcome, RunResults, SCHEMA_VERSION};
use crate::run::Pair;
use crate::store::{Recorded, RunFolder, SaveReport, Store, StoreError, check_name};
use crate::table::scenario_table;

/// Why a run did not start.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The baseline to compare with, or the name to save under, is not usable.
    #[error(transparent)]
    Baseline(StoreError),
    /// The run's folder can't be made.
    #[error(transparent)]
    Folder(StoreError),
}

/// What a run does with baselines.
#[derive(Clone, Debug, Default)]
pub struct Baselines {
    /// Keep the results under this name.
    pub save: Option<String>,
    /// Compare with the results of this name.
    pub compare: Option<String>,
    /// A baseline that is missing is no error.
    pub lenient: bool,
}

impl From<&BenchArgs> for Baselines {
    fn from(args: &BenchArgs) -> Self {
        Baselines { save: args.save_baseline.clone(), compare: args.baseline.clone(), lenient: args.lenient }
    }
}

/// A run in progress.
pub struct Session {
    store: Store,
    /// Made with the first pair: a target that only lists leaves nothing behind.
    folder: Option<RunFolder>,
    label: String,
    save: Option<String>,
    baseline: Option<Recorded>,
    results: RunResults,
    quiet: bool,
    worst: u8,
}

impl Session {
    /// Starts a run called `label`; finds the baseline to compare with before anything is measured.
    pub fn start(label: &str, baselines: impl Into<Baselines>) -> Result<Session, SessionError> {
        let baselines = baselines.into();
        let machine = machine::describe();
        let store = Store::from_environment(&machine.fingerprint);
        if let Some(name) = &baselines.save {
            check_name(name).map_err(SessionError::Baseline)?;
        }
        let baseline = match baselines.compare.as_deref().map(|name| store.load_baseline(name)) {
            None => None,
            Some(Ok(recorded)) => Some(recorded),
            Some(Err(_)) if baselines.lenient => None,
            Some(Err(error)) => return Err(SessionError::Baseline(error)),
        };
        let results = RunResults {
            schema_version: SCHEMA_VERSION,
            run_id: String::new(),
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            complete: false,
            manifest: Manifest {
                harness_version: env!("CARGO_PKG_VERSION").into(),
                commit: git_commit(),
                command: command_line(),
                machine,
                client_placement: "with the leader: latency holds no hop between client and replica".into(),
            },
            results: Vec::new(),
        };
        Ok(Session {
            store,
            folder: None,
            label: label.into(),
            save: baselines.save,
            baseline,
            results,
            quiet: false,
            worst: EXIT_OK,
        })
    }

    /// Says nothing on standard error while it runs.
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Runs one pair, and puts its result on disk at once.
    pub fn run(&mut self, id: &str, pair: &Pair) {
        let folder = match self.folder() {
            Ok(folder) => folder,
            Err(error) => return self.failed(id, &error.to_string()),
        };
        if !self.quiet {
            let seconds: f64 = pair.scenario.phases.iter().map(|phase| phase.duration_s).sum();
            eprintln!("{id}: running {seconds:.1} s of load");
        }
        let result = pair.run(&folder.path);
        match &result.outcome {
            Outcome::Unsafe => {
                print_violations(id, &result.safety.violations);
                self.worst = EXIT_UNSAFE;
            }
            Outcome::Failed { reason } => self.failed(id, reason),
            Outcome::Completed | Outcome::Interrupted => {}
        }
        self.results.results.push(result);
        self.write(id, &folder);
    }

    /// Notes that something did not run.
    pub fn failed(&mut self, id: &str, reason: &str) {
        eprintln!("FAILED {id}: {reason}");
        self.worst = self.worst.max(EXIT_TOOL);
    }

    /// The results so far.
    pub fn results(&self) -> &RunResults {
        &self.results
    }

    /// Ends the run: final results on disk, tables, baselines. Returns the exit code.
    pub fn finish(mut self) -> u8 {
        if let Some(folder) = self.folder.clone() {
            self.results.complete = !interrupt::requested();
            self.write("results", &folder);
            say!("\n{}", scenario_table(&self.results.results));
            say!("results: {}", folder.path.display());
            self.use_baselines();
        }
        if interrupt::requested() {
            return self.worst.max(interrupt::EXIT_INTERRUPTED);
        }
        self.worst
    }

    fn folder(&mut self) -> Result<RunFolder, StoreError> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let folder = self.store.create_run(&self.label)?;
        self.results.run_id.clone_from(&folder.id);
        self.folder = Some(folder.clone());
        Ok(folder)
    }

    fn write(&mut self, id: &str, folder: &RunFolder) {
        if let Err(error) = folder.write_results(&self.results) {
            self.failed(id, &error.to_string());
        }
    }

    fn use_baselines(&mut self) {
        if let Some(baseline) = &self.baseline {
            let now = Recorded { name: "this run".into(), runs: vec![self.results.clone()] };
            say!("\n{}", compare(baseline, &now));
        }
        if let Some(name) = self.save.clone() {
            match self.store.save_baseline(&name, &self.results) {
                Ok(report) => print_saved(&name, &report),
                Err(error) => self.failed("save-baseline", &error.to_string()),
            }
        }
    }
}

/// Tells what a baseline now holds, and what it could not take.
pub(crate) fn print_saved(name: &str, report: &SaveReport) {
    say!("baseline `{name}`: {} rows saved", report.saved.len());
    for row in &report.not_saved {
        say!("baseline `{name}`: {} not saved: {}", row.row, row.reason);
    }
}

/// The command, with the program's name but not its folder: results travel to other machines.
fn command_line() -> Vec<String> {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::iter::once(name).chain(arguments).collect()
}

/// The commit of the working tree, with `+` when it was changed since; none outside git.
fn git_commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}+") } else { commit })
}
