//! Bench targets: a scenario and one call. The only module that sees Criterion.
//!
//! Ids read `scenario/protocol/parameter=value`. A target obeys Criterion's flags for Criterion's
//! part (closed loop) and for the harness's own (open loop, in phases).

mod args;
mod call;
mod closed;
mod profiler;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub use args::BenchArgs;
pub use call::Call;
pub(crate) use call::newest_runs;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
pub use profiler::PprofProfiler;
use protocol_core::Order;

use crate::exit::{EXIT_BASELINE, EXIT_USAGE, exit_code_of};
use crate::history::{HistoryError, Retention};
use crate::interrupt;
use crate::run::Limits;
use crate::scenario::{self, Measure, Scenario, ScenarioError};
use crate::session::{Baselines, Session, SessionError, SessionOptions};
use crate::store::Store;
use crate::suite::{Registration, Suite};

/// Chooses the profile of the scenario targets; the default is `quick`.
pub const PROFILE_VARIABLE: &str = "CONSENSUS_BENCH_PROFILE";
/// Protocols of the targets that take long, separated by commas, or `all`.
pub const PROTOCOLS_VARIABLE: &str = "CONSENSUS_BENCH_PROTOCOLS";
/// A scenario file to use in place of a profile.
pub const FILE_VARIABLE: &str = "CONSENSUS_BENCH_SCENARIOS";

/// Clients of the `commit` target.
const COMMIT_CLIENTS: [usize; 3] = [1, 64, 256];

/// The target `commit`: the closed loop alone, with 1, 64 and 256 clients.
pub fn commit(suite: &Suite) -> ExitCode {
    match commit_scenario() {
        Ok(scenario) => target("commit", suite, &[scenario], Closed::Only(&COMMIT_CLIENTS)),
        Err(error) => usage(&error),
    }
}

/// One benchmark of the target `commit` inside `group` of another target, whose name is given too.
pub fn commit_closed_loop(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    args: &BenchArgs,
    protocol: &Registration,
    clients: usize,
) -> Result<(), String> {
    let scenario = commit_scenario().map_err(|error| error.to_string())?;
    let scenario = Scenario { name: name.into(), ..scenario };
    closed::closed_loop(group, args, &protocol.pair(&scenario, Limits::default()), clients)
}

fn commit_scenario() -> Result<Scenario, ScenarioError> {
    let scenarios = scenario::parse("commit.toml", include_str!("commit.toml"))?;
    scenario::find(&scenarios, "commit").cloned()
}

/// The target of some scenarios: where one is about load, the closed loop with its clients under
/// Criterion; then what the harness measures of it.
pub fn scenarios(names: &[&str], suite: &Suite) -> ExitCode {
    let find = |all: Vec<Scenario>| -> Result<Vec<Scenario>, ScenarioError> {
        names.iter().map(|name| scenario::find(&all, name).cloned()).collect()
    };
    match configured_scenarios().and_then(find) {
        Ok(scenarios) => target(names.first().unwrap_or(&"scenarios"), suite, &scenarios, Closed::Scenario),
        Err(error) => usage(&error),
    }
}

/// As [`scenarios`], of some protocols only unless a filter or [`PROTOCOLS_VARIABLE`] asks for others: what
/// takes long is not done for all by default.
pub fn scenarios_of(names: &[&str], protocols: &[&str], suite: &Suite) -> ExitCode {
    let asked = match std::env::var(PROTOCOLS_VARIABLE) {
        Ok(asked) if asked == "all" => return scenarios(names, suite),
        Ok(asked) => asked.split(',').map(str::to_string).collect(),
        Err(_) if BenchArgs::from_env().filter.is_some() => return scenarios(names, suite),
        Err(_) => protocols.iter().map(|name| name.to_string()).collect::<Vec<_>>(),
    };
    match suite.select(&asked) {
        Ok(selected) => {
            let others = suite.all().len() - selected.all().len();
            if others > 0 && !BenchArgs::from_env().list {
                let target = names.first().unwrap_or(&"");
                eprintln!(
                    "{target}: {}; {others} more protocols with `cargo bench --bench {target} -- NAME` or \
                     {PROTOCOLS_VARIABLE}=all",
                    asked.join(", ")
                );
            }
            scenarios(names, &selected)
        }
        Err(error) => usage(&error),
    }
}

/// Every scenario of the profile over every protocol, without Criterion.
pub fn comprehensive(suite: &Suite) -> ExitCode {
    match configured_scenarios() {
        Ok(scenarios) => target("comprehensive", suite, &scenarios, Closed::Nothing),
        Err(error) => usage(&error),
    }
}

