//! `consensus-bench profile`: a scenario's load under a profiler, and what two profiles differ in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use protocol_core::Order;
use thiserror::Error;

use super::{CliError, Format, Source, settings, step_line, store};
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE};
use crate::files::{FileError, write_atomically};
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::profile::{
    AllocationSites, Attribution, HeapProfile, HeapProfileError, LoadRecord, PROFILE_FOLDER, ProfileError,
    ProfileFiles, Profiled, ProfiledLoad, Sampling, allocations_text, attribute, attribution_text,
    difference, difference_text, run_load,
};
use crate::run::{Limits, Pair, RunError};
use crate::scenario;
use crate::session::git_commit;
use crate::store::StoreError;
use crate::suite::Suite;

/// How long a load may be profiled.
const TIMES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));
/// The difference's flame graph, in the folder of the second profile.
const DIFFERENCE_GRAPH: &str = "flamegraph-diff.svg";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Profile {
    #[command(subcommand)]
    command: Option<ProfileCommand>,
    #[command(flatten)]
    make: MakeProfile,
}

#[derive(Subcommand)]
enum ProfileCommand {
    /// Says which kinds of work and which crates cost more or less per commit in B than in A
    #[command(after_help = "Example: cargo consensus-bench profile diff \
                            20261121T114500.123Z-profile latest")]
    Diff(ProfileDifference),
}

#[derive(Args)]
struct MakeProfile {
    /// Scenario whose cluster and commands are profiled
    scenario: Option<String>,
    /// Protocol
    protocol: Option<String>,
    #[command(flatten)]
    source: Source,
    /// How long to profile: 500ms, 3s, 1m; up to five times as long while there are too few samples
    #[arg(long, default_value = "3s", value_name = "TIME")]
    time: String,
    /// Clients of a closed loop, in place of the scenario's
    #[arg(long)]
    clients: Option<usize>,
    /// An open loop with so many requests per second, in place of a closed loop
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "clients", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// A tunable of the protocol, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Where memory is taken, in place of where time is spent; takes a build with the feature `dhat`
    #[arg(long)]
    allocations: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Args)]
struct ProfileDifference {
    /// A profile by its folder, its run's id, or `latest`
    a: String,
    /// What it is compared with
    b: String,
    /// Where to draw the difference, in place of the folder of B
    #[arg(long, value_name = "SVG")]
    output: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why there is no profile.
#[derive(Debug, Error)]
pub(super) enum ProfileCommandError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what to profile? `cargo consensus-bench profile SCENARIO PROTOCOL`, or `profile diff A B`")]
    Nothing,
    #[error("`--time {0}` is no time from 100ms to 10m")]
    Time(String),
    #[error("`--{what} {value}` is outside {allowed}")]
    OutOfRange { what: &'static str, value: String, allowed: &'static str },
    #[error("scenario `{0}` runs in virtual time, where nothing takes real CPU time: profile another one")]
    Virtual(String),
    #[error("{0} has no closed loop, for its updates may miss a replica: give it a `--rate`")]
    NoClosedLoop(String),
}

impl ProfileCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            ProfileCommandError::Store(_) => EXIT_TOOL,
            ProfileCommandError::Profile(error) => match error {
                ProfileError::Run(RunError::Unsafe(_)) => EXIT_UNSAFE,
                ProfileError::Unknown { .. } | ProfileError::Heap(HeapProfileError::NotBuilt) => EXIT_USAGE,
                ProfileError::File(
                    FileError::Unreadable { .. }
                    | FileError::Unwritable { .. }
                    | FileError::NotReadableBack { .. },
                ) => EXIT_TOOL,
                ProfileError::File(_) | ProfileError::Folded { .. } => EXIT_USAGE,
                _ => EXIT_TOOL,
            },
            _ => EXIT_USAGE,
        }
    }
}

impl Profile {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        match &self.command {
            Some(ProfileCommand::Diff(compared)) => compared.run(),
            None => self.make.run(suite),
        }
    }
}

