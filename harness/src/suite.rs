//! The registry: protocols by name, each with its configuration, run in any set against any set of
//! scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol_core::{Descriptor, LaunchError, Protocol, Settings, check_payload, check_size};
use thiserror::Error;

use crate::run::{Limits, Pair};
use crate::scenario::{ExactPlan, FaultPlan, Measure, Scenario, Sweep, VirtualFaultPlan};

/// A protocol as it is registered.
#[derive(Clone)]
pub struct Registration {
    /// The name in `--protocol`, in results and in tables.
    pub name: String,
    /// The protocol.
    pub protocol: Arc<dyn Protocol>,
    /// Values for its tunables; those missing have their defaults.
    pub settings: BTreeMap<String, f64>,
    /// How to time the cryptography that it uses; none when it uses none.
    pub microbenchmarks: Vec<Microbenchmark>,
}

/// A computation that a protocol counts and does not do in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// Making a signature.
    Sign,
    /// Checking a signature.
    Verify,
    /// Making or checking a message authentication code.
    Mac,
}

/// How to time a primitive.
#[derive(Clone, Copy, Debug)]
pub struct Microbenchmark {
    /// Which.
    pub primitive: Primitive,
    /// Computes it so many times, over a message of the size that the protocol signs.
    pub run: fn(u64),
}

/// Why a protocol is not registered, not found, or can't run a scenario.
#[derive(Debug, Error)]
pub enum SuiteError {
    /// No protocol has this name.
    #[error("no protocol `{name}`; there are: {known}")]
    UnknownProtocol {
        /// Asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The name is taken.
    #[error("protocol `{0}` is registered already; register it under another name")]
    Taken(String),
    /// The configuration, or the size of a cluster, is not the protocol's.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A scenario's commands are larger than the protocol takes.
    #[error("scenario `{scenario}`: payload_bytes: {source}")]
    Payload {
        /// Scenario.
        scenario: String,
        /// What the protocol takes.
        source: LaunchError,
    },
}

/// Protocols by name, in the order of tables.
#[derive(Clone, Default)]
pub struct Suite {
    registered: Vec<Registration>,
}

impl Suite {
    /// A suite of protocols under their own names, with their default settings.
    pub fn of(protocols: impl IntoIterator<Item = Arc<dyn Protocol>>) -> Result<Suite, SuiteError> {
        let mut suite = Suite::default();
        for protocol in protocols {
            let name = protocol.descriptor().name;
            suite.register(name, protocol, BTreeMap::new())?;
        }
        Ok(suite)
    }

    /// Adds a protocol with its configuration. One protocol may come several times, under different
    /// names and with different settings.
    pub fn register(
        &mut self,
        name: &str,
        protocol: Arc<dyn Protocol>,
        settings: BTreeMap<String, f64>,
    ) -> Result<&mut Self, SuiteError> {
        if self.registered.iter().any(|known| known.name == name) {
            return Err(SuiteError::Taken(name.into()));
        }
        Settings::checked(settings.clone(), &protocol.descriptor())?;
        self.registered.push(Registration {
            name: name.into(),
            protocol,
            settings,
            microbenchmarks: Vec::new(),
        });
        Ok(self)
    }

    /// Says how to time the cryptography of a protocol that is registered, for `calibrate`.
    pub fn time_primitives(
        &mut self,
        name: &str,
        microbenchmarks: &[Microbenchmark],
    ) -> Result<&mut Self, SuiteError> {
        let index = self.registered.iter().position(|known| known.name == name);
        let index = index.ok_or_else(|| self.unknown(name))?;
        self.registered[index].microbenchmarks = microbenchmarks.into();
        Ok(self)
    }

    /// All protocols.
    pub fn all(&self) -> &[Registration] {
        &self.registered
    }

