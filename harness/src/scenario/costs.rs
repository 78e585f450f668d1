//! What work costs in virtual time, as a scenario says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calibration::WorkCosts;

/// Where the costs of work come from: `"none"`, `"calibrated"`, or a table of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected \"none\", \"calibrated\", or a table of costs such as { wake_up_ns = 500 }"
)]
pub enum CostsConfig {
    /// One of those that have a name.
    Named(NamedCosts),
    /// The same for every protocol, in nanoseconds.
    Table(WorkCosts),
}

/// Costs that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedCosts {
    /// Nothing costs anything: the pure protocol.
    None,
    /// As `consensus-bench calibrate` measured them on this machine, for each protocol its own.
    Calibrated,
}

impl Default for CostsConfig {
    fn default() -> Self {
        CostsConfig::Named(NamedCosts::None)
    }
}

impl CostsConfig {
    /// Whether nothing costs anything.
    pub fn is_none(&self) -> bool {
        *self == CostsConfig::default()
    }

    /// Whether costs are this machine's, and so the numbers too.
    pub fn is_calibrated(&self) -> bool {
        *self == CostsConfig::Named(NamedCosts::Calibrated)
    }
}
