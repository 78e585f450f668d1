//! Ranges of every value of a scenario, with errors that name file, key and range on one line.

use super::{NetworkConfig, Phase, Scenario, ScenarioError, TimingConfig};

/// Intervals of one phase, at most.
const MOST_INTERVALS: f64 = 500.0;

/// Checks a scenario; `file` names it in errors.
pub(super) fn check(file: &str, scenario: &Scenario) -> Result<(), ScenarioError> {
    Checker { file, scenario: &scenario.name }.check(scenario)
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
        self.require(!scenario.phases.is_empty(), "phase", "[]", "at least one phase")?;
        let measured = scenario.measured_phase().is_some();
        self.require(measured, "phase", "none measured", "at least one `steady` or `stress` phase")?;
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

    fn check_phase(&self, index: usize, phase: &Phase) -> Result<(), ScenarioError> {
        let key = |name: &str| format!("phase {} ({}): {name}", index + 1, phase.kind.name());
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
        self.require((low..=high).contains(&value), key, value, allowed)
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
            value: value.to_string(),
            allowed,
        })
    }
}
