//! One run from start to end: its folder, its results on disk after every pair, its tables, and the
//! baseline that it saves or compares with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol_core::Descriptor;
use thiserror::Error;

use crate::advice::{self, Background, advise};
use crate::analysis::compare_protocols;
use crate::bench::{BenchArgs, Call};
use crate::compare::compare;
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, print_violations};
use crate::files::write_atomically;
use crate::history::{History, Retention};
use crate::hooks;
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::progress::{Line, Progress, Verbosity};
use crate::report::material::Material;
use crate::report::page::page;
use crate::report::{DEFAULT_FILE, terminal};
use crate::results::{Manifest, Outcome, RunResults, SCHEMA_VERSION, ScenarioResult};
use crate::run::Pair;
use crate::store::{Recorded, RunFolder, SaveReport, Store, StoreError, check_name};
use crate::table::{ranking_table, scenario_table};
use crate::topology;

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

/// How a run ends on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// Tables.
    #[default]
    Tables,
    /// The results as one JSON document, and nothing else.
    Json,
}

/// How a run behaves, beside what it measures.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// What it does with baselines.
    pub baselines: Baselines,
    /// How much it says while it goes on.
    pub verbosity: Verbosity,
    /// How it ends.
    pub report: Report,
    /// How its results are kept in the history; none keeps them out, as for a mere test.
    pub history: Option<Retention>,
    /// The `cargo bench` that it is a part of, whose targets end with one page and one summary.
    pub call: Option<Call>,
    /// A mere test, whose numbers are worth no page, and no place among the runs.
    pub is_test: bool,
}

/// A run in progress.
pub struct Session {
    store: Store,
    /// Made with the first pair: a target that only lists leaves nothing behind.
    folder: Option<RunFolder>,
    history: Option<History>,
    label: String,
    options: SessionOptions,
    baseline: Option<Recorded>,
    results: RunResults,
    /// What advice knows of the protocols that ran, by name.
    descriptors: BTreeMap<String, Descriptor>,
    stopped: bool,
    worst: u8,
}