/// Criterion as all targets use it: short, because a closed loop repeats itself thousands of times
/// per sample, and obedient to the command line.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        // Ten times as many, as is usual, take as long as the measurement, for the third digit of an interval.
        .nresamples(10_000)
        .with_profiler(PprofProfiler::default())
        .configure_from_args()
}

fn configured_scenarios() -> Result<Vec<Scenario>, ScenarioError> {
    match std::env::var_os(FILE_VARIABLE) {
        Some(path) => scenario::read(&from_where_cargo_was_called(path.into())),
        None => scenario::profile(&std::env::var(PROFILE_VARIABLE).unwrap_or_else(|_| "quick".into())),
    }
}

/// Cargo runs a bench target in its package's folder, but leaves `PWD` as the shell set it.
fn from_where_cargo_was_called(path: PathBuf) -> PathBuf {
    let called_from = std::env::var_os("PWD").map(PathBuf::from).unwrap_or_default();
    if path.is_file() { path } else { called_from.join(path) }
}

/// What a target times under Criterion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Nothing.
    Nothing,
    /// Each scenario about load, with its own number of clients.
    Scenario,
    /// These numbers of clients, and nothing else: the harness measures nothing.
    Only(&'static [usize]),
}

fn target(label: &str, suite: &Suite, scenarios: &[Scenario], closed_loops: Closed) -> ExitCode {
    // First, because it ends the process with an explanation when a flag is wrong.
    let mut criterion = criterion();
    let args = BenchArgs::from_env();
    if let Err(error) = interrupt::listen() {
        eprintln!("Ctrl-C will lose results: {error}");
    }
    let measures = !matches!(closed_loops, Closed::Only(_));
    let options = match session_options(&args, measures) {
        Ok(options) => options,
        Err(error) => return usage(&error),
    };
    let mut session = match Session::start(label, options) {
        Ok(session) => session,
        Err(SessionError::Baseline(error) | SessionError::Folder(error)) => {
            return failed(&error, exit_code_of(&error));
        }
    };
    if let Some(missing) = missing_in_criterion(&args, label).filter(|_| !measures) {
        return failed(&missing, EXIT_BASELINE);
    }
    if let Some(baseline) = &args.baseline {
        // That the baseline exists is checked above; Criterion would panic over a benchmark that it
        // does not hold.
        criterion = criterion.retain_baseline(baseline.clone(), false);
    }
    for scenario in scenarios {
        let own_clients = [scenario.clients];
        let clients = match closed_loops {
            Closed::Only(clients) => clients,
            Closed::Scenario if scenario.measure == Measure::Load => &own_clients,
            Closed::Scenario | Closed::Nothing => &[],
        };
        for protocol in suite.all() {
            // A closed loop waits for every answer, and an update may miss a replica for good.
            if !clients.is_empty() && protocol.protocol.descriptor().order == Order::Set {
                eprintln!(
                    "{}/{}: no closed loop: its updates may miss a replica",
                    scenario.name, protocol.name
                );
                continue;
            }
            for &clients in clients {
                closed(&mut criterion, &mut session, &args, protocol, scenario, clients);
            }
        }
        if measures {
            open(&mut session, &args, suite, scenario);
        }
    }
    ExitCode::from(session.finish())
}

fn session_options(args: &BenchArgs, measures: bool) -> Result<SessionOptions, HistoryError> {
    Ok(SessionOptions {
        baselines: if measures { Baselines::from(args) } else { Baselines::default() },
        // A mere test is no measurement to remember.
        history: if args.test { None } else { Some(Retention::from_environment()?) },
        // Nor does it take the place of one on the page of all targets.
        call: if args.test { None } else { Call::of_this_process() },
        is_test: args.test,
        ..SessionOptions::default()
    })
}

fn closed(
    criterion: &mut Criterion,
    session: &mut Session,
    args: &BenchArgs,
    protocol: &Registration,
    scenario: &Scenario,
    clients: usize,
) {
    let mut group = criterion.benchmark_group(&scenario.name);
    group.throughput(Throughput::Elements(1));
    let pair = protocol.pair(scenario, Limits::default());
    if let Err(reason) = closed::closed_loop(&mut group, args, &pair, clients) {
        session.failed(&format!("{}/clients={clients}", pair.id()), &reason);
    }
    group.finish();
}

fn open(session: &mut Session, args: &BenchArgs, suite: &Suite, scenario: &Scenario) {
    if args.profile {
        return;
    }
    for protocol in suite.all() {
        let scenario = if args.test { scenario.brief() } else { scenario.clone() };
        let pair = protocol.pair(&scenario, Limits::default());
        let id = format!("{}/{}", pair.id(), scenario.measure.id());
        if !args.wants(&id) || session.is_over() {
            continue;
        }
        if args.list {
            println!("{id}: benchmark");
            continue;
        }
        session.run(&id, &pair);
    }
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

#[cfg(test)]
mod tests;
