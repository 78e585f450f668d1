//! Scenarios as plain data: TOML in, structs out, checked before anything runs.

mod brief;
mod check;
mod costs;
mod measure;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use protocol_core::{LinkSpec, NetworkKind, NetworkSpec, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::output::printable;

pub use costs::{CostsConfig, NamedCosts};
pub use measure::{
    ExactPlan, FaultConfig, FaultKind, FaultPlan, FaultTarget, Hooks, KneeSearch, Measure, Sweep, Target,
    VirtualFaultPlan,
};

/// The profiles that ship with the harness, with the files they are read from.
const BUILT_IN: [(&str, &str); 3] = [
    ("quick", include_str!("../../scenarios/quick.toml")),
    ("full", include_str!("../../scenarios/full.toml")),
    ("calibrated", include_str!("../../scenarios/calibrated.toml")),
];

/// The seed of scenarios that don't say one.
pub const USUAL_SEED: u64 = 1;

/// Characters of a file's line that an error repeats, at most.
const SHOWN_CHARACTERS: usize = 60;

/// A load, on a cluster, over links, in phases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, as given to `--scenario`.
    pub name: String,
    /// What it shows.
    #[serde(default)]
    pub about: String,
    /// Size of the cluster.
    #[serde(default = "default_replicas")]
    pub replicas: usize,
    /// Bytes of every command's payload.
    #[serde(default = "default_payload")]
    pub payload_bytes: usize,
    /// Clients of the closed loop that Criterion times.
    #[serde(default = "default_clients")]
    pub clients: usize,
    /// How requests arrive in the open loop.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// A request unanswered for this long has failed.
    #[serde(default = "default_timeout")]
    pub timeout_ms: f64,
    /// Requests in flight at once, at most; those beyond count as failed.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: usize,
    /// Seed of arrivals, links and statistics.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Links between replicas.
    #[serde(default)]
    pub network: NetworkConfig,
    /// Where logs are kept.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Failure detection; by default stretched to the links' delay.
    #[serde(default)]
    pub timing: Option<TimingConfig>,
    /// What is measured.
    #[serde(default)]
    pub measure: Measure,
    /// What a rate has to hold to count as sustained.
    #[serde(default)]
    pub target: Target,
    /// Commands before and after.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Phases of the open loop, in order.
    #[serde(rename = "phase", default)]
    pub phases: Vec<Phase>,
}

/// How requests arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// Independently of each other.
    #[default]
    Poisson,
}

/// Links between replicas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// How messages move.
    pub kind: TransportKind,
    /// One-way delay.
    pub delay_ms: f64,
    /// Added to the delay, uniform from 0 to this.
    pub jitter_ms: f64,
    /// Share of messages lost.
    pub loss: f64,
    /// Share of messages that arrive twice.
    pub duplication: f64,
    /// Bytes per second of each link; none is unlimited.
    pub bandwidth_bytes_per_s: Option<f64>,
    /// With tcp, replica i listens on this port plus i; none lets the system choose.
    pub base_port: Option<u16>,
}

/// How messages move between replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    /// Within one process.
    #[default]
    Channel,
    /// Over loopback sockets.
    Tcp,
}

impl TransportKind {
    /// The name in lists and results.
    pub fn name(self) -> &'static str {
        match self {
            TransportKind::Channel => "channel",
            TransportKind::Tcp => "tcp",
        }
    }
}

/// Where logs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum StorageConfig {
    /// Nowhere.
    #[default]
    Memory,
    /// In files, flushed before they are acknowledged.
    Wal,
}

impl StorageConfig {
    /// The name in lists and results.
    pub fn name(self) -> &'static str {
        match self {
            StorageConfig::Memory => "memory",
            StorageConfig::Wal => "wal",
        }
    }
}

/// Failure-detection times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimingConfig {
    /// Between heartbeats.
    pub heartbeat_ms: f64,
    /// Shortest silence before an election.
    pub election_min_ms: f64,
    /// Longest silence before an election.
    pub election_max_ms: f64,
}

/// One phase of the open loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What the phase is for.
    pub kind: PhaseKind,
    /// How long it lasts; given by `requests` when it is left out.
    #[serde(default)]
    pub duration_s: f64,
    /// How many requests are due in it, in place of a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Requests per second, at its start.
    pub rate_per_s: f64,
    /// How the rate changes; none keeps it.
    #[serde(default)]
    pub ramp: Option<Ramp>,
}

/// What a phase is for. The numbers of a scenario are those of its steady phase, or of its stress
/// phase when it has no steady one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Fills caches, elects a leader; not shown.
    WarmUp,
    /// Raises the load.
    RampUp,
    /// Measures at the target load.
    Steady,
    /// Looks for the breaking point.
    Stress,
    /// Shows how the system comes back.
    Recovery,
}

