//! The command line: everything that is not `cargo bench`.

mod calibrate;
mod explore;
mod history;
mod validate;

use protocol_core::Settings;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use thiserror::Error;

use calibrate::{CalibrateError, exit_code_of_calibration};
use explore::ExploreCommandError;
use history::HistoryCommandError;
use validate::ValidateError;

use crate::calibration::{CalibrationError, check_costs};
use crate::compare::{ExactValues, compare, compare_run_exact};
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_USAGE, exit_code_of};
use crate::history::Retention;
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::progress::Verbosity;
use crate::results::ScenarioResult;
use crate::run::Limits;
use crate::scenario::{self, Measure, Scenario, ScenarioError, StorageConfig, TransportKind};
use crate::session::{Baselines, Report, Session, SessionError, SessionOptions, print_saved};
use crate::store::{EXACT_BASELINE, Store, StoreError};
use crate::suite::{Suite, SuiteError};
use crate::table::scenario_table;
use protocol_core::check_size;

/// Benchmarks for distributed consensus protocols.
#[derive(Parser)]
#[command(name = "consensus-bench", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Lists protocols, scenarios and tunables
    #[command(after_help = "Example: consensus-bench list --format json")]
    List {
        /// Profile or scenario file whose scenarios are listed
        #[command(flatten)]
        source: Source,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Runs scenarios in real time
    #[command(after_help = "Example: consensus-bench run --protocol raft-rs --scenario high_load \
                            --network tcp --storage wal --save mine")]
    Run(Box<Run>),
    /// Compares two runs or baselines, with intervals
    #[command(
        after_help = "Examples: consensus-bench compare main latest, consensus-bench compare exact latest"
    )]
    Compare {
        /// A baseline, a run's id, `latest`, a path, or `exact` for the committed counts of virtual time
        a: String,
        /// What to compare with it
        b: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// With `exact`: commit the run's counts in place of those of the same rows
        #[arg(long)]
        update: bool,
    },
    /// Baselines by name
    #[command(subcommand, after_help = "Example: consensus-bench baseline list")]
    Baseline(BaselineCommand),
    /// Results of earlier runs: a list, a metric over time, an export
    #[command(subcommand, after_help = "Example: consensus-bench history list")]
    History(history::HistoryCommand),
    /// Searches seeded schedules of faults for broken promises, in virtual time
    #[command(after_help = "Example: consensus-bench explore --protocol raft-rs --seeds 10000")]
    Explore(explore::Explore),
    /// Measures what work costs on this machine, for virtual time
    #[command(after_help = "Example: consensus-bench calibrate --protocol raft-rs")]
    Calibrate(calibrate::Calibrate),
    /// Compares virtual time, with the costs of this machine, to real time
    #[command(after_help = "Example: consensus-bench validate --protocol raft-rs --format markdown")]
    Validate(validate::Validate),
}

