//! Bench targets: a scenario and one call. The only module that sees Criterion and pprof.
//!
//! Ids read `scenario/protocol/parameter=value`. A target obeys Criterion's flags for Criterion's
//! part (closed loop) and for the harness's own (open loop, in phases).

mod args;
mod closed;
mod profiler;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use protocol_core::Protocol;

pub use args::BenchArgs;
pub use profiler::PprofProfiler;

use crate::exit::{EXIT_BASELINE, EXIT_USAGE, exit_code_of};
use crate::interrupt;
use crate::run::{Limits, Pair};
use crate::scenario::{self, Scenario, ScenarioError};
use crate::session::{Baselines, Session, SessionError};
use crate::store::Store;

/// Chooses the profile of the scenario targets; the default is `quick`.
pub const PROFILE_VARIABLE: &str = "CONSENSUS_BENCH_PROFILE";
/// A scenario file to use in place of a profile.
pub const FILE_VARIABLE: &str = "CONSENSUS_BENCH_SCENARIOS";

/// Clients of the `commit` target.
const COMMIT_CLIENTS: [usize; 3] = [1, 64, 256];
/// Phases of a scenario under `--test`: long enough to send something.
const TEST_PHASE_S: f64 = 0.2;
const TEST_RATE_PER_S: f64 = 1_000.0;

/// The target `commit`: the closed loop alone, with 1, 64 and 256 clients.
pub fn commit(protocols: &[Arc<dyn Protocol>]) -> ExitCode {
    match commit_scenario() {
        Ok(scenario) => target(protocols, &scenario, &COMMIT_CLIENTS, false),
        Err(error) => usage(&error),
    }
}

/// One benchmark of the target `commit` inside `group` of another target, whose name is given too.
pub fn commit_closed_loop(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    args: &BenchArgs,
    protocol: &Arc<dyn Protocol>,
    clients: usize,
) -> Result<(), String> {
    let scenario = commit_scenario().map_err(|error| error.to_string())?;
    let scenario = Scenario { name: name.into(), ..scenario };
    closed::closed_loop(group, args, &pair(protocol, scenario), clients)
}

fn commit_scenario() -> Result<Scenario, ScenarioError> {
    let scenarios = scenario::parse("commit.toml", include_str!("commit.toml"))?;
    scenario::find(&scenarios, "commit").cloned()
}

/// The target of a scenario: the closed loop with the scenario's clients, then its phases.
pub fn scenario(name: &str, protocols: &[Arc<dyn Protocol>]) -> ExitCode {
    match configured_scenario(name) {
        Ok(scenario) => {
            let clients = [scenario.clients];
            target(protocols, &scenario, &clients, true)
        }
        Err(error) => usage(&error),
    }
}

/// Criterion as all targets use it: short, because a closed loop repeats itself thousands of times
/// per sample, and obedient to the command line.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .with_profiler(PprofProfiler::default())
        .configure_from_args()
}

fn configured_scenario(name: &str) -> Result<Scenario, ScenarioError> {
    let scenarios = match std::env::var_os(FILE_VARIABLE) {
        Some(path) => scenario::read(&from_where_cargo_was_called(path.into()))?,
        None => scenario::profile(&std::env::var(PROFILE_VARIABLE).unwrap_or_else(|_| "quick".into()))?,
    };
    scenario::find(&scenarios, name).cloned()
}

/// Cargo runs a bench target in its package's folder, but leaves `PWD` as the shell set it.
fn from_where_cargo_was_called(path: PathBuf) -> PathBuf {
    let called_from = std::env::var_os("PWD").map(PathBuf::from).unwrap_or_default();
    if path.is_file() { path } else { called_from.join(path) }
}