    /// One protocol.
    pub fn get(&self, name: &str) -> Result<&Registration, SuiteError> {
        self.registered.iter().find(|known| known.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> SuiteError {
        let known: Vec<&str> = self.registered.iter().map(|known| known.name.as_str()).collect();
        SuiteError::UnknownProtocol { name: name.into(), known: known.join(", ") }
    }

    /// The protocols of these names, or all when none is given.
    pub fn select(&self, names: &[String]) -> Result<Suite, SuiteError> {
        if names.is_empty() {
            return Ok(self.clone());
        }
        let registered = names.iter().map(|name| self.get(name).cloned()).collect::<Result<_, _>>()?;
        Ok(Suite { registered })
    }

    /// Changes settings of every protocol; each must have all of them.
    pub fn with_settings(mut self, settings: &BTreeMap<String, f64>) -> Result<Suite, SuiteError> {
        for registration in &mut self.registered {
            registration.settings.extend(settings.clone());
            Settings::checked(registration.settings.clone(), &registration.protocol.descriptor())?;
        }
        Ok(self)
    }

    /// Every protocol under every scenario, scenario by scenario. A protocol that can't have the size of a
    /// scenario's cluster gets the next larger one that it can, and its results say so. What is larger than
    /// any, and commands that are too large, are refused before anything runs.
    pub fn pairs(&self, scenarios: &[Scenario], limits: Limits) -> Result<Vec<Pair>, SuiteError> {
        let mut pairs = Vec::with_capacity(scenarios.len() * self.registered.len());
        for scenario in scenarios {
            for registration in &self.registered {
                let protocol = registration.protocol.descriptor();
                let pair = registration.pair(scenario, limits);
                sizes(&pair.scenario).into_iter().try_for_each(|replicas| check_size(&protocol, replicas))?;
                check_payload(&protocol, scenario.payload_bytes)
                    .map_err(|source| SuiteError::Payload { scenario: scenario.name.clone(), source })?;
                pair.check_settings()?;
                pairs.push(pair);
            }
        }
        Ok(pairs)
    }
}

impl Registration {
    /// The sizes of `wanted`, each as the next larger one that the protocol can have.
    pub fn sizes_near(&self, wanted: &[usize]) -> Vec<usize> {
        let protocol = self.protocol.descriptor();
        let mut sizes: Vec<usize> = wanted.iter().map(|&size| protocol.size_for(size)).collect();
        sizes.dedup();
        sizes
    }

    /// The protocol under a scenario, whose clusters grow to the sizes that it can have.
    pub fn pair(&self, scenario: &Scenario, limits: Limits) -> Pair {
        Pair {
            name: self.name.clone(),
            protocol: self.protocol.clone(),
            scenario: with_sizes_for(&self.protocol.descriptor(), scenario.clone()),
            settings: self.settings.clone(),
            limits,
        }
    }
}

/// The scenario with every cluster as large as the protocol needs it, and none twice for it. No replicas at
/// all stay none, which is a mistake.
fn with_sizes_for(protocol: &Descriptor, mut scenario: Scenario) -> Scenario {
    let raise = |size: &mut usize| *size = if *size == 0 { 0 } else { protocol.size_for(*size) };
    raise(&mut scenario.replicas);
    match &mut scenario.measure {
        Measure::Scalability(Sweep { replicas, .. }) | Measure::Exact(ExactPlan { replicas, .. }) => {
            replicas.iter_mut().for_each(raise);
            replicas.dedup();
        }
        Measure::FaultTolerance(FaultPlan { faults, .. })
        | Measure::VirtualFaultTolerance(VirtualFaultPlan { faults, .. }) => {
            faults.iter_mut().filter_map(|fault| fault.replicas.as_mut()).for_each(raise);
        }
        _ => {}
    }
    scenario
}

/// Sizes of all clusters that a scenario launches.
pub(crate) fn sizes(scenario: &Scenario) -> Vec<usize> {
    match &scenario.measure {
        Measure::Scalability(sweep) => sweep.replicas.clone(),
        Measure::Exact(plan) => plan.replicas.clone(),
        Measure::FaultTolerance(FaultPlan { faults, .. })
        | Measure::VirtualFaultTolerance(VirtualFaultPlan { faults, .. }) => {
            faults.iter().map(|fault| fault.replicas.unwrap_or(scenario.replicas)).collect()
        }
        _ => vec![scenario.replicas],
    }
}