#[derive(Subcommand)]
enum BaselineCommand {
    /// Lists local and committed baselines
    List,
    /// Saves a finished run as a baseline
    Save {
        /// Name to save under
        name: String,
        /// A run's id, `latest`, or a path
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Prints the tables of a baseline
    Show {
        /// Which baseline
        name: String,
    },
    /// Copies a local baseline to the committed folder `baselines/`
    Promote {
        /// Which baseline
        name: String,
    },
    /// Removes a local baseline
    Rm {
        /// Which baseline
        name: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables
    Text,
    /// For machines
    Json,
}

#[derive(clap::Args)]
struct Source {
    /// Built-in scenarios: quick (seconds), full (minutes), or calibrated (virtual, with this machine's costs)
    #[arg(long, default_value = "quick")]
    profile: String,
    /// Scenarios of your own, in place of a profile
    #[arg(long, value_name = "TOML", conflicts_with = "profile")]
    file: Option<PathBuf>,
}

impl Source {
    fn scenarios(&self) -> Result<Vec<Scenario>, ScenarioError> {
        match &self.file {
            Some(path) => scenario::read(path),
            None => scenario::profile(&self.profile),
        }
    }
}

#[derive(clap::Args)]
struct Run {
    /// Protocols to run, by name; all when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Scenarios to run, by name; all of the profile when none is given
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    #[command(flatten)]
    source: Source,
    /// How messages move, in place of the scenario's
    #[arg(long, value_enum)]
    network: Option<TransportKind>,
    /// One-way delay of every link in milliseconds, in place of the scenario's
    #[arg(long, allow_negative_numbers = true)]
    delay_ms: Option<f64>,
    /// With tcp, replica i listens on this port plus i
    #[arg(long)]
    base_port: Option<u16>,
    /// Where logs are kept, in place of the scenario's
    #[arg(long, value_enum)]
    storage: Option<StorageConfig>,
    /// Size of the cluster, in place of the scenario's
    #[arg(long)]
    replicas: Option<usize>,
    /// Seed, in place of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// A tunable of the protocols, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Saves the results as a baseline
    #[arg(long, value_name = "NAME")]
    save: Option<String>,
    /// Compares the results with a baseline
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// No progress on standard error
    #[arg(long, short)]
    quiet: bool,
    /// How results are printed at the end
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Under which name the results are kept in the history
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// How long the history keeps the results
    #[arg(long, value_name = "AGE", conflicts_with = "pin")]
    keep_for: Option<String>,
    /// The history keeps the results for good
    #[arg(long)]
    pin: bool,
    /// Keeps the results out of the history
    #[arg(long, conflicts_with_all = ["namespace", "keep_for", "pin"])]
    no_history: bool,
}

/// What went wrong, with the exit code it leads to.
#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("`--set {0}` is not NAME=VALUE with a number as the value")]
    Setting(String),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    History(#[from] HistoryCommandError),
    #[error(transparent)]
    Explore(#[from] ExploreCommandError),
    #[error("`--update` commits exact counts: `compare exact RUN --update`, not `compare {a} …`")]
    UpdateWhat {
        /// What was to be compared.
        a: String,
    },
    #[error("{row} is not to be committed: {reason}")]
    NotToCommit {
        /// Scenario and protocol.
        row: String,
        /// Why.
        reason: String,
    },
    #[error("the committed counts come first: `compare exact {other}`")]
    ExactSecond {
        /// What to compare with them.
        other: String,
    },
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    #[error(transparent)]
    Validate(#[from] ValidateError),
    #[error(transparent)]
    Costs(#[from] CalibrationError),
    #[error("results as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            CliError::Session(SessionError::Folder(_)) | CliError::Json(_) => EXIT_TOOL,
            CliError::Session(SessionError::Baseline(error)) | CliError::Store(error) => exit_code_of(error),
            CliError::History(error) => error.exit_code(),
            CliError::Explore(error) => error.exit_code(),
            CliError::Calibrate(error) => error.exit_code(),
            CliError::Validate(error) => error.exit_code(),
            CliError::Costs(error) => exit_code_of_calibration(error),
            _ => EXIT_USAGE,
        }
    }
}

/// Runs the command line of a suite of protocols.
pub fn main(suite: &Suite) -> ExitCode {
    let outcome = match Arguments::parse().command {
        Subcommands::List { source, format } => list(suite, &source, format),
        Subcommands::Run(run) => run.run(suite),
        Subcommands::Compare { a, b, format, update } => compare_two(suite, &a, &b, format, update),
        Subcommands::Baseline(command) => baseline(command),
        Subcommands::History(command) => history::run(command).map_err(CliError::from),
        Subcommands::Explore(explore) => explore.run(suite).map_err(CliError::from),
        Subcommands::Calibrate(calibrate) => calibrate.run(suite).map_err(CliError::from),
        Subcommands::Validate(validate) => validate.run(suite).map_err(CliError::from),
    };
    ExitCode::from(outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit_code()
    }))
}

impl Run {
    fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        let suite = suite.select(&self.protocol)?.with_settings(&self.settings()?)?;
        // A scenario's cluster grows to what a protocol can have, but not one that someone asks for.
        if let Some(replicas) = self.replicas.filter(|&replicas| replicas > 0) {
            let sizes = suite.all().iter().map(|one| check_size(&one.protocol.descriptor(), replicas));
            sizes.collect::<Result<(), _>>().map_err(SuiteError::from)?;
        }
        let pairs = suite.pairs(&self.chosen_scenarios()?, Limits::default())?;
        check_costs(&pairs)?;
        let options = self.session_options()?;
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose results: {error}");
        }
        let mut session = Session::start("run", options)?;
        session.run_all(&pairs);
        Ok(session.finish())
    }

    fn session_options(&self) -> Result<SessionOptions, CliError> {
        let baselines = Baselines { save: self.save.clone(), compare: self.baseline.clone(), lenient: false };
        let history = if self.no_history { None } else { Some(self.retention()?) };
        Ok(SessionOptions {
            baselines,
            verbosity: if self.quiet { Verbosity::Quiet } else { Verbosity::Normal },
            report: if self.format == Format::Json { Report::Json } else { Report::Tables },
            history,
        })
    }

    fn retention(&self) -> Result<Retention, HistoryCommandError> {
        let mut retention = match &self.namespace {
            Some(name) => Retention::default().in_namespace(name)?,
            None => Retention::from_environment()?,
        };
        if let Some(text) = &self.keep_for {
            retention.keep_for = Some(history::age("--keep-for", text)?);
        }
        retention.pinned = self.pin;
        Ok(retention)
    }

    fn chosen_scenarios(&self) -> Result<Vec<Scenario>, CliError> {
        let all = self.source.scenarios()?;
        let mut chosen = match self.scenario.as_slice() {
            [] => all,
            names => {
                names.iter().map(|name| scenario::find(&all, name).cloned()).collect::<Result<Vec<_>, _>>()?
            }
        };
        for scenario in &mut chosen {
            self.override_scenario(scenario);
            scenario.check("command line")?;
        }
        Ok(chosen)
    }

    fn override_scenario(&self, scenario: &mut Scenario) {
        let network = &mut scenario.network;
        network.kind = self.network.unwrap_or(network.kind);
        network.delay_ms = self.delay_ms.unwrap_or(network.delay_ms);
        network.base_port = self.base_port.or(network.base_port);
        scenario.storage = self.storage.unwrap_or(scenario.storage);
        if let Some(replicas) = self.replicas {
            scenario.replicas = replicas;
            // These bring their own sizes, which an override must not leave as they are.
            match &mut scenario.measure {
                Measure::Scalability(sweep) => sweep.replicas = vec![replicas],
                Measure::Exact(plan) => plan.replicas = vec![replicas],
                _ => {}
            }
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
    }

    fn settings(&self) -> Result<BTreeMap<String, f64>, CliError> {
        let parse = |setting: &String| {
            let (name, value) = setting.split_once('=')?;
            Some((name.trim().to_string(), value.trim().parse().ok()?))
        };
        self.settings
            .iter()
            .map(|setting| parse(setting).ok_or_else(|| CliError::Setting(setting.clone())))
            .collect()
    }
}

