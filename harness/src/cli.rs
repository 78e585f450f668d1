//! The command line: everything that is not `cargo bench`.

mod baseline;
mod block;
mod calibrate;
mod calibrate_gate;
mod compare;
mod explain;
mod explore;
mod export;
mod gate;
mod history;
mod list;
mod model;
mod overrides;
mod profile;
mod quorums;
mod recommend;
mod report;
mod run;
mod settings;
mod tune;
mod validate;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use thiserror::Error;

use baseline::BaselineCommand;
use calibrate::{CalibrateError, exit_code_of_calibration};
use calibrate_gate::CalibrateGateError;
use explore::ExploreCommandError;
use export::ExportCommandError;
use gate::GateCommandError;
use history::HistoryCommandError;
use model::ModelCommandError;
use profile::ProfileCommandError;
use quorums::QuorumsCommandError;
use report::ReportError;
use validate::ValidateError;

use crate::calibration::CalibrationError;
use crate::exit::{EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE, exit_code_of, exit_code_of_file};
use crate::files::FileError;
use crate::gate::GateError;
use crate::machine;
use crate::run::RunError;
use crate::scenario::{self, Scenario, ScenarioError};
use crate::session::SessionError;
use crate::store::{Store, StoreError};
use crate::suite::{Suite, SuiteError};
use crate::trial::{TargetError, TrialError};
use crate::tune::TuneError;

