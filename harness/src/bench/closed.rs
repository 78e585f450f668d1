//! The closed loop under Criterion: time per commit with c requests in flight.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::exit;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::BenchArgs;
use super::profiler::committed;
use crate::exit::{EXIT_UNSAFE, print_violations};
use crate::interrupt;
use crate::run::{ClosedStage, Pair};

/// One sample may take this long before the cluster counts as hung.
const SAMPLE_LIMIT: Duration = Duration::from_secs(60);
/// Commands of the round that shows that the cluster works, before Criterion sees it.
const PROBE_COMMANDS: u64 = 100;

/// Commits `commands` and checks what the cluster did; the check is not timed.
fn checked_round(
    closed: &ClosedStage,
    clients: usize,
    commands: u64,
    limit: Duration,
) -> Result<Duration, String> {
    let took = closed.round(clients, commands, limit).map_err(|error| error.to_string())?;
    committed(commands);
    let safety = closed.check().map_err(|error| error.to_string())?;
    if !safety.violations.is_empty() {
        print_violations("closed loop", &safety.violations);
        exit(i32::from(EXIT_UNSAFE));
    }
    Ok(took)
}

/// Times commits with `clients` requests in flight. What fails is returned, and no number is given.
pub fn closed_loop(
    group: &mut BenchmarkGroup<'_, WallTime>,
    args: &BenchArgs,
    pair: &Pair,
    clients: usize,
) -> Result<(), String> {
    let (name, parameter) = (pair.name.as_str(), format!("clients={clients}"));
    let wanted = !args.list && args.wants(&format!("{}/{name}/{parameter}", pair.scenario.name));
    let logs = tempfile::tempdir().map_err(|error| format!("folder for logs: {error}"))?;
    // Launched before Criterion looks, because it would take the launch for the first sample.
    let stage = match wanted {
        true => {
            Some(ClosedStage::launch(pair, &pair.scenario, logs.path()).map_err(|error| error.to_string())?)
        }
        false => None,
    };
    if let Some(stage) = &stage {
        checked_round(stage, 1, PROBE_COMMANDS, pair.limits.start)?;
    }
    let mut failure = None;
    // Criterion knows no benchmark that fails, so a failure unwinds through it.
    let run = catch_unwind(AssertUnwindSafe(|| {
        group.bench_function(BenchmarkId::new(name, parameter), |bencher| {
            bencher.iter_custom(|commands| {
                if interrupt::requested() {
                    exit(i32::from(interrupt::EXIT_INTERRUPTED));
                }
                let Some(stage) = &stage else { unreachable!("Criterion runs what the filter wants") };
                checked_round(stage, clients, commands, SAMPLE_LIMIT).unwrap_or_else(|error| {
                    failure = Some(error);
                    resume_unwind(Box::new(()))
                })
            });
        });
    }));
    match (run, failure) {
        (_, Some(failure)) => Err(failure),
        (Err(_), None) => Err("the benchmark panicked; its message is above".into()),
        (Ok(()), None) => Ok(()),
    }
}
