//! Closed loops over sizes of the cluster and numbers of clients.

use std::path::Path;
use std::time::Duration;

use protocol_core::check_size;

use super::closed::ClosedStage;
use super::{Pair, RunError};
use crate::analysis::{Rounds, scalability};
use crate::interrupt;
use crate::progress::Progress;
use crate::results::{Outcome, ScenarioResult};
use crate::scenario::{Scenario, Sweep};

/// A round may take this long before the cluster counts as hung.
const ROUND_LIMIT: Duration = Duration::from_secs(60);
/// Commands of the round that shows how fast a combination is, per client and at least.
const PROBE_PER_CLIENT: u64 = 10;
const PROBE_AT_LEAST: u64 = 500;

/// Measures every combination, and fills the result with the cells and the law fitted to them.
pub(super) fn run(
    pair: &Pair,
    sweep: &Sweep,
    folder: &Path,
    progress: &Progress,
    result: &mut ScenarioResult,
) -> Result<(), RunError> {
    let mut measured = Vec::new();
    for &replicas in &sweep.replicas {
        check_size(&pair.protocol.descriptor(), replicas)?;
        let scenario = Scenario { replicas, ..pair.scenario.clone() };
        let closed = ClosedStage::launch(pair, &scenario, folder)?;
        result.fsync = closed.stage().fsync();
        // The first commands wait for a leader.
        closed.round(1, 1, pair.limits.start)?;
        for &clients in &sweep.clients {
            if interrupt::requested() {
                result.outcome = Outcome::Interrupted;
                break;
            }
            progress.step(&format!("{replicas} replicas, {clients} clients"));
            let rounds_per_s = rounds(&closed, clients, sweep)?;
            measured.push(Rounds { replicas, clients, rounds_per_s });
        }
        result.safety.include(closed.check()?);
        if let Some(stopped) = closed.stage().replica_stopped() {
            return Err(stopped);
        }
    }
    if result.safety.violations.is_empty() {
        let (found, metrics) = scalability(&measured, pair.scenario.seed);
        result.scalability = Some(found);
        result.metrics = metrics;
    }
    Ok(())
}

/// Commits per second of each round, all of the same number of commands.
fn rounds(closed: &ClosedStage, clients: usize, sweep: &Sweep) -> Result<Vec<f64>, RunError> {
    let probe = (clients as u64 * PROBE_PER_CLIENT).max(PROBE_AT_LEAST);
    let took = closed.round(clients, probe, ROUND_LIMIT)?.as_secs_f64();
    let commands = ((probe as f64 * sweep.round_s / took) as u64).max(2 * clients as u64).max(1);
    (0..sweep.rounds)
        .map(|_| Ok(commands as f64 / closed.round(clients, commands, ROUND_LIMIT)?.as_secs_f64()))
        .collect()
}
