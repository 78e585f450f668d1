//! Tunables of a protocol with their values, in the units that rules count in.

use std::collections::BTreeMap;

use protocol_core::{Descriptor, Role, Settings};

use crate::results::Change;

/// A tunable as it was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Knob {
    /// Name, its unit at the end.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Value in force.
    pub value: f64,
    /// Value when it is not set.
    pub default: f64,
    /// Smallest and largest allowed value.
    pub range: (f64, f64),
}

/// The tunables of a protocol under these settings; none where the settings are not the protocol's.
pub fn knobs(descriptor: &Descriptor, values: &BTreeMap<String, f64>) -> Vec<Knob> {
    let Ok(settings) = Settings::checked(values.clone(), descriptor) else { return Vec::new() };
    let knob = |tunable: &protocol_core::Tunable| Knob {
        name: tunable.name.into(),
        role: tunable.role,
        value: settings.get(tunable),
        default: tunable.default,
        range: tunable.range,
    };
    descriptor.tunables.iter().map(knob).collect()
}

impl Knob {
    /// How many commands it lets through at once, of a tunable that limits batches.
    pub fn commands(&self, payload_bytes: f64) -> f64 {
        if self.name.ends_with("_bytes") {
            (self.value / payload_bytes.max(1.0)).floor().max(1.0)
        } else {
            self.value
        }
    }

    /// Its value as a time in nanoseconds; none when its unit is no unit of time.
    pub fn nanoseconds(&self) -> Option<f64> {
        let unit = self.name.rsplit('_').next()?;
        let scale = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return None,
        };
        Some(self.value * scale)
    }

    /// A time in this tunable's unit, in whole units that its range allows; none when its unit is none of time.
    pub fn of_nanoseconds(&self, ns: f64) -> Option<f64> {
        let one = Knob { value: 1.0, ..self.clone() }.nanoseconds()?;
        Some(self.within((ns / one).ceil()))
    }

    /// The nearest value that its range allows.
    pub fn within(&self, value: f64) -> f64 {
        value.clamp(self.range.0, self.range.1)
    }

    /// Setting it to another value.
    pub fn change_to(&self, to: f64) -> Change {
        Change::Setting { name: self.name.clone(), from: self.value, to }
    }
}
