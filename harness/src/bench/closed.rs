//! The closed loop under Criterion: time per commit with c requests in flight.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::BenchArgs;
use crate::exit::{EXIT_UNSAFE, print_violations};
use crate::host::Host;
use crate::interrupt;
use crate::load::ClosedLoop;
use crate::run::{Limits, Pair, RunError};
use crate::safety::{Claims, settle_and_check, stopped};

/// One sample may take this long before the cluster counts as hung.
const SAMPLE_LIMIT: Duration = Duration::from_secs(60);
/// Commands of the round that shows that the cluster works, before Criterion sees it.
const PROBE_COMMANDS: u64 = 100;

/// A cluster with its closed loop.
struct Stage {
    host: Host,
    clients: Arc<ClosedLoop>,
    limits: Limits,
}

impl Stage {
    fn launch(pair: &Pair, logs: &Path) -> Result<Stage, RunError> {
        let host = Host::launch(pair.protocol.clone(), pair.launch_spec(logs)?, pair.limits.start)?;
        let (cluster, runtime) = (host.cluster().clone(), host.runtime().clone());
        let clients =
            Arc::new(ClosedLoop::new(cluster, runtime, pair.scenario.payload_bytes, pair.scenario.timeout()));
        Ok(Stage { host, clients, limits: pair.limits })
    }

    /// Commits `commands` and checks what the cluster did; the check is not timed.
    fn round(&self, clients: usize, commands: u64, limit: Duration) -> Result<Duration, String> {
        let closed_loop = self.clients.clone();
        let round = async move { closed_loop.round(clients, commands, limit).await };
        let took = self
            .host
            .call("closed loop", limit + Duration::from_secs(1), round)
            .map_err(|error| error.to_string())?
            .map_err(|error| stopped(&self.host.cluster().observe()).unwrap_or(error.to_string()))?;
        let claims =
            Claims { submitted: self.clients.submitted(), acknowledged: self.clients.acknowledged() };
        let check = settle_and_check(self.host.cluster().clone(), claims, self.limits.settle);
        let safety = self
            .host
            .call("safety check", self.limits.settle + self.limits.grace, check)
            .map_err(|error| error.to_string())?;
        if !safety.violations.is_empty() {
            print_violations("closed loop", &safety.violations);
            exit(i32::from(EXIT_UNSAFE));
        }
        Ok(took)
    }
}

/// Times commits with `clients` requests in flight. What fails is returned, and no number is given.
pub fn closed_loop(
    group: &mut BenchmarkGroup<'_, WallTime>,
    args: &BenchArgs,
    pair: &Pair,
    clients: usize,
) -> Result<(), String> {
    let (name, parameter) = (pair.protocol.descriptor().name, format!("clients={clients}"));
    let wanted = !args.list && args.wants(&format!("{}/{name}/{parameter}", pair.scenario.name));
    let logs = tempfile::tempdir().map_err(|error| format!("folder for logs: {error}"))?;
    // Launched before Criterion looks, because it would take the launch for the first sample.
    let stage = match wanted {
        true => Some(Stage::launch(pair, logs.path()).map_err(|error| error.to_string())?),
        false => None,
    };
    if let Some(stage) = &stage {
        stage.round(1, PROBE_COMMANDS, pair.limits.start)?;
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
                stage.round(clients, commands, SAMPLE_LIMIT).unwrap_or_else(|error| {
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