impl MakeProfile {
    fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        let time = self.time()?;
        let pair = self.pair(suite)?;
        let load = self.load(&pair)?;
        if self.allocations && !HeapProfile::IS_BUILT {
            return Err(failed(HeapProfileError::NotBuilt.into()));
        }
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose the profile: {error}");
        }
        let store = store();
        let run_folder = store.create_run("profile").map_err(ProfileCommandError::from)?.path;
        let made = match self.allocations {
            true => self.profile_heap(&pair, load, time, &run_folder),
            false => self.profile_cpu(&pair, load, time, &run_folder),
        };
        if made.is_err() {
            // Each fails when something is in the folder, and then it is to stay.
            std::fs::remove_dir(run_folder.join(PROFILE_FOLDER)).ok();
            std::fs::remove_dir(&run_folder).ok();
        }
        made?;
        Ok(if interrupt::requested() { interrupt::EXIT_INTERRUPTED } else { EXIT_OK })
    }

    fn time(&self) -> Result<Duration, ProfileCommandError> {
        let time = humantime::parse_duration(&self.time).ok();
        time.filter(|time| (TIMES.0..=TIMES.1).contains(time))
            .ok_or_else(|| ProfileCommandError::Time(self.time.clone()))
    }

    fn pair(&self, suite: &Suite) -> Result<Pair, CliError> {
        let (Some(scenario), Some(protocol)) = (&self.scenario, &self.protocol) else {
            return Err(ProfileCommandError::Nothing.into());
        };
        let scenario = scenario::find(&self.source.scenarios()?, scenario)?.clone();
        if scenario.measure.is_virtual() {
            return Err(ProfileCommandError::Virtual(scenario.name).into());
        }
        let suite = suite.select(std::slice::from_ref(protocol))?;
        let suite = suite.with_settings(&settings::parse(&self.settings)?)?;
        let mut pairs = suite.pairs(&[scenario], Limits::default())?;
        // One name selects one protocol.
        pairs.pop().ok_or_else(|| ProfileCommandError::Nothing.into())
    }

    /// The scenario's clients in a closed loop, unless something else is asked for or can't be had.
    fn load(&self, pair: &Pair) -> Result<ProfiledLoad, ProfileCommandError> {
        let out_of_range = |what, value, allowed| ProfileCommandError::OutOfRange { what, value, allowed };
        if let Some(rate_per_s) = self.rate {
            return match rate_per_s {
                rate_per_s if (1.0..=1e7).contains(&rate_per_s) => Ok(ProfiledLoad::Open { rate_per_s }),
                _ => Err(out_of_range("rate", rate_per_s.to_string(), "1 to 10000000")),
            };
        }
        if pair.protocol.descriptor().order == Order::Set {
            return Err(ProfileCommandError::NoClosedLoop(pair.name.clone()));
        }
        let clients = self.clients.unwrap_or(pair.scenario.clients);
        if (1..=100_000).contains(&clients) {
            Ok(ProfiledLoad::Closed { clients })
        } else {
            Err(out_of_range("clients", clients.to_string(), "1 to 100000"))
        }
    }

    fn profile_cpu(
        &self,
        pair: &Pair,
        load: ProfiledLoad,
        time: Duration,
        run_folder: &Path,
    ) -> Result<(), CliError> {
        let line = step_line();
        line.set_message(format!("profiling {} for {}", pair.id(), humantime::format_duration(time)));
        let watched =
            run_load(pair, load, time, run_folder, || Ok(Sampling::start()?), |one| Ok(one.stop()?));
        line.finish_and_clear();
        let (record, samples) = watched.map_err(failed)?;
        let mut attribution = attribute(&samples, profiled(pair, load, &record), record.cpu_ns_per_commit);
        if !record.disturbed.is_empty() {
            attribution.disturbed = record.disturbed;
        }
        (attribution.waits, attribution.runtime) = (record.waits, record.runtime);
        let files =
            ProfileFiles::write(&run_folder.join(PROFILE_FOLDER), &samples, &attribution).map_err(failed)?;
        self.print_attribution(&attribution, &files)
    }

    fn print_attribution(&self, attribution: &Attribution, files: &ProfileFiles) -> Result<(), CliError> {
        if self.format == Format::Json {
            say!("{}", serde_json::to_string_pretty(attribution)?);
            return Ok(());
        }
        say!("{}\n", attribution_text(attribution));
        say!("flame graph: {}", files.flame_graph().display());
        say!("profile: {} with {}", files.folder.display(), ProfileFiles::names());
        Ok(())
    }

    fn profile_heap(
        &self,
        pair: &Pair,
        load: ProfiledLoad,
        time: Duration,
        run_folder: &Path,
    ) -> Result<(), CliError> {
        let folder = run_folder.join(PROFILE_FOLDER);
        std::fs::create_dir(&folder)
            .map_err(|source| failed(ProfileError::Folder { path: folder.clone(), source }))?;
        let start = {
            let folder = folder.clone();
            move || Ok(HeapProfile::start(&folder)?)
        };
        let (record, heap) =
            run_load(pair, load, time, run_folder, start, |heap| Ok(heap.stop()?)).map_err(failed)?;
        let sites = AllocationSites::of(&heap, profiled(pair, load, &record), record.commits);
        let path = sites.write(&folder).map_err(|error| failed(error.into()))?;
        if self.format == Format::Json {
            say!("{}", serde_json::to_string_pretty(&sites)?);
            return Ok(());
        }
        say!("{}\n", allocations_text(&sites));
        say!("allocations: {}, and {} for dhat's viewer", path.display(), heap.path.display());
        Ok(())
    }
}

fn profiled(pair: &Pair, load: ProfiledLoad, record: &LoadRecord) -> Profiled {
    Profiled {
        scenario: pair.scenario.name.clone(),
        protocol: pair.name.clone(),
        settings: pair.settings.clone(),
        load,
        commits: Some(record.commits),
        machine: machine::describe().fingerprint,
        commit: git_commit(),
    }
}

impl ProfileDifference {
    fn run(&self) -> Result<u8, CliError> {
        let store = store();
        let before = ProfileFiles::find(&self.a, &store).map_err(failed)?;
        let after = ProfileFiles::find(&self.b, &store).map_err(failed)?;
        let compared =
            difference(&before.attribution().map_err(failed)?, &after.attribution().map_err(failed)?);
        let graph = self.output.clone().unwrap_or_else(|| after.folder.join(DIFFERENCE_GRAPH));
        let drawn = after.draw_difference(&before, compared.measured).map_err(failed)?;
        write_atomically(&graph, &drawn).map_err(|error| failed(error.into()))?;
        if self.format == Format::Json {
            say!("{}", serde_json::to_string_pretty(&compared)?);
        } else {
            say!("{}\n", difference_text(&compared));
            say!("flame graph: {}", graph.display());
        }
        Ok(EXIT_OK)
    }
}

fn failed(error: ProfileError) -> CliError {
    ProfileCommandError::from(error).into()
}