/// Benchmarks for distributed consensus protocols.
#[derive(Parser)]
#[command(name = "consensus-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Lists protocols, scenarios and tunables
    #[command(after_help = "Example: cargo consensus-bench list --format json")]
    List {
        /// Profile or scenario file whose scenarios are listed
        #[command(flatten)]
        source: Source,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Runs scenarios, each in real or in virtual time as it says
    #[command(after_help = "Example: cargo consensus-bench run --protocol raft-rs --scenario high_load \
                            --network tcp --storage wal --save mine")]
    Run(Box<run::Run>),
    /// Compares two runs or baselines, with intervals
    #[command(
        after_help = "Examples: cargo consensus-bench compare main latest, cargo consensus-bench compare exact latest"
    )]
    Compare {
        /// A baseline, a run's id, `latest` (the newest run: one target of a `cargo bench`), a path, or `exact`
        /// for the committed counts of virtual time
        a: String,
        /// What to compare with it
        b: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Baselines by name
    #[command(subcommand, after_help = "Example: cargo consensus-bench baseline list")]
    Baseline(BaselineCommand),
    /// Results of earlier runs: a list, a metric over time, an export
    #[command(subcommand, after_help = "Example: cargo consensus-bench history list")]
    History(history::HistoryCommand),
    /// Writes the numbers of a run for other tools: Bencher, github-action-benchmark, critcmp, Prometheus
    #[command(
        after_help = "Example: cargo consensus-bench export latest --format bencher --output numbers.json"
    )]
    Export(export::Export),
    /// Says what to change, by the results of a run
    #[command(after_help = "Example: cargo consensus-bench recommend --format markdown")]
    Recommend(recommend::Recommend),
    /// Explains a rule of advice
    #[command(after_help = "Example: cargo consensus-bench explain batch-too-small")]
    Explain(explain::Explain),
    /// Writes a page to look at: one run, several as one, or two against each other
    #[command(
        after_help = "Examples: cargo consensus-bench report, cargo consensus-bench report main latest, \
                            cargo consensus-bench report latest --format text\n\n\
                            `latest` is the newest run; after a `cargo bench` that is its last target alone."
    )]
    Report(report::Report),
    /// Searches seeded schedules of faults for broken promises, in virtual time
    #[command(after_help = "Example: cargo consensus-bench explore --protocol raft-rs --seeds 10000")]
    Explore(explore::Explore),
    /// Measures what work costs on this machine, for virtual time
    #[command(after_help = "Example: cargo consensus-bench calibrate --protocol raft-rs")]
    Calibrate(calibrate::Calibrate),
    /// Compares virtual time, with the costs of this machine, to real time
    #[command(after_help = "Example: cargo consensus-bench validate --protocol raft-rs --format markdown")]
    Validate(validate::Validate),
    /// Profiles a scenario's load: whose CPU time it is and what for, and where requests wait
    #[command(after_help = "Examples: cargo consensus-bench profile high_load raft-rs, \
                            cargo consensus-bench profile diff BEFORE AFTER")]
    Profile(Box<profile::Profile>),
    /// Finds settings that serve a goal better, and proves it side by side with what is set now
    #[command(
        after_help = "Examples: cargo consensus-bench tune raft-rs --scenario high_load --goal max-throughput, \
                            cargo consensus-bench tune pbft --scenario low_load --goal min-p99 --delay-ms 20 \
                            --apply tuned.toml"
    )]
    Tune(Box<tune::Tune>),
    /// Fits a performance model to runs, and predicts settings that were not run
    #[command(
        after_help = "Example: cargo consensus-bench model raft-rs latest --predict clients=128,replicas=5 --predict rate=50000"
    )]
    Model(model::ModelCommand),
    /// Ranks read and write quorums for a topology and a share of reads
    #[command(
        after_help = "Example: cargo consensus-bench quorums abd --topology wan5 --read-share 0.9 --verify"
    )]
    Quorums(quorums::QuorumsCommand),
    /// Says whether a change may get in, and exits with 3 when it regresses
    #[command(
        after_help = "Examples: cargo consensus-bench gate, cargo consensus-bench gate --base origin/main"
    )]
    Gate(gate::Gate),
    /// Compares two builds side by side, process by process
    #[command(after_help = "Example: cargo consensus-bench pair ./before ./after --protocol raft-rs")]
    Pair(gate::PairPrograms),
    /// Measures this machine's noise, and so which benchmarks may block in a gate
    #[command(after_help = "Example: cargo consensus-bench calibrate-gate --protocol raft-rs")]
    CalibrateGate(calibrate_gate::CalibrateGate),
    /// Measures one block of a paired run
    #[command(hide = true)]
    Block(block::MeasureBlock),
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
    /// The same flags again, to be written into a command.
    fn flags(&self) -> String {
        match &self.file {
            Some(path) => format!(" --file {}", path.display()),
            None if self.profile == "quick" => String::new(),
            None => format!(" --profile {}", self.profile),
        }
    }

    fn scenarios(&self) -> Result<Vec<Scenario>, ScenarioError> {
        match &self.file {
            Some(path) => scenario::read(path),
            None => scenario::profile(&self.profile),
        }
    }
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
    #[error(transparent)]
    Export(#[from] ExportCommandError),
    #[error(transparent)]
    Report(#[from] ReportError),
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
    #[error("no rule `{rule}`; there are: {known}")]
    UnknownRule {
        /// Asked for.
        rule: String,
        /// All rules.
        known: String,
    },
    #[error(transparent)]
    NothingToAdvise(StoreError),
    #[error("run {run} has no results of protocol `{protocol}`")]
    NotInRun {
        /// Asked for.
        protocol: String,
        /// The run.
        run: String,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("verifying: {0}")]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    #[error(transparent)]
    Validate(#[from] ValidateError),
    #[error(transparent)]
    Model(#[from] ModelCommandError),
    #[error(transparent)]
    Quorums(#[from] QuorumsCommandError),
    #[error(transparent)]
    Costs(#[from] CalibrationError),
    #[error(transparent)]
    Gate(#[from] GateCommandError),
    #[error(transparent)]
    Counts(#[from] GateError),
    #[error(transparent)]
    CalibrateGate(#[from] CalibrateGateError),
    #[error(transparent)]
    Profile(#[from] ProfileCommandError),
    #[error(transparent)]
    Block(#[from] RunError),
    #[error("{}: {reason}", path.display())]
    SettingsFile {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    #[error("`--budget {0}` is no time: write a number with its unit, as in 90s or 5m")]
    Budget(String),
    #[error(transparent)]
    Tune(#[from] TuneError),
    #[error(transparent)]
    Target(#[from] TargetError),
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
            CliError::Export(error) => error.exit_code(),
            CliError::Trial(_) | CliError::NothingToAdvise(StoreError::Folder { .. }) => EXIT_TOOL,
            CliError::File(error) => exit_code_of_file(error),
            CliError::Report(error) => error.exit_code(),
            CliError::Calibrate(error) => error.exit_code(),
            CliError::Validate(error) => error.exit_code(),
            CliError::Model(error) => error.exit_code(),
            CliError::Quorums(error) => error.exit_code(),
            CliError::Costs(error) => exit_code_of_calibration(error),
            CliError::Gate(error) => error.exit_code(),
            CliError::Counts(error) => error.exit_code(),
            CliError::CalibrateGate(error) => error.exit_code(),
            CliError::Profile(error) => error.exit_code(),
            CliError::Block(RunError::Unsafe(_)) => EXIT_UNSAFE,
            CliError::Block(_) => EXIT_TOOL,
            CliError::Tune(error) => tune::exit_code(error),
            _ => EXIT_USAGE,
        }
    }
}

/// Runs the command line of a suite of protocols.
pub fn main(suite: &Suite) -> ExitCode {
    let outcome = match Arguments::parse().command {
        Subcommands::List { source, format } => list::list(suite, &source, format),
        Subcommands::Run(run) => run.run(suite),
        Subcommands::Compare { a, b, format } => compare::compare_two(suite, &a, &b, format),
        Subcommands::Baseline(command) => baseline::baseline(suite, command),
        Subcommands::History(command) => history::run(command).map_err(CliError::from),
        Subcommands::Export(export) => export.run().map_err(CliError::from),
        Subcommands::Recommend(recommend) => recommend.run(suite),
        Subcommands::Explain(explain) => explain.run(),
        Subcommands::Report(report) => report.run().map_err(CliError::from),
        Subcommands::Explore(explore) => explore.run(suite).map_err(CliError::from),
        Subcommands::Calibrate(calibrate) => calibrate.run(suite).map_err(CliError::from),
        Subcommands::Tune(tune) => tune.run(suite),
        Subcommands::Validate(validate) => validate.run(suite).map_err(CliError::from),
        Subcommands::Model(model) => model.run(suite).map_err(CliError::from),
        Subcommands::Quorums(quorums) => quorums.run(suite).map_err(CliError::from),
        Subcommands::Gate(gate) => gate.run(suite).map_err(CliError::from),
        Subcommands::Pair(pair) => pair.run(suite).map_err(CliError::from),
        Subcommands::CalibrateGate(calibrate) => calibrate.run(suite).map_err(CliError::from),
        Subcommands::Profile(profile) => profile.run(suite),
        Subcommands::Block(block) => block.run(suite),
    };
    ExitCode::from(outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit_code()
    }))
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