impl PhaseKind {
    /// The name in tables and file names.
    pub fn name(self) -> &'static str {
        match self {
            PhaseKind::WarmUp => "warm_up",
            PhaseKind::RampUp => "ramp_up",
            PhaseKind::Steady => "steady",
            PhaseKind::Stress => "stress",
            PhaseKind::Recovery => "recovery",
        }
    }
}

/// The adaptive ramp: after each interval the rate rises while more than 95 % of what was sent
/// succeeded, and falls when less than 80 % did, never below 1/s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Requests per second to add or take away.
    pub increment_per_s: f64,
    /// Length of an interval.
    pub interval_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    scenario: Vec<Scenario>,
}

fn default_replicas() -> usize {
    3
}

fn default_payload() -> usize {
    128
}

fn default_clients() -> usize {
    64
}

fn default_timeout() -> f64 {
    1_000.0
}

fn default_in_flight() -> usize {
    100_000
}

fn default_seed() -> u64 {
    USUAL_SEED
}

/// Why a scenario can't be used. One line that names the file, the key and the mend.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// No such profile.
    #[error("no profile `{name}`; there are: {}", known_profiles())]
    UnknownProfile {
        /// Asked for.
        name: String,
    },
    /// No such scenario.
    #[error("no scenario `{name}`; there are: {known}")]
    UnknownScenario {
        /// Asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no scenario file.
    #[error("{file}: {reason}")]
    Syntax {
        /// File.
        file: String,
        /// What and where, on one line.
        reason: String,
    },
    /// A topology that there is not, that is none, or that is too small.
    #[error("{file}: scenario `{scenario}`: {key}: {reason}")]
    Topology {
        /// File.
        file: String,
        /// Scenario.
        scenario: String,
        /// Key.
        key: &'static str,
        /// What and where, on one line.
        reason: String,
    },
    /// A value outside its range.
    #[error("{file}: scenario `{scenario}`: {key} = {value} is outside {allowed}")]
    OutOfRange {
        /// File.
        file: String,
        /// Scenario.
        scenario: String,
        /// Key.
        key: String,
        /// Value given.
        value: String,
        /// Allowed values.
        allowed: &'static str,
    },
}

fn known_profiles() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

/// The scenarios of a built-in profile.
pub fn profile(name: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let (_, text) = BUILT_IN
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| ScenarioError::UnknownProfile { name: name.into() })?;
    parse(&format!("profile {name}"), text)
}

/// The scenarios of a file.
pub fn read(path: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ScenarioError::Unreadable { path: path.into(), source })?;
    parse(&path.display().to_string(), &text)
}

/// Picks one scenario by name.
pub fn find<'a>(scenarios: &'a [Scenario], name: &str) -> Result<&'a Scenario, ScenarioError> {
    scenarios.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let known = scenarios.iter().map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ");
        ScenarioError::UnknownScenario { name: name.into(), known }
    })
}

/// Reads and checks scenarios; `file` names them in errors.
pub fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let mut parsed: ScenarioFile = toml::from_str(text)
        .map_err(|error| ScenarioError::Syntax { file: file.into(), reason: one_line(&error, text) })?;
    parsed.scenario.iter_mut().flat_map(|scenario| &mut scenario.phases).for_each(Phase::settle_duration);
    parsed.scenario.iter().try_for_each(|scenario| scenario.check(file))?;
    Ok(parsed.scenario)
}

/// The parser's message with line and key, without its drawing of the source.
pub(crate) fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', "; ");
    let reason = match error.span() {
        Some(span) => {
            let before = &text.as_bytes()[..span.start.min(text.len())];
            let line_number = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let line = text.lines().nth(line_number - 1).unwrap_or_default().trim();
            let shown = match line.char_indices().nth(SHOWN_CHARACTERS) {
                Some((end, _)) => format!("{}…", &line[..end]),
                None => line.into(),
            };
            format!("line {line_number} (`{shown}`): {message}")
        }
        None => message,
    };
    // A key of the file may hold any character, and the parser repeats it.
    printable(&reason)
}

impl Phase {
    /// A phase of so many requests lasts as long as these take.
    fn settle_duration(&mut self) {
        if let (Some(requests), true) = (self.requests, self.duration_s == 0.0) {
            self.duration_s = requests as f64 / self.rate_per_s;
        }
    }
}

impl Scenario {
    /// A scenario of this name with every default, and no phases.
    pub fn named(name: &str) -> Scenario {
        Scenario {
            name: name.into(),
            about: String::new(),
            replicas: default_replicas(),
            payload_bytes: default_payload(),
            clients: default_clients(),
            arrivals: Arrivals::default(),
            timeout_ms: default_timeout(),
            max_in_flight: default_in_flight(),
            seed: default_seed(),
            network: NetworkConfig::default(),
            storage: StorageConfig::default(),
            timing: None,
            measure: Measure::default(),
            target: Target::default(),
            hooks: Hooks::default(),
            phases: Vec::new(),
        }
    }