impl Session {
    /// Starts a run called `label`; finds the baseline to compare with before anything is measured.
    pub fn start(label: &str, options: SessionOptions) -> Result<Session, SessionError> {
        let baselines = &options.baselines;
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
                topologies: BTreeMap::new(),
            },
            results: Vec::new(),
            analysis: None,
        };
        Ok(Session {
            store,
            folder: None,
            history: None,
            label: label.into(),
            options,
            baseline,
            results,
            descriptors: BTreeMap::new(),
            stopped: false,
            worst: EXIT_OK,
        })
    }

    /// Runs pairs one after the other, whatever becomes of each, until the run is stopped.
    pub fn run_all(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            if self.is_over() {
                break;
            }
            self.run(&pair.id(), pair);
        }
    }

    /// Whether nothing more is to run: someone interrupted the run, or a hook stopped it.
    pub fn is_over(&self) -> bool {
        self.stopped || interrupt::requested()
    }

    /// Runs one pair, and puts its result on disk and into the history at once.
    pub fn run(&mut self, id: &str, pair: &Pair) {
        let folder = match self.folder() {
            Ok(folder) => folder,
            Err(error) => return self.failed(id, &error.to_string()),
        };
        if let Err(error) = hooks::before(pair, &folder.path) {
            self.stopped = true;
            return self.failed(id, &format!("{error}\nnothing more runs"));
        }
        self.keep_topologies(pair);
        let progress = Progress::default();
        let line = Line::show(id, &progress, self.options.verbosity);
        let result = pair.run(&folder.path, &progress);
        drop(line);
        match &result.outcome {
            Outcome::Unsafe => {
                print_violations(id, &result.safety.violations);
                self.worst = EXIT_UNSAFE;
            }
            Outcome::Failed { reason } => self.failed(id, reason),
            Outcome::Completed | Outcome::Interrupted => {}
        }
        self.results.results.push(result.clone());
        self.descriptors.insert(pair.name.clone(), pair.protocol.descriptor());
        self.write(id, &folder);
        self.remember(id, &result);
        if let Err(error) = hooks::after(pair, &folder.path, &folder.results_path(), &result) {
            self.failed(id, &error.to_string());
        }
    }

    /// Keeps the topologies of files of one's own: such a file may change, or stay on this machine.
    fn keep_topologies(&mut self, pair: &Pair) {
        for name in pair.scenario.measure.topologies() {
            // One that can't be read fails its pair, which says so.
            if topology::built_in(name).is_err()
                && let Ok(read) = topology::resolve(name)
            {
                self.results.manifest.topologies.insert(name.into(), read);
            }
        }
    }

    /// Adds a result to the history. A history that can't be written fails the run, but loses nothing
    /// else.
    fn remember(&mut self, id: &str, result: &ScenarioResult) {
        let Some(retention) = self.options.history.clone() else { return };
        if self.history.is_none() {
            match History::open(&self.store.history_path()) {
                Ok(history) => self.history = Some(history),
                Err(error) => {
                    // Said once, not for every pair.
                    self.options.history = None;
                    return self.failed("history", &error.to_string());
                }
            }
        }
        let recorded = self.history.as_mut().map(|history| history.record(&self.results, result, &retention));
        if let Some(Err(error)) = recorded {
            self.failed(id, &format!("history: {error}"));
        }
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
            self.results.complete = !self.is_over();
            self.results.analysis = Some(compare_protocols(&self.results.results));
            self.write("results", &folder);
            match self.options.report {
                Report::Tables => self.show(&folder),
                Report::Json => match serde_json::to_string_pretty(&self.results) {
                    Ok(json) => say!("{json}"),
                    Err(error) => self.failed("results as JSON", &error.to_string()),
                },
            }
            self.use_baselines();
            self.advise(&folder);
            if !self.options.is_test {
                self.report(&folder);
            }
        }
        if interrupt::requested() {
            return self.worst.max(interrupt::EXIT_INTERRUPTED);
        }
        self.worst
    }

    fn show(&self, folder: &RunFolder) {
        say!("\n{}", scenario_table(&self.results.results));
        let ranking = self.results.analysis.as_ref().map(ranking_table).unwrap_or_default();
        if !ranking.is_empty() {
            say!("\n{ranking}");
        }
        say!("results: {}", folder.path.display());
    }

    /// Writes what to change beside the results, where the page finds it. A profile of the run comes later, if at all.
    fn advise(&mut self, folder: &RunFolder) {
        let known = |name: &str| self.descriptors.get(name).cloned();
        let advice = advise(&self.results, known, &Background::default());
        if let Err(error) = advice::write(&folder.path, &advice) {
            self.failed("advice", &error.to_string());
        }
    }

    /// Writes the page beside the results, and ends with the summary and the page's path. A page that can't be
    /// written fails the run, but loses nothing else.
    fn report(&mut self, folder: &RunFolder) {
        let material = Material::of_run(&self.store, self.results.clone(), &folder.path);
        let path = folder.path.join(DEFAULT_FILE);
        if let Err(error) = write_atomically(&path, page(&material).as_bytes()) {
            return self.failed("report", &error.to_string());
        }
        match self.report_on_call(folder) {
            Ok(Some((all, path))) => return self.summarise(&all, &path),
            Ok(None) => {}
            Err(error) => self.failed("report on all targets", &error.to_string()),
        }
        self.summarise(&material, &path);
    }

    /// Writes the page of all targets of this `cargo bench` so far; none while there is but one.
    fn report_on_call(&self, folder: &RunFolder) -> Result<Option<(Material, PathBuf)>, StoreError> {
        let Some(call) = self.options.call else { return Ok(None) };
        let runs = call.add(&self.store, &folder.id)?;
        if runs.len() < 2 {
            return Ok(None);
        }
        let material = Material::of_targets(&self.store, &runs)?;
        let path = self.store.home.join(DEFAULT_FILE);
        write_atomically(&path, page(&material).as_bytes())?;
        Ok(Some((material, path)))
    }

    fn summarise(&self, material: &Material, page: &Path) {
        if self.options.report == Report::Tables {
            say!("\n{}", terminal::summary(material, terminal::colours()));
            say!("report: {}", page.display());
        }
    }

    fn folder(&mut self) -> Result<RunFolder, StoreError> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let folder = match self.options.is_test {
            true => self.store.create_test(&self.label)?,
            false => self.store.create_run(&self.label)?,
        };
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
        let tables = self.options.report == Report::Tables;
        if let Some(baseline) = &self.baseline {
            let now = Recorded { name: "this run".into(), runs: vec![self.results.clone()] };
            let comparison = compare(baseline, &now);
            if tables {
                say!("\n{comparison}");
            } else {
                eprintln!("{comparison}");
            }
            if comparison.rows.is_empty() && !self.options.baselines.lenient {
                eprintln!("baseline `{}`: it has no row that this run can be compared with", baseline.name);
                // What failed says more: it may be why.
                self.worst = if self.worst == EXIT_OK { EXIT_BASELINE } else { self.worst };
            }
        }
        if let Some(name) = self.options.baselines.save.clone() {
            match self.store.save_baseline(&name, &self.results) {
                Ok(report) if tables => print_saved(&name, &report),
                Ok(report) => report.not_saved.iter().for_each(|row| {
                    eprintln!("baseline `{name}`: {} not saved: {}", row.row, row.reason);
                }),
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
pub(crate) fn git_commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}+") } else { commit })
}
