//! Open loops in virtual time at every offered rate of an exact plan, each on a cluster of its own.

use protocol_core::SimulationSpec;

use super::virtual_cluster::{VirtualCluster, VirtualOpenLoop};
use super::{Pair, RunError};
use crate::interrupt;
use crate::measure::{ExactRecord, LinkTimes, conduct, exact_metrics};
use crate::progress::Progress;
use crate::results::{Class, ExactCell, ExactResult, Outcome, ScenarioResult};
use crate::scenario::ExactPlan;

/// Adds a cell per topology, size and rate to what was found of the closed loops. `spec` says what the
/// cluster of a topology and a size is.
pub(super) fn run(
    pair: &Pair,
    plan: &ExactPlan,
    progress: &Progress,
    spec: impl Fn(&str, usize) -> Result<SimulationSpec, RunError>,
    (found, result): (&mut ExactResult, &mut ScenarioResult),
) -> Result<(), RunError> {
    for topology in &plan.topologies {
        for &replicas in &plan.replicas {
            for &rate_per_s in &plan.rates_per_s {
                if interrupt::requested() {
                    result.outcome = Outcome::Interrupted;
                    return Ok(());
                }
                progress.step(&format!("{topology}, {replicas} replicas, {rate_per_s} requests/s"));
                let spec = spec(topology, replicas)?;
                let mut cluster = VirtualCluster::start(&*pair.protocol, &spec, pair.scenario.payload_bytes)?;
                cluster.closed(1, plan.warm_up_commits.max(1))?;
                let before = cluster.observe();
                let record = cluster.open(&VirtualOpenLoop {
                    arrivals: pair.scenario.arrivals,
                    rate_per_s,
                    duration_s: plan.commits as f64 / rate_per_s,
                    timeout: pair.scenario.timeout(),
                    seed: pair.scenario.seed,
                    lateness: None,
                });
                let floors = (pair.protocol.descriptor().floors)(replicas);
                let after = cluster.observe();
                let links = LinkTimes::of_spec(&spec, &floors, after.leader);
                let mut metrics = exact_metrics(&ExactRecord {
                    latencies: &record.latencies,
                    before: &before,
                    after: &after,
                    virtual_ns: (record.seconds * 1e9) as u64,
                    recovery_ns: None,
                    heap: None,
                    floors,
                    one_way_ns: None,
                });
                // Acknowledged in time, where the closed loop has all that it committed.
                if let Some(rate) = metrics.iter_mut().find(|metric| metric.name == "throughput_per_s") {
                    rate.value = record.throughput_per_s();
                }
                found.events += cluster.events();
                found.cells.push(ExactCell {
                    topology: topology.clone(),
                    replicas,
                    clients: 0,
                    offered_per_s: Some(rate_per_s),
                    commits: record.latencies.count(),
                    metrics,
                    conduct: Some(conduct((&before, &after), &record.looks, spec.timing, links)),
                });
                result.safety.include(cluster.check());
            }
        }
    }
    Ok(())
}

/// Measured costs are from the clock of a machine, and so are all numbers that follow from them.
pub(super) fn of_the_clock(cells: &mut [ExactCell]) {
    cells.iter_mut().flat_map(|cell| &mut cell.metrics).for_each(|metric| metric.class = Class::Wall);
}