    /// Checks every value against its range; `source` names where it comes from in errors.
    pub fn check(&self, source: &str) -> Result<(), ScenarioError> {
        check::check(source, self)
    }

    /// The phase that the scenario's table shows.
    pub fn measured_phase(&self) -> Option<usize> {
        let position = |kind| self.phases.iter().position(|phase| phase.kind == kind);
        position(PhaseKind::Steady).or_else(|| position(PhaseKind::Stress))
    }

    /// How messages move: in virtual time over neither channels nor sockets.
    pub fn network_name(&self) -> &'static str {
        if self.measure.is_virtual() { "virtual" } else { self.network.kind.name() }
    }

    /// The network to launch on.
    pub fn network_spec(&self) -> NetworkSpec {
        let network = &self.network;
        let kind = match network.kind {
            TransportKind::Channel => NetworkKind::Channel,
            TransportKind::Tcp => {
                NetworkKind::Tcp { address: IpAddr::from([127, 0, 0, 1]), base_port: network.base_port }
            }
        };
        NetworkSpec {
            kind,
            link: LinkSpec {
                delay: millis(network.delay_ms),
                jitter: millis(network.jitter_ms),
                loss: network.loss,
                duplication: network.duplication,
                bandwidth: network.bandwidth_bytes_per_s,
                // One TCP connection keeps order, and so do the libraries' own transports.
                fifo: true,
                ..LinkSpec::default()
            },
        }
    }

    /// Failure detection in force.
    pub fn timing(&self) -> Timing {
        match &self.timing {
            Some(timing) => Timing {
                heartbeat: millis(timing.heartbeat_ms),
                election_min: millis(timing.election_min_ms),
                election_max: millis(timing.election_max_ms),
            },
            None => Timing::for_delay(millis(self.network.delay_ms + self.network.jitter_ms)),
        }
    }

    /// How long a request may take.
    pub fn timeout(&self) -> Duration {
        millis(self.timeout_ms)
    }
}

fn millis(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "[[scenario]]\nname = \"a\"\n[[scenario.phase]]\nkind = \"steady\"\nduration_s = 1\nrate_per_s = 10\n";

    #[test]
    fn the_built_in_profiles_hold_the_same_scenarios() {
        let names = |profile_name| -> Vec<String> {
            profile(profile_name).unwrap().into_iter().map(|scenario| scenario.name).collect()
        };
        assert_eq!(names("quick")[..3], ["low_load", "high_load", "stress"]);
        assert_eq!(names("quick"), names("full"));
    }

    #[test]
    fn a_scenario_needs_only_a_name_and_a_phase() {
        let scenario = &parse("s.toml", SMALLEST).unwrap()[0];
        assert_eq!((scenario.replicas, scenario.payload_bytes, scenario.clients), (3, 128, 64));
    }

    #[test]
    fn bad_values_get_one_line_with_file_key_and_range() {
        for (from, to, expected) in [
            (
                "rate_per_s = 10",
                "rate_per_s = -1",
                "s.toml: scenario `a`: phase 1 (steady): rate_per_s = -1 is outside 1 to 10000000",
            ),
            ("duration_s = 1", "duration_s = 0", "phase 1 (steady): duration_s = 0 is outside 0.01 to 86400"),
            ("name = \"a\"", "name = \"a\"\nreplicas = 0", "replicas = 0 is outside 1 to 1000"),
            ("name = \"a\"", "name = \"a/b\"", "name = a/b is outside letters"),
            ("name = \"a\"", "name = \"a\\nb\"", "scenario `a\\nb`: name = a\\nb is outside letters"),
            ("rate_per_s = 10", "rate_per_s = 1e300", "rate_per_s = 1e300 is outside 1 to 10000000"),
            ("rate_per_s = 10", "rate_per_s = nan", "rate_per_s = NaN is outside 1 to 10000000"),
            (
                "name = \"a\"",
                "name = \"a\"\nreplicas = \"many\"",
                "s.toml: line 3 (`replicas = \"many\"`): invalid type",
            ),
            ("name = \"a\"", "name = \"a\"\nreplica = 3", "line 3 (`replica = 3`): unknown field `replica`"),
            (
                "rate_per_s = 10",
                "rate_per_s = 10\nramp = { increment_per_s = 1, interval_s = 0.001 }",
                "ramp.interval_s = 0.001 is outside duration_s / 500 to duration_s",
            ),
            ("steady", "ramp_up", "at least one `steady` or `stress` phase"),
            ("[[scenario]]", "[[scenario", "s.toml: line 1"),
        ] {
            let error = parse("s.toml", &SMALLEST.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,300}", cut in 0usize..200) {
            parse("s.toml", &text).ok();
            parse("s.toml", SMALLEST.get(..cut).unwrap_or(SMALLEST)).ok();
        }
    }
}