fn list(suite: &Suite, source: &Source, format: Format) -> Result<u8, CliError> {
    let scenarios = source.scenarios()?;
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&list_json(suite, &scenarios))?),
        Format::Text => print_list(suite, &scenarios),
    }
    Ok(EXIT_OK)
}

fn print_list(suite: &Suite, scenarios: &[Scenario]) {
    say!("Protocols");
    for registration in suite.all() {
        let protocol = registration.protocol.descriptor();
        // They were checked when the protocol was registered.
        let settings = Settings::checked(registration.settings.clone(), &protocol).unwrap_or_default();
        let (low, high) = protocol.cluster_sizes;
        say!("  {} ({}): {}", registration.name, protocol.family.name(), protocol.implementation);
        say!("      commit: {}", protocol.commit_means);
        say!(
            "      {low} to {high} replicas; 3 tolerate {}, 5 tolerate {}",
            (protocol.tolerates)(3, &settings),
            (protocol.tolerates)(5, &settings)
        );
        for tunable in protocol.tunables {
            let (low, high) = tunable.range;
            say!("      --set {}={} ({low} to {high}): {}", tunable.name, tunable.default, tunable.about);
        }
    }
    say!("Scenarios");
    for scenario in scenarios {
        say!("  {} ({}): {}", scenario.name, scenario.measure.name(), scenario.about);
    }
}