fn target(protocols: &[Arc<dyn Protocol>], scenario: &Scenario, clients: &[usize], phases: bool) -> ExitCode {
    // First, because it ends the process with an explanation when a flag is wrong.
    let mut criterion = criterion();
    let args = BenchArgs::from_env();
    if let Err(error) = interrupt::listen() {
        eprintln!("Ctrl-C will lose results: {error}");
    }
    let baselines = if phases { Baselines::from(&args) } else { Baselines::default() };
    let mut session = match Session::start(&scenario.name, baselines) {
        Ok(session) => session,
        Err(SessionError::Baseline(error) | SessionError::Folder(error)) => {
            return failed(&error, exit_code_of(&error));
        }
    };
    if let Some(missing) = missing_in_criterion(&args, &scenario.name).filter(|_| !phases) {
        return failed(&missing, EXIT_BASELINE);
    }
    if let Some(baseline) = &args.baseline {
        // That the baseline exists is checked above; Criterion would panic over a benchmark that it
        // does not hold.
        criterion = criterion.retain_baseline(baseline.clone(), false);
    }
    for protocol in protocols {
        for &clients in clients {
            closed(&mut criterion, &mut session, &args, protocol, scenario, clients);
        }
    }
    if phases {
        open(&mut session, &args, protocols, scenario);
    }
    ExitCode::from(session.finish())
}

fn closed(
    criterion: &mut Criterion,
    session: &mut Session,
    args: &BenchArgs,
    protocol: &Arc<dyn Protocol>,
    scenario: &Scenario,
    clients: usize,
) {
    let mut group = criterion.benchmark_group(&scenario.name);
    group.throughput(Throughput::Elements(1));
    let pair = pair(protocol, scenario.clone());
    if let Err(reason) = closed::closed_loop(&mut group, args, &pair, clients) {
        let id = format!("{}/{}/clients={clients}", scenario.name, protocol.descriptor().name);
        session.failed(&id, &reason);
    }
    group.finish();
}

fn open(session: &mut Session, args: &BenchArgs, protocols: &[Arc<dyn Protocol>], scenario: &Scenario) {
    if args.profile {
        return;
    }
    for protocol in protocols {
        let id = format!("{}/{}/open_loop", scenario.name, protocol.descriptor().name);
        if !args.wants(&id) || interrupt::requested() {
            continue;
        }
        if args.list {
            println!("{id}: benchmark");
            continue;
        }
        let scenario = if args.test { brief(scenario.clone()) } else { scenario.clone() };
        session.run(&id, &pair(protocol, scenario));
    }
}

fn pair(protocol: &Arc<dyn Protocol>, scenario: Scenario) -> Pair {
    Pair { protocol: protocol.clone(), scenario, settings: BTreeMap::new(), limits: Limits::default() }
}

/// The scenario's shape in a fraction of a second per phase.
fn brief(mut scenario: Scenario) -> Scenario {
    for phase in &mut scenario.phases {
        phase.duration_s = phase.duration_s.min(TEST_PHASE_S);
        phase.rate_per_s = phase.rate_per_s.min(TEST_RATE_PER_S);
        if let Some(ramp) = &mut phase.ramp {
            ramp.interval_s = ramp.interval_s.min(TEST_PHASE_S / 2.0);
            ramp.increment_per_s = ramp.increment_per_s.min(TEST_RATE_PER_S);
        }
    }
    scenario
}

/// What to say when Criterion has no baseline of the name asked for in a group. Its folders are
/// `group/function/parameter/baseline`.
fn missing_in_criterion(args: &BenchArgs, group: &str) -> Option<String> {
    let name = args.baseline.as_ref().filter(|_| !args.lenient)?;
    let home = match std::env::var_os("CRITERION_HOME") {
        Some(home) => home.into(),
        None => Store::from_environment("").home.with_file_name("criterion"),
    };
    let below = |folders: Vec<PathBuf>| -> Vec<PathBuf> {
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        entries.flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let saved = below(below(below(vec![home.join(group)])));
    let mut known: Vec<String> = saved
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_string()))
        .filter(|known| known != "report" && known != "change")
        .collect();
    known.sort();
    known.dedup();
    (!known.contains(name)).then(|| {
        let known = if known.is_empty() { "there are none yet".into() } else { known.join(", ") };
        format!("Criterion has no baseline `{name}` for `{group}`; baselines: {known}")
    })
}

fn usage(error: &dyn std::fmt::Display) -> ExitCode {
    failed(error, EXIT_USAGE)
}

fn failed(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}
