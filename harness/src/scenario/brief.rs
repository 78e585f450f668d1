//! A scenario's shape in a moment, for `--test`: it shows that everything runs, and measures nothing.

use super::{ExactPlan, FaultConfig, FaultPlan, KneeSearch, Measure, Scenario, Sweep, VirtualFaultPlan};

/// Long enough to send something.
const PHASE_S: f64 = 0.2;
const RATE_PER_S: f64 = 1_000.0;

impl Scenario {
    /// The same scenario, in a fraction of a second per part.
    pub fn brief(&self) -> Scenario {
        let mut brief = self.clone();
        for phase in &mut brief.phases {
            phase.requests = None;
            phase.duration_s = phase.duration_s.min(PHASE_S);
            phase.rate_per_s = phase.rate_per_s.min(RATE_PER_S);
            if let Some(ramp) = &mut phase.ramp {
                ramp.interval_s = ramp.interval_s.min(PHASE_S / 2.0);
                ramp.increment_per_s = ramp.increment_per_s.min(RATE_PER_S);
            }
        }
        brief.measure = match &self.measure {
            Measure::Throughput(_) => Measure::Throughput(KneeSearch {
                start_per_s: RATE_PER_S,
                highest_per_s: 2.0 * RATE_PER_S,
                probe_s: 0.1,
                confirm_s: 0.1,
                precision: 1.0,
            }),
            Measure::Scalability(sweep) => Measure::Scalability(Sweep {
                replicas: sweep.replicas.iter().copied().take(2).collect(),
                clients: sweep.clients.iter().copied().take(3).collect(),
                rounds: 2,
                round_s: 0.01,
            }),
            Measure::FaultTolerance(plan) => Measure::FaultTolerance(FaultPlan {
                cycles: 1,
                before_s: 0.1,
                after_s: 0.1,
                // The first is the one that matters most: the leader's crash.
                faults: plan.faults.iter().take(1).map(brief_fault).collect(),
                ..plan.clone()
            }),
            Measure::Exact(plan) => Measure::Exact(ExactPlan {
                topologies: plan.topologies.iter().take(1).cloned().collect(),
                replicas: plan.replicas.iter().copied().take(2).collect(),
                clients: plan.clients.iter().copied().take(2).collect(),
                warm_up_commits: 10,
                commits: 100,
                recovery: plan.recovery,
            }),
            Measure::VirtualFaultTolerance(plan) => Measure::VirtualFaultTolerance(VirtualFaultPlan {
                seeds: 1,
                faults: plan.faults.iter().take(1).copied().collect(),
                ..plan.clone()
            }),
            other => other.clone(),
        };
        brief
    }
}

fn brief_fault(fault: &FaultConfig) -> FaultConfig {
    FaultConfig { cycles: None, ..*fault }
}

#[cfg(test)]
mod tests {
    use crate::scenario::profile;

    #[test]
    fn every_built_in_scenario_is_valid_in_brief() {
        for scenario in ["quick", "full"].iter().flat_map(|name| profile(name).unwrap()) {
            scenario.brief().check("brief").unwrap();
        }
    }
}
