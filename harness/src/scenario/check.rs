//! Ranges of every value of a scenario, with errors that name file, key and range on one line.

use super::{
    CostsConfig, ExactPlan, FaultConfig, FaultKind, FaultPlan, FaultTarget, Hooks, KneeSearch, Measure,
    NetworkConfig, Phase, Scenario, ScenarioError, StorageConfig, Sweep, Target, TimingConfig,
    VirtualFaultPlan,
};

use crate::output::{printable, shown};
use crate::topology;

/// Intervals of one phase, at most.
const MOST_INTERVALS: f64 = 500.0;

/// Checks a scenario; `file` names it in errors.
pub(super) fn check(file: &str, scenario: &Scenario) -> Result<(), ScenarioError> {
    Checker { file, scenario: &shown(&scenario.name) }.check(scenario)
}

struct Checker<'a> {
    file: &'a str,
    scenario: &'a str,
}

impl Checker<'_> {
    fn check(&self, scenario: &Scenario) -> Result<(), ScenarioError> {
        let whole = |value: usize| value as f64;
        let safe_name = !scenario.name.is_empty()
            && scenario.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        self.require(safe_name, "name", &scenario.name, "letters, digits, `_` and `-`")?;
        self.within("replicas", whole(scenario.replicas), 1.0, 1_000.0, "1 to 1000")?;
        self.within("payload_bytes", whole(scenario.payload_bytes), 0.0, 16.0 * 1048576.0, "0 to 16 MiB")?;
        self.within("clients", whole(scenario.clients), 1.0, 1e6, "1 to 1000000")?;
        self.within("timeout_ms", scenario.timeout_ms, 1.0, 3.6e6, "1 to 3600000")?;
        self.within("max_in_flight", whole(scenario.max_in_flight), 1.0, 1e8, "1 to 100000000")?;
        self.check_network(&scenario.network)?;
        if let Some(timing) = &scenario.timing {
            self.check_timing(timing)?;
        }
        self.check_target(&scenario.target)?;
        self.check_hooks(&scenario.hooks)?;
        match &scenario.measure {
            Measure::Load | Measure::Latency | Measure::Resources => {}
            Measure::Throughput(search) => self.check_knee_search(search)?,
            Measure::Scalability(sweep) => self.check_sweep(sweep)?,
            Measure::FaultTolerance(plan) => self.check_faults(scenario, plan)?,
            Measure::Exact(plan) => self.check_exact(scenario, plan)?,
            Measure::VirtualFaultTolerance(plan) => self.check_virtual_faults(scenario, plan)?,
        }
        if scenario.measure.needs_phases() {
            self.require(!scenario.phases.is_empty(), "phase", "[]", "at least one phase")?;
            let measured = scenario.measured_phase().is_some();
            self.require(measured, "phase", "none measured", "at least one `steady` or `stress` phase")?;
        } else {
            let none = scenario.phases.is_empty();
            self.require(none, "phase", "given", "none: this kind of measure makes its own load")?;
        }
        scenario.phases.iter().enumerate().try_for_each(|(index, phase)| self.check_phase(index, phase))
    }

    fn check_network(&self, network: &NetworkConfig) -> Result<(), ScenarioError> {
        self.within("network.delay_ms", network.delay_ms, 0.0, 60_000.0, "0 to 60000")?;
        self.within("network.jitter_ms", network.jitter_ms, 0.0, 60_000.0, "0 to 60000")?;
        self.within("network.loss", network.loss, 0.0, 1.0, "0 to 1")?;
        self.within("network.duplication", network.duplication, 0.0, 1.0, "0 to 1")?;
        match network.bandwidth_bytes_per_s {
            Some(rate) => self.within("network.bandwidth_bytes_per_s", rate, 1.0, 1e15, "1 to 1e15"),
            None => Ok(()),
        }
    }

    fn check_timing(&self, timing: &TimingConfig) -> Result<(), ScenarioError> {
        self.within("timing.heartbeat_ms", timing.heartbeat_ms, 1.0, 60_000.0, "1 to 60000")?;
        let above = timing.election_min_ms > timing.heartbeat_ms && timing.election_min_ms <= 600_000.0;
        self.require(
            above,
            "timing.election_min_ms",
            timing.election_min_ms,
            "heartbeat_ms (excluded) to 600000",
        )?;
        let above = timing.election_max_ms > timing.election_min_ms && timing.election_max_ms <= 600_000.0;
        self.require(
            above,
            "timing.election_max_ms",
            timing.election_max_ms,
            "election_min_ms (excluded) to 600000",
        )
    }

    fn check_target(&self, target: &Target) -> Result<(), ScenarioError> {
        self.within("target.response_p99_ms", target.response_p99_ms, 0.001, 3.6e6, "0.001 to 3600000")?;
        self.within("target.success", target.success, 0.01, 1.0, "0.01 to 1")
    }

    fn check_hooks(&self, hooks: &Hooks) -> Result<(), ScenarioError> {
        self.within("hooks.timeout_s", hooks.timeout_s, 0.1, 86_400.0, "0.1 to 86400")
    }

    fn check_knee_search(&self, search: &KneeSearch) -> Result<(), ScenarioError> {
        let (low, high) = (search.start_per_s, search.highest_per_s);
        self.within("measure.start_per_s", low, 1.0, 1e7, "1 to 10000000")?;
        self.require(high >= low && high <= 1e7, "measure.highest_per_s", high, "start_per_s to 10000000")?;
        self.within("measure.probe_s", search.probe_s, 0.05, 3_600.0, "0.05 to 3600")?;
        self.within("measure.confirm_s", search.confirm_s, 0.05, 3_600.0, "0.05 to 3600")?;
        self.within("measure.precision", search.precision, 0.005, 1.0, "0.005 to 1")
    }

    fn check_sweep(&self, sweep: &Sweep) -> Result<(), ScenarioError> {
        self.check_sizes(&sweep.replicas, &sweep.clients)?;
        self.within("measure.rounds", sweep.rounds as f64, 2.0, 10_000.0, "2 to 10000")?;
        self.within("measure.round_s", sweep.round_s, 0.001, 3_600.0, "0.001 to 3600")
    }

    fn check_sizes(&self, replicas: &[usize], clients: &[usize]) -> Result<(), ScenarioError> {
        for (key, values, most) in
            [("measure.replicas", replicas, 1_000), ("measure.clients", clients, 1_000_000)]
        {
            let ascending = values.windows(2).all(|pair| pair[0] < pair[1]);
            let sizes = !values.is_empty() && values[0] >= 1 && values[values.len() - 1] <= most;
            self.require(ascending && sizes, key, format!("{values:?}"), "ascending numbers from 1")?;
        }
        Ok(())
    }

    fn check_exact(&self, scenario: &Scenario, plan: &ExactPlan) -> Result<(), ScenarioError> {
        self.check_no_network(scenario)?;
        self.check_sizes(&plan.replicas, &plan.clients)?;
        self.within("measure.commits", plan.commits as f64, 1.0, 1e9, "1 to 1000000000")?;
        self.within("measure.warm_up_commits", plan.warm_up_commits as f64, 0.0, 1e9, "0 to 1000000000")?;
        self.check_costs(plan)?;
        self.require(!plan.topologies.is_empty(), "measure.topologies", "[]", "at least one topology")?;
        let largest = plan.replicas.last().copied().unwrap_or(1);
        plan.topologies
            .iter()
            .try_for_each(|reference| self.check_topology("measure.topologies", reference, largest))
    }

    fn check_no_network(&self, scenario: &Scenario) -> Result<(), ScenarioError> {
        let untouched = scenario.network == NetworkConfig::default();
        let allowed = "no network: in virtual time a topology says how links are";
        self.require(untouched, "network", "a setting of its own", allowed)
    }

    fn check_topology(
        &self,
        key: &'static str,
        reference: &str,
        replicas: usize,
    ) -> Result<(), ScenarioError> {
        let found = topology::resolve(reference).and_then(|topology| topology.links(replicas));
        found.map(drop).map_err(|error| ScenarioError::Topology {
            file: self.file.into(),
            scenario: self.scenario.into(),
            key,
            reason: printable(&error.to_string()),
        })
    }

    fn check_costs(&self, plan: &ExactPlan) -> Result<(), ScenarioError> {
        if let CostsConfig::Table(costs) = &plan.costs {
            for (name, cost) in costs.named() {
                self.within(&format!("measure.costs.{name}"), cost, 0.0, 1e12, "0 to 1e12")?;
            }
        }
        self.within("measure.cores", plan.cores as f64, 0.0, 1_000.0, "0 to 1000")?;
        plan.rates_per_s
            .iter()
            .try_for_each(|&rate| self.within("measure.rates_per_s", rate, 1.0, 1e7, "1 to 10000000"))
    }

    fn check_virtual_faults(
        &self,
        scenario: &Scenario,
        plan: &VirtualFaultPlan,
    ) -> Result<(), ScenarioError> {
        self.check_no_network(scenario)?;
        self.within("measure.clients", plan.clients as f64, 1.0, 100_000.0, "1 to 100000")?;
        self.within("measure.seeds", plan.seeds as f64, 1.0, 100_000.0, "1 to 100000")?;
        self.check_fault_times(plan.rate_per_s, [plan.before_s, plan.for_s, plan.after_s])?;
        self.check_fault_list(scenario, &plan.faults)?;
        for (index, fault) in plan.faults.iter().enumerate() {
            let key = format!("fault {} ({}): cycles", index + 1, fault.name());
            let given = fault.cycles.unwrap_or_default();
            self.require(fault.cycles.is_none(), &key, given, "none: each seed gives a fault once")?;
        }
        let sizes = plan.faults.iter().filter_map(|fault| fault.replicas);
        let largest = sizes.max().unwrap_or(scenario.replicas).max(scenario.replicas);
        self.check_topology("measure.topology", &plan.topology, largest)
    }

    fn check_faults(&self, scenario: &Scenario, plan: &FaultPlan) -> Result<(), ScenarioError> {
        self.check_fault_times(plan.rate_per_s, [plan.before_s, plan.for_s, plan.after_s])?;
        self.within("measure.cycles", plan.cycles as f64, 1.0, 100_000.0, "1 to 100000")?;
        self.check_fault_list(scenario, &plan.faults)
    }

    fn check_fault_times(
        &self,
        rate_per_s: f64,
        [before_s, for_s, after_s]: [f64; 3],
    ) -> Result<(), ScenarioError> {
        self.within("measure.rate_per_s", rate_per_s, 10.0, 1e6, "10 to 1000000")?;
        self.within("measure.before_s", before_s, 0.1, 3_600.0, "0.1 to 3600")?;
        self.within("measure.for_s", for_s, 0.05, 3_600.0, "0.05 to 3600")?;
        self.within("measure.after_s", after_s, 0.1, 3_600.0, "0.1 to 3600")
    }

    fn check_fault_list(&self, scenario: &Scenario, faults: &[FaultConfig]) -> Result<(), ScenarioError> {
        self.require(!faults.is_empty(), "measure.fault", "[]", "at least one fault")?;
        let names: Vec<String> = faults.iter().map(FaultConfig::name).collect();
        for (index, fault) in faults.iter().enumerate() {
            let key = |name: &str| format!("fault {} ({}): {name}", index + 1, names[index]);
            let again = names[..index].contains(&names[index]);
            self.require(!again, &key("kind"), fault.kind.name(), "each kind and target once")?;
            self.check_fault(&key, scenario, fault)?;
        }
        Ok(())
    }

    fn check_fault(
        &self,
        key: &dyn Fn(&str) -> String,
        scenario: &Scenario,
        fault: &FaultConfig,
    ) -> Result<(), ScenarioError> {
        let durable = fault.kind != FaultKind::Crash || scenario.storage == StorageConfig::Wal;
        self.require(durable, &key("kind"), "crash", "`storage = \"wal\"`: a restart needs a log")?;
        let one = fault.kind != FaultKind::PartialConnectivity || fault.target == FaultTarget::Leader;
        self.require(one, &key("target"), fault.target.name(), "leader: the hub is another replica")?;
        let bounded = fault.kind.behaviour().is_none() || fault.target != FaultTarget::Majority;
        let allowed = "as many as are tolerated: what a majority of liars says is no measurement";
        self.require(bounded, &key("target"), fault.target.name(), allowed)?;
        let replicas = fault.replicas.unwrap_or(scenario.replicas);
        self.within(&key("replicas"), replicas as f64, 3.0, 1_000.0, "3 to 1000")?;
        self.within(&key("for_s"), fault.for_s.unwrap_or(1.0), 0.05, 3_600.0, "0.05 to 3600")?;
        self.within(&key("cycles"), fault.cycles.unwrap_or(1) as f64, 1.0, 100_000.0, "1 to 100000")?;
        self.within(&key("loss"), fault.loss, 0.0, 1.0, "0 to 1")?;
        self.within(&key("extra_delay_ms"), fault.extra_delay_ms, 0.0, 60_000.0, "0 to 60000")
    }

    fn check_phase(&self, index: usize, phase: &Phase) -> Result<(), ScenarioError> {
        let key = |name: &str| format!("phase {} ({}): {name}", index + 1, phase.kind.name());
        if let Some(requests) = phase.requests {
            let same = (phase.duration_s * phase.rate_per_s / requests as f64 - 1.0).abs() < 1e-6;
            self.require(same, &key("requests"), requests, "either `requests` or `duration_s`")?;
        }
        self.within(&key("duration_s"), phase.duration_s, 0.01, 86_400.0, "0.01 to 86400")?;
        self.within(&key("rate_per_s"), phase.rate_per_s, 1.0, 1e7, "1 to 10000000")?;
        match &phase.ramp {
            Some(ramp) => {
                self.within(&key("ramp.increment_per_s"), ramp.increment_per_s, 0.0, 1e7, "0 to 10000000")?;
                // Every interval keeps its histograms until the phase ends, about half a mebibyte.
                let interval = ramp.interval_s;
                let fits = interval <= phase.duration_s && phase.duration_s / interval <= MOST_INTERVALS;
                let allowed = "duration_s / 500 to duration_s";
                self.require(fits, &key("ramp.interval_s"), interval, allowed)
            }
            None => Ok(()),
        }
    }

    fn within(
        &self,
        key: &str,
        value: f64,
        low: f64,
        high: f64,
        allowed: &'static str,
    ) -> Result<(), ScenarioError> {
        // The exponent keeps 1e300 short.
        let text = if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") };
        self.require((low..=high).contains(&value), key, text, allowed)
    }

    fn require(
        &self,
        holds: bool,
        key: &str,
        value: impl std::fmt::Display,
        allowed: &'static str,
    ) -> Result<(), ScenarioError> {
        if holds {
            return Ok(());
        }
        Err(ScenarioError::OutOfRange {
            file: self.file.into(),
            scenario: self.scenario.into(),
            key: key.into(),
            value: shown(&value.to_string()),
            allowed,
        })
    }
}
