//! The machine as the limit: cores and memory. Symptoms, for which nothing is recommended: what takes them is said by
//! a profile.

use crate::advice::facts::Facts;
use crate::advice::finding::Finding;
use crate::measure::RUN_DELAY_AT_MOST;
use crate::results::{Confidence, Resource, Severity};

const RULE: &str = "resource-constraint";
/// Above this share of all cores, whatever else runs there is in the way.
const MACHINE_CPU: f64 = 0.8;
/// Above this share of a core, the cluster's thread is about to saturate.
const CLUSTER_CORES: f64 = 0.8;
/// Bytes per second that memory may grow.
const MEMORY_GROWTH: f64 = 1024.0 * 1024.0;
/// Share of time that threads wait for a core; the medium one also calls a run disturbed.
const RUN_DELAY_HIGH: f64 = 0.1;

pub(super) fn cluster_thread(facts: &Facts) -> Option<Finding> {
    let cores = facts.cluster_thread_cores.filter(|&cores| cores > CLUSTER_CORES)?;
    let reason = format!(
        "the one thread that runs all replicas took {:.0} % of a core; the machine has more",
        cores * 100.0
    );
    Some(
        Finding::new(RULE, Resource::ClusterThread, Severity::High, reason)
            .impact(cores)
            .confidence(Confidence::High)
            .seen(facts, "cluster_thread_cores", cores, Some(CLUSTER_CORES), "cores"),
    )
}

pub(super) fn cores(facts: &Facts) -> Option<Finding> {
    let share = facts.cpu_machine_share.filter(|&share| share > MACHINE_CPU)?;
    let mut reason = format!("the machine's cores were busy for {:.0} % of the time", share * 100.0);
    if let Some(cores) = facts.cpu_process_cores {
        reason += &format!("; this process took {cores:.2} of them");
    }
    Some(Finding::new(RULE, Resource::Cpu, Severity::High, reason).impact(share).seen(
        facts,
        "cpu_machine_share",
        share,
        Some(MACHINE_CPU),
        "1",
    ))
}

pub(super) fn run_queue(facts: &Facts) -> Option<Finding> {
    let share = facts.run_delay_share.filter(|&share| share > RUN_DELAY_AT_MOST)?;
    let reason =
        format!("threads were ready and waited for a core during {:.1} % of the time", share * 100.0);
    let is_high = share > RUN_DELAY_HIGH;
    let (severity, threshold) =
        if is_high { (Severity::High, RUN_DELAY_HIGH) } else { (Severity::Medium, RUN_DELAY_AT_MOST) };
    Some(Finding::new(RULE, Resource::RunQueue, severity, reason).impact(share).seen(
        facts,
        "run_delay_share",
        share,
        Some(threshold),
        "1",
    ))
}

pub(super) fn memory(facts: &Facts) -> Option<Finding> {
    let growth = facts.memory_growth_lower_bytes_per_s.filter(|&growth| growth > MEMORY_GROWTH)?;
    let reason = format!(
        "memory grew by at least {:.1} MiB/s; logs that replicas keep in memory are in it",
        growth / MEMORY_GROWTH
    );
    Some(Finding::new(RULE, Resource::Memory, Severity::Medium, reason).seen(
        facts,
        "memory_growth_bytes_per_s",
        growth,
        Some(MEMORY_GROWTH),
        "bytes/s",
    ))
}