fn list_json(suite: &Suite, scenarios: &[Scenario]) -> serde_json::Value {
    let protocols: Vec<_> = suite
        .all()
        .iter()
        .map(|registration| {
            let protocol = registration.protocol.descriptor();
            let tunables: Vec<_> = protocol
                .tunables
                .iter()
                .map(|tunable| {
                    serde_json::json!({
                        "name": tunable.name, "about": tunable.about, "low": tunable.range.0,
                        "high": tunable.range.1, "default": tunable.default, "live": tunable.live,
                    })
                })
                .collect();
            serde_json::json!({
                "name": registration.name, "family": protocol.family.name(),
                "implementation": protocol.implementation, "commit_means": protocol.commit_means,
                "smallest": protocol.cluster_sizes.0, "largest": protocol.cluster_sizes.1,
                "tunables": tunables,
            })
        })
        .collect();
    serde_json::json!({ "protocols": protocols, "scenarios": scenarios })
}

fn compare_two(suite: &Suite, a: &str, b: &str, format: Format, update: bool) -> Result<u8, CliError> {
    let store = store();
    if a == EXACT_BASELINE {
        return compare_with_exact(suite, &store, b, format, update);
    }
    if update {
        return Err(CliError::UpdateWhat { a: a.into() });
    }
    if b == EXACT_BASELINE {
        return Err(CliError::ExactSecond { other: a.into() });
    }
    let comparison = compare(&store.load(a)?, &store.load(b)?);
    match format {
        Format::Text => say!("{comparison}"),
        Format::Json => say!("{}", serde_json::to_string_pretty(&comparison)?),
    }
    Ok(if comparison.rows.is_empty() { EXIT_BASELINE } else { EXIT_OK })
}

/// The committed counts are those of the quick profile.
fn compare_with_exact(
    suite: &Suite,
    store: &Store,
    run: &str,
    format: Format,
    update: bool,
) -> Result<u8, CliError> {
    let recorded = store.load(run)?;
    let results: Vec<&ScenarioResult> = recorded.runs.iter().flat_map(|run| &run.results).collect();
    let (committed, scenarios) = (store.exact_baseline()?, scenario::profile("quick")?);
    // A protocol that can't have the size of a scenario's cluster has another.
    let expected = |result: &ScenarioResult| {
        let scenario = scenario::find(&scenarios, &result.scenario.name).ok()?;
        let registration = suite.get(&result.protocol).ok();
        Some(
            registration
                .map_or_else(|| scenario.clone(), |one| one.pair(scenario, Limits::default()).scenario),
        )
    };
    let comparison = compare_run_exact(&committed, results.iter().copied(), expected);
    match format {
        Format::Text => say!("{comparison}"),
        Format::Json => say!("{}", serde_json::to_string_pretty(&comparison)?),
    }
    if update {
        if let Some(refused) = comparison.refused.first() {
            return Err(CliError::NotToCommit { row: refused.name.clone(), reason: refused.reason.clone() });
        }
        let counted = results.into_iter().filter(|result| result.scenario.measure.is_virtual());
        let path = store.write_exact_baseline(&committed.with(ExactValues::of(counted)))?;
        eprintln!("written: {}", path.display());
        return Ok(EXIT_OK);
    }
    Ok(if comparison.compared == 0 { EXIT_BASELINE } else { EXIT_OK })
}

fn baseline(command: BaselineCommand) -> Result<u8, CliError> {
    let store = store();
    match command {
        BaselineCommand::List => {
            let entries = store.list_baselines()?;
            if entries.is_empty() {
                say!("no baselines; `cargo bench -- --save-baseline NAME` makes one");
            }
            for entry in entries {
                say!(
                    "{} ({}, {} rows): {}",
                    entry.name,
                    entry.place.name(),
                    entry.rows,
                    entry.path.display()
                );
            }
        }
        BaselineCommand::Save { name, run } => {
            for results in &store.load(&run)?.runs {
                print_saved(&name, &store.save_baseline(&name, results)?);
            }
        }
        BaselineCommand::Show { name } => {
            let rows: Vec<_> =
                store.load_baseline(&name)?.runs.into_iter().flat_map(|run| run.results).collect();
            say!("{}", scenario_table(&rows));
        }
        BaselineCommand::Promote { name } => {
            store.promote(&name)?.iter().for_each(|path| say!("{}", path.display()));
        }
        BaselineCommand::Rm { name } => store.remove(&name)?,
    }
    Ok(EXIT_OK)
}

/// A line on standard error that says what runs now; hidden where no one watches.
fn step_line() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let line = ProgressBar::new_spinner();
    line.enable_steady_tick(Duration::from_millis(200));
    line
}

fn store() -> Store {
    Store::from_environment(&machine::describe().fingerprint)
}
