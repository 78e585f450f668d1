//! Tunables of a protocol as data, values for them, and the rules that values have to keep together.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::protocol::{Descriptor, LaunchError};
use crate::role::Role;
use crate::timing::Timing;

/// How a tunable's range is best searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps.
    Linear,
    /// In equal ratios.
    Logarithmic,
}

impl Scale {
    /// The name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Linear => "linear",
            Scale::Logarithmic => "logarithmic",
        }
    }
}

/// A setting of a protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunable {
    /// Name, ending in its unit: `heartbeat_ms`.
    pub name: &'static str,
    /// What it is for, as advice understands it.
    pub role: Role,
    /// What it does.
    pub about: &'static str,
    /// Smallest and largest allowed value.
    pub range: (f64, f64),
    /// How to search the range.
    pub scale: Scale,
    /// Value when it is not set.
    pub default: f64,
    /// Whether it can change while the cluster runs, by [`Cluster::set_live`](crate::Cluster::set_live).
    pub live: bool,
    /// What it gives or takes that a load without faults does not show, in words: a search for the best
    /// settings leaves it alone unless it is named. None when the load shows its whole price.
    pub trades: Option<&'static str>,
}

impl Tunable {
    /// The unit, which ends the name: `ms`, `commands`, `flag`.
    pub fn unit(&self) -> &'static str {
        self.name.rsplit('_').next().unwrap_or_default()
    }

    /// Whether it is a switch: 0 or 1.
    pub fn is_flag(&self) -> bool {
        self.unit() == "flag"
    }

    /// Refuses a value outside the range.
    pub fn check(&self, value: f64) -> Result<(), LaunchError> {
        let (low, high) = self.range;
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(LaunchError::SettingOutOfRange { name: self.name.into(), value, low, high })
    }
}

/// Values for tunables, by name; what is missing has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    values: BTreeMap<String, f64>,
}

impl Settings {
    /// Checks names and ranges against the descriptor's tunables. What values have to keep to together
    /// depends on more than them: see [`Situation::check`].
    pub fn checked(values: BTreeMap<String, f64>, protocol: &Descriptor) -> Result<Settings, LaunchError> {
        for (name, &value) in &values {
            let Some(tunable) = protocol.tunables.iter().find(|tunable| tunable.name == name) else {
                return Err(LaunchError::UnknownSetting {
                    protocol: protocol.name,
                    name: name.clone(),
                    known: protocol
                        .tunables
                        .iter()
                        .map(|tunable| tunable.name)
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            };
            tunable.check(value)?;
        }
        Ok(Settings { values })
    }

    /// The value that is set, or the tunable's default.
    pub fn get(&self, tunable: &Tunable) -> f64 {
        self.values.get(tunable.name).copied().unwrap_or(tunable.default)
    }

    /// These settings, with another default for a tunable.
    pub fn or(&self, tunable: &Tunable, value: f64) -> Settings {
        let mut values = self.values.clone();
        values.entry(tunable.name.into()).or_insert(value);
        Settings { values }
    }

    /// The values that differ from their defaults.
    pub fn values(&self) -> &BTreeMap<String, f64> {
        &self.values
    }
}

/// Why a tunable of a running cluster was not changed. Never silently nothing.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LiveError {
    /// It can't change while the cluster runs.
    #[error("`{name}` can't change while the cluster runs; what can: {live}")]
    Unsupported {
        /// Tunable.
        name: String,
        /// Names of those that can.
        live: String,
    },
    /// The value is outside its range, or the system refused what it takes.
    #[error("`{name}` = {value}: {why}")]
    Refused {
        /// Tunable.
        name: String,
        /// Asked for.
        value: f64,
        /// The reason.
        why: String,
    },
}

impl LiveError {
    /// Finds the tunable of a name that can change live, and refuses a value that it can't have.
    pub fn check(tunables: &[Tunable], name: &str, value: f64) -> Result<Tunable, LiveError> {
        let live = || tunables.iter().filter(|tunable| tunable.live);
        let Some(tunable) = live().find(|tunable| tunable.name == name) else {
            let names: Vec<&str> = live().map(|tunable| tunable.name).collect();
            let live = if names.is_empty() { "nothing".into() } else { names.join(", ") };
            return Err(LiveError::Unsupported { name: name.into(), live });
        };
        match tunable.check(value) {
            Ok(()) => Ok(*tunable),
            Err(error) => Err(LiveError::Refused { name: name.into(), value, why: error.to_string() }),
        }
    }
}

/// What a cluster is about to be launched with, as far as constraints look at it.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Size of the cluster.
    pub replicas: usize,
    /// Failure detection, what the settings say of it included.
    pub timing: Timing,
    /// The settings.
    pub settings: &'a Settings,
}

/// A rule that several values have to keep together, such as `election_min_ms > heartbeat_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Constraint {
    /// The rule in one line, by the names of tunables; n is the size of the cluster.
    pub says: &'static str,
    /// How values break it, with those that would not; none when they keep to it.
    pub broken: fn(&Situation) -> Option<String>,
}

impl Situation<'_> {
    /// Refuses what breaks one of the protocol's constraints.
    pub fn check(&self, protocol: &Descriptor) -> Result<(), LaunchError> {
        let broken = protocol.constraints.iter().find_map(|constraint| (constraint.broken)(self));
        broken.map_or(Ok(()), |how| Err(LaunchError::Settings(how)))
    }
}
