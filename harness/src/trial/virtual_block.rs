//! A block in virtual time: as many commands as the scenario counts, on the first of its places and sizes.

use protocol_core::{Costs, SimulationSpec};

use super::{LoadKind, Sample, Trial};
use crate::calibration::{CostModel, FittedCell, WorkCosts};
use crate::run::{Pair, RunError, VirtualCluster, VirtualOpenLoop, simulation_spec};
use crate::scenario::{ExactPlan, Measure};
use crate::stats::nearest_rank;

/// Measures one.
pub(super) fn measure(trial: &Trial, pair: &Pair, seed: u64) -> Result<Sample, RunError> {
    let Measure::Exact(plan) = &pair.scenario.measure else {
        return Err(RunError::Failed("this scenario has no load in virtual time".into()));
    };
    let spec = match &trial.costs {
        Some(costs) => costs.spec(pair, seed)?,
        None => spec_of_plan(pair, plan, seed)?,
    };
    let mut cluster = VirtualCluster::start(&*pair.protocol, &spec, pair.scenario.payload_bytes)?;
    cluster.closed(1, plan.warm_up_commits.max(1))?;
    let before = cluster.observe();
    let (record, sent) = match trial.load {
        LoadKind::Closed { clients } => {
            // Until as many are under way as clients, nothing is as it will be.
            cluster.closed(clients, clients as u64)?;
            let record = cluster.closed(clients, plan.commits)?;
            let commits = record.in_time;
            (record, commits)
        }
        LoadKind::Open { rate_per_s } => {
            let record = cluster.open(&VirtualOpenLoop {
                arrivals: pair.scenario.arrivals,
                rate_per_s,
                duration_s: plan.commits as f64 / rate_per_s,
                timeout: pair.scenario.timeout(),
                seed,
                lateness: trial.costs.as_ref().and_then(|costs| costs.lateness()),
            });
            let sent = record.response_ns.len() as u64;
            (record, sent)
        }
    };
    let after = cluster.observe();
    let safety = cluster.check();
    if !safety.violations.is_empty() {
        return Err(RunError::Unsafe(safety.violations.join("; ")));
    }
    let commits = record.latencies.count();
    let deliveries = |observed: &protocol_core::Observation| {
        observed.replicas.iter().map(|replica| replica.delivered).sum::<u64>()
    };
    let spent = after.total() - before.total();
    let work =
        FittedCell::default().with_work(&spent, deliveries(&after) - deliveries(&before), commits.max(1));
    let [p50, p99] = [0.5, 0.99].map(|quantile| match trial.load {
        LoadKind::Closed { .. } => record.latencies.at_client(quantile),
        LoadKind::Open { .. } => nearest_rank(&record.response_ns, quantile).map_or(f64::NAN, |ns| ns as f64),
    });
    Ok(Sample {
        throughput_per_s: record.throughput_per_s(),
        response_ns_p50: p50,
        response_ns_p99: p99,
        cpu_ns_per_commit: Some(work.cost_ns(&WorkCosts::from(spec.costs))).filter(|&ns| ns > 0.0),
        success: commits as f64 / sent.max(1) as f64,
        disturbed: Vec::new(),
    })
}

/// The first cluster of a plan.
fn spec_of_plan(pair: &Pair, plan: &ExactPlan, seed: u64) -> Result<SimulationSpec, RunError> {
    let first = |what: &str| RunError::Failed(format!("the scenario's plan lists no {what}"));
    let topology = plan.topologies.first().ok_or_else(|| first("topologies"))?;
    let replicas = *plan.replicas.first().ok_or_else(|| first("replicas"))?;
    let CostModel { costs, cores, .. } = CostModel::of_pair(pair, plan)?;
    let costs: Costs = costs;
    Ok(SimulationSpec { costs, cores, ..simulation_spec(pair, topology, replicas, seed)? })
}
